"""Changes of districts, connections and schools: new ones, their settings, and what tests and pulls found out. The
callers write changes of settings into the audit, with the name of the person who asked for them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    Text,
    case,
    cast,
    false,
    func,
    insert,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.link_records import FORGET_NUMBERS
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.tables import connection, district, school
from roster_pipeline.directory.tenants import (
    ConnectionRow,
    DistrictRow,
    SchoolRow,
    UnknownKey,
    get_connection,
    get_district,
    get_school,
)
from roster_pipeline.settings.school import (
    MOST_RECIPIENTS,
    TOO_MANY_RECIPIENTS,
    ConnectionSettings,
    DistrictSettings,
    SchoolSettings,
    display_name,
)


class KeyTaken(DirectoryError):
    """The key of a new district, connection or school is in use. Keys are unique over all districts."""

    def __init__(self, kind: str, key: str) -> None:
        change = "." if kind == "district" else f", or change that one: roster {kind} set {key}"
        super().__init__(f"There is already a {kind} {key}.", f"Choose another key{change}")
        self.kind = kind
        self.key = key


class RefusedSetting(DirectoryError):
    """A name or setting that is well formed but not allowed."""


NUMBER_PLACES = {"student": "student_number_from", "staff": "staff_number_from"}
"""The settings that say where the numbers of each kind are."""


class ConnectionInUse(DirectoryError):
    """The connection has schools, or data came over it, so it has to stay."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} was used by a school, so it stays.", "Only a connection without any data is removed.")


UNUSED = """
d.id = c.district_id
    and not exists (select from school where connection_id = c.id)
    and not exists (select from pull where connection_id = c.id)
    and not exists (select from snapshot where connection_id = c.id)
    and not exists (select from sis_record where connection_id = c.id)
    and not exists (select from link where connection_id = c.id)
    and not exists (select from link_exclusion where connection_id = c.id)
    and not exists (select from exemption where connection_id = c.id)
    and not exists (select from alert where connection_id = c.id)
    and not coalesce(d.settings -> 'connection_ranking' ? c.key, false)
"""
TRIED_BEFORE = f"""
select c.key from connection c, district d where {UNUSED} and d.key = :district and c.settings ->> 'sis' = :sis
    and (c.settings ->> 'url' = :url or c.settings ->> 'client_id' = nullif(:client_id, ''))
order by c.id desc limit 1
"""  # noqa: S608 - no values
NUMBERS_OF_NOBODY = """
update person set number_connection_id = null, revision = revision + 1
where district_id = :district and number_connection_id = :connection and number_kind = any(:kinds)
"""
PLANS_WITH_NUMBERS = """
update plan set state = 'replaced' where state = 'planned' and district_id = :district
    and school_id in (select id from school where connection_id = :connection)
"""
OTHER_NUMBERS = (NUMBERS_OF_NOBODY, FORGET_NUMBERS, PLANS_WITH_NUMBERS)
"""If a connection takes numbers of these kinds from another place."""


def add_district(conn: Connection, key: str, name: str) -> DistrictRow:
    """Make a district. Raises KeyTaken, RefusedSetting."""
    name = _name(name)
    return DistrictRow(_added(conn, district, key, name=name), key, name)


def add_connection(
    conn: Connection, district_key: str, key: str, settings: ConnectionSettings, secret_sealed: str | None
) -> ConnectionRow:
    """Make a connection in a district; the caller has sealed the secret. Raises UnknownKey, KeyTaken."""
    owner = get_district(conn, district_key)
    document = settings.model_dump(mode="json")
    _added(conn, connection, key, district_id=owner.id, settings=document, secret=secret_sealed)
    return get_connection(conn, key)


def set_connection(
    conn: Connection, key: str, settings: ConnectionSettings | None = None, secret_sealed: str | None = None
) -> int:
    """Replace a connection's settings, its secret, or both; returns its revision. Everything learned about the server
    is deleted. If numbers come from another place, the stored ones become those of no connection. Raises UnknownKey."""
    values: dict[str, Any] = {"learned": {}}
    news = []
    if settings is not None:
        _leave_numbers(conn, get_connection(conn, key), settings)
        values["settings"] = settings.model_dump(mode="json")
        news.append(connection.c.settings != cast(values["settings"], JSONB))
    if secret_sealed is not None:
        values["secret"] = secret_sealed
        news.append(true())
    return int(_changed(conn, connection, key, values, news).revision)


def remove_connection(conn: Connection, key: str) -> ConnectionRow:
    """Delete a connection over which no data came, and return it. Raises UnknownKey, ConnectionInUse."""
    row = get_connection(conn, key)
    removal = text(f"delete from connection c using district d where c.key = :key and {UNUSED}")  # noqa: S608
    if not conn.execute(removal, {"key": key}).rowcount:
        raise ConnectionInUse(key)
    return row


def tried_before(conn: Connection, district_key: str, wanted: ConnectionSettings) -> ConnectionRow | None:
    """The connection of an earlier attempt to connect this SIS: its address or Client ID is the same, and it has no
    school and no data."""
    asked = {"district": district_key, "sis": wanted.sis, "url": wanted.url, "client_id": wanted.client_id}
    key = conn.scalar(text(TRIED_BEFORE), asked)
    return get_connection(conn, key) if key else None


def _leave_numbers(conn: Connection, before: ConnectionRow, after: ConnectionSettings) -> None:
    """Stored numbers become those of no connection: from another field they are not evidence."""
    kinds = [kind for kind, name in NUMBER_PLACES.items() if getattr(before.settings, name) != getattr(after, name)]
    if kinds:
        lock_district(conn, before.district_id)
        given = {"district": before.district_id, "connection": before.id, "kinds": kinds}
        for statement in OTHER_NUMBERS:
            conn.execute(text(statement), given)


def add_school(conn: Connection, connection_key: str, key: str, name: str, settings: SchoolSettings) -> SchoolRow:
    """Make a school of a connection. Raises UnknownKey, KeyTaken, RefusedSetting."""
    source = get_connection(conn, connection_key)
    _check_recipients(settings)
    document = settings.model_dump(mode="json")
    of = {"district_id": source.district_id, "connection_id": source.id}
    _added(conn, school, key, **of, name=_name(name), settings=document)
    return get_school(conn, key)


def set_school(
    conn: Connection, key: str, settings: SchoolSettings | None = None, name: str | None = None
) -> tuple[int, str]:
    """Replace a school's settings, its name, or both. Returns revision and name. Raises UnknownKey, RefusedSetting."""
    values: dict[str, Any] = {}
    news = []
    if settings is not None:
        _check_recipients(settings)
        values["settings"] = settings.model_dump(mode="json")
        news.append(school.c.settings != cast(values["settings"], JSONB))
    if name is not None:
        values["name"] = _name(name)
        news.append(school.c.name != values["name"])
    row = _changed(conn, school, key, values, news)
    return row.revision, row.name


def _changed(
    conn: Connection, table: Table, key: str, values: Mapping[str, Any], news: Sequence[ColumnElement[bool]]
) -> Row[Any]:
    """Write these values. The revision increases if one of the conditions `news` is true. Raises UnknownKey."""
    revision = table.c.revision + case((or_(false(), *news), 1), else_=0)
    written = update(table).where(table.c.key == key).values(**values, updated_at=func.now(), revision=revision)
    row = conn.execute(written.returning(table)).one_or_none()
    if row is None:
        raise UnknownKey(table.name, key)
    return row


def _name(name: str) -> str:
    try:
        return display_name(name)
    except ValueError as problem:
        raise RefusedSetting(str(problem)) from None


def _check_recipients(settings: SchoolSettings) -> None:
    if len(settings.report_to) > MOST_RECIPIENTS:
        raise RefusedSetting(TOO_MANY_RECIPIENTS)


def set_district(conn: Connection, key: str, settings: DistrictSettings) -> None:
    """Replace a district's settings. Raises UnknownKey."""
    values = {"settings": settings.model_dump(mode="json")}
    if not conn.execute(update(district).where(district.c.key == key).values(values)).rowcount:
        raise UnknownKey("district", key)


def pause(
    conn: Connection, until: date | None, *, school_id: int | None = None, district_id: int | None = None
) -> date | None:
    """Let the schedule start a school or district from this day on (None: now). Returns the day before. It does not
    keep others from writing rows that name the school."""
    table, id_ = (school, school_id) if school_id is not None else (district, district_id)
    before: date | None = conn.scalar(
        select(table.c.paused_until).where(table.c.id == id_).with_for_update(key_share=True)
    )
    conn.execute(update(table).where(table.c.id == id_).values(paused_until=until))
    return before


def raise_limits(conn: Connection, school_id: int, limits: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace the raised limits of a school."""
    values = {name: dict(one) for name, one in limits.items()}
    conn.execute(update(school).where(school.c.id == school_id).values(raised_limits=values))


def save_test(
    conn: Connection, tested: SchoolRow, items: Sequence[Mapping[str, Any]], at: datetime | None = None
) -> dict[str, Any]:
    """Store the outcome of Test Your Information. tested: with the tested settings. at: its time; now."""
    test = {
        "at": (at or datetime.now(UTC)).isoformat(timespec="seconds"),
        "items": [dict(item) for item in items],
        "of": {"revision": tested.connection.revision, "school_id": tested.settings.school_id},
    }
    conn.execute(update(school).where(school.c.id == tested.id).values(test=test))
    return test


def save_tests(conn: Connection, tested: Sequence[tuple[SchoolRow, Sequence[Mapping[str, Any]]]]) -> None:
    """`save_test` for several schools, without those whose connection or School ID changed since."""
    rows = []
    for row, items in tested:
        of = {"school": row.id, "revision": row.connection.revision, "school_id": row.settings.school_id}
        rows.append(of | {"items": [dict(item) for item in items]})
    written = """
    update school s set test = jsonb_build_object('at', cast(:at as text), 'items', r.items, 'of',
        jsonb_build_object('revision', r.revision, 'school_id', r.school_id))
    from jsonb_to_recordset(cast(:rows as jsonb)) r (school bigint, revision integer, school_id text, items jsonb)
    join connection c on c.revision = r.revision
    where s.id = r.school and c.id = s.connection_id and s.settings ->> 'school_id' = r.school_id
    """
    given = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "rows": orjson.dumps(rows).decode()}
    conn.execute(text(written), given)


def keep_tests(conn: Connection, connection_id: int, revision: int, newer: int) -> None:
    """Let tests of one revision of a connection count for a newer one with the same tested settings."""
    fresh = school.c.test["of"]["revision"].as_integer() == revision
    kept = func.jsonb_set(school.c.test, cast(["of", "revision"], ARRAY(Text)), cast(newer, JSONB))
    conn.execute(update(school).where(school.c.connection_id == connection_id, fresh).values(test=kept))


def _added(conn: Connection, table: Table, key: str, **values: object) -> int:
    if conn.scalar(select(table.c.id).where(table.c.key == key)) is not None:
        raise KeyTaken(table.name, key)
    return int(conn.execute(insert(table).values(key=key, **values).returning(table.c.id)).scalar_one())
