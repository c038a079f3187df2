"""Who did what, when and why. The database itself refuses to change or remove a line (a trigger on the table)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, or_, select, text

from roster_pipeline.directory.members import numbers_of
from roster_pipeline.directory.tables import audit, district, school
from roster_pipeline.directory.tenants import SchoolRow

RUN_REQUESTED = "run requested"
RUN_CANCELED = "run canceled"
DECISIONS_ABOUT = """
select a.at, a.who, a.what, a.reason, s.key as school, of.change, a.details ->> 'day' as day
from audit a join school s on s.id = a.school_id
cross join lateral jsonb_each(a.details -> 'persons') of (change, persons)
where a.school_id = any(cast(:schools as bigint[]))
  and exists (select from jsonb_array_elements(of.persons) one where one::bigint = any(cast(:people as bigint[])))
order by a.id, of.change
"""


@dataclass(frozen=True)
class Entry:
    """One line of the audit."""

    id: int
    at: datetime
    who: str
    what: str
    district_id: int | None
    school_id: int | None
    person_id: int | None
    reason: str | None
    details: dict[str, Any]


def record(
    conn: Connection,
    who: str,
    what: str,
    *,
    school: SchoolRow | None = None,
    district_id: int | None = None,
    school_id: int | None = None,
    person_id: int | None = None,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Add a line in the transaction of its change. details: names of settings and fields and numbers of people, no
    values. school: in place of the ids of school and district."""
    if school is not None:
        district_id, school_id = school.district_id, school.id
    line = insert(audit).values(
        who=who, what=what, district_id=district_id, school_id=school_id, person_id=person_id, reason=reason,
        details=dict(details or {}),
    )  # fmt: skip
    return int(conn.execute(line.returning(audit.c.id)).scalar_one())


def record_run(conn: Connection, run_id: str, kind: str, school: SchoolRow, *, who: str) -> None:
    """Say who asked for a Dagster run, before it starts. kind: `sync` or `dry_run`."""
    record(conn, who, RUN_REQUESTED, school=school, details={"kind": kind, "run": run_id})


def record_cancel(conn: Connection, run_id: str, school: SchoolRow, *, who: str) -> None:
    """Say who canceled a run, in the transaction that asks for its end."""
    record(conn, who, RUN_CANCELED, school=school, details={"run": run_id})


def who_requested_run(conn: Connection, school_key: str, run_id: str) -> str | None:
    """Who asked for a Dagster run of a school, or None if no person did."""
    query = (
        select(audit.c.who)
        .join(school, school.c.id == audit.c.school_id)
        .where(school.c.key == school_key, audit.c.what == RUN_REQUESTED)
        .where(audit.c.details["run"].as_string() == run_id)
        .order_by(audit.c.id.desc())
        .limit(1)
    )
    return conn.scalar(query)


def get(conn: Connection, entry_id: int) -> Entry | None:
    """One line by its number, or None."""
    row = conn.execute(select(audit).where(audit.c.id == entry_id)).mappings().first()
    return Entry(**row) if row else None


def since_revision(
    conn: Connection, what: str, revision: int, *, school_id: int | None = None, connection: str | None = None
) -> list[Entry]:
    """Later changes of a school's or a connection's (key) settings, oldest first, that name their revision."""
    query = select(audit).where(audit.c.what == what, audit.c.details["revision"].as_integer() > revision)
    if school_id is not None:
        query = query.where(audit.c.school_id == school_id)
    if connection is not None:
        query = query.where(audit.c.details["connection"].as_string() == connection)
    return [Entry(**row) for row in conn.execute(query.order_by(audit.c.id)).mappings()]


@dataclass(frozen=True)
class Shown(Entry):
    """An entry with key and name of the school and the district that it concerns."""

    school: str | None
    school_name: str | None
    district: str | None
    district_name: str | None


def search(
    conn: Connection,
    *,
    districts: Collection[int] | None = None,
    school_id: int | None = None,
    person_id: int | None = None,
    what: str = "",
    words: str = "",
    limit: int = 100,
    offset: int = 0,
) -> list[Shown]:
    """Entries of some districts, newest first; None: of all, and those without one. person_id: also those merged into
    them. words: in who, reason, or name or key of school or district."""
    query = (
        select(
            audit,
            school.c.key.label("school"),
            school.c.name.label("school_name"),
            district.c.key.label("district"),
            district.c.name.label("district_name"),
        )
        .outerjoin(school, school.c.id == audit.c.school_id)
        .outerjoin(district, district.c.id == audit.c.district_id)
        .order_by(audit.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    query = _of(query, districts, school_id)
    if person_id is not None:
        query = query.where(audit.c.person_id.in_(numbers_of(conn, person_id)))
    if what:
        query = query.where(audit.c.what == what)
    for word in words.lower().replace("\0", "").split():
        names = (school.c.key, school.c.name, district.c.key, district.c.name)
        where = func.lower(func.concat_ws(" ", audit.c.who, audit.c.reason, *names))
        query = query.where(func.strpos(where, word) > 0)
    return [Shown(**row) for row in conn.execute(query).mappings()]


def kinds(conn: Connection, districts: Collection[int] | None = None, school_id: int | None = None) -> list[str]:
    """Every kind of entry that `search` finds in the same places. A page offers them as a choice."""
    query = select(audit.c.what).distinct().outerjoin(school, school.c.id == audit.c.school_id)
    return list(conn.scalars(_of(query, districts, school_id).order_by(audit.c.what)))


def _of(query: Select[Any], districts: Collection[int] | None, school_id: int | None) -> Select[Any]:
    if districts is not None:
        query = query.where(or_(audit.c.district_id.in_(districts), school.c.district_id.in_(districts)))
    return query if school_id is None else query.where(audit.c.school_id == school_id)


def decisions_about(conn: Connection, people: Collection[int], school_ids: Collection[int]) -> Sequence[Row[Any]]:
    """What was decided in these schools about people, by their numbers, together with others; oldest first: at, who,
    what, reason, school (its key), change (the kind left out, or `leave`), day (of an announcement)."""
    given = {"people": sorted(people), "schools": sorted(school_ids)}
    return conn.execute(text(DECISIONS_ABOUT), given).all()
