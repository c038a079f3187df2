"""Alerts by mail: who hears of one, and the alerts on failed steps and on what waits for a decision.

The owners of the schools that an alert concerns hear of it, and the operators of the installation.

Alerts on held changes and on people whom another connection delivers too are opened once per school, and end with an
all-clear when nothing waits any more. Owners who get a report after every sync have read about held changes there. So
that alert goes to the operators, and to owners who get one report a day. The alert on claimed people goes to their
school and to the managers, who can settle it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from roster_pipeline.directory import accounts, alerts, approvals, ledger, outbox, tenants
from roster_pipeline.directory.alerts import CLAIMED, HELD
from roster_pipeline.directory.approvals import Hold
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.held_plans import claimed_people
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications import FailureAlert, render
from roster_pipeline.notifications.blocks import Link, page_links
from roster_pipeline.notifications.notice import Notice, notice_mail
from roster_pipeline.notifications.outcome import NOUNS, Tone, claimed_words, joined
from roster_pipeline.settings.installation import MailServer
from roster_pipeline.sync.build_report import console_url, message_id, run_url
from roster_pipeline.sync.error_messages import CREDENTIALS, STEP, GaveWay, SyncError
from roster_pipeline.vocabulary import counted, moment, role_name

CLAIM_HINT = "The plan of the other school lists the records. There somebody decides who they are."


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
            recorded = alerts.record(
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


def send_alert(
    connection: Connection,
    schools: list[SchoolRow],
    alert: Notice | FailureAlert,
    *identity: object,
    owners_too: bool = True,
    also: Sequence[str] = (),
) -> None:
    """Put one mail to all of them into the outbox. identity: what makes its Message-ID the same each time.

    Where there is a console, owners are led to its pages, and the operators get a mail of their own with the commands.
    owners_too: False where the owners know already, so that only the operators get the mail. also: further addresses.
    """
    owners = [address for school in schools for address in school.settings.report_to] if owners_too else []
    told, operate = list(dict.fromkeys([*owners, *also])), operators()
    mails: list[tuple[list[str], bool, tuple[str, ...]]] = [(told + operate, True, ())]
    if console_url():
        mails = [([one for one in told if one not in operate], False, ()), (operate, True, ("operators",))]
    for recipients, commands, more in mails:
        if not recipients:
            continue
        drawn = notice_mail(alert, commands=commands) if isinstance(alert, Notice) else render(alert, commands=commands)
        outbox.put(
            connection,
            message_id=message_id("alert", *identity, *more),
            kind="alert",
            school_id=schools[0].id if len(schools) == 1 else None,
            sync_id=None,
            recipients=list(dict.fromkeys(recipients)),
            mail=drawn,
        )


def school_notice(
    school: SchoolRow,
    now: datetime,
    tone: Tone,
    badge: str,
    headline: str,
    *sentences: str,
    command: str = "",
    link: Link | None = None,
) -> Notice:
    """A short mail about one school, in the school's time zone."""
    zone = school.settings.time_zone
    return Notice(school.name, school.key, now, zone, tone, badge, headline, sentences, command, link)


def was_open(since: datetime, message: str, zone: str = "UTC") -> str:
    """What an all-clear says of the alert that it ends. zone: of the school that it is about."""
    return f"This was open since {moment(since, zone)}: {message}"


def page_of_school(key: str, text: str, path: str = "") -> Link | None:
    """A page of the school in the console; None where there is no console."""
    return next(iter(page_links(console_url(), f"/schools/{key}{path}", text)), None)


def operators() -> list[str]:
    """The operators' addresses, as they were given."""
    return MailServer.read().alerts_to


def affected_schools(connection: Connection, school: SchoolRow) -> list[SchoolRow]:
    """The schools that a fault of this school's connection concerns: itself, and those that run by themselves."""
    sharing = tenants.schools_of(connection, school.connection.id)
    return [school] + [other for other in sharing if other.id != school.id and other.settings.automatic]


@dataclass(frozen=True)
class Watched:
    """How many alerts one look opened, cleared and repeated."""

    opened: int = 0
    cleared: int = 0
    reminded: int = 0


def watch_holds(
    connection: Connection, now: datetime, school_id: int | None = None, only: list[int] | None = None
) -> Watched:
    """One look, in the caller's transaction. school_id, only: at one school, and of its alerts at these alone."""
    holding: dict[int, list[Hold]] = {}
    for hold in approvals.held(connection, school_id=school_id):
        holding.setdefault(hold.school_id, []).append(hold)
    if not holding and only == []:
        return Watched()
    cleared = alerts.clear_held(connection, list(holding), only)
    known = {alert.school_id for alert in alerts.open_alerts(connection) if alert.cause == HELD}
    fresh = {number: holds for number, holds in holding.items() if number not in known}
    if not (cleared or fresh):
        return Watched()
    schools = tenants.schools_by_id(connection, [*fresh, *(alert.school_id or 0 for alert in cleared)])
    for alert in cleared:
        school = schools[alert.school_id or 0]
        since = was_open(alert.opened_at, alert.message, school.settings.time_zone)
        notice = school_notice(school, now, "good", "All clear", "Nothing is held any more", since)
        send_alert(connection, [school], notice, alert.id, "cleared", owners_too=_waits(school))
    for number, holds in fresh.items():
        school = schools[number]
        said = f"{_held(holds)} held{_by_whom(holds)}"
        opened = alerts.open_alert(connection, f"school {school.key}", HELD, f"{said}.", school=number)
        if opened is None:
            continue
        may = any(hold.overridable for hold in holds)
        link = page_of_school(school.key, *(("Look and decide", "/holds") if may else ("Sync again", "/runs")))
        notice = school_notice(
            school,
            now,
            "attention",
            "Held",
            said,
            "The report says why. Everything else of that sync was done.",
            command=f"roster hold show {school.key}",
            link=link,
        )
        managers = accounts.managers_of(connection, school.district_id) if any(h.needs_manager for h in holds) else []
        send_alert(connection, [school], notice, opened, "opened", owners_too=_waits(school), also=managers)
    return Watched(len(fresh), len(cleared))


def _held(holds: list[Hold]) -> str:
    kinds = [f"{counted(hold.rows, *NOUNS[hold.action])} of {role_name(hold.role)}" for hold in holds]  # type: ignore[index]
    return f"{joined(kinds)} {'is' if sum(hold.rows for hold in holds) == 1 else 'are'}"


def _by_whom(holds: list[Hold]) -> str:
    """Until when, by who may decide about any of it."""
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


def watch_claims(connection: Connection, now: datetime) -> Watched:
    """One look, in the caller's transaction."""
    claimed = claimed_people(connection)
    known = {alert.school_id: alert for alert in alerts.open_alerts(connection) if alert.cause == CLAIMED}
    fresh, over = claimed.keys() - known.keys(), known.keys() - claimed.keys()
    if not (fresh or over):
        return Watched()
    schools = {school.id: school for school in tenants.list_schools(connection)}
    for school_id in sorted(over, key=str):
        alert, school = known[school_id], schools[school_id or 0]
        alerts.close(connection, alert.id)
        headline = "Nobody of this school is claimed elsewhere any more"
        since = was_open(alert.opened_at, alert.message, school.settings.time_zone)
        send_alert(
            connection, [school], school_notice(school, now, "good", "All clear", headline, since), alert.id, "cleared"
        )
    for school_id in sorted(fresh):
        school, message = schools[school_id], claimed_words(claimed[school_id])
        opened = alerts.open_alert(connection, f"school {school.key}", CLAIMED, message, school=school_id)
        headline = "Another school also claims people of this one"
        notice = school_notice(school, now, "attention", "Claimed elsewhere", headline, message, CLAIM_HINT)
        managers = accounts.managers_of(connection, school.district_id)
        send_alert(connection, [school], notice, opened, "opened", also=managers)
    return Watched(len(fresh), len(over))
