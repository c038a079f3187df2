"""People who are not in the roster: grace, witnesses, and cases that only look like leaving."""

from dataclasses import replace

import pandas as pd
import pytest

from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.planning.plan import make_plan
from roster_pipeline.settings.school import ConnectionSettings, Guards
from roster_pipeline_tests.planning.builders import COMPLETE, SIS, Directory, cleaned, entry, school, tuples, user


def somebody() -> Directory:
    directory = Directory()
    directory.member(directory.person("a"))
    return directory


def test_with_grace_somebody_is_archived_after_so_many_more_complete_syncs() -> None:
    directory, patient = somebody(), school(guards=Guards(grace_syncs=2))
    reasons = []
    for _ in range(3):
        plan = directory.plan([], patient)
        reasons.append(plan.rows["reason"].iloc[0])
        directory.apply(plan)
    assert reasons == ["grace", "grace", "left"]
    assert directory.members[1]["status"] == "archived"


def test_coming_back_within_the_grace_starts_it_anew() -> None:
    directory, patient = somebody(), school(guards=Guards(grace_syncs=2))
    directory.apply(directory.plan([], patient))
    back = directory.plan([user("a")], patient)
    assert [(row.action, row.absent_syncs) for row in tuples(back.rows)] == [("unchanged", 0)]


def test_an_incomplete_snapshot_does_not_count_towards_the_grace() -> None:
    plan = somebody().plan([], school(guards=Guards(grace_syncs=2)), SnapshotFacts(complete=False))
    assert plan.rows["absent_syncs"].isna().all()


@pytest.mark.parametrize(("by", "action"), [("sync", "restore"), ("hand", "skip")])
def test_of_somebody_archived_no_absence_is_taken_back(by: str, action: str) -> None:
    directory = Directory()
    directory.member(directory.person("a"), status="archived", archived_by=by, absent_syncs=2)
    (row,) = tuples(directory.plan([user("a")]).rows)
    assert (row.action, pd.isna(row.absent_syncs)) == (action, True)


def test_in_a_list_of_changes_absence_means_nothing() -> None:
    delta = SnapshotFacts(complete=True, mode="delta")
    assert somebody().plan([], snapshot=delta).rows.empty
    assert somebody().plan([user("a", roles=[entry("student", "s2")])], snapshot=delta).rows.empty
    whole = replace(delta, whole_records=True)
    assert somebody().plan([], snapshot=whole).rows.empty
    moved = somebody().plan([user("a", roles=[entry("student", "s2")])], snapshot=whole)
    assert moved.rows[["action", "reason"]].values.tolist() == [["archive", "moved_school"]]
    marked = somebody().plan([user("a", status="tobedeleted")], snapshot=delta)
    assert list(marked.rows["action"]) == ["archive"]


def test_in_a_list_of_changes_one_deleted_record_of_two_archives_nobody() -> None:
    directory = somebody()
    directory.link(1, "b")
    delta = SnapshotFacts(complete=True, mode="delta")
    assert directory.plan([user("a", status="tobedeleted")], snapshot=delta).rows.empty


def test_somebody_whose_link_was_taken_away_is_not_archived() -> None:
    directory = somebody()
    directory.links.clear()
    (row,) = tuples(directory.plan([]).rows)
    assert (row.action, row.reason, row.sourced_ids) == ("skip", "not_linked", [])


@pytest.mark.parametrize(
    ("answers", "action", "reason", "witness"),
    [
        ({"a": "gone"}, "archive", "left", "gone"),
        ({"a": "elsewhere"}, "archive", "moved_school", "elsewhere"),
        ({"a": "here"}, "skip", "sis_still_answers", "here"),
        ({"a": "unanswered"}, "skip", "not_answered", "unanswered"),
        ({"a": "unclear"}, "skip", "not_confirmed", "unclear"),
        ({"other": "gone"}, "skip", "not_answered", "unanswered"),
        (None, "archive", "left", "unanswered"),
    ],
)
def test_only_what_the_second_witness_confirms_is_archived(
    answers: dict[str, str] | None, action: str, reason: str, witness: str
) -> None:
    row = somebody().plan([]).witnessed(answers).rows.iloc[0]
    assert (row["action"], row["reason"], row["witness"]) == (action, reason, witness)


def test_one_record_the_sis_still_answers_for_is_enough() -> None:
    directory = somebody()
    directory.link(1, "b")
    plan = directory.plan([])
    assert list(plan.absent["sourced_ids"]) == [["a", "b"]]
    assert plan.witnessed({"a": "gone", "b": "here"}).absent.empty
    assert len(plan.witnessed({"a": "gone", "b": "elsewhere"}).absent) == 1


@pytest.mark.parametrize(
    ("answers", "fate"),
    [
        ({"b": "gone"}, ("archive", "disabled", "gone")),
        ({"b": "here"}, ("skip", "sis_still_answers", "here")),
        ({"b": "unanswered"}, ("skip", "not_answered", "unanswered")),
        ({"b": "unclear"}, ("skip", "not_confirmed", "unclear")),
        (None, ("archive", "disabled", "unanswered")),
        ({}, ("archive", "disabled", None)),
    ],
)
def test_a_disabled_account_speaks_for_its_own_record_and_for_no_other(
    answers: dict[str, str] | None, fate: tuple[str, str, str | None]
) -> None:
    gone = SIS.model_copy(update={"disabled_means_gone": True})
    roster = cleaned([user("a", enabledUser=False)], connection=gone).roster
    directory = somebody()
    alone = make_plan(roster, directory.frames(), school(), COMPLETE)
    assert alone.asked == []
    assert list(alone.witnessed({}).rows["witness"]) == ["gone"]
    directory.link(1, "b")
    plan = make_plan(roster, directory.frames(), school(), COMPLETE)
    assert plan.asked == ["b"]
    row = plan.witnessed(answers).rows.astype(object).iloc[0]
    assert (row["action"], row["reason"], None if pd.isna(row["witness"]) else row["witness"]) == fate


def test_nobody_asked_is_not_a_witness() -> None:
    assert somebody().plan([]).witnessed({}).rows["witness"].isna().all()


def test_whoever_was_not_asked_for_does_not_keep_the_others_own_word_from_counting() -> None:
    directory = Directory()
    for name in "abc":
        directory.member(directory.person(name))
    strict = ConnectionSettings(url=SIS.url, disabled_means_gone=True)
    roster = cleaned([user("b", enabledUser=False), user("c")], connection=strict).roster
    told = make_plan(roster, directory.frames(), school(), COMPLETE).witnessed({}).rows.astype(object)
    witness = told.where(told.notna(), None).set_index(told["sourced_ids"].str[0])["witness"]
    assert (witness["a"], witness["b"]) == (None, "gone")


def test_the_hash_is_of_what_changes_and_of_nothing_else() -> None:
    directory = Directory()
    for name in "abc":
        directory.member(directory.person(name))
    plan = directory.plan([user("a"), user("b", givenName="New")])
    more = directory.plan([user("b", givenName="New")])
    shuffled = directory.plan([user("b", givenName="New"), user("a")])
    assert plan.hash == shuffled.hash != more.hash
    assert plan.witnessed({"c": "here"}).hash != plan.hash
    assert plan.witnessed({"c": "gone"}).hash == plan.hash
    assert Directory().plan([]).hash == somebody().plan([user("a")]).hash


def test_counts_and_reasons_are_by_role() -> None:
    directory = somebody()
    directory.member(directory.person("t", number_kind="staff"), role="teacher")
    plan = directory.plan([user("t", "teacher"), user("n")])
    assert plan.counts == {"student": {"archive": 1, "create": 1}, "teacher": {"unchanged": 1}}
    assert plan.reasons["student"] == {"archive": {"left": 1}, "create": {"joined": 1}}


def test_the_first_sync_of_a_school_waits_by_default() -> None:
    assert Directory().plan([user("a")], school(first_sync="approve")).awaits_approval
    assert not Directory().plan([user("a")]).awaits_approval
    assert not somebody().plan([user("a")], school(first_sync="approve")).awaits_approval


def test_an_empty_sync_of_an_empty_school_plans_nothing() -> None:
    plan = Directory().plan([])
    assert plan.rows.empty
    assert isinstance(plan.rows, pd.DataFrame)
    assert plan.counts == {}
