"""Connection tests (Test Your Information) of the values of a form, saved or not. Also the lists of schools that people
requested from a connection's SIS: names and counts, no people.

A test is a row, so any process can show how far it is. If somebody typed a secret for the test, the row keeps it
sealed. The row is deleted together with the secret when the values are saved, or when the test is old. A test of the
stored secret reads the secret from the connection.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Table, cast, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from roster_pipeline.directory.tables import connection_test, sis_school_list
from roster_pipeline.directory.tenants import ConnectionRow, SchoolRow
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings

KEPT_MINUTES = 60
"""How long a test counts for settings that are saved after it."""
TOGETHER = "together"
"""In place of the values of a form: the number that is common to tests of one reading of the SIS."""
LOST_MINUTES = 30
"""Every test and every list takes less time than this. An older one without an end lost the process that ran it."""
TEST_LOST = "The test ended without a result. Start it again."
LIST_LOST = "The list ended without a result. Read it again."


@dataclass(frozen=True)
class ConnectionTest:
    """One test. form: without the secret. ended_at: None while it goes on. secret: the typed one, sealed, or None."""

    id: str
    school_id: int
    who: str
    form: dict[str, Any]
    settings: ConnectionSettings
    school_settings: SchoolSettings
    secret: str | None
    typed: bool
    connection_revision: int
    items: list[dict[str, Any]]
    problem: str | None
    learned: dict[str, Any]
    started_at: datetime
    ended_at: datetime | None

    @property
    def green(self) -> bool:
        """Whether the test came to its end and no item was red."""
        done = self.ended_at is not None and self.problem is None
        return done and bool(self.items) and all(item["ok"] is not False for item in self.items)


def start(
    conn: Connection,
    school: SchoolRow,
    *,
    who: str,
    form: Mapping[str, Any],
    settings: ConnectionSettings,
    school_settings: SchoolSettings,
    typed_secret: str | None = None,
    learned: Mapping[str, Any] | None = None,
) -> str:
    """Note a test and return its id. learned: by an earlier test of the same values. typed_secret: sealed."""
    prune(conn)
    test = _new(school, who, form, settings, school_settings, learned or {})
    conn.execute(insert(connection_test).values(test | {"secret": typed_secret, "typed": typed_secret is not None}))
    return str(test["id"])


def start_together(conn: Connection, schools: Sequence[SchoolRow], *, who: str) -> str:
    """Note tests of the stored settings of several schools of one connection. Returns their common number."""
    prune(conn)
    together = str(uuid.uuid4())
    tests = [
        _new(school, who, {TOGETHER: together}, school.connection.settings, school.settings, school.connection.learned)
        for school in schools
    ]
    conn.execute(insert(connection_test).values(tests))
    return together


def _new(
    school: SchoolRow,
    who: str,
    form: Mapping[str, Any],
    settings: ConnectionSettings,
    school_settings: SchoolSettings,
    learned: Mapping[str, Any],
) -> dict[str, Any]:
    """The row of a test that begins now."""
    return {
        "id": str(uuid.uuid4()), "school_id": school.id, "who": who, "form": dict(form),
        "settings": settings.model_dump(mode="json"), "school_settings": school_settings.model_dump(mode="json"),
        "learned": dict(learned), "connection_revision": school.connection.revision,
    }  # fmt: skip


def of_together(conn: Connection, together: str) -> list[ConnectionTest]:
    """The tests that were noted together, by school."""
    query = select(connection_test).where(connection_test.c.form[TOGETHER].as_string() == together)
    return [_row(row) for row in conn.execute(query.order_by(connection_test.c.school_id)).mappings()]


def end_together(
    conn: Connection, together: str, problem: str | None = None, items: Mapping[str, Sequence[Any]] | None = None
) -> None:
    """End these tests, if they have not ended before. items: what each test found."""
    over = """
    update connection_test t set ended_at = now(), problem = :problem, items = coalesce(i.value, t.items)
    from connection_test o left join jsonb_each(cast(:items as jsonb)) i on i.key = o.id
    where o.id = t.id and t.form ->> 'together' = :together and t.ended_at is null
    """
    given = {"together": together, "problem": problem, "items": orjson.dumps(items or {}).decode()}
    conn.execute(text(over), given)


def newest(conn: Connection, connection_id: int) -> dict[int, ConnectionTest]:
    """For each school of a connection, its newest test that still counts or goes on."""
    _end_lost(conn, connection_test, TEST_LOST)
    query = """
    select distinct on (t.school_id) t.* from connection_test t join school s on s.id = t.school_id
    where s.connection_id = :connection order by t.school_id, t.started_at desc
    """
    return {row["school_id"]: _row(row) for row in conn.execute(text(query), {"connection": connection_id}).mappings()}


def prune(conn: Connection) -> int:
    """Delete the tests, of all schools, that no longer count, with their secrets. Returns how many."""
    return conn.execute(
        delete(connection_test).where(connection_test.c.started_at < func.now() - _minutes(KEPT_MINUTES))
    ).rowcount


def add_item(conn: Connection, test_id: str, item: Mapping[str, Any]) -> None:
    longer = connection_test.c["items"].op("||")(cast([dict(item)], JSONB))
    conn.execute(update(connection_test).where(connection_test.c.id == test_id).values(items=longer))


def learn(conn: Connection, test_id: str, learned: Mapping[str, Any]) -> None:
    """Keep what was learned of the server, for the next test of these values, and for the connection if saved."""
    conn.execute(update(connection_test).where(connection_test.c.id == test_id).values(learned=dict(learned)))


def end(conn: Connection, test_id: str, problem: str | None = None) -> None:
    """End the test, if it has not ended before. problem: why it could not be carried out, for people to read."""
    _end(conn, connection_test, connection_test.c.id == test_id, problem)


def forget(conn: Connection, school_id: int) -> None:
    """Remove a school's tests, because the tested values are now saved."""
    conn.execute(
        delete(connection_test).where(connection_test.c.school_id == school_id, connection_test.c.ended_at.is_not(None))
    )


def get(conn: Connection, school_id: int, test_id: str) -> ConnectionTest | None:
    _end_lost(conn, connection_test, TEST_LOST)
    query = select(connection_test).where(connection_test.c.id == test_id, connection_test.c.school_id == school_id)
    return next(map(_row, conn.execute(query).mappings()), None)


def recent(conn: Connection, school_id: int) -> list[ConnectionTest]:
    """A school's finished tests that still count, newest first."""
    query = select(connection_test).where(
        connection_test.c.school_id == school_id,
        connection_test.c.ended_at.is_not(None),
        connection_test.c.started_at >= func.now() - _minutes(KEPT_MINUTES),
    )
    return [_row(row) for row in conn.execute(query.order_by(connection_test.c.started_at.desc())).mappings()]


def going(conn: Connection) -> int:
    """How many tests go on now, over all schools. Schools that are tested together are one test."""
    _end_lost(conn, connection_test, TEST_LOST)
    one = func.coalesce(connection_test.c.form[TOGETHER].as_string(), connection_test.c.id)
    return int(conn.scalar(select(func.count(one.distinct())).where(connection_test.c.ended_at.is_(None))) or 0)


def under_way(conn: Connection, school_id: int) -> ConnectionTest | None:
    """The test of a school that goes on, or None."""
    _end_lost(conn, connection_test, TEST_LOST)
    query = select(connection_test).where(
        connection_test.c.school_id == school_id, connection_test.c.ended_at.is_(None)
    )
    return next(map(_row, conn.execute(query.order_by(connection_test.c.started_at.desc())).mappings()), None)


def _end_lost(conn: Connection, table: Table, problem: str) -> None:
    """End the tests or lists whose process is gone."""
    _end(conn, table, table.c.started_at < func.now() - _minutes(LOST_MINUTES), problem)


def _end(conn: Connection, table: Table, which: ColumnElement[bool], problem: str | None) -> None:
    over = update(table).where(which, table.c.ended_at.is_(None))
    conn.execute(over.values(ended_at=func.now(), problem=problem))


def _minutes(number: int) -> Any:
    return text(f"interval '{int(number)} minutes'")


def _row(row: Mapping[Any, Any]) -> ConnectionTest:
    plain = dict(row)
    plain["settings"] = ConnectionSettings.model_validate(plain["settings"])
    plain["school_settings"] = SchoolSettings.model_validate(plain["school_settings"])
    return ConnectionTest(**plain)


def start_list(conn: Connection, connection: ConnectionRow, *, who: str) -> str:
    """Note that a connection's list is read now, and return its id. The contents of an earlier list are dropped."""
    values = {
        "id": str(uuid.uuid4()), "connection_revision": connection.revision, "who": who, "schools": [], "problem": None,
        "started_at": func.now(), "ended_at": None,
    }  # fmt: skip
    row = insert(sis_school_list).values(connection_id=connection.id, **values)
    conn.execute(row.on_conflict_do_update(index_elements=["connection_id"], set_=values))
    return str(values["id"])


def note_schools(conn: Connection, list_id: str, schools: Sequence[dict[str, Any]]) -> None:
    """Keep what is known so far, unless a newer list was started."""
    conn.execute(update(sis_school_list).where(sis_school_list.c.id == list_id).values(schools=list(schools)))


def end_list(conn: Connection, list_id: str, problem: str | None = None) -> None:
    """End the reading, if it has not ended before. problem: why it is not complete, for people."""
    _end(conn, sis_school_list, sis_school_list.c.id == list_id, problem)


def get_list(conn: Connection, connection: ConnectionRow) -> Row[Any] | None:
    """The list of a connection as it is now. None if it was never read, or not since the connection changed. schools:
    id, identifier, name and people of each, by name; people is None until they are counted. ended_at: None while it is
    read. problem: why it was not read completely."""
    _end_lost(conn, sis_school_list, LIST_LOST)
    of = sis_school_list.c.connection_id == connection.id
    same = sis_school_list.c.connection_revision == connection.revision
    return conn.execute(select(sis_school_list).where(of, same)).first()


def lists_going(conn: Connection) -> int:
    """How many lists are read now."""
    _end_lost(conn, sis_school_list, LIST_LOST)
    unended = sis_school_list.c.ended_at.is_(None)
    return int(conn.scalar(select(func.count()).select_from(sis_school_list).where(unended)) or 0)
