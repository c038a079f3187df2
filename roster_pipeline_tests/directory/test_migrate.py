"""The schema that the migrations make is the one that the code expects."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from roster_pipeline.directory import schema
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.pg_copy import driver
from roster_pipeline.directory.sis_records import content_hash
from roster_pipeline.directory.tables import metadata
from roster_pipeline_tests.directory.builders import one

EMPTY = "drop schema roster_public, roster_application, public cascade; create schema public"


BELIEVED = {"add_table", "add_column", "remove_column", "modify_type"}
"""The parts that the code expects; it does not know keys, defaults and comments."""


def test_the_migrated_schema_has_the_columns_that_the_code_believes_in(database: Database) -> None:
    with database.begin() as conn:
        found = compare_metadata(MigrationContext.configure(conn, opts={"compare_type": True}), metadata)
    differences = [part for one in found for part in (one if isinstance(one, list) else [one])]
    assert [part for part in differences if part[0] in BELIEVED] == []


def test_upgrading_again_changes_nothing(database: Database) -> None:
    assert schema.current(database) == schema.head()
    schema.upgrade(database)
    assert schema.current(database) == schema.head()


def test_several_processes_may_upgrade_at_once(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text(EMPTY))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: schema.upgrade(database), range(4)))
    assert schema.current(database) == schema.head()


def test_a_ledger_restored_into_a_younger_server_is_shown_to_readers(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text("insert into district (key, name) values ('d', 'D')"))
        conn.execute(text("insert into person (district_id) select id from district"))
        conn.execute(text("alter table change_log disable trigger append_only"))
        conn.execute(text("update change_log set xid = 1::bigint << 60"))
        conn.execute(text("alter table change_log enable trigger append_only"))
    schema.upgrade(database)
    assert one(database, "select count(*) from roster_public.directory_change") == 1


SHAPE = {
    "columns": """
        select table_schema, table_name, column_name, ordinal_position, data_type, udt_name, column_default,
            is_nullable, is_identity, identity_generation
        from information_schema.columns where table_schema = any(array['public', 'roster_public', 'roster_application'])
        """,
    "indexes": "select tablename, indexdef from pg_indexes where schemaname = 'public'",
    "constraints": """
        select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
        where connamespace = 'public'::regnamespace and contype <> 'n'
        """,
    "views": """
        select oid::regclass::text, reloptions, pg_get_viewdef(oid) from pg_class where relkind = 'v'
        and relnamespace::regnamespace::text = any(array['public', 'roster_public', 'roster_application'])
        """,
    "functions": """
        select proname, prosecdef, proconfig, pg_get_function_arguments(oid), pg_get_function_result(oid),
            regexp_replace(prosrc, '\\s+', ' ', 'g')
        from pg_proc where pronamespace = 'public'::regnamespace
        """,
    "triggers": "select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal",
    "comments": """
        select objoid::regclass::text, objsubid, description from pg_description
        where classoid = 'pg_class'::regclass and objoid::regclass::text !~ '^pg_|information_schema'
        """,
}
DUMP = Path(__file__).with_name("schema_0047.sql")


def _restore(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text(EMPTY))
        driver(conn).execute(DUMP.read_text())


def _shape(database: Database) -> dict[str, list[str]]:
    with database.begin() as conn:
        return {name: sorted(str(tuple(row)) for row in conn.execute(text(query))) for name, query in SHAPE.items()}


def test_a_database_of_the_migrations_before_the_baseline_becomes_the_same_as_a_new_one(database: Database) -> None:
    new = _shape(database)
    assert all(new.values())
    _restore(database)
    schema.upgrade(database)
    assert schema.current(database) == schema.head()
    old = _shape(database)
    for part, rows in new.items():
        assert old[part] == rows, part
    with database.begin() as conn:
        people = conn.execute(text("select given_name, family_name, active from roster_public.directory_person")).all()
        records = conn.execute(text("select payload::text, content_hash from sis_record where kind = 'user'")).all()
        named = conn.scalars(text("select payload ->> 'givenName' from raw_user")).all()
        cleaned = conn.execute(text("select snapshot_id, sourced_id, identity from cleaned_roster")).all()
        conn.execute(text("insert into person (district_id, given_name) values (1, 'Bea')"))
        logged = conn.execute(text("select person_id, operation from change_log order by position desc limit 1")).one()
    assert [tuple(one) for one in people] == [("Ada", "Lovelace", True)]
    assert list(named) == ["Ada"]
    assert [hashed.bytes for _, hashed in records] == [content_hash(payload.encode()) for payload, _ in records]
    assert [tuple(one) for one in cleaned] == [(1, "a", None)]
    assert tuple(logged) == (8, "insert")


@pytest.mark.parametrize(
    ("revision", "problem", "remedy"),
    [("0012", schema.OldSchema, f"commit {schema.LAST_BEFORE}"), ("9999", schema.UnknownSchema, "the version that")],
)
def test_a_schema_that_cannot_be_upgraded_is_left_alone_with_a_way_out(
    database: Database, revision: str, problem: type[DirectoryError], remedy: str
) -> None:
    with database.begin() as conn:
        conn.execute(text("update alembic_version set version_num = :revision"), {"revision": revision})
    with pytest.raises(problem) as told:
        schema.upgrade(database)
    assert revision in told.value.message
    assert remedy in (told.value.remedy or "")
    assert schema.current(database) == revision
