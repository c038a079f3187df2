"""A failed step: stored for people, and told once per school and cause, or once per connection, until it clears."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from roster_pipeline.directory import alerts, failures, ledger, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.database_errors import DirectoryError
from roster_pipeline.notifications import FailureAlert
from roster_pipeline.sync.alert_recipients import affected_schools, send_alert
from roster_pipeline.sync.build_report import console_url, run_url
from roster_pipeline.sync.error_messages import CREDENTIALS, STEP, GaveWay, SyncError


def record_failure(
    database: Database,
    school_key: str,
    step: str,
    problem: SyncError,
    run_id: str | None,
    night: str | None = None,
) -> None:
    """Store the failure and put an alert into the outbox, unless one for the same is open or the run only gave way.

    A database that is down cannot store it; then the run's own failure is all there is.
    """
    try:
        with database.begin() as connection:
            recorded = failures.record(
                connection,
                school_key,
                step,
                str(problem),
                run_id,
                cause=problem.cause,
                night=night,
                retryable=problem.retryable,
            )
            if not recorded or isinstance(problem, GaveWay):
                return
            school = tenants.get_school(connection, school_key)
            shared = problem.cause != STEP
            concerned = affected_schools(connection, school) if shared else [school]
            opened = alerts.open_alert(
                connection,
                f"connection {school.connection.key}" if shared else f"school {school_key}",
                problem.cause if shared else step,
                str(problem),
                school=None if shared else school.id,
                connection=school.connection.id if shared else None,
            )
            if opened is None:
                return
            about, also = school.name, ""
            if len(concerned) > 1:
                about = f"Connection {school.connection.key}"
                also = f"\nAll {len(concerned)} schools of the connection {school.connection.key} share this one alert."
            alert = FailureAlert(
                school_key=school_key,
                school_name=about,
                when=datetime.now(UTC),
                time_zone=school.settings.time_zone,
                step=step,
                message=problem.message + also,
                remedy=problem.remedy,
                run_url=run_url(run_id),
                console_url=console_url(),
                sign_in=problem.cause == CREDENTIALS,
                directory_unchanged=run_id is not None and not ledger.has_run(connection, run_id),
            )
            send_alert(connection, concerned, alert, opened, "opened")
    except DirectoryError:
        return


def record_crashes(database: Database, runs: Mapping[str, tuple[str, str | None]]) -> int:
    """Store the failures of runs that ended before they could say why. runs: run id to school key and night."""
    if not runs:
        return 0
    with database.begin() as connection:
        unknown = alerts.unknown_runs(connection, list(runs))
    for run_id in sorted(unknown):
        key, night = runs[run_id]
        problem = SyncError(
            key,
            "the run ended without saying why",
            "Its process was probably killed, or could not start. Look at the run in the Dagster UI.",
            retryable=True,
        )
        record_failure(database, key, "run", problem, run_id, night)
    return len(unknown)
