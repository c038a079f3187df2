"""Test Your Information for a bundle: item by item what was found, green or red. Counts only, no people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from roster_pipeline.completeness_messages import in_words
from roster_pipeline.oneroster.bundle.bundle_errors import HostKeyRefused, WrongHeader, WrongManifest
from roster_pipeline.oneroster.bundle.pull import pull_bundle
from roster_pipeline.oneroster.bundle.source import BundleSource
from roster_pipeline.oneroster.collections.proof import Proof
from roster_pipeline.oneroster.collections.reading import GROUPS, Wanted
from roster_pipeline.oneroster.connection_test.item import CheckItem, Watcher
from roster_pipeline.oneroster.connection_test.people_counts import PeopleCounts
from roster_pipeline.oneroster.connection_test.people_items import ROLE_NAMES, guardian_links
from roster_pipeline.oneroster.connection_test.reference_items import reference_items
from roster_pipeline.oneroster.errors import OneRosterError, SignInRefused
from roster_pipeline.org_tree import GONE_STATUSES, is_school
from roster_pipeline.settings.school import Guards

LENGTHS = {"too-few-cells": "fewer cells", "too-many-cells": "more cells"}
CELLS = (
    "Each row needs a cell for every column of the header, also where it is empty, and a text with a comma needs "
    "quotes. A spreadsheet program may have dropped empty cells: export the file again, and do not save it in one."
)
_NAMES: tuple[tuple[type[OneRosterError], str], ...] = (
    (HostKeyRefused, "Host key"),
    (SignInRefused, "Sign-in"),
    (WrongManifest, "Manifest"),
    (WrongHeader, "Columns"),
)


def check_bundle(
    source: BundleSource,
    school_id: str,
    roles: Iterable[str] = GROUPS,
    *,
    contacts: bool = False,
    old_days: int = Guards().bundle_age_days,
    include_orgs_below: bool = False,
    now: datetime | None = None,
    watcher: Watcher | None = None,
) -> list[CheckItem]:
    """Read the whole bundle as a sync would. Never raises for a bundle. watcher: sees what is read.

    roles: the role groups that are rostered. old_days: the age from which a bundle looks like an export that stopped.
    """
    now = now or datetime.now(UTC)
    pulled = pull_bundle(source, Wanted(contacts=contacts, roles=frozenset(roles)), now=now)
    school: dict[str, Any] | None = None
    census: PeopleCounts | None = None
    orgs: list[dict[str, Any]] = []
    odd: Counter[str] = Counter()
    try:
        for batch in pulled:
            odd.update(one["rule"] for one in batch.rejects if one["rule"] in LENGTHS)
            if watcher is not None:
                watcher.take(batch)
            if batch.kind == "org":
                orgs += batch.records
                continue
            if census is None:
                school = found_school(orgs, school_id)
                own = school["sourcedId"] if school else school_id.strip()
                census = PeopleCounts(own, now.date(), include_orgs_below=include_orgs_below)
                census.note_orgs(orgs)
            census.count(batch.records)
    except OneRosterError as problem:
        name = next((name for kind, name in _NAMES if isinstance(problem, kind)), "Bundle")
        return [CheckItem(name, False, problem.message, problem.remedy)]
    proof = pulled.proof
    school = school or found_school(orgs, school_id)
    items = [_bundle(source, proof), _age(proof, now, old_days), _mode(proof), _school(school, proof)]
    if census is not None and (school is not None or not orgs):
        items += [_role(census, proof, group) for group in GROUPS if group in set(roles)]
        if contacts:
            items.append(_guardians(census))
        items += reference_items(census, proof)
    items += _odd_rows(odd)
    items.append(_completeness(proof))
    return [*items, _witness()]


def found_school(orgs: list[dict[str, Any]], school_id: str) -> dict[str, Any] | None:
    """The org a School ID means: by sourcedId, else by an identifier that one school alone has."""
    wanted = school_id.strip()
    for org in orgs:
        if org["sourcedId"] == wanted:
            return {**org, "foundBy": "sourcedId"}
    named = [org for org in orgs if org["identifier"] == wanted]
    named = [org for org in named if is_school(org)] or named
    return {**named[0], "foundBy": "identifier"} if len(named) == 1 else None


def _bundle(source: BundleSource, proof: Proof) -> CheckItem:
    return CheckItem("Bundle", True, f"OneRoster {proof.version}, {proof.bytes:,} bytes from {source.shown}")


def _age(proof: Proof, now: datetime, old_days: int) -> CheckItem:
    age = proof.age
    if age is not None and age.hours_ahead:
        detail = f"its time lies {age.hours_ahead:.0f} hours in the future, so nobody knows how old it is"
        return CheckItem("Age", False, detail, "Set the clock of the machine that writes or keeps the export.")
    days = 0 if age is None else (now - datetime.fromisoformat(age.written)).days
    old = days >= old_days
    written = "today" if days < 1 else "1 day ago" if days == 1 else f"{days} days ago"
    return CheckItem(
        "Age", not old, f"written {written}", "Check whether the export still runs every night." if old else ""
    )


def _mode(proof: Proof) -> CheckItem:
    name = "Bulk or delta"
    if proof.mode == "full":
        return CheckItem(name, True, "bulk: who is not in it is gone")
    if "no-manifest" in proof.problems:
        detail = "no manifest.csv, so it is taken for a delta: nobody is archived for not being in it"
        return CheckItem(name, None, detail, "Let the export include its manifest.")
    detail = "delta: only what it marks as deleted is archived"
    return CheckItem(name, None, detail, "A bulk export is safer: a delta that was missed is never made up for.")


def _school(school: dict[str, Any] | None, proof: Proof) -> CheckItem:
    if school is None:
        known = "orgs-unchanged" in proof.notes or "no-changes-of-people" in proof.notes
        detail = "this bundle brings no orgs" if known else "no org of the bundle has this School ID"
        remedy = "" if known else "Enter the sourcedId (or identifier) that orgs.csv gives the school."
        return CheckItem("School", None if known else False, detail, remedy)
    if school["status"] in GONE_STATUSES:
        return CheckItem("School", False, "marked as deleted in the bundle", "Choose the school that took its place.")
    return CheckItem("School", True, f"found by {school['foundBy']}, type {school['type'] or 'unknown'}")


def _role(census: PeopleCounts, proof: Proof, group: str) -> CheckItem:
    found = census.people[group]
    if found or proof.mode == "delta":
        return CheckItem(ROLE_NAMES[group], True if found else None, f"{found} in this school")
    remedy = "Check what the export includes, or switch this role off."
    return CheckItem(ROLE_NAMES[group], False, "0 in this school", remedy)


def _guardians(census: PeopleCounts) -> CheckItem:
    ok, told = guardian_links(census, "there")
    detail = told or "nobody names a guardian or a student in agentSourcedIds"
    return CheckItem("Guardians", ok, detail, "" if ok else "Let the export include guardians and agentSourcedIds.")


def _odd_rows(odd: Counter[str]) -> Iterator[CheckItem]:
    """Rows that were not read for their length."""
    for rule, told in LENGTHS.items():
        if odd[rule]:
            yield CheckItem("Cells", False, f"{odd[rule]} rows have {told} than the header, and are not used", CELLS)


def _completeness(proof: Proof) -> CheckItem:
    told = f"{proof.records} rows of people read to the end, {proof.rejected} unusable"
    if proof.complete:
        return CheckItem("Completeness", True, told)
    remedy = "Nobody is archived from such a bundle. Show this to whoever runs the export."
    return CheckItem("Completeness", False, f"{told}; {', '.join(map(in_words, proof.problems))}", remedy)


def _witness() -> CheckItem:
    return CheckItem(
        "Second witness",
        None,
        "a bundle cannot be asked for single people",
        "Archivals rest on the bundle alone; keep the guards as they are.",
    )
