"""Keys that move between known people: rows that wait, rows that are applied and reported, and keys that families
share."""

import json
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.planning.guards import Verdict, judge
from roster_pipeline.planning.plan import make_plan
from roster_pipeline.planning.plan_stats import plan_stats_of
from roster_pipeline.services.hold_explanations import hold_explanation_of
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.vocabulary import CONTACT_FIELDS
from roster_pipeline_tests.planning.builders import COMPLETE, TODAY, Directory, allows, cleaned, entry, school, user

PEOPLE = 100
CONTACTS = school(primary_contacts=True)


def filled_directory(**fields: Any) -> Directory:
    """A hundred students, each with their own name, number, e-mail, username and contact."""
    directory = Directory()
    for place in range(PEOPLE):
        one = f"p{place:03}"
        who = directory.person(one, email=f"{one}@example.org", username=one, phone=phone_of(place))
        contact = {f"contact_{name}": f"{name}-{one}" for name in ("sourced_id", "given_name", "family_name")}
        contact |= {"contact_relationship": "parent"}
        directory.member(who, **(contact | {"contact_email": f"parent-{one}@example.org"} | fields))
    return directory


def phone_of(place: int) -> str:
    return f"+12025550{place:03}"


def record(place: int, **members: Any) -> dict[str, Any]:
    """The SIS record of a student of that directory."""
    one = f"p{place:03}"
    plain = {"email": f"{one}@example.org", "username": one, "agents": [f"sourced_id-{one}"]}
    plain["phone"] = phone_of(place)
    return user(one, **(plain | members))


def parent(place: int) -> dict[str, Any]:
    """The contact of a student."""
    one = f"p{place:03}"
    names = {"givenName": f"given_name-{one}", "familyName": f"family_name-{one}", "email": f"parent-{one}@example.org"}
    return user(f"sourced_id-{one}", "parent", identifier=None, **names)


def judged(
    directory: Directory,
    changed: dict[int, dict[str, Any]],
    settings: SchoolSettings = CONTACTS,
    newcomers: tuple[dict[str, Any], ...] = (),
) -> tuple[pd.DataFrame, Verdict]:
    """A sync with these changed records: its rows with their guards, and its verdict."""
    users = [*(record(place, **changed.get(place, {})) for place in range(PEOPLE)), *newcomers]
    told = cleaned(users, settings, [parent(place) for place in range(PEOPLE)])
    frames = directory.frames()
    plan = make_plan(told.roster, frames, settings, COMPLETE).witnessed(None)
    facts = plan_stats_of(plan, told.roster, told.rejected, frames, COMPLETE, pd.DataFrame(), TODAY)
    verdict = judge(plan, facts, settings.guards)
    return plan.rows.assign(guard=verdict.row_guards), verdict


def slipped(member: str, people: int) -> dict[int, dict[str, Any]]:
    """A column that moved by a row for this many people: each gets the value of the next one."""
    following = {place: record((place + 1) % people if place < people else place) for place in range(people)}
    return {place: {member: other[member]} for place, other in following.items()}


def waiting(rows: pd.DataFrame, verdict: Verdict) -> int:
    held = verdict.rows[(verdict.rows["verdict"] == "hold") & (verdict.rows["guard"] == "moved_keys")]
    assert set(held["rows"]) <= {(rows["guard"] == "moved_keys").sum()}
    return int(held["rows"].sum())


def test_a_sync_on_which_nothing_moves_changes_nobody() -> None:
    rows, verdict = judged(filled_directory(), {})
    assert set(rows["action"]) == {"unchanged"}
    assert verdict.held == []


@pytest.mark.parametrize("member", ["identifier", "email", "username", "phone", "agents"])
def test_more_than_three_people_who_get_what_others_had_wait_and_nobody_else_does(member: str) -> None:
    changed = slipped(member, 4) | {50: {"givenName": "Newly"}}
    rows, verdict = judged(filled_directory(), changed)
    assert waiting(rows, verdict) == 4
    assert allows(verdict, "student", "update")
    (line,) = verdict.held
    (finding,) = line["findings"]
    assert (finding["guard"], finding["value"], finding["limit"], finding["overridable"]) == ("moved_keys", 4, 3, True)


@pytest.mark.parametrize("member", ["identifier", "email", "username", "phone", "agents"])
def test_up_to_three_are_applied_and_reported(member: str) -> None:
    rows, verdict = judged(filled_directory(), slipped(member, 3))
    assert (rows["guard"] == "moved_keys").sum() == 3
    assert allows(verdict, "student", "update", "moved_keys")
    assert verdict.held == []
    told = verdict.rows.loc[verdict.rows["guard"] == "moved_keys", "findings"].iloc[0]
    assert "3 people would get what another known person had" in told[0]["message"]


def test_the_number_and_username_of_one_other_person_wait_even_if_they_are_few() -> None:
    """A father and his son of the same name and e-mail, whose records changed places."""
    keys = [{name: record(place)[name] for name in ("identifier", "username")} for place in range(3)]
    rows, verdict = judged(filled_directory(), {0: keys[1], 1: keys[0]})
    assert waiting(rows, verdict) == 2
    rows, verdict = judged(filled_directory(), {0: keys[1] | {"username": keys[2]["username"]}})
    assert waiting(rows, verdict) == 0


@pytest.mark.parametrize("spelled", ["N-71{}", "n-71{}", "N - 71{}", "\uff4e-71{}", "00N-71{}"])
def test_a_number_that_another_person_had_in_any_spelling_has_moved(spelled: str) -> None:
    directory = filled_directory()
    for place, person in enumerate(directory.people.values()):
        person["number"] = f"N-71{place}"
    changed = {place: {"identifier": f"N-71{place}"} for place in range(PEOPLE)}
    changed |= {place: {"identifier": spelled.format((place + 1) % 4)} for place in range(4)}
    rows, verdict = judged(directory, changed)
    assert waiting(rows, verdict) == 4


def test_a_phone_that_the_other_person_keeps_does_not_count() -> None:
    """A household with several names."""
    rows, verdict = judged(filled_directory(), {place: {"phone": phone_of(place + 50)} for place in range(9)})
    assert waiting(rows, verdict) == 0


def test_a_contact_of_another_family_counts_though_that_family_keeps_it() -> None:
    rows, verdict = judged(filled_directory(), {place: {"agents": ["sourced_id-p099"]} for place in range(4)})
    assert waiting(rows, verdict) == 4


def test_a_contact_that_brothers_and_sisters_share_does_not_count() -> None:
    directory = filled_directory()
    for person in directory.people.values():
        person["family_name"] = "Lopez"
    changed = {place: {"familyName": "Lopez"} for place in range(PEOPLE)}
    rows, _ = judged(
        directory, changed | {place: {"familyName": "Lopez", "agents": ["sourced_id-p099"]} for place in range(9)}
    )
    assert not rows["guard"].any()


SEVERAL = school(primary_contacts=True, contacts_most=3)


def behind(*places: int) -> str:
    """The contacts after the primary one, as stored."""
    return json.dumps([[f"sourced_id-p{at:03}", f"given_name-p{at:03}", f"family_name-p{at:03}", "parent",
                        f"parent-p{at:03}@example.org", None, None] for at in places])  # fmt: skip


def of_two(place: int, *contacts: int) -> dict[str, Any]:
    return {"agents": [f"sourced_id-p{at:03}" for at in contacts]}


def with_two_contacts() -> tuple[Directory, dict[int, dict[str, Any]]]:
    """The first twenty pupils also have a contact of somebody of the last fifty; stored and sent records."""
    directory = filled_directory()
    for place in range(20):
        directory.members[place + 1]["more_contacts"] = behind(place + 50)
        directory.members[place + 51].update(dict.fromkeys(CONTACT_FIELDS))
    alone: dict[int, dict[str, Any]] = {place + 50: {"agents": []} for place in range(20)}
    return directory, alone | {place: of_two(place, place, place + 50) for place in range(20)}


def test_the_contacts_behind_the_primary_one_are_looked_at_too() -> None:
    directory, sent = with_two_contacts()
    assert set(judged(directory, sent, SEVERAL)[0]["action"]) == {"unchanged"}
    slipped_second = {place: of_two(place, place, (place + 1) % 4 + 50) for place in range(4)}
    rows, verdict = judged(directory, sent | slipped_second, SEVERAL)
    assert waiting(rows, verdict) == 4
    to_the_front = {place: of_two(place, (place + 1) % 4 + 50, place) for place in range(4)}
    assert waiting(*judged(directory, sent | to_the_front, SEVERAL)) == 4


@pytest.mark.parametrize(("people", "guards"), [(5, set()), (6, {"key_updates"})])
def test_another_contact_behind_the_primary_one_is_a_changed_key(people: int, guards: set[str]) -> None:
    directory, sent = with_two_contacts()
    for place in range(people):  # a new contact replaces the stored one
        directory.members[place + 1]["more_contacts"] = behind(place + 50).replace("p0", "x0")
    _, verdict = judged(directory, sent, SEVERAL)
    assert {finding["guard"] for line in verdict.held for finding in line["findings"]} == guards


def test_contacts_of_one_student_that_change_their_order_are_nobody_elses() -> None:
    directory, sent = with_two_contacts()
    rows, _ = judged(directory, sent | {place: of_two(place, place + 50, place) for place in range(9)}, SEVERAL)
    assert not rows["guard"].any()
    assert (rows["action"] == "update").sum() == 9


def test_a_contact_that_moves_from_behind_to_another_students_first_place_counts() -> None:
    directory, sent = with_two_contacts()
    moves = {place: of_two(place, place - 30 + 50) for place in range(30, 34)} | {
        place: of_two(place, place) for place in range(4)
    }
    assert waiting(*judged(directory, sent | moves, SEVERAL)) == 8, "with those who give it up"


COPIED = {
    "a column that was filled downwards": (("Ada", "Ben", "Cleo", "Dov"), "Elif", 4),
    "three names may become one": (("Ada", "Ben", "Cleo"), "Elif", 0),
    "brothers and sisters have one name before": (("Ada", "Ada", "Ben", "Ben", "Cleo", "Cleo"), "Elif", 0),
    "a middle name moves to another field": (("Mary Ann", "Mary Beth", "Mary Jo", "Mary Lou", "Mary Sue"), "Mary", 0),
    "spelling does not count": (("ADA", "Ada", "ada", "\u00c1da"), "Elif", 0),
}


@pytest.mark.parametrize(("member", "field"), [("givenName", "given_name"), ("familyName", "family_name")])
@pytest.mark.parametrize(("before", "after", "wait"), COPIED.values(), ids=COPIED)
def test_many_names_that_become_one_wait(
    member: str, field: str, before: tuple[str, ...], after: str, wait: int
) -> None:
    directory = filled_directory()
    for person, name in zip(directory.people.values(), before, strict=False):
        person[field] = name
    rows, verdict = judged(directory, {place: {member: after} for place in range(len(before))})
    assert waiting(rows, verdict) == wait


def test_two_records_that_changed_places_wait_though_they_are_two() -> None:
    mine, theirs = record(0), record(1)
    names = ("givenName", "familyName")
    changed = {0: {name: theirs[name] for name in names}, 1: {name: mine[name] for name in names}}
    rows, verdict = judged(filled_directory(), changed)
    assert waiting(rows, verdict) == 2


@pytest.mark.parametrize("names", [("middleName",), ("middleName", "username"), ("givenName", "middleName")])
def test_twins_whom_only_the_middle_name_tells_apart_and_whose_records_changed_places_wait(
    names: tuple[str, ...],
) -> None:
    directory = filled_directory()
    lees = [{"given_name": "Mary", "family_name": "Lee", "middle_name": middle} for middle in ("Ann", "Rose")]
    for who, lee in zip(list(directory.people)[:2], lees, strict=True):
        directory.people[who].update(lee)
    told: list[dict[str, Any]] = [
        {"givenName": "Mary", "familyName": "Lee", "middleName": lee["middle_name"], "username": f"p00{place}"}
        for place, lee in enumerate(lees)
    ]
    assert judged(directory, dict(enumerate(told)))[1].held == []
    changed = {place: told[place] | {name: told[1 - place][name] for name in names} for place in (0, 1)}
    assert waiting(*judged(directory, changed)) == 2


def test_an_id_that_takes_the_name_of_somebody_who_does_not_come_waits_and_so_does_their_archival() -> None:
    """Otherwise nobody would have the name on the next night, and the row would pass."""
    directory = filled_directory()
    who = directory.member(directory.person("gone", number="N-gone"))
    other = directory.member(directory.person("left", number="N-left"))
    rows, verdict = judged(directory, {0: {"givenName": "Givengone", "familyName": "Familygone"}})
    held = rows[rows["guard"] == "moved_keys"]
    assert sorted(zip(held["action"], held["person_id"], strict=True)) == [("archive", who), ("update", 1)]
    assert {(line["action"], line["rows"], line["guard"]) for line in verdict.held} == {
        ("update", 1, "moved_keys"),
        ("archive", 1, "moved_keys"),
    }
    assert "1 person would get" in verdict.held[0]["findings"][0]["message"]
    assert rows.loc[rows["person_id"] == other, ["action", "guard"]].to_numpy().tolist() == [["archive", ""]]


@pytest.mark.parametrize("members", [("givenName", "familyName"), ("identifier", "username")])
def test_a_row_that_gives_up_what_another_id_takes_waits_with_it(members: tuple[str, ...]) -> None:
    theirs = record(1)
    taken = {name: theirs[name] for name in members}
    fresh = {"givenName": "Newly", "familyName": "Named", "identifier": "N-new", "username": "new"}
    rows, verdict = judged(filled_directory(), {0: taken, 1: {name: fresh[name] for name in members}})
    assert waiting(rows, verdict) == 2
    assert "1 person would get" in verdict.held[0]["findings"][0]["message"]


@pytest.mark.parametrize("member", ["identifier", "email", "username", "agents"])
@pytest.mark.parametrize(("people", "wait"), [(3, 0), (4, 5)])
def test_the_end_of_a_chain_waits_with_it(member: str, people: int, wait: int) -> None:
    """Each gets the value of the next one, and the last one gets a new value."""
    changed = {place: {member: record(place + 1)[member]} for place in range(people)}
    changed[people] = {member: [] if member == "agents" else "new@example.org"}
    assert waiting(*judged(filled_directory(), changed)) == wait


@pytest.mark.parametrize(
    ("key", "people", "waits"),
    [
        pytest.param({"identifier": "N-p050"}, 4, True, id="number"),
        pytest.param({"username": "P050"}, 4, True, id="username"),
        pytest.param({"email": "p050@example.org"}, 4, True, id="email"),
        pytest.param({"email": "p050@example.org", "familyName": "Familyp050"}, 4, False, id="email-of-the-family"),
        pytest.param({"identifier": "N-old", "username": "old"}, 4, False, id="of-a-leaver"),
        pytest.param({}, 4, False, id="own"),
        pytest.param({"identifier": "N-p050"}, 3, False, id="nothing-else-waits"),
    ],
)
def test_a_newcomer_with_a_key_of_a_member_waits_with_moved_keys(
    key: dict[str, Any], people: int, *, waits: bool
) -> None:
    """The same shift of a column gives them the values of others."""
    directory = filled_directory()
    directory.member(directory.person("old", number="N-old", username="old"), status="archived")
    newcomer = user("new", **({"email": "new@example.org", "username": "new"} | key))
    changed = slipped("username", people) | {50: {"identifier": "N-another"}}
    rows, verdict = judged(directory, changed, newcomers=(newcomer,))
    assert rows.loc[rows["action"] == "create", "guard"].tolist() == ["moved_keys" * waits]
    assert any(line["action"] == "create" for line in verdict.held) == waits


def test_a_namesake_is_nobody_elses_identity() -> None:
    rows, _ = judged(filled_directory(), {0: {"givenName": "Givenp001", "familyName": "Familyp001"}})
    assert not rows["guard"].any()


def test_the_values_of_a_leaver_are_free_again() -> None:
    directory = filled_directory()
    for place in range(4):
        old = directory.person(f"old{place}", number=f"N-{place}", email=f"old{place}@example.org")
        directory.member(old, status="archived")
    changed = {place: {"email": f"old{place}@example.org", "identifier": f"N-{place}"} for place in range(4)}
    rows, _ = judged(directory, changed)
    assert not rows["guard"].any()


def test_a_held_kind_of_action_holds_moved_rows_with_it_and_says_both() -> None:
    rows, verdict = judged(filled_directory(), slipped("email", 9))
    assert {line["guard"]: {f["guard"] for f in line["findings"]} for line in verdict.held} == {
        "moved_keys": {"key_updates", "moved_keys"}
    }
    assert (rows["guard"] == "moved_keys").sum() == 9


@pytest.mark.parametrize(("people", "others_wait"), [(3, False), (4, True)])
def test_a_row_that_two_guards_judge_alone_says_both_reasons(people: int, others_wait: bool) -> None:
    """The first of these people also becomes a teacher, so their row waits in any case."""
    changed = slipped("username", people) | {99: {"roles": [entry("teacher")]}}
    changed[0]["roles"] = [entry("teacher")]
    _, verdict = judged(filled_directory(), changed)
    held = {line["guard"]: {finding["guard"] for finding in line["findings"]} for line in verdict.held}
    both = {"moved_keys student_or_staff": {"moved_keys", "student_or_staff"}, "student_or_staff": {"student_or_staff"}}
    assert held == both | ({"moved_keys": {"moved_keys"}} if others_wait else {})
    assert allows(verdict, "student", "update", "moved_keys") is not others_wait
    explained = hold_explanation_of(verdict.held)
    teachers, students = ("teacher", 2), [("student", 3)] * others_wait
    assert [(kind.role, kind.rows) for kind in explained.kinds] == [*students, teachers]
    why = {one.guard: sorted((kind.role, kind.rows) for kind in one.kinds) for one in explained.why}
    assert why == {"student_or_staff": [teachers], "moved_keys": [*students, ("teacher", 1)]}


def test_messages_carry_counts_and_no_values() -> None:
    _, verdict = judged(
        filled_directory(), slipped("email", 4) | {10: {"givenName": "Givenp011", "familyName": "Familyp011"}}
    )
    text = " ".join(found["message"] for line in verdict.held for found in line["findings"])
    assert "example" not in text
    assert "p00" not in text
