"""Test Your Information with the values of a form, which are stored with the test and not as settings. The stored
Client Secret is used if the form leaves it empty and the server stays the same. A test of exactly the stored values
counts as the school's last test, any other once its values are saved (`save_settings`).

In the same way, a connection's schools are read and listed."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.directory import audit, connection_tests, tenant_changes, tenants
from roster_pipeline.directory.database import Database, DatabaseBusy, DirectoryError
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.directory.secrets import unseal
from roster_pipeline.errors import with_keys
from roster_pipeline.oneroster import OneRosterError
from roster_pipeline.oneroster.bundle import pull_bundle
from roster_pipeline.oneroster.collections.pull import pull
from roster_pipeline.oneroster.collections.wanted import GROUPS, Batch, Wanted
from roster_pipeline.oneroster.http.endpoint import Limits
from roster_pipeline.oneroster.people_counts import SchoolList
from roster_pipeline.services import save_settings
from roster_pipeline.services.settings_changes import allowed, same_org, sealed, secret_must_be_typed, servers_of
from roster_pipeline.settings.school import ConnectionSettings
from roster_pipeline.sync import explain
from roster_pipeline.sync.connection_checks import item_as_data, items_of, items_of_schools
from roster_pipeline.sync.fetch_strategy import client_of, is_bundle, source_of_connection

log = logging.getLogger(__name__)
LIMITS = Limits(
    connect_seconds=10, read_seconds=60, response_seconds=120, attempts=3, longest_wait=10, longest_retry_after=30,
    waiting_budget=60, pull_seconds=600,
)  # fmt: skip
"""Limits of the client. A person waits for the result, so a slow server must not keep us for long."""
TOO_MUCH = (
    "The SIS sends more than a test may hold in memory.\n"
    "Choose a smaller page size; if it is small already, ask the SIS's vendor."
)
EVERYBODY = Wanted(roles=frozenset(GROUPS))
MOST_TOGETHER = 50
"""How many schools one test may have. All their records are in memory at the same time."""
MOST_AT_ONCE = 4
"""How many tests of all schools may go on at once. Each reads a whole SIS once."""

MOST_TRIES = 3
"""Attempts to note the end of a test. A deadlock ends one of two transactions."""


class TestGoesOn(DirectoryError):
    """A test goes on already. here: the one of this school, if that is the reason and not too many others."""

    __test__ = False

    def __init__(self, message: str, here: connection_tests.ConnectionTest | None = None) -> None:
        super().__init__(message, "Wait for its end, then test again.")
        self.here = here


def begin(
    conn: Connection,
    school: tenants.SchoolRow,
    wanted: save_settings.Wanted,
    *,
    form: Mapping[str, Any],
    who: str,
    operator: bool,
    manager: bool,
) -> str:
    """Note a test of these values, and return its id. form: what was typed, without the secret, to show it again.
    Raises FieldError for a value that may not be tried, and TestGoesOn."""
    lock_until_commit(conn, "connection tests")
    here = connection_tests.under_way(conn, school.id)
    if here is not None:
        raise TestGoesOn("A test of this school is going on.", here)
    _check_others(connection_tests.going(conn))
    stored = school.connection
    settings, typed = stored.settings, None
    if wanted.connection is None:
        same_org(school, wanted.settings)
    else:
        settings = allowed(stored.settings, wanted.connection, operator=operator, manager=manager)
        typed = save_settings.secret_of(conn, school, wanted, settings, who)
    as_stored = settings == stored.settings and typed is None
    details = {"connection": stored.key, "as_stored": as_stored, "servers": servers_of(settings)}
    audit.record(conn, who, "connection tested", school=school, details=details)
    tested: dict[str, Any] = {"settings": settings, "school_settings": wanted.settings}
    learned = _learned_before(conn, school, settings, typed)
    secret = sealed(conn, typed)
    return connection_tests.start(conn, school, who=who, form=form, **tested, typed_secret=secret, learned=learned)


def _check_others(going: int) -> None:
    if going >= MOST_AT_ONCE:
        raise TestGoesOn("Several other tests are going on.")


def _learned_before(
    conn: Connection, school: tenants.SchoolRow, settings: ConnectionSettings, typed: str | None
) -> dict[str, Any]:
    """Facts about a server that was tried with exactly these values, as stored or in an earlier test."""
    if typed is None and settings == school.connection.settings:
        return school.connection.learned
    for test in connection_tests.recent(conn, school.id):
        secret = unseal(test.secret) if test.typed and test.secret else None
        if test.settings == settings and secret == typed and test.learned:
            return test.learned
    return {}


def begin_together(conn: Connection, schools: Sequence[tenants.SchoolRow], *, who: str) -> str:
    """Note one test of the stored settings of up to `MOST_TOGETHER` schools; returns its number. Raises TestGoesOn."""
    lock_until_commit(conn, "connection tests")
    connection = schools[0].connection
    newest = connection_tests.newest(conn, connection.id)
    if any(school.id in newest and newest[school.id].ended_at is None for school in schools):
        raise TestGoesOn("A test of some of these schools is going on.")
    _check_others(connection_tests.going(conn))
    keys, servers = [school.key for school in schools], servers_of(connection.settings)
    details = {"connection": connection.key, "schools": keys, "servers": servers}
    audit.record(conn, who, "connection tested", district_id=connection.district_id, details=details)
    return connection_tests.start_together(conn, schools, who=who)


def carry_out_together(database: Database, together: str) -> None:
    """Test several schools, and read their SIS once. It does not raise: an error becomes the `problem` of each test."""
    with database.begin() as conn:
        tests = {test.school_id: test for test in connection_tests.of_together(conn, together)}
        schools = tenants.schools_by_id(conn, tests)
    items: dict[str, list[dict[str, Any]]] = {test.id: [] for test in tests.values()}
    learned: dict[str, Any] = {}

    def look() -> None:
        rows = [schools[number] for number in tests]
        if any(row.connection.revision != tests[row.id].connection_revision for row in rows):
            raise DirectoryError("The connection was changed while this test began.", "Test again.")
        wanted = [(row.settings, row.name) for row in rows]
        for place, item in items_of_schools(rows[0].connection, wanted, LIMITS, keep=learned.update):
            for row in rows if place is None else [rows[place]]:
                items[tests[row.id].id].append(item_as_data(item, row))

    def end(conn: Connection, problem: str | None) -> None:
        if problem is None:
            tenants.remember(conn, connection.id, learned)
        connection_tests.end_together(conn, together, problem, items)
        if problem is None:
            tenant_changes.save_tests(conn, [(schools[number], items[test.id]) for number, test in tests.items()])

    if tests:
        connection = next(iter(schools.values())).connection
        note_end(database, look, end, connection=connection.key)


def carry_out(database: Database, school_key: str, test_id: str) -> None:
    """Carry out a test, item by item, and note its end. It does not raise: an error becomes the test's `problem`."""

    def test() -> None:
        with database.begin() as conn:
            school = tenants.get_school(conn, school_key)
            row = connection_tests.get(conn, school.id, test_id)
        if row is not None:
            _run_test(database, school, row)

    def end(conn: Connection, problem: str | None) -> None:
        if problem is None:  # locks the connection before its tests
            tenants.remember(conn, tenants.get_school(conn, school_key).connection.id, {})
        connection_tests.end(conn, test_id, problem)
        if problem is None:
            _keep(conn, school_key, test_id)

    note_end(database, test, end, school=school_key)


def note_end(
    database: Database,
    work: Callable[[], None],
    end: Callable[[Connection, str | None], None],
    *,
    school: str = "",
    connection: str = "",
) -> None:
    """Do the work and note its end, with the problem for people or None. Never raises. school, connection: the keys
    that a remedy names. If that fails, for example because the database is away, the row later counts as a lost
    test."""
    problem: str | None = None
    try:
        work()
    except (OneRosterError, DirectoryError) as caught:
        problem = f"{caught.message}\n{with_keys(caught.remedy, school=school, connection=connection)}"
    except MemoryError:
        problem = TOO_MUCH
    except Exception as caught:
        problem = str(explain(school or connection, caught))
    for _ in range(MOST_TRIES):
        try:
            database.call(end, problem)
        except DatabaseBusy:
            continue
        except Exception as caught:
            log.warning("The end of a test could not be noted: %s", explain(school or connection, caught))
        return


def _run_test(database: Database, school: tenants.SchoolRow, test: connection_tests.ConnectionTest) -> None:
    stored = school.connection
    changed = test.connection_revision != stored.revision or secret_must_be_typed(stored.settings, test.settings)
    if changed and not test.typed:
        raise DirectoryError("The connection was changed while this test began.", "Test again.")
    secret = test.secret if test.typed else stored.secret
    tried = replace(stored, settings=test.settings, secret=secret, learned=test.learned)

    def keep(learned: Mapping[str, Any]) -> None:
        database.call(connection_tests.learn, test.id, learned)

    for item in items_of(tried, test.school_settings, LIMITS, keep=keep, name=school.name):
        database.call(connection_tests.add_item, test.id, item_as_data(item, school))


def _keep(conn: Connection, school_key: str, test_id: str) -> None:
    """Keep the test as the school's last test, if exactly the stored values were tested."""
    school = tenants.get_school(conn, school_key)
    test = connection_tests.get(conn, school.id, test_id)
    if test is None or test.typed or test.connection_revision != school.connection.revision:
        return
    same = test.settings == school.connection.settings
    if same and test.school_settings.school_id == school.settings.school_id and test.items:
        tenants.remember(conn, school.connection.id, test.learned)
        tenant_changes.save_test(conn, school, test.items, test.ended_at)


def begin_list(conn: Connection, connection: tenants.ConnectionRow, *, who: str) -> str | None:
    """Note that somebody reads the schools of a connection: the list's id, or None if it is read. Raises TestGoesOn."""
    lock_until_commit(conn, "connection tests")
    newest = connection_tests.get_list(conn, connection)
    if newest is not None and newest.ended_at is None:
        return None
    _check_others(connection_tests.going(conn) + connection_tests.lists_going(conn))
    details = {"connection": connection.key, "servers": servers_of(connection.settings)}
    audit.record(conn, who, "schools listed", district_id=connection.district_id, details=details)
    return connection_tests.start_list(conn, connection, who=who)


def carry_out_list(database: Database, connection_key: str, list_id: str) -> None:
    """Read the list and note its end. It does not raise: an error becomes the list's `problem`."""
    note_end(
        database,
        lambda: _read_list(database, connection_key, list_id),
        lambda conn, problem: connection_tests.end_list(conn, list_id, problem),
        connection=connection_key,
    )


def _read_list(database: Database, connection_key: str, list_id: str) -> None:
    """First read the schools, then count the people of each. It takes minutes to read all people of a SIS."""
    connection = database.call(tenants.get_connection, connection_key)
    found = SchoolList(datetime.now(UTC).date())

    def note() -> None:
        database.call(connection_tests.note_schools, list_id, found.schools())

    def store(batches: Iterable[Batch]) -> None:
        found.start()
        for batch in batches:
            found.take(batch)

    if is_bundle(connection):
        store(pull_bundle(source_of_connection(connection), EVERYBODY))
    else:
        with client_of(connection, LIMITS) as client:
            client.connect()
            found.take(Batch("org", list(client.orgs()), []))
            note()
            pull(client, EVERYBODY).into(store)
            database.call(tenants.remember, connection.id, client.learned)
    note()
