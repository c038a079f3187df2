"""The primary record: trust decides it, not the order in which records came."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.frames import REJECTED_COLUMNS
from roster_pipeline.planning.guards import judge
from roster_pipeline.planning.plan import make_plan
from roster_pipeline.planning.plan_stats import plan_stats_of
from roster_pipeline.settings.school import Guards, RoleSettings
from roster_pipeline_tests.planning.builders import (
    COMPLETE,
    CONNECTION,
    TODAY,
    Directory,
    allows,
    cleaned,
    entry,
    school,
    user,
)

OTHER = 2
HERE = {"givenName": "Here", "familyName": "Familya", "identifier": "1"}


def two_links(
    *,
    here_first: bool = False,
    here: bool = False,
    there: bool = False,
    ranks: tuple[int | None, int | None] = (None, None),
    since: int | None = 1,
    member: bool = True,
    chosen: int | None = None,
) -> Directory:
    """A person with links of this sync's connection and another one, a member here since 100.

    here_first: whether this link is older, and so the primary record. here, there: whether the connection is the
    district's. since: when they joined there; None if they left. chosen: the connection whose record somebody chose as
    primary.
    """
    directory = Directory()
    for connection, of_district, rank in ((CONNECTION, here, ranks[0]), (OTHER, there, ranks[1])):
        directory.connection(connection, of_district=of_district, rank=rank)
    who = directory.person(number="1", given_name="Known", family_name="Familya")
    for connection in (CONNECTION, OTHER) if here_first else (OTHER, CONNECTION):
        directory.link(who, "a" if connection == CONNECTION else "far", connection, by_hand=connection == chosen)
    directory.elsewhere(who, OTHER, since)
    if member:
        directory.member(who)
    return directory


def outcome(directory: Directory, **says: Any) -> tuple[str, Any, Any]:
    """Reason, the move of the primary record, and the given name that the plan writes."""
    row = directory.plan([user("a") | HERE | says]).rows.iloc[0]
    return row["reason"], row["changes"].get("primary_record"), row["changes"].get("given_name", [None, None])[1]


ARRIVES = ("primary_record_moved", ["far", "a"], "Here")
STAYS = ("equal", None, None)
OWN = ("changed", None, "Here")
RANKED: list[tuple[str, dict[str, Any], tuple[str, Any, Any]]] = [
    ("the other one has them longer", {}, STAYS),
    ("this one has them longer", {"since": 200}, ARRIVES),
    ("this one has them longer and is the primary record", {"since": 200, "here_first": True}, OWN),
    ("the other one has them longer, this one is the primary record", {"here_first": True}, STAYS),
    ("this one is the district's", {"here": True}, ARRIVES),
    ("the other one is the district's", {"there": True, "since": 200}, STAYS),
    (
        "the other one is the district's, this one is the primary record",
        {"there": True, "since": 200, "here_first": True},
        STAYS,
    ),
    ("both are the district's", {"here": True, "there": True}, STAYS),
    ("the district ranks this one", {"there": True, "ranks": (1, None)}, ARRIVES),
    ("the district ranks this one before the other", {"there": True, "ranks": (1, 2)}, ARRIVES),
    ("the district ranks the other one before this", {"here": True, "ranks": (2, 1)}, STAYS),
    ("they left the other one, the district's", {"there": True, "since": None}, ARRIVES),
    ("somebody chose this one", {"there": True, "chosen": CONNECTION}, OWN),
    ("somebody chose the other one", {"here": True, "chosen": OTHER}, STAYS),
    ("somebody chose the other one, and they left it", {"here": True, "chosen": OTHER, "since": None}, ARRIVES),
]


@pytest.mark.parametrize(("what", "known", "wanted"), RANKED, ids=[case[0] for case in RANKED])
def test_a_persons_fields_follow_the_connection_that_ranks_first(
    what: str, known: dict[str, Any], wanted: tuple[str, Any, Any]
) -> None:
    directory = two_links(**known)
    assert outcome(directory) == wanted
    plan = directory.plan([user("a") | HERE])
    directory.apply(plan)
    assert outcome(directory)[0] == "equal", "and the sync after nothing moves"
    assert [link["is_primary"] for link in directory.links].count(True) == 1


def test_a_primary_record_that_was_chosen_by_hand_is_still_chosen_after_a_new_id() -> None:
    directory = two_links(there=True, chosen=CONNECTION)
    rekeyed = user("b") | HERE | {"givenName": "Known"}
    assert directory.plan([rekeyed]).rows["changes"].iloc[0]["primary_record"] == ["a", "b"]
    directory.apply(directory.plan([rekeyed]))
    assert [link["sourced_id"] for link in directory.links if link["primary_by_hand"]] == ["b"]


def test_who_joins_or_comes_back_moves_the_primary_record_only_where_this_connection_ranks_first() -> None:
    for known, moves in (({}, False), ({"here": True}, True), ({"since": None}, True)):
        directory = two_links(member=False, **known)
        reason, primary, _ = outcome(directory)
        assert (reason, bool(primary)) == ("joined_school", moves)
        directory.member(1, status="archived")
        reason, primary, _ = outcome(directory)
        assert (reason, bool(primary)) == ("returned", moves)


def test_with_auto_update_off_the_primary_record_moves_and_no_field_does() -> None:
    directory = two_links(here=True)
    quiet = school(students=RoleSettings(rostered=True))
    row = directory.plan([user("a") | HERE], quiet).rows.iloc[0]
    assert (row["action"], row["reason"], row["changes"]) == (
        "update",
        "primary_record_moved",
        {"primary_record": ["far", "a"]},
    )


def test_homes_that_come_with_other_e_mails_are_held_like_any_other_change() -> None:
    directory = Directory()
    directory.connection(CONNECTION, of_district=True)
    users = []
    for number in range(3):
        who = directory.member(directory.person(number=f"{number}", email=f"p{number}@old.example"))
        directory.people[who].update(given_name=f"Givenr{number}", family_name=f"Familyr{number}")
        directory.link(who, f"far{number}", OTHER)
        directory.link(who, f"r{number}")
        directory.elsewhere(who, OTHER, since=1)
        users.append(user(f"r{number}", identifier=f"{number}", email=f"p{number}@new.example"))
    plan = directory.plan(users)
    assert plan.rows["reason"].tolist() == ["primary_record_moved"] * 3
    found = plan_stats_of(
        plan,
        cleaned(users).roster,
        pd.DataFrame(columns=list(REJECTED_COLUMNS)),
        directory.frames(),
        COMPLETE,
        pd.DataFrame(),
        TODAY,
    )
    assert not allows(judge(plan, found, Guards()), "student", "update")


ELSEWHERE: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("a number of the other school's kind stays", {"number_kind": "staff"}, {"identifier": "8"}, {}),
    ("also where none comes here", {"number_kind": "staff"}, {"identifier": None}, {}),
    ("a number of this school's kind follows", {}, {"identifier": "8"}, {"number": ["7", "8"]}),
    ("a phone that the other school reads stays", {"phone": "+12125550123"}, {"phone": "+49 30 901820"}, {}),
    ("a preferred name that the other school wants stays", {"preferred_given_name": "Nick"}, {}, {}),
]
"""Cases: the stored value, the record's value, and the planned change."""


@pytest.mark.parametrize(("stored", "says", "changes"), [case[1:] for case in ELSEWHERE], ids=[c[0] for c in ELSEWHERE])
@pytest.mark.parametrize("decides", [True, False])
def test_a_field_about_which_another_school_decides_is_not_written_in_turns(
    stored: dict[str, Any], says: dict[str, Any], changes: dict[str, Any], decides: bool
) -> None:
    directory = Directory()
    directory.member(directory.person("a", **{"number": "7", **stored}), source_role="student")
    names = ("number", "phone", "preferred_given_name") if decides else ()
    frames = replace(directory.frames(), kept_elsewhere=dict.fromkeys(names, frozenset((1,))))
    plan = make_plan(cleaned([user("a", **{"identifier": "7", **says})]).roster, frames, school(), COMPLETE)
    assert (plan.rows.iloc[0]["changes"] == changes) == (decides or bool(changes))


def test_a_record_of_a_parent_here_gives_the_person_no_values_and_stays_primary_if_it_is_a_member_elsewhere() -> None:
    directory = Directory()
    who = directory.member(directory.person("a", email="a@example.org"))
    directory.link(who, "b")
    parent = user("a", roles=[entry("parent"), entry("student", "s2")], email="a@example.org")
    student = user("b", email="b@example.org", givenName="Givena", familyName="Familya", identifier="N-a")
    roster = cleaned([parent, student]).roster
    frames = replace(directory.frames(), primary_elsewhere=frozenset((who,)))
    row = make_plan(roster, frames, school(), COMPLETE).rows.iloc[0]
    assert (row["action"], row["changes"]) == ("unchanged", {})
    row = make_plan(roster, directory.frames(), school(), COMPLETE).rows.iloc[0]
    wanted = {"primary_record": ["a", "b"], "email": ["a@example.org", "b@example.org"]}
    assert {name: row["changes"][name] for name in wanted} == wanted
