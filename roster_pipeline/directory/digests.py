"""Reports that wait for a digest: one line per recipient and sync, written in the transaction of the sync."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from roster_pipeline.directory.tables import digest, school, sync


@dataclass(frozen=True)
class Waiting:
    """One report that waits for one recipient; `report` is its stored form."""

    recipient: str
    sync_id: int
    put_at: datetime
    time_zone: str
    report: dict[str, Any]


def put(conn: Connection, recipients: Sequence[str], sync_id: int) -> None:
    """Let a sync's report wait for each recipient's next digest."""
    rows = [{"recipient": recipient, "sync_id": sync_id} for recipient in dict.fromkeys(recipients)]
    conn.execute(insert(digest).values(rows).on_conflict_do_nothing())


def waiting(conn: Connection) -> list[Waiting]:
    """What waits, by recipient, oldest first."""
    zone = func.coalesce(school.c.settings["time_zone"].astext, "UTC").label("time_zone")
    query = (
        select(digest.c.recipient, digest.c.sync_id, digest.c.put_at, zone, sync.c.report)
        .join(sync, sync.c.id == digest.c.sync_id)
        .join(school, school.c.id == sync.c.school_id)
        .where(digest.c.message_id.is_(None))
        .order_by(digest.c.recipient, digest.c.put_at, digest.c.sync_id)
    )
    return [Waiting(**row) for row in conn.execute(query).mappings()]


def sent_with(conn: Connection, recipient: str, sync_ids: Sequence[int], message_id: str) -> None:
    """These reports stand in this mail."""
    chosen = (digest.c.recipient == recipient, digest.c.sync_id.in_(sync_ids))
    conn.execute(update(digest).where(*chosen).values(message_id=message_id))
