"""Several at once: changes of a district are serialised, nothing deadlocks, nobody is made twice."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from roster_pipeline.directory import database as databases
from roster_pipeline.directory import locks
from roster_pipeline.directory.apply import PlanStale, SyncResult
from roster_pipeline.directory.database import Database, DatabaseBusy, DatabaseUnreachable
from roster_pipeline.directory.locks import lock_district, lock_district_of
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory import builders


def _at_once(database: Database, *plan_ids: int) -> list[SyncResult | None]:
    def attempt(plan_id: int) -> SyncResult | None:
        try:
            return builders.apply_plan(database, plan_id, who="night")
        except PlanStale:
            return None

    with ThreadPoolExecutor(len(plan_ids)) as pool:
        return list(pool.map(attempt, plan_ids))


def test_one_plan_applied_four_times_at_once_is_applied_once(database: Database, lincoln: SchoolRow) -> None:
    plan_id = builders.write_plan(database, lincoln, [builders.newcomer(f"u{n}") for n in range(50)])
    results = [result for result in _at_once(database, *[plan_id] * 4) if result]
    assert len({result.sync_id for result in results}) == 1
    assert sorted(result.already for result in results) == [False, True, True, True]
    assert builders.one(database, "select count(*) from person") == 50
    assert builders.one(database, "select count(*) from sync") == 1


def test_two_schools_that_create_the_same_people_at_once_make_them_once(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    for night in range(5):
        rows = [builders.newcomer(f"n{night}-{n}", changes={"number": f"{night}-{n}"}) for n in range(20)]
        here, there = builders.write_plan(database, lincoln, rows), builders.write_plan(database, roosevelt, rows)
        assert sum(result is not None for result in _at_once(database, here, there)) == 1
    assert builders.one(database, "select count(*) from person") == 100
    assert (
        builders.one(database, "select count(*) from (select number from person group by 1 having count(*) > 1) twice")
        == 0
    )


def test_two_schools_that_change_shared_people_never_lose_a_change(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    names = [f"u{n}" for n in range(20)]
    builders.sync_rows(database, lincoln, *[builders.newcomer(name) for name in names])
    people = [builders.person_of(database, name) for name in names]
    builders.sync_rows(
        database, roosevelt, *[builders.row("create", person, changes={"role": "student"}) for person in people]
    )
    for night in range(5):
        here = [builders.row("update", person, changes={"phone": f"+1{night}"}) for person in people]
        there = [builders.row("update", person, changes={"username": f"x{night}"}) for person in reversed(people)]
        first, second = builders.write_plan(database, lincoln, here), builders.write_plan(database, roosevelt, there)
        assert sum(result is not None for result in _at_once(database, first, second)) == 1
    assert builders.every(database, "select distinct revision from person") == [(6,)]


def test_districts_do_not_wait_for_each_other(database: Database, lincoln: SchoolRow) -> None:
    foreign = database.call(builders.add_school, "foreign", connection="foreign-sis", district="shelbyville")
    plan_id = builders.write_plan(database, foreign, [builders.newcomer("u1")])
    with database.begin() as conn:
        lock_district(conn, lincoln.district_id)
        assert builders.apply_plan(database, plan_id, who="night").outcome == "applied"


def test_a_process_that_dies_in_the_middle_leaves_nothing_and_the_next_one_succeeds(
    database: Database, lincoln: SchoolRow
) -> None:
    plan_id = builders.write_plan(database, lincoln, [builders.newcomer("u1")])

    def kill_own_backend(conn: object, result: object) -> None:
        with database.begin() as other:
            holders = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
            other.execute(text(holders))

    with pytest.raises(DatabaseUnreachable):
        builders.apply_plan(database, plan_id, who="night", also=kill_own_backend)
    assert builders.one(database, "select count(*) from person") == 0
    assert builders.apply_plan(database, plan_id, who="night").counts == {"student": {"create": 1}}


def test_connections_in_use_while_their_database_is_closed_and_later_ones_are_closed_when_they_are_given_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later one is that of a thread which goes on for a while."""
    monkeypatch.setattr(databases, "GIVING_BACK", 0)
    with database.begin() as conn:
        used = conn.connection.driver_connection
    with database.begin() as conn:
        assert conn.connection.driver_connection is used, "the pool of an open database keeps its connections"
        database.close()
        assert conn.scalar(text("select 1")) == 1
    with database.begin() as conn:
        later = conn.connection.driver_connection
    assert used is not None
    assert later is not None
    assert (used.closed, later.closed) == (True, True)


def test_a_transaction_that_somebody_left_open_ends_the_wait_with_a_message_but_our_own_locks_are_waited_for(
    database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_id = builders.write_plan(database, lincoln, [builders.newcomer("u1")])
    for module in (databases, locks):
        monkeypatch.setattr(module, "LOCK_SECONDS", 1)
    impatient = Database(database.engine.url)

    def locks_of_the_district() -> None:
        with impatient.begin() as conn:
            lock_district(conn, lincoln.district_id)
        with impatient.begin() as conn:
            lock_district_of(conn, plan_id)

    with database.begin() as left_open, ThreadPoolExecutor() as pool:
        left_open.execute(text("lock table person in access exclusive mode"))
        with pytest.raises(DatabaseBusy, match=r"keeps rows or tables of the directory locked.*\n.*open in psql"):
            builders.apply_plan(impatient, plan_id, who="night")
        lock_district(left_open, lincoln.district_id)
        waiting = pool.submit(locks_of_the_district)
        time.sleep(2.5)
        assert not waiting.done()
        left_open.rollback()
        waiting.result()
    impatient.close()
    assert builders.apply_plan(database, plan_id, who="night").outcome == "applied"
