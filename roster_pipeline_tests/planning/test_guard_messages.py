"""The exact messages of the guards, and their edges, where no other test noticed a change of the code."""

from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.planning.guards import judge
from roster_pipeline.planning.plan import Plan
from roster_pipeline.planning.plan_stats import PlanStats
from roster_pipeline.planning.slow_losses import Loss
from roster_pipeline.planning.snapshot_guards import UnlikeBefore, WholeSchool
from roster_pipeline.settings.school import Guards, Window
from roster_pipeline_tests.planning.builders import TODAY
from roster_pipeline_tests.planning.test_guards import facts, plan_of

FIRM = ("incomplete_snapshot", "witness", "no_witness")
"""Guards whose findings nobody can approve."""
NOBODY = {"student": 0, "teacher": 0, "unknown": 0}
Finding = tuple[str, str, float, float]
"""guard, message, value, limit."""


def night(**known: Any) -> PlanStats:
    """A quiet night of 200 students and 20 teachers."""
    people = {"student": 200, "teacher": 20}
    usual = {"counts": people, "managed": people, "records": people | {"unknown": 0}, "rejected": NOBODY}
    return facts(**(usual | known))


def found(plan: Plan, sync: PlanStats, limits: Guards) -> list[Finding]:
    """The distinct findings of a night."""
    told: list[Finding] = []
    for findings in judge(plan, sync, limits).rows["findings"]:
        for finding in findings:
            plain = (finding["guard"], finding["message"], finding["value"], finding["limit"])
            told += [plain] if plain not in told else []
            assert finding["overridable"] == (finding["guard"] not in FIRM)
    return told


def guards_of(sync: PlanStats, limits: Guards | None = None, **rows: int) -> list[str]:
    return [guard for guard, *_ in found(plan_of(**rows), sync, limits or Guards())]


def case(
    *said: Finding, limits: Guards | None = None, rows: dict[str, int] | None = None, reason: str = "", **known: Any
) -> Any:
    plan = plan_of(**(rows or {}))
    plan = replace(plan, rows=plan.rows.assign(reason=reason)) if reason else plan
    return pytest.param(plan, night(**known), limits or Guards(), list(said), id=said[0][0])


LOST = {"known": 400, "missing": 23, "calm_known": 200, "calm_missing": 9, "unusual": 0, "large": [1]}
MOVES = {"known": 2000, "mixed_up": 0, "slipped": False, "emptied": 0, "joining": 0, "with": 0, "schools": 0}
NEW_IDS = "came with a new id while number, e-mail or name still match."
CONFLICTS = (
    "are conflicts, which no approval links. If their numbers are new too, let the connection take numbers from a "
    "field that nobody has, and sync again."
)
INCOMPLETE, WINDOW = "The list from the SIS is not complete: ", {"first": TODAY, "last": date(2026, 3, 9)}
SAID = [
    case(("incomplete_snapshot", f"{INCOMPLETE}a page is missing; totals drift. So nobody is archived.", 1, 0),
         snapshot=SnapshotFacts(complete=False, problems=("a page is missing", "totals drift"))),
    case(("incomplete_snapshot", f"{INCOMPLETE}no proof that everything was fetched. So nobody is archived.", 1, 0),
         snapshot=SnapshotFacts(complete=False)),
    case(("first_sync", "This is the school's first sync; look at its plan and approve it.", 1, 0),
         awaits_approval=True),
    case(("witness", "The list left out 4 people for whom the SIS still answers one by one; 3 are allowed. "
                     "The lists of the SIS cannot be trusted now.", 4, 3), contradictions=4),
    case(("no_witness", "The SIS was not asked for 2 people one by one.", 2, 0), unwitnessed=2),
    case(("missing_elsewhere", "The schools of this connection together lack 23 of 400 people: 5.8 %. So the "
                               "people who are missing here may be missing by mistake too.", 23 / 400, 0.1),
         snapshot=SnapshotFacts(complete=True, bundle=True, school_id=2, losses=LOST), rows={"archive": 9}),
    case(("wrong_schools", "In the schools of this connection, 21 of 2,000 people would change places or come to "
                           "several schools at once: 1.1 %. Does the SIS mix up their schools?", 21 / 2000, 0.01),
         snapshot=SnapshotFacts(True, arrivals=MOVES | {"mixed_up": 21}), rows={"archive": 1}, reason="moved_school"),
    case(("wrong_schools", "2 schools of this connection would lose most of their people to other schools. Does the "
                           "SIS mix up their schools?", 2, 1),
         snapshot=SnapshotFacts(True, arrivals=MOVES | {"emptied": 2}), rows={"create": 1}, reason="joined_school"),
    case(("wrong_schools", "26 students whom nobody knows would join 2 schools of this connection, which have 200 "
                           "students, and they are not one class. Are they of another district?", 0.13, 0.125),
         snapshot=SnapshotFacts(True, arrivals=MOVES | {"joining": 26, "with": 200, "schools": 2}),
         rows={"create": 3}, reason="joined"),
    case(("part_missing", "2 teachers who would be archived stood in a part of an earlier file from which nobody came "
                          "since. The new file may lack this part.", 2, 0),
         missing_part={"teacher": 2}),
    case(("never_listed", "1 teacher who would be archived came from an earlier address or School ID, and the present "
                          "one never had them. Is it a test system, or an old copy?", 1, 0),
         never_listed={"teacher": 1}),
    case(("rekeyed", "50 of 200 known students came with a new id while number, e-mail or name still match. "
                     "If the SIS changed its ids, approve to link the new ones.", 0.25, 0.2),
         rekeyed={"student": (50, 200)}),
    case(("rekeyed", f"50 of 200 known students {NEW_IDS} If the SIS changed its ids, approve to link the new ones. "
                     f"2 of them {CONFLICTS}", 0.25, 0.2),
         rekeyed={"student": (50, 200)}, conflicting={"student": 2}),
    case(("rekeyed", f"50 of 200 known students {NEW_IDS} All of them {CONFLICTS}", 0.25, 0.2),
         rekeyed={"student": (50, 200)}, conflicting={"student": 50}),
    case(("reassigned_ids", "50 of 200 known students have an id that is somebody else's now. "
                            "If the SIS gave out its ids again, its data about the others may be wrong too.",
          0.25, 0.2),
         reassigned={"student": (50, 200)}),
    case(("empty_role", "The directory has 20 teachers, and none came. Check what the SIS shares with us.", 0, 20),
         ("no_orgs", "18 of 20 teachers in the directory came without any school.", 0.9, 0.2),
         counts={"student": 200, "teacher": 0}, without_org={"teacher": 18}),
    case(("shrunk_role", "120 students came, 200 are usual: 40 % fewer.", 0.4, 0.2),
         counts={"student": 120, "teacher": 20}),
    case(("slow_loss", "60 of 250 students would have been archived within 14 days, 3 of them now: 24 %.", 0.24, 0.2),
         rows={"archive": 3}, losses={"student": (Loss(14, 60, 3, 250, True), Loss(60, 90, 3, 250, True))}),
    case(("slow_loss", "60 of 200 students below the highest grade would have been archived within 60 days, 3 of them "
                       "now: 30 %.", 0.3, 0.2),
         rows={"archive": 3}, losses={"student": (Loss(14, 50, 3, 250, True), Loss(60, 60, 3, 200, False))}),
    case(("rejected", "20 student records could not be used, of 200: 10 %.", 0.1, 0.05),
         rejected=NOBODY | {"student": 20}),
    case(("rejected", "5 teacher records could not be used, of 20: 25 %.", 0.25, 0.2),
         rejected=NOBODY | {"teacher": 5}),
    case(("rejected", "22 records whose role is not known could not be used, of 220: 10 %.", 0.1, 0.05),
         rejected=NOBODY | {"unknown": 22}),
    case(("archivals", "50 of 200 students would be archived: 25 %.", 0.25, 0.1), rows={"archive": 50}),
    case(("archive_most", "11 students would be archived; never more than 10 in one sync.", 11, 10),
         rows={"archive": 11}, limits=Guards(archive_most=10)),
    case(("creations", "100 students would be created, with 200 in the directory: 50 %.", 0.5, 0.25),
         rows={"create": 100}),
    case(("creations", "500 students would be created, with 200 in the directory.", 2.5, 0.25), rows={"create": 500}),
    case(("people_missing", "200 of the 220 people we know here did not come: 91 %. Is this still the same school?",
          200 / 220, 0.5),
         ("strangers", "190 of the 200 people who came are new to this school: 95 %. Is this still the same school?",
          0.95, 0.5),
         ("lower_grades", "50 of 200 students would go down in grade: 25 %. Is this an old file?", 0.25, 0.2),
         school=WholeSchool(known=220, missing=200, came=200, strangers=190, graded=200, lower=50)),
    case(("unlike_before", "The connection sent 90 records, 300 are usual. Check what the SIS shares with us.",
          0.3, 0.5),
         ("unlike_before", "The SIS no longer answers for single people, so the second witness is missing.", 1, 0),
         unlike=UnlikeBefore(records=90, usual=300, single_users_gone=True)),
    case(("restores", "100 students would be restored, with 200 in the directory: 50 %.", 0.5, 0.25),
         rows={"restore": 100}),
    case(("updates", "160 students would change, with 200 in the directory: 80 %.", 0.8, 0.75), rows={"update": 160}),
    case(("key_updates", "20 students would get another e-mail, number, username, name or contact, "
                         "or other data of a contact, or lose a value or the right to log in, "
                         "with 200 in the directory: 10 %.", 0.1, 0.05), rows={"key": 20}),
    case(("blackout", "Nothing is changed until Mon 9 Mar 2026, by the school's calendar.", 1, 0),
         limits=Guards(windows=[Window(kind="blackout", **WINDOW)])),
    case(("add_only", "People are only added until Mon 9 Mar 2026, by the school's calendar.", 1, 0),
         limits=Guards(windows=[Window(kind="add_only", **WINDOW)])),
]  # fmt: skip


@pytest.mark.parametrize(("plan", "sync", "limits", "said"), SAID)
def test_a_finding_tells_the_owner_what_was_found_how_much_and_the_limit(
    plan: Plan, sync: PlanStats, limits: Guards, said: list[Finding]
) -> None:
    assert found(plan, sync, limits) == said


def test_a_role_of_fifty_is_large_and_one_of_forty_nine_is_small() -> None:
    small = Guards(archive_always_allowed=20)
    for usual, shrunk, archived in ((49, [], []), (50, ["shrunk_role"], ["archivals"])):
        sync = night(history=pd.DataFrame({"student": [usual]}), counts={"student": usual - 15})
        assert guards_of(sync, small) == shrunk
        assert guards_of(night(managed={"student": usual}), small, archive=15) == archived


def test_a_large_role_that_lost_a_few_more_than_its_share_is_held_although_few_are_always_allowed() -> None:
    large = night(history=pd.DataFrame({"student": [60]}), counts={"student": 47})
    assert guards_of(large, Guards(archive_always_allowed=20)) == ["shrunk_role"]
    assert guards_of(night(history=pd.DataFrame({"student": [40]}), counts={"student": 30})) == ["shrunk_role"]


def test_exactly_the_share_of_rejected_records_is_not_beyond_it() -> None:
    ((_, _, _, limit),) = found(plan_of(), night(rejected=NOBODY | {"student": 40}), Guards())
    assert limit == Guards().rejected_share_archive


def test_two_rejected_records_or_two_changes_are_no_share_and_three_are() -> None:
    few = {"records": NOBODY | {"student": 4}, "managed": {"student": 4}}
    for count, rejected, created in ((2, [], []), (3, ["rejected"], ["creations"])):
        assert guards_of(night(rejected=NOBODY | {"student": count}, **few)) == rejected
        assert guards_of(night(**few), create=count) == created


def test_the_verdict_counts_the_rows_of_each_kind_and_none_where_there_is_none() -> None:
    rows = judge(plan_of(create=3), night(), Guards()).rows.set_index(["role", "action"])["rows"]
    assert rows["student", "create"] == 3
    assert rows.drop(("student", "create")).tolist() == [0] * (len(rows) - 1)
