"""A failed step: stored for people, and told to the owners once."""

from __future__ import annotations

from datetime import UTC, datetime

from roster_pipeline.directory import failures, outbox, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.errors import DirectoryError
from roster_pipeline.evening.errors import EveningError
from roster_pipeline.evening.reporting import message_id, run_url
from roster_pipeline.report import FailureAlert, render


def record_failure(
    database: Database,
    school_key: str,
    step: str,
    problem: EveningError,
    run_id: str | None,
    night: str | None = None,
) -> None:
    """Store the failure and put an alert into the outbox if it is news.

    A database that is down cannot store it; then the run's own failure is all there is.
    """
    try:
        with database.begin() as connection:
            recorded = failures.record(
                connection, school_key, step, str(problem), run_id, night=night, retryable=problem.retryable
            )
            if recorded is None or not recorded.news:
                return
            school = tenants.get_school(connection, school_key)
            if not school.settings.report_to:
                return
            alert = FailureAlert(
                school_key=school_key,
                school_name=school.name,
                when=datetime.now(UTC),
                time_zone=school.settings.time_zone,
                step=step,
                message=problem.message,
                remedy=problem.remedy,
                run_url=run_url(run_id),
            )
            mail = render(alert)
            outbox.put(
                connection,
                message_id=message_id("failure", school_key, recorded.failure_id),
                kind="alert",
                school_id=school.id,
                sync_id=None,
                recipients=school.settings.report_to,
                mail=mail,
            )
    except DirectoryError:
        return
