"""How many SQL statements a school's sync takes: they are most of its time on a busy server."""

from collections import Counter
from typing import Any

from sqlalchemy import event

from roster_pipeline import sync
from roster_pipeline_tests.district import District

MOST = {"fetch": 21, "clean": 9, "plan": 16, "apply": 28}
"""A plan that archives somebody also reads earlier lists and losses, and one that creates somebody reads what their
records were before. COPY statements come on top.
`python benchmarks/statements.py --list` shows them."""

TAKEN_OVER = 10
"""The statements of a plan that is taken over from the night before."""


def counted(district: District, key: str, night: str) -> Counter[str]:
    """The statements of one school's night by step."""
    counts: Counter[str] = Counter()
    step = ""

    def note(*_: Any) -> None:
        counts[step] += 1

    event.listen(district.database.engine, "before_cursor_execute", note)
    run = f"{key} {night}"
    try:
        step = "fetch"
        sync.fetch(district.database, key, batch=night, run_id=run)
        step = "clean"
        sync.clean_latest(district.database, key, run_id=run)
        step = "plan"
        sync.plan_latest(district.database, key, run_id=run)
        step = "apply"
        sync.apply_latest(district.database, key, run_id=run, who="test")
    finally:
        event.remove(district.database.engine, "before_cursor_execute", note)
    return counts


def test_a_school_needs_few_statements_on_nights_with_and_without_changes(district: District) -> None:
    district.add_school("kennedy", school_id="sch-2")
    district.add_school()
    for number in range(4):
        night = f"night-{number}"
        counted(district, "kennedy", night)  # pulls for both
        counts = counted(district, "lincoln", night)
        most = MOST | ({"plan": TAKEN_OVER} if number == 3 else {})
        assert all(counts[step] <= most[step] for step in most), counts
        students = [person.sourced_id for person in district.people.people_of("sch-1", "student")]
        if number == 0:
            district.people.remove(students[0], how="vanish")
            district.people.rename(students[1], family_name="Okonkwo-Byrne")
            district.people.add("student", "sch-1", agents=())
    assert counts["apply"] < MOST["apply"] - 3, "a night without changes makes no table for them"
