"""The guards: each at its limit and just beyond it, and what it holds."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.planning.guards import Verdict, judge
from roster_pipeline.planning.plan import Plan
from roster_pipeline.planning.plan_stats import PlanStats, plan_stats_of
from roster_pipeline.planning.role_guards import most_moved
from roster_pipeline.planning.slow_losses import Loss
from roster_pipeline.planning.snapshot_guards import WholeSchool
from roster_pipeline.settings.school import Guards, RoleSettings, SchoolSettings, Window
from roster_pipeline.vocabulary import CHANGING, Role
from roster_pipeline_tests.planning import builders

ALL = {(role.value, action) for role in Role for action in CHANGING}
ARCHIVALS = {(role.value, "archive") for role in Role}


def plan_of(**rows: int) -> Plan:
    """A plan with this many student rows per action; `key` are updates of an e-mail."""
    keyed = ("student", rows.pop("key", 0))
    return builders.plan_to_judge({("student", action): count for action, count in rows.items()}, ("student",), keyed)


def facts(**known: Any) -> PlanStats:
    """A quiet sync of a school of 200 students."""
    usual = PlanStats(
        snapshot=builders.COMPLETE,
        history=pd.DataFrame({"student": [200] * 7}),
        counts={"student": 200},
        managed={"student": 200},
        records={"student": 200, "unknown": 0},
        rejected={"student": 0, "unknown": 0},
        contradictions=0,
        today=builders.TODAY,
        first_sync=False,
        rekeyed={"student": (0, 200)},
    )
    return replace(usual, **known)


def held(verdict: Verdict) -> set[tuple[str, str]]:
    return {(row.role, row.action) for row in builders.tuples(verdict.rows) if row.verdict == "hold"}


STUDENTS = "student"
MANY = {"known": 600, "mixed_up": 0, "slipped": False, "emptied": 0, "joining": 0, "with": 0, "schools": 0}
BLACKOUT = Window(first=date(2026, 3, 1), last=builders.TODAY, kind="blackout")
ADD_ONLY = Window(first=builders.TODAY, last=date(2026, 9, 1), kind="add_only")

NOW = datetime(2026, 3, 2, 20, tzinfo=UTC)


def same_for(days: int, *, bundle: bool = False) -> SnapshotFacts:
    """A complete snapshot of a source that has been unchanged for this long."""
    return SnapshotFacts(complete=True, bundle=bundle, taken_at=NOW, unchanged_since=NOW - timedelta(days=days))


OLD = replace(same_for(21, bundle=True), complete=False, problems=("source-old:21 days",))
OLDER = SnapshotFacts(complete=False, problems=("source-older-than-before",))

NOTHING: set[tuple[str, str]] = set()


def case(
    name: str,
    holds: set[tuple[str, str]] = NOTHING,
    found: str = "",
    /,
    plan: Plan = plan_of(),  # noqa: B008 - nobody changes it
    guards: Guards = Guards(),  # noqa: B008
    **known: Any,
) -> Any:
    """A night: the held lines, the guards with findings, the plan, the limits, and the facts of the night."""
    return pytest.param(plan, facts(**known), guards, holds, set(found.split()), id=name)


def losing(count: int, **loss: Any) -> Plan:
    """This many students with these changes, by field."""
    rows = plan_of(update=count).rows
    return Plan(rows.assign(changes=pd.Series([loss] * count)), False, False, (STUDENTS,))


OF_CONTACT = ("contact_sourced_id", "contact_email", "contact_phone", "contact_given_name", "contact_family_name")
OF_SECOND = ["g2", "Ada", "Oduya", "parent", "ada@home.example", "+1", None]
LOST = ("phone", "middle_name", "grade", "contact_sourced_id", "contact_email", "contact_phone")


def of_student(action: str) -> set[tuple[str, str]]:
    return {(STUDENTS, action)}


def of_roles(**rows: Plan) -> Plan:
    """These rows by role."""
    return Plan(pd.concat([of.rows.assign(role=role) for role, of in rows.items()]), False, False, ())


def with_teachers(count: int) -> dict[str, Any]:
    """A school with this many teachers beside its students."""
    people = {STUDENTS: 200, "teacher": count}
    return {"counts": people, "managed": people, "history": NO_HISTORY}


def changed_roles(count: int) -> dict[str, Any]:
    """This many students who become teachers."""
    rows = plan_of(update=count).rows.assign(role="teacher", person_id=range(count))
    return {"plan": Plan(rows, False, False, ()), "roles": pd.Series(STUDENTS, index=range(count))}


def lost(people: int, of: int, *more: Loss) -> dict[str, tuple[Loss, ...]]:
    """This many students were lost in two weeks, the last one now."""
    return {STUDENTS: (Loss(14, people, 1, of, all_grades=True), *more)}


NO_HISTORY = pd.DataFrame()
DELTA = SnapshotFacts(True, mode="delta")
SMALL_ROLES = (STUDENTS, "staff", "teacher")
CASES = [
    case("a quiet sync", plan=plan_of(create=1, update=1, archive=1)),
    case("incomplete", ARCHIVALS, "incomplete_snapshot", plan=plan_of(archive=1),
         snapshot=SnapshotFacts(False, problems=("page 3 is missing",))),
    case("3 contradictions", plan=plan_of(archive=1), contradictions=3),
    case("4 contradictions", ARCHIVALS, "witness", plan=plan_of(archive=1), contradictions=4),
    case("nobody was asked", ARCHIVALS, "no_witness", plan=plan_of(archive=1), unwitnessed=1),
    case("re-keyed at 20 %", rekeyed={STUDENTS: (40, 200)}),
    case("re-keyed over 20 %", ALL, "rekeyed", rekeyed={STUDENTS: (41, 200)}),
    case("two re-keyed of three", rekeyed={STUDENTS: (2, 3)}),
    case("ids of others at 20 %", reassigned={STUDENTS: (40, 200)}),
    case("ids of others over 20 %", ALL, "reassigned_ids", reassigned={STUDENTS: (41, 200)}),
    case("two ids of others, of three", reassigned={STUDENTS: (2, 3)}),
    case("ids of others in a list of changes", ALL, "reassigned_ids", reassigned={STUDENTS: (41, 200)}, snapshot=DELTA),
    case("empty", ALL, "empty_role shrunk_role", plan=plan_of(archive=9), counts={STUDENTS: 0}),
    case("empty as ever", counts={STUDENTS: 0}, managed={}, history=NO_HISTORY),
    case("no orgs", ALL, "empty_role no_orgs", counts={STUDENTS: 0}, without_org={STUDENTS: 200}, history=NO_HISTORY),
    case("shrunk by 20 %", counts={STUDENTS: 160}),
    case("shrunk by more", ALL, "shrunk_role", counts={STUDENTS: 159}),
    case("shrunk against an outlier", history=pd.DataFrame({STUDENTS: [200, 200, 900]})),
    case("20 % in two weeks", plan=plan_of(archive=1), losses=lost(50, 250)),
    case("over 20 % in two weeks", of_student("archive"), "slow_loss", plan_of(archive=1), losses=lost(51, 250)),
    case("over 20 % in two months", of_student("archive"), "slow_loss", plan_of(archive=1),
         losses=lost(9, 250, Loss(60, 51, 1, 250, all_grades=True))),
    case("over 20 % in two months, in a list of changes", of_student("archive"), "slow_loss", plan_of(archive=1),
         losses=lost(51, 250), snapshot=DELTA),
    case("a small role lost 5 of 20 in weeks", plan=plan_of(archive=1), losses=lost(5, 20)),
    case("a small role lost 6 of 20 in weeks", of_student("archive"), "slow_loss", plan_of(archive=1),
         losses=lost(6, 20)),
    case("a school of its own losses", of_student("archive"), "slow_loss", plan_of(archive=1),
         Guards(slow_loss_share=0.05), losses=lost(20, 250)),
    case("a small role lost few", counts={STUDENTS: 5}, history=pd.DataFrame({STUDENTS: [10] * 7})),
    case("a list of changes", counts={STUDENTS: 0}, snapshot=DELTA),
    case("archivals at 10 %", plan=plan_of(archive=20)),
    case("archivals over 10 %", of_student("archive"), "archivals", plan=plan_of(archive=21)),
    case(
        "5 of 20 beside a larger role that is held",
        {("teacher", "create"), *((STUDENTS, action) for action in CHANGING)}, "creations archivals small_role",
        plan=of_roles(student=plan_of(archive=5), teacher=plan_of(create=51)), history=NO_HISTORY,
        counts={STUDENTS: 20, "teacher": 251}, managed={STUDENTS: 20, "teacher": 200},
    ),
    case(
        "5 of 20 beside a smaller role that is held",
        {("staff", "create"), (STUDENTS, "archive")}, "creations archivals",
        plan=of_roles(student=plan_of(archive=5), staff=plan_of(create=4)), history=NO_HISTORY,
        counts={STUDENTS: 15, "staff": 12}, managed={STUDENTS: 20, "staff": 8},
    ),
    case(
        "2 numbers become this connection's, beside a larger held role", {("teacher", "create")}, "creations",
        plan=of_roles(student=losing(2, number=["7", "7"]), teacher=plan_of(create=51)), history=NO_HISTORY,
        counts={STUDENTS: 20, "teacher": 251}, managed={STUDENTS: 20, "teacher": 200},
    ),
    case(
        "5 each in three small roles", {(role, "archive") for role in SMALL_ROLES}, "archivals", history=NO_HISTORY,
        plan=of_roles(**dict.fromkeys(SMALL_ROLES, plan_of(archive=5))),
        counts=dict.fromkeys(SMALL_ROLES, 15), managed=dict.fromkeys(SMALL_ROLES, 20),
    ),
    case("5 of 20", plan=plan_of(archive=5), managed={STUDENTS: 20}),
    case("6 of 20", of_student("archive"), "archivals", plan=plan_of(archive=6), managed={STUDENTS: 20}),
    case("3 of 5 are replaced", of_student("create") | of_student("archive"), "creations archivals",
         plan=plan_of(create=3, archive=3), counts={STUDENTS: 5}, managed={STUDENTS: 5}, history=NO_HISTORY),
    case("500 of many", plan=plan_of(archive=500), managed={STUDENTS: 9000}),
    case("501 of many", of_student("archive"), "archive_most", plan=plan_of(archive=501), managed={STUDENTS: 9000}),
    case("creations at 25 %", plan=plan_of(create=50)),
    case("creations over 25 %", of_student("create"), "creations", plan=plan_of(create=51)),
    case("creations of a first sync", plan=plan_of(create=500), first_sync=True),
    case("creations of a new role", plan=plan_of(create=500), managed={}),
    case("restores at 25 %", plan=plan_of(restore=50)),
    case("restores over 25 %", of_student("restore"), "restores", plan=plan_of(restore=51)),
    case("restores of a first sync", plan=plan_of(restore=500), first_sync=True),
    case("restores where nobody is left", plan=plan_of(restore=500), managed={}),
    case("two restored of two", plan=plan_of(restore=2), managed={STUDENTS: 2}),
    case("a school's own restores", of_student("restore"), "restores", plan_of(restore=3), Guards(restore_share=0.01)),
    case("22 students become teachers of 10", {("teacher", "update")}, "role_changes", **changed_roles(22),
         counts={STUDENTS: 178, "teacher": 32}, managed={STUDENTS: 200, "teacher": 10}),
    case("151 students of 200 become something else", {("teacher", "update")}, "updates", **changed_roles(151),
         counts={STUDENTS: 49, "teacher": 151}, managed={STUDENTS: 200}, history=NO_HISTORY),
    case("updates at 75 %", plan=plan_of(update=150)),
    case("updates over 75 %", of_student("update"), "updates", plan=plan_of(update=151)),
    case("everybody goes up a grade", plan=losing(200, grade=["KG", "01"], source_grade=["K", "1"])),
    *(case(f"everybody goes from grade {old} to {new}", of_student("update"), "updates",
           plan=losing(200, grade=[old, new])) for old, new in (("01", "03"), (None, "01"), ("OTHER", "01"))),
    case("everybody goes up a grade and gets another phone", of_student("update"), "updates",
         plan=losing(200, grade=["01", "02"], phone=["+1", "+2"])),
    case("e-mails at 5 %", plan=plan_of(key=10)),
    case("e-mails over 5 %", of_student("update"), "key_updates", plan=plan_of(key=11)),
    case("e-mails of two teachers of ten", **with_teachers(10), plan=of_roles(
        student=plan_of(key=10), teacher=plan_of(key=2))),
    case("e-mails of two teachers beside too many of students", {*of_student("update"), ("teacher", "update")},
         "key_updates", **with_teachers(10),
         plan=of_roles(student=plan_of(key=11), teacher=plan_of(key=2))),
    case("e-mail of one teacher of many beside too many of students", of_student("update"), "key_updates",
         **with_teachers(20), plan=of_roles(student=plan_of(key=11), teacher=plan_of(key=1))),
    case("phones of 5 % gone", plan=losing(10, phone=["+1", None])),
    *(case(f"{field} over 5 % gone", of_student("update"), "key_updates", plan=losing(11, **{field: ["x", None]}))
      for field in LOST),
    *(case(f"{field} over 5 % changed", of_student("update"), "key_updates", plan=losing(11, **{field: ["x", "y"]}))
      for field in OF_CONTACT),
    *(case(f"another {field} of a second contact", of_student("update"), "key_updates", plan=losing(11, more_contacts=[
        json.dumps([OF_SECOND]), json.dumps([[*OF_SECOND[:place], "y", *OF_SECOND[place + 1 :]]])]))
      for place, field in ((1, "given name"), (2, "family name"), (4, "e-mail"), (5, "phone"))),
    case("names of contacts written otherwise", plan=losing(100, contact_family_name=["O'NEIL", "O'Neil"])),
    case("first values of contacts", plan=losing(100, contact_email=[None, "y"], contact_phone=[None, "y"])),
    case("other relationships of contacts", plan=losing(100, contact_relationship=["parent", "guardian"])),
    case("accounts of more than 5 % switched off", of_student("update"), "key_updates",
         plan=losing(11, enabled=[True, False])),
    case("accounts switched on", plan=losing(100, enabled=[False, True])),
    case("other phones", plan=losing(100, phone=["+1", "+2"])),
    case("other grades", plan=losing(100, grade=["09", "08"])),
    case("other middle names of more than 5 %", of_student("update"), "key_updates",
         plan=losing(11, middle_name=["Lee", "Kim"])),
    case("first and longer middle names", plan=of_roles(
        student=losing(50, middle_name=[None, "Kim"]), teacher=losing(50, middle_name=["K.", "Kim"])),
        **with_teachers(100)),
    case("one e-mail, and 6 values of others in all schools", of_student("update"), "key_updates", plan=plan_of(key=1),
         snapshot=replace(builders.COMPLETE, moved=6, arrivals=MANY)),
    case("one e-mail, and 5 values of others in all schools", plan=plan_of(key=1),
         snapshot=replace(builders.COMPLETE, moved=5, arrivals=MANY)),
    case("one e-mail, and 9 values of others in large schools", plan=plan_of(key=1),
         snapshot=replace(builders.COMPLETE, moved=9, arrivals={**MANY, "known": 9000})),
    case("one phone, and 6 values of others in all schools", of_student("update"), "key_updates",
         plan=losing(1, phone=["+1", "+2"]),
         snapshot=replace(builders.COMPLETE, moved=6, arrivals=MANY)),
    case("grades of people who change their role", plan=losing(11, grade=["09", None], role=["student", "teacher"])),
    case("contacts of more than 75 % because they were switched off", plan=Plan(
        losing(151, contact_sourced_id=["x", None]).rows.assign(reason="contacts_off"), False, False, (STUDENTS,))),
    case("10 of 200 without a school", without_org={STUDENTS: 10}),
    case("11 of 200 without a school", of_student("archive"), "no_orgs", without_org={STUDENTS: 11}),
    case("41 of 200 without a school", ALL, "no_orgs", without_org={STUDENTS: 41}),
    case("3 of 12 without a school", of_student("archive"), "no_orgs", without_org={STUDENTS: 3},
         counts={STUDENTS: 9}, managed={STUDENTS: 12}, history=NO_HISTORY),
    case("half missing", school=WholeSchool(known=200, missing=100)),
    case("more than half missing", ALL, "people_missing", school=WholeSchool(known=200, missing=101)),
    case("two missing of two", school=WholeSchool(known=2, missing=2)),
    case("half strangers", school=WholeSchool(came=200, strangers=100)),
    case("more strangers than people we know", ALL, "strangers", school=WholeSchool(came=200, strangers=101)),
    case("nobody but strangers on a first sync", school=WholeSchool(came=200, strangers=200), first_sync=True),
    case("40 of 200 a grade down", school=WholeSchool(graded=200, lower=40)),
    case("41 of 200 a grade down", ALL, "lower_grades", school=WholeSchool(graded=200, lower=41)),
    case("rejected at 5 %", rejected={STUDENTS: 10}),
    case("rejected over 5 %", of_student("archive"), "rejected", rejected={STUDENTS: 11}),
    case("rejected over 20 %", ALL, "rejected", rejected={STUDENTS: 41}),
    case("of unknown role over 5 %", ARCHIVALS, "rejected", rejected={"unknown": 11}),
    case("of unknown role over 20 %", ALL, "rejected", rejected={"unknown": 41}),
    case("blackout", ALL, "blackout", guards=Guards(windows=[BLACKOUT])),
    case("add only", {pair for pair in ALL if pair[1] != "create"}, "add_only", guards=Guards(windows=[ADD_ONLY])),
    case("a window of another day", guards=Guards(windows=[BLACKOUT]), today=date(2026, 2, 1)),
    case("data of an earlier day", ALL, "older_source incomplete_snapshot", plan=plan_of(create=1), snapshot=OLDER),
    case("a bundle that is the same for a week", ARCHIVALS, "source_stale", plan_of(archive=1),
         snapshot=same_for(7, bundle=True)),
    case("a bundle that is the same for six days", plan=plan_of(archive=1), snapshot=same_for(6, bundle=True)),
    case("an API without a change for two weeks", ARCHIVALS, "source_stale", plan_of(archive=1), snapshot=same_for(14)),
    case("an API without a change for a week", plan=plan_of(archive=1), snapshot=same_for(7)),
    case("a school whose SIS is quiet for long", plan=plan_of(archive=1), guards=Guards(api_unchanged_days=60),
         snapshot=same_for(40)),
    case("an old bundle that is the same is told once", ARCHIVALS, "incomplete_snapshot", plan_of(archive=1),
         snapshot=OLD),
    case("a first sync", ALL, "first_sync", plan=plan_of(create=1), awaits_approval=True),
    case("a school's own", of_student("archive"), "archivals", plan_of(archive=3), Guards(archive_share=0.01)),
]  # fmt: skip


@pytest.mark.parametrize(("plan", "sync", "limits", "holds", "guards"), CASES)
def test_what_a_guard_holds(
    plan: Plan, sync: PlanStats, limits: Guards, holds: set[tuple[str, str]], guards: set[str]
) -> None:
    verdict = judge(plan, sync, limits)
    assert held(verdict) == holds
    assert guards_of(verdict) == guards
    assert len(verdict.rows) == len(ALL)


@pytest.mark.parametrize(("known", "most"), [(0, 5), (3_000, 5), (1_000_000, 1_000)])
def test_a_city_may_have_more_values_of_others_in_a_night_than_a_village(known: int, most: int) -> None:
    assert most_moved(known, Guards()) == most


def test_only_the_guards_about_the_snapshot_itself_cannot_be_overridden() -> None:
    found = [line for each in CASES for of in judge(*each.values[:3]).rows["findings"] for line in of]
    firm = {finding["guard"] for finding in found if not finding["overridable"]}
    assert firm == {"incomplete_snapshot", "witness", "no_witness"}


def test_what_has_no_verdict_may_not_be_applied() -> None:
    verdict = judge(plan_of(create=1), facts(), Guards())
    assert builders.allows(verdict, "student", "create")
    assert not builders.allows(verdict, "student", "unheard-of")
    assert not builders.allows(Verdict(verdict.rows.iloc[:0], []), "student", "create")


def test_held_is_what_would_have_done_something() -> None:
    verdict = judge(plan_of(archive=100), facts(), Guards())
    assert [(line["role"], line["action"], line["rows"]) for line in verdict.held] == [("student", "archive", 100)]


def sync(directory: builders.Directory, users: list[dict[str, Any]], settings: SchoolSettings | None = None) -> Verdict:
    """A whole sync up to its verdict, without a second witness."""
    settings = settings or builders.school()
    told = builders.cleaned(users, settings)
    plan = directory.plan(users, settings).witnessed(None)
    found = plan_stats_of(
        plan, told.roster, told.rejected, directory.frames(), builders.COMPLETE, pd.DataFrame(), builders.TODAY
    )
    return judge(plan, found, settings.guards)


def pupils(count: int) -> builders.Directory:
    directory = builders.Directory()
    for place in range(count):
        directory.member(directory.person(f"p{place:03}"))
    return directory


def guards_of(verdict: Verdict) -> set[str]:
    return {finding["guard"] for findings in verdict.rows["findings"] for finding in findings}


def test_ids_that_change_in_bulk_hold_everything_and_archive_nobody() -> None:
    directory = pupils(10)
    users = [builders.user(f"p{i:03}") | {"sourcedId": f"new{i}"} for i in range(10)]
    assert set(directory.plan(users).rows["reason"]) == {"relinked"}
    verdict = sync(directory, users)
    assert held(verdict) == ALL
    assert guards_of(verdict) == {"rekeyed", "updates"}


def test_ids_dealt_anew_among_the_people_who_are_here_hold_everything() -> None:
    directory = pupils(10)
    users = [builders.user(f"p{(i + 1) % 10:03}") | {"sourcedId": f"p{i:03}"} for i in range(4)]
    verdict = sync(directory, [*users, *(builders.user(f"p{i:03}") for i in range(4, 10))])
    assert held(verdict) == ALL
    assert "reassigned_ids" in guards_of(verdict)


def test_ids_of_leavers_that_go_to_newcomers_hold_nothing_however_many() -> None:
    directory = pupils(10)
    for who in list(directory.members)[:6]:
        directory.members[who].update(status="archived", archived_by="sync")
    users = [builders.user(f"new{i}", email=f"{i}@example.org") | {"sourcedId": f"p{i:03}"} for i in range(6)]
    verdict = sync(directory, [*users, *(builders.user(f"p{i:03}") for i in range(6, 10))])
    assert held(verdict) == set()


def test_a_role_that_comes_back_without_orgs_is_the_snapshots_fault() -> None:
    directory = pupils(10)
    users = [builders.user(f"p{i:03}", roles=[]) for i in range(10)]
    assert {"empty_role", "no_orgs"} <= guards_of(sync(directory, users))


def test_a_role_that_nobody_rosters_is_not_judged() -> None:
    off = builders.school(students=RoleSettings())
    assert guards_of(sync(pupils(10), [], off)) == set()


def test_records_turned_away_without_a_role_count_for_the_role_of_their_person() -> None:
    directory = pupils(20)
    users = [builders.user(f"p{i:03}", status="odd" if i < 3 else "active") for i in range(20)]
    verdict = sync(directory, users)
    assert held(verdict) == {("student", "archive")}
    assert guards_of(verdict) == {"rejected"}


def test_vendor_roles_of_strangers_hold_nothing() -> None:
    directory = pupils(10)
    users = [builders.user(f"p{i:03}") for i in range(10)] + [builders.user(f"x{i}", "ext:visitor") for i in range(10)]
    assert guards_of(sync(directory, users)) == set()


def test_vendor_roles_of_people_we_know_do_count() -> None:
    directory = pupils(10)
    users = [builders.user(f"p{i:03}", roles=[builders.entry("ext:pupil" if i < 4 else "student")]) for i in range(10)]
    assert "rejected" in guards_of(sync(directory, users))


def test_removed_contacts_are_neither_updates_of_students_nor_people_who_are_missing() -> None:
    directory = pupils(10)
    users = [builders.user(f"p{i:03}") for i in range(10)]
    told = builders.cleaned(users, builders.school())
    plan = directory.plan(users).witnessed(None)
    removals = plan.rows.assign(role="contact", action="update", reason="contact_excluded", matched_by=None)
    rows = pd.concat([plan.rows, removals.astype({"matched_by": "str"})], ignore_index=True)
    both = replace(plan, rows=rows)
    found = plan_stats_of(
        both, told.roster, told.rejected, directory.frames(), builders.COMPLETE, pd.DataFrame(), builders.TODAY
    )
    assert (found.school.known, found.school.missing, found.school.came) == (10, 0, 10)
    assert held(judge(both, found, Guards())) == set()


def test_messages_of_findings_carry_counts_and_no_names() -> None:
    directory = pupils(60)
    verdict = sync(directory, [])
    text = " ".join(finding["message"] for findings in verdict.rows["findings"] for finding in findings)
    assert text
    assert "Given" not in text
    assert "p00" not in text
