"""The guards on the snapshot and on the school as a whole, which come before the guards on roles.

Snapshot: an old source, a connection that shows less than before, a failed quality rule. They hold archivals only,
except that data older than those of an earlier sync hold everything. They compare several syncs: how many records a
connection usually sends, and whether its SIS answered for single people. (Missing totals and links are found by the
client.)

School: is this our school, and the current year? A hub may send another district under our School ID, or last year's
file under today's date. Each finding holds everything, small roles included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.field_values import CEDS
from roster_pipeline.cleaning.quality import TOO_FEW
from roster_pipeline.cleaning.quality_suite import Rule
from roster_pipeline.errors import ABOUT_AGE
from roster_pipeline.frames import Flags, persons_of, records_of, strings, tally, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames, SnapshotFacts
from roster_pipeline.named_frames import part
from roster_pipeline.planning.findings import EVERYBODY, Finding, percent
from roster_pipeline.settings.school import Guards
from roster_pipeline.vocabulary import ARCHIVE, CONTACT, Role, counted, day

SOURCE_STALE, OLDER_SOURCE = "source_stale", "older_source"

OLDER = "source-older-than-before"
"""The problem of a snapshot if its data are of an earlier day than the data that were read before."""

HALF = 0.5
"""Below this share of its usual records, a connection shows us less than before."""

SINGLE_USERS = "single_users"
"""Key in the proof of a snapshot: says whether the SIS answered for single people, if it was asked."""

GOOD_SNAPSHOTS_READ = 30
"""We compare with this many good snapshots, because weeks can pass between two leavers, and only for leavers is the SIS
asked for single people."""

_USUAL = 7

USABLE = "record_usable"
"""The quality rule that counts the same as the guard on rejected records."""

NOT_TESTED = "The quality of this list was not tested, so nothing proves that absent people have left."
_NOT_EXPECTED = ("excluded", "not_linked", "archive_off", "exempted")
"""Reasons of absent people who are not expected to come. With Archive off, people who left stay active."""
_NO_MEMBERS = ("role_off", "org_below", "unknown_org", "rejected_record")
YEARS = {grade: place for place, grade in enumerate(CEDS) if grade not in ("PS", "UG", "AE", "OTHER")}
"""School years in order, the youngest first."""


def older_source(snapshot: SnapshotFacts) -> Iterator[Finding]:
    """Everything waits if the data are of an earlier day than those before: they would undo later changes."""
    if OLDER in snapshot.problems:
        message = "The data are older than those of an earlier sync, so they change nothing."
        yield Finding(OLDER_SOURCE, message, 1, 0, people={EVERYBODY: 1})


def stale_source(snapshot: SnapshotFacts, guards: Guards) -> Iterator[Finding]:
    """Archivals wait if nothing has changed for a long time: the data may be weeks old.

    A bundle counts as unchanged if every byte is the same, an API if it shows the same people. If the snapshot has a
    problem with its age, only that problem is reported.
    """
    taken_at, unchanged_since = snapshot.taken_at, snapshot.unchanged_since
    if (
        taken_at is None
        or unchanged_since is None
        or any(problem.startswith(ABOUT_AGE) for problem in snapshot.problems)
    ):
        return
    days = (taken_at - unchanged_since).days
    limit = guards.bundle_unchanged_days if snapshot.bundle else guards.api_unchanged_days
    if days >= limit:
        since = f"{counted(days, 'day', 'days')}, since {day(unchanged_since)}"
        message = (
            f"The CSV bundle has been the same, byte for byte, for {since}. Does the export still run?"
            if snapshot.bundle
            else f"Nothing has changed in the SIS for {since}. Does it still pass changes on to us?"
        )
        yield Finding(SOURCE_STALE, message, days, limit, (ARCHIVE,))


@dataclass(frozen=True)
class UnlikeBefore:
    """records and usual: how many records came now and how many are usual, if the usual number is more than twice as
    large; else 0.

    single_users_gone: the SIS answered for single people in good syncs, and now it answers for nobody.
    """

    records: int = 0
    usual: int = 0
    single_users_gone: bool = False


def smaller(proof: Mapping[str, Any], good: Sequence[Mapping[str, Any]]) -> UnlikeBefore:
    """Compare the proof of this snapshot with those of good snapshots, newest first, that were read in the same way.

    The newest snapshot counts as well as the median, because a size is usual after a person approved it.
    """
    sizes = [int(earlier.get("records", 0)) for earlier in good if earlier.get("mode") == proof.get("mode")][:_USUAL]
    records = int(proof.get("records", 0))
    usual = int(min(median(sizes), sizes[0])) if sizes else 0
    if proof.get("mode") == "delta" or records >= HALF * usual:
        return UnlikeBefore()
    return UnlikeBefore(records, usual)


def misses_single_users(good: Sequence[Mapping[str, Any]], *, served_before: bool) -> bool:
    """Whether a snapshot without answers for single people differs from the good ones, newest first.

    A snapshot without answers that somebody approved is good, and from then on the answers are not missed.
    served_before: the connection's memory, for when no snapshot tells.
    """
    return next((bool(earlier[SINGLE_USERS]) for earlier in good if SINGLE_USERS in earlier), served_before)


def unlike_before(unlike: UnlikeBefore) -> Iterator[Finding]:
    """Archivals wait, because people that a connection no longer shows may still be in the school."""
    if unlike.usual:
        sent, usual = counted(unlike.records, "record", "records"), counted(unlike.usual, "is", "are")
        message = f"The connection sent {sent}, {usual} usual. Check what the SIS shares with us."
        yield Finding("unlike_before", message, unlike.records / unlike.usual, HALF, (ARCHIVE,))
    if unlike.single_users_gone:
        message = "The SIS no longer answers for single people, so the second witness is missing."
        yield Finding("unlike_before", message, 1, 0, (ARCHIVE,))


def quality_findings(results: pd.DataFrame, rules: Sequence[Rule], snapshot_id: int) -> Iterator[Finding]:
    """Findings that hold archivals of the roles concerned; all of them can be approved.

    results: snapshot_id and `RESULT_COLUMNS`, as stored; those of another snapshot do not count. rules: the suite as
    the school tuned it. A rule without a result holds the archivals of every role, with any severity: a rule that was
    not tested has not passed.
    """
    own = [line for line in records_of(results) if line["snapshot_id"] == snapshot_id]
    tested_rules = {line["rule"] for line in own}
    missing = [rule.name for rule in rules if rule.name not in tested_rules]
    crashed = sorted({str(line["rule"]) for line in own if pd.isna(line["tested"])})
    if rules and len(missing) == len(rules):
        yield untested(NOT_TESTED)
    elif missing or crashed:
        names = ", ".join([*missing, *crashed])
        yield untested(f"Quality rules that could not be evaluated: {names}. An untested roster has not passed.")
    by_name = {rule.name: rule for rule in rules}
    counted = [line for line in own if not pd.isna(line["tested"])]
    totals = Counter[str]()
    for line in counted:
        totals[line["rule"]] += int(line["tested"])
    for line in counted:
        if line["passed"] or line["severity"] != "error":
            continue
        name, role, tested, bad = (line[key] for key in ("rule", "role", "tested", "failed"))
        concerned = by_name[name].roles if name in by_name else ()
        if role and concerned and role not in concerned:
            continue
        whole = int(tested) if role else int(totals[name])
        yield _failed(
            str(name), by_name.get(str(name)), str(role), whole, int(bad), (role,) if role else concerned or None
        )


def untested(message: str) -> Finding:
    """The finding that holds every archival because results are missing."""
    return Finding("no_quality", message, 1, 0, (ARCHIVE,))


def _failed(
    name: str, rule: Rule | None, role: str, tested: int, failed: int, roles: tuple[str, ...] | None
) -> Finding:
    share = failed / tested if tested else 1.0
    about = f" ({rule.description[0].lower()}{rule.description[1:]})" if rule else ""
    of = f"{role} " if role else ""
    records = f"{of}record fails" if failed == tested == 1 else f"{of}records {'fails' if failed == 1 else 'fail'}"
    counts = f"{failed} of {tested} {records}, {percent(share)}" if tested else "nobody came who could be tested"
    limit = round(1 - rule.mostly, 6) if rule else 0.0
    message = f"Quality rule {name}{about}: {counts}."
    bad = {role or EVERYBODY: failed} if name == USABLE else {}
    return Finding("quality", message, share, limit, (ARCHIVE,), roles, about=role, people=bad, allowed=limit * tested)


@dataclass(frozen=True)
class WholeSchool:
    """known: active people that the sync manages and expects. missing: the known people who did not come.

    came: people of this roster, in roles that already have people here. strangers: people who came and are not members.
    graded: known students who have a grade on both sides. lower: graded students whose grade would go down.
    missing_roles: role to the missing people. mostly_missing, mostly_new: role to the missing people and to the
    strangers, for roles in which they are the majority.
    """

    known: int = 0
    missing: int = 0
    came: int = 0
    strangers: int = 0
    graded: int = 0
    lower: int = 0
    missing_roles: Mapping[str, int] = field(default_factory=dict)
    mostly_missing: Mapping[str, int] = field(default_factory=dict)
    mostly_new: Mapping[str, int] = field(default_factory=dict)


def whole_school(
    rows: pd.DataFrame,
    directory: DirectoryFrames,
    managed: dict[str, int],
    snapshot: SnapshotFacts,
    announced: frozenset[int] = frozenset(),
    settled: Mapping[str, int] | None = None,
) -> WholeSchool:
    """Count them in the rows of a plan. managed: active people of each rostered role. announced: leavers who are gone.
    settled: by role, the people without a row: they are active and came.

    A list of changes does not say who came, because it names only those who changed.
    """
    names = ("person_id", "matched_by", "reason", "role", "action", "changes")
    rows = part(rows, names, ~truth(pc.equal(strings(rows["role"]), CONTACT)))
    person = persons_of(rows)
    here = np.isin(person, directory.active_people)
    matched = rows["matched_by"].notna().to_numpy()
    absent = here & ~matched
    expected = ~rows["reason"].isin(_NOT_EXPECTED).to_numpy() & ~np.isin(person, list(announced))
    old = rows["role"].isin([role for role, there in managed.items() if there]).to_numpy()
    came = ~absent & old & ~rows["reason"].isin(_NO_MEMBERS).to_numpy()
    strangers = came & (rows["action"] == "create").to_numpy()
    whole, more = snapshot.mode != "delta", settled or {}
    gone, new = absent & expected, strangers if whole else np.zeros(len(rows), dtype=bool)
    lower = sum(_falls(changes) for changes in rows["changes"][here & (rows["action"] == "update").to_numpy()])
    return WholeSchool(
        known=sum(managed.values()) - int((absent & ~expected).sum()),
        missing=int((absent & expected).sum()),
        came=int(came.sum()) + sum(more.values()) if whole else 0,
        strangers=int(strangers.sum()) if whole else 0,
        graded=managed.get(Role.STUDENT, 0),
        lower=lower,
        missing_roles=_by_role(rows["role"], gone),
        mostly_missing=_mostly(rows["role"], gone, gone | (here & ~absent), more),
        mostly_new=_mostly(rows["role"], new, came, more),
    )


def _by_role(roles: pd.Series[str], such: Flags) -> dict[str, int]:
    return dict(tally(strings(roles).filter(pa.array(such))).most_common())


def _mostly(roles: pd.Series[str], such: Flags, among: Flags, more: Mapping[str, int]) -> dict[str, int]:
    """For each role, how many of its rows are marked, if they are more than half of the rows that count. more: further
    people to count, who have no row."""
    everybody = Counter(_by_role(roles, among)) + Counter(more)
    return {role: count for role, count in _by_role(roles, such).items() if 2 * count > everybody[role]}


def school_findings(school: WholeSchool, guards: Guards, *, first_sync: bool) -> Iterator[Finding]:
    """The findings about signs of another school, or of another year."""
    if school.missing > TOO_FEW and school.missing > guards.missing_share * school.known:
        share = school.missing / school.known
        message = (
            f"{school.missing} of the {school.known} people we know here did not come: {percent(share)}. "
            "Is this still the same school?"
        )
        yield Finding(
            "people_missing", message, share, guards.missing_share,
            people=school.missing_roles or {EVERYBODY: school.missing},
            allowed=guards.missing_share * school.known,
            explains=school.mostly_missing,
        )  # fmt: skip
    if not first_sync and school.strangers > TOO_FEW and school.strangers > guards.strangers_share * school.came:
        share = school.strangers / school.came
        message = (
            f"{school.strangers} of the {school.came} people who came are new to this school: {percent(share)}. "
            "Is this still the same school?"
        )
        yield Finding("strangers", message, share, guards.strangers_share, explains=school.mostly_new)
    if school.lower > TOO_FEW and school.lower > guards.lower_grades_share * school.graded:
        share = school.lower / school.graded
        message = (
            f"{school.lower} of {school.graded} students would go down in grade: {percent(share)}. Is this an old file?"
        )
        yield Finding("lower_grades", message, share, guards.lower_grades_share, explains={Role.STUDENT: school.lower})


def _falls(changes: dict[str, list[object]]) -> bool:
    """Whether a row moves somebody to a younger grade."""
    old, new = (YEARS.get(str(grade)) for grade in changes.get("grade", (None, None)))
    return old is not None and new is not None and new < old
