"""Alerts by mail: who gets one, and the alerts on failed steps and on changes that wait for a decision.

An alert goes to the owners of the schools that it concerns, and to the operators of the installation.

Alerts on held changes and on people that another connection delivers too are opened once per school. They end with an
all-clear when nothing waits any more. Owners who get a report after every sync read about held changes in the report.
So this alert goes only to the operators, and to owners who get one report a day. The alert on claimed people goes to
their school and to the managers, who can settle it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from roster_pipeline.directory import accounts, alerts, approvals, ledger, tenants
from roster_pipeline.directory.alerts import CLAIMED, HELD, PAUSED
from roster_pipeline.directory.approvals import Hold
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.held_plans import claimed_people
from roster_pipeline.directory.locks import try_lock_until_commit
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.content import FailureAlert
from roster_pipeline.notifications.outcome import NOUNS, claimed_words, joined
from roster_pipeline.sync import CREDENTIALS, STEP, GaveWay, SyncError
from roster_pipeline.sync.build_report import console_url, run_url
from roster_pipeline.sync.outbox_sender import page_of_school, school_notice, send_alert, was_open
from roster_pipeline.vocabulary import counted, role_name

CLAIM_HINT = "There the manager says who they are."
MOST_NAMED = 3
"""Schools that an alert names."""
MOST_NIGHTS = 7
"""Failed nights in a row after which a school is paused: a week in which nobody put it right."""


def record_failure(
    database: Database, school_key: str, step: str, problem: SyncError, run_id: str | None, night: str | None = None
) -> None:
    """Store the failure and put an alert into the outbox, unless an alert on the same failure is open or the run only
    gave way.

    A school whose nights failed for a week is paused in the same transaction.
    A database that is down cannot store it; then the run's own failure is all there is.
    """
    try:
        with database.begin() as conn:
            recorded = alerts.record(
                conn,
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
        opened = alerts.open_alert(conn, f"school {school_key}", PAUSED, message, school=number)
        if opened is not None:
            paused += 1
            notify_pause(conn, schools[number], message, now, opened, "opened")
    return paused


def notify_pause(conn: Connection, school: SchoolRow, said: str, now: datetime, alert_id: int, occasion: str) -> None:
    """The mail about a school that is paused, or the reminder of it."""
    hint = "Correct the cause, then let it run by itself again. A manual sync that finishes ends the pause too."
    command, link = f"roster school resume {school.key}", page_of_school(school.key, "Look at the school")
    notice = school_notice(school, now, "failed", "Paused", said, hint, command=command, link=link)
    send_alert(conn, [school], notice, alert_id, occasion)


def record_crashes(database: Database, runs: Mapping[str, tuple[str, str | None]]) -> int:
    """Store the failures of runs that ended before they could say why. runs: run id to school key and night."""
    if not runs:
        return 0
    with database.begin() as conn:
        unknown = alerts.unknown_runs(conn, list(runs))
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
    """The schools that a fault of this school's connection concerns: the school itself, and the schools that run by
    themselves."""
    sharing = tenants.schools_of(conn, school.connection.id)
    return [school] + [other for other in sharing if other.id != school.id and other.settings.automatic]


@dataclass(frozen=True)
class Watched:
    """How many alerts one check opened, cleared and repeated."""

    opened: int = 0
    cleared: int = 0
    reminded: int = 0


def watch_holds(
    conn: Connection, now: datetime, school_id: int | None = None, only: list[int] | None = None
) -> Watched:
    """Check all schools once, in the caller's transaction. school_id, only: check only this school, and only these
    alerts of it."""
    by_school: dict[int, list[Hold]] = {}
    for hold in approvals.held(conn, school_id=school_id):
        by_school.setdefault(hold.school_id, []).append(hold)
    if not by_school and only == []:
        return Watched()
    cleared = alerts.clear_held(conn, list(by_school), only)
    already_open = {alert.school_id for alert in alerts.open_alerts(conn) if alert.cause == HELD}
    fresh = {number: holds for number, holds in by_school.items() if number not in already_open}
    if not (cleared or fresh):
        return Watched()
    schools = tenants.schools_by_id(conn, [*fresh, *(alert.school_id or 0 for alert in cleared)])
    for alert in cleared:
        school = schools[alert.school_id or 0]
        since = was_open(alert.opened_at, alert.message, school.settings.time_zone)
        notice = school_notice(school, now, "good", "All clear", "Nothing is held any more", since)
        send_alert(conn, [school], notice, alert.id, "cleared", owners_too=_waits(school))
    for number, holds in fresh.items():
        school = schools[number]
        message = f"{_held(holds)} held{_by_whom(holds)}"
        opened = alerts.open_alert(conn, f"school {school.key}", HELD, f"{message}.", school=number)
        if opened is None:
            continue
        may = any(hold.overridable for hold in holds)
        link = page_of_school(school.key, *(("Look and decide", "/holds") if may else ("Sync again", "/runs")))
        notice = school_notice(
            school,
            now,
            "attention",
            "Held",
            message,
            "The report says why. Everything else of that sync was done.",
            command=f"roster hold show {school.key}",
            link=link,
        )
        managers = accounts.managers_of(conn, school.district_id) if any(h.needs_manager for h in holds) else []
        send_alert(conn, [school], notice, opened, "opened", owners_too=_waits(school), also=managers)
    return Watched(len(fresh), len(cleared))


def _held(holds: list[Hold]) -> str:
    kinds = [f"{counted(hold.rows, *NOUNS[hold.action])} of {role_name(hold.role)}" for hold in holds]  # type: ignore[index]
    return f"{joined(kinds)} {'is' if sum(hold.rows for hold in holds) == 1 else 'are'}"


def _by_whom(holds: list[Hold]) -> str:
    """Until when the changes wait. This depends on who may decide about some of them."""
    overridable = [hold for hold in holds if hold.overridable]
    if not overridable:
        return " and cannot be approved"
    return (
        " until the district's manager decides"
        if all(h.needs_manager for h in overridable)
        else " until someone decides"
    )


def _waits(school: SchoolRow) -> bool:
    return school.settings.report_when == "daily"


def watch_claims(conn: Connection, now: datetime, only: Collection[int] | None = None) -> Watched:
    """One look, in the caller's transaction. only: at the people of these schools alone. Skips alerts that another
    transaction opens or closes at the moment. That transaction or the next look handles them."""
    claimed = claimed_people(conn, only)
    already_open = {
        alert.school_id or 0: alert
        for alert in alerts.open_alerts(conn)
        if alert.cause == CLAIMED and (only is None or alert.school_id in only)
    }
    if claimed.keys() == already_open.keys() or not try_lock_until_commit(conn, "alerts on claimed people"):
        return Watched()
    fresh, over = claimed.keys() - already_open.keys(), already_open.keys() - claimed.keys()
    mine = alerts.lock_open(conn, [already_open[number].id for number in over])
    ended = [already_open[number] for number in sorted(over) if already_open[number].id in mine]
    others = {by for number in fresh for by in claimed[number].by_schools}
    schools = tenants.schools_by_id(conn, {*fresh, *over, *others})
    for alert in ended:
        school = schools[alert.school_id or 0]
        alerts.close(conn, alert.id)
        headline = "Nobody of this school is claimed elsewhere any more"
        since = was_open(alert.opened_at, alert.message, school.settings.time_zone)
        notice = school_notice(school, now, "good", "All clear", headline, since)
        send_alert(conn, [school], notice, alert.id, "cleared")
    opened = 0
    for number in sorted(fresh):
        school, message = schools[number], claimed_words(claimed[number].people)
        alert_id = alerts.open_alert(conn, f"school {school.key}", CLAIMED, message, school=number)
        if alert_id is not None:
            opened += 1
            _notify_claim(conn, school, message, [schools[by] for by in claimed[number].by_schools], now, alert_id)
    return Watched(opened, len(ended))


def _notify_claim(
    conn: Connection, school: SchoolRow, message: str, by: list[SchoolRow], now: datetime, alert_id: int
) -> None:
    """The mail to the school, and to the managers, who can open the conflicts of the schools that claim the people."""
    named = [other.name for other in by[:MOST_NAMED]]
    named += [counted(len(by) - MOST_NAMED, "more school", "more schools")] if len(by) > MOST_NAMED else []
    plans = "plan" if len(by) == 1 else "plans"
    hint = f"The {plans} of {joined(named)} {'lists' if len(by) == 1 else 'list'} the records. {CLAIM_HINT}"
    headline = "Another school also claims people of this one"
    notice = school_notice(school, now, "attention", "Claimed elsewhere", headline, message, hint)
    link = page_of_school(by[0].key, "Say who they are", "/conflicts")
    managers = accounts.managers_of(conn, school.district_id)
    send_alert(conn, [school], notice, alert_id, "opened", also=managers, also_link=link)
