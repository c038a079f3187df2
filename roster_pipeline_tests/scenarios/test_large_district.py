"""A school's sync in a large district: no statement looks at all people of the district again and again."""

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from roster_pipeline_tests.csv_bundle import write_csv_bundle
from roster_pipeline_tests.district import District

OTHERS = 6_000
"""More people than fit in the least memory that PostgreSQL gives to a hash table."""
MOST = 40
"""How often a statement may look at all these people: once in each of its steps."""
FILL = """
with people as (
    insert into person (district_id, given_name, family_name, email)
    select :district, 'Given' || n, 'Family' || n, n || '@people.example' from generate_series(1, :others) n returning *
), linked as (
    insert into link (district_id, connection_id, sourced_id, person_id, is_primary)
    select district_id, :connection, 'other-' || id, id, true from people
)
insert into membership (district_id, school_id, person_id, role, status, managed)
select p.district_id, s.id, p.id, 'student', 'active', true from people p, school s where s.key = 'kennedy'
"""
SPREAD = "alter sequence sis_record_id_seq increment by 512"
"""Each record of a pull in a block of its own, as if the pull were that large."""
READS = re.compile(r"\s*(select|with)\b.*\b(person|link|membership|sis_record|pull_record)\b", re.DOTALL)
WRITES = re.compile(r"\b(insert into|update \w+ set|delete from|nextval|for update)\b")


def rows_read(plan: dict[str, Any]) -> float:
    """How many rows a plan looked at, in all repetitions of its steps."""
    here = plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))
    here += plan["Actual Loops"] * plan.get("Rows Removed by Join Filter", 0)
    return float(here) + sum(map(rows_read, plan.get("Plans", ())))


@pytest.mark.parametrize("bundle", [False, True])
def test_no_statement_of_a_night_looks_at_everybody_again_and_again(
    district: District, tmp_path: Path, bundle: bool
) -> None:
    district.execute(SPREAD)
    exports = tmp_path / "exports"
    if bundle:
        exports.mkdir()
        district.set_connection(url=f"file://{exports}", token_url=None)
        earlier = time.time() - 3600
        os.utime(write_csv_bundle(district.people, exports / "1.zip"), (earlier, earlier))
    district.add_school("kennedy", school_id="sch-2", primary_contacts=True)
    district.add_school(primary_contacts=True)
    for key in ("kennedy", "lincoln"):
        district.sync_school(key, "first night")
    district.execute(FILL, district=district.district_id, connection=district.connection_id, others=OTHERS)
    district.execute("analyze")
    people = [person.sourced_id for person in district.people.people_of("sch-1", "student")]
    district.people.remove(people[0], how="vanish")
    district.people.move(people[1], "sch-2")
    district.people.rename(people[2], family_name="Okonkwo-Byrne")
    district.people.add("student", "sch-1")
    if bundle:
        write_csv_bundle(district.people, exports / "2.zip")
    slow: dict[str, float] = {}
    explained = 0

    def explain(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        nonlocal explained
        if many or not READS.match(statement) or WRITES.search(statement):
            return
        with conn.connection.cursor() as own:
            own.execute("set local work_mem = '64kB'; set local hash_mem_multiplier = 1")
            ((answer,),) = own.execute(
                f"explain (analyze, timing off, format json) {statement}", parameters or None
            ).fetchall()
            own.execute("set local work_mem to default; set local hash_mem_multiplier to default")
        explained += 1
        if (rows := rows_read(answer[0]["Plan"])) > MOST * OTHERS:
            slow[statement] = rows

    event.listen(district.database.engine, "before_cursor_execute", explain)
    for key in ("kennedy", "lincoln"):
        district.sync_school(key, "second night")
    event.remove(district.database.engine, "before_cursor_execute", explain)
    assert explained > 20
    assert not slow
