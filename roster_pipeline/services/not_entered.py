"""People whom somebody looks for and who are not in the school: the rows about them in the newest plans, their records
that could not be used, and records that give them no place in the school."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from roster_pipeline.directory import plan_rows, plans, rosters, tenants
from roster_pipeline.directory.plans import PlanRow
from roster_pipeline.directory.rosters import RejectedFilter
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.plan_rows import Line, line_of
from roster_pipeline.vocabulary import REASONS

MOST = 20
"""How many rows, and how many records of each kind, a search shows."""
WITHOUT_PLACE = {
    "role_off": "role_off", "org_below": "org_below", "unknown_org": "unknown_org", "no_org": "no_org",
    "not_begun": "role_not_begun", "ended": "role_ended", "disabled": "disabled", "not_enrolled": "not_enrolled",
    "deleted": "tobedeleted",
}  # fmt: skip
"""The statuses of records that give nobody a place in the school, each with its reason."""


@dataclass(frozen=True)
class Planned:
    """A row of a school's newest plan that nobody has applied."""

    school: SchoolRow
    plan: PlanRow
    line: Line


@dataclass(frozen=True)
class Unused:
    """A record of a school that could not be used, or gives no place in it. rule: what is wrong with it. why: why it
    gives none."""

    school: SchoolRow
    name: str
    sourced_id: str
    snapshot_id: int = 0
    rule: str = ""
    why: str = ""


def not_entered(
    conn: Connection, district_id: int, schools: Collection[int] | None, words: str
) -> list[Planned | Unused]:
    """What is known of people with these words in some schools of a district (None: in all)."""
    rows = plan_rows.not_entered(conn, district_id, schools, words, limit=MOST)
    wrong = RejectedFilter(severity="error", words=words)
    records = rosters.page_of_newest(conn, district_id, schools, wrong, limit=MOST)
    others = plan_rows.without_place(conn, district_id, schools, words, [*WITHOUT_PLACE], MOST)
    known = tenants.schools_by_id(conn, {row["school_id"] for row in [*rows, *records, *others]})
    of = plans.get_all(conn, {row["plan_id"] for row in rows})
    return [
        *(Planned(known[row["school_id"]], of[row["plan_id"]], line_of(row)) for row in rows),
        *(
            Unused(known[row["school_id"]], row["name"], row["sourced_id"], row["snapshot_id"], row["rule"])
            for row in records
        ),
        *(
            Unused(
                known[row["school_id"]],
                row["name"],
                row["sourced_id"],
                why=REASONS[WITHOUT_PLACE[row["record_status"]]],
            )
            for row in others
        ),
    ]
