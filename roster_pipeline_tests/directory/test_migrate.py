"""The schema: what the migrations make is what the code believes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from roster_pipeline.directory import migrate
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tables import metadata

PARTS = ("org", "user", "contact")
EMPTY = "drop schema roster_public, roster_application, public cascade; create schema public"


def _named(difference: Any) -> str:
    return str(difference[0]) if isinstance(difference, tuple) else str([part[0] for part in difference])


def test_the_migrated_schema_is_the_one_the_tables_describe(database: Database) -> None:
    with database.begin() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": True})
        differences = [found for found in compare_metadata(context, metadata) if "comment" not in _named(found)]
    assert differences == []


def test_upgrading_again_changes_nothing(database: Database) -> None:
    assert migrate.current(database) == migrate.head()
    migrate.upgrade(database)
    assert migrate.current(database) == migrate.head()


def test_several_processes_may_upgrade_at_once(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text(EMPTY))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate.upgrade(database), range(4)))
    assert migrate.current(database) == migrate.head()


def test_a_ledger_restored_into_a_younger_server_is_shown_to_readers(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text("insert into district (key, name) values ('d', 'D')"))
        conn.execute(text("insert into person (district_id) select id from district"))
        conn.execute(text("alter table change_log disable trigger append_only"))
        conn.execute(text("update change_log set xid = 1::bigint << 60"))
        conn.execute(text("alter table change_log enable trigger append_only"))
    migrate.upgrade(database)
    with database.begin() as conn:
        assert conn.scalar(text("select count(*) from roster_public.directory_change")) == 1


PEOPLE_OF_0008 = """
insert into district (id, key, name) values (1, 'd', 'D');
insert into connection (id, district_id, key, settings) values (1, 1, 'c', '{}');
insert into person (id, district_id) values (1, 1), (2, 1);
insert into link (district_id, connection_id, sourced_id, person_id) values (1, 1, 'by hand', 1);
select set_config('roster.sync_id', '7', true);
insert into link (district_id, connection_id, sourced_id, person_id) values (1, 1, 'by a sync', 2);
select set_config('roster.sync_id', '', true);
"""


def test_a_directory_of_before_takes_links_made_by_hand_as_confirmed(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text(EMPTY))
        command.upgrade(migrate._config(conn), "0008")
        for statement in PEOPLE_OF_0008.strip().split(";\n"):
            conn.execute(text(statement.rstrip(";")))
    migrate.upgrade(database)
    with database.begin() as conn:
        logged = conn.scalars(text("select after from change_log where entity = 'link' order by position")).all()
        found = conn.execute(text("select sourced_id, confirmed from link order by 1")).all()
        conn.execute(text("update link set is_primary = true where sourced_id = 'by a sync'"))
        last = conn.scalar(text("select after from change_log order by position desc limit 1"))
    assert [tuple(one) for one in found] == [("by a sync", False), ("by hand", True)]
    assert [(one["sourced_id"], one["is_primary"], "home" in one) for one in logged] == [
        ("by hand", "false", False), ("by a sync", "false", False), ("by hand", "false", False),
    ]  # fmt: skip
    assert last == {
        "connection_id": "1", "sourced_id": "by a sync", "is_primary": "true", "version": None, "confirmed": "false",
        "primary_by_hand": "false", "master_identifier": None,
    }  # fmt: skip


RECORDS_OF_0027 = """
insert into district (id, key, name) values (1, 'd', 'D');
insert into connection (id, district_id, key, settings) values (1, 1, 'c', '{}');
insert into school (id, district_id, connection_id, key, name, settings) values (1, 1, 1, 's', 'S', '{}');
insert into pull (id, district_id, connection_id, batch, scope) values (1, 1, 1, 'b', '');
insert into snapshot (id, district_id, school_id, connection_id, pull_id, school_sourced_id, complete, mode)
values (1, 1, 1, 1, 1, 'o', true, 'full'), (2, 1, 1, 1, 1, 'o', true, 'full');
insert into pulled_org values (1, 'o', '{"sourcedId": "o"}');
insert into raw_org values (1, 'o', '{"sourcedId": "o"}'), (2, 'o', '{"sourcedId": "o"}');
insert into pulled_user values (1, 'a', '{o}', '{g}', '{"roles": [{"org": "o", "role": "student"}], "agents": ["g"]}');
insert into raw_user values (1, 'a', '{"roles": [{"org": "o", "role": "student"}], "agents": ["g"]}');
insert into raw_user values (2, 'a', '{"roles": [{"org": "o", "role": "teacher"}]}'), (2, 'g', '{}');
insert into raw_contact values (1, 'g', '{}'), (2, 'g', '{}')
"""


def test_records_of_before_are_kept_and_stored_once(database: Database) -> None:
    shown = {part: f"select snapshot_id, sourced_id, payload::jsonb from raw_{part} order by 1, 2" for part in PARTS}
    with database.begin() as conn:
        conn.execute(text(EMPTY))
        command.upgrade(migrate._config(conn), "0027")
        for statement in RECORDS_OF_0027.strip().split(";\n"):
            conn.exec_driver_sql(statement)
        before = {part: conn.execute(text(query)).all() for part, query in shown.items()}
    migrate.upgrade(database)
    with database.begin() as conn:
        assert {part: conn.execute(text(query)).all() for part, query in shown.items()} == before
        stored = conn.execute(text("select sourced_id, student, orgs, agents from sis_record order by 1, 2")).all()
        pulled = conn.scalars(text("select sourced_id from pull_record join sis_record on id = record_id order by 1"))
        assert list(pulled) == ["a", "o"]
    assert [tuple(one) for one in stored] == [
        ("a", False, ["o"], []), ("a", True, ["o"], ["g"]), ("g", False, [], []), ("o", False, [], []),
    ]  # fmt: skip
