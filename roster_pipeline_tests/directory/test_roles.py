"""The logins of the database: the rights of the pipeline's, an application's and a stranger's login, tried by each."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url

from roster_pipeline.directory import operations, schema
from roster_pipeline.directory.database import Database, StatementFailed
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory.builders import add_school, every, newcomer, one, person_of, refused, sync_rows
from roster_pipeline_tests.district import District, simulated_district

VIEWS = (
    *("directory_person", "directory_membership", "directory_contact", "directory_student_contact", "directory_change"),
)


@pytest.fixture
def login(postgres_server: URL, database: Database) -> Iterator[str]:
    """A fresh login without rights. Logins belong to the server, so it is dropped with its rights."""
    name = f"roster_login_{secrets.token_hex(4)}"
    with database.begin() as conn:
        conn.execute(text(f"create role {name} login password 'secret'"))
    yield name
    with psycopg.connect(_plain(database), autocommit=True) as admin:
        if admin.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone():
            admin.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(name)))


def _plain(database: Database) -> str:
    return database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def url_of(database: Database, login: str, password: str = "secret") -> str:
    url = make_url(database.engine.url).set(username=login, password=password)
    return url.render_as_string(hide_password=False)


@pytest.fixture
def pipeline(database: Database, login: str) -> Iterator[Database]:
    """The database as the pipeline's own login sees it."""
    database.call(schema.grant_pipeline, login)
    database.call(schema.close_locks, login)
    opened = Database(url_of(database, login))
    yield opened
    opened.close()


def test_several_commands_may_hand_out_rights_at_once(database: Database, login: str) -> None:
    def rights(_: int) -> None:
        database.call(schema.grant_pipeline, login)
        database.call(schema.close_locks, login)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rights, range(12)))


def test_the_pipelines_login_syncs_decides_and_erases(
    database: Database, pipeline: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whole nights by a login that owns nothing."""
    with simulated_district(District, pipeline, monkeypatch, tmp_path) as district:
        district.add_school(report_to=["it@school.example"], primary_contacts=True)
        assert district.run_sync()["created"] > 40, district.problems
        district.people.remove(district.people.people_of("sch-1", "student")[0].sourced_id)
        assert district.run_sync()["archived"] == 1, district.problems
        with pipeline.begin() as conn:
            who, district_id = conn.execute(text("select id, district_id from person order by id limit 1")).one()
            operations.erase(conn, district_id, who, who="owner", reason="asked for")
        assert district.count("change_log", f"person_id = {who} and after is not null") == 0
        assert district.count("change_log", f"person_id = {who}") > 0


OF_THE_OWNER = (
    "update change_log set before = null",
    "delete from change_log",
    "truncate change_log",
    "update audit set who = 'somebody else'",
    "delete from audit",
    "alter table change_log disable trigger append_only",
    "drop trigger append_only on audit",
    "alter table audit disable trigger all",
    "create table mine (it int)",
    "drop table person",
    "create or replace function refuse_change() returns trigger language plpgsql as 'begin return null; end'",
    "update alembic_version set version_num = '0001'",
    "set local roster.changes_log = ''; update change_log set before = null",
)
"""Statements on ledger, audit and schema that the pipeline's login may not execute."""


def test_the_pipelines_login_cannot_change_ledger_audit_or_schema(pipeline: Database, lincoln: SchoolRow) -> None:
    assert [statement for statement in OF_THE_OWNER if refused(pipeline, statement) is None] == []


def test_nobody_else_takes_the_pipelines_locks(database: Database, pipeline: Database, lincoln: SchoolRow) -> None:
    password = database.call(schema.add_application, "roster_app_lock", "springfield")
    assert password
    reader = Database(url_of(database, "roster_app_lock", password))
    try:
        for function in ("pg_advisory_lock(1)", "pg_try_advisory_xact_lock(1, 2)", "pg_advisory_unlock_all()"):
            with pytest.raises(StatementFailed) as raised, reader.begin() as conn:
                conn.execute(text(f"select {function}"))
            assert "set ROSTER_OWNER_DATABASE_URL" in raised.value.remedy, "roster init alone would say the same again"
        with pipeline.begin() as conn:
            conn.execute(text("select pg_advisory_xact_lock(1)"))
    finally:
        reader.close()
        database.call(schema.remove_application, "roster_app_lock")


@pytest.fixture
def reader(database: Database, lincoln: SchoolRow, roosevelt: SchoolRow) -> Iterator[Database]:
    """An application that reads students of lincoln, by name and e-mail. Other people are at other places."""
    far = database.call(add_school, "far", connection="far-sis", district="farland")
    student, teacher = {"role": "student", "given_name": "Ada", "phone": "+1"}, {"role": "teacher", "given_name": "Tom"}
    sync_rows(database, lincoln, newcomer("s1", changes={**student, "email": "ada@x.org", "contact_email": "p@x.org"}))
    sync_rows(database, lincoln, newcomer("t1", role="teacher", changes=teacher))
    sync_rows(database, roosevelt, newcomer("s2", changes={"role": "student", "given_name": "Bea"}))
    sync_rows(database, far, newcomer("s3", changes={"role": "student", "given_name": "Cy"}))
    login = f"roster_app_{secrets.token_hex(4)}"
    scope = {"schools": ["lincoln"], "roles": ["student"], "fields": ["given_name", "email"]}
    password = database.call(schema.add_application, login, "springfield", **scope)
    again = database.call(schema.add_application, login, "springfield", **scope)
    assert password
    assert again is None
    opened = Database(url_of(database, login, password))
    yield opened
    opened.close()
    database.call(schema.remove_application, login)


def test_an_application_sees_its_people_and_fields_and_nothing_else(reader: Database, database: Database) -> None:
    where = "roster_application"
    ada = person_of(database, "s1")
    assert every(reader, f"select person_id, given_name, email, phone, username from {where}.directory_person") == [
        (ada, "Ada", "ada@x.org", None, None)
    ]
    assert every(reader, f"select person_id, school, role from {where}.directory_membership") == [
        (ada, "lincoln", "student")
    ]
    assert every(reader, f"select person_id, email, phone from {where}.directory_contact") == [(ada, "p@x.org", None)]
    assert {found for (found,) in every(reader, f"select person_id from {where}.directory_change")} == {ada}
    for view in VIEWS:
        shown = "select column_name from information_schema.columns where table_schema = '{}' and table_name = :view"
        order = " order by ordinal_position"
        assert every(database, shown.format(where) + order, view=view) == every(
            database, shown.format("roster_public") + order, view=view
        ), "the same columns as for a reader of everything"


BEYOND_THE_VIEWS = (
    "select * from public.person",
    "select * from public.application",
    "select * from roster_public.directory_person",
    "select * from public.change_log",
    "update roster_application.directory_person set email = 'x'",
    "insert into public.application (login, district_id) select session_user, 2",
    "set session authorization postgres",
    "set role roster_reader",
    "select erase_from_log(1, 1)",
    "create function public.mine() returns int language sql as 'select 1'",
)


def test_an_application_that_tries_gets_nowhere(reader: Database) -> None:
    assert [statement for statement in BEYOND_THE_VIEWS if refused(reader, statement) is None] == []


def test_a_filter_that_looks_at_rows_sees_no_others(reader: Database) -> None:
    """The views are security barriers: a function of the reader is not called with rows that it may not see."""
    division = "1 / (case given_name when 'Bea' then 0 else 1 end)"
    leaky = f"select given_name from roster_application.directory_person where {division} = 1"
    assert every(reader, leaky) == [("Ada",)]


def test_unknown_parts_of_an_application_are_refused(database: Database, lincoln: SchoolRow) -> None:
    database.call(add_school, "far", connection="far-sis", district="farland")
    for given, said in (
        ({"login": "Robert'); drop table person"}, "not a login"),
        ({"roles": ["pupil"]}, "no role pupil"),
        ({"fields": ["password"]}, "no field password"),
        ({"schools": ["far"]}, "not of this district"),
    ):
        with pytest.raises(schema.BadApplication, match=said), database.begin() as conn:
            schema.add_application(conn, **{"login": "lunch", "district_key": "springfield", **given})  # type: ignore[arg-type]
        assert one(database, "select count(*) from application") == 0, given
