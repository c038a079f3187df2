"""People whom somebody looks for and who are not in the school: the rows about them in the newest plans, and their
records that could not be used."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from roster_pipeline.directory import plan_rows, plans, rosters, tenants
from roster_pipeline.directory.plans import PlanRow
from roster_pipeline.directory.rosters import RejectedFilter
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.plan_rows import Line, line_of

MOST = 20
"""How many rows, and how many records, a search shows."""


@dataclass(frozen=True)
class Planned:
    """A row of a school's newest plan that nobody has applied."""

    school: SchoolRow
    plan: PlanRow
    line: Line


@dataclass(frozen=True)
class Unused:
    """A record of a school that could not be used. rule: what is wrong with it."""

    school: SchoolRow
    snapshot_id: int
    name: str
    sourced_id: str
    rule: str


def not_entered(
    conn: Connection, district_id: int, schools: Collection[int] | None, words: str
) -> list[Planned | Unused]:
    """What is known of people with these words in some schools of a district (None: in all)."""
    rows = plan_rows.not_entered(conn, district_id, schools, words, limit=MOST)
    wrong = RejectedFilter(severity="error", words=words)
    records = rosters.page_of_newest(conn, district_id, schools, wrong, limit=MOST)
    known = tenants.schools_by_id(conn, {row["school_id"] for row in [*rows, *records]})
    of = plans.get_all(conn, {row["plan_id"] for row in rows})
    return [
        *(Planned(known[row["school_id"]], of[row["plan_id"]], line_of(row)) for row in rows),
        *(
            Unused(known[row["school_id"]], row["snapshot_id"], row["name"], row["sourced_id"], row["rule"])
            for row in records
        ),
    ]
