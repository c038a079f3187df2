"""A plan: every row with who, what, from, to, why and its result, and the rows as a file.

Plans and holds share the filter, the page of rows, and the choices of the filter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.page import (
    ACTIONS,
    ROWS,
    Listed,
    ListFilter,
    csv_answer,
    database,
    list_filter,
    number_of,
    page,
    role,
)
from roster_pipeline.console.session import Viewer, nothing_here, school_of, viewer
from roster_pipeline.directory import audit, held_plans, plan_rows, plans
from roster_pipeline.directory.plan_rows import RowFilter
from roster_pipeline.directory.plans import PlanRow
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.hold_explanations import hold_explanation_of
from roster_pipeline.services.plan_rows import HEADER, cells, every_line, lines, summary_of
from roster_pipeline.vocabulary import REASONS, ROLE_ORDER, held_place, role_place

ALWAYS = ("create", "update", "archive")
"""Columns that are shown even if they are empty."""
FIELDS = ("action", "role", "held", "sort")
EVERY_ROW = "all"
QUIET = "unchanged"
"""Rows about which there is nothing to say. They are shown only if somebody asks for them."""


def show(request: Request) -> Response:
    """A plan. A POST searches its rows."""
    with database(request).begin() as opened:
        school, plan = plan_of(request, opened)
        summary = summary_of(opened, plan)
        rows = rows_of(request, opened, school, plan, address=f"/schools/{school.key}/plans/{plan.id}")
        events = held_plans.timeline(opened, plan)
        why = plan_rows.reasons(opened, plan)
        manager = decides_as_manager(viewer(request), opened, school, plan.id)
    counts = _counts(why)
    return page(
        request,
        "plan.html",
        school=school,
        tab="holds" if summary.held_rows and plan.state == "planned" and not plan.dry_run else "syncs",
        plan=plan,
        summary=summary,
        counts=counts,
        columns=[name for name in ACTIONS if name in ALWAYS or any(name in of for of in counts.values())],
        why=[
            line | {"sentence": REASONS.get(line["reason"], line["reason"])}
            for line in sorted(why, key=lambda line: held_place(line["role"], line["action"])[::-1])
        ],
        explanation=hold_explanation_of((line for line in summary.verdict if _waits(line)), manager=manager),
        rows=rows,
        events=events,
        now=datetime.now(UTC),
        zone=school.settings.time_zone,
    )


def rows_csv(request: Request) -> Response:
    """The rows that the filter chooses, as a file."""
    with database(request).begin() as opened:
        school, plan = plan_of(request, opened)
        filters = list_filter(request, *FIELDS)
        wanted = row_filter(filters)
        details = {"plan": plan.id, "rows": plan_rows.count(opened, plan, wanted), "searched": bool(filters.words)}
        audit.record(
            opened,
            who=viewer(request).who,
            what="plan rows downloaded",
            district_id=school.district_id,
            school_id=school.id,
            details=details | {name: value for name, value in filters.fields.items() if value and name != "sort"},
        )
    lines = every_line(database(request), plan, wanted)
    return csv_answer(f"{school.key}-plan-{plan.id}", HEADER, cells(lines))


def _counts(why: list[dict[str, object]]) -> dict[str, dict[str, int]]:
    """role to action to rows. The roles have the order of the settings."""
    counts: dict[str, dict[str, int]] = {}
    for line in sorted(why, key=lambda one: role_place(str(one["role"]))):
        of_role = counts.setdefault(str(line["role"]), {})
        of_role[str(line["action"])] = of_role.get(str(line["action"]), 0) + int(str(line["rows"]))
    return counts


def _waits(line: dict[str, object]) -> bool:
    return line["verdict"] == "hold" and bool(line["rows"]) and line["sync_id"] is None


routes = [
    Route("/schools/{key}/plans/{plan_id}", show, methods=["GET", "POST"]),
    Route("/schools/{key}/plans/{plan_id}/rows.csv", rows_csv, methods=["GET", "POST"]),
]


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
    """The school and the plan in the path. Raises HTTPException 404, also for a plan of another school."""
    school = school_of(request, opened)
    try:
        plan = plans.get(opened, number_of(request, "plan_id"))
    except plans.UnknownPlan:
        raise nothing_here() from None
    if plan.school_id != school.id:
        raise nothing_here()
    return school, plan


def decides_as_manager(who: Viewer, opened: Connection, school: SchoolRow, plan_id: int) -> bool:
    """Whether the viewer may approve findings that need the district's manager, or an owner of all people concerned."""
    return who.may_manage(school.district_id) or held_plans.has_all_of_them(opened, plan_id, who.schools)


def row_filter(filters: ListFilter, *, held: bool = False) -> RowFilter:
    """The filter of a page, in the form that the directory needs.

    A value that is not an action or role sets no condition.
    """
    action = filters["action"]
    if action in ACTIONS:
        actions: tuple[str, ...] = (action,)
    else:
        actions = () if action == EVERY_ROW or held else tuple(name for name in ACTIONS if name != QUIET)
    return RowFilter(
        actions=actions,
        role=filters["role"] if filters["role"] in ROLE_ORDER else None,
        words=filters.words,
        held=held or bool(filters["held"]),
        sort=filters["sort"],
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
    """The rows that the request asks for. kinds: role and action of the held rows, if only those are shown."""
    filters = list_filter(request, *FIELDS, address=address)
    wanted = row_filter(filters, held=kinds is not None)
    found = lines(opened, plan, wanted, limit=ROWS, offset=filters.offset)
    if kinds is None:
        actions = [("", "All but unchanged"), (EVERY_ROW, "Every row"), *ACTIONS.items()]
        roles = list(ROLE_ORDER)
    else:
        listed = list(kinds)
        actions = [("", "All"), *((name, ACTIONS[name]) for name in ACTIONS if name in {of for _, of in listed})]
        roles = [name for name in ROLE_ORDER if name in {of for of, _ in listed}]
    return Rows(
        listed=Listed(filters, list(found), plan_rows.count(opened, plan, wanted)),
        actions=actions,
        roles=[("", "All"), *((name, role(name)) for name in roles)],
        csv=f"/schools/{school.key}/plans/{plan.id}/rows.csv",
        manages=viewer(request).may_manage(school.district_id),
    )
