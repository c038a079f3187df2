"""Client Secrets that end on a known day, and which of their alerts are open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

from roster_pipeline.directory.alerts import EXPIRES, EXPIRES_SOON, Alert, open_alerts

DATED = """
select id, key, cast(settings ->> 'secret_expires' as date) as expires from connection
where settings ->> 'secret_expires' is not null order by key
"""


@dataclass(frozen=True)
class Dated:
    """A connection whose Client Secret is valid up to a day, that day included."""

    connection_id: int
    key: str
    expires: date


def dated_secrets(conn: Connection) -> list[Dated]:
    """Every connection that says when its secret ends, by key."""
    return [Dated(row.id, row.key, row.expires) for row in conn.execute(text(DATED))]


def open_expiries(conn: Connection) -> dict[int, list[Alert]]:
    """Open alerts about secrets that end, by connection."""
    found: dict[int, list[Alert]] = {}
    for alert in open_alerts(conn):
        if alert.cause in (EXPIRES, EXPIRES_SOON) and alert.connection_id is not None:
            found.setdefault(alert.connection_id, []).append(alert)
    return found
