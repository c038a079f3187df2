"""Runs of a school by Dagster's own command line, on the instance of `dagster.yaml`."""

import gc
from collections.abc import Iterator
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._cli.asset import asset_cli
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext
from dagster._core.storage.tags import RUN_KEY_TAG, SCHEDULED_EXECUTION_TIME_TAG
from dagster_postgres.event_log import PostgresEventLogStorage
from sqlalchemy import event, text
from sqlalchemy.engine import make_url

from roster_pipeline.definitions import defs
from roster_pipeline.defs import asset_helpers
from roster_pipeline.directory import audit, database, tenants
from roster_pipeline.runtime.embedded import plain_connection
from roster_pipeline.runtime.run_school import run_school
from roster_pipeline_tests.directory.builders import every
from roster_pipeline_tests.district import District
from roster_pipeline_tests.scenarios.conftest import DagsterDistrict
from roster_pipeline_tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
MATERIALIZE = ["materialize", "-m", "roster_pipeline.definitions", "--select", "*", "--partition"]


@pytest.fixture
def instance(
    district: District, dagster_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[dg.DagsterInstance]:
    """The instance of `dagster.yaml`, for a district with the school `lincoln`."""
    district.add_school("lincoln")
    given = {
        "DAGSTER_HOME": str(ROOT),
        "ROSTER_HOME": str(tmp_path),
        "ROSTER_DATABASE_URL": district.url,
        "ROSTER_DAGSTER_DATABASE_URL": dagster_url,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as opened:
        opened.add_dynamic_partitions("schools", ["lincoln"])
        yield opened


SESSIONS = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


def test_all_instances_of_a_process_share_its_connections_and_a_broken_one_is_renewed(
    instance: dg.DagsterInstance, dagster_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_SECONDS", 0)
    gc.disable()  # garbage that is collected closes its connections, some minutes too late
    for _ in range(4):  # as for each tick in a code server
        with dg.DagsterInstance.from_ref(instance.get_ref()) as of_tick:
            of_tick.get_runs_count()
            of_tick.all_instigator_state()
            of_tick.get_dynamic_partitions("schools")
    gc.enable()
    with plain_connection(make_url(dagster_url)) as conn:
        assert len(conn.execute(SESSIONS).fetchall()) == 1
        conn.execute(f"select pg_terminate_backend(pid) from ({SESSIONS}) of_process")
        assert instance.get_runs_count() == 0, "as after a restart of the database"
        (own,) = conn.execute(SESSIONS).fetchall()
        fork = get_context("fork").Process(target=instance.get_runs_count)
        fork.start()
        fork.join()
        assert fork.exitcode == 0
        until(lambda: conn.execute(SESSIONS).fetchall() == [own], told=lambda: "the fork opened and closed its own")
    assert instance.get_runs_count() == 0


def test_every_connection_notices_a_lost_server_and_a_lost_process(
    instance: dg.DagsterInstance, district: District
) -> None:
    """Otherwise a process waits for a quarter of an hour, and the lock of a lost machine stays for two hours."""
    set_here = text("select count(*) from pg_settings where name like 'tcp_%' and source = 'session'")
    with district.database.begin() as ours, instance.run_storage.connect() as dagsters:  # type: ignore[attr-defined]
        for conn, parameters in ((ours, "get_parameters"), (dagsters, "dsn_parameters")):
            assert conn.scalar(set_here) == 4
            driver: Any = conn.connection.driver_connection
            known = getattr(driver.info, parameters)
            known = known if isinstance(known, dict) else known()
            assert known | {"tcp_user_timeout": "60000", "keepalives_idle": "30", "connect_timeout": "10"} == known


def test_a_process_asks_dagsters_tables_once_for_what_stays_true(instance: dg.DagsterInstance) -> None:
    statements: list[object] = []
    event.listen(
        instance.event_log_storage._engine,  # type: ignore[attr-defined]
        "before_cursor_execute",
        lambda *executed: statements.append(executed),
    )
    for _ in range(3):
        assert instance.has_dynamic_partition("schools", "lincoln")
        assert not instance.has_dynamic_partition("schools", "riverside")
    assert len(statements) == 1 + 3, "lincoln once, and each time riverside, which may come"


@pytest.mark.filterwarnings("ignore::dagster.SupersessionWarning")
def test_dagsters_own_command_runs_a_school_and_the_ledger_says_who_asked(
    district: District, instance: dg.DagsterInstance
) -> None:
    """In this process; the test of documented commands uses a process of its own."""
    ran = CliRunner().invoke(asset_cli, [*MATERIALIZE, "lincoln"])
    assert ran.exit_code == 0, ran.output
    assert district.count("sync", "who = 'Dagster UI' and outcome = 'applied'") == 1
    assert district.active() > 0
    assert CliRunner().invoke(asset_cli, [*MATERIALIZE, "nowhere"]).exit_code != 0
    assert district.count("sync") == 1


LEFT = (
    "select dagster_event_type, asset_key, partition, step_key from event_logs where run_id = %s order by id",
    "select c.asset_key, check_name, c.partition, execution_status, e.dagster_event_type, m.dagster_event_type, "
    "m.run_id = c.run_id from asset_check_executions c join event_logs e on e.id = c.evaluation_event_storage_id "
    "join event_logs m on m.id = c.materialization_event_storage_id where c.run_id = %s order by 1, 2",
    "select t.asset_key, key, count(*) from asset_event_tags t join event_logs e on e.id = t.event_id "
    "where run_id = %s and key <> 'dagster/code_version' group by 1, 2 order by 1, 2",
    "select asset_key, last_run_id = %s, last_materialization is not null from asset_keys order by 1",
)


def test_our_log_of_dagsters_events_leaves_the_same_as_dagsters_own_with_fewer_statements(
    instance: dg.DagsterInstance, dagster_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[object] = []
    log: Any = instance.event_log_storage
    event.listen(log._engine, "before_cursor_execute", lambda *executed: statements.append(executed))
    job, left, needed = defs.resolve_job_def("rostering"), [], []
    for batches in ("100", "0"):
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", batches)
        run = job.execute_in_process(instance=instance, partition_key="lincoln")
        needed.append(len(statements))
        statements.clear()
        with plain_connection(make_url(dagster_url)) as conn:
            left.append([conn.execute(query, [run.run_id]).fetchall() for query in LEFT])
        for method in ("store_event", "store_event_batch"):
            monkeypatch.setattr(type(log), method, getattr(PostgresEventLogStorage, method))
    ours, theirs = left
    assert sorted(map(str, ours[0])) == sorted(map(str, theirs[0])), "Dagster sorts planned events that it batches"
    assert ours[1:] == theirs[1:]
    assert len(ours[1]) == 11
    assert {(row[1], row[2]) for row in ours[3]} == {(True, True)}
    assert needed[1] - needed[0] > 66, "for each event, a statement that nobody listens to"


def tag_once_queued(
    instance: dg.DagsterInstance, tags: dict[str, str], job: str = "rostering", tag: str = asset_helpers.CONNECTION_TAG
) -> str | None:
    """Queue a run; returns one of its tags afterwards, by default the tag of its connection."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("roster_pipeline"), "__repository__")
    made = instance.create_run_for_job(
        defs.resolve_job_def(job), tags=tags, remote_job_origin=RemoteJobOrigin(repository, job)
    )
    queued = instance.run_coordinator.submit_run(SubmitRunContext(made, workspace=Mock()))
    assert queued.status == dg.DagsterRunStatus.QUEUED
    (run,) = instance.get_runs(dg.RunsFilter(run_ids=[made.run_id]))
    return run.tags.get(tag)


RANGE = {f"dagster/asset_partition_range_{end}": "lincoln" for end in ("start", "end")}


def test_every_run_of_a_school_carries_its_connection_however_it_is_started(instance: dg.DagsterInstance) -> None:
    lincoln = {asset_helpers.PARTITION_TAG: "lincoln"}
    assert tag_once_queued(instance, lincoln) == "sis"
    assert tag_once_queued(instance, RANGE) == "sis", "a backfill of assets names its school as a range"
    assert tag_once_queued(instance, lincoln | {asset_helpers.CONNECTION_TAG: "another"}) == "another"
    assert tag_once_queued(instance, {asset_helpers.PARTITION_TAG: "nowhere"}) is None
    assert tag_once_queued(instance, lincoln, "test_connection") is None, "a test answers while others wait"
    assert tag_once_queued(instance, lincoln, "test_connection", asset_helpers.SCHOOL_TAG) == "Lincoln"
    assert tag_once_queued(instance, RANGE, tag=asset_helpers.SCHOOL_TAG) == "Lincoln"
    assert tag_once_queued(instance, {}, "prune") is None


def test_a_night_counts_as_started_when_its_run_is_queued(instance: dg.DagsterInstance, district: District) -> None:
    noted = "select night, attempt, requested_at from scheduled_run order by attempt"
    night, at = {asset_helpers.NIGHT_TAG: "2026-11-03"}, "2026-11-03T20:00:00+00:00"
    lincoln = {asset_helpers.PARTITION_TAG: "lincoln"}
    tag_once_queued(instance, lincoln | night | {asset_helpers.WHO_TAG: "ada"})
    assert every(district.database, noted) == []
    by_schedule = lincoln | night | {asset_helpers.WHO_TAG: asset_helpers.SCHEDULE, SCHEDULED_EXECUTION_TIME_TAG: at}
    for attempt in (1, 2, 2):
        tag_once_queued(instance, by_schedule | {RUN_KEY_TAG: f"lincoln:2026-11-03:{attempt}"})
    tick = datetime.fromisoformat(at)
    assert every(district.database, noted) == [("2026-11-03", 1, tick), ("2026-11-03", 2, tick)]


def test_a_run_is_queued_though_the_directory_cannot_be_read(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:9/nothing")
    assert tag_once_queued(instance, {asset_helpers.PARTITION_TAG: "lincoln"}) is None


def test_assets_and_failures_link_to_their_pages_of_the_console(
    dagster_district: DagsterDistrict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_CONSOLE_URL", "https://console.example/")
    dagster_district.add_school("lincoln")
    dagster_district.run_sync()
    linked = {}
    for key in defs.get_repository_def().asset_graph.executable_asset_keys:
        found = dagster_district.instance.get_latest_materialization_event(key)
        made = found and found.asset_materialization
        linked[key.to_user_string()] = made.metadata["console"].value if made else None
    with dagster_district.database.begin() as conn:
        snapshot_id, plan_id, sync_id = conn.execute(text("select snapshot_id, plan_id, id from sync")).one()
    school = "https://console.example/schools/lincoln"
    assert linked == dict.fromkeys(("raw_orgs", "raw_users", "raw_contacts"), school) | {
        "cleaned_roster": f"{school}/rejected/{snapshot_id}",
        "roster_diff": f"{school}/plans/{plan_id}",
        "applied_changes": f"{school}/syncs/{sync_id}",
    }
    dagster_district.set_connection(secret="wrong")
    dagster_district.run_sync()
    (failed,) = dagster_district.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    logged = dagster_district.instance.all_logs(failed.run_id)
    events = [entry.get_dagster_event() for entry in logged if entry.is_dagster_event]
    (said,) = [event.step_failure_data.user_failure_data for event in events if event.is_step_failure]
    assert said is not None
    assert said.metadata["console"].value == school


def test_a_run_by_command_carries_its_connection_too(instance: dg.DagsterInstance, district: District) -> None:
    assert run_school("lincoln").problem is None
    (run,) = instance.get_runs()
    assert (run.tags[asset_helpers.CONNECTION_TAG], run.tags[asset_helpers.SCHOOL_TAG]) == ("sis", "Lincoln")


def test_a_school_has_its_partition_at_once_where_dagster_has_its_tables(
    instance: dg.DagsterInstance, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asset_helpers.add_partitions(["oak", "elm"])
    assert asset_helpers.add_partitions(["elm"]), "no harm done"
    assert set(instance.get_dynamic_partitions("schools")) == {"lincoln", "oak", "elm"}
    monkeypatch.setenv("ROSTER_DAGSTER_DATABASE_URL", database_url)
    assert not asset_helpers.add_partitions(["oak"]), "Dagster's tables are the daemon's to make"
    monkeypatch.setenv("ROSTER_DAGSTER_DATABASE_URL", "postgresql+psycopg2://nobody@127.0.0.1:9/nothing")
    assert not asset_helpers.add_partitions(["oak"])


@pytest.mark.parametrize(
    ("tags", "parent", "batch"),
    [
        ({}, None, "by-hand"),
        ({asset_helpers.NIGHT_TAG: "2026-11-24"}, None, "2026-11-24"),
        ({asset_helpers.BACKFILL_TAG: "abcdefgh"}, None, "backfill abcdefgh"),
        ({asset_helpers.BACKFILL_TAG: "abcdefgh", asset_helpers.NIGHT_TAG: "2026-11-24"}, None, "2026-11-24"),
        ({asset_helpers.BACKFILL_TAG: "abcdefgh"}, "before", "by-hand"),
    ],
)
def test_runs_of_a_night_or_of_a_backfill_share_a_pull_and_a_run_by_hand_shares_none(
    tags: dict[str, str], parent: str | None, batch: str
) -> None:
    run = dg.DagsterRun("rostering", run_id="by-hand", tags=tags, parent_run_id=parent, root_run_id=parent)
    with dg.DagsterInstance.ephemeral() as instance:
        assert asset_helpers.batch_of(run, instance) == batch


OF_THE_SCHEDULE = {asset_helpers.WHO_TAG: "schedule"}
LOST = OF_THE_SCHEDULE | {asset_helpers.RETRIED_AS_TAG: "retry"}
COPIED = OF_THE_SCHEDULE | {"dagster/retry_number": "1"}
"""The tags that a re-execution by hand copies from a run that the daemon had retried."""


STARTED: list[tuple[list[tuple[str, str | None, dict[str, str]]], str]] = [
    ([("run", None, OF_THE_SCHEDULE)], "schedule"),
    ([("run", None, {})], asset_helpers.IN_DAGSTER),
    ([("asked", None, {})], "Ada"),
    ([("asked", None, {asset_helpers.RETRIED_AS_TAG: "retry"}), ("retry", "asked", {})], "Ada"),
    ([("lost", None, LOST), ("retry", "lost", COPIED)], "schedule"),
    ([("lost", None, LOST), ("retry", "lost", COPIED), ("again", "retry", COPIED)], asset_helpers.IN_DAGSTER),
    ([("old", None, OF_THE_SCHEDULE), ("again", "old", OF_THE_SCHEDULE)], asset_helpers.IN_DAGSTER),
    ([("asked", None, {}), ("again", "asked", {})], asset_helpers.IN_DAGSTER),
    (
        [("asked", None, {}), ("again", "asked", {asset_helpers.RETRIED_AS_TAG: "retry"}), ("retry", "again", {})],
        asset_helpers.IN_DAGSTER,
    ),
]
"""Runs, each with the one that it repeats and its tags; and who started the last of them."""


def test_the_ledger_names_who_started_a_run_and_not_who_started_the_one_it_repeats(district: District) -> None:
    district.add_school("lincoln")
    with district.database.begin() as conn:
        audit.record_run(conn, "asked", "sync", tenants.get_school(conn, "lincoln"), who="Ada")
    for runs, who in STARTED:
        with dg.DagsterInstance.ephemeral() as instance:
            for run_id, parent, tags in runs:
                root = parent and runs[0][0]
                run = dg.DagsterRun("rostering", run_id, tags=tags, parent_run_id=parent, root_run_id=root)
                instance.run_storage.add_run(run)
            assert asset_helpers.started_by(run, instance, district.database, "lincoln") == who, runs
            assert asset_helpers.started_by(run, instance, district.database, "elsewhere") != "Ada", runs
