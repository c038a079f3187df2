"""The sensors: partitions follow the schools, mails leave the outbox, and decisions are reported to Dagster.

The first tick of a sensor imports what it needs, so the code server and every run start without it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from roster_pipeline.defs.asset_helpers import NIGHT_TAG, console_page, partition_of, schools
from roster_pipeline.defs.checks import verdict_results
from roster_pipeline.defs.resources import DirectoryResource, InstallationResource
from roster_pipeline.settings.installation import Syncs
from roster_pipeline.vocabulary import counted

if TYPE_CHECKING:
    from roster_pipeline.directory.ledger import Decision

PARTITIONS_EVERY = 30
MAIL_EVERY = 30
REPORT_EVERY = 30
WATCH_EVERY = 60
"""Seconds between two ticks."""
MOST_DECISIONS = 100
"""Decisions per tick: a tick has to be short, and one decision is up to three events."""
MOST_FAILED = 500
"""Failed runs per tick; the next tick continues after them."""
PREVIEW = "a preview does nothing: this sensor works only when the daemon evaluates it"
RETRIED = ("dagster/will_retry", "dagster/auto_retry_run_id")


def _sensor(every: int, description: str) -> Callable[[Callable[..., Any]], dg.SensorDefinition]:
    """A sensor that runs without being switched on. every: seconds between two ticks.

    Dagster also evaluates a sensor for a preview, which even the read-only UI can ask for. A preview does nothing. Only
    the daemon passes the times of the last start and the last tick.
    """
    running = dg.DefaultSensorStatus.RUNNING

    def made(tick: Callable[..., Any]) -> dg.SensorDefinition:
        @wraps(tick)
        def of_daemon(context: dg.SensorEvaluationContext, **resources: Any) -> Any:
            if context.last_sensor_start_time is None and context.last_tick_completion_time is None:
                return dg.SkipReason(PREVIEW)
            return tick(context, **resources)

        return dg.sensor(minimum_interval_seconds=every, default_status=running, description=description)(of_daemon)

    return made


def missing_partitions(instance: dg.DagsterInstance, keys: list[str]) -> list[str]:
    """School keys without a partition. Partitions of removed schools stay, to keep their history."""
    partitions = set(instance.get_dynamic_partitions("schools"))
    return [key for key in keys if key not in partitions]


@_sensor(PARTITIONS_EVERY, "Adds a partition for every new school; never deletes one.")
def partitions_follow_schools(
    context: dg.SensorEvaluationContext, directory: DirectoryResource
) -> dg.SensorResult | dg.SkipReason:
    """Keep the partition set equal to, or larger than, the table of schools."""
    from roster_pipeline.directory import tenants

    keys = [school.key for school in directory.database().call(tenants.list_schools)]
    new = missing_partitions(context.instance, keys)
    if not new:
        return dg.SkipReason("every school has its partition")
    return dg.SensorResult(dynamic_partitions_requests=[schools.build_add_request(new)])


@_sensor(MAIL_EVERY, "Writes reports that are still missing and sends the mails of the outbox.")
def send_mail(
    context: dg.SensorEvaluationContext, directory: DirectoryResource, installation: InstallationResource
) -> dg.SkipReason:
    """Send due mail; a failure stays in the outbox and is tried again later."""
    from roster_pipeline.directory.locks import alone
    from roster_pipeline.sync.outbox_sender import put_digests, put_reports, send_due

    database = directory.database()
    with alone(database, "mail") as mine:
        if not mine:  # Dagster gave up on the tick after a minute, but the code server goes on
            return dg.SkipReason("the tick before is still sending")
        put_reports(database)
        put_digests(database, datetime.now(UTC))
        sent = send_due(database, installation.mailer())
    return dg.SkipReason(f"{sent.sent} sent, {sent.failed} put off, {sent.dead} given up")


@_sensor(
    REPORT_EVERY, "Reports what people decided: a materialization of applied_changes, and the checks that it changes."
)
def report_decisions(
    context: dg.SensorEvaluationContext, directory: DirectoryResource
) -> dg.SensorResult | dg.SkipReason:
    """Hand the decisions of people to Dagster as events without a run.

    The daemon stores the events of a tick before its cursor. So everything up to the cursor is stored, and the next
    tick drops it. If a tick breaks off, a decision may be reported twice, but never lost.
    """
    from roster_pipeline.directory import ledger

    reported = json.loads(context.cursor or "[]")
    with directory.database().begin() as conn:
        if reported:
            ledger.note_reported(conn, reported)
        waiting = ledger.unreported_decisions(conn, MOST_DECISIONS)
    if not waiting and not reported:
        return dg.SkipReason("every decision is reported")
    return dg.SensorResult(
        asset_events=[event for decision in waiting for event in decision_events(context.instance, decision)],
        cursor=json.dumps([decision.id for decision in waiting]),
        skip_reason=f"{counted(len(waiting), 'decision', 'decisions')} reported",
    )


def decision_events(
    instance: dg.DagsterInstance, decision: Decision
) -> list[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """The facts of a decision that Dagster shows: ids, counts and a role, but no names."""
    facts: dict[str, dg.RawMetadataValue] = {
        "decision": decision.kind,
        "decided_by": decision.by,
        "decided_at": dg.MetadataValue.timestamp(decision.at),
    }
    events: list[dg.AssetMaterialization | dg.AssetCheckEvaluation] = []
    if decision.counts or decision.sync_id is not None:
        page = f"/syncs/{decision.sync_id}" if decision.sync_id is not None else ""
        metadata = {
            "dagster/row_count": sum(number for what, number in decision.counts.items() if what != "moved"),
            **({"sync": decision.sync_id} if decision.sync_id is not None else {}),
            **decision.counts,
            **facts,
            **console_page(f"/schools/{decision.school}{page}"),
        }
        events.append(dg.AssetMaterialization("applied_changes", partition=decision.school, metadata=metadata))
    if decision.verdict is not None:
        judged = _materialization_judged(instance, decision.school)
        events += [
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey("roster_diff"),
                check_name=str(result.check_name),
                passed=result.passed,
                severity=result.severity,
                metadata={**result.metadata, **facts, "plan": decision.plan_id},
                target_materialization_data=judged,
                partition=decision.school,
            )
            for result in verdict_results(decision.verdict)
        ]
    return events


def _materialization_judged(
    instance: dg.DagsterInstance, school_key: str
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """The materialization of the school's newest plan. Without it, the UI would show the check under an older plan."""
    plans = dg.AssetRecordsFilter(dg.AssetKey("roster_diff"), asset_partitions=[school_key])
    for record in instance.fetch_materializations(plans, limit=1).records:
        return AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
    return None


@_sensor(
    WATCH_EVERY, "Notices killed runs, a failed pruning, silent schools and weeks of failures; sends the heartbeat."
)
def watch_schools(
    context: dg.SensorEvaluationContext, directory: DirectoryResource, installation: InstallationResource
) -> dg.SensorResult:
    """One tick. The cursor is the time up to which failed runs were read."""
    from roster_pipeline.sync.alerts import record_crashes
    from roster_pipeline.sync.health_checks import alert_not_pruned, beat
    from roster_pipeline.sync.monitoring import watch

    database, now = directory.database(), datetime.now(UTC)
    failed = failed_runs(context.instance, datetime.fromisoformat(context.cursor) if context.cursor else None)
    crashed = record_crashes(database, failed.of_schools)
    unpruned = bool(failed.pruning) and alert_not_pruned(database, failed.pruning[-1], now)
    seen = watch(database, now)
    opened = seen.opened + unpruned
    pulse = beat(installation.read(Syncs).heartbeat_url)
    summary = f"{crashed} crashed, {opened} opened, {seen.cleared} cleared, {seen.reminded} reminded; {pulse}"
    return dg.SensorResult(skip_reason=summary, cursor=failed.until.isoformat() if failed.until else None)


@_sensor(
    WATCH_EVERY,
    "Looks at broker, workers, run queue, daemon and mails, tells the operators, and fails runs that were lost.",
)
def watch_runs(context: dg.SensorEvaluationContext, directory: DirectoryResource) -> dg.SensorResult:
    """One tick. A check that is red in two ticks opens an alert. A run that is lost in two ticks is marked as failed,
    so that it is retried.

    The cursor holds the red checks and lost runs of the last tick, and the daemon's heartbeats of the last minutes.
    """
    from roster_pipeline.defs.run_coordinator import fail_lost_runs, retry_missed_runs
    from roster_pipeline.runtime.run_queue import findings, look_at_runs, recent_beats
    from roster_pipeline.sync.health_checks import mails_given_up, mails_waiting, sessions, watch_installation

    database, before = directory.database(), json.loads(context.cursor or "{}")
    queue = look_at_runs(context.instance, database)
    beats = recent_beats(queue, [(at, daemon) for at, daemon in before.get("beats", ())])
    items = [*findings(queue, beats), mails_given_up(database), mails_waiting(database), sessions(database)]
    swept = fail_lost_runs(context.instance, queue, before.get("lost", ()))
    missed = retry_missed_runs(context.instance, queue)
    red = [item.name for item in items if item.ok is False]
    certain = [item for item in items if item.ok is not False or item.name in before.get("red", ())]
    opened, cleared = watch_installation(database, certain, datetime.now(UTC))
    summary = (
        f"{len(red)} red, {opened} opened, {cleared} cleared; {counted(len(swept.failed), 'run', 'runs')} failed, "
        f"{counted(missed, 'retry', 'retries')} missed"
    )
    return dg.SensorResult(
        skip_reason=summary, cursor=json.dumps({"red": red, "lost": swept.suspects, "beats": [*map(list, beats)]})
    )


@dataclass(frozen=True)
class FailedRuns:
    """Failed runs that Dagster does not try again. of_schools: run id to key and night. pruning: run ids, oldest first.

    until: the last update of all of them.
    """

    of_schools: dict[str, tuple[str, str | None]]
    pruning: list[str]
    until: datetime | None


def failed_runs(instance: dg.DagsterInstance, since: datetime | None) -> FailedRuns:
    """Runs that failed after this moment, as many as one look takes."""
    from roster_pipeline.defs.run_coordinator import awaits_retry

    chosen = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    records = instance.get_run_records(chosen, limit=MOST_FAILED, order_by="update_timestamp", ascending=True)
    of_schools, pruning = {}, []
    for run in (record.dagster_run for record in records):
        key = partition_of(run.tags)
        if any(run.tags.get(name, "false") != "false" for name in RETRIED) or awaits_retry(instance, run):
            continue
        if run.job_name == "prune":
            pruning.append(run.run_id)
        elif key and run.job_name != "test_connection":
            of_schools[run.run_id] = (key, run.tags.get(NIGHT_TAG))
    until = records[-1].update_timestamp.replace(tzinfo=UTC) if records else since
    return FailedRuns(of_schools, pruning, until)


SENSORS = [partitions_follow_schools, report_decisions, send_mail, watch_runs, watch_schools]
