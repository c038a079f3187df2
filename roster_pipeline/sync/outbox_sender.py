"""Mail leaves: what is due in the outbox is sent, and what failed waits longer each time."""

from __future__ import annotations

import time
from dataclasses import dataclass

from roster_pipeline.directory import outbox
from roster_pipeline.directory.database import Database
from roster_pipeline.notifications import (
    Mail,
    Mailer,
    PermanentDeliveryError,
    ServerAwayError,
    TemporaryDeliveryError,
)

MOST_AT_ONCE = 200
"""Mails of one look; the rest waits for the next, so that a tick stays short."""
MOST_SECONDS = 20.0
"""After so long no mail is begun any more: Dagster waits 60 s for a look, and one mail may take 35 s."""


@dataclass(frozen=True)
class Sent:
    """How many mails left, were put off, and were given up."""

    sent: int = 0
    failed: int = 0
    dead: int = 0


def send_due(database: Database, mailer: Mailer) -> Sent:
    """Send what is due.

    A server that is away ends the look: every other mail would wait as long for it, and use up one of its tries.
    """
    sent = failed = dead = 0
    away, until = False, time.monotonic() + MOST_SECONDS
    for _ in range(MOST_AT_ONCE):
        if away or time.monotonic() > until:
            break
        with database.begin() as connection:
            waiting = outbox.due(connection, limit=1)
            if not waiting:
                break
            letter = waiting[0]
            mail = Mail(letter.subject, letter.text, letter.html, letter.school or "", letter.attachment)
            try:
                delivery = mailer.send(letter.message_id, letter.recipients, mail, at=letter.created_at)
            except TemporaryDeliveryError as problem:
                alive = outbox.failed(connection, letter.id, problem.message)
                failed, dead = failed + alive, dead + (not alive)
                away = isinstance(problem, ServerAwayError)
            except PermanentDeliveryError as problem:
                outbox.failed(connection, letter.id, problem.message, permanent=True)
                dead += 1
            else:
                sent += 1
                refused = f"refused for good: {', '.join(delivery.never)}" if delivery.never else None
                if delivery.later:
                    put_off = "; ".join(["some recipients were put off", *([refused] if refused else [])])
                    outbox.failed(connection, letter.id, put_off, recipients=delivery.later)
                else:
                    outbox.sent(connection, letter.id, refused)
    return Sent(sent, failed, dead)
