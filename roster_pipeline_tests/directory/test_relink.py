"""Relink: new ids for the people they matched, and nothing else."""

import pytest

from roster_pipeline.directory import approvals, plans
from roster_pipeline.directory.apply import PlanStale
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.directory.builders import (
    Decision,
    every,
    newcomer,
    one,
    person_of,
    row,
    sync_rows,
    write_plan,
)

FINDING = {"guard": "rekeyed", "message": "most ids are new", "value": 1.0, "limit": 0.2, "overridable": True}
HELD = {("student", action): [FINDING] for action in ("create", "update", "restore", "archive")}
BY = Decision(who="owner", reason="the SIS was upgraded")


def _rekeyed(database: Database, school: SchoolRow) -> int:
    rows = []
    for old, action in (("a1", "unchanged"), ("a2", "update")):
        new = [f"new-{old}"]
        changes = {"primary_record": new[0]} | ({"given_name": "Other"} if action == "update" else {})
        rows.append(
            row(action, person_of(database, old), changes=changes, links=new, new_links=new, matched_by="number")
        )
    return write_plan(database, school, [*rows, newcomer("a3")], held=HELD)


def test_only_links_are_written_and_the_plan_is_made_anew(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("a1"), newcomer("a2"))
    plan_id = _rekeyed(database, lincoln)
    result = builders.relink(database, plan_id, **BY)
    assert result.counts == {"student": {"link": 2}}
    assert every(database, "select sourced_id, is_primary from link order by 1") == [
        ("a1", False),
        ("a2", False),
        ("new-a1", True),
        ("new-a2", True),
    ]
    assert every(database, "select distinct given_name from person") == [("Ada",)]
    assert one(database, "select kind from sync where id = :id", id=result.sync_id) == "relink"
    assert database.call(plans.get, plan_id).state == "replaced"
    with pytest.raises(approvals.PlanChanged):
        builders.relink(database, plan_id, **BY)


def test_a_plan_without_new_links_offers_no_relink(database: Database, lincoln: SchoolRow) -> None:
    with pytest.raises(approvals.NothingHeld):
        builders.relink(database, write_plan(database, lincoln, [newcomer("a1")]), **BY)


def test_people_who_moved_since_are_not_relinked(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("a1"), newcomer("a2"))
    plan_id = _rekeyed(database, lincoln)
    every(database, "update person set revision = revision + 1 returning 1")
    with pytest.raises(PlanStale):
        builders.relink(database, plan_id, **BY)
