"""Alerts on schools and connections: silent or failing schools, old sources, ending secrets, all-clears.

A night that reads a source opens or clears the alert on its age. A night inside a blackout window opens no alert: in
summer, when a school changes nothing, its SIS does not change either.

The alert on a Client Secret is sent two weeks and three days before its last day, and again when it is renewed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.directory import alerts, tenants
from roster_pipeline.directory.alerts import (
    EXPIRES,
    EXPIRES_SOON,
    SOURCE_STALE,
    STALE,
    Alert,
    Dated,
    dated_secrets,
    open_expiries,
)
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.held_plans import changed_claims, schools_of_people
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.notice import Notice
from roster_pipeline.notifications.outcome import Tone
from roster_pipeline.sync.alerts import Watched, notify_pause, pause_failing, watch_claims, watch_holds
from roster_pipeline.sync.outbox_sender import page_of_school, school_notice, send_alert, was_open
from roster_pipeline.sync.source_age import snapshot_facts, wrong_with_age
from roster_pipeline.vocabulary import day, moment

SILENCE = timedelta(hours=36)
"""Without a finished sync: one missed night and half a day, so that a late night does not cause an alert."""
REMIND_AFTER = timedelta(days=7)
HEARTBEAT_SECONDS = 10.0
EARLY_DAYS, LATE_DAYS = 14, 3
"""The times before the last day: the first leaves time to ask the people who run the SIS for a new secret, and the
second is the last warning."""


def watch(database: Database, now: datetime) -> Watched:
    """Check everything once, in one transaction. Each alert and its mail are written together."""
    with database.begin() as conn:
        held, claimed = watch_holds(conn, now), watch_claims(conn, now)
        cleared = alerts.clear_finished(conn)
        paused = pause_failing(conn, now)
        silent = alerts.silent_schools(conn, now, SILENCE)
        reminded = alerts.to_remind(conn, now, REMIND_AFTER)
        turns = expiry_changes(conn, now)
        if not (cleared or silent or reminded or turns):
            return Watched(held.opened + claimed.opened + paused, held.cleared + claimed.cleared)
        schools = {school.id: school for school in tenants.list_schools(conn)}
        for alert in cleared:
            _all_clear(conn, alert, schools, now)
        for one in silent:
            zone = schools[one.id].settings.time_zone
            message = f"No roster sync was finished since {moment(one.since, zone)}, and no run says why"
            opened = alerts.open_alert(conn, f"school {one.key}", STALE, message, school=one.id)
            _stale(conn, schools[one.id], message, now, opened)
        for alert in reminded:
            school = schools[alert.school_id or 0]
            notify_pause(conn, school, alert.message, now, alert.id, f"reminder {now:%Y-%m-%d}")
        sent = [send_expiry_change(conn, turn, schools.values(), now) for turn in turns]
    opened = held.opened + claimed.opened + paused + len(silent) + sum(opened for opened, _ in sent)
    return Watched(
        opened, held.cleared + claimed.cleared + len(cleared) + sum(cleared for _, cleared in sent), len(reminded)
    )


def settle(conn: Connection, school_id: int, now: datetime) -> Watched:
    """Open and clear the alerts of one school after a sync or a decision, in the transaction of that sync or decision.

    Alerts that another transaction has locked right now are left to that transaction, or to the next call of `watch`.
    """
    mine = alerts.lock_of_school(conn, school_id)
    held = watch_holds(conn, now, school_id, mine)
    cleared = alerts.clear_finished(conn, mine) if mine else []
    if cleared:
        schools = {school.id: school for school in tenants.list_schools(conn)}
        for alert in cleared:
            _all_clear(conn, alert, schools, now)
    changed = changed_claims(conn, school_id)
    claimed = watch_claims(conn, now, changed) if changed else Watched()
    return Watched(held.opened + claimed.opened, held.cleared + len(cleared) + claimed.cleared)


def settle_people(conn: Connection, district_id: int, people: Collection[int], now: datetime) -> None:
    """The same for a decision about who somebody is, in its transaction. people: their numbers."""
    watch_claims(conn, now, schools_of_people(conn, district_id, people))


def beat(url: str) -> str:
    """Tell the external watcher, if there is one, that the daemon ticks. Returns the result as a word, never the
    address."""
    if not url:
        return "no heartbeat"
    import httpx

    try:
        answer = httpx.get(url, timeout=HEARTBEAT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        return f"heartbeat failed ({type(problem).__name__})"
    return "heartbeat sent" if answer.is_success else f"heartbeat refused ({answer.status_code})"


def _all_clear(conn: Connection, alert: Alert, schools: dict[int, SchoolRow], now: datetime) -> None:
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
    send_alert(conn, concerned, notice, alert.id, "cleared")


def _stale(conn: Connection, school: SchoolRow, said: str, now: datetime, alert_id: int | None) -> None:
    hint = "Does the Dagster daemon run, and is its queue moving? An operator sees it; a sync by hand shows the rest."
    link = page_of_school(school.key, "Sync now", "/runs")
    notice = school_notice(school, now, "failed", "Silent", said, hint, command="roster doctor", link=link)
    send_alert(conn, [school], notice, alert_id, "opened")


def stage_of(expires: date, today: date) -> str | None:
    """The cause of the alert that is due for a secret: none, `EXPIRES` or `EXPIRES_SOON`. Only one is open at a
    time."""
    left = (expires - today).days
    return EXPIRES_SOON if left <= LATE_DAYS else EXPIRES if left <= EARLY_DAYS else None


@dataclass(frozen=True)
class ExpiryChange:
    """The change for one connection: the stage that is due now, if any, and the open alerts that no longer hold. one:
    the last day of its secret; None if it has none any more."""

    connection_id: int
    one: Dated | None
    stage: str | None
    over: list[Alert]


def expiry_changes(conn: Connection, now: datetime) -> list[ExpiryChange]:
    """Connections whose alert about the secret must open, change or clear; mostly none."""
    today = now.astimezone(UTC).date()
    dated = {one.connection_id: one for one in dated_secrets(conn)}
    open_now = open_expiries(conn)
    turns = []
    for number in sorted(dated.keys() | open_now.keys()):
        one, known = dated.get(number), open_now.get(number, [])
        stage = stage_of(one.expires, today) if one else None
        over = [alert for alert in known if alert.cause != stage]
        if over or (stage and not known):
            turns.append(ExpiryChange(number, one, stage, over))
    return turns


def settle_expiry(conn: Connection, connection_id: int, now: datetime) -> None:
    """Open and close the alerts that depend on a new last day of a connection's secret, in the transaction of that
    change."""
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
    notice = _renewed(turn.over[0].subject, turn.one, concerned, now)
    send_alert(conn, concerned, notice, turn.over[-1].id, "cleared")
    return 0, 1


def _open_expiry(conn: Connection, secret: Dated, stage: str, concerned: list[SchoolRow], now: datetime) -> bool:
    today = now.astimezone(UTC).date()
    verb = "ended" if secret.expires < today else "ends"
    message = f"The Client Secret of {secret.key} {verb} on {day(secret.expires)}"
    alert = alerts.open_alert(conn, f"connection {secret.key}", stage, message, connection=secret.connection_id)
    if alert is None:
        return False
    hints = (
        "After that day the SIS may refuse the sign-in, and no school of this connection can be synced.",
        "Ask for a new secret in the SIS, then enter it here with its last day.",
    )
    command = f"roster connection set {secret.key} --client-secret ask --secret-expires YYYY-MM-DD"
    notice = _expiry_notice(
        f"Connection {secret.key}", concerned, now, "attention", "Secret ends", message, hints, command
    )
    send_alert(conn, concerned, notice, alert, "opened")
    return True


def _renewed(subject: str, secret: Dated | None, concerned: list[SchoolRow], now: datetime) -> Notice:
    until = f"It is now valid until {day(secret.expires)}" if secret else "Its last day is no longer entered"
    about = subject[0].upper() + subject[1:]
    return _expiry_notice(
        about, concerned, now, "good", "All clear", "The Client Secret was renewed", (f"{until}.",), ""
    )


def _expiry_notice(
    about: str,
    concerned: list[SchoolRow],
    now: datetime,
    tone: Tone,
    badge: str,
    headline: str,
    sentences: tuple[str, ...],
    command: str,
) -> Notice:
    zone = concerned[0].settings.time_zone if concerned else "UTC"
    link = page_of_school(concerned[0].key, "Enter the new secret", "/settings") if concerned and command else None
    return Notice(about, "", now, zone, tone, badge, headline, sentences, command, link)


def watch_source(conn: Connection, school: SchoolRow, facts: Mapping[str, Any], now: datetime) -> None:
    """Open or clear the school's alert on its source. facts: the facts of the snapshot that was just taken."""
    found = wrong_with_age(snapshot_facts(facts, school.settings.zone), school.settings.guards)
    subject = f"school {school.key}"
    if not found:
        cleared = alerts.close_of(conn, subject, SOURCE_STALE)
        if cleared is not None:
            since = was_open(cleared.opened_at, cleared.message, school.settings.time_zone)
            notice = school_notice(school, now, "good", "All clear", "The source is up to date again", since)
            send_alert(conn, [school], notice, cleared.id, "cleared")
        return
    if _in_blackout(school, now):
        return
    message = " ".join(found)
    opened = alerts.open_alert(conn, subject, SOURCE_STALE, message, school=school.id)
    if opened is not None:
        hint = "Nobody is archived meanwhile. Check whether the export still runs, and where it writes to."
        if facts["written_at"] is None:
            hint = "Nobody is archived meanwhile. Check whether the SIS still passes its changes on to this connection."
        notice = school_notice(
            school,
            now,
            "attention",
            "Old source",
            "The source of the roster looks old",
            message,
            hint,
            command=f"roster test-connection {school.key}",
            link=page_of_school(school.key, "Test and settings", "/settings"),
        )
        send_alert(conn, [school], notice, opened, "opened")


def _in_blackout(school: SchoolRow, now: datetime) -> bool:
    today = now.astimezone(school.settings.zone).date()
    windows = school.settings.guards.windows
    return any(window.kind == "blackout" and window.first <= today <= window.last for window in windows)
