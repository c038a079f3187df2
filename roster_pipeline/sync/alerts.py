"""Alerts by mail on failed steps, on schools that are paused after failed nights, and on Client Secrets that end.

An alert goes to the owners of the schools that it concerns, and to the operators of the installation. The alert on a
Client Secret is sent two weeks and three days before its last day, and again when it is renewed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, Row

from roster_pipeline.directory import alerts, ledger, tenants
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.content import FailureAlert
from roster_pipeline.notifications.notice import Notice
from roster_pipeline.sync import CREDENTIALS, STEP, GaveWay, SyncError
from roster_pipeline.sync.build_report import console_url, run_url
from roster_pipeline.sync.outbox_sender import page_of_school, school_notice, send_alert
from roster_pipeline.vocabulary import day

MOST_NIGHTS = 7
"""After this many failed nights in a row, a school is paused."""
EARLY_DAYS, LATE_DAYS = 14, 3
"""Days before the last one: time to ask the people who run the SIS for a new secret; the last warning."""

REMEDIES = {
    alerts.HELD: "Decide: roster hold show {key}",
    alerts.CLAIMED: "Say who these people are: roster plan show {key}",
    alerts.PAUSED: "Correct the cause (roster history {key}), then: roster school resume {key}",
    alerts.STALE: "roster sync {key}",
    alerts.SOURCE_STALE: "Let the SIS write newer data, then: roster sync {key}",
    **dict.fromkeys(
        (alerts.EXPIRES, alerts.EXPIRES_SOON),
        "Get a new one from the SIS, then: roster connection set {key} --client-secret ask --secret-expires YYYY-MM-DD",
    ),
    "pruning": "Look at the failed run in the Dagster UI, then: roster prune",
}
"""What ends an alert, for the people who type commands. An alert on a failure says it in its own message."""


def remedy_of(alert: alerts.Alert) -> str:
    """What to do about an open alert, as one line. key: of the school or the connection."""
    kind, _, key = alert.subject.partition(" ")
    known = REMEDIES.get(alert.cause, "").format(key=key)
    _, _, own = alert.message.partition("\n")
    last = {"school": f"roster history {key} says why. Then: roster sync {key}", "connection": "roster doctor --sis"}
    return known or own.replace("\n", " ") or last.get(kind, f"The line {alert.cause} says what to do.")


def record_failure(
    database: Database, school_key: str, step: str, problem: SyncError, run_id: str | None, night: str | None = None
) -> None:
    """Store the failure and put an alert into the outbox, unless an alert on the same failure is open or the run only
    gave way. A school whose nights failed for a week is paused in the same transaction. If the database is down,
    nothing is stored; only Dagster shows the failure."""
    try:
        with database.begin() as conn:
            recorded = alerts.record(
                conn, school_key, step, str(problem), run_id, cause=problem.cause, night=night,
                retryable=problem.retryable,
            )  # fmt: skip
            if not recorded or isinstance(problem, GaveWay):
                return
            _notify_failure(conn, school_key, step, problem, run_id)
            pause_failing(conn, datetime.now(UTC), school_key)
    except DirectoryError:
        return


def _notify_failure(conn: Connection, school_key: str, step: str, problem: SyncError, run_id: str | None) -> None:
    """Open the alert on a failed step and put its mail, unless there is one for the same step."""
    school = tenants.get_school(conn, school_key)
    shared = problem.cause != STEP
    concerned = affected_schools(conn, school) if shared else [school]
    opened = alerts.open_alert(
        conn,
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
        directory_unchanged=run_id is not None and not ledger.has_run(conn, run_id),
    )
    send_alert(conn, concerned, alert, opened, "opened")


def pause_failing(conn: Connection, now: datetime, key: str | None = None) -> int:
    """Pause the schools whose nights failed for a week, or this one if it is; returns how many."""
    failing = alerts.failing_schools(conn, MOST_NIGHTS, key)
    schools = tenants.schools_by_id(conn, [number for number, _, _ in failing]) if failing else {}
    paused = 0
    for number, school_key, nights in failing:
        message = f"The roster sync failed in {nights} nights in a row, so it no longer starts by itself"
        opened = alerts.open_alert(conn, f"school {school_key}", alerts.PAUSED, message, school=number)
        if opened is not None:
            paused += 1
            notify_pause(conn, schools[number], message, now, opened, "opened")
    return paused


def notify_pause(
    conn: Connection, school: SchoolRow, headline: str, now: datetime, alert_id: int, occasion: str
) -> None:
    """The mail about a school that is paused, or the reminder of it."""
    hint = "Correct the cause, then let it run by itself again. A manual sync that finishes ends the pause too."
    command, link = f"roster school resume {school.key}", page_of_school(school.key, "Look at the school")
    notice = school_notice(school, now, "failed", "Paused", headline, hint, command=command, link=link)
    send_alert(conn, [school], notice, alert_id, occasion)


def record_crashes(database: Database, runs: Mapping[str, tuple[str, str | None]]) -> int:
    """Store the failures of runs that ended before they could say why. runs: run id to school key and night."""
    if not runs:
        return 0
    unknown = database.call(alerts.unknown_runs, list(runs))
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


def affected_schools(conn: Connection, school: SchoolRow) -> list[SchoolRow]:
    """Schools that a fault of this connection concerns: this one, and those that run by themselves."""
    sharing = tenants.schools_of(conn, school.connection.id)
    return [school] + [other for other in sharing if other.id != school.id and other.settings.automatic]


def stage_of(expires: date, today: date) -> str | None:
    """The cause of the alert that is due for a secret: none, `EXPIRES` or `EXPIRES_SOON`."""
    left = (expires - today).days
    return alerts.EXPIRES_SOON if left <= LATE_DAYS else alerts.EXPIRES if left <= EARLY_DAYS else None


@dataclass(frozen=True)
class ExpiryChange:
    """For one connection: the stage that is due now, if any, and open alerts that no longer hold. one: the last day."""

    connection_id: int
    one: Row[Any] | None
    stage: str | None
    over: list[alerts.Alert]


def expiry_changes(conn: Connection, now: datetime) -> list[ExpiryChange]:
    """Connections whose alert about the secret must open, change or clear; mostly none."""
    today = now.astimezone(UTC).date()
    dated = {one.connection_id: one for one in alerts.dated_secrets(conn)}
    open_now = alerts.open_expiries(conn)
    turns = []
    for number in sorted(dated.keys() | open_now.keys()):
        one, known = dated.get(number), open_now.get(number, [])
        stage = stage_of(one.expires, today) if one else None
        over = [alert for alert in known if alert.cause != stage]
        if over or (stage and not known):
            turns.append(ExpiryChange(number, one, stage, over))
    return turns


def settle_expiry(conn: Connection, connection_id: int, now: datetime) -> None:
    """Open and close the alerts on a connection's secret, in the transaction that changed its last day."""
    for turn in expiry_changes(conn, now):
        if turn.connection_id == connection_id:
            send_expiry_change(conn, turn, tenants.schools_of(conn, connection_id), now)


def send_expiry_change(
    conn: Connection, turn: ExpiryChange, schools: Iterable[SchoolRow], now: datetime
) -> tuple[int, int]:
    """Open and clear the alerts of one change, with its mail. Returns how many were opened and cleared."""
    mine = [school for school in schools if school.connection.id == turn.connection_id]
    concerned = [school for school in mine if school.settings.automatic] or mine
    for alert in turn.over:
        alerts.close(conn, alert.id)
    if turn.stage and turn.one:
        return int(_open_expiry(conn, turn.one, turn.stage, concerned, now)), 0
    until = f"It is now valid until {day(turn.one.expires)}" if turn.one else "Its last day was removed"
    subject, zone = turn.over[0].subject, _zone(concerned)
    about = subject[0].upper() + subject[1:]
    notice = Notice(about, "", now, zone, "good", "All clear", "The Client Secret was renewed", (f"{until}.",))
    send_alert(conn, concerned, notice, turn.over[-1].id, "cleared")
    return 0, 1


def _open_expiry(conn: Connection, secret: Row[Any], stage: str, concerned: list[SchoolRow], now: datetime) -> bool:
    today = now.astimezone(UTC).date()
    verb = "ended" if secret.expires < today else "ends"
    message = f"The Client Secret of {secret.key} {verb} on {day(secret.expires)}"
    alert = alerts.open_alert(conn, f"connection {secret.key}", stage, message, connection=secret.connection_id)
    if alert is None:
        return False
    hints = (
        "After that day the SIS may refuse the sign-in, and no school of this connection can be synced.",
        "Ask for a new secret in the SIS. Then enter it, with its last day.",
    )
    command = f"roster connection set {secret.key} --client-secret ask --secret-expires YYYY-MM-DD"
    link = page_of_school(concerned[0].key, "Enter the new secret", "/settings") if concerned else None
    about, zone = f"Connection {secret.key}", _zone(concerned)
    notice = Notice(about, "", now, zone, "attention", "Secret ends", message, hints, command, link)
    send_alert(conn, concerned, notice, alert, "opened")
    return True


def _zone(schools: list[SchoolRow]) -> str:
    return schools[0].settings.time_zone if schools else "UTC"
