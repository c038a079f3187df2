"""The database refuses rows that refer to another district and changes of the audit, and its errors name no people."""

import traceback

import psycopg
import pytest

from roster_pipeline.directory import audit, manual_edits, tenant_changes
from roster_pipeline.directory.database import (
    Database,
    DatabaseExhausted,
    DatabaseUnreachable,
    RowRefused,
    StatementFailed,
    translated,
)
from roster_pipeline.directory.members import UnknownPerson
from roster_pipeline.directory.operations import erase
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.directory.builders import (
    add_school,
    every,
    newcomer,
    one,
    person_of,
    refused,
    snapshot_of,
    sync_rows,
    user,
)

ACROSS = {
    "a link to a person of another district": "insert into link (district_id, connection_id, sourced_id, person_id) "
    "values (:theirs, :their_connection, 'x', :person)",
    "a link by a connection of another district": "insert into link (district_id, connection_id, sourced_id, "
    "person_id) values (:ours, :their_connection, 'x', :person)",
    "a record told apart from a person of another district": "insert into link_exclusion (district_id, connection_id, "
    "sourced_id, person_id) values (:theirs, :their_connection, 'x', :person)",
    "a record of a connection of another district told apart": "insert into link_exclusion (district_id, "
    "connection_id, sourced_id, person_id) values (:ours, :their_connection, 'x', :person)",
    "a membership of a person of another district": "insert into membership (district_id, school_id, person_id, "
    "status) values (:theirs, :their_school, :person, 'active')",
    "a membership in a school of another district": "insert into membership (district_id, school_id, person_id, "
    "status) values (:ours, :their_school, :person, 'active')",
    "a contact without a membership": "insert into contact (district_id, school_id, person_id) "
    "values (:theirs, :their_school, :person)",
    "a person moved to another district": "update person set district_id = :theirs where id = :person",
    "a school on a connection of another district": "update school set connection_id = :their_connection "
    "where id = :school",
    "a snapshot of a school of another district": "insert into snapshot (district_id, school_id, connection_id, "
    "school_sourced_id, complete, mode) values (:ours, :their_school, :their_connection, 'x', true, 'full')",
    "a sync of a school of another district": "insert into sync (district_id, school_id, kind, outcome, who) "
    "values (:ours, :their_school, 'sync', 'applied', 'x')",
}


def test_the_database_refuses(database: Database, lincoln: SchoolRow) -> None:
    foreign = database.call(add_school, "foreign", connection="foreign-sis", district="shelbyville")
    sync_rows(database, lincoln, newcomer("u1"))
    given = {
        "ours": lincoln.district_id,
        "theirs": foreign.district_id,
        "their_connection": foreign.connection.id,
        "their_school": foreign.id,
        "school": lincoln.id,
        "person": person_of(database, "u1"),
    }
    for what, statement in ACROSS.items():
        problem = refused(database, statement, **given)
        assert isinstance(problem, RowRefused), what
        assert str(problem.constraint).startswith("fk_"), what


CHANGING = ("update {0} set district_id = 1", "delete from {0}", "truncate {0}", "delete from {0} where false")


@pytest.mark.parametrize("table", ["audit", "change_log"])
def test_audit_and_ledger_are_append_only(database: Database, lincoln: SchoolRow, table: str) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    database.call(audit.record, who="owner", what="test", school_id=lincoln.id, details={"a": 1})
    query = f"select count(*) from {table}"
    before = one(database, query)
    for statement in CHANGING:
        assert isinstance(refused(database, statement.format(table)), RowRefused), statement
        assert one(database, query) == before > 0


POISON = "Poison-7f3a"
LEAKS = {
    "insert into link (district_id, connection_id, sourced_id, person_id) values (9, 9, :poison, 9)": RowRefused,
    "insert into person (district_id, email) values (cast(:poison as bigint), 'x')": RowRefused,
    "insert into school (key, name, district_id, connection_id, settings) values ('lincoln', :poison, 1, 1, '{}')": (
        RowRefused
    ),
    "insert into membership (district_id, school_id, person_id, status) values (1, 1, 1, :poison)": RowRefused,
    "insert into person (nothing) values (:poison)": StatementFailed,
}


def test_an_error_never_carries_a_value(database: Database, lincoln: SchoolRow) -> None:
    for statement, kind in LEAKS.items():
        problem = refused(database, statement, poison=POISON)
        assert problem is not None, statement
        assert isinstance(problem, kind), statement
        shown = "".join(traceback.format_exception(problem)) + repr(problem.args)
        assert POISON not in shown.replace(statement, "")
        assert problem.remedy


def test_a_database_that_is_away_is_named_as_such() -> None:
    away = Database("postgres://nobody:s3cret@127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnreachable) as raised, away.begin():
        pass
    assert "s3cret" not in str(raised.value)
    assert raised.value.retryable


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("53100", "The disk of the database server is full (SQLSTATE 53100). Nothing was written.\nMake room on it"),
        ("53200", "The database server is out of memory (SQLSTATE 53200)"),
        ("53300", "The database server accepts no further connections (SQLSTATE 53300)"),
        ("25006", "The database takes no changes: it is read-only (SQLSTATE 25006). Nothing was written.\nIt may be a"),
    ],
)
def test_an_exhausted_server_is_named_with_what_it_lacks(database: Database, state: str, said: str) -> None:
    with pytest.raises(DatabaseExhausted) as raised, database.begin() as conn:
        conn.exec_driver_sql(f"do $$ begin raise exception 'row of {POISON}' using errcode = '{state}'; end $$")
    assert str(raised.value).startswith(said)
    assert POISON not in str(raised.value)
    assert raised.value.retryable


@pytest.mark.parametrize(
    "words", ["sorry, too many clients already", "remaining connection slots are reserved for roles"]
)
def test_a_server_without_a_connection_left_is_named_as_such(words: str) -> None:
    assert isinstance(translated(psycopg.OperationalError(f"FATAL:  {words}")), DatabaseExhausted)


def test_a_login_without_a_connection_left_is_named_as_such(database: Database) -> None:
    with database.begin() as conn:
        conn.exec_driver_sql("create role crowded login connection limit 0")
    try:
        crowded = Database(database.engine.url.set(username="crowded"))
        with (
            pytest.raises(DatabaseExhausted, match=r"accepts no further connections \(SQLSTATE 53300\)"),
            crowded.begin(),
        ):
            pass
    finally:
        with database.begin() as conn:
            conn.exec_driver_sql("drop role crowded")


def test_erasing_a_person_leaves_no_trace_but_the_fact(database: Database, lincoln: SchoolRow) -> None:
    changes = {"email": f"{POISON}@example.org", "contact_email": f"p{POISON}@example.org"}
    record = user(POISON, lincoln.settings.school_id, familyName=POISON)
    never_again = newcomer("u9", POISON, changes={"email": f"9{POISON}@example.org"})
    mistaken = sync_rows(database, lincoln, newcomer(POISON, POISON, changes=changes), never_again).sync_id
    removed = person_of(database, "u9")
    builders.roll_back(database, mistaken, who="owner", reason="the person gets another number later")
    snapshot_id = snapshot_of(database, lincoln, record)
    sync_rows(database, lincoln, newcomer(POISON, POISON, changes=changes), newcomer("u2"), snapshot_id=snapshot_id)
    person = person_of(database, POISON)
    with database.begin() as conn:
        manual_edits.edit(conn, lincoln.district_id, person, {"phone": POISON}, who="owner", reason="called")
        for one_of_them in (person, removed):
            erase(conn, lincoln.district_id, one_of_them, who="owner", reason="asked to be forgotten")
        assert audit.search(conn, person_id=person)[0].what == "person erased"
    tables = every(database, "select tablename from pg_tables where schemaname = 'public'")
    for (table,) in tables:
        assert one(database, f"select count(*) from {table} t where t::text like '%{POISON}%'") == 0, table
    assert one(database, "select count(*) from change_log where person_id = :p", p=person) > 0
    assert one(database, "select count(*) from person") == 1
    for erased in (person, removed):
        with database.begin() as conn, pytest.raises(UnknownPerson):
            erase(conn, lincoln.district_id, erased, who="owner", reason="again")


def test_erasing_a_person_leaves_the_namesake_of_their_sourced_id_in_another_sis(
    database: Database, lincoln: SchoolRow
) -> None:
    database.call(tenant_changes.add_connection, lincoln.district_key, "other", lincoln.connection.settings, None)
    elsewhere = database.call(add_school, "elsewhere", connection="other", district=lincoln.district_key)
    both = {}
    for school in (lincoln, elsewhere):
        both[school.key] = snapshot_of(database, school, user("u1", school.settings.school_id))
        sync_rows(database, school, newcomer("u1"), snapshot_id=both[school.key])
    erased = one(database, "select person_id from link where connection_id = :c", c=lincoln.connection.id)
    database.call(erase, lincoln.district_id, erased, who="owner", reason="asked to be forgotten")
    kept = "select (select count(*) from raw_user where snapshot_id = :s), (select count(*) from plan_row r "
    kept += "join plan p on p.id = r.plan_id where p.snapshot_id = :s)"
    assert every(database, kept, s=both[lincoln.key]) == [(0, 0)]
    assert every(database, kept, s=both["elsewhere"]) == [(1, 1)]
