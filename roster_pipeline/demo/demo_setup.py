"""The demo's databases, district, connections and schools."""

from __future__ import annotations

import shutil

import psycopg
from sqlalchemy.engine import make_url

from roster_pipeline.demo import story
from roster_pipeline.directory import migrate, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import seal
from roster_pipeline.embedded import Addresses, home, plain_connection, prepare_environment

MAY_CREATE = "select 1 from pg_roles where rolname = current_user and (rolcreatedb or rolsuper)"


class DemoRefusedError(Exception):
    """The database holds what the demo may not touch."""


def fresh_databases() -> Database:
    """Empty databases for the demo. Refuses to touch one that holds any other district.

    Raises DemoRefusedError, with the remedy in its text.
    """
    found = prepare_environment()
    database = Database(found.roster)
    migrate.upgrade(database)
    with database.begin() as connection:
        others = [row.key for row in tenants.list_districts(connection) if row.key != story.DISTRICT]
        again = bool(tenants.list_districts(connection))
    if others:
        database.close()
        raise DemoRefusedError(
            "This database holds districts of your own; the demo starts from an empty one.\n"
            "Give it a home of its own: ROSTER_HOME=.roster-demo roster demo"
        )
    if again:
        database.close()
        _recreate(found)
        database = Database(found.roster)
        migrate.upgrade(database)
    shutil.rmtree(home() / "outbox", ignore_errors=True)
    return database


def _recreate(found: Addresses) -> None:
    for address in (found.roster, found.dagster):
        url = make_url(address)
        with plain_connection(url.set(database="postgres")) as server:
            if not server.execute(MAY_CREATE).fetchone():
                raise DemoRefusedError(
                    "The demo starts from empty databases, and this user may not make them anew.\n"
                    "Let it (alter role ... createdb), or unset ROSTER_DATABASE_URL to use the embedded server."
                )
            name = psycopg.sql.Identifier(url.database or "")
            try:
                server.execute(psycopg.sql.SQL("drop database {}").format(name))
            except psycopg.errors.ObjectInUse:
                raise DemoRefusedError(
                    "Another process works on the demo's databases.\nStop it first (make dev?) and run the demo again."
                ) from None
            server.execute(psycopg.sql.SQL("create database {}").format(name))


def register(database: Database, base_url: str) -> None:
    """Add the demo's district, its two connections and three schools."""
    with database.begin() as connection:
        tenants.add_district(connection, story.DISTRICT, story.DISTRICT_NAME)
        for key in story.CONNECTIONS:
            settings = story.connection_settings(key, base_url)
            tenants.add_connection(connection, story.DISTRICT, key, settings, seal(story.CLIENT_SECRET))
        for school in story.SCHOOLS:
            tenants.add_school(connection, school.connection, school.key, school.name, story.school_settings(school))
