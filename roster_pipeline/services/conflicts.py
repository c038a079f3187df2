"""The conflicts of a school's newest plan, so that somebody can decide about them: records of the SIS next to people of
the directory.

"Same person" is `person_changes.link`, "two people" is `person_changes.unlink`; the next sync follows the decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.directory import plan_rows, plans, relink, tenants
from roster_pipeline.directory.accounts import Account
from roster_pipeline.directory.members import UnknownPerson
from roster_pipeline.directory.plan_rows import RowFilter
from roster_pipeline.directory.plans import PlanRow
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.person_view import PersonView, find
from roster_pipeline.services.plan_rows import Line, line_of
from roster_pipeline.vocabulary import OTHER_CONNECTION

COMPARED = (
    "given_name",
    "family_name",
    "preferred_given_name",
    "preferred_family_name",
    "email",
    "username",
    "number",
    "role",
    "grade",
)
MOST_PEOPLE = 4
"""How many people are shown next to one record. If a record fits more people, somebody has to look into the SIS."""
_CONFLICTS = RowFilter(actions=("conflict",))


@dataclass(frozen=True)
class Side:
    """A record of the SIS or a person of the directory. values: its values, by the names in `COMPARED`."""

    values: Mapping[str, Any]
    sourced_id: str = ""
    person_id: int = 0
    name: str = ""
    may_change: bool = False


@dataclass(frozen=True)
class Conflict:
    """One row of a school's plan. hidden: people of schools that the reader may not see. said: (sourcedId, person) to
    `same` or `two`, where somebody decided since."""

    line: Line
    records: list[Side]
    people: list[Side]
    hidden: int
    said: Mapping[tuple[str, int], str]
    school: SchoolRow
    plan: PlanRow

    @property
    def fields(self) -> list[str]:
        """The fields that at least one side has."""
        sides = [*self.records, *self.people]
        return [name for name in COMPARED if any(side.values.get(name) for side in sides)]

    def differs(self, name: str) -> bool:
        """Whether the sides that have the field have different values."""
        found = {str(side.values[name]).casefold() for side in (*self.records, *self.people) if side.values.get(name)}
        return len(found) > 1

    @property
    def decided(self) -> bool:
        """Whether somebody decided about every pair of the row, or decided that one pair is the same person."""
        pairs = [(record.sourced_id, person.person_id) for record in self.records for person in self.people]
        said = [self.said.get(pair) for pair in pairs]
        return "same" in said or (bool(said) and None not in said)


def count(conn: Connection, plan: PlanRow | None) -> int:
    """How many conflicts a plan has."""
    return plan_rows.count(conn, plan, _CONFLICTS) if plan else 0


def page(
    conn: Connection, school: SchoolRow, plan: PlanRow, reader: Account, *, limit: int, offset: int = 0
) -> list[Conflict]:
    """One page of a plan's conflicts, as far as the reader may see the people."""
    rows = plan_rows.page(conn, plan, _CONFLICTS, limit=limit, offset=offset)
    return [_conflict(conn, school, plan, line_of(row), reader) for row in rows]


def page_of_district(
    conn: Connection, district_id: int, reader: Account, *, limit: int, offset: int = 0
) -> tuple[list[Conflict], int]:
    """One page of the conflicts in the newest plans of a district's schools, and how many there are on all pages."""
    rows = plan_rows.conflicts_of_district(conn, district_id, limit=limit, offset=offset)
    schools = tenants.schools_by_id(conn, {row["school_id"] for row in rows})
    of = plans.get_all(conn, {row["plan_id"] for row in rows})
    found = [_conflict(conn, schools[row["school_id"]], of[row["plan_id"]], line_of(row), reader) for row in rows]
    return found, rows[0]["total"] if rows else 0


def _conflict(conn: Connection, school: SchoolRow, plan: PlanRow, line: Line, reader: Account) -> Conflict:
    ids = line.sourced_ids
    records = [
        Side(row, row["sourced_id"]) for row in relink.conflicting_records(conn, plan.snapshot_id, ids, COMPARED)
    ]
    if line.person_id is not None:
        candidates = [line.person_id]
    else:
        candidates = relink.candidates(conn, school, plan.snapshot_id, ids, limit=MOST_PEOPLE)
    people = [side for one in candidates if (side := _side(conn, school, line, one, reader)) is not None]
    decisions = relink.decided_pairs(conn, school, ids)
    return Conflict(line, records, people, len(candidates) - len(people), decisions, school, plan)


def _side(conn: Connection, school: SchoolRow, line: Line, person_id: int, reader: Account) -> Side | None:
    """The person with the values that the reader may see, or None."""
    if line.reason == OTHER_CONNECTION and not reader.may_manage(school.district_id):
        return None
    try:
        view = find(conn, person_id, reader)
    except UnknownPerson:
        return None
    if not view.whole:
        return None
    return side_of(view, school.key)


def side_of(view: PersonView, school: str = "") -> Side:
    """A person as one side, with the role and grade in this school. If they are not in this school, those in their
    first school."""
    belongs = next((each for each in view.memberships if each["school"] == school), None)
    belongs = belongs or next(iter(view.memberships), {})
    values = view.person.fields | {"role": belongs.get("role"), "grade": belongs.get("grade")}
    return Side(values, person_id=view.person.id, name=view.name, may_change=view.may_change)
