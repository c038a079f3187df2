"""A plan: every row with person, action, old and new values, reason and result; also as a file. And the waiting plans
of all schools, to decide several at once.

Plans and holds share the filter, the page of rows, and the choices of the filter.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from roster_pipeline.console.page import (
    ACTIONS,
    NOTHING,
    ROWS,
    Listed,
    ListFilter,
    csv_answer,
    database,
    form,
    list_filter,
    number_of,
    page,
    plain_number,
    reason_of,
    role,
    route,
    texts,
)
from roster_pipeline.console.session import nothing_here, school_of, viewer
from roster_pipeline.directory import approvals, audit, held_plans, plan_rows, plans, tenants
from roster_pipeline.directory.accounts import Account
from roster_pipeline.services import decisions
from roster_pipeline.services.hold_explanations import GUARD_TITLES, hold_explanation_of
from roster_pipeline.services.plan_rows import HEADER, cells, every_line, lines, summary_of
from roster_pipeline.vocabulary import REASONS, ROLE_ORDER, TO_CHECK, held_place, reason_problem, role_place

ALWAYS = ("create", "update", "archive")
"""Columns that are shown even if they are empty."""
FIELDS = ("action", "role", "held", "sort")
EVERY_ROW = "all"
CHECK = "check"
QUIET = "unchanged"
"""Rows without anything to decide. They are shown only on request."""
MOST_UNTYPED = 50
"""Up to this many archivals can be approved with a button. For more, the person also types the number."""


@route("/schools/{key}/plans/{plan_id}", "GET", "POST")
def show(request: Request) -> Response:
    with database(request).begin() as conn:
        school, plan = plan_of(request, conn)
        summary = summary_of(conn, plan)
        rows = rows_of(request, conn, school, plan, address=f"/schools/{school.key}/plans/{plan.id}")
        events = held_plans.timeline(conn, plan)
        why = plan_rows.reasons(conn, plan)
        manager = decides_as_manager(viewer(request), conn, school, plan.id)
    counts = _counts(why)
    waiting = (one for one in summary.verdict if one["verdict"] == "hold" and one["rows"] and one["sync_id"] is None)
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
        explanation=hold_explanation_of(waiting, manager=manager),
        rows=rows,
        events=events,
    )


@route("/schools/{key}/plans/{plan_id}/rows.csv", "GET", "POST")
def rows_csv(request: Request) -> Response:
    """The rows that the filter chooses, as a file."""
    with database(request).begin() as conn:
        school, plan = plan_of(request, conn)
        filters = list_filter(request, *FIELDS)
        wanted = row_filter(filters)
        details: dict[str, Any] = {
            "plan": plan.id,
            "rows": plan_rows.count(conn, plan, wanted),
            "searched": bool(filters.words),
        }
        details |= {name: value for name, value in filters.fields.items() if value and name != "sort"}
        audit.record(conn, viewer(request).email, "plan rows downloaded", school=school, details=details)
    lines = every_line(database(request), plan, wanted)
    return csv_answer(f"{school.key}-plan-{plan.id}", HEADER, cells(lines))


def _counts(why: list[dict[str, object]]) -> dict[str, dict[str, int]]:
    """role to action to rows. The roles have the order of the settings."""
    counts: dict[str, dict[str, int]] = {}
    for line in sorted(why, key=lambda one: role_place(str(one["role"]))):
        of_role = counts.setdefault(str(line["role"]), {})
        of_role[str(line["action"])] = of_role.get(str(line["action"]), 0) + int(str(line["rows"]))
    return counts


@dataclass(frozen=True)
class Rows:
    """A page of rows with the choices of its filter. manages: the reader may follow a name to another school."""

    listed: Listed
    actions: list[tuple[str, str]]
    roles: list[tuple[str, str]]
    csv: str
    manages: bool


def plan_of(request: Request, conn: Connection) -> tuple[tenants.SchoolRow, plans.PlanRow]:
    """The school and the plan in the path. Raises HTTPException 404, also for a plan of another school."""
    school = school_of(request, conn)
    plan = plans.get(conn, number_of(request, "plan_id"))
    if plan.school_id != school.id:
        raise nothing_here()
    return school, plan


def decides_as_manager(who: Account, conn: Connection, school: tenants.SchoolRow, plan_id: int) -> bool:
    """Whether the viewer may approve findings that need the district's manager, or an owner of all people concerned."""
    return who.may_manage(school.district_id) or held_plans.has_all_of_them(conn, plan_id, who.schools)


def row_filter(filters: ListFilter, *, held: bool = False) -> plan_rows.RowFilter:
    """The filter for the directory; a value that is not an action or role sets no condition."""
    action = filters["action"]
    if action in ACTIONS:
        actions: tuple[str, ...] = (action,)
    else:
        actions = () if action in (EVERY_ROW, CHECK) or held else tuple(name for name in ACTIONS if name != QUIET)
    return plan_rows.RowFilter(
        actions=actions,
        notes=TO_CHECK if action == CHECK else (),
        role=filters["role"] if filters["role"] in ROLE_ORDER else None,
        words=filters.words,
        held=held or bool(filters["held"]),
        sort=filters["sort"],
    )


def rows_of(
    request: Request,
    conn: Connection,
    school: tenants.SchoolRow,
    plan: plans.PlanRow,
    *,
    address: str,
    kinds: Iterable[tuple[str, str]] | None = None,
) -> Rows:
    """The rows that the request asks for. kinds: role and action of the held rows, if only those are shown."""
    filters = list_filter(request, *FIELDS, address=address)
    wanted = row_filter(filters, held=kinds is not None)
    found = lines(conn, plan, wanted, limit=ROWS, offset=filters.offset)
    if kinds is None:
        actions = [("", "All but unchanged"), (EVERY_ROW, "Every row"), *ACTIONS.items(), (CHECK, "to check")]
        roles = list(ROLE_ORDER)
    else:
        listed = list(kinds)
        actions = [("", "All"), *((name, ACTIONS[name]) for name in ACTIONS if name in {of for _, of in listed})]
        roles = [name for name in ROLE_ORDER if name in {of for of, _ in listed}]
    return Rows(
        listed=Listed(filters, list(found), plan_rows.count(conn, plan, wanted)),
        actions=actions,
        roles=[("", "All"), *((name, role(name)) for name in roles)],
        csv=f"/schools/{school.key}/plans/{plan.id}/rows.csv",
        manages=viewer(request).may_manage(school.district_id),
    )


@route("/holds", "GET", "POST")
def every_hold(
    request: Request, *, status: int = 200, errors: Mapping[str, str] = NOTHING, chosen: Collection[int] = ()
) -> Response:
    """The plans that wait in all schools that the viewer may see, newest first. errors: by field of the decision."""
    who = viewer(request)
    filters = list_filter(request, "guard", "district", address="/holds")
    with database(request).begin() as conn:
        mine = [row for row in tenants.list_districts(conn) if who.may_manage(row.id)] if who.may_give_access else []
        waiting = held_plans.waiting(
            conn,
            districts=who.managed,
            schools=None if who.operator else who.schools,
            words=filters.words,
            guard=filters["guard"],
            district=next((row.id for row in mine if row.key == filters["district"]), None),
            limit=ROWS,
            offset=filters.offset,
        )
    held = [(one, hold_explanation_of(one.kinds, manager=who.may_manage(one.district_id))) for one in waiting]
    return page(
        request,
        "holds.html",
        status=status,
        errors=errors,
        sent=texts(request) if errors else {},
        chosen=chosen,
        most_untyped=MOST_UNTYPED,
        held=held,
        decidable=[one for one, explanation in held if explanation.approvable or explanation.managers],
        listed=Listed(filters, list(waiting), waiting[0].plans if waiting else 0),
        guards=GUARD_TITLES,
        districts=mine,
    )


@route("/holds/decide", "POST")
def decide_several(request: Request) -> Response:
    """Approve or discard the chosen plans (`all`: all that were shown), each bound to what was looked at."""
    sent, reason = form(request), reason_of(request)
    decision: Literal["approve", "discard"] = "discard" if sent.get("decision") == "discard" else "approve"
    ticked = sent.getlist("shown" if "all" in sent else "plan")[:ROWS]
    with database(request).begin() as conn:
        chosen = [one for each in ticked if (one := _chosen(request, conn, str(each))) is not None]
        archivals = 0
        for one in chosen if decision == "approve" else ():
            holds = approvals.held(conn, plan_id=one.plan_id)
            archivals += hold_explanation_of((vars(hold) for hold in holds), manager=one.manager).archivals()
    error = reason_problem(reason) or ("" if chosen else "Choose the schools to decide about.")
    errors = {"reason": error} if error else {}
    if not error and not is_typed(request, archivals):
        errors = {"archivals": f"Type {archivals}, the number of people to archive in these schools."}
    if errors:
        return every_hold(request, status=400, errors=errors, chosen=[one.plan_id for one in chosen])
    done = decisions.decide_each(database(request), chosen, decision=decision, who=viewer(request).email, reason=reason)
    with database(request).begin() as conn:
        names = {one.key: tenants.get_school(conn, one.key).name for one in done}
    return page(request, "holds_decided.html", done=done, names=names, decision=decision)


def _chosen(request: Request, conn: Connection, sent: str) -> decisions.Chosen | None:
    """A chosen plan from `number hash`. None if it does not belong to a school of the viewer."""
    number, _, hash_ = sent.partition(" ")
    try:
        plan = plans.get(conn, plain_number(number))
    except plans.UnknownPlan:
        return None
    school = tenants.schools_by_id(conn, [plan.school_id])[plan.school_id]
    if not viewer(request).may_see(school):
        return None
    return decisions.Chosen(school.key, plan.id, hash_, decides_as_manager(viewer(request), conn, school, plan.id))


def is_typed(request: Request, archivals: int) -> bool:
    """Whether the form names the number of people to archive, if it is so large that it must."""
    typed = str(form(request).get("archivals", "")).replace(",", "").strip()
    return archivals <= MOST_UNTYPED or typed == str(archivals)


def refused(request: Request, school: tenants.SchoolRow, plan: plans.PlanRow, message: str) -> Response:
    with database(request).begin() as conn:
        newest = plans.latest(conn, school.id)
        waiting = approvals.held(conn, school_id=school.id)
    return page(
        request, "plan_changed.html", status=409, school=school, tab="holds", plan=plan, message=message, newest=newest,
        waiting=waiting[0].plan_id if waiting else None,
    )  # fmt: skip
