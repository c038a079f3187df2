"""The primary contact: who may be one, who is chosen, and what is only noted."""

import json
from typing import Any

import pytest

from roster_pipeline.planning.plan import Plan, make_plan
from roster_pipeline.settings.school import ConnectionSettings, RoleSettings
from roster_pipeline_tests.planning.builders import COMPLETE, SIS, Directory, cleaned, entry, row_of, school, user

WANTED = school(primary_contacts=True)
MARKED = ConnectionSettings(url=SIS.url, primary_contact_from="metadata:rank")


def parent(sourced_id: str, role: str = "guardian", **members: Any) -> dict[str, Any]:
    return user(sourced_id, roles=[entry(role, None)], identifier=None) | members


def chosen(
    agents: list[str], contacts: list[dict[str, Any]], connection: ConnectionSettings = SIS, **student: Any
) -> str | None:
    told = cleaned([user("s", agents=agents, **student)], WANTED, contacts, connection)
    found = row_of(told.roster, "s")["contact_sourced_id"]
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("agents", "contacts", "primary"),
    [
        (["a", "b"], [parent("a"), parent("b")], "a"),
        (["b", "a"], [parent("a"), parent("b")], "b"),
        (["a", "b"], [parent("a", "guardian"), parent("b", "parent")], "b"),
        (["a", "b"], [parent("a", "relative"), parent("b", "guardian")], "b"),
        (["a", "b"], [parent("a", status="tobedeleted"), parent("b")], "b"),
        (["a", "b"], [parent("a", givenName=None, familyName=None), parent("b")], "b"),
        (["a", "b"], [parent("a", enabledUser=False), parent("b")], "a"),
        (["a", "b"], [parent("a", roles=[entry("guardian", end="2026-01-01")]), parent("b")], "b"),
        (["a", "b"], [parent("a", roles=[entry("guardian", end="2026-03-02")]), parent("b")], "a"),
        (["a", "b"], [parent("a", roles=[entry("guardian", begin="2026-03-02")]), parent("b")], "a"),
        (["a", "b"], [parent("a", roles=[entry("guardian", begin="2026-03-03")]), parent("b")], "b"),
        (["a", "b"], [parent("a", status="InActive"), parent("b")], "b"),
        (["a"], [user("a", "aide")], None),
        (["a"], [user("a", "student")], None),
        ([], [parent("a", agents=["s"])], "a"),
        (["b"], [parent("a", agents=["s"]), parent("b")], "b"),
        ([" a "], [parent("a")], "a"),
        ([], [parent("a")], None),
    ],
)
def test_who_is_the_primary_contact(agents: list[str], contacts: list[dict[str, Any]], primary: str | None) -> None:
    assert chosen(agents, contacts) == primary


@pytest.mark.parametrize(
    ("marks", "primary"),
    [
        ({"a": "2", "b": 1}, "b"),
        ({"b": True}, "b"),
        ({"b": "Yes"}, "b"),
        ({"a": False, "b": "primary"}, "b"),
        ({"a": 3, "b": 2}, "b"),
        ({"a": 1, "b": " TRUE "}, "a"),
        ({"a": 2, "b": "y"}, "b"),
        ({"b": "999999"}, "b"),
        ({"b": "1000000"}, "a"),
        ({"b": "0"}, "a"),
        ({"b": "-1"}, "a"),
        ({"b": 1.5}, "a"),
        ({"b": "no"}, "a"),
        ({"a": "nonsense"}, "a"),
        ({}, "a"),
    ],
)
def test_a_vendors_mark_goes_before_the_role(marks: dict[str, Any], primary: str) -> None:
    contacts = [
        parent("a", "parent", metadata={"rank": marks.get("a")}),
        parent("b", metadata={"rank": marks.get("b")}),
    ]
    assert chosen(["a", "b"], contacts, MARKED) == primary
    assert chosen(["a", "b"], contacts) == "a"


AB = [parent("a"), parent("b")]


@pytest.mark.parametrize(
    ("stored", "contacts", "in_order"),
    [
        ("", AB, "cab"),
        ("a", AB, "acb"),
        ("ba", AB, "bac"),
        ("abc", AB, "abc"),
        ("xb", AB, "bca"),
        ("a", [parent("a"), parent("b", "parent")], "bac"),
        ("ab", [parent("a", "relative"), parent("b")], "bca"),
        ("ab", [parent("a", metadata={"rank": 2}), parent("b", metadata={"rank": 1})], "bac"),
        ("ab", [parent("a", metadata={"rank": 1}), parent("b", metadata={"rank": 1})], "abc"),
        ("ab", [parent("a", status="tobedeleted"), parent("b")], "bc"),
        ("ab", [parent("b")], "bc"),
    ],
)
def test_a_contact_of_the_directory_stays_before_others_that_are_equally_good(
    stored: str, contacts: list[dict[str, Any]], in_order: str
) -> None:
    wanted = school(primary_contacts=True, contacts_most=3)
    student = user("s", agents=["c", "a", "b"] if len(contacts) == 2 else ["c", "b"])
    had = {"other": "cba", "s": stored}
    told = cleaned([student, user("other", agents=["b"])], wanted, [*contacts, parent("c")], MARKED, stored=had)
    row = row_of(told.roster, "s")
    more = [each[0] for each in json.loads(row["more_contacts"] or "[]")]
    assert "".join([row["contact_sourced_id"], *more]) == in_order


def test_the_order_of_the_students_list_counts_if_the_connection_says_so() -> None:
    ordered = ConnectionSettings(url=SIS.url, primary_contact_from="agents")
    contacts = [parent("a", "parent"), parent("b"), parent("c", "parent", agents=["s"])]
    for agents, primary in (("ba", "b"), ("ab", "a"), ("b", "b"), ("", "c")):
        student = user("s", agents=list(agents))
        told = cleaned([student], WANTED, contacts, ordered, stored={"s": ["a"]})
        assert row_of(told.roster, "s")["contact_sourced_id"] == primary, agents


@pytest.mark.parametrize("named", ["b", " b "])
def test_a_student_may_name_the_primary_contact(named: str) -> None:
    contacts = [parent("a", "parent", metadata={"rank": 1}), parent("b")]
    assert chosen(["a", "b"], contacts, MARKED, metadata={"rank": named}) == "b"


def test_a_contact_comes_with_relationship_email_and_phone() -> None:
    contact = parent("a", "Parent", email="P@Example.org", phone=None, sms="312-555-0142")
    line = row_of(cleaned([user("s", agents=["a"])], WANTED, [contact]).roster, "s")
    assert [line[f"contact_{name}"] for name in ("given_name", "family_name", "relationship", "email", "phone")] == [
        "Givena",
        "Familya",
        "parent",
        "p@example.org",
        "+13125550142",
    ]


def test_without_the_setting_there_are_no_contacts() -> None:
    told = cleaned([user("s", agents=["a"])], school(), [parent("a")])
    assert row_of(told.roster, "s")["contact_sourced_id"] is None
    assert told.contact_flags == {}


def test_teachers_have_no_contacts() -> None:
    told = cleaned([user("t", "teacher", agents=["a"])], WANTED, [parent("a")])
    assert row_of(told.roster, "t")["contact_sourced_id"] is None


def test_a_contact_that_was_withheld_is_noted_and_keeps_its_id_alone() -> None:
    told = cleaned([user("s", agents=["lost"])], WANTED)
    line = row_of(told.roster, "s")
    assert (line["contact_sourced_id"], line["contact_family_name"]) == ("lost", None)
    assert list(told.rejected["rule"]) == ["unresolved_agent"]
    assert told.contact_flags["unresolved_agents"] == 1


def test_of_several_contacts_that_were_withheld_the_first_keeps_its_id() -> None:
    told = cleaned([user("s", agents=["lost", "gone"]), user("t", agents=["other"])], WANTED)
    assert [row_of(told.roster, name)["contact_sourced_id"] for name in ("s", "t")] == ["lost", "other"]


def test_of_a_contact_that_came_twice_the_newer_is_used_and_nothing_noted() -> None:
    old = parent("a", familyName="Old", dateLastModified="2026-01-01T00:00:00Z")
    new = parent("a", familyName="New", dateLastModified="2026-02-01T00:00:00Z")
    told = cleaned([user("s", agents=["a"])], WANTED, [old, new])
    assert row_of(told.roster, "s")["contact_family_name"] == "New"
    assert told.rejected.empty


@pytest.mark.parametrize(("parents", "listed", "many"), [(5, True, 0), (6, True, 1), (5, False, 0), (6, False, 1)])
def test_a_contact_counts_once_whichever_side_names_it(parents: int, listed: bool, many: int) -> None:
    contacts = [parent(f"p{i}", agents=["s"]) for i in range(parents)]
    student = user("s", agents=[contact["sourcedId"] for contact in contacts] if listed else [])
    assert cleaned([student], WANTED, contacts).contact_flags["students_with_many_contacts"] == many


def test_every_student_gets_one_of_several_contacts() -> None:
    students = [user(name, agents=["b", "a"] if name == "s2" else ["a", "b"]) for name in ("s1", "s2", "s3")]
    roster = cleaned(students, WANTED, [parent("a"), parent("b")]).roster
    assert roster["contact_sourced_id"].tolist() == ["a", "b", "a"]


def test_a_parent_in_the_list_of_users_is_found_and_students_without_one_are_counted() -> None:
    told = cleaned([parent("a"), user("s", agents=["a"]), user("z")], WANTED)
    assert (told.contact_flags["unresolved_agents"], told.contact_flags["without_contact"]) == (0, 1)
    assert row_of(told.roster, "s")["contact_sourced_id"] == "a"


def test_more_than_five_contacts_and_more_than_ten_students_are_flagged() -> None:
    six = [parent(f"p{i}") for i in range(6)]
    students = [user("s00", agents=[contact["sourcedId"] for contact in six])]
    students += [user(f"s{i:02}", agents=["p0"]) for i in range(1, 11)]
    told = cleaned(students, WANTED, six)
    assert told.contact_flags["students_with_many_contacts"] == 1
    assert told.contact_flags["contacts_of_many_students"] == 1
    assert set(told.rejected["rule"]) == {"many_contacts", "many_students"}


def with_contact() -> tuple[Directory, list[dict[str, Any]]]:
    """Two pupils with a contact each, stored."""
    directory = Directory()
    users = [user("s1", agents=["a"]), user("s2", agents=["b"])]
    directory.apply(_plan(directory, users, [parent("a"), parent("b")]))
    assert directory.members[1]["contact_family_name"] == "Familya"
    return directory, users


def _plan(directory: Directory, users: list[dict[str, Any]], contacts: list[dict[str, Any]], **wishes: Any) -> Plan:
    settings = school(**({"primary_contacts": True} | wishes))
    return make_plan(cleaned(users, settings, contacts).roster, directory.frames(), settings, COMPLETE)


@pytest.mark.parametrize("auto_update", [True, False])
def test_switched_off_contacts_are_removed_even_with_auto_update_off(auto_update: bool) -> None:
    directory, users = with_contact()
    quiet = RoleSettings(rostered=True, auto_update=auto_update)
    plan = _plan(directory, users, [], primary_contacts=False, students=quiet)
    assert set(plan.rows["reason"]) == {"contacts_off"}
    directory.apply(plan)
    assert directory.members[1]["contact_sourced_id"] is None
    assert set(_plan(directory, users, [], primary_contacts=False, students=quiet).rows["action"]) == {"unchanged"}


def test_a_contact_withheld_now_is_kept() -> None:
    directory, users = with_contact()
    assert set(_plan(directory, users, [parent("b")]).rows["action"]) == {"unchanged"}


@pytest.mark.parametrize(
    "now",
    [[parent("a", givenName="", familyName="N/A")], [parent("a"), parent("a", givenName="Zoe", familyName="Zed")]],
)
def test_a_contact_who_cannot_be_used_now_is_kept(now: list[dict[str, Any]]) -> None:
    directory, users = with_contact()
    assert set(_plan(directory, users, [*now, parent("b")]).rows["action"]) == {"unchanged"}


@pytest.mark.parametrize(("most", "then"), [(1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"])])
def test_a_primary_contact_who_is_not_delivered_keeps_the_first_place(most: int, then: list[str]) -> None:
    directory, users = Directory(), [user("s", agents=["a", "b", "c"])]
    everybody = [parent("a"), parent("b"), parent("c")]
    directory.apply(_plan(directory, users, everybody, contacts_most=most))
    assert set(_plan(directory, users, everybody[1:], contacts_most=most).rows["action"]) == {"unchanged"}
    newer = [parent("d"), *everybody[1:]]
    plan = _plan(directory, [user("s", agents=["d", "a", "b", "c"])], newer, contacts_most=most)
    directory.apply(plan)
    member = directory.members[1]
    more = json.loads(member["more_contacts"] or "[]")
    assert [member["contact_sourced_id"], *(each[0] for each in more)] == ["a", "d", "b"][:most]
    plan = _plan(directory, users, [parent("a", familyName="New"), *everybody[1:]], contacts_most=most)
    directory.apply(plan)
    assert directory.members[1]["contact_family_name"] == "New"
    more = json.loads(directory.members[1]["more_contacts"] or "[]")
    assert ["a", *(each[0] for each in more)] == then
    assert set(_plan(directory, [user("s", agents=["b", "c"])], everybody[1:]).rows["action"]) == {"update"}


@pytest.mark.parametrize(("member", "field"), [("givenName", "given_name"), ("familyName", "family_name")])
def test_a_contact_who_lost_one_of_two_names_is_not_withheld(member: str, field: str) -> None:
    directory, users = with_contact()
    plan = _plan(directory, users, [parent("a") | {member: None}, parent("b")])
    assert [list(changes) for changes in plan.rows["changes"]] == [[f"contact_{field}"], []]


def test_no_contact_at_all_is_a_matter_of_configuration_and_removes_nobody() -> None:
    directory, _ = with_contact()
    assert set(_plan(directory, [user("s1"), user("s2")], []).rows["action"]) == {"unchanged"}


def test_a_contact_the_sis_took_away_is_kept_with_auto_update_off() -> None:
    directory, users = with_contact()
    plan = _plan(directory, [user("s1"), users[1]], [parent("b")], students=RoleSettings(rostered=True))
    assert list(plan.rows["reason"]) == ["auto_update_off", "equal"]


def test_a_contact_the_sis_took_away_is_removed() -> None:
    directory, users = with_contact()
    plan = _plan(directory, [user("s1"), users[1]], [parent("b")])
    assert [row.action for row in plan.rows.itertuples()] == ["update", "unchanged"]
    assert plan.rows["changes"].iloc[0]["contact_family_name"] == ["Familya", None]
