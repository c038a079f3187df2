"""Districts, connections and schools: who is rostered, from where, with which settings.

The callers write changes of settings into the audit, with the name of the person who asked for them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    RowMapping,
    Select,
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
from roster_pipeline.directory.tables.tenants import connection, district, school
from roster_pipeline.settings.school import (
    MOST_RECIPIENTS,
    TOO_MANY_RECIPIENTS,
    ConnectionSettings,
    DistrictSettings,
    Guards,
    SchoolSettings,
    display_name,
)


class UnknownKey(DirectoryError):
    """There is no district, connection or school with this key."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"There is no {kind} {key}.", f"See which there are: roster {kind} list")
        self.kind = kind
        self.key = key


class KeyTaken(DirectoryError):
    """The key of a new district, connection or school is in use. Keys are unique over all districts."""

    def __init__(self, kind: str, key: str) -> None:
        change = "." if kind == "district" else f", or change that one: roster {kind} set {key}"
        super().__init__(f"There is already a {kind} {key}.", f"Choose another key{change}")
        self.kind = kind
        self.key = key


class RefusedSetting(DirectoryError):
    """The form of the name or setting is correct, but we do not accept it."""


@dataclass(frozen=True)
class DistrictRow:
    """A tenant."""

    id: int
    key: str
    name: str
    settings: DistrictSettings = field(default_factory=DistrictSettings)
    paused_until: date | None = None


@dataclass(frozen=True)
class ConnectionRow:
    """One SIS endpoint. `secret` is sealed. `learned` is what earlier pulls found out about this server. revision:
    increases with every change of settings or secret."""

    id: int
    key: str
    district_id: int
    district_key: str
    settings: ConnectionSettings
    secret: str | None
    learned: dict[str, Any]
    revision: int = 1


@dataclass(frozen=True)
class SchoolRow:
    """One school with its connection. revision: increases with every change of name or settings.

    test: the last Test Your Information, {"at", "items", "of"}; "of" says which revision of the connection and which
    School ID were tested. paused_until: the first day on which the schedule starts the school again. It is the later of
    the school's own day and the district's day. raised_limits: guard setting to value, until, who, reason.
    """

    id: int
    key: str
    name: str
    district_id: int
    district_key: str
    connection: ConnectionRow
    settings: SchoolSettings
    test: dict[str, Any] | None
    revision: int = 1
    paused_until: date | None = None
    raised_limits: dict[str, dict[str, Any]] = field(default_factory=dict)

    def guards_on(self, day: date) -> Guards:
        """The limits of the guards on a day, including limits that are raised on that day. On the last day, a raise
        still counts."""
        raised = {name: one["value"] for name, one in self.raised_limits.items() if one["until"] >= day.isoformat()}
        return Guards.model_validate(self.settings.guards.model_dump() | raised)


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
    is deleted. Raises UnknownKey."""
    values: dict[str, Any] = {"learned": {}}
    news = []
    if settings is not None:
        values["settings"] = settings.model_dump(mode="json")
        news.append(connection.c.settings != cast(values["settings"], JSONB))
    if secret_sealed is not None:
        values["secret"] = secret_sealed
        news.append(true())
    return int(_changed(conn, connection, key, values, news).revision)


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
    """Make the schedule start a school, or a whole district, only from this day on. None: at once. Returns the day that
    was set before. For a school, the day of its district does not count."""
    table, id_ = (school, school_id) if school_id is not None else (district, district_id)
    before: date | None = conn.scalar(select(table.c.paused_until).where(table.c.id == id_).with_for_update())
    conn.execute(update(table).where(table.c.id == id_).values(paused_until=until))
    return before


def raise_limits(conn: Connection, school_id: int, limits: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace the raised limits of a school."""
    values = {name: dict(one) for name, one in limits.items()}
    conn.execute(update(school).where(school.c.id == school_id).values(raised_limits=values))


def get_district(conn: Connection, key: str) -> DistrictRow:
    """One district. Raises UnknownKey."""
    return _district(_one(conn, select(district), district, key))


def get_connection(conn: Connection, key: str) -> ConnectionRow:
    """One connection. Raises UnknownKey."""
    return _connection(_one(conn, _connections(), connection, key))


def get_school(conn: Connection, key: str) -> SchoolRow:
    """One school with its connection. Raises UnknownKey."""
    return school_of(_one(conn, schools_query(), school, key))


def _one(conn: Connection, query: Select[Any], table: Table, key: str) -> RowMapping:
    row = conn.execute(query.where(table.c.key == key)).mappings().first()
    if row is None:
        raise UnknownKey(table.name, key)
    return row


def list_districts(conn: Connection) -> list[DistrictRow]:
    """All districts by key."""
    return [_district(row) for row in conn.execute(select(district).order_by(district.c.key)).mappings()]


def list_connections(conn: Connection, district_key: str | None = None) -> list[ConnectionRow]:
    """Connections by key, of one district or of all."""
    query = _connections().order_by(connection.c.key)
    if district_key is not None:
        query = query.where(district.c.key == get_district(conn, district_key).key)
    return [_connection(row) for row in conn.execute(query).mappings()]


def schools_by_id(conn: Connection, ids: Collection[int]) -> dict[int, SchoolRow]:
    """The schools with these ids, by id. It is one query."""
    rows = conn.execute(schools_query().where(school.c.id.in_(ids))).mappings()
    return {row.id: row for row in map(school_of, rows)}


def list_schools(conn: Connection, district: str | None = None) -> list[SchoolRow]:
    """Schools by key, with their connections, of one district (given by its key) or of all. It is one query."""
    query = schools_query().order_by(school.c.key)
    if district is not None:
        query = query.where(school.c.district_id == get_district(conn, district).id)
    return [school_of(row) for row in conn.execute(query).mappings()]


def remember(conn: Connection, connection_id: int, learned: Mapping[str, Any]) -> None:
    """Add to the stored facts of a server what a pull found out about it."""
    merged = connection.c.learned.op("||")(cast(dict(learned), JSONB))
    conn.execute(update(connection).where(connection.c.id == connection_id).values(learned=merged))


def save_test(
    conn: Connection, tested: SchoolRow, items: Sequence[Mapping[str, Any]], at: datetime | None = None
) -> dict[str, Any]:
    """Store the outcome of Test Your Information, so that people can see it later. tested: the school with the settings
    that were tested. at: the time of the test; now, if not given."""
    test = {
        "at": (at or datetime.now(UTC)).isoformat(timespec="seconds"),
        "items": [dict(item) for item in items],
        "of": {"revision": tested.connection.revision, "school_id": tested.settings.school_id},
    }
    conn.execute(update(school).where(school.c.id == tested.id).values(test=test))
    return test


def save_tests(conn: Connection, tested: Sequence[tuple[SchoolRow, Sequence[Mapping[str, Any]]]]) -> None:
    """`save_test` for several schools at once. Schools whose connection or School ID has changed since the test are
    left out."""
    rows = [
        {
            "school": row.id,
            "revision": row.connection.revision,
            "school_id": row.settings.school_id,
            "items": [dict(item) for item in items],
        }
        for row, items in tested
    ]
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
    """Let tests of one revision of a connection count for a newer revision, because the tested settings are the same in
    both."""
    fresh = school.c.test["of"]["revision"].as_integer() == revision
    kept = func.jsonb_set(school.c.test, cast(["of", "revision"], ARRAY(Text)), cast(newer, JSONB))
    conn.execute(update(school).where(school.c.connection_id == connection_id, fresh).values(test=kept))


def namesake(conn: Connection, of: SchoolRow) -> str | None:
    """The name of another school of the same connection that has the same School ID, or None."""
    same = school.c.settings["school_id"].astext == of.settings.school_id
    query = select(school.c.name).where(school.c.connection_id == of.connection.id, school.c.id != of.id, same)
    name: str | None = conn.scalar(query.order_by(school.c.key).limit(1))
    return name


def usual_time_zone(conn: Connection, districts: Collection[int] | None, schools: Collection[int] = ()) -> str | None:
    """The time zone that most of these schools, and of the schools of these districts (None: of all), have. None if
    there is no such school yet."""
    zone = school.c.settings["time_zone"].astext
    query = select(zone).group_by(zone).order_by(func.count().desc(), zone).limit(1)
    if districts is not None:
        query = query.where(or_(school.c.district_id.in_(districts), school.c.id.in_(schools)))
    found: str | None = conn.scalar(query)
    return found


def time_zones(conn: Connection) -> dict[str, str]:
    """The time zone of every school, by the key of the school."""
    zone = func.coalesce(school.c.settings["time_zone"].astext, "UTC").label("zone")
    return {row.key: row.zone for row in conn.execute(select(school.c.key, zone))}


def school_names(
    conn: Connection, districts: Collection[int] | None, schools: Collection[int] = (), *, limit: int, words: str = ""
) -> list[tuple[str, str]]:
    """Key and name of the schools of some districts (None: of all), and of these schools, by key; at most `limit`.
    words: only schools with all of these words in key or name. Capital letters do not matter."""
    query = select(school.c.key, school.c.name).order_by(school.c.key).limit(limit)
    for word in words.lower().replace("\0", "").split():
        query = query.where(func.strpos(func.lower(school.c.key + " " + school.c.name), word) > 0)
    if districts is not None:
        query = query.where(or_(school.c.district_id.in_(districts), school.c.id.in_(schools)))
    return [(row.key, row.name) for row in conn.execute(query)]


def schools_of(conn: Connection, connection_id: int) -> list[SchoolRow]:
    """The schools that share a connection, by key."""
    rows = conn.execute(schools_query().where(connection.c.id == connection_id).order_by(school.c.key))
    return [school_of(row) for row in rows.mappings()]


def _added(conn: Connection, table: Table, key: str, **values: object) -> int:
    if conn.scalar(select(table.c.id).where(table.c.key == key)) is not None:
        raise KeyTaken(table.name, key)
    return int(conn.execute(insert(table).values(key=key, **values).returning(table.c.id)).scalar_one())


def _connections() -> Select[Any]:
    return select(connection, district.c.key.label("district_key")).join(
        district, district.c.id == connection.c.district_id
    )


def schools_query() -> Select[Any]:
    """Schools with their connections and districts: rows for `school_of`."""
    return (
        select(
            *(column.label(f"school_{column.name}") for column in school.c),
            connection,
            district.c.key.label("district_key"),
            func.greatest(school.c.paused_until, district.c.paused_until).label("any_pause"),
        )
        .join(connection, connection.c.id == school.c.connection_id)
        .join(district, district.c.id == school.c.district_id)
    )


def _district(row: Mapping[Any, Any]) -> DistrictRow:
    settings = DistrictSettings.model_validate(row["settings"])
    return DistrictRow(row["id"], row["key"], row["name"], settings, row["paused_until"])


def _connection(row: Mapping[Any, Any]) -> ConnectionRow:
    same = {name: row[name] for name in ("id", "key", "district_id", "district_key", "secret", "learned", "revision")}
    return ConnectionRow(settings=ConnectionSettings.model_validate(row["settings"]), **same)


def school_of(row: Mapping[Any, Any]) -> SchoolRow:
    """A row of `schools_query`."""
    return SchoolRow(
        id=row["school_id"],
        key=row["school_key"],
        name=row["school_name"],
        district_id=row["school_district_id"],
        district_key=row["district_key"],
        connection=_connection(row),
        settings=SchoolSettings.model_validate(row["school_settings"]),
        test=row["school_test"],
        revision=row["school_revision"],
        paused_until=row["any_pause"],
        raised_limits=row["school_raised_limits"],
    )
