"""Rollback: undoes one sync with the change log, in one transaction. The rollback is a sync of its own.

Rows that moved since are left alone and reported. The next sync plans the same changes again as long as the SIS says
the same. So before a rollback, stop the cause: switch off automatic rostering or Archive, or exclude the person.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, text

from roster_pipeline.directory import audit, ledger, link_records, rollback_sql
from roster_pipeline.directory.apply import Counts, SyncResult
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.tables import sync
from roster_pipeline.vocabulary import role_place

Only = Literal["archived"]
MOST_MOVED = 50
"""How many people who changed since an outline names."""

WHOLE = """
select max(y.id) from sync y where y.undoes = :sync and not exists (
    select from audit a where a.school_id = y.school_id and a.what = 'sync rolled back'
      and a.details ->> 'by' = y.id::text and a.details ->> 'only' = 'archived')
"""
"""The rollback of a whole sync. The audit has what a rollback had to undo, because nobody can change the audit."""


class AlreadyUndone(DirectoryError):
    """The sync was rolled back before."""


class NothingToUndo(DirectoryError):
    """The sync changed nothing, or everything that it changed has changed again since."""


def preview(database: Database, sync_id: int, *, only: Only | None = None) -> Sequence[Row[Any]]:
    """The rows that a rollback would undo now, by person. Changes nothing. way: remove, set back or remake. moved: the
    row has changed since, so it is left as it is."""
    with database.begin() as conn:
        _stage(conn, sync_id, only)
        return conn.execute(text(rollback_sql.SHOW)).all()


@dataclass(frozen=True)
class Outline:
    """A rollback in numbers. people: role to what would be undone to people. moved: some who changed since."""

    people: Counts
    rows: list[dict[str, Any]]
    moved: list[dict[str, Any]]

    @property
    def undone(self) -> int:
        """People whose changes would all be taken back."""
        return sum(number for of in self.people.values() for what, number in of.items() if what != "moved")

    @property
    def anything(self) -> bool:
        """Whether a row would be taken back, perhaps of a person with rows that changed since."""
        return any(not row["moved"] for row in self.rows)

    @property
    def left_alone(self) -> int:
        """The number of people who changed since."""
        return sum(of.get("moved", 0) for of in self.people.values())


def outline(database: Database, sync_id: int, *, only: Only | None = None) -> Outline:
    """The effect of a rollback now; the database counts the rows. Changes nothing."""
    with database.begin() as conn:
        _, given = _stage(conn, sync_id, only)
        people = _counted(conn, given)
        rows = conn.execute(text(rollback_sql.OUTLINE)).mappings().all()
        moved = conn.execute(text(rollback_sql.MOVED), given | {"limit": MOST_MOVED}).mappings().all()
        ordered = dict(sorted(people.items(), key=lambda of_role: role_place(of_role[0])))
        return Outline(ordered, [dict(row) for row in rows], [dict(row) for row in moved])


def roll_back(conn: Connection, sync_id: int, *, who: str, reason: str, only: Only | None = None) -> SyncResult:
    """Undo one sync, or its archivals. counts: role to create, update, restore, archive (undone) and moved to people.
    Raises UnknownSync, AlreadyUndone, NothingToUndo."""
    undone, given = _stage(conn, sync_id, only)
    undone_by = undone_whole_by(conn, sync_id)
    if undone_by is not None and only is None:
        raise AlreadyUndone(f"Sync {sync_id} was undone by sync {undone_by}.", "See: roster history")
    counts = _counted(conn, given)
    new_id = ledger.new_sync(conn)
    if not sum(conn.execute(text(statement), given).rowcount for statement in rollback_sql.CHANGES):
        raise NothingToUndo(
            f"Nothing of sync {sync_id} can be undone.", "It changed nothing, or all its changes were changed again."
        )
    if only is None:
        conn.execute(text(link_records.FORGET_SYNC), given)
    outcome = "held" if any("moved" in of_role for of_role in counts.values()) else "applied"
    owner: dict[str, Any] = {"district_id": undone.district_id, "school_id": undone.school_id}
    values = {"kind": "rollback", "undoes": sync_id, "outcome": outcome, "counts": counts, "who": who}
    conn.execute(insert(sync).values(id=new_id, **values, **owner))
    details = {"sync": sync_id, "by": new_id, "only": only}
    audit.record(conn, who, "sync rolled back", reason=reason, details=details, **owner)
    return SyncResult(new_id, outcome, counts)


def _counted(conn: Connection, given: dict[str, Any]) -> Counts:
    """Role to what is undone (or `moved`) to the number of people."""
    counts: Counts = {}
    for role, what, people in conn.execute(text(rollback_sql.COUNT), given):
        counts.setdefault(role, {})[what] = people
    return counts


def undone_whole_by(conn: Connection, sync_id: int) -> int | None:
    """The rollback that undid a whole sync, not only its archivals."""
    return conn.scalar(text(WHOLE), {"sync": sync_id})  # type: ignore[no-any-return]


def _stage(conn: Connection, sync_id: int, only: Only | None) -> tuple[ledger.SyncRow, dict[str, Any]]:
    """Put the way back of every row into a temporary table, and mark rows that moved. Under the district's lock."""
    lock_district(conn, ledger.get_sync(conn, sync_id).district_id)
    undone = ledger.get_sync(conn, sync_id)
    given = {
        "sync": sync_id,
        "district": undone.district_id,
        "school": undone.school_id,
        "only_archived": only == "archived",
    }
    conn.execute(text("drop table if exists rollback_row"))
    conn.execute(text(rollback_sql.STAGE), given)
    conn.execute(text("analyze rollback_row"))
    for statement in (*rollback_sql.MARK_MOVED, *rollback_sql.MARK_ROOTED):
        conn.execute(text(statement), given)
    return undone, given
