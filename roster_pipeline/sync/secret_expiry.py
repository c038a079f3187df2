"""Client Secrets that are about to end: told of two weeks and three days before, and once when they are renewed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import Connection

from roster_pipeline.directory import alerts, tenants
from roster_pipeline.directory.alerts import EXPIRES, EXPIRES_SOON, Alert
from roster_pipeline.directory.secret_expiries import Dated, dated_secrets, open_expiries
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.notice import Notice
from roster_pipeline.notifications.outcome import Tone
from roster_pipeline.sync.alert_recipients import page_of_school, send_alert
from roster_pipeline.vocabulary import day

EARLY_DAYS, LATE_DAYS = 14, 3
"""Before the last day: time to ask whoever runs the SIS for a new secret, and the last call."""


def stage_of(expires: date, today: date) -> str | None:
    """The cause that is due for a secret: none, `EXPIRES` or `EXPIRES_SOON`. Only one is open at a time."""
    left = (expires - today).days
    return EXPIRES_SOON if left <= LATE_DAYS else EXPIRES if left <= EARLY_DAYS else None


@dataclass(frozen=True)
class Turn:
    """What changed for one connection: the stage that is due now, if any, and the open alerts that no longer hold.

    one: its secret's last day; None where it has none any more.
    """

    connection_id: int
    one: Dated | None
    stage: str | None
    over: list[Alert]


def secret_turns(connection: Connection, now: datetime) -> list[Turn]:
    """Connections whose alert about the secret must open, change or clear; mostly none."""
    today = now.astimezone(UTC).date()
    dated = {one.connection_id: one for one in dated_secrets(connection)}
    open_now = open_expiries(connection)
    turns = []
    for number in sorted(dated.keys() | open_now.keys()):
        one, known = dated.get(number), open_now.get(number, [])
        stage = stage_of(one.expires, today) if one else None
        over = [alert for alert in known if alert.cause != stage]
        if over or (stage and not known):
            turns.append(Turn(number, one, stage, over))
    return turns


def settle_expiry(connection: Connection, connection_id: int, now: datetime) -> None:
    """What a new last day of a connection's secret opens and closes, in the transaction of that change."""
    for turn in secret_turns(connection, now):
        if turn.connection_id == connection_id:
            send_turn(connection, turn, tenants.schools_of(connection, connection_id), now)


def send_turn(connection: Connection, turn: Turn, schools: Iterable[SchoolRow], now: datetime) -> tuple[int, int]:
    """Open and clear what a turn asks for, with its mail. Returns how many were opened and cleared."""
    mine = [school for school in schools if school.connection.id == turn.connection_id]
    concerned = [school for school in mine if school.settings.automatic] or mine
    for alert in turn.over:
        alerts.close(connection, alert.id)
    if turn.stage and turn.one:
        return int(_open(connection, turn.one, turn.stage, concerned, now)), 0
    notice = _renewed(turn.over[0].subject, turn.one, concerned, now)
    send_alert(connection, concerned, notice, turn.over[-1].id, "cleared")
    return 0, 1


def _open(connection: Connection, one: Dated, stage: str, concerned: list[SchoolRow], now: datetime) -> bool:
    today = now.astimezone(UTC).date()
    verb = "ended" if one.expires < today else "ends"
    said = f"The Client Secret of {one.key} {verb} on {day(one.expires)}"
    alert = alerts.open_alert(connection, f"connection {one.key}", stage, said, connection=one.connection_id)
    if alert is None:
        return False
    hints = (
        "After that day the SIS may refuse the sign-in, and no school of this connection can be synced.",
        "Ask for a new secret in the SIS, then enter it here with its last day.",
    )
    command = f"roster connection set {one.key} --client-secret ask --secret-expires YYYY-MM-DD"
    notice = _notice(f"Connection {one.key}", concerned, now, "attention", "Secret ends", said, hints, command)
    send_alert(connection, concerned, notice, alert, "opened")
    return True


def _renewed(subject: str, one: Dated | None, concerned: list[SchoolRow], now: datetime) -> Notice:
    until = f"It is now valid until {day(one.expires)}" if one else "No last day is entered for it any more"
    about = subject[0].upper() + subject[1:]
    return _notice(about, concerned, now, "good", "All clear", "The Client Secret was renewed", (f"{until}.",), "")


def _notice(
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
