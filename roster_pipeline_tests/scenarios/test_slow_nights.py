"""A slow SIS: its runs give way to those of other connections, and start again after them."""

from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
import pytest

from roster_pipeline.definitions import build_defs
from roster_pipeline.defs.jobs import nightly
from roster_pipeline.defs.resources import RESOURCES, DirectoryResource
from roster_pipeline.defs.sensors import failed_runs
from roster_pipeline.directory import scheduled_runs
from roster_pipeline.directory.tenants import get_connection
from roster_pipeline.oneroster import Endpoint, Limits
from roster_pipeline.settings.installation import InstallationError, Syncs
from roster_pipeline.sync import fetch, fetch_snapshot, fetch_strategy
from roster_pipeline_tests.directory.builders import every, one
from roster_pipeline_tests.scenarios.conftest import DagsterDistrict

QUARTER = timedelta(minutes=15)


@pytest.fixture
def district(dagster_district: DagsterDistrict) -> DagsterDistrict:
    """Every sync of this module is a run of Dagster."""
    return dagster_district


@pytest.fixture
def tick(district: DagsterDistrict, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The night of two schools of one SIS, whose first pulls may take a second."""
    soon = {"first_pull": timedelta(seconds=1)}
    monkeypatch.setattr(fetch_snapshot, "fetch", lambda *given, **named: fetch(*given, **named | soon))
    now = datetime.now(UTC).replace(microsecond=0)
    at = (now - timedelta(minutes=1)).time()
    for key, school_id in (("grant", "sch-2"), ("lincoln", "sch-1")):
        district.add_school(key, school_id, automatic=True, sync_time=at)
    return now


def asked(district: DagsterDistrict, now: datetime) -> dict[str, dict[str, str]]:
    """The runs that the schedule asks for at a tick: school to tags."""
    resources = {**RESOURCES, "directory": DirectoryResource(url=district.url)}
    repository = build_defs(resource_overrides=resources).get_repository_def()
    context = dg.build_schedule_context(
        instance=district.instance, scheduled_execution_time=now, repository_def=repository, resources=resources
    )
    requests = nightly.evaluate_tick(context).run_requests or []
    for request in requests:
        school, night, attempt = str(request.run_key).split(":")
        district.database.call(scheduled_runs.note_requested, school, night, int(attempt), now)
    return {request.tags["dagster/partition"]: dict(request.tags) for request in requests}


def test_a_hanging_sis_gives_way_without_an_alert_and_comes_again_behind_the_others(
    district: DagsterDistrict, tick: datetime
) -> None:
    first = asked(district, tick)
    assert set(first) == {"grant", "lincoln"}
    assert not any("dagster/priority" in tags for tags in first.values())
    district.sis.faults.set("hangs=60")
    began = datetime.now(UTC)
    district.run_sync("lincoln", tags=first["lincoln"])
    assert datetime.now(UTC) - began < timedelta(seconds=30)
    assert district.problems == [
        "lincoln: the SIS is slow tonight, so this run gave its place to runs of other connections.\n"
        "It starts again within 15 minutes and then has more time. You need not do anything."
    ]
    requests = len(district.sis.log.entries)
    district.run_sync("grant", tags=first["grant"])
    assert len(district.problems) == 1
    assert len(district.sis.log.entries) == requests, "what one run found slow, the next one does not ask"
    assert (district.count("alert"), district.count("outbox"), district.count("failure")) == (0, 0, 2)

    district.sis.faults.clear()
    second = asked(district, tick + QUARTER)
    assert {key: (tags["roster/slow"], tags["dagster/priority"]) for key, tags in second.items()} == {
        "grant": ("sis", "-1"),
        "lincoln": ("sis", "-1"),
    }
    assert district.run_sync("lincoln", tags=second["lincoln"])["created"] > 0
    assert district.run_sync("grant", tags=second["grant"])["created"] > 0
    assert district.count("pull") == 1, "they share it as ever"
    assert asked(district, tick + 2 * QUARTER) == {}


def test_a_sis_that_hangs_again_ends_with_a_clear_failure_and_an_alert(
    district: DagsterDistrict, tick: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    district.sis.faults.set("hangs=60")
    district.run_sync("lincoln", tags=asked(district, tick)["lincoln"])
    second = asked(district, tick + QUARTER)["lincoln"]
    impatient = Limits(response_seconds=2, read_seconds=1, first_wait=0.01, longest_wait=0.05)
    monkeypatch.setattr(fetch_strategy, "Endpoint", partial(Endpoint, limits=impatient))
    district.run_sync("lincoln", tags=second)
    (problem,) = district.problems
    assert "gave its place" not in problem
    assert "roster test-connection lincoln" in problem
    assert district.count("alert", "cause = 'connection'") == 1


def test_the_other_runs_of_the_night_are_not_reported_as_killed(district: DagsterDistrict, tick: datetime) -> None:
    district.sis.faults.set("hangs=60")
    district.run_sync("lincoln", tags=asked(district, tick)["lincoln"])
    runs = failed_runs(district.instance, None).of_schools
    assert [key for key, _ in runs.values()] == ["lincoln"]
    known = every(district.database, "select run_id from failure")
    assert [(run,) for run in runs] == known, "a failure that is stored is none that a killed run left"


def test_a_run_by_hand_takes_its_time(district: DagsterDistrict, tick: datetime) -> None:
    district.sis.faults.set("slow_bytes=60000")
    assert district.run_sync("lincoln")["created"] > 0


def test_a_sis_that_is_usually_slow_comes_after_the_others_at_once(district: DagsterDistrict, tick: datetime) -> None:
    district.run_sync("lincoln")
    source = district.database.call(get_connection, "sis")
    assert not any(
        school.usually_slow
        for school in district.database.call(scheduled_runs.scheduled_schools, QUARTER, datetime.now(UTC))
    )
    one(district.database, "update pull set started_at = finished_at - interval '16 minutes' returning id")
    with district.database.begin() as conn:
        assert all(school.usually_slow for school in scheduled_runs.scheduled_schools(conn, QUARTER, datetime.now(UTC)))
        assert not scheduled_runs.is_slow(conn, source.id, "2026-09-01")
    assert asked(district, tick)["grant"]["roster/slow"] == "sis"


@pytest.mark.parametrize("given", ["0", "361", "x", "1.5", "-1"])
def test_what_is_no_number_of_minutes_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("ROSTER_FIRST_PULL_MINUTES", given)
    with pytest.raises(InstallationError):
        Syncs.read()


def test_how_long_a_first_pull_may_take_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Syncs.read().first_pull == QUARTER
    monkeypatch.setenv("ROSTER_FIRST_PULL_MINUTES", "40")
    assert Syncs.read().first_pull == timedelta(minutes=40)
