"""Alerts on the installation: to the operators alone, a mail when something breaks and one when it works again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from roster_pipeline.directory import alerts
from roster_pipeline.directory.database import Database
from roster_pipeline.notifications.blocks import Link
from roster_pipeline.notifications.notice import Notice
from roster_pipeline.notifications.outcome import Tone
from roster_pipeline.sync.alert_recipients import send_alert, was_open

if TYPE_CHECKING:
    from roster_pipeline.sync.health_checks import Item

INSTALLATION = "installation"


def open_for_operators(
    database: Database, cause: str, headline: str, hint: str, now: datetime, link: Link | None = None
) -> bool:
    """Open an alert and tell the operators. False where they know already."""
    with database.begin() as conn:
        opened = alerts.open_alert(conn, INSTALLATION, cause, headline)
        if opened is None:
            return False
        send_alert(conn, [], _notice(now, "failed", "Problem", headline, hint, link), opened, "opened")
    return True


def close_for_operators(database: Database, cause: str, headline: str, now: datetime) -> bool:
    """Close an alert and tell the operators. False where none is open."""
    with database.begin() as conn:
        closed = alerts.close_of(conn, INSTALLATION, cause)
        if closed is None:
            return False
        since = was_open(closed.opened_at, closed.message)
        send_alert(conn, [], _notice(now, "good", "All clear", headline, since), closed.id, "cleared")
    return True


def watch_installation(database: Database, items: Iterable[Item], now: datetime) -> tuple[int, int]:
    """Open an alert for each red item and close those of the others. Returns how many were opened and closed."""
    opened = closed = 0
    for item in items:
        if item.ok is False:
            opened += open_for_operators(database, item.name, f"{_capital(item.name)}: {item.detail}", item.remedy, now)
        else:
            closed += close_for_operators(database, item.name, f"{_capital(item.name)}: well again", now)
    return opened, closed


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _notice(now: datetime, tone: Tone, badge: str, headline: str, hint: str, link: Link | None = None) -> Notice:
    return Notice("Installation", "", now, "UTC", tone, badge, headline, (hint,), link=link)
