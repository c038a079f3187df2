"""An unlinked record stays another person, whatever values agree."""

from typing import Any

import pandas as pd
import pytest

from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.planning.plan_stats import plan_stats_of
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline_tests.planning.builders import COMPLETE, TODAY, Directory, cleaned, school, tuples, user

ANN: dict[str, Any] = {"givenName": "Ann", "familyName": "Lee"}
BO: dict[str, Any] = {"givenName": "Bo", "familyName": "Lee"}
PERSON = {"given_name": "Ann", "family_name": "Lee"}
MAIL = "home@example.org"
ONE_NUMBER = {"identifier": "7"}
AGREEING: list[dict[str, Any]] = [
    {**ANN, **ONE_NUMBER},
    {"givenName": "Ann", "familyName": "Ray", **ONE_NUMBER},
    {**ANN, "identifier": None, "email": MAIL},
    {**ANN, **ONE_NUMBER, "email": MAIL},
]
"""Records that the rules would match to Ann, by number, by e-mail or by both."""


def told(directory: Directory, *users: dict[str, Any], settings: SchoolSettings | None = None) -> list[tuple[Any, ...]]:
    """This sync's plan: person, action, reason, records and new links of each row."""
    rows = directory.plan(list(users), settings).rows.astype(object)
    rows = rows.where(rows.notna(), None)
    names = ["person_id", "action", "reason", "sourced_ids", "new_links"]
    return [tuple(row) for row in rows[names].itertuples(index=False)]


def ann(*others: str, mail: str | None = MAIL) -> Directory:
    """Ann, person 1, with the record `ann` and these others, which somebody then unlinked."""
    directory = Directory()
    who = directory.member(directory.person("ann", number="7", email=mail, **PERSON))
    for other in others:
        directory.link(who, other)
        directory.unlink(who, other)
    return directory


@pytest.mark.parametrize("record", AGREEING)
def test_a_record_unlinked_from_the_only_matching_person_is_somebody_new(record: dict[str, Any]) -> None:
    directory = Directory()
    who = directory.member(directory.person("x", number="7", email=MAIL, **PERSON))
    directory.unlink(who, "x")
    other = user("x", **record)
    assert told(directory, other) == [(None, "create", "joined", ["x"], ["x"]), (1, "skip", "not_linked", [], [])]
    directory.apply(directory.plan([other]))
    assert [row[:3] for row in told(directory, other)] == [(2, "unchanged", "equal"), (1, "skip", "not_linked")]


@pytest.mark.parametrize("record", AGREEING)
def test_it_is_taken_from_the_human_that_cleaning_made_of_it_and_the_persons_own_record(record: dict[str, Any]) -> None:
    directory = ann("x")
    users = [user("ann", **ANN, **ONE_NUMBER, email=MAIL), user("x", **record)]
    assert set(cleaned(users).roster["identity"]) == {0}
    assert told(directory, *users) == [(1, "unchanged", "equal", ["ann"], []), (None, "create", "joined", ["x"], ["x"])]
    directory.apply(directory.plan(users))
    assert [row[:3] for row in told(directory, *users)] == [(1, "unchanged", "equal"), (2, "unchanged", "equal")]


@pytest.mark.parametrize("number", [ONE_NUMBER["identifier"], "00" + ONE_NUMBER["identifier"]])
def test_two_with_one_number_and_no_common_name_are_not_a_conflict_once_unlinked(number: str) -> None:
    cy = {"givenName": "Cy", "familyName": "Ray", "identifier": number}
    users = [user("ann", **ANN, **ONE_NUMBER, email=MAIL), user("x", **cy)]
    assert [row[2] for row in told(Directory(), *users)] == ["number_shared"] * 2
    directory = ann("x")
    assert [row[:3] for row in told(directory, *users)] == [(1, "unchanged", "equal"), (None, "create", "joined")]
    directory.apply(directory.plan(users))
    assert [row[:3] for row in told(directory, *users)] == [(1, "unchanged", "equal"), (2, "unchanged", "equal")]


def test_a_third_with_their_number_is_a_conflict_for_all_who_are_not_unlinked_from_it() -> None:
    users = [user(name, givenName=name, familyName=name, **ONE_NUMBER) for name in ("ann", "x", "z")]
    assert [row[2] for row in told(ann("x"), *users)] == ["number_shared"] * 3
    assert [row[2] for row in told(ann("x", "z"), *users)] == ["changed", "number_shared", "number_shared"]


def test_a_record_of_either_of_two_people_waits_until_somebody_links_it() -> None:
    directory = ann("x")
    users = [user(name, **ANN, **ONE_NUMBER, email=MAIL) for name in ("ann", "new", "x")]
    waits = (None, "conflict", "several_matches", ["new"])
    for other in ((None, "create", "joined"), (2, "unchanged", "equal")):
        rows = [row[:4] for row in told(directory, *users)]
        assert rows == [(1, "unchanged", "equal", ["ann"]), waits, (*other, ["x"])]
        directory.apply(directory.plan(users))
    directory.link(2, "new")
    rows = [row[:4] for row in told(directory, *users)]
    assert rows == [(1, "unchanged", "equal", ["ann"]), (2, "unchanged", "equal", ["x", "new"])]


def test_records_of_one_human_stay_together_if_none_belongs_to_the_excluded_person() -> None:
    users = [user("ann", **ANN, **ONE_NUMBER), *(user(name, **ANN, identifier="8") for name in ("x", "y"))]
    assert [row[0::3] for row in told(ann("x"), *users)] == [(1, ["ann"]), (None, ["x", "y"])]


def test_records_of_one_person_stay_one_identity_when_one_is_unlinked_from_another_person() -> None:
    directory = ann("x")
    who = directory.member(directory.person("x", number="7", **PERSON))
    directory.link(who, "y")
    users = [user(name, **ANN, **ONE_NUMBER) for name in ("ann", "x", "y")]
    users.append(user("z", **ANN, identifier="8"))
    directory.link(who, "z")
    directory.people[who]["number"] = "8"
    users.append(user("zz", **ANN, identifier="8"))
    assert [(row[0], *row[3:]) for row in told(directory, *users)] == [
        (1, ["ann"], []),
        (2, ["x", "y", "z", "zz"], ["zz"]),
    ]


def test_it_may_be_anybody_else() -> None:
    directory = Directory()
    first = directory.person("x", number="7", **PERSON)
    directory.unlink(first, "x")
    directory.person(number="7", **PERSON)
    assert told(directory, user("x", **ANN, **ONE_NUMBER)) == [(2, "create", "joined_school", ["x"], ["x"])]


@pytest.mark.parametrize(("here", "gone"), [("x", 1), ("ann", 2)])
def test_neither_of_two_unlinked_people_keeps_the_other_from_being_archived(here: str, gone: int) -> None:
    directory = ann("x")
    directory.member(directory.person("x", number="7", email=MAIL, **PERSON))
    rows = told(directory, user(here, **ANN, **ONE_NUMBER, email=MAIL))
    assert [row[1:3] for row in rows if row[0] == gone] == [("archive", "left")]
    directory.exclusions.clear()
    rows = told(directory, user(here, **ANN, **ONE_NUMBER, email=MAIL))
    assert [row[1:3] for row in rows if row[0] == gone] == [("skip", "in_conflict")]


def test_another_record_of_their_number_still_spares_them() -> None:
    directory = ann("x")
    rows = told(directory, user("x", **ANN, **ONE_NUMBER), user("z", givenName="Q", familyName="Q", **ONE_NUMBER))
    assert (1, "skip", "in_conflict") in [row[:3] for row in rows]


def test_somebody_else_with_another_id_is_not_a_sign_of_new_ids() -> None:
    directory = ann("x")
    plan = directory.plan([user("x", **ANN, **ONE_NUMBER)])
    roster = cleaned([user("x", **ANN, **ONE_NUMBER)])
    facts = plan_stats_of(plan, roster.roster, roster.rejected, directory.frames(), COMPLETE, pd.DataFrame(), TODAY)
    assert facts.rekeyed["student"] == (0, 0)


@pytest.mark.parametrize("mode", ["full", "school", "delta"])
def test_a_link_counts_more_than_an_exclusion(mode: Any) -> None:
    directory = ann("x")
    directory.link(1, "x")
    users = [user(name, **ANN, **ONE_NUMBER, email=MAIL) for name in ("ann", "new", "x")]
    (row,) = tuples(directory.plan(users, school(), SnapshotFacts(complete=True, mode=mode)).rows)
    assert (row.person_id, row.sourced_ids, row.new_links) == (1, ["ann", "new", "x"], ["new"])


def test_what_was_said_of_records_that_did_not_come_says_nothing_of_others() -> None:
    directory = ann("x")
    users = [user(name, **ANN, **ONE_NUMBER, email=MAIL) for name in ("ann", "other")]
    assert told(directory, *users) == [(1, "update", "relinked", ["ann", "other"], ["other"])]
    assert told(directory) == [(1, "archive", "left", ["ann"], [])]


def test_everybody_else_of_the_sync_stays_a_human_of_their_own() -> None:
    directory = ann("x")
    users = [user("ann", **ANN, **ONE_NUMBER, email=MAIL), user("x", **ANN, **ONE_NUMBER), user("y"), user("z")]
    assert [(row[1], row[3]) for row in told(directory, *users)] == [
        ("unchanged", ["ann"]), ("create", ["x"]), ("create", ["y"]), ("create", ["z"]),
    ]  # fmt: skip


def test_a_record_that_is_nobodys_tells_no_two_people_apart() -> None:
    directory = ann()
    bo = directory.member(directory.person("bo", number="8", given_name="Bo", family_name="Ray"))
    directory.link(bo, "left")
    directory.unlink(bo, "left")
    taken = user("bo", givenName="Bo", familyName="Ray", **ONE_NUMBER)
    assert [row[1:3] for row in told(directory, taken) if row[0] == 1] == [("skip", "in_conflict")]
