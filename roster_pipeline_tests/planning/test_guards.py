"""The guards: each at its limit and just beyond it, and what each of them holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.planning.guards import Verdict, judge
from roster_pipeline.planning.plan import Plan
from roster_pipeline.planning.plan_stats import PlanStats, plan_stats_of
from roster_pipeline.planning.snapshot_guards import WholeSchool
from roster_pipeline.settings.school import Guards, RoleSettings, SchoolSettings, Window
from roster_pipeline.vocabulary import CHANGING, Role
from roster_pipeline_tests.planning.builders import (
    COMPLETE,
    TODAY,
    Directory,
    cleaned,
    entry,
    plan_to_judge,
    school,
    tuples,
    user,
)

ALL = {(role.value, action) for role in Role for action in CHANGING}
ARCHIVALS = {(role.value, "archive") for role in Role}


def plan_of(**rows: int) -> Plan:
    """A plan of so many student rows per action; `key` are updates of an e-mail."""
    keyed = ("student", rows.pop("key", 0))
    return plan_to_judge({("student", action): count for action, count in rows.items()}, ("student",), keyed)


def facts(**known: Any) -> PlanStats:
    """A quiet sync of a school of 200 students."""
    usual = PlanStats(
        snapshot=COMPLETE,
        history=pd.DataFrame({"student": [200] * 7}),
        counts={"student": 200},
        managed={"student": 200},
        records={"student": 200, "unknown": 0},
        rejected={"student": 0, "unknown": 0},
        contradictions=0,
        today=TODAY,
        first_sync=False,
        rekeyed={"student": (0, 200)},
    )
    return replace(usual, **known)


def held(verdict: Verdict) -> set[tuple[str, str]]:
    return {(row.role, row.action) for row in tuples(verdict.rows) if row.verdict == "hold"}


STUDENTS = "student"
NEVER_ANYBODY = facts(counts={STUDENTS: 0}, managed={}, history=pd.DataFrame())
BLACKOUT = Window(first=date(2026, 3, 1), last=TODAY, kind="blackout")
ADD_ONLY = Window(first=TODAY, last=date(2026, 9, 1), kind="add_only")

NOW = datetime(2026, 3, 2, 20, tzinfo=UTC)


def same_for(days: int, *, bundle: bool = False) -> SnapshotFacts:
    """A complete snapshot of a source that has said the same for so long."""
    return SnapshotFacts(complete=True, bundle=bundle, taken_at=NOW, unchanged_since=NOW - timedelta(days=days))


OLD = replace(same_for(21, bundle=True), complete=False, problems=("source-old:21 days",))
OLDER = SnapshotFacts(complete=False, problems=("source-older-than-before",))

CASES: list[tuple[str, Plan, PlanStats, Guards, set[tuple[str, str]], set[str]]] = [
    ("a quiet sync", plan_of(create=1, update=1, archive=1), facts(), Guards(), set(), set()),
    (
        "incomplete",
        plan_of(archive=1),
        facts(snapshot=SnapshotFacts(False, problems=("page 3 is missing",))),
        Guards(),
        ARCHIVALS,
        {"incomplete_snapshot"},
    ),
    ("3 contradictions", plan_of(archive=1), facts(contradictions=3), Guards(), set(), set()),
    ("4 contradictions", plan_of(archive=1), facts(contradictions=4), Guards(), ARCHIVALS, {"witness"}),
    ("nobody was asked", plan_of(archive=1), facts(unwitnessed=1), Guards(), ARCHIVALS, {"no_witness"}),
    ("re-keyed at 20 %", plan_of(), facts(rekeyed={STUDENTS: (40, 200)}), Guards(), set(), set()),
    ("re-keyed over 20 %", plan_of(), facts(rekeyed={STUDENTS: (41, 200)}), Guards(), ALL, {"rekeyed"}),
    ("two re-keyed of three", plan_of(), facts(rekeyed={STUDENTS: (2, 3)}), Guards(), set(), set()),
    ("ids of others at 20 %", plan_of(), facts(reassigned={STUDENTS: (40, 200)}), Guards(), set(), set()),
    ("ids of others over 20 %", plan_of(), facts(reassigned={STUDENTS: (41, 200)}), Guards(), ALL, {"reassigned_ids"}),
    ("two ids of others, of three", plan_of(), facts(reassigned={STUDENTS: (2, 3)}), Guards(), set(), set()),
    (
        "ids of others in a list of changes",
        plan_of(),
        facts(reassigned={STUDENTS: (41, 200)}, snapshot=SnapshotFacts(True, mode="delta")),
        Guards(),
        ALL,
        {"reassigned_ids"},
    ),
    ("empty", plan_of(archive=9), facts(counts={STUDENTS: 0}), Guards(), ALL, {"empty_role", "shrunk_role"}),
    ("empty as ever", plan_of(), NEVER_ANYBODY, Guards(), set(), set()),
    (
        "no orgs",
        plan_of(),
        facts(counts={STUDENTS: 0}, without_org={STUDENTS: 200}, history=pd.DataFrame()),
        Guards(),
        ALL,
        {"empty_role", "no_orgs"},
    ),
    ("shrunk by 20 %", plan_of(), facts(counts={STUDENTS: 160}), Guards(), set(), set()),
    ("shrunk by more", plan_of(), facts(counts={STUDENTS: 159}), Guards(), ALL, {"shrunk_role"}),
    (
        "shrunk against an outlier",
        plan_of(),
        facts(counts={STUDENTS: 200}, history=pd.DataFrame({STUDENTS: [200, 200, 900]})),
        Guards(),
        set(),
        set(),
    ),
    (
        "a small role lost few",
        plan_of(),
        facts(counts={STUDENTS: 5}, history=pd.DataFrame({STUDENTS: [10] * 7})),
        Guards(),
        set(),
        set(),
    ),
    (
        "a list of changes",
        plan_of(),
        facts(counts={STUDENTS: 0}, snapshot=SnapshotFacts(True, mode="delta")),
        Guards(),
        set(),
        set(),
    ),
    ("archivals at 10 %", plan_of(archive=20), facts(), Guards(), set(), set()),
    ("archivals over 10 %", plan_of(archive=21), facts(), Guards(), {(STUDENTS, "archive")}, {"archivals"}),
    (
        "5 of 20 beside a larger role that is held",
        Plan(pd.concat([plan_of(archive=5).rows, plan_of(create=51).rows.assign(role="teacher")]), False, False, ()),
        facts(history=pd.DataFrame(), counts={STUDENTS: 20, "teacher": 251}, managed={STUDENTS: 20, "teacher": 200}),
        Guards(),
        {("teacher", "create"), *((STUDENTS, action) for action in CHANGING)},
        {"creations", "archivals", "small_role"},
    ),
    (
        "5 of 20 beside a smaller role that is held",
        Plan(pd.concat([plan_of(archive=5).rows, plan_of(create=4).rows.assign(role="staff")]), False, False, ()),
        facts(history=pd.DataFrame(), counts={STUDENTS: 15, "staff": 12}, managed={STUDENTS: 20, "staff": 8}),
        Guards(),
        {("staff", "create"), (STUDENTS, "archive")},
        {"creations", "archivals"},
    ),
    (
        "5 each in three small roles",
        Plan(
            pd.concat([plan_of(archive=5).rows.assign(role=role) for role in (STUDENTS, "staff", "teacher")]),
            False, False, (),
        ),
        facts(
            counts=dict.fromkeys((STUDENTS, "staff", "teacher"), 15),
            managed={STUDENTS: 20, "staff": 20, "teacher": 20},
            history=pd.DataFrame(),
        ),
        Guards(),
        {(role, "archive") for role in (STUDENTS, "staff", "teacher")},
        {"archivals"},
    ),
    ("5 of 20", plan_of(archive=5), facts(managed={STUDENTS: 20}), Guards(), set(), set()),
    ("6 of 20", plan_of(archive=6), facts(managed={STUDENTS: 20}), Guards(), {(STUDENTS, "archive")}, {"archivals"}),
    ("500 of many", plan_of(archive=500), facts(managed={STUDENTS: 9000}), Guards(), set(), set()),
    (
        "501 of many",
        plan_of(archive=501),
        facts(managed={STUDENTS: 9000}),
        Guards(),
        {(STUDENTS, "archive")},
        {"archive_most"},
    ),
    ("creations at 25 %", plan_of(create=50), facts(), Guards(), set(), set()),
    ("creations over 25 %", plan_of(create=51), facts(), Guards(), {(STUDENTS, "create")}, {"creations"}),
    ("creations of a first sync", plan_of(create=500), facts(first_sync=True), Guards(), set(), set()),
    ("creations of a new role", plan_of(create=500), facts(managed={}), Guards(), set(), set()),
    ("restores at 25 %", plan_of(restore=50), facts(), Guards(), set(), set()),
    ("restores over 25 %", plan_of(restore=51), facts(), Guards(), {(STUDENTS, "restore")}, {"restores"}),
    ("restores of a first sync", plan_of(restore=500), facts(first_sync=True), Guards(), set(), set()),
    ("restores where nobody is left", plan_of(restore=500), facts(managed={}), Guards(), set(), set()),
    ("two restored of two", plan_of(restore=2), facts(managed={STUDENTS: 2}), Guards(), set(), set()),
    (
        "a school's own restores",
        plan_of(restore=3),
        facts(),
        Guards(restore_share=0.01),
        {(STUDENTS, "restore")},
        {"restores"},
    ),
    (
        "22 students become teachers of 10",
        Plan(plan_of(update=22).rows.assign(role="teacher", person_id=range(22)), False, False, ()),
        facts(
            counts={STUDENTS: 178, "teacher": 32},
            managed={STUDENTS: 200, "teacher": 10},
            roles=pd.Series(STUDENTS, index=range(22)),
        ),
        Guards(),
        {("teacher", "update")},
        {"role_changes"},
    ),
    (
        "151 students of 200 become something else",
        Plan(plan_of(update=151).rows.assign(role="teacher", person_id=range(151)), False, False, ()),
        facts(
            history=pd.DataFrame(),
            counts={STUDENTS: 49, "teacher": 151},
            managed={STUDENTS: 200},
            roles=pd.Series(STUDENTS, index=range(151)),
        ),
        Guards(),
        {("teacher", "update")},
        {"updates"},
    ),
    ("updates at 75 %", plan_of(update=150), facts(), Guards(), set(), set()),
    ("updates over 75 %", plan_of(update=151), facts(), Guards(), {(STUDENTS, "update")}, {"updates"}),
    ("e-mails at 5 %", plan_of(key=10), facts(), Guards(), set(), set()),
    ("e-mails over 5 %", plan_of(key=11), facts(), Guards(), {(STUDENTS, "update")}, {"key_updates"}),
    ("10 of 200 without a school", plan_of(), facts(without_org={STUDENTS: 10}), Guards(), set(), set()),
    (
        "11 of 200 without a school",
        plan_of(),
        facts(without_org={STUDENTS: 11}),
        Guards(),
        {(STUDENTS, "archive")},
        {"no_orgs"},
    ),
    ("41 of 200 without a school", plan_of(), facts(without_org={STUDENTS: 41}), Guards(), ALL, {"no_orgs"}),
    (
        "3 of 12 without a school",
        plan_of(),
        facts(counts={STUDENTS: 9}, managed={STUDENTS: 12}, without_org={STUDENTS: 3}, history=pd.DataFrame()),
        Guards(),
        {(STUDENTS, "archive")},
        {"no_orgs"},
    ),
    ("half missing", plan_of(), facts(school=WholeSchool(known=200, missing=100)), Guards(), set(), set()),
    (
        "more than half missing",
        plan_of(),
        facts(school=WholeSchool(known=200, missing=101)),
        Guards(),
        ALL,
        {"people_missing"},
    ),
    ("two missing of two", plan_of(), facts(school=WholeSchool(known=2, missing=2)), Guards(), set(), set()),
    ("half strangers", plan_of(), facts(school=WholeSchool(came=200, strangers=100)), Guards(), set(), set()),
    (
        "more strangers than people we know",
        plan_of(),
        facts(school=WholeSchool(came=200, strangers=101)),
        Guards(),
        ALL,
        {"strangers"},
    ),
    (
        "nobody but strangers on a first sync",
        plan_of(),
        facts(school=WholeSchool(came=200, strangers=200), first_sync=True),
        Guards(),
        set(),
        set(),
    ),
    ("40 of 200 a grade down", plan_of(), facts(school=WholeSchool(graded=200, lower=40)), Guards(), set(), set()),
    (
        "41 of 200 a grade down",
        plan_of(),
        facts(school=WholeSchool(graded=200, lower=41)),
        Guards(),
        ALL,
        {"lower_grades"},
    ),
    ("rejected at 5 %", plan_of(), facts(rejected={STUDENTS: 10}), Guards(), set(), set()),
    ("rejected over 5 %", plan_of(), facts(rejected={STUDENTS: 11}), Guards(), {(STUDENTS, "archive")}, {"rejected"}),
    ("rejected over 20 %", plan_of(), facts(rejected={STUDENTS: 41}), Guards(), ALL, {"rejected"}),
    ("of unknown role over 5 %", plan_of(), facts(rejected={"unknown": 11}), Guards(), ARCHIVALS, {"rejected"}),
    ("of unknown role over 20 %", plan_of(), facts(rejected={"unknown": 41}), Guards(), ALL, {"rejected"}),
    ("blackout", plan_of(), facts(), Guards(windows=[BLACKOUT]), ALL, {"blackout"}),
    (
        "add only",
        plan_of(),
        facts(),
        Guards(windows=[ADD_ONLY]),
        {pair for pair in ALL if pair[1] != "create"},
        {"add_only"},
    ),
    ("a window of another day", plan_of(), facts(today=date(2026, 2, 1)), Guards(windows=[BLACKOUT]), set(), set()),
    ("data of an earlier day", plan_of(create=1), facts(snapshot=OLDER), Guards(), ALL,
     {"older_source", "incomplete_snapshot"}),
    ("a bundle that is the same for a week", plan_of(archive=1), facts(snapshot=same_for(7, bundle=True)), Guards(),
     ARCHIVALS, {"source_stale"}),
    ("a bundle that is the same for six days", plan_of(archive=1), facts(snapshot=same_for(6, bundle=True)), Guards(),
     set(), set()),
    ("an API without a change for two weeks", plan_of(archive=1), facts(snapshot=same_for(14)), Guards(),
     ARCHIVALS, {"source_stale"}),
    ("an API without a change for a week", plan_of(archive=1), facts(snapshot=same_for(7)), Guards(), set(), set()),
    ("a school whose SIS is quiet for long", plan_of(archive=1), facts(snapshot=same_for(40)),
     Guards(api_unchanged_days=60), set(), set()),
    ("an old bundle that is the same is told once", plan_of(archive=1), facts(snapshot=OLD), Guards(),
     ARCHIVALS, {"incomplete_snapshot"}),
    ("a first sync", plan_of(create=1), facts(awaits_approval=True), Guards(), ALL, {"first_sync"}),
    ("a school's own", plan_of(archive=3), facts(), Guards(archive_share=0.01), {(STUDENTS, "archive")}, {"archivals"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "sync", "limits", "holds", "guards"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_what_a_guard_holds(
    plan: Plan, sync: PlanStats, limits: Guards, holds: set[tuple[str, str]], guards: set[str]
) -> None:
    verdict = judge(plan, sync, limits)
    assert held(verdict) == holds
    assert {finding["guard"] for findings in verdict.rows["findings"] for finding in findings} == guards
    assert len(verdict.rows) == len(ALL)


def test_only_the_guards_about_the_snapshot_itself_cannot_be_overridden() -> None:
    firm = set()
    for _, plan, sync, limits, _, _ in CASES:
        for findings in judge(plan, sync, limits).rows["findings"]:
            firm |= {finding["guard"] for finding in findings if not finding["overridable"]}
    assert firm == {"incomplete_snapshot", "witness", "no_witness"}


def test_what_has_no_verdict_may_not_be_applied() -> None:
    verdict = judge(plan_of(create=1), facts(), Guards())
    assert verdict.allows("student", "create")
    assert not verdict.allows("student", "unheard-of")
    assert not Verdict(verdict.rows.iloc[:0], []).allows("student", "create")


def test_held_is_what_would_have_done_something() -> None:
    verdict = judge(plan_of(archive=100), facts(), Guards())
    assert [(line["role"], line["action"], line["rows"]) for line in verdict.held] == [("student", "archive", 100)]


def sync(directory: Directory, users: list[dict[str, Any]], settings: SchoolSettings | None = None) -> Verdict:
    """A whole sync up to its verdict, with nobody answering as a second witness."""
    settings = settings or school()
    told = cleaned(users, settings)
    plan = directory.plan(users, settings).witnessed(None)
    found = plan_stats_of(plan, told.roster, told.rejected, directory.frames(), COMPLETE, pd.DataFrame(), TODAY)
    return judge(plan, found, settings.guards)


def pupils(count: int) -> Directory:
    directory = Directory()
    for place in range(count):
        directory.member(directory.person(f"p{place:03}"))
    return directory


def guards_of(verdict: Verdict) -> set[str]:
    return {finding["guard"] for findings in verdict.rows["findings"] for finding in findings}


def test_ids_that_change_in_bulk_hold_everything_and_archive_nobody() -> None:
    directory = pupils(10)
    users = [user(f"p{i:03}") | {"sourcedId": f"new{i}"} for i in range(10)]
    assert set(directory.plan(users).rows["reason"]) == {"relinked"}
    verdict = sync(directory, users)
    assert held(verdict) == ALL
    assert guards_of(verdict) == {"rekeyed", "updates"}


def test_ids_dealt_anew_among_the_people_who_are_here_hold_everything() -> None:
    directory = pupils(10)
    users = [user(f"p{(i + 1) % 10:03}") | {"sourcedId": f"p{i:03}"} for i in range(4)]
    verdict = sync(directory, [*users, *(user(f"p{i:03}") for i in range(4, 10))])
    assert held(verdict) == ALL
    assert "reassigned_ids" in guards_of(verdict)


def test_ids_of_leavers_that_go_to_newcomers_hold_nothing_however_many() -> None:
    directory = pupils(10)
    for who in list(directory.members)[:6]:
        directory.members[who].update(status="archived", archived_by="sync")
    users = [user(f"new{i}", email=f"{i}@example.org") | {"sourcedId": f"p{i:03}"} for i in range(6)]
    verdict = sync(directory, [*users, *(user(f"p{i:03}") for i in range(6, 10))])
    assert held(verdict) == set()


def test_a_role_that_comes_back_without_orgs_is_the_snapshots_fault() -> None:
    directory = pupils(10)
    users = [user(f"p{i:03}", roles=[]) for i in range(10)]
    assert {"empty_role", "no_orgs"} <= guards_of(sync(directory, users))


def test_a_role_that_nobody_rosters_is_not_judged() -> None:
    off = school(students=RoleSettings())
    assert guards_of(sync(pupils(10), [], off)) == set()


def test_records_turned_away_without_a_role_count_for_the_role_of_their_person() -> None:
    directory = pupils(20)
    users = [user(f"p{i:03}", status="odd" if i < 3 else "active") for i in range(20)]
    verdict = sync(directory, users)
    assert held(verdict) == {("student", "archive")}
    assert guards_of(verdict) == {"rejected"}


def test_vendor_roles_of_strangers_hold_nothing() -> None:
    directory = pupils(10)
    users = [user(f"p{i:03}") for i in range(10)] + [user(f"x{i}", "ext:visitor") for i in range(10)]
    assert guards_of(sync(directory, users)) == set()


def test_vendor_roles_of_people_we_know_do_count() -> None:
    directory = pupils(10)
    users = [user(f"p{i:03}", roles=[entry("ext:pupil" if i < 4 else "student")]) for i in range(10)]
    assert "rejected" in guards_of(sync(directory, users))


def test_removed_contacts_are_neither_updates_of_students_nor_people_who_are_missing() -> None:
    directory = pupils(10)
    users = [user(f"p{i:03}") for i in range(10)]
    told = cleaned(users, school())
    plan = directory.plan(users).witnessed(None)
    removals = plan.rows.assign(role="contact", action="update", reason="contact_excluded", matched_by=None)
    rows = pd.concat([plan.rows, removals.astype({"matched_by": "str"})], ignore_index=True)
    both = replace(plan, rows=rows)
    found = plan_stats_of(both, told.roster, told.rejected, directory.frames(), COMPLETE, pd.DataFrame(), TODAY)
    assert (found.school.known, found.school.missing, found.school.came) == (10, 0, 10)
    assert held(judge(both, found, Guards())) == set()


def test_messages_of_findings_carry_counts_and_no_names() -> None:
    directory = pupils(60)
    verdict = sync(directory, [])
    text = " ".join(finding["message"] for findings in verdict.rows["findings"] for finding in findings)
    assert text
    assert "Given" not in text
    assert "p00" not in text
