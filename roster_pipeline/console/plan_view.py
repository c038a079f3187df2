"""A plan's rows on a page: the filter, one page of rows, and the choices of the filter. Used by plans and holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request

from roster_pipeline.console.auth.viewer import Viewer, nothing_here, school_of, viewer
from roster_pipeline.console.list_filters import ROWS, Listed, ListFilter, list_filter, number_of
from roster_pipeline.console.page import ACTIONS, role
from roster_pipeline.directory import held_plans, plan_rows, plans
from roster_pipeline.directory.plan_rows import RowFilter
from roster_pipeline.directory.plans import PlanRow
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.plan_rows import lines
from roster_pipeline.vocabulary import ROLE_ORDER

FIELDS = ("action", "role", "held", "sort")
EVERY_ROW = "all"
QUIET = "unchanged"
"""Rows of which nothing is to be told; they are shown only where somebody asks for them."""


@dataclass(frozen=True)
class Rows:
    """One page of a plan's rows with the choices of its filter: pairs of value and words. manages: the reader manages
    the district, and may follow a name to a person of another school."""

    listed: Listed
    actions: list[tuple[str, str]]
    roles: list[tuple[str, str]]
    csv: str
    manages: bool


def plan_of(request: Request, opened: Connection) -> tuple[SchoolRow, PlanRow]:
    """School and plan of the path. Raises HTTPException 404 also for a plan of another school."""
    school = school_of(request, opened)
    try:
        found = plans.get(opened, number_of(request, "plan_id"))
    except plans.UnknownPlan:
        raise nothing_here() from None
    if found.school_id != school.id:
        raise nothing_here()
    return school, found


def decides_as_manager(who: Viewer, opened: Connection, school: SchoolRow, plan_id: int) -> bool:
    """Whether somebody may approve what only the district's manager may, or whoever has the people it concerns."""
    return who.may_manage(school.district_id) or held_plans.has_all_of_them(opened, plan_id, who.schools)


def row_filter(asked: ListFilter, *, held: bool = False) -> RowFilter:
    """What a page asks for, as the directory wants it. What is no action or role is no condition."""
    action = asked["action"]
    if action in ACTIONS:
        actions: tuple[str, ...] = (action,)
    else:
        actions = () if action == EVERY_ROW or held else tuple(name for name in ACTIONS if name != QUIET)
    return RowFilter(
        actions=actions,
        role=asked["role"] if asked["role"] in ROLE_ORDER else None,
        words=asked.words,
        held=held or bool(asked["held"]),
        sort=asked["sort"],
    )


def rows_of(
    request: Request,
    opened: Connection,
    school: SchoolRow,
    plan: PlanRow,
    *,
    address: str,
    kinds: Iterable[tuple[str, str]] | None = None,
) -> Rows:
    """The rows that the request asks for. kinds: role and action of what is held, where only that is shown."""
    asked = list_filter(request, *FIELDS, address=address)
    wanted = row_filter(asked, held=kinds is not None)
    found = lines(opened, plan, wanted, limit=ROWS, offset=asked.offset)
    if kinds is None:
        actions = [("", "All but unchanged"), (EVERY_ROW, "Every row"), *ACTIONS.items()]
        roles = list(ROLE_ORDER)
    else:
        listed = list(kinds)
        actions = [("", "All"), *((name, ACTIONS[name]) for name in ACTIONS if name in {of for _, of in listed})]
        roles = [name for name in ROLE_ORDER if name in {of for of, _ in listed}]
    return Rows(
        listed=Listed(asked, list(found), plan_rows.count(opened, plan, wanted)),
        actions=actions,
        roles=[("", "All"), *((name, role(name)) for name in roles)],
        csv=f"/schools/{school.key}/plans/{plan.id}/rows.csv",
        manages=viewer(request).may_manage(school.district_id),
    )
