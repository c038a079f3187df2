"""Orgs as one kind of record, and what a user's reference to an org means.

A user names an org by its sourcedId, and sometimes otherwise: several ids in one text with any separator, an id in
other letters or quotes, the identifier or the name of a school. Such a text is read where the list of orgs leaves no
doubt. Otherwise it stays as it is: it names an org that the SIS does not list, which is counted, and which may be this
school.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from roster_pipeline.oneroster.http.response import folded
from roster_pipeline.oneroster.records.coercion import (
    ID_NULLS,
    NO_TEXTS,
    UNREADABLE,
    reference,
    references,
    split_ids,
    text,
)
from roster_pipeline.oneroster.records.role_entries import CONTACT_ROLES
from roster_pipeline.oneroster.records.user_records import reject, status_text
from roster_pipeline.org_tree import GONE_STATUSES

_NAMES = ("sourcedId", "status", "name", "type", "identifier", "parent", "dateLastModified")
_FOLDED = {folded(name): name for name in _NAMES} | {"parentsourcedid": "parent"}
_ANY_SEPARATOR = re.compile(r"[\s,;|/:&+]+")
"""Some of these may be part of an id, so a text is split at them only where each part is the id of a listed org."""
_LETTERS = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d+")


def orgs_of(records: Sequence[Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Normalised orgs and rejects of one page. The type stays as it is, because servers call schools by many names."""
    rejects: list[dict[str, Any]] = []
    orgs = [org for record in records if (org := org_of(record, rejects)) is not None]
    parents = _parents_by_children(records)
    for org in orgs if parents else ():
        org["parent"] = org["parent"] or parents.get(org["sourcedId"])
    return orgs, rejects


def _parents_by_children(records: Sequence[Any]) -> dict[str, str]:
    """Parents by child, from orgs of a page that name their children."""
    parents: dict[str, str] = {}
    for record in records:
        if isinstance(record, dict) and record.get("children"):
            parent = text(record.get("sourcedId"), ID_NULLS)
            if isinstance(parent, str):
                parents.update(dict.fromkeys(references(record["children"], ",;")[0], parent))
    return parents


def org_of(record: Any, rejects: list[dict[str, Any]]) -> dict[str, Any] | None:
    """One normalised org, or None and a reject. A parent that cannot be read becomes None."""
    if not isinstance(record, dict):
        rejects.append(reject(None, "orgs", "record", "not-an-object"))
        return None
    members = {_FOLDED.get(folded(name), name): value for name, value in record.items()}
    members |= {name: record[name] for name in _NAMES if name in record}
    sourced_id = text(members.get("sourcedId"), ID_NULLS)
    if not isinstance(sourced_id, str):
        rule = "sourced-id-missing" if sourced_id is None else "sourced-id-unreadable"
        rejects.append(reject(None, "orgs", "sourcedId", rule))
        return None
    org: dict[str, Any] = {"sourcedId": sourced_id}
    for name in ("name", "type", "identifier", "dateLastModified"):
        value = text(members.get(name), NO_TEXTS) if name == "name" else text(members.get(name))
        if value is UNREADABLE:
            rejects.append(reject(sourced_id, "orgs", name, "not-a-text", "warning"))
            value = None
        org[name] = value
    org["status"] = status_text(members.get("status"))
    parent = reference(members.get("parent"))
    org["parent"] = parent if isinstance(parent, str) else None
    return org


@dataclass
class ReferenceCounts:
    """People, without guardians and deleted records.

    unlisted: they name an org that is not listed, and that cannot be read otherwise. respelled: their org is spelled
    in another way than its sourcedId, and could be read.
    """

    unlisted: int = 0
    respelled: int = 0


class OrgReferences:
    """The orgs of one pull. `note` all of them before the first `place`."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.counts = ReferenceCounts()
        self._by_spelling: dict[str, set[str]] = defaultdict(set)
        self._shapes: set[str] = set()
        self._parents: dict[str, str] = {}
        self._cache: dict[str, tuple[str, ...]] = {}

    def note(self, orgs: Iterable[dict[str, Any]]) -> None:
        """Add orgs that the SIS lists."""
        for org in orgs:
            sourced_id = org["sourcedId"]
            self.ids.add(sourced_id)
            self._shapes.add(_shape(sourced_id))
            if org["parent"]:
                self._parents[sourced_id] = org["parent"]
            for name in ("sourcedId", "identifier", "name"):
                if org[name]:
                    self._by_spelling[org[name].casefold()].add(sourced_id)
        self._cache.clear()

    def above(self, org: str) -> set[str]:
        """The org's parent, the parent's parent, and so on."""
        parents: set[str] = set()
        while (parent := self._parents.get(org)) is not None and parent not in parents:
            parents.add(org := parent)
        return parents

    def meant(self, text: str) -> tuple[str, ...]:
        """The sourcedIds of the listed orgs that a reference means; the text itself where it cannot be read."""
        orgs = self._cache.get(text)
        if orgs is None:
            orgs = self._cache[text] = self._read(text)
        return orgs

    def place(self, users: Sequence[dict[str, Any]]) -> set[tuple[str | None, str | None]]:
        """Replace the references of these users by the orgs that they mean, one role entry per org, and count them.

        Returns every (role, org) among the users. Where the SIS lists no org at all, nothing is replaced.
        """
        named = {(entry["role"], entry["org"]) for user in users for entry in user["roles"]}
        if not self.ids or self.ids.issuperset(org for _, org in named if org is not None):
            return named
        for user in users:
            if any(entry["org"] is not None and entry["org"] not in self.ids for entry in user["roles"]):
                self._place(user)
        return {(entry["role"], entry["org"]) for user in users for entry in user["roles"]}

    def _place(self, user: dict[str, Any]) -> None:
        entries: list[dict[str, Any]] = []
        for entry in user["roles"]:
            orgs = (entry["org"],) if entry["org"] is None else self.meant(entry["org"])
            for org in orgs:
                placed = {**entry, "org": org}
                if placed not in entries:
                    entries.append(placed)
        if user["status"] not in GONE_STATUSES and any(e["role"] not in CONTACT_ROLES for e in user["roles"]):
            unlisted = any(entry["org"] is not None and entry["org"] not in self.ids for entry in entries)
            self.counts.unlisted += unlisted
            self.counts.respelled += not unlisted
        user["roles"] = entries

    def _read(self, text: str) -> tuple[str, ...]:
        if text in self.ids:
            return (text,)
        orgs = [self._only_org(part) for part in split_ids(text)]
        if orgs and None not in orgs:
            return tuple(dict.fromkeys(org for org in orgs if org is not None))
        parts = [part for part in _ANY_SEPARATOR.split(text) if part]
        return tuple(dict.fromkeys(parts)) if parts and self.ids.issuperset(parts) else (text,)

    def _only_org(self, text: str) -> str | None:
        """The one org that a text can mean; None where several or none.

        An identifier may look like the sourcedId of an org that is not shared with us: if both are numbers, 101 may be
        either. So it is used only where it is spelled in another way than all sourcedIds of the list.
        """
        if text in self.ids:
            return text
        orgs = self._by_spelling.get(text.casefold(), ())
        if len(orgs) != 1:
            return None
        org = next(iter(orgs))
        return org if text.casefold() == org.casefold() or _shape(text) not in self._shapes else None


def _shape(text: str) -> str:
    """A text with each run of letters as `a` and each run of digits as `9`; other characters stay."""
    return _DIGITS.sub("9", _LETTERS.sub("a", text))
