"""Test Your Information for a bundle: a list of results, green or red, with counts and without people."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from roster_pipeline.errors import BULK_ORGS, ORGS_ARE_DELTA, in_words
from roster_pipeline.oneroster import connection_test_items as test_items
from roster_pipeline.oneroster.bundle.bundle_files import HostKeyRefused, WrongHeader, WrongManifest
from roster_pipeline.oneroster.bundle.bundle_pull import pull_bundle
from roster_pipeline.oneroster.bundle.sources import BundleSource
from roster_pipeline.oneroster.collections.proof import Proof
from roster_pipeline.oneroster.collections.wanted import Wanted
from roster_pipeline.oneroster.connection_test import people_items
from roster_pipeline.oneroster.connection_test_items import CheckItem, Placed, TestedSchool
from roster_pipeline.oneroster.errors import OneRosterError, SchoolNotFound, SignInRefused
from roster_pipeline.oneroster.people_counts import PeopleCounts
from roster_pipeline.org_tree import org_meant, orgs_meant
from roster_pipeline.settings.school import Guards
from roster_pipeline.vocabulary import counted

ORGS_IN_PART = frozenset({"orgs-unchanged", "no-changes-of-people", ORGS_ARE_DELTA})
"""The notes of a bundle without all orgs."""
ODD_ROWS = {
    "too-few-cells": "fewer cells than the header",
    "too-many-cells": "more cells than the header",
    "cells-moved": "cells under other columns",
}
CELLS = (
    "Each row needs a cell for every column of the header, also an empty one, and a text with a comma needs quotes. A "
    "spreadsheet program may have dropped empty cells: export the file again, and do not save it with such a program."
)
ALONE = "Archivals depend on the bundle alone; keep the guards on."
NO_WITNESS = CheckItem("Second witness", None, "a bundle cannot be asked for single people", ALONE)
_NAMES: tuple[tuple[type[OneRosterError], str], ...] = (
    (HostKeyRefused, "Host key"),
    (SignInRefused, "Sign-in"),
    (WrongManifest, "Manifest"),
    (WrongHeader, "Columns"),
)


def check_bundle_schools(
    source: BundleSource,
    schools: Sequence[TestedSchool],
    *,
    old_days: int = Guards().bundle_age_days,
    enrollments: bool = False,
    now: datetime | None = None,
) -> list[Placed]:
    """Test a bundle for several schools. It is read once, as a sync reads it. Each item has the place of its school. A
    bundle that cannot be read is a red item, never an exception.

    old_days: an older bundle suggests that the export stopped. enrollments: a student without one counts as gone.
    """
    now = now or datetime.now(UTC)
    roles = frozenset[str]().union(*(school.roles for school in schools))
    wanted = Wanted(contacts=True, roles=roles, enrollments=enrollments, enrollments_if_there=True)
    pulled = pull_bundle(source, wanted, now=now)
    counts: list[PeopleCounts] = []
    orgs: list[dict[str, Any]] = []
    odd: Counter[str] = Counter()
    try:
        for batch in pulled:
            odd.update(each["rule"] for each in batch.rejects if each["rule"] in ODD_ROWS)
            for school in schools:
                if school.watcher is not None:
                    school.watcher.take(batch)
            if batch.kind == "org":
                orgs += batch.records
                continue
            counts = counts or [_counts(school, orgs, now.date()) for school in schools]
            for of_school in counts:
                of_school.count(batch.records)
    except OneRosterError as problem:
        part = next((part for kind, part in _NAMES if isinstance(problem, kind)), "Bundle")
        return [(None, CheckItem(part, False, problem.message, problem.remedy))]
    proof = pulled.proof
    bundle = CheckItem("Bundle", True, f"OneRoster {proof.version}, {proof.bytes:,} bytes from {source.shown}")
    items: list[Placed] = [(None, item) for item in (bundle, _age(proof, now, old_days), _mode(proof))]
    for place, school in enumerate(schools):
        known = counts[place] if counts else None
        items += [(place, item) for item in _of_school(school, known, orgs, proof, enrollments=enrollments)]
    return items + [(None, item) for item in (*_odd_rows(odd), *_lost(pulled.lost), _completeness(proof), NO_WITNESS)]


def _counts(one: TestedSchool, orgs: list[dict[str, Any]], today: date) -> PeopleCounts:
    counts = PeopleCounts(org_meant(orgs, one.school_id), today, include_orgs_below=one.include_orgs_below)
    counts.note_orgs(orgs)
    return counts


def _of_school(
    one: TestedSchool, counts: PeopleCounts | None, orgs: list[dict[str, Any]], proof: Proof, *, enrollments: bool
) -> Iterator[CheckItem]:
    found, partly = orgs_meant(orgs, one.school_id), not ORGS_IN_PART.isdisjoint(proof.notes)
    if len(found) == 1:
        yield test_items.school_item(found[0], one.name)
    elif partly and not found:
        yield CheckItem("School", None, "not among the orgs of this bundle, which holds only changed ones", BULK_ORGS)
    elif found:
        problem = SchoolNotFound.of_several(found)
        yield CheckItem("School", False, problem.message, problem.remedy)
    else:
        yield test_items.missing_school_item(orgs, one.school_id, one.name)
    if counts is None or not (len(found) == 1 or partly or not orgs):
        return
    yield from people_items(one, counts, proof, decide=enrollments, read=True)


def _age(proof: Proof, now: datetime, old_days: int) -> CheckItem:
    age = proof.age
    if age is not None and age.hours_ahead:
        hours = counted(round(age.hours_ahead), "hour", "hours")
        detail = f"its time is {hours} in the future, so its age is unknown"
        return CheckItem("Age", False, detail, "Correct the clock of the machine that writes or stores the export.")
    days = 0 if age is None else (now - datetime.fromisoformat(age.written)).days
    old = days >= old_days
    written = "today" if days < 1 else f"{counted(days, 'day', 'days')} ago"
    return CheckItem(
        "Age", not old, f"written {written}", "Check whether the export still runs every night." if old else ""
    )


def _mode(proof: Proof) -> CheckItem:
    name = "Bulk or delta"
    if proof.mode == "full":
        return CheckItem(name, True, "bulk: people who are not in it have left")
    if "no-manifest" in proof.problems:
        detail = "no manifest.csv, so it counts as a delta: nobody is archived for being absent from it"
        return CheckItem(name, None, detail, "Let the export include its manifest.")
    detail = "delta: only people with a record marked as deleted are archived"
    return CheckItem(name, None, detail, "A bulk export is safer: nothing makes up for a missed delta.")


def _odd_rows(odd: Counter[str]) -> Iterator[CheckItem]:
    """Rows that are not used because of the number or the place of their cells."""
    for rule, what in ODD_ROWS.items():
        if odd[rule]:
            rows, are = counted(odd[rule], "row has", "rows have"), "is" if odd[rule] == 1 else "are"
            yield CheckItem("Cells", False, f"{rows} {what}, and {are} not used", CELLS)


def _lost(lost: Sequence[str]) -> Iterator[CheckItem]:
    if lost:
        people = counted(len(lost), "person is", "people are")
        detail = f"{people} enrolled and not in users.csv, or without a role"
        yield CheckItem("People", None, detail, "If they have left, let the export end their enrollments.")


def _completeness(proof: Proof) -> CheckItem:
    detail = f"{counted(proof.records, 'row', 'rows')} of people read to the end, {proof.rejected:,} unusable"
    if proof.complete:
        return CheckItem("Completeness", True, detail)
    remedy = "Nobody is archived because of such a bundle. Show this to the people who run the export."
    return CheckItem("Completeness", False, f"{detail}; {', '.join(map(in_words, proof.problems))}", remedy)
