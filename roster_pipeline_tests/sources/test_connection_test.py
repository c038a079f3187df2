"""Test Your Information as an owner gets it, over either way: contact rules, and what is known of the SIS."""

from __future__ import annotations

from typing import Any

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline.sync.connection_checks import check_connection
from roster_pipeline_tests.sources.conftest import School, Source, person, pupil, teacher


def items(school: School) -> dict[str, dict[str, Any]]:
    school.source.write()
    return {item["name"]: item for item in check_connection(school.database, "alder")}


def test_the_contact_rules_are_tried_on_the_contacts_of_the_school(database: Database, source: Source) -> None:
    pupils = [pupil(n, agentSourcedIds=f"g{n},r{n}") for n in range(4)]
    elders = [person(f"g{n}", None, 200 + n, role="guardian") for n in range(4)]
    elders += [person(f"r{n}", None, 300 + n, role="relative") for n in range(4)]
    source.users = [*pupils, *elders, teacher(1)]
    school = School(database, source)
    school.connect(contact_rules=["role!=relative"])
    found = items(school)
    told = "role!=relative: 4 of 8 contacts would be accepted (guardian 4 of 4, relative 0 of 4)"
    assert (found["Contact rule on role"]["ok"], found["Contact rule on role"]["detail"]) == (True, told)
    school.connect(contact_rules=["role=parent"])
    found = items(school)
    assert (found["Contact rule on role"]["ok"], found["Contact rules"]["ok"]) == (None, None)
    assert found["Contact rule on role"]["detail"].startswith("none would be accepted: role=parent")
    school.choose(primary_contacts=False)
    assert not [name for name in items(school) if name.startswith("Contact")]


@pytest.mark.parametrize(
    ("sis", "known"), [("webuntis", "The directorate comes as aide"), ("other", ""), ("no-longer-there", "")]
)
def test_what_is_known_of_the_sis_stands_beside_what_is_missing(
    database: Database, rest: Source, sis: str, known: str
) -> None:
    rest.users = [*map(pupil, range(4)), teacher(1), person("a1", "s1", 200, role="aide")]
    school = School(database, rest)
    school.connect(sis=sis)
    found = items(school)
    assert (found["Staff"]["ok"], found["Admins"]["ok"]) == (True, False)
    assert found["Admins"]["remedy"].startswith("Check the share and the permissions in the SIS")
    assert known in found["Admins"]["remedy"]
    assert ("Known of" in found["Admins"]["remedy"]) == bool(known)
    assert "Known of" not in found["Staff"]["remedy"]


def test_the_school_is_called_by_its_name_in_the_sis(database: Database, source: Source) -> None:
    source.users = [*map(pupil, range(4)), teacher(1)]
    source.orgs = [one | {"name": "Lincoln High"} if one["sourcedId"] == "s1" else one for one in source.orgs]
    item = items(School(database, source))["School"]
    assert item["ok"] is None
    assert item["detail"].startswith("Lincoln High, found by sourcedId")
    assert "here it is called Alder" in item["detail"]
