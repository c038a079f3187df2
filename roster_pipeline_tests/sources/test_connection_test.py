"""Test Your Information over REST and CSV: contact rules, and known facts about the SIS."""

from typing import Any

import dagster as dg
import pytest

from roster_pipeline.definitions import build_defs
from roster_pipeline.defs.resources import DirectoryResource
from roster_pipeline.directory import tenants
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
    school.set_connection(contact_rules=["role!=relative"])
    found = items(school)
    told = "role!=relative: 4 of 8 contacts would be accepted (guardian 4 of 4, relative 0 of 4)"
    assert (found["Contact rule on role"]["ok"], found["Contact rule on role"]["detail"]) == (True, told)
    school.set_connection(contact_rules=["role=parent"])
    found = items(school)
    assert (found["Contact rule on role"]["ok"], found["Contact rules"]["ok"]) == (None, None)
    assert found["Contact rule on role"]["detail"].startswith("none would be accepted: role=parent")
    school.choose(primary_contacts=False)
    assert not [name for name in items(school) if name.startswith("Contact")]


def test_what_is_known_of_the_sis_stands_beside_what_is_missing(database: Database, rest: Source) -> None:
    rest.users = [*map(pupil, range(4)), teacher(1), person("a1", "s1", 200, role="aide")]
    school = School(database, rest)
    for sis, known in (("webuntis", "The directorate comes as aide"), ("other", ""), ("no-longer-there", "")):
        school.set_connection(sis=sis)
        found = items(school)
        assert (found["Staff"]["ok"], found["Admins"]["ok"]) == (True, False), sis
        remedy = found["Admins"]["remedy"]
        assert remedy.startswith("Check the share and the permissions in the SIS"), sis
        assert known in remedy, sis
        assert ("Known of" in remedy) == bool(known), sis
        assert "Known of" not in found["Staff"]["remedy"], sis


def test_the_school_is_called_by_its_name_in_the_sis(database: Database, source: Source) -> None:
    source.users = [*map(pupil, range(4)), teacher(1)]
    source.orgs = [one | {"name": "Lincoln High"} if one["sourcedId"] == "s1" else one for one in source.orgs]
    item = items(School(database, source))["School"]
    assert item["ok"] is None
    assert item["detail"].startswith("Lincoln High, found by sourcedId")
    assert "here it is called Alder" in item["detail"]


def test_records_that_are_one_person_are_counted_once(database: Database, source: Source) -> None:
    bare = {"givenName": "Ines", "familyName": "Quay", "identifier": "", "email": "", "username": ""}
    school = School(database, source)
    for shared, told in (
        ("identifier", "2 people (3 records)"),
        ("email", "2 people (3 records)"),
        ("username", "2 people (3 records)"),
        ("sourcedId", "2 in this"),
        (None, "3 in this"),
    ):
        twice = [teacher(n, **bare | ({shared: "same"} if shared else {})) for n in (1, 2)]
        if shared == "sourcedId":
            twice = [teacher(1, **bare), teacher(1, role="aide", **bare), teacher(1, "s2", **bare)]
        source.users = [*map(pupil, range(4)), *twice, teacher(3)]
        assert items(school)["Teachers"]["detail"].startswith(told), shared


def test_people_who_name_no_school_are_counted(database: Database, source: Source) -> None:
    nameless = [pupil(30 + place, org) for place, org in enumerate((None, "", "NULL"))]
    source.users = [*map(pupil, range(30)), *nameless, teacher(1)]
    found = items(School(database, source))
    assert found["No school"]["detail"] == "3 people of this SIS name no school"
    assert found["Students"]["detail"] == "30 in this school"


def test_every_role_is_counted_whether_it_is_rostered_or_not(database: Database, source: Source) -> None:
    roles = ("aide", "principal", "guardian")
    source.users = [*map(pupil, range(4)), teacher(1), *(person(f"x{n}", "s1", n, role=roles[n]) for n in range(3))]
    school = School(database, source)
    off = {"rostered": False, "auto_update": False, "archive": False}
    school.choose(teachers=off, staff=off, admins=off, primary_contacts=False)
    found = items(school)
    assert found["Students"]["detail"] == "4 in this school"
    for name in ("Teachers", "Staff", "Admins"):
        assert (found[name]["ok"], found[name]["detail"]) == (None, "1 in this school; not rostered")
    assert found["Guardians"]["ok"] is None


@pytest.mark.parametrize("unusable", [0, 2])
def test_the_job_shows_every_item_even_if_several_have_one_name(
    database: Database, rest: Source, unusable: int
) -> None:
    statuses = ["strange"] * unusable + ["active"] * 6
    rest.users = [make(n, status=status) for make in (pupil, teacher) for n, status in enumerate(statuses)]
    School(database, rest).choose(staff={"rostered": False}, admins={"rostered": False}, primary_contacts=False)
    url = database.engine.url.render_as_string(hide_password=False)
    job = build_defs(resource_overrides={"directory": DirectoryResource(url=url)}).resolve_job_def("test_connection")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("schools", ["alder"])
        run = job.execute_in_process(partition_key="alder", instance=instance, raise_on_error=False)
    assert run.success is not bool(unusable)
    (event,) = [event for event in run.all_node_events if event.is_step_failure or event.is_successful_output]
    data = event.step_failure_data.user_failure_data if unusable else event.step_output_data
    assert data is not None
    table = data.metadata["items"]
    assert isinstance(table, dg.TableMetadataValue)
    shown = [(row.data["item"], row.data["ok"], row.data["result"]) for row in table.records]
    with database.begin() as conn:
        kept = (tenants.get_school(conn, "alder").test or {})["items"]
    assert [(name, result) for name, _, result in shown] == [(item["name"], item["detail"]) for item in kept]
    usable = [(ok, result) for name, ok, result in shown if name == "Usable records"]
    assert [ok for ok, _ in usable] == (["red", "red"] if unusable else ["green"])
