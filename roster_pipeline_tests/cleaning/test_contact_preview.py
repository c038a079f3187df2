"""Contact rules in Test Your Information: how many contacts each would accept."""

from typing import Any

import pytest

from roster_pipeline.oneroster.collections.wanted import Batch
from roster_pipeline.oneroster.connection_test_items import CheckItem
from roster_pipeline.sync.connection_checks import FIELD_REMEDY, RULES_REMEDY, ContactPreview
from roster_pipeline_tests.cleaning.test_contact_rules import parent, ruled
from roster_pipeline_tests.hostile_strings import POISON
from roster_pipeline_tests.planning.builders import HERE, TODAY, entry, school, user

ORG = {"sourcedId": HERE, "identifier": None, "name": "Here", "type": "school", "parent": None, "status": "active"}


def family() -> list[dict[str, Any]]:
    """Three students of the school with a parent, a guardian and a relative, and one of another school."""
    pupils = [user(f"s{n}", agents=[f"p{n}", f"g{n}", f"r{n}"]) for n in range(3)]
    roles = {"p": "parent", "g": "guardian", "r": "relative"}
    elders = [parent(f"{letter}{n}", role) for n in range(3) for letter, role in roles.items()]
    elsewhere = user("s9", agents=["p9"], roles=[entry("student", "other-school")])
    return [*pupils, *elders, elsewhere, parent("p9", "parent"), parent("x9", "guardian")]


def items(people: list[dict[str, Any]], *rules: str, contacts: bool = True, **more: Any) -> dict[str, CheckItem]:
    preview = ContactPreview(ruled(*rules, **more), school(primary_contacts=contacts), TODAY)
    for _ in range(2):
        preview.start()
        preview.take(Batch("org", [ORG], []))
        preview.take(Batch("user", people, []))
    return {item.name: item for item in preview.items()}


def test_without_rules_every_contact_of_the_school_counts() -> None:
    item = items(family())["Contact rules"]
    assert item.ok is None
    assert item.detail == (
        "none set: 9 of 9 contacts would be accepted (guardian 3 of 3, parent 3 of 3, relative 3 of 3); "
        "3 of 3 students of this school would have a contact"
    )


def test_each_rule_tells_how_many_of_each_role_it_accepts() -> None:
    found = items(family(), "role!=relative", "metadata:call=true")
    told = "role!=relative: 6 of 9 contacts would be accepted (guardian 3 of 3, parent 3 of 3, relative 0 of 3)"
    assert (found["Contact rule on role"].ok, found["Contact rule on role"].detail) == (True, told)
    assert "no contact has this field" in found["Contact rule on metadata:call"].detail
    assert found["Contact rules"].detail == "none would be accepted by all rules together"
    assert [item.ok for item in found.values()].count(None) == 2


@pytest.mark.parametrize(
    ("rule", "value", "detail", "remedy"),
    [
        ("metadata:call=ja", "yes", "none would be accepted: metadata:call=ja", RULES_REMEDY),
        ("metadata:call!=yes", "yes", "none would be accepted: metadata:call!=yes", RULES_REMEDY),
        ("role=mother", None, "none would be accepted: role=mother", RULES_REMEDY),
        ("metadata:call=yes", None, "none would be accepted: no contact has this field", FIELD_REMEDY),
        ("metadata:barred!=yes", None, "9 of 9 contacts would be accepted", FIELD_REMEDY),
    ],
)
def test_a_rule_that_accepts_nobody_or_reads_nothing_is_a_warning(
    rule: str, value: str | None, detail: str, remedy: str
) -> None:
    people = family()
    for one in people if value else ():
        one["metadata"] = {"call": value}
    item = next(item for name, item in items(people, rule).items() if name.startswith("Contact rule on"))
    assert (item.ok, item.remedy) == (None, remedy)
    assert detail in item.detail


def test_relationships_are_shown_only_in_the_words_of_the_rule() -> None:
    people = family()
    for one in people:
        one["metadata"] = {"kin": {"p": "Mother", "g": "FATHER", "r": POISON[0]}.get(one["sourcedId"][0])}
    found = items(people, "relationship=mother,father", contact_relationship_from="metadata:kin")
    assert "(father 3 of 3, mother 3 of 3, other 0 of 3)" in found["Contact rule on relationship"].detail
    assert "3 of 3 students" in found["Contact rules"].detail
    assert not [word for item in found.values() for word in POISON if word in f"{item.detail} {item.remedy}"]


def test_a_pair_that_is_excluded_leaves_the_contact_to_the_other_child() -> None:
    one = user("s1", agents=["p"], metadata={"agents:court": {"p": "no"}})
    other = user("s2", agents=["p"], metadata={"agents:court": {"p": "yes"}})
    found = items([one, other, parent("p", "parent")], "agents:court!=yes")
    assert "1 of 1 contact would" in found["Contact rule on agents:court"].detail
    assert "1 of 2 students" in found["Contact rules"].detail


def test_nothing_is_shown_if_contacts_are_off_or_nobody_is_linked() -> None:
    assert items(family(), contacts=False) == {}
    assert items([user("s1"), parent("p1")], "role!=relative") == {}
