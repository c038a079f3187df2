"""Watching over the nights: schools that nothing is heard of, schools that fail night after night, and all-clears."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from roster_pipeline.directory import alerts, tenants
from roster_pipeline.directory.alerts import PAUSED, STALE, Alert
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.notice import Notice
from roster_pipeline.sync.alert_recipients import page_of_school, school_notice, send_alert, was_open
from roster_pipeline.sync.claim_alerts import watch_claims
from roster_pipeline.sync.hold_alerts import Watched, watch_holds
from roster_pipeline.sync.secret_expiry import secret_turns, send_turn
from roster_pipeline.vocabulary import moment

SILENCE = timedelta(hours=36)
"""Without a finished sync: one missed night and half a day, so that a late night is no alarm."""
MOST_NIGHTS = 7
"""Failed nights in a row after which a school is paused: a week in which nobody put it right."""
REMIND_AFTER = timedelta(days=7)
HEARTBEAT_SECONDS = 10.0


def watch(database: Database, now: datetime) -> Watched:
    """One look, in one transaction: each alert and its mail are written together."""
    with database.begin() as connection:
        held, claimed = watch_holds(connection, now), watch_claims(connection, now)
        cleared = alerts.clear_finished(connection)
        failing = alerts.failing_schools(connection, MOST_NIGHTS)
        silent = alerts.silent_schools(connection, now, SILENCE)
        reminded = alerts.to_remind(connection, now, REMIND_AFTER)
        turns = secret_turns(connection, now)
        if not (cleared or failing or silent or reminded or turns):
            return Watched(held.opened + claimed.opened, held.cleared + claimed.cleared)
        schools = {school.id: school for school in tenants.list_schools(connection)}
        for alert in cleared:
            _all_clear(connection, alert, schools, now)
        for school_id, key, nights in failing:
            said = f"The roster sync failed in {nights} nights in a row, so it no longer starts by itself"
            opened = alerts.open_alert(connection, f"school {key}", PAUSED, said, school=school_id)
            _paused(connection, schools[school_id], said, now, opened, "opened")
        for one in silent:
            zone = schools[one.id].settings.time_zone
            said = f"No roster sync was finished since {moment(one.since, zone)}, and no run says why"
            opened = alerts.open_alert(connection, f"school {one.key}", STALE, said, school=one.id)
            _stale(connection, schools[one.id], said, now, opened)
        for alert in reminded:
            school = schools[alert.school_id or 0]
            _paused(connection, school, alert.message, now, alert.id, f"reminder {now:%Y-%m-%d}")
        told = [send_turn(connection, turn, schools.values(), now) for turn in turns]
    opened = held.opened + claimed.opened + len(failing) + len(silent) + sum(opened for opened, _ in told)
    return Watched(
        opened, held.cleared + claimed.cleared + len(cleared) + sum(cleared for _, cleared in told), len(reminded)
    )


def settle(connection: Connection, school_id: int, now: datetime) -> Watched:
    """What a sync or a decision of one school changes in its alerts, in the transaction of that sync or decision.

    Alerts that another transaction looks at right now are left to it, or to the next look of `watch`.
    """
    mine = alerts.lock_of_school(connection, school_id)
    held = watch_holds(connection, now, school_id, mine)
    cleared = alerts.clear_finished(connection, mine) if mine else []
    if cleared:
        schools = {school.id: school for school in tenants.list_schools(connection)}
        for alert in cleared:
            _all_clear(connection, alert, schools, now)
    return Watched(held.opened, held.cleared + len(cleared))


def beat(url: str) -> str:
    """Tell the watcher outside that the daemon ticks, if there is one. Returns what became of it; never the address."""
    if not url:
        return "no heartbeat"
    import httpx

    try:
        answer = httpx.get(url, timeout=HEARTBEAT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        return f"heartbeat failed ({type(problem).__name__})"
    return "heartbeat sent" if answer.is_success else f"heartbeat refused ({answer.status_code})"


def _all_clear(connection: Connection, alert: Alert, schools: dict[int, SchoolRow], now: datetime) -> None:
    if alert.school_id is not None:
        concerned = [schools[alert.school_id]]
        about, key = concerned[0].name, concerned[0].key
    else:
        every = [school for school in schools.values() if school.connection.id == alert.connection_id]
        concerned = [school for school in every if school.settings.automatic] or every
        about, key = f"Connection {every[0].connection.key}", ""
    what = "The SIS can be read again" if alert.connection_id else "The roster sync works again"
    notice = Notice(
        about,
        key,
        now,
        concerned[0].settings.time_zone,
        "good",
        "All clear",
        what,
        (was_open(alert.opened_at, alert.message.splitlines()[0], concerned[0].settings.time_zone),),
    )
    send_alert(connection, concerned, notice, alert.id, "cleared")


def _paused(
    connection: Connection, school: SchoolRow, said: str, now: datetime, alert_id: int | None, occasion: str
) -> None:
    hint = "Put the cause right, then let it run by itself again. A sync by hand that finishes ends the pause too."
    command, link = f"roster school resume {school.key}", page_of_school(school.key, "Look at the school")
    notice = school_notice(school, now, "failed", "Paused", said, hint, command=command, link=link)
    send_alert(connection, [school], notice, alert_id, occasion)


def _stale(connection: Connection, school: SchoolRow, said: str, now: datetime, alert_id: int | None) -> None:
    hint = "Does the Dagster daemon run, and is its queue moving? An operator sees it; a sync by hand shows the rest."
    link = page_of_school(school.key, "Sync now", "/runs")
    notice = school_notice(school, now, "failed", "Silent", said, hint, command="roster doctor", link=link)
    send_alert(connection, [school], notice, alert_id, "opened")
