"""The edges of the rules: small changes of the core that no test noticed before."""

from typing import Any

import pandas as pd
import pytest

from roster_pipeline.cleaning.rejections import Rejections, one_per_sourced_id
from roster_pipeline.frames import frame_of
from roster_pipeline.planning.findings import percent
from roster_pipeline.planning.guards import judge
from roster_pipeline.planning.plan import make_plan
from roster_pipeline.planning.plan_stats import people_by_role, plan_stats_of
from roster_pipeline.settings.school import Guards, RoleSettings
from roster_pipeline_tests.planning.builders import COMPLETE, TODAY, Directory, cleaned, entry, row_of, school, user
from roster_pipeline_tests.planning.test_guards import facts, plan_of

LEE = {"given_name": "Ann", "family_name": "Lee"}
ANN = {"givenName": "Ann", "familyName": "Lee"}
MAIL = "ann@example.org"


def rows_of(directory: Directory, *users: dict[str, Any], **wishes: Any) -> list[dict[str, Any]]:
    rows = directory.plan(list(users), school(**wishes)).rows
    found: list[Any] = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return found


def test_a_row_of_somebody_who_left_is_whole() -> None:
    directory = Directory()
    who = directory.member(directory.person("b", revision=3), revision=4)
    directory.link(who, "a")
    present, left = rows_of(directory, user("c"))
    assert (present["row"], present["action"]) == (0, "create")
    assert left == {
        "row": 1,
        "action": "archive",
        "reason": "left",
        "role": "student",
        "person_id": who,
        "sourced_ids": ["b", "a"],
        "new_links": [],
        "matched_by": None,
        "notes": None,
        "changes": {},
        "number_kind": None,
        "absent_syncs": None,
        "person_revision": 3,
        "membership_revision": 4,
        "witness": None,
    }


def test_a_row_of_somebody_who_is_here_names_the_revisions_it_was_planned_for() -> None:
    directory = Directory()
    directory.member(directory.person("a", revision=3), revision=4)
    directory.person("b", revision=5)
    rows = rows_of(directory, user("a"), user("b"), user("c"))
    assert [(row["person_revision"], row["membership_revision"]) for row in rows] == [(3, 4), (5, None), (None, None)]


@pytest.mark.parametrize("record", [user("a", "teacher"), user("a", "ext:odd"), user("a", status="odd")])
def test_a_row_of_a_member_without_a_usable_role_now_stands_under_the_role_they_have(record: Any) -> None:
    directory = Directory()
    directory.member(directory.person("a"), "student")
    (row,) = rows_of(directory, record, teachers=RoleSettings())
    assert (row["action"], row["role"]) == ("skip", "student")


def test_the_primary_record_is_the_first_of_several_new_links() -> None:
    records = [user("a", "teacher", **ANN, identifier="7"), user("z", "principal", **ANN, identifier="7")]
    (row,) = rows_of(Directory(), *records)
    assert row["new_links"] == row["sourced_ids"] == ["z", "a"]


def test_rows_and_their_index_are_numbered_from_zero() -> None:
    directory = Directory()
    directory.member(directory.person("b"))
    rows = directory.plan([user("c"), user("d")]).rows
    assert rows["row"].tolist() == rows.index.tolist() == [0, 1, 2]
    assert [
        str(rows.dtypes[name]) for name in ("person_id", "absent_syncs", "person_revision", "membership_revision")
    ] == ["Int64"] * 4


@pytest.mark.parametrize("said", [True, False])
def test_whether_it_is_the_first_sync_may_be_told(said: bool) -> None:
    directory = Directory()
    if said:
        directory.member(directory.person("a"))
    settings = school(first_sync="approve")
    plan = make_plan(cleaned([user("a")], settings).roster, directory.frames(), settings, COMPLETE, first_sync=said)
    assert (plan.first_sync, plan.awaits_approval) == (said, said)
    untold = make_plan(cleaned([user("a")], settings).roster, directory.frames(), settings, COMPLETE)
    assert untold.first_sync is not said


def test_somebody_elsewhere_keeps_the_reason_that_the_records_gave() -> None:
    directory = Directory()
    directory.member(directory.person("a"))
    directory.member(directory.person("b"))
    ended = user("a", roles=[entry("student", end="2026-01-01")])
    plan = directory.plan([ended, user("c")]).witnessed({"a": "elsewhere", "b": "elsewhere"})
    told = dict(zip(plan.rows["person_id"], plan.rows["reason"], strict=True))
    assert (told[1], told[2]) == ("role_ended", "moved_school")


def test_an_excluded_member_whose_role_is_off_now_is_excluded_first() -> None:
    directory = Directory()
    directory.member(directory.person("a", excluded=True), "student")
    (row,) = rows_of(directory, user("a", "teacher"), teachers=RoleSettings())
    assert (row["action"], row["reason"]) == ("skip", "excluded")


def test_a_known_person_under_a_new_id_is_found_by_an_email_where_the_given_name_agrees() -> None:
    directory = Directory()
    directory.person("old", number="", email=MAIL, **LEE)
    (row,) = rows_of(directory, user("new", **ANN, email=MAIL, identifier=None))
    assert (row["person_id"], row["matched_by"]) == (1, "email")


def test_two_people_may_be_found_by_email_and_one_by_number_in_one_sync() -> None:
    directory = Directory()
    directory.person(email="one@example.org", given_name="One", family_name="Ray")
    directory.person(email="two@example.org", given_name="Two", family_name="Ray")
    directory.person(number="7", **LEE)
    rows = rows_of(
        directory,
        user("x", givenName="One", familyName="Ray", email="one@example.org", identifier=None),
        user("y", givenName="Two", familyName="Ray", email="two@example.org", identifier=None),
        user("z", **ANN, identifier="7"),
    )
    assert [(row["person_id"], row["matched_by"]) for row in rows] == [(1, "email"), (2, "email"), (3, "number")]


def test_a_record_that_could_not_be_used_shares_its_email_and_one_that_is_gone_does_not() -> None:
    directory = Directory()
    directory.person(email=MAIL, **LEE)
    joiner = user("new", **ANN, email=MAIL, identifier=None)
    other = user("other", givenName="Bo", familyName="Ray", email=MAIL)
    unusable = rows_of(directory, joiner, other | {"status": "strange"})
    assert [row["matched_by"] for row in unusable if row["sourced_ids"] == ["new"]] == [None]
    gone = rows_of(directory, joiner, other | {"status": "tobedeleted"})
    assert [row["matched_by"] for row in gone if row["sourced_ids"] == ["new"]] == ["email"]


@pytest.mark.parametrize(("held", "late"), [("a", "b"), ("b", "a")])
def test_whoever_is_linked_keeps_their_person_whichever_record_comes_first(held: str, late: str) -> None:
    directory = Directory()
    directory.member(directory.person(held, number="", email=MAIL, **LEE))
    rows = rows_of(
        directory,
        user(held, **ANN, email="new@example.org", identifier=None),
        user(late, **ANN, email=MAIL, identifier=None),
    )
    told = {row["sourced_ids"][0]: (row["action"], row["reason"]) for row in rows}
    assert told[late] == ("conflict", "match_taken")
    assert told[held][0] == "update"


def test_everybody_who_may_be_meant_by_any_conflict_is_kept() -> None:
    directory = Directory()
    for number in ("7", "7", "8", "8"):
        directory.member(directory.person(f"old{len(directory.people)}", number=number, **LEE))
        directory.people[len(directory.people)]["number"] = number
    rows = rows_of(directory, user("a", **ANN, identifier="7"), user("b", **ANN, identifier="8"))
    assert [(row["action"], row["reason"]) for row in rows if row["person_id"]] == [("skip", "in_conflict")] * 4


def test_records_linked_to_two_people_keep_both_in_any_order() -> None:
    directory = Directory()
    for sourced_id in ("a", "b", "c"):
        directory.member(directory.person(sourced_id, number="" if sourced_id == "a" else "7", **LEE))
    rows = rows_of(
        directory, user("a", identifier=None), user("b", **ANN, identifier="7"), user("c", **ANN, identifier="7")
    )
    told = {row["person_id"]: row["action"] for row in rows if row["person_id"]}
    assert "archive" not in told.values()


def test_an_emptied_value_is_a_change_even_if_others_have_none() -> None:
    directory = Directory()
    for sourced_id, phone in (("a", None), ("b", "+13125550142"), ("c", None)):
        directory.member(directory.person(sourced_id, phone=phone))
    rows = rows_of(directory, user("a"), user("b"), user("c", sms="312-555-0199"))
    told = [row["changes"].get("phone") for row in rows]
    assert told == [None, ["+13125550142", None], [None, "+13125550199"]]


def test_a_locked_field_of_one_person_changes_nothing_for_the_others() -> None:
    directory = Directory()
    directory.member(directory.person("a", locked_fields=["email"], email="kept@example.org"))
    directory.member(directory.person("b"))
    assert [row["action"] for row in rows_of(directory, user("a"), user("b"))] == ["unchanged", "unchanged"]


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "0 %"), (0.004, "0.4 %"), (0.099, "9.9 %"), (0.1, "10 %"), (0.5, "50 %"), (1.0, "100 %")]
)
def test_small_shares_have_a_decimal(share: float, said: str) -> None:
    assert percent(share) == said


def test_the_guards_reach_down_to_roles_of_one() -> None:
    strict = Guards(archive_small_role=0)
    one = facts(history=pd.DataFrame({"student": [1] * 7}), counts={"student": 0}, managed={"student": 1})
    found = [line["message"] for row in judge(plan_of(archive=1), one, strict).rows["findings"] for line in row]
    assert "0 students came, 1 is usual: 100 % fewer." in found
    assert "1 of 1 student would be archived: 100 %." in found


def test_facts_are_those_of_the_plan_and_its_witnesses() -> None:
    directory = Directory()
    for sourced_id in ("a", "b", "c"):
        directory.member(directory.person(sourced_id))
    settings = school(first_sync="approve")
    told = cleaned([user("a"), user("d", status="strange"), user("t", "teacher")], settings)
    plan = make_plan(told.roster, directory.frames(), settings, COMPLETE, first_sync=True)
    history = pd.DataFrame({"student": [3]})

    def seen(witnessed: Any) -> Any:
        return plan_stats_of(witnessed, told.roster, told.rejected, directory.frames(), COMPLETE, history, TODAY)

    unasked = seen(plan)
    assert (unasked.unwitnessed, unasked.contradictions, unasked.today) == (2, 0, TODAY)
    assert (unasked.first_sync, unasked.awaits_approval) == (True, True)
    assert {role: unasked.counts[role] for role in ("student", "teacher", "staff")} == {
        "student": 1,
        "teacher": 1,
        "staff": 0,
    }
    assert {role: unasked.managed[role] for role in ("student", "teacher")} == {"student": 3, "teacher": 0}
    asked = seen(plan.witnessed({"b": "gone", "c": "here"}))
    assert (asked.unwitnessed, asked.contradictions) == (0, 1)
    silent = seen(plan.witnessed(None))
    assert silent.unwitnessed == 0


def test_records_are_counted_used_or_not_and_new_ids_by_role() -> None:
    directory = Directory()
    directory.member(directory.person("s-old", number="7"), "student")
    directory.member(directory.person("t"), "teacher")
    settings = school(primary_contacts=True)
    odd = user("b", status="strange", roles=[entry("student"), entry("ext:odd")])
    users = [user("s-new", givenName="Givens-old", identifier="7", email="nobody"), user("t", "teacher"), odd]
    users += [user("c", "ext:odd"), user("gone", status="tobedeleted")]
    nameless = user("p", roles=[entry("guardian", None)], givenName=None, familyName=None)
    told = cleaned(users, settings, [nameless])
    plan = make_plan(told.roster, directory.frames(), settings, COMPLETE)
    twice = pd.concat([told.rejected, told.rejected.assign(field="another")], ignore_index=True)
    seen = plan_stats_of(plan, told.roster, twice, directory.frames(), COMPLETE, pd.DataFrame(), TODAY)
    assert {role: count for role, count in seen.records.items() if count} == {"student": 2, "teacher": 1, "unknown": 1}
    assert {role: count for role, count in seen.rejected.items() if count} == {"student": 1}
    assert (seen.rekeyed["student"], seen.rekeyed["teacher"], seen.rekeyed["staff"]) == ((1, 1), (0, 1), (0, 0))


def test_somebody_with_two_records_counts_once_in_the_stronger_role() -> None:
    same = {"givenName": "Ann", "familyName": "Lee", "identifier": "7", "email": MAIL}
    roster = cleaned([user("a", "teacher", **same), user("b", "administrator", **same), user("s")]).roster
    assert people_by_role(roster) == {"admin": 1, "student": 1}


def doubled(*records: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Family names that are kept, and ids that are noted."""
    notes = Rejections("users")
    kept, _ = one_per_sourced_id(frame_of(list(records)), notes)
    return kept["familyName"].tolist(), notes.frame()["sourced_id"].tolist()


def stamped(sourced_id: str, family: str, at: str | None, **more: Any) -> dict[str, Any]:
    return user(sourced_id, familyName=family, dateLastModified=at, **more)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-01-01T08:00:00Z", "2026-01-01T10:00:00+05:00"),
        ("2026-01-01T09:00:00", "2026-01-01T08:00:00Z"),
        ("2026-01-01T09:00:00Z", None),
        ("2026-01-01T09:00:00Z", "yesterday"),
    ],
)
def test_the_newer_of_two_records_is_kept_in_any_time_zone(one: str, other: str | None) -> None:
    new, old = stamped("a", "New", one), stamped("a", "Old", other)
    assert doubled(new, old) == doubled(old, new) == (["New"], ["a"])


def test_every_doubled_id_keeps_a_record_of_its_own() -> None:
    kept, noted = doubled(
        stamped("a", "A1", "2026-01-02"),
        stamped("b", "B1", "2026-01-01"),
        stamped("a", "A0", "2026-01-01"),
        stamped("b", "B2", "2026-01-02"),
        stamped("c", "C", "2026-01-01"),
    )
    assert (kept, noted) == (["A1", "B2", "C"], ["a", "b"])


def test_the_order_of_members_does_not_make_two_records_differ() -> None:
    there = stamped("a", "A", None, metadata={"x": "1", "y": "2"})
    back = stamped("a", "A", None, metadata={"y": "2", "x": "1"})
    assert doubled(there, back) == (["A"], [])


PARENTS = school(primary_contacts=True, role_map={"ext:emergency": "contact", "ext:doctor": "contact"})


def parent(sourced_id: str, role: str = "guardian", **members: Any) -> dict[str, Any]:
    return user(sourced_id, roles=[entry(role, None)], identifier=None) | members


def noted(students: list[dict[str, Any]], contacts: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    told = cleaned(students, PARENTS, contacts).rejected
    return list(told[["collection", "sourced_id", "field", "rule", "severity"]].itertuples(index=False, name=None))


def test_what_is_the_matter_with_contacts_is_noted_with_its_place() -> None:
    contacts = [
        parent("a", email="nobody", phone="12"),
        parent("b", givenName=None, familyName=None),
        parent("c", phone="12", sms="312-555-0142"),
        parent("d", phone="13", sms="14", familyName=None),
    ]
    students = [
        user("s1", agents=["a", "lost"]),
        user("s2", agents=["a"]),
        user("s3", agents=["c"]),
        user("s4", agents=["d"]),
    ]
    assert sorted(noted(students, contacts)) == [
        ("contacts", "a", "email", "invalid_email", "warning"),
        ("contacts", "a", "phone", "invalid_phone", "warning"),
        ("contacts", "b", "familyName", "missing_name", "error"),
        ("contacts", "d", "phone", "invalid_phone", "warning"),
        ("contacts", "s1", "agents", "unresolved_agent", "warning"),
    ]


@pytest.mark.parametrize(
    ("parents", "children", "rules"), [(5, 10, []), (6, 10, ["many_contacts"]), (5, 11, ["many_students"])]
)
def test_five_contacts_and_ten_students_are_not_many(parents: int, children: int, rules: list[str]) -> None:
    contacts = [parent(f"p{place}") for place in range(parents)]
    students = [user("s00", agents=[contact["sourcedId"] for contact in contacts])]
    students += [user(f"s{place:02}", agents=["p0"]) for place in range(1, children)]
    students += [user("alone")]
    told = cleaned(students, PARENTS, contacts)
    found = told.rejected[["collection", "sourced_id", "field", "rule", "severity"]].itertuples(index=False, name=None)
    who = {"many_contacts": "s00", "many_students": "p0"}
    assert list(found) == [("contacts", who[rule], "agents", rule, "warning") for rule in rules]
    assert told.contact_flags == {
        "students": children + 1,
        "without_contact": 1,
        "unresolved_agents": 0,
        "students_with_many_contacts": int("many_contacts" in rules),
        "contacts_of_many_students": int("many_students" in rules),
    }


@pytest.mark.parametrize(
    ("roles", "relationship"),
    [
        (["Guardian"], "guardian"),
        (["relative", "parent"], "parent"),
        ([" EXT:Emergency "], "ext:emergency"),
        (["aide", "ext:doctor", "ext:emergency"], "ext:doctor"),
        ([None, "ext:doctor"], "ext:doctor"),
    ],
)
def test_a_relationship_is_the_best_role_of_a_contact(roles: list[str | None], relationship: str) -> None:
    contact = parent("a", roles=[entry(role, None) for role in roles])
    line = row_of(cleaned([user("s", agents=["a"])], PARENTS, [contact]).roster, "s")
    assert line["contact_relationship"] == relationship


@pytest.mark.parametrize(
    ("agents", "contacts", "primary"),
    [
        (["a"], [parent("a", givenName=None)], "a"),
        (["a"], [parent("a", familyName=None)], "a"),
        (["a", "b"], [parent("a", roles=[entry("parent", begin="2099-01-01")]), parent("b")], "b"),
        (["a", "b"], [parent("a", "ext:doctor"), parent("b", "relative")], "b"),
        (["b", "a"], [parent("a", agents=["s"]), parent("b")], "b"),
    ],
)
def test_who_may_be_a_primary_contact(agents: list[str], contacts: list[dict[str, Any]], primary: str) -> None:
    line = row_of(cleaned([user("s", agents=agents)], PARENTS, contacts).roster, "s")
    assert line["contact_sourced_id"] == primary


def test_every_student_keeps_the_contact_of_their_own() -> None:
    students = [user("s1", agents=["z"]), user("s2", agents=["y"]), user("s3"), user("s4", agents=["x", "y"])]
    contacts = [parent("x"), parent("y", "parent", phone="312-555-0142"), parent("z", email="z@example.org")]
    roster = cleaned(students, PARENTS, contacts).roster
    told = {name: row_of(roster, name) for name in ("s1", "s2", "s3", "s4")}
    assert [(one["contact_sourced_id"], one["contact_email"], one["contact_phone"]) for one in told.values()] == [
        ("z", "z@example.org", None),
        ("y", None, "+13125550142"),
        (None, None, None),
        ("y", None, "+13125550142"),
    ]
