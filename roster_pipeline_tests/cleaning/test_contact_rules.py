"""Contact rules: excluded contacts, and what happens to stored ones."""

import json
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from roster_pipeline.cleaning.clean import Cleaned, CleaningContext, clean
from roster_pipeline.cleaning.contact_rules import ALLOWED, EXCLUDED, UNKNOWN, rules_of, withheld_fields
from roster_pipeline.frames import frame_of
from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.planning.guards import judge
from roster_pipeline.planning.plan import Plan, make_plan
from roster_pipeline.planning.plan_stats import plan_stats_of
from roster_pipeline.settings.school import ConnectionSettings, Guards, RoleSettings, SchoolSettings
from roster_pipeline_tests.planning.builders import (
    COMPLETE,
    HERE,
    SIS,
    TODAY,
    Directory,
    allows,
    entry,
    row_of,
    school,
    user,
)

QUIET = RoleSettings(rostered=True)
Records = list[dict[str, Any]]


def parent(sourced_id: str, role: str = "guardian", **members: Any) -> dict[str, Any]:
    return user(sourced_id, roles=[entry(role, None)], identifier=None) | members


def ruled(*rules: str, **more: Any) -> ConnectionSettings:
    return ConnectionSettings(url=SIS.url, contact_rules=list(rules), **more)


def cleaned(
    users: Records, contacts: Records, connection: ConnectionSettings, *, withheld: tuple[str, ...] = (), **wishes: Any
) -> Cleaned:
    context = CleaningContext(
        HERE, school(primary_contacts=True, **wishes), connection, TODAY, withheld=frozenset(withheld)
    )
    return clean(frame_of(users), frame_of(contacts), context)


def chosen(told: Cleaned, student: str = "s") -> list[str]:
    """The ids of a student's contacts in order."""
    row = row_of(told.roster, student)
    more = json.loads(row["more_contacts"] or "[]")
    return [one for one in (row["contact_sourced_id"], *(each[0] for each in more)) if one]


@pytest.mark.parametrize(
    ("rules", "value", "verdict"),
    [
        (["metadata:k=true"], "true", ALLOWED),
        (["metadata:k=true"], " YES ", ALLOWED),
        (["metadata:k=yes"], "1", ALLOWED),
        (["metadata:k=true"], "false", EXCLUDED),
        (["metadata:k=true"], None, EXCLUDED),
        (["metadata:k=true"], "null", EXCLUDED),
        (["metadata:k=true"], "maybe", UNKNOWN),
        (["metadata:k!=true"], "true", EXCLUDED),
        (["metadata:k!=true"], "T", EXCLUDED),
        (["metadata:k!=true"], "no", ALLOWED),
        (["metadata:k!=true"], None, ALLOWED),
        (["metadata:k!=true"], "", ALLOWED),
        (["metadata:k!=true"], "court order", UNKNOWN),
        (["metadata:k!=no"], "no", EXCLUDED),
        (["metadata:k!=no"], "y", ALLOWED),
        (["metadata:k!=none"], "None", EXCLUDED),
        (["metadata:k!=none"], "joint", UNKNOWN),
        (["metadata:k=joint,sole"], "Joint", ALLOWED),
        (["metadata:k=joint,sole"], "none", UNKNOWN),
        (["metadata:k=joint", "metadata:k!=none"], "none", EXCLUDED),
        (["metadata:k=joint", "metadata:k!=none"], None, EXCLUDED),
        (["metadata:k!=true"], "\x01false\x01true", EXCLUDED),
        (["metadata:k!=true"], "\x01false\x01perhaps", UNKNOWN),
        (["metadata:k=mail"], "\x01lives with\x01mail", ALLOWED),
        (["metadata:k!=true"], "\x02", UNKNOWN),
        (["role!=relative"], "\x01guardian", ALLOWED),
        (["role!=relative"], "\x01guardian\x01relative", EXCLUDED),
        (["role=guardian"], "\x01parent", EXCLUDED),
        (["relationship!=stepfather"], "mother", ALLOWED),
        (["relationship!=stepfather"], "Stepfather", EXCLUDED),
        (["relationship=mother,father"], "neighbour", EXCLUDED),
        (["relationship=mother"], None, EXCLUDED),
    ],
)
def test_what_a_rule_says_of_a_value(rules: list[str], value: str | None, verdict: int) -> None:
    (rule,) = rules_of(rules)
    assert rule.verdict(value) == verdict


@pytest.mark.parametrize(
    "rule", ["custody=joint", "metadata:custody", "metadata:custody=", "metadata:=x", "role~x", ""]
)
def test_a_rule_that_cannot_be_read_is_refused(rule: str) -> None:
    with pytest.raises(ValidationError, match="FIELD=VALUES"):
        ruled(rule)


@pytest.mark.parametrize(
    ("rules", "metadata", "excluded"),
    [
        (["metadata:custody!=none", "metadata:custody=joint,sole"], {"custody": "none"}, True),
        (["metadata:custody=joint,sole"], {"custody": "Joint"}, False),
        (["metadata:restrained!=true"], {"restrained": True}, True),
        (["metadata:restrained!=true"], {"restrained": False}, False),
        (["metadata:receivesMail=true"], {"receivesMail": "false"}, True),
        (["metadata:receivesMail=true"], {"receivesMail": True}, False),
        (["metadata:receivesMail=true"], {"receivesMail": None}, True),
        (["metadata:receivesMail=true"], {"receivesMail": "vielleicht"}, True),
        (["metadata:restrained!=true"], {"restrained": {}}, True),
        (["metadata:restrained!=true"], {"restrained": [False, True]}, True),
        (["metadata:restrained!=true"], {}, False),
    ],
)
def test_who_may_not_be_called_is_not_chosen(rules: list[str], metadata: dict[str, Any], excluded: bool) -> None:
    told = cleaned([user("s", agents=["a", "b"])], [parent("a", metadata=metadata), parent("b", metadata={
        "custody": "joint", "restrained": False, "receivesMail": "yes"})], ruled(*rules))  # fmt: skip
    assert chosen(told) == (["b"] if excluded else ["a"])
    assert list(told.excluded_contacts["sourced_id"]) == (["a"] if excluded else [])
    assert told.contact_flags["excluded"] == int(excluded)


def test_an_unknown_value_is_noted_without_the_value_and_counted() -> None:
    told = cleaned([user("s", agents=["a"])], [parent("a", metadata={"k": "court"})], ruled("metadata:k!=true"))
    assert chosen(told) == []
    assert told.rejected[["sourced_id", "rule", "severity"]].values.tolist() == [
        ["a", "unknown_contact_value", "warning"]
    ]
    assert told.contact_flags["unknown_values"] == 1


def test_a_contact_is_excluded_by_role_also_one_that_nobody_maps() -> None:
    contacts = [parent("a", roles=[entry("guardian", None), entry("ext:noContact", None)]), parent("b", "relative")]
    told = cleaned([user("s", agents=["a", "b"])], contacts, ruled("role!=ext:noContact,relative"))
    assert chosen(told) == []
    contacts = [parent("a", roles=[entry("guardian", None), entry("ext:noContact", None, end="2026-01-01")])]
    assert chosen(cleaned([user("s", agents=["a"])], contacts, ruled("role!=ext:noContact"))) == ["a"]


def test_a_contact_is_excluded_by_the_relationship_that_the_sis_tells() -> None:
    connection = ruled("relationship!=stepfather", contact_relationship_from="metadata:relation")
    contacts = [parent("a", metadata={"relation": "Stepfather"}), parent("b", metadata={"relation": "Mother"})]
    told = cleaned([user("s", agents=["a", "b"])], contacts, connection)
    assert chosen(told) == ["b"]
    assert row_of(told.roster, "s")["contact_relationship"] == "Mother"


def test_an_entry_of_agents_excludes_a_contact_for_that_student_alone() -> None:
    connection = ruled("agents:mayCall!=false")
    users = [
        user("s", agents=["a", "b"], metadata={"agents:mayCall": {"a": False, "b": True}}),
        user("t", agents=["a"], metadata={"agents:mayCall": {"a": "yes"}}),
    ]
    told = cleaned(users, [parent("a"), parent("b")], connection)
    assert (chosen(told, "s"), chosen(told, "t")) == (["b"], ["a"])
    assert told.excluded_contacts.values.tolist() == [["a", "s"]]
    by_contact = [parent("a", agents=["s"], metadata={"agents:mayCall": {"s": "no"}})]
    assert chosen(cleaned([user("s", agents=["a"])], by_contact, connection)) == []


def test_a_relationship_may_differ_from_student_to_student() -> None:
    connection = ruled("relationship!=uncle", contact_relationship_from="agents:relation")
    users = [
        user("s", agents=["a"], metadata={"agents:relation": {"a": "Father"}}),
        user("t", agents=["a"], metadata={"agents:relation": {"a": "Uncle"}}),
    ]
    told = cleaned(users, [parent("a")], connection)
    assert (chosen(told, "s"), chosen(told, "t")) == (["a"], [])
    assert row_of(told.roster, "s")["contact_relationship"] == "Father"


def test_several_contacts_stand_in_order_with_their_flags() -> None:
    connection = ruled("metadata:no!=true", contact_flags=["metadata:mail", "metadata:lives"])
    contacts = [
        parent("a", "relative", metadata={"mail": True}),
        parent("b", "parent", metadata={"mail": "n", "lives": 'at "home" \\ here'}),
        parent("c", metadata={"no": "yes"}),
        parent("d"),
    ]
    told = cleaned([user("s", agents=["a", "b", "c", "d"])], contacts, connection, contacts_most=5)
    assert chosen(told) == ["b", "d", "a"]
    row = row_of(told.roster, "s")
    assert json.loads(row["contact_flags"]) == {"lives": 'at "home" \\ here', "mail": "n"}
    assert [each[6] and json.loads(each[6]) for each in json.loads(row["more_contacts"])] == [None, {"mail": "true"}]
    assert chosen(cleaned([user("s", agents=["a", "b", "d"])], contacts, connection, contacts_most=2)) == ["b", "d"]


def test_brothers_and_sisters_with_one_contact_have_the_same_values_of_it() -> None:
    contacts = [parent("a"), parent("b", email="B@Example.org")]
    users = [user("s", agents=["a", "b"]), user("t", agents=["b", "a"])]
    told = cleaned(users, contacts, ruled(), contacts_most=3)
    of_s, of_t = row_of(told.roster, "s"), row_of(told.roster, "t")
    assert (chosen(told, "s"), chosen(told, "t")) == (["a", "b"], ["b", "a"])
    assert json.loads(of_s["more_contacts"])[0][:6] == [
        of_t[f"contact_{name}"]
        for name in ("sourced_id", "given_name", "family_name", "relationship", "email", "phone")
    ]


# what is stored


class School:
    """One school over several syncs: the directory in memory, and the rules of its connection."""

    def __init__(self, *rules: str, **wishes: Any) -> None:
        self.directory = Directory()
        self.connection = ruled(*rules)
        self.settings: SchoolSettings = school(primary_contacts=True, **wishes)

    def plan(
        self, users: Records, contacts: Records, snapshot: SnapshotFacts = COMPLETE, withheld: tuple[str, ...] = ()
    ) -> Plan:
        context = CleaningContext(HERE, self.settings, self.connection, TODAY, withheld=frozenset(withheld))
        told = clean(frame_of(users), frame_of(contacts), context)
        return make_plan(
            told.roster, self.directory.frames(), self.settings, snapshot, excluded_contacts=told.excluded_contacts
        )

    def sync(self, users: Records, contacts: Records, **more: Any) -> Plan:
        plan = self.plan(users, contacts, **more)
        self.directory.apply(plan)
        return plan

    def stored(self, who: int = 1) -> list[str]:
        member = self.directory.members[who]
        more = json.loads(member["more_contacts"] or "[]")
        return [one for one in (member["contact_sourced_id"], *(each[0] for each in more)) if one]


GOOD, BAD = {"k": "false"}, {"k": "true"}


def contact_rows(plan: Plan) -> list[tuple[int, str, list[str]]]:
    rows = plan.rows[plan.rows["role"] == "contact"]
    return list(zip(rows["person_id"].tolist(), rows["reason"].tolist(), rows["sourced_ids"].tolist(), strict=True))


@pytest.mark.parametrize("auto_update", [True, False])
@pytest.mark.parametrize("value", ["true", "yes", "court order 17", ["false", "true"]])
def test_a_right_that_is_withdrawn_removes_the_stored_contact(auto_update: bool, value: Any) -> None:
    place = School("metadata:k!=true", students=RoleSettings(rostered=True, auto_update=auto_update))
    place.sync([user("s", agents=["a"])], [parent("a", metadata=GOOD)])
    assert place.stored() == ["a"]
    plan = place.sync([user("s", agents=["a"])], [parent("a", metadata={"k": value})])
    assert contact_rows(plan) == [(1, "contact_excluded", ["a"])]
    assert place.stored() == []
    assert contact_rows(place.plan([user("s", agents=["a"])], [parent("a", metadata={"k": value})])) == []


def test_the_next_best_contact_follows_with_auto_update_on_alone() -> None:
    users, both = [user("s", agents=["a", "b"])], [parent("a", metadata=GOOD), parent("b", metadata=GOOD)]
    after = [parent("a", metadata=BAD), parent("b", metadata=GOOD)]
    for auto_update, stored in ((True, ["b"]), (False, [])):
        place = School("metadata:k!=true", students=RoleSettings(rostered=True, auto_update=auto_update))
        place.sync(users, both)
        place.sync(users, after)
        assert place.stored() == stored


def test_a_contact_behind_the_primary_one_is_removed_and_the_others_stay() -> None:
    place = School("metadata:k!=true", students=QUIET, contacts_most=3)
    users = [user("s", agents=["a", "b", "c"])]
    place.sync(users, [parent(name, metadata=GOOD) for name in "abc"])
    assert place.stored() == ["a", "b", "c"]
    place.sync(users, [parent("a", metadata=GOOD), parent("b", metadata=BAD), parent("c", metadata=GOOD)])
    assert place.stored() == ["a", "c"]
    place.sync(users, [parent("a", metadata=BAD), parent("b", metadata=BAD), parent("c", metadata=GOOD)])
    assert place.stored() == ["c"]


@pytest.mark.parametrize("state", ["archived", "absent", "role off", "excluded", "conflict", "link cut", "not alone"])
def test_an_excluded_contact_is_removed_in_every_state_of_the_student(state: str) -> None:
    place = School("metadata:k!=true", students=RoleSettings(rostered=True, archive=state == "archived"))
    users = [user("s", agents=["a"]), user("t")]
    place.sync(users, [parent("a", metadata=GOOD)])
    if state in ("archived", "absent"):
        users = users[1:]
        place.sync(users, [])
    if state == "role off":
        place.settings = school(primary_contacts=True, students=RoleSettings())
    if state == "excluded":
        place.directory.people[1]["excluded"] = True
    if state == "conflict":
        users = [user("s", agents=["a"]), user("t", identifier="N-s")]
    if state == "link cut":
        users = [user("s"), user("t")]
    if state == "not alone":
        users = [user("s", agents=["a", "lost"]), user("t")]
    assert contact_rows(place.sync(users, [parent("a", metadata=BAD)])) == [(1, "contact_excluded", ["a"])]
    assert place.stored() == []


def test_the_only_contact_of_the_school_is_removed_though_a_sync_without_contacts_removes_nothing() -> None:
    place = School("metadata:k!=true")
    users = [user("s", agents=["a"])]
    place.sync(users, [parent("a", metadata=GOOD)])
    assert contact_rows(place.plan(users, [])) == []
    place.sync(users, [parent("a", metadata=BAD)])
    assert place.stored() == []


def test_a_contact_that_was_not_delivered_now_is_kept() -> None:
    place = School("metadata:k!=true", contacts_most=3)
    users = [user("s", agents=["a", "b", "c"])]
    place.sync(users, [parent(name, metadata=GOOD) for name in "abc"])
    place.sync(users, [parent("a", metadata=GOOD), parent("c", metadata=GOOD)])
    assert place.stored() == ["a", "b", "c"]


def test_an_entry_of_agents_removes_the_contact_of_that_student_alone() -> None:
    place = School("agents:mayCall!=false")
    contacts = [parent("a")]
    place.sync([user("s", agents=["a"]), user("t", agents=["a"])], contacts)
    barred = user("s", agents=["a"], metadata={"agents:mayCall": {"a": "no"}})
    place.sync([barred, user("t", agents=["a"])], contacts)
    assert (place.stored(1), place.stored(2)) == ([], ["a"])


def test_no_guard_holds_the_removal_of_a_contact() -> None:
    place = School("metadata:k!=true")
    users = [user(f"s{n}", agents=[f"a{n}"]) for n in range(6)]
    place.sync(users, [parent(f"a{n}", metadata=GOOD) for n in range(6)])
    plan = place.plan(users, [parent(f"a{n}", metadata=BAD) for n in range(6)])
    window = {"first": TODAY, "last": TODAY, "kind": "blackout"}
    nothing = pd.DataFrame(columns=["collection", "sourced_id", "field", "rule", "severity", "role"], dtype="str")
    facts = plan_stats_of(
        plan, cleaned(users, [], ruled()).roster, nothing, place.directory.frames(), COMPLETE, pd.DataFrame(), TODAY
    )
    verdict = judge(plan, facts, Guards(windows=[window]))
    assert allows(verdict, "contact", "update")
    assert not allows(verdict, "student", "update")
    assert verdict.held == []


@pytest.mark.parametrize(
    ("rules", "delivered", "known", "withheld"),
    [
        (["metadata:k=true"], [], [], {"metadata:k"}),
        (["metadata:k=true"], ["metadata:k"], [], set()),
        (["metadata:k!=true"], [], [], set()),
        (["metadata:k!=true"], [], ["metadata:k"], {"metadata:k"}),
        (["metadata:k!=true"], ["metadata:k"], ["metadata:k"], set()),
        (["role=guardian"], [], [], set()),
        (["relationship!=x"], [], ["metadata:r"], {"relationship"}),
        (["relationship!=x"], [], [], set()),
    ],
)
def test_a_field_without_values_is_ignored(
    rules: list[str], delivered: list[str], known: list[str], withheld: set[str]
) -> None:
    connection = ruled(*rules, contact_relationship_from="metadata:r")
    assert withheld_fields(connection, delivered, known) == withheld


def test_while_a_field_is_missing_stored_contacts_stay_and_nobody_new_is_chosen() -> None:
    place = School("metadata:k=true")
    users = [user("s", agents=["a"]), user("t", agents=["b"])]
    place.sync(users[:1], [parent("a", metadata={"k": "yes"})])
    place.sync(users, [parent("a"), parent("b")], withheld=("metadata:k",))
    assert (place.stored(1), place.stored(2)) == (["a"], [])
    place.sync(users, [parent("a", metadata={"k": "yes"}), parent("b", metadata={"k": "yes"})])
    assert (place.stored(1), place.stored(2)) == (["a"], ["b"])
