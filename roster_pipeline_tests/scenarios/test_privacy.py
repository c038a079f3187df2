"""Names, e-mails, phones and numbers of people leave our own tables for nowhere."""

from __future__ import annotations

import json
import logging

import pytest
from dagster._serdes import serialize_value
from sqlalchemy import text

from roster_pipeline_tests.scenarios.conftest import Town

POISON = ("Zyxpoison", "qqleak", "5550199777", "99887766")


FAULTS = ("email=invalid", "nulls", "types", "unknown_roles", "truncated_json", "record_missing", "failure_with_200")


def _poison(town: Town) -> None:
    for place, person in enumerate(town.people.people_of("sch-1")):
        town.people.edit(
            person.sourced_id,
            given_name=f"Zyxpoison{place}",
            family_name=f"Zyxpoison-{place}'\"%s",
            email=f"qqleak{place}@zyxpoison.example",
            sms=f"+1 5550199777{place}",
            identifier=f"99887766{place}",
            username=f"qqleak{place}",
        )


def _everything_said(town: Town, caplog: pytest.LogCaptureFixture) -> str:
    said = [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    for run in town.instance.get_runs():
        said.append(serialize_value(run))
        said += [serialize_value(entry) for entry in town.instance.all_logs(run.run_id)]
    with town.database.begin() as conn:
        for table in ("outbox", "failure", "sync", "snapshot", "pull", "plan", "verdict", "quality_result", "audit"):
            said += [json.dumps(row, default=str) for row in conn.scalars(text(f"select to_jsonb(t) from {table} t"))]
    return "\n".join(said)


def test_nothing_about_people_stands_in_events_logs_exceptions_or_mails(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    town.add_school(report_to=["it@school.example"], primary_contacts=True)
    _poison(town)
    town.evening()
    assert town.count("person", "given_name like 'Zyxpoison%'") > 40
    for fault in FAULTS:
        town.sis.faults.set(fault)
        town.people.rename(town.people.people_of("sch-1", "student")[0].sourced_id)
        town.evening()
        town.sis.faults.clear()
    with town.database.begin() as conn:
        refuse = "alter table person add constraint refuse check (given_name not like 'Zyxpoison%') not valid"
        conn.execute(text(refuse))
    town.people.rename(town.people.people_of("sch-1", "teacher")[0].sourced_id, given_name="Zyxpoison-new")
    town.evening()
    assert town.problems, "the database refused the row"
    said = _everything_said(town, caplog)
    found = [word for word in POISON if word.lower() in said.lower()]
    assert not found
