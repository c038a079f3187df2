"""Brings a database to the schema that this version needs, and makes its logins: an owner who migrates, a login for the
pipeline, and one for each application.

Alembic migrates; this module calls Alembic, not a command.

The pipeline works with a login that owns nothing: it cannot change the schema, the audit or the ledger. An application
reads the schema `roster_application`. This schema shows only the application's districts, schools, roles and fields.
"""

import re
import secrets
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection, delete, insert, select, text

from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.directory.pg_copy import driver
from roster_pipeline.directory.tables import application, district, school
from roster_pipeline.vocabulary import PERSON_FIELDS, Role

BASELINE = "0047"
LAST_BEFORE = "3ada7b6e"
"""The last commit that upgrades databases older than the baseline."""
SCRIPTS = Path(__file__).parent / "migrations"
RESTORED = "select exists (select from change_log where xid >= pg_current_xact_id()::text::bigint)"
RESTAMP = "select restart_log()"
"""A restored dump is older than its server's transaction ids: the feed would wait for ever."""
LOCK = "migrations"
"""Taken by all that changes the schema or its rights: two sessions cannot change one row of PostgreSQL's catalog."""
LOGIN = re.compile(r"[a-z][a-z0-9_]{0,50}")
APPEND_ONLY = ("change_log", "audit")
FIELDS = frozenset({*PERSON_FIELDS, "number_kind", "relationship", "flags"})
"""The fields of people and of contacts that an application can get. The other fields are null in its views."""
MAINTAIN_SINCE = 170_000
"""PostgreSQL 17: the right to gather statistics of a table without owning it."""


class WrongSchema(DirectoryError):
    """The schema of the database is not the one that this version of the code needs."""


class OldSchema(WrongSchema):
    """The database is older than the baseline. This version can upgrade only from the baseline on."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The schema of this database is revision {revision}. This version upgrades from revision {BASELINE} on.",
            f"Install commit {LAST_BEFORE} of version 0.1.0, run there: roster init. Then run it with this version.",
        )


class NotUpgraded(WrongSchema):
    """The database has no tables yet, or those of an older version."""

    def __init__(self, revision: str | None) -> None:
        found = f"The schema of this database is revision {revision}" if revision else "This database has no schema yet"
        super().__init__(f"{found}; this version needs revision {head()}.", "Run: roster init")


class UnknownSchema(WrongSchema):
    """A newer version has upgraded the database."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The schema of this database is revision {revision}, which this version does not know.",
            "Install the version that upgraded the database last, and restart what still runs this one.",
        )


def upgrade(database: Database) -> None:
    """Apply what is missing, in one transaction; safe for several processes. Raises OldSchema, UnknownSchema."""
    with database.begin() as conn:
        lock_until_commit(conn, LOCK)
        _check_known(MigrationContext.configure(conn).get_current_revision())
        command.upgrade(_config(conn), "head")
        if conn.scalar(text(RESTORED)):
            conn.execute(text(RESTAMP))


def current(database: Database) -> str | None:
    """The revision of the database; None before the first migration."""
    with database.begin() as conn:
        return MigrationContext.configure(conn).get_current_revision()


def require_current(database: Database) -> None:
    """Raises WrongSchema if this version of the code does not fit the database. A worker that was not restarted after
    an upgrade would go on with the old rules."""
    revision = current(database)
    if revision != head():
        _check_known(revision)
        raise NotUpgraded(revision)


@cache
def head() -> str:
    """The revision that this version of the package needs."""
    return ScriptDirectory.from_config(_config(None)).get_current_head() or ""


def _check_known(revision: str | None) -> None:
    scripts = ScriptDirectory.from_config(_config(None))
    if revision is None or revision in {script.revision for script in scripts.walk_revisions()}:
        return
    raise OldSchema(revision) if revision < BASELINE else UnknownSchema(revision)


def _config(conn: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    return config


class BadApplication(DirectoryError):
    """The name cannot be a login, a role or a field."""


def grant_pipeline(conn: Connection, login: str) -> None:
    """Let a login do the pipeline's work and nothing else. Run it as the owner of the tables, after each migration."""
    lock_until_commit(conn, LOCK)
    role = sql.Identifier(login)
    statements = [
        "grant usage on schema public, roster_public, roster_application to {role}",
        "grant select, insert, update, delete on all tables in schema public to {role}",
        "grant select on all tables in schema roster_public, roster_application to {role}",
        "revoke update, delete, truncate on {append_only} from {role}",
        "revoke insert, update, delete on alembic_version from {role}",
        "grant usage, select on all sequences in schema public to {role}",
        "grant execute on function erase_from_log(bigint, bigint), restart_log(), clean_pending_lists() to {role}",
        "grant temporary on database {database} to {role}",
    ]
    opened = driver(conn)
    append_only = sql.SQL(", ").join(map(sql.Identifier, APPEND_ONLY))
    if opened.info.server_version >= MAINTAIN_SINCE:
        statements.append("grant maintain on all tables in schema public to {role}")
    for statement in statements:
        _run(conn, statement, role=role, append_only=append_only, database=sql.Identifier(opened.info.dbname))


def close_locks(conn: Connection, login: str | None) -> bool:
    """Keep logins but this one from our advisory locks. False if only a superuser could do that."""
    opened = driver(conn)
    if opened.info.parameter_status("is_superuser") != "on":
        return False
    lock_until_commit(conn, LOCK)
    locks = opened.execute(
        "select oid::regprocedure::text from pg_proc where pronamespace = 'pg_catalog'::regnamespace "
        "and proname like '%advisory%'"
    ).fetchall()
    for (function,) in locks:
        opened.execute(sql.SQL("revoke execute on function {} from public").format(sql.SQL(function)))
        if login is not None:
            opened.execute(
                sql.SQL("grant execute on function {} to {}").format(sql.SQL(function), sql.Identifier(login))
            )
    return True


def add_application(
    conn: Connection,
    login: str,
    district_key: str,
    *,
    schools: Sequence[str] = (),
    roles: Sequence[str] = (),
    fields: Sequence[str] = (),
) -> str | None:
    """Let a login read a district, or only these parts. Returns a new login's password. Raises BadApplication,
    UnknownKey."""
    if not LOGIN.fullmatch(login):
        raise BadApplication("This is not a login.", "Use lower-case letters, digits and underscores.")
    _known("role", roles, {role.value for role in Role})
    _known("field", fields, FIELDS)
    owner = tenants.get_district(conn, district_key)
    ids = [_school_of(conn, key, owner.id) for key in schools]
    conn.execute(delete(application).where(application.c.login == login, application.c.district_id == owner.id))
    given = {"schools": ids or None, "roles": list(roles) or None, "fields": list(fields) or None}
    conn.execute(insert(application).values(login=login, district_id=owner.id, **given))
    exists = driver(conn).execute("select 1 from pg_roles where rolname = %s", [login]).fetchone()
    password, role = None if exists else secrets.token_urlsafe(24), sql.Identifier(login)
    if password:
        _run(conn, "create role {role} login password {password}", role=role, password=sql.Literal(password))
    _run(conn, "grant usage on schema roster_application to {role}", role=role)
    _run(conn, "grant select on all tables in schema roster_application to {role}", role=role)
    return password


def remove_application(conn: Connection, login: str) -> None:
    """Take a login of an application away. Raises BadApplication if it is not such a login."""
    if not conn.execute(delete(application).where(application.c.login == login)).rowcount:
        raise BadApplication(f"There is no application {login}.", "See which there are: roster application list")
    for statement in ("drop owned by {role}", "drop role if exists {role}"):
        _run(conn, statement, role=sql.Identifier(login))


def applications(conn: Connection) -> list[dict[str, Any]]:
    """The login of every application, its district, and the schools, roles and fields that it sees; None: all."""
    names = {row.id: row.key for row in conn.execute(select(school.c.id, school.c.key))}
    query = select(application, district.c.key).join(district, district.c.id == application.c.district_id)
    return [
        {
            "login": row.login,
            "district": row.key,
            "schools": sorted(names.get(one, "") for one in row.schools or ()) or None,
            "roles": row.roles or None,
            "fields": row.fields or None,
        }
        for row in conn.execute(query.order_by(application.c.login, district.c.key))
    ]


def _school_of(conn: Connection, key: str, district_id: int) -> int:
    school = tenants.get_school(conn, key)
    if school.district_id != district_id:
        raise BadApplication(f"The school {key} is not of this district.", "Name schools of the district only.")
    return school.id


def _known(kind: str, given: Sequence[str], among: set[str] | frozenset[str]) -> None:
    for one in given:
        if one not in among:
            raise BadApplication(f"There is no {kind} {one}.", f"Choose among: {', '.join(sorted(among))}")


def _run(conn: Connection, statement: str, **parts: sql.Composable) -> None:
    composed: Any = sql.SQL(statement)
    try:
        driver(conn).execute(composed.format(**parts))
    except psycopg.errors.InsufficientPrivilege:
        raise DirectoryError(
            "This login of the database may not make other logins.",
            "Set ROSTER_OWNER_DATABASE_URL to one that owns the tables and may create roles.",
        ) from None
