"""Decisions change the directory without a run. Dagster's history still shows them."""

from typing import Any

import dagster as dg
import pytest
from dagster._core.event_api import PartitionKeyFilter
from dagster._serdes import serialize_value
from sqlalchemy import text

from roster_pipeline.definitions import build_defs
from roster_pipeline.defs.resources import DirectoryResource
from roster_pipeline.defs.sensors import report_decisions
from roster_pipeline.directory import tenants
from roster_pipeline.directory.accounts import Place, grant
from roster_pipeline.services import decisions, person_changes
from roster_pipeline_tests.directory.builders import Decision
from roster_pipeline_tests.hostile_strings import hostile_strings, leaked
from roster_pipeline_tests.scenarios.conftest import DagsterDistrict

WHO = Decision(who="zyxpoison@school.example", reason="qqleak said so")


@pytest.fixture
def district(dagster_district: DagsterDistrict) -> DagsterDistrict:
    """Every sync of this module is a run of Dagster."""
    return dagster_district


def newest(district: DagsterDistrict, table: str) -> int:
    return int(district.value(f"select max(id) from {table}") or 0)


def tick(district: DagsterDistrict, cursor: str | None = None, store: bool = True) -> str | None:
    """One tick of the sensor. The daemon stores its events, and then its cursor."""
    defs = build_defs(resource_overrides={"directory": DirectoryResource(url=district.url)})
    with dg.build_sensor_context(
        instance=district.instance,
        cursor=cursor,
        last_sensor_start_time=0.0,
        definitions=defs,
        resources={"directory": DirectoryResource(url=district.url)},
    ) as context:
        seen = report_decisions.evaluate_tick(context)
    for event in seen.asset_events if store else ():
        district.instance.report_runless_asset_event(event)
    return seen.cursor if store else cursor


def materializations(district: DagsterDistrict) -> list[dict[str, Any]]:
    """The facts of materializations of `applied_changes` without a run, newest first."""
    found = district.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("applied_changes"), asset_partitions=["lincoln"]), limit=50
    )
    events = [record.asset_materialization for record in found.records]
    said = [{name: value.value for name, value in event.metadata.items()} for event in events if event]
    return [of for of in said if "decision" in of]


def checks(district: DagsterDistrict) -> dict[str, bool]:
    """The newest result of both verdict checks of the school."""
    found = {}
    for name in ("archival_verdict", "plan_verdict"):
        key, of = dg.AssetCheckKey(dg.AssetKey("roster_diff"), name), PartitionKeyFilter(key="lincoln")
        (record,) = district.instance.event_log_storage.get_asset_check_execution_history(key, 1, partition_filter=of)
        found[name] = record.status.value == "SUCCEEDED"
    return found


def held(district: DagsterDistrict) -> int:
    """A plan with held archivals."""
    district.run_sync()
    for student in district.people.people_of("sch-1", "student")[:20]:
        district.people.remove(student.sourced_id)
    district.run_sync()
    assert checks(district) == {"archival_verdict": False, "plan_verdict": True}
    return newest(district, "plan")


def test_an_approval_is_a_materialization_and_a_fresh_check_of_its_school(district: DagsterDistrict) -> None:
    district.add_school(first_sync="approve")
    with district.database.begin() as conn:
        grant(conn, WHO["who"], Place(school_id=tenants.get_school(conn, "lincoln").id), by="operator")
    district.run_sync()
    assert checks(district)["plan_verdict"] is False
    done = decisions.approve(district.database, "lincoln", newest(district, "plan"), **WHO)
    assert materializations(district) == [], "the decision does not wait for Dagster"
    cursor = tick(district)
    (shown,) = materializations(district)
    assert (shown["decision"], shown["decided_by"], shown["sync"]) == ("approval", "owner", done.sync_id)
    assert shown["create"] == shown["dagster/row_count"] == district.count("membership")
    assert checks(district) == {"archival_verdict": True, "plan_verdict": True}
    assert district.count("unreported_decision") == 1
    cursor = tick(district, cursor)
    assert district.count("unreported_decision") == 0
    tick(district, cursor)
    assert len(materializations(district)) == 1


def test_a_decision_whose_tick_broke_off_is_reported_by_the_next(district: DagsterDistrict) -> None:
    district.add_school()
    decisions.approve(district.database, "lincoln", held(district), **WHO)
    cursor = tick(district, store=False)
    assert materializations(district) == []
    tick(district, cursor)
    (shown,) = materializations(district)
    assert (shown["archive"], shown["decided_by"]) == (20, "command line")


def test_a_discarded_plan_waits_for_nobody_and_changes_nothing(district: DagsterDistrict) -> None:
    district.add_school()
    decisions.discard(district.database, "lincoln", held(district), **WHO)
    tick(district)
    assert materializations(district) == []
    assert checks(district) == {"archival_verdict": True, "plan_verdict": True}


def test_a_decision_about_an_older_plan_leaves_the_check_of_the_newer_one(district: DagsterDistrict) -> None:
    district.add_school()
    decisions.discard(district.database, "lincoln", held(district), **WHO)
    district.run_sync()
    tick(district)
    assert checks(district)["archival_verdict"] is False


def test_rollbacks_and_changes_of_one_membership_are_reported_and_name_nobody(
    district: DagsterDistrict, caplog: pytest.LogCaptureFixture
) -> None:
    district.add_school()
    hostile_strings(district.people)
    district.run_sync()
    with district.database.begin() as conn:
        person_id = int(conn.scalar(text("select min(person_id) from membership")) or 0)
        person_changes.set_archived(conn, "lincoln", person_id, True, **WHO)
        person_changes.set_archived(conn, "lincoln", person_id, False, **WHO)
        person_changes.add(conn, "lincoln", {"given_name": "Zyxpoison", "role": "staff"}, **WHO)
    decisions.roll_back(district.database, newest(district, "sync"), **WHO)
    tick(district)
    shown = [(of["decision"], of["dagster/row_count"]) for of in materializations(district)]
    added_and_restored = 2  # later changes by people stay
    others = district.count("change_log", "entity = 'membership' and operation = 'insert'") - added_and_restored
    assert shown == [("rollback", others), ("addition", 1), ("restore", 1), ("archival", 1)]
    events = district.instance.event_log_storage.get_records_for_run("", limit=100).records
    said = "".join(serialize_value(record.event_log_entry) for record in events) + caplog.text
    assert "rollback" in said
    assert leaked(said) == []
