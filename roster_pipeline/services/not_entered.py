"""What is known of people who are not in the school: rows of the newest plans, records without use or place."""

from dataclasses import dataclass

from sqlalchemy import Connection

from roster_pipeline.directory import plan_rows, plans, rosters, tenants
from roster_pipeline.directory.people_list import PeopleFilter
from roster_pipeline.services.plan_rows import Line, line_of
from roster_pipeline.vocabulary import LEFT_REASONS, REASONS

MOST = 20
"""How many rows, and how many records of each kind, a search shows."""
WITHOUT_PLACE = {
    **{status: status for status in ("role_off", "org_below", "unknown_org")},
    **{status: reason for status, reason in LEFT_REASONS.items() if status != "elsewhere"},
}
"""Statuses of records without a place in the school, with the reason. "elsewhere" is of another school."""


@dataclass(frozen=True)
class Planned:
    """A row of a school's newest plan that nobody has applied."""

    school: tenants.SchoolRow
    plan: plans.PlanRow
    line: Line


@dataclass(frozen=True)
class Unused:
    """A record that could not be used (rule: what is wrong with it), or gives no place in the school (why)."""

    school: tenants.SchoolRow
    name: str
    sourced_id: str
    snapshot_id: int = 0
    rule: str = ""
    why: str = ""


def not_entered(conn: Connection, wanted: PeopleFilter) -> list[Planned | Unused]:
    """What is known of people with the words of a search in its schools."""
    rows = plan_rows.not_entered(conn, wanted, limit=MOST)
    wrong = rosters.RejectedFilter(severity="error", words=wanted.words)
    records = rosters.page_of_newest(conn, wanted, wrong, limit=MOST)
    others = plan_rows.without_place(conn, wanted, WITHOUT_PLACE, limit=MOST)
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
