"""Districts, connections, schools: settings, and what pulls learned of servers. `tenant_changes.py` changes them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Table, cast, func, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB

from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.tables import connection, district, school
from roster_pipeline.settings.school import ConnectionSettings, DistrictSettings, Guards, SchoolSettings


class UnknownKey(DirectoryError):
    """There is no district, connection or school with this key."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"There is no {kind} {key}.", f"See which there are: roster {kind} list")
        self.kind = kind
        self.key = key


_NOT_PLANNED_WITH = {
    *("report_to", "report_when", "report_attachment", "automatic", "sync_time", "time_zone", "first_sync"),
    *("guards", "quality"),
}


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
    """One SIS endpoint. secret: sealed. learned: by earlier pulls. revision: raised by each change."""

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
    """One school with its connection. test: the last Test Your Information, {"at", "items", "of"} (revision of the
    connection, School ID). paused_until: the later of the school's and the district's. raised_limits: guard setting to
    value, until, who, reason."""

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

    @property
    def ids(self) -> dict[str, int]:
        """The numbers of district, connection and school, as values of a query."""
        return {"district": self.district_id, "connection": self.connection.id, "school": self.id}

    @property
    def planned_with(self) -> str:
        """A digest of the settings that decide whom a plan changes; others judge it later, or say when and who."""
        own = self.settings.model_dump_json(exclude=_NOT_PLANNED_WITH, exclude_defaults=True)
        return sha256((own + self.connection.settings.model_dump_json(exclude_defaults=True)).encode()).hexdigest()

    def guards_on(self, day: date) -> Guards:
        """The limits of the guards on a day, with those that are raised until then."""
        raised = {name: one["value"] for name, one in self.raised_limits.items() if one["until"] >= day.isoformat()}
        return Guards.model_validate(self.settings.guards.model_dump() | raised)


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
    return [_district(row) for row in conn.execute(select(district).order_by(district.c.key)).mappings()]


def list_connections(conn: Connection, district_key: str | None = None) -> list[ConnectionRow]:
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


def namesake(conn: Connection, of: SchoolRow) -> str | None:
    """The name of another school of the same connection that has the same School ID, or None."""
    same = school.c.settings["school_id"].astext == of.settings.school_id
    query = select(school.c.name).where(school.c.connection_id == of.connection.id, school.c.id != of.id, same)
    name: str | None = conn.scalar(query.order_by(school.c.key).limit(1))
    return name


def usual_time_zone(conn: Connection, districts: Collection[int] | None, schools: Collection[int] = ()) -> str | None:
    """The usual time zone of these schools and districts (None: of all); None without a school."""
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
    """Key and name of these schools and those of districts (None: of all). words: all in key or name."""
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


def remember(conn: Connection, connection_id: int, learned: Mapping[str, Any]) -> None:
    """Add to the stored facts of a server what a pull found out about it. Call this before a change of its tests
    and schools: every change locks the connection first."""
    merged = connection.c.learned.op("||")(cast(dict(learned), JSONB))
    conn.execute(update(connection).where(connection.c.id == connection_id).values(learned=merged))


def _connections() -> Select[Any]:
    return select(connection, district.c.key.label("district_key")).join(
        district, district.c.id == connection.c.district_id
    )


@cache
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
