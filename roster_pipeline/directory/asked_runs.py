"""Runs that somebody asked for from a page: one of a school at a time, and a few on one machine.

A run is a row, so any process can show how far it is. The process that runs it says every few seconds that it lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, select, text, update

from roster_pipeline.directory.errors import DirectoryError
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.directory.tables import asked_run, plan, school, sync

Kind = Literal["sync", "dry_run"]
LOST_MINUTES = 5
"""A run that has not said for so long that it lives lost its process; a busy machine is late by seconds."""
LOST = "The run ended without saying why. Its process was probably killed.\nStart it again; nothing was half applied."


class AlreadyGoing(DirectoryError):
    """This school has a run by hand that has not ended."""

    def __init__(self, key: str, run_id: str) -> None:
        super().__init__(f"A run of {key} is going on already.", "Wait for its end, or watch it.")
        self.run_id = run_id


class TooManyRuns(DirectoryError):
    """This machine runs as many as it may."""

    retryable = True

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} {'run is' if most == 1 else 'runs are'} going on already on this machine, and no more may.",
            "Try again in a few minutes.",
        )


@dataclass(frozen=True)
class AskedRun:
    """One run. step: what it does now, in words. ended_at: None while it goes on."""

    id: str
    school_id: int
    kind: Kind
    who: str
    host: str
    step: str | None
    problem: str | None
    asked_at: datetime
    alive_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class Outcome:
    """What a run left behind, each None where it did not come so far."""

    sync_id: int | None
    sync_outcome: str | None
    plan_id: int | None


def ask(conn: Connection, run_id: str, school_id: int, key: str, *, kind: Kind, who: str, host: str, most: int) -> None:
    """Note a run that begins now. most: runs at once on this host. Raises AlreadyGoing, TooManyRuns."""
    lock_until_commit(conn, "asked runs")
    _end_lost(conn)
    going = conn.execute(select(asked_run.c.id, asked_run.c.host, asked_run.c.school_id).where(_going())).all()
    for one in going:
        if one.school_id == school_id:
            raise AlreadyGoing(key, one.id)
    if sum(one.host == host for one in going) >= most:
        raise TooManyRuns(most)
    conn.execute(insert(asked_run).values(id=run_id, school_id=school_id, kind=kind, who=who, host=host))


def alive(conn: Connection, run_id: str, step: str | None = None) -> None:
    """The run lives; step: what it does now, where that is news."""
    values: dict[str, Any] = {"alive_at": func.now()} | ({"step": step} if step else {})
    conn.execute(update(asked_run).where(asked_run.c.id == run_id, _going()).values(values))


def end(conn: Connection, run_id: str, problem: str | None = None) -> None:
    """The run is over; only the first end counts. problem: what failed, for people."""
    conn.execute(
        update(asked_run).where(asked_run.c.id == run_id, _going()).values(ended_at=func.now(), problem=problem)
    )


def get(conn: Connection, school_id: int, run_id: str) -> AskedRun | None:
    """One run of a school, or None."""
    _end_lost(conn)
    query = select(asked_run).where(asked_run.c.id == run_id, asked_run.c.school_id == school_id)
    found = conn.execute(query).mappings().first()
    return None if found is None else _row(found)


def find(conn: Connection, run_id: str) -> tuple[AskedRun, str] | None:
    """One run with its school's key, for the process that carries it out."""
    query = select(asked_run, school.c.key.label("school_key")).join(school, school.c.id == asked_run.c.school_id)
    found = conn.execute(query.where(asked_run.c.id == run_id)).mappings().first()
    if found is None:
        return None
    plain = dict(found)
    key = plain.pop("school_key")
    return _row(plain), key


def of_school(conn: Connection, school_id: int, limit: int = 20) -> list[AskedRun]:
    """A school's runs by hand, newest first."""
    _end_lost(conn)
    query = select(asked_run).where(asked_run.c.school_id == school_id).order_by(asked_run.c.asked_at.desc())
    return [_row(row) for row in conn.execute(query.limit(limit)).mappings()]


def outcome(conn: Connection, school_id: int, run_id: str) -> Outcome:
    """The sync and the plan that a run made."""
    done = conn.execute(
        select(sync.c.id, sync.c.outcome, sync.c.plan_id)
        .where(sync.c.school_id == school_id, sync.c.run_id == run_id)
        .order_by(sync.c.id.desc())
        .limit(1)
    ).first()
    if done is not None:
        return Outcome(done.id, done.outcome, done.plan_id)
    planned = select(func.max(plan.c.id)).where(plan.c.school_id == school_id, plan.c.run_id == run_id)
    return Outcome(None, None, conn.scalar(planned))


def _going() -> Any:
    return asked_run.c.ended_at.is_(None)


def _end_lost(conn: Connection) -> None:
    late = asked_run.c.alive_at < func.now() - text(f"interval '{LOST_MINUTES} minutes'")
    conn.execute(update(asked_run).where(_going(), late).values(ended_at=func.now(), problem=LOST))


def _row(row: Mapping[Any, Any]) -> AskedRun:
    return AskedRun(**row)
