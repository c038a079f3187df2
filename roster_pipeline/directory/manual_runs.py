"""Runs that somebody asked for on a page: at most one per school at a time, and a few on one machine.

A run is a row, so any process can show how far it is. It waits until the machine has a slot for its district. One
process waits for its turn, then another runs it. Both write a sign of life every few seconds.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, and_, func, insert, select, text, update

from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.directory.tables import district, manual_run, school

Kind = Literal["sync", "dry_run"]
LOST_MINUTES = 5
"""A run without a sign of life for this long has lost its process. A busy machine is late only by seconds."""
WAITING_LOST_MINUTES = 1
"""The same for a run that waits: the console that would have started it has ended."""
LOST = "The run ended without saying why. Its process was probably killed.\nStart it again; nothing was half applied."
NEVER_STARTED = "The console was restarted before this run's turn came.\nStart it again; nothing was changed."
MOST_SHOWN = 20
"""How many runs of a school a page lists."""
CANCELED = "Canceled by {who}. Nothing was half applied."


class AlreadyGoing(DirectoryError):
    """This school already has a run by hand that has not ended."""

    def __init__(self, key: str, run_id: str) -> None:
        super().__init__(f"A run of {key} is going on already.", "Wait for its end, or watch it.")
        self.run_id = run_id


_OUTCOME = """
select done.id as sync_id, done.outcome as sync_outcome, case when done.id is not null then done.plan_id else (
        select max(id) from plan where school_id = :school and run_id = :run
    ) end as plan_id, done.id is null and exists (
        select from failure where school_id = :school and run_id = :run and cause = 'credentials'
    ) as sign_in
from (select) one left join lateral (
    select id, outcome, plan_id from sync where school_id = :school and run_id = :run order by id desc limit 1
) done on true
"""


def ask(conn: Connection, run_id: str, school_id: int, key: str, *, kind: Kind, who: str, host: str) -> None:
    """Note a run that waits for its turn on this host. Raises AlreadyGoing."""
    lock_until_commit(conn, "manual runs")
    _end_lost(conn)
    going = conn.scalar(select(manual_run.c.id).where(_going(), manual_run.c.school_id == school_id))
    if going is not None:
        raise AlreadyGoing(key, going)
    conn.execute(insert(manual_run).values(id=run_id, school_id=school_id, kind=kind, who=who, host=host))


def begin(conn: Connection, run_id: str, slots: int) -> bool | None:
    """Begin a run if it is its turn; False: it waits; None: it is over. slots: runs of its host at once. With several
    districts and slots, no district takes the last one, so no run waits only for one other district."""
    lock_until_commit(conn, "manual runs")
    host = conn.scalar(
        update(manual_run)
        .where(manual_run.c.id == run_id, _going())
        .values(alive_at=func.now())
        .returning(manual_run.c.host)
    )
    if host is None:
        return None
    _end_lost(conn)
    running, waiting = _on(conn, host)
    several = conn.scalar(select(func.count()).select_from(district)) != 1
    free = next_to_start(waiting, running, slots, several=several)
    if free != run_id:
        return False
    conn.execute(update(manual_run).where(manual_run.c.id == run_id).values(started_at=func.now()))
    return True


def place(conn: Connection, run: Row[Any]) -> int:
    """The place of a waiting run in the order of its host. The first has place 1; 0 if the run does not wait."""
    running, waiting = _on(conn, run.host)
    order = order_of(waiting, running)
    return order.index(run.id) + 1 if run.id in order else 0


def order_of(waiting: Sequence[tuple[str, int]], running: Mapping[int, int]) -> list[str]:
    """The order of waiting runs (id, district): districts with the fewest running ones, then the earliest."""
    taken, left, order = Counter(running), list(waiting), []
    while left:
        run = min(left, key=lambda one: taken[one[1]])
        left.remove(run)
        order.append(run[0])
        taken[run[1]] += 1
    return order


def next_to_start(
    waiting: Sequence[tuple[str, int]], running: Mapping[int, int], slots: int, *, several: bool
) -> str | None:
    """The run that starts now, or None. several: the installation has more than one district. See `begin`."""
    if sum(running.values()) >= slots:
        return None
    most = slots - 1 if several and slots > 1 else slots
    districts = dict(waiting)
    return next((run for run in order_of(waiting, running) if running.get(districts[run], 0) < most), None)


def alive(conn: Connection, run_id: str, step: str | None = None) -> str | None:
    """Write a sign of life. step: the new step, if it has changed. Returns who canceled the run, or None."""
    values: dict[str, Any] = {"alive_at": func.now()} | ({"step": step} if step else {})
    going = update(manual_run).where(manual_run.c.id == run_id, _going()).values(values)
    who: str | None = conn.scalar(going.returning(manual_run.c.canceled_by))
    return who


def cancel(conn: Connection, school_id: int, run_id: str, who: str) -> bool:
    """Ask for the end of a run; False if it is over or canceled. One that goes on ends within seconds."""
    lock_until_commit(conn, "manual runs")
    mine = (
        manual_run.c.id == run_id,
        manual_run.c.school_id == school_id,
        _going(),
        manual_run.c.canceled_by.is_(None),
    )
    row = conn.execute(
        update(manual_run).where(*mine).values(canceled_by=who).returning(manual_run.c.started_at)
    ).first()
    if row is not None and row.started_at is None:
        end(conn, run_id, CANCELED.format(who=who))
    return row is not None


def end(conn: Connection, run_id: str, problem: str | None = None) -> None:
    """End the run. Only the first end counts. problem: what failed, for people to read."""
    conn.execute(
        update(manual_run).where(manual_run.c.id == run_id, _going()).values(ended_at=func.now(), problem=problem)
    )


def get(conn: Connection, school_id: int, run_id: str) -> Row[Any] | None:
    """One run of a school, or None. step: in words. started_at: None while it waits. ended_at: None until it is over.
    canceled: it ended because somebody canceled it; a run that had just ended by itself was not canceled."""
    _end_lost(conn)
    return conn.execute(_runs().where(manual_run.c.id == run_id, manual_run.c.school_id == school_id)).first()


def find(conn: Connection, run_id: str) -> Row[Any] | None:
    """One run with its school's key, for the process that carries it out."""
    return conn.execute(_runs().where(manual_run.c.id == run_id)).first()


def of_school(conn: Connection, school_id: int) -> Sequence[Row[Any]]:
    """A school's runs by hand, newest first."""
    _end_lost(conn)
    query = _runs().where(manual_run.c.school_id == school_id).order_by(manual_run.c.requested_at.desc())
    return conn.execute(query.limit(MOST_SHOWN)).all()


def outcome(conn: Connection, school_id: int, run_id: str) -> Row[Any]:
    """The sync and the plan that a run made, as far as it came. sign_in: it failed at the sign-in to the SIS."""
    return conn.execute(text(_OUTCOME), {"school": school_id, "run": run_id}).one()


def _runs() -> Select[Any]:
    ended = (manual_run.c.ended_at, manual_run.c.canceled_by, manual_run.c.problem)
    canceled = and_(*(column.is_not(None) for column in ended)).label("canceled")
    query = select(manual_run, canceled, school.c.key.label("school_key"))
    return query.join(school, school.c.id == manual_run.c.school_id)


def _going() -> Any:
    return manual_run.c.ended_at.is_(None)


def _on(conn: Connection, host: str) -> tuple[Counter[int], list[tuple[str, int]]]:
    """For one host: the number of runs that go on by district, and the runs that wait, oldest first."""
    query = (
        select(manual_run.c.id, manual_run.c.started_at, school.c.district_id)
        .join(school, school.c.id == manual_run.c.school_id)
        .where(_going(), manual_run.c.host == host)
        .order_by(manual_run.c.requested_at, manual_run.c.id)
    )
    rows = conn.execute(query).all()
    running = Counter(run.district_id for run in rows if run.started_at is not None)
    return running, [(run.id, run.district_id) for run in rows if run.started_at is None]


def _end_lost(conn: Connection) -> None:
    for started, minutes, problem in ((True, LOST_MINUTES, LOST), (False, WAITING_LOST_MINUTES, NEVER_STARTED)):
        late = manual_run.c.alive_at < func.now() - text(f"interval '{minutes} minutes'")
        of_kind = manual_run.c.started_at.is_not(None) if started else manual_run.c.started_at.is_(None)
        conn.execute(update(manual_run).where(_going(), of_kind, late).values(ended_at=func.now(), problem=problem))
