"""Digests: in the morning, the reports that waited for a recipient become one mail."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from roster_pipeline.directory import digests, outbox
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.notifications import SyncReport
from roster_pipeline.notifications.digest import digest_mail
from roster_pipeline.sync.build_report import console_url, message_id

MORNING = time(7, 0)
"""When a digest is sent, on the clock of the school whose report waited longest: all nights are over by then."""


def due_at(put_at: datetime, time_zone: str) -> datetime:
    """The first morning after a report was written, as UTC."""
    zone = ZoneInfo(time_zone)
    local = put_at.astimezone(zone)
    morning = datetime.combine(local.date(), MORNING, zone)
    if morning <= local:
        morning = datetime.combine(local.date() + timedelta(days=1), MORNING, zone)
    return morning.astimezone(UTC)


def put_digests(database: Database, now: datetime) -> int:
    """Write the digests that are due into the outbox; a report goes into exactly one. Returns how many were put."""
    put = 0
    with database.begin() as connection:
        lock_until_commit(connection, "digests")
        for recipient, lines in groupby(digests.waiting(connection), key=lambda line: line.recipient):
            group = list(lines)
            if now < due_at(group[0].put_at, group[0].time_zone):
                continue
            identity = message_id("digest", recipient, *(line.sync_id for line in group))
            outbox.put(
                connection,
                message_id=identity,
                kind="digest",
                school_id=None,
                sync_id=None,
                recipients=[recipient],
                mail=digest_mail(
                    [SyncReport.from_dict(line.report) for line in group], now, group[0].time_zone, console_url()
                ),
            )
            digests.sent_with(connection, recipient, [line.sync_id for line in group], identity)
            put += 1
    return put
