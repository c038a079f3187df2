"""The console's first page over many schools with a year behind them: `python benchmarks/overview.py [SCHOOLS]`.

Real PostgreSQL. It times the one query of the page (counts, and fifty schools), for an operator who sees every school,
plainly, with a search, and on the last page; then the whole answer of the console, with the session and the HTML.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median

from common import database_server, fresh_database, last_line
from sqlalchemy import text
from starlette.testclient import TestClient

from roster_pipeline.console.app import create_app
from roster_pipeline.console.config import Config
from roster_pipeline.directory import accounts, schema, sessions, tenant_changes
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.school_overview import overview
from roster_pipeline.notifications.content import RoleCounts, SyncReport
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings

SCHOOLS = 3_000
NIGHTS = 60
WHO = "somebody@example.org"
ROUNDS = 15
MORE_SCHOOLS = """
insert into school (district_id, connection_id, key, name, settings)
select s.district_id, s.connection_id, 'school-' || n, 'School ' || n, s.settings
from school s, generate_series(2, :schools) n
"""
PAST = """
with snap as (
    insert into snapshot (district_id, school_id, connection_id, school_sourced_id, complete, mode, taken_at)
    select district_id, id, connection_id, 'org', true, 'full', now() - n * interval '1 day'
    from generate_series(:nights, 1, -1) n, school returning id, district_id, school_id, taken_at
), planned as (
    insert into plan (district_id, school_id, snapshot_id, hash, position, first_sync, state, made_at)
    select district_id, school_id, id, 'h', 0, false,
        case when taken_at > now() - interval '36 hours' then 'planned' else 'replaced' end, taken_at
    from snap order by id returning id, district_id, school_id, snapshot_id, made_at
), judged as (
    insert into verdict (plan_id, role, action, verdict, rows, findings)
    select id, 'student', action,
        case when school_id % 60 = 0 and action = 'archive' then 'hold' else 'pass' end, 12, '[]'
    from planned, unnest(array['create', 'update', 'restore', 'archive']) action
)
insert into sync (district_id, school_id, kind, plan_id, snapshot_id, outcome, who, at, report)
select district_id, school_id, 'sync', id, snapshot_id, 'applied', 'schedule', made_at, cast(:report as jsonb)
from planned order by id
"""
FAILURES = """
insert into failure (school_id, step, message) select id, 'raw_users', key || ': the SIS did not answer.'
from school where id % 100 = 7
"""


def main(schools: int) -> None:
    """Print the medians in milliseconds."""
    with database_server() as server, fresh_database(server, "bench_overview") as url:
        address = url.render_as_string(hide_password=False)
        database = Database(address)
        fill(database, schools)
        console = console_of(database, address)
        with database.begin() as conn:
            cases: dict[str, Callable[[], object]] = {
                "query": lambda: overview(conn, everyone=True),
                "search": lambda: overview(conn, everyone=True, search="school 12"),
                "last page": lambda: overview(conn, everyone=True, offset=schools - 50),
                "the page": lambda: console.get("/").raise_for_status(),
            }
            figures = {name: milliseconds(case) for name, case in cases.items()}
        database.close()
    for name, took in figures.items():
        print(f"{name:>10}: {took:.0f} ms")
    last_line("overview", schools=schools, **{f"{name} ms": round(value) for name, value in figures.items()})


def fill(database: Database, schools: int) -> None:
    """Schools with nights behind them, all of one district and connection."""
    schema.upgrade(database)
    roles = (RoleCounts("student", created=4, updated=2),)
    report = SyncReport("school-1", "School 1", datetime.now(UTC), "UTC", roles).as_dict()
    with database.begin() as conn:
        tenant_changes.add_district(conn, "district", "District")
        tenant_changes.add_connection(
            conn, "district", "sis", ConnectionSettings(url="https://sis.example.org"), "env:NO"
        )
        tenant_changes.add_school(conn, "sis", "school-1", "School 1", SchoolSettings(school_id="org", automatic=True))
        conn.execute(text(MORE_SCHOOLS), {"schools": schools})
        conn.execute(text(PAST), {"nights": NIGHTS, "report": json.dumps(report)})
        conn.execute(text(FAILURES))
    with database.session() as conn:
        conn.execute(text("analyze"))


def console_of(database: Database, address: str) -> TestClient:
    token, config = session_of(database, Place()), Config(database_url=address)
    return TestClient(create_app(config), base_url=config.url, cookies={config.session_cookie: token})


def session_of(database: Database, place: Place) -> str:
    """The token of a session of somebody with a grant for this place."""
    with database.begin() as conn:
        accounts.grant(conn, WHO, place, by="benchmark")
        account = accounts.find(conn, WHO)
        return sessions.begin(conn, account.id if account else 0, timedelta(hours=1))


def milliseconds(case: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median of some rounds."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        case()
        took.append(time.perf_counter() - began)
    return median(took) * 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schools", type=int, nargs="?", default=SCHOOLS)
    main(parser.parse_args().schools)
