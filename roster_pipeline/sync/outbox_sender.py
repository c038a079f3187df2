"""Sends the mails of the outbox, and puts the daily digests into it.

A mail that fails waits longer each time. In the morning, the reports that waited for a recipient become one mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from time import monotonic
from zoneinfo import ZoneInfo

from roster_pipeline.directory import outbox
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.notifications import (
    Mail,
    Mailer,
    PermanentDeliveryError,
    ServerAwayError,
    SyncReport,
    TemporaryDeliveryError,
)
from roster_pipeline.notifications.notice import digest_mail
from roster_pipeline.sync.build_report import console_url, message_id

MOST_AT_ONCE = 200
"""How many mails one tick sends. The others wait for the next tick, so that a tick stays short."""
MOST_SECONDS = 20.0
"""After so long, no further mail is begun: Dagster waits 60 s for a tick, and one mail may take 35 s."""
MORNING = time(7, 0)
"""The time at which a digest is sent, on the clock of the school whose report has waited longest. All nights are over
by then."""


@dataclass(frozen=True)
class Sent:
    """How many mails left, were put off, and were given up."""

    sent: int = 0
    failed: int = 0
    dead: int = 0


def send_due(database: Database, mailer: Mailer) -> Sent:
    """Send the mails that are due.

    If the server is away, this stops: every other mail would wait as long for it, and lose one of its tries.
    """
    sent = failed = dead = 0
    away, until = False, monotonic() + MOST_SECONDS
    for _ in range(MOST_AT_ONCE):
        if away or monotonic() > until:
            break
        with database.begin() as connection:
            waiting = outbox.due(connection, limit=1)
            if not waiting:
                break
            message = waiting[0]
            mail = Mail(message.subject, message.text, message.html, message.school or "", message.attachment)
            try:
                delivery = mailer.send(message.message_id, message.recipients, mail, at=message.created_at)
            except TemporaryDeliveryError as problem:
                alive = outbox.failed(connection, message.id, problem.message)
                failed, dead = failed + alive, dead + (not alive)
                away = isinstance(problem, ServerAwayError)
            except PermanentDeliveryError as problem:
                outbox.failed(connection, message.id, problem.message, permanent=True)
                dead += 1
            else:
                sent += 1
                refused = f"refused for good: {', '.join(delivery.never)}" if delivery.never else None
                if delivery.later:
                    put_off = "; ".join(["some recipients were put off", *([refused] if refused else [])])
                    outbox.failed(connection, message.id, put_off, recipients=delivery.later)
                else:
                    outbox.sent(connection, message.id, refused)
    return Sent(sent, failed, dead)


def due_at(put_at: datetime, time_zone: str) -> datetime:
    """The first morning after a report was written, as UTC."""
    zone = ZoneInfo(time_zone)
    local = put_at.astimezone(zone)
    morning = datetime.combine(local.date(), MORNING, zone)
    if morning <= local:
        morning = datetime.combine(local.date() + timedelta(days=1), MORNING, zone)
    return morning.astimezone(UTC)


def put_digests(database: Database, now: datetime) -> int:
    """Write the digests that are due into the outbox. A report goes into exactly one digest.

    Returns how many it wrote.
    """
    put = 0
    with database.begin() as connection:
        lock_until_commit(connection, "digests")
        for recipient, lines in groupby(outbox.waiting_for_digest(connection), key=lambda line: line.recipient):
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
            outbox.sent_with_digest(connection, recipient, [line.sync_id for line in group], identity)
            put += 1
    return put
