"""Searches for members cost the same in a city as in a village."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import text

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.members import FIND

PEOPLE, WORDS = 400, 50
MANY = """
insert into person (district_id, email, username, number, number_kind, number_connection_id)
select 1, 'e' || i || '@x.example', 'u' || i, 'n' || i, 'student', 1 from generate_series(1, :people) i
"""
MEMBERS = """
insert into membership (district_id, school_id, person_id, role, status, managed)
select 1, 1 + id % 2, id, 'student', 'active', true from person
"""


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for each in node.get("Plans", ()):
        yield from nodes(each)


def test_the_people_of_a_school_are_read_once_for_many_words(database: Database) -> None:
    words = ["E7@x.example", "U9", "00N11", *(f"nobody{number}" for number in range(WORDS))]
    given = {"district": 1, "school": 2, "connection": 1, "words": words}
    with database.begin() as conn:
        conn.execute(text("set local session_replication_role = replica"))  # without district, schools and change log
        conn.execute(text(MANY), {"people": PEOPLE})
        conn.execute(text(MEMBERS))
        conn.execute(text("analyze person"))
        found = {row.word: row.people for row in conn.execute(text(FIND), given)}
        (plan,) = conn.scalar(text(f"explain (analyze, format json) {FIND}"), given)
    assert {word: len(people) for word, people in found.items() if people} == {"E7@x.example": 1, "U9": 1, "00N11": 1}
    assert len(found) == len(words)
    read = sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in nodes(plan["Plan"])
        if node.get("Relation Name") == "person"
    )
    assert 0 < read <= PEOPLE
