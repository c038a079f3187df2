"""Pruning our own tables, and who hears of it when that fails; how long things are kept is chosen by environment."""

from __future__ import annotations

from datetime import datetime, timedelta

from roster_pipeline.directory import alerts, snapshots, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.retention import drop_old
from roster_pipeline.notifications import Mail
from roster_pipeline.notifications.blocks import Link
from roster_pipeline.notifications.notice import Notice, notice_mail
from roster_pipeline.notifications.outcome import Tone
from roster_pipeline.settings.installation import Retention
from roster_pipeline.sync.alert_recipients import send_alert
from roster_pipeline.sync.build_report import run_url

_PRUNING = ("installation", "pruning")
"""Subject and cause of the alert."""


def prune(database: Database, retention: Retention) -> dict[str, int]:
    """Drop what is old from our tables, one school a transaction; what was dropped, by name."""
    with database.begin() as connection:
        schools = [school.id for school in tenants.list_schools(connection)]
    dropped = 0
    for school_id in schools:
        with database.begin() as connection:
            dropped += snapshots.prune(connection, school_id, retention.keep_syncs)
    with database.begin() as connection:
        return {"snapshots": dropped} | drop_old(connection, timedelta(days=retention.keep_days))


def alert_not_pruned(database: Database, run_id: str, now: datetime) -> bool:
    """Alert the operators that pruning fails, once until it works again. False where they know already."""
    said = "The nightly pruning failed"
    with database.begin() as connection:
        opened = alerts.open_alert(connection, *_PRUNING, said)
        if opened is None:
            return False
        hint = "Until it works, raw records, mails and Dagster runs are kept longer than promised. Its run says why."
        send_alert(connection, [], _notice(now, "failed", "Not pruned", said, hint, run_id), opened, "opened")
    return True


def clear_not_pruned(database: Database, now: datetime) -> None:
    """The all-clear, where an alert is open."""
    with database.begin() as connection:
        closed = alerts.close_of(connection, *_PRUNING)
        if closed is not None:
            hint = f"This was open since {closed.opened_at:%Y-%m-%d %H:%M} UTC."
            send_alert(
                connection, [], _notice(now, "good", "All clear", "Pruning works again", hint), closed.id, "cleared"
            )


def _notice(now: datetime, tone: Tone, badge: str, said: str, hint: str, run_id: str | None = None) -> Mail:
    url = run_url(run_id)
    link = Link("Open the run", url) if url else None
    return notice_mail(Notice("Installation", "", now, "UTC", tone, badge, said, (hint,), link=link))
