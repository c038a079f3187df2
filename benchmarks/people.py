"""The console's pages about people in a large district: `python benchmarks/people.py [PEOPLE]`.

Real PostgreSQL and whole answers of the console, with the session and the HTML: the list of a district and of one of
its 40 schools, plainly, with a search, filtered and on the last page; one person's page; and the possible duplicates.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from common import database_server, fresh_database, last_line
from overview import MORE_SCHOOLS, console_of, milliseconds
from sqlalchemy import text

from roster_pipeline.console.middleware import FIELD, token_for
from roster_pipeline.directory import schema, tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings

PEOPLE, SCHOOLS = 100_000, 40
ROUNDS = 5
FILL = """
with made as (
    insert into person (district_id, given_name, family_name, email, username, number, number_kind,
                        number_connection_id)
    select d.id, 'Given' || n % 700, 'Family' || n % 4100, case when n % 4 > 0 then 'p' || n || '@example.org' end,
           'user' || n, case when n % 50 > 0 then n::text end, 'student', c.id
    from district d join connection c on c.district_id = d.id, generate_series(1, :people) n
    returning id, district_id, number_connection_id
), linked as (
    insert into link (district_id, connection_id, sourced_id, person_id, is_primary)
    select district_id, number_connection_id, 'u' || id, id, true from made
)
insert into membership (district_id, school_id, person_id, role, grade, status, managed)
select m.district_id, s.id, m.id, case when m.id % 15 = 0 then 'teacher' else 'student' end,
       case when m.id % 15 > 0 then lpad((1 + m.id % 12)::text, 2, '0') end, 'active', true
from made m join (select id, row_number() over (order by id) as place from school) s on s.place = 1 + m.id % :schools
"""


def main(people: int) -> None:
    """Print the medians in milliseconds."""
    with database_server() as server, fresh_database(server, "bench_people") as url:
        address = url.render_as_string(hide_password=False)
        database = Database(address)
        schema.upgrade(database)
        with database.begin() as conn:
            tenant_changes.add_district(conn, "district", "District")
            tenant_changes.add_connection(
                conn, "district", "sis", ConnectionSettings(url="https://sis.example.org"), "env:NO"
            )
            tenant_changes.add_school(conn, "sis", "school-1", "School 1", SchoolSettings(school_id="org"))
            conn.execute(text(MORE_SCHOOLS), {"schools": SCHOOLS})
            conn.execute(text(FILL), {"people": people, "schools": SCHOOLS})
        with database.session() as conn:
            conn.execute(text("analyze"))
        console = console_of(database, address)
        (cookie,) = console.cookies.values()
        search = {FIELD: token_for(cookie), "q": "given12 family5", "district": "district"}
        last = max(1, people // 50)
        cases: dict[str, Callable[[], object]] = {
            "district": lambda: console.get("/people?district=district").raise_for_status(),
            "last page": lambda: console.get(f"/people?district=district&page={last}").raise_for_status(),
            "search": lambda: console.post("/people", data=search).raise_for_status(),
            "filter": lambda: console.get("/people?district=district&role=teacher&mark=no_email").raise_for_status(),
            "school": lambda: console.get("/schools/school-1/people").raise_for_status(),
            "person": lambda: console.get(f"/people/{people // 2}").raise_for_status(),
            "duplicates": lambda: console.get("/people/duplicates?district=district").raise_for_status(),
            "of a school": lambda: console.get("/schools/school-1/duplicates").raise_for_status(),
        }
        figures = {name: milliseconds(case, ROUNDS) for name, case in cases.items()}
        database.close()
    for name, took in figures.items():
        print(f"{name:>12}: {took:.0f} ms")
    last_line("people", people=people, **{f"{name} ms": round(value) for name, value in figures.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("people", type=int, nargs="?", default=PEOPLE)
    main(parser.parse_args().people)
