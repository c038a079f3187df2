"""What Test Your Information says of the school: its name in the SIS, or what the School ID may have meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from roster_pipeline.oneroster.connection_test.item import CheckItem
from roster_pipeline.org_tree import GONE_STATUSES, is_school

MOST_LIKELY = 3
"""Orgs that are named as what may have been meant."""


def found_school(school: dict[str, Any], name: str) -> CheckItem:
    """The org that the School ID means. name: what we call the school, "" where that is not known."""
    if school["status"] in GONE_STATUSES:
        return CheckItem("School", False, "marked as deleted in the SIS", "Choose the school that took its place.")
    theirs = school["name"] or "no name"
    found = f"{theirs}, found by {school['foundBy']}, type {school['type'] or 'unknown'}"
    if name and school["name"] and not _alike(name, school["name"]):
        return CheckItem(
            "School",
            None,
            f"{found}; here it is called {name}",
            "Check that this School ID is this school's: another one rosters the people of another school.",
        )
    return CheckItem("School", True, found, "" if school["foundBy"] == "sourcedId" else "Its sourcedId is stored.")


def missing_school(orgs: Sequence[dict[str, Any]], school_id: str, name: str) -> CheckItem:
    """No org has the School ID. orgs: those that the SIS lists."""
    meant = [org for org in orgs if org["status"] not in GONE_STATUSES and _meant(org, school_id, name)]
    meant = ([org for org in meant if is_school(org)] or meant)[:MOST_LIKELY]
    if not meant:
        return CheckItem(
            "School",
            False,
            "no org of the SIS has this School ID",
            "Enter the school's sourcedId, or its identifier; and share the school with this application in the SIS.",
        )
    told = ", ".join(f"{org['name'] or 'an org without a name'} has the sourcedId {org['sourcedId']}" for org in meant)
    return CheckItem(
        "School",
        False,
        f"no org of the SIS has this School ID; {told}",
        "If that is the school, enter this sourcedId as School ID. If people were rostered before, the ids of the SIS "
        "may have changed: look at the plan before anything is applied.",
    )


def _meant(org: dict[str, Any], school_id: str, name: str) -> bool:
    typed = _plain(school_id)
    spelled = {_plain(org[member]) for member in ("sourcedId", "identifier", "name") if org[member]}
    return bool(typed and typed in spelled) or bool(name and org["name"] and _plain(name) == _plain(org["name"]))


def _plain(text: str) -> str:
    """A text without case, blanks, punctuation and leading zeros."""
    return "".join(letter for letter in text.casefold() if letter.isalnum()).lstrip("0")


def _alike(ours: str, theirs: str) -> bool:
    one, other = _plain(ours), _plain(theirs)
    return one == other or (min(len(one), len(other)) >= 4 and (one in other or other in one))
