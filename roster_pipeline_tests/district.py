"""A district in a real database: its connections and schools, whole syncs of a school, and what they leave behind.

Most tests make one of a class that also knows its SIS: `scenarios.conftest.District` runs syncs through Dagster,
`invariants.sync_district.Place` is one of several in a database, `sources.conftest.School` is a school on a small SIS.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from sqlalchemy import text

from roster_pipeline import sync
from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import seal
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.sync.plan_and_apply import Applied

CLIENT, SECRET = "client", "s3cret"
ROOTS = {"1.1": "/ims/oneroster/v1p1", "1.2": "/ims/oneroster/rostering/v1p2"}
EVERYTHING = {"rostered": True, "auto_update": True, "archive": True}
ROLES = ("students", "teachers", "staff", "admins")
_numbers = count(1)


def simulated(base_url: str, version: str = "1.2", **settings: Any) -> ConnectionSettings:
    """The connection to a SIS of the simulator, which knows CLIENT with SECRET. base_url: with the SIS's prefix."""
    known: dict[str, Any] = {"url": f"{base_url}{ROOTS[version]}", "token_url": f"{base_url}/oauth/token"}
    return ConnectionSettings(**known | {"client_id": CLIENT, "allow_private_addresses": True} | settings)


def everybody(school_id: str = "sch-1", **settings: Any) -> SchoolSettings:
    """A school that rosters everybody, changes everything and does not ask before its first sync, unless told so."""
    chosen: dict[str, Any] = dict.fromkeys(ROLES, EVERYTHING) | {"first_sync": "apply"} | settings
    return SchoolSettings(school_id=school_id, **chosen)


def change_school(database: Database, key: str, **settings: Any) -> SchoolRow:
    """Change some settings of a school."""
    with database.begin() as conn:
        now = tenants.get_school(conn, key).settings
        tenants.set_school(conn, key, SchoolSettings.model_validate(now.model_dump() | settings))
        return tenants.get_school(conn, key)


def run_sync(database: Database, key: str, batch: str | None = None, run_id: str | None = None) -> Applied:
    """One school's sync without Dagster around it. batch: the fetch to share with others; else it is its own."""
    sync.fetch(database, key, batch=batch or f"night {next(_numbers)}", run_id=run_id)
    sync.clean_latest(database, key, run_id=run_id)
    sync.plan_latest(database, key, run_id=run_id)
    return sync.apply_latest(database, key, run_id=run_id, who="test")


class StoredDistrict:
    """One district with one connection, or more, in a database that it may share with others."""

    def __init__(
        self,
        database: Database,
        settings: ConnectionSettings,
        *,
        key: str = "springfield",
        connection: str = "sis",
        secret: str = SECRET,
    ) -> None:
        self.database, self.key, self.connection = database, key, connection
        with database.begin() as conn:
            self.district_id = tenants.add_district(conn, key, key.title()).id
        self.connection_id = self.add_connection(connection, settings, secret)

    def add_connection(self, key: str, settings: ConnectionSettings, secret: str = SECRET) -> int:
        """One more connection; gives its number."""
        with self.database.begin() as conn:
            return tenants.add_connection(conn, self.key, key, settings, seal(secret)).id

    def add_school(
        self, key: str = "lincoln", school_id: str = "sch-1", *, connection: str = "", **settings: Any
    ) -> str:
        """A school that rosters everything, unless told otherwise; gives its key."""
        with self.database.begin() as conn:
            chosen = everybody(school_id, **settings)
            tenants.add_school(conn, connection or self.connection, key, key.replace("-", " ").title(), chosen)
        return key

    def set_school(self, key: str = "lincoln", **settings: Any) -> None:
        """Change some settings of a school."""
        change_school(self.database, key, **settings)

    def set_connection(self, key: str = "", *, secret: str | None = None, **settings: Any) -> None:
        """Change some settings of a connection, or its secret."""
        key = key or self.connection
        with self.database.begin() as conn:
            now = tenants.get_connection(conn, key).settings
            changed = ConnectionSettings.model_validate(now.model_dump() | settings)
            tenants.set_connection(conn, key, changed, seal(secret) if secret else None)

    def sync_school(self, key: str = "lincoln", batch: str | None = None) -> Applied:
        """One school's sync without Dagster around it."""
        return run_sync(self.database, key, batch)

    def rows(self, query: str, **given: Any) -> list[dict[str, Any]]:
        """The rows of a query; `:district` is this district."""
        with self.database.begin() as conn:
            return [dict(row) for row in conn.execute(text(query), {"district": self.district_id} | given).mappings()]

    def value(self, query: str, **given: Any) -> Any:
        """The first value of a query."""
        with self.database.begin() as conn:
            return conn.scalar(text(query), given)

    def execute(self, statement: str, **given: Any) -> None:
        """Change rows behind the back of the product."""
        with self.database.begin() as conn:
            conn.execute(text(statement), given)

    def count(self, table: str, where: str = "true") -> int:
        """Rows of a table, whoever's they are."""
        return int(self.value(f"select count(*) from {table} where {where}") or 0)
