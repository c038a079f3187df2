"""The schools that the SIS of a connection listed when somebody asked for them: names and counts, no people."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from roster_pipeline.directory.tables import sis_school_list
from roster_pipeline.directory.tenants import ConnectionRow

LOST_MINUTES = 30
"""Reading takes less time than this. An older list without an end lost the process that read it."""
LOST = "The list ended without a result. Read it again."


@dataclass(frozen=True)
class SisSchoolList:
    """id: the number of this reading. schools: id, identifier, name and people of each school, by name. people is None
    until the people are counted.

    ended_at: None while it is read. problem: why it was not read completely.
    """

    connection_id: int
    id: str
    connection_revision: int
    who: str
    schools: list[dict[str, Any]]
    problem: str | None
    started_at: datetime
    ended_at: datetime | None


def start(conn: Connection, connection: ConnectionRow, *, who: str) -> str:
    """Note that a connection's list is read now, and return its id. The contents of an earlier list are dropped."""
    values = {
        "id": str(uuid.uuid4()),
        "connection_revision": connection.revision,
        "who": who,
        "schools": [],
        "problem": None,
        "started_at": func.now(),
        "ended_at": None,
    }
    row = insert(sis_school_list).values(connection_id=connection.id, **values)
    conn.execute(row.on_conflict_do_update(index_elements=["connection_id"], set_=values))
    return str(values["id"])


def note(conn: Connection, list_id: str, schools: Sequence[dict[str, Any]]) -> None:
    """Keep what is known so far, unless a newer list was started."""
    conn.execute(update(sis_school_list).where(sis_school_list.c.id == list_id).values(schools=list(schools)))


def end(conn: Connection, list_id: str, problem: str | None = None) -> None:
    """End the reading, if it has not ended before. problem: why the list could not be read completely, for people to
    read."""
    over = update(sis_school_list).where(sis_school_list.c.id == list_id, sis_school_list.c.ended_at.is_(None))
    conn.execute(over.values(ended_at=func.now(), problem=problem))


def get(conn: Connection, connection: ConnectionRow) -> SisSchoolList | None:
    """The list of a connection as it is now. None if it was never read, or not since the connection changed."""
    end_lost(conn)
    of = sis_school_list.c.connection_id == connection.id
    same = sis_school_list.c.connection_revision == connection.revision
    row = conn.execute(select(sis_school_list).where(of, same)).mappings().first()
    return None if row is None else SisSchoolList(**row)


def going(conn: Connection) -> int:
    """How many lists are read now."""
    end_lost(conn)
    unended = sis_school_list.c.ended_at.is_(None)
    return int(conn.scalar(select(func.count()).select_from(sis_school_list).where(unended)) or 0)


def end_lost(conn: Connection) -> None:
    """End the lists whose process is gone."""
    old = sis_school_list.c.started_at < func.now() - text(f"interval '{LOST_MINUTES} minutes'")
    lost = update(sis_school_list).where(sis_school_list.c.ended_at.is_(None), old)
    conn.execute(lost.values(ended_at=func.now(), problem=LOST))
