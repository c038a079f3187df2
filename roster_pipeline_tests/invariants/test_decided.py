"""What the guards say, number for number, and their edges: where a change of the code was noticed by no test."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.planning.guards import judge
from roster_pipeline.planning.plan import Plan
from roster_pipeline.planning.plan_stats import PlanStats
from roster_pipeline.planning.snapshot_guards import UnlikeBefore, WholeSchool
from roster_pipeline.settings.school import Guards, Window
from roster_pipeline_tests.planning.builders import plan_to_judge

TODAY = date(2026, 3, 2)
LIMITS = Guards()
NAMES = ("guard", "message", "value", "limit", "overridable")


def plan_of(*, role: str = "student", keyed: int = 0, **rows: int) -> Plan:
    """So many rows of each action; `keyed` are updates of an e-mail."""
    counts = {(role, action): count for action, count in rows.items()}
    return plan_to_judge(counts, ("student", "teacher"), (role, keyed))


def night(**known: Any) -> PlanStats:
    """A quiet night of 200 students and 20 teachers."""
    usual = PlanStats(
        snapshot=SnapshotFacts(complete=True),
        history=pd.DataFrame({"student": [200] * 7}),
        counts={"student": 200, "teacher": 20},
        managed={"student": 200, "teacher": 20},
        records={"student": 200, "teacher": 20, "unknown": 0},
        rejected={"student": 0, "teacher": 0, "unknown": 0},
        contradictions=0,
        today=TODAY,
        first_sync=False,
        rekeyed={},
    )
    return replace(usual, **known)


def found(plan: Plan, facts: PlanStats, limits: Guards = LIMITS) -> list[dict[str, Any]]:
    """The distinct findings of a night."""
    told: list[dict[str, Any]] = []
    for findings in judge(plan, facts, limits).rows["findings"]:
        plain = [{name: finding[name] for name in NAMES} for finding in findings]
        told += [finding for finding in plain if finding not in told]
    return told


def finding(guard: str, message: str, value: float, limit: float, *, overridable: bool = True) -> dict[str, Any]:
    """A finding as it is stored."""
    return {"guard": guard, "message": message, "value": value, "limit": limit, "overridable": overridable}


QUIET = plan_of()
UNTIL = date(2026, 3, 9)
SAID: list[tuple[Plan, PlanStats, Guards, list[dict[str, Any]]]] = [
    (
        QUIET,
        night(snapshot=SnapshotFacts(complete=False, problems=("a page is missing", "totals drift"))),
        LIMITS,
        [
            finding(
                "incomplete_snapshot",
                "The snapshot is not complete: a page is missing; totals drift. So nobody is archived.",
                1, 0, overridable=False,
            )
        ],
    ),
    (
        QUIET,
        night(snapshot=SnapshotFacts(complete=False)),
        LIMITS,
        [
            finding(
                "incomplete_snapshot",
                "The snapshot is not complete: no proof that everything was fetched. So nobody is archived.",
                1, 0, overridable=False,
            )
        ],
    ),
    (
        QUIET,
        night(awaits_approval=True),
        LIMITS,
        [finding("first_sync", "This is the school's first sync; look at its plan and approve it.", 1, 0)],
    ),
    (
        QUIET,
        night(contradictions=4),
        LIMITS,
        [
            finding(
                "witness",
                "The list left out 4 people for whom the SIS still answers one by one; 3 are allowed. "
                "The lists of the SIS cannot be trusted now.",
                4, 3, overridable=False,
            )
        ],
    ),
    (
        QUIET,
        night(unwitnessed=2),
        LIMITS,
        [finding("no_witness", "The SIS was not asked for 2 people one by one.", 2, 0, overridable=False)],
    ),
    (
        QUIET,
        night(rekeyed={"student": (50, 200)}),
        LIMITS,
        [
            finding(
                "rekeyed",
                "50 of 200 known students came with a new id while number or e-mail still match. "
                "If the SIS changed its ids, approve to link the new ones.",
                0.25, 0.2,
            )
        ],
    ),
    (
        QUIET,
        night(reassigned={"student": (50, 200)}),
        LIMITS,
        [
            finding(
                "reassigned_ids",
                "50 of 200 known students have an id that is somebody else's now. "
                "If the SIS gave out its ids again, its data about the others may be wrong too.",
                0.25, 0.2,
            )
        ],
    ),
    (
        QUIET,
        night(counts={"student": 200, "teacher": 0}, without_org={"teacher": 18}),
        LIMITS,
        [
            finding(
                "empty_role",
                "The directory has 20 teachers, and none came. Check what the SIS shares with us.",
                0, 20,
            ),
            finding("no_orgs", "18 of 20 teachers in the directory came without any school.", 0.9, 0.2),
        ],
    ),
    (
        QUIET,
        night(counts={"student": 120, "teacher": 20}),
        LIMITS,
        [finding("shrunk_role", "120 students came, 200 are usual: 40 % fewer.", 0.4, 0.2)],
    ),
    (
        QUIET,
        night(rejected={"student": 20, "teacher": 0, "unknown": 0}),
        LIMITS,
        [finding("rejected", "20 student records could not be used, of 200: 10 %.", 0.1, 0.05)],
    ),
    (
        QUIET,
        night(rejected={"student": 0, "teacher": 5, "unknown": 0}),
        LIMITS,
        [finding("rejected", "5 teacher records could not be used, of 20: 25 %.", 0.25, 0.2)],
    ),
    (
        QUIET,
        night(rejected={"student": 0, "teacher": 0, "unknown": 22}),
        LIMITS,
        [finding("rejected", "22 records whose role is not known could not be used, of 220: 10 %.", 0.1, 0.05)],
    ),
    (
        plan_of(archive=50),
        night(),
        LIMITS,
        [finding("archivals", "50 of 200 students would be archived: 25 %.", 0.25, 0.1)],
    ),
    (
        plan_of(archive=11),
        night(),
        Guards(archive_most=10),
        [
            finding("archive_most", "11 students would be archived; never more than 10 in one sync.", 11, 10),
        ],
    ),
    (
        plan_of(create=100),
        night(),
        LIMITS,
        [finding("creations", "100 students would be created, with 200 in the directory: 50 %.", 0.5, 0.25)],
    ),
    (
        plan_of(create=500),
        night(),
        LIMITS,
        [finding("creations", "500 students would be created, with 200 in the directory.", 2.5, 0.25)],
    ),
    (
        QUIET,
        night(school=WholeSchool(known=220, missing=200, came=200, strangers=190, graded=200, lower=50)),
        LIMITS,
        [
            finding(
                "people_missing",
                "200 of the 220 people we know here did not come: 91 %. Is this still the same school?",
                200 / 220, 0.5,
            ),
            finding(
                "strangers",
                "190 of the 200 people who came are new to this school: 95 %. Is this still the same school?",
                0.95, 0.5,
            ),
            finding(
                "lower_grades",
                "50 of 200 students would go down in grade: 25 %. Is this an old file?",
                0.25, 0.2,
            ),
        ],
    ),
    (
        QUIET,
        night(unlike=UnlikeBefore(records=90, usual=300, single_users_gone=True)),
        LIMITS,
        [
            finding(
                "unlike_before",
                "The connection sent 90 records, 300 are usual. Check what the SIS shares with us.",
                0.3, 0.5,
            ),
            finding(
                "unlike_before",
                "The SIS no longer answers for single people, so the second witness is missing.",
                1, 0,
            ),
        ],
    ),
    (
        plan_of(restore=100),
        night(),
        LIMITS,
        [finding("restores", "100 students would be restored, with 200 in the directory: 50 %.", 0.5, 0.25)],
    ),
    (
        plan_of(update=160),
        night(),
        LIMITS,
        [finding("updates", "160 students would change, with 200 in the directory: 80 %.", 0.8, 0.75)],
    ),
    (
        plan_of(keyed=20),
        night(),
        LIMITS,
        [
            finding(
                "key_updates",
                "20 students would get another e-mail, number, username, name or contact, "
                "with 200 in the directory: 10 %.",
                0.1, 0.05,
            )
        ],
    ),
    (
        QUIET,
        night(),
        Guards(windows=[Window(first=TODAY, last=UNTIL, kind="blackout")]),
        [finding("blackout", "Nothing is changed until Mon 9 Mar 2026, by the school's calendar.", 1, 0)],
    ),
    (
        QUIET,
        night(),
        Guards(windows=[Window(first=TODAY, last=UNTIL, kind="add_only")]),
        [finding("add_only", "People are only added until Mon 9 Mar 2026, by the school's calendar.", 1, 0)],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "facts", "limits", "said"), SAID, ids=[f"{n} {said[0]['guard']}" for n, (*_, said) in enumerate(SAID)]
)
def test_a_finding_tells_the_owner_what_was_found_how_much_and_the_limit(
    plan: Plan, facts: PlanStats, limits: Guards, said: list[dict[str, Any]]
) -> None:
    assert found(plan, facts, limits) == said


def test_a_role_of_fifty_is_large_and_one_of_forty_nine_is_small() -> None:
    small = Guards(archive_always_allowed=20)
    for usual, guards in ((49, set()), (50, {"shrunk_role"})):
        facts = night(history=pd.DataFrame({"student": [usual]}), counts={"student": usual - 15})
        assert {each["guard"] for each in found(QUIET, facts, small)} == guards
    for there, guards in ((49, set()), (50, {"archivals"})):
        told = found(plan_of(archive=15), night(managed={"student": there}), small)
        assert {each["guard"] for each in told} == guards


def test_a_large_role_that_lost_a_few_more_than_its_share_is_held_although_few_are_always_allowed() -> None:
    facts = night(history=pd.DataFrame({"student": [60]}), counts={"student": 47})
    assert [each["guard"] for each in found(QUIET, facts, Guards(archive_always_allowed=20))] == ["shrunk_role"]
    small = night(history=pd.DataFrame({"student": [40]}), counts={"student": 30})
    assert [each["guard"] for each in found(QUIET, small)] == ["shrunk_role"]


def test_exactly_the_share_of_rejected_records_is_not_beyond_it() -> None:
    facts = night(rejected={"student": 40, "teacher": 0, "unknown": 0})
    assert [each["limit"] for each in found(QUIET, facts)] == [LIMITS.rejected_share_archive]


def test_two_rejected_records_or_two_changes_are_no_share_and_three_are() -> None:
    few = {"records": {"student": 4, "teacher": 0, "unknown": 0}, "managed": {"student": 4}}
    for bad, guards in ((2, []), (3, ["rejected"])):
        facts = night(rejected={"student": bad, "teacher": 0, "unknown": 0}, **few)
        assert [each["guard"] for each in found(QUIET, facts)] == guards
    for new, guards in ((2, []), (3, ["creations"])):
        assert [each["guard"] for each in found(plan_of(create=new), night(**few))] == guards


def test_the_verdict_counts_the_rows_of_each_kind_and_none_where_there_is_none() -> None:
    rows = judge(plan_of(create=3), night(), LIMITS).rows.set_index(["role", "action"])["rows"]
    assert rows["student", "create"] == 3
    assert rows.drop(("student", "create")).tolist() == [0] * (len(rows) - 1)
