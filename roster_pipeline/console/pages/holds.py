"""Holds: shows what guards stopped in one school, and takes a person's decision."""

from collections.abc import Mapping
from datetime import date, datetime
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from roster_pipeline.console.page import (
    NOTHING,
    ROWS,
    database,
    day_of,
    form,
    page,
    plain_numbers,
    reason_of,
    redirect,
    route,
    texts,
)
from roster_pipeline.console.pages.plan_details import (
    MOST_UNTYPED,
    decides_as_manager,
    is_typed,
    plan_of,
    refused,
    rows_of,
)
from roster_pipeline.console.session import school_of, the_school, viewer
from roster_pipeline.directory import approvals, held_plans, lasting_decisions, plan_rows, plans
from roster_pipeline.directory.apply import SyncResult
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.blocks import in_console
from roster_pipeline.notifications.outcome import linked_words
from roster_pipeline.services import decisions
from roster_pipeline.services.hold_explanations import HoldExplanation, hold_explanation_of
from roster_pipeline.services.settings_changes import FieldError
from roster_pipeline.settings.fields import title_of
from roster_pipeline.settings.school import Guards
from roster_pipeline.sync import SyncError
from roster_pipeline.vocabulary import counted, day, reason_problem


@route("/schools/{key}/plans/{plan_id}/exempt", "POST")
def exempt(request: Request) -> Response:
    """Take the chosen rows out of the plan that the person looked at. No later sync makes these changes either."""
    with database(request).begin() as conn:
        school, plan = plan_of(request, conn)
    reason, rows = reason_of(request), plain_numbers(request, "row")
    error = reason_problem(reason) or ("" if rows else "Choose the rows to leave out, in the list above.")
    if error:
        return of_school(request, status=400, errors={"reason": error}, decision="exempt")
    given: dict[str, Any] = {"who": viewer(request).email, "reason": reason, "plan_hash": _hash(request)}
    try:
        done = decisions.exempt(database(request), school.key, plan.id, rows[:ROWS], **given)
    except lasting_decisions.NothingExempted as problem:
        return of_school(request, status=409, errors={"reason": in_console(str(problem))}, decision="exempt")
    except (approvals.PlanChanged, approvals.NothingHeld):
        return refused(request, school, plan, "It was replaced by a newer one, decided by somebody else, or changed.")
    rows_left = f"{counted(done, 'row is', 'rows are')} left out, in this plan and in later ones."
    return redirect(request, f"/schools/{school.key}/holds", message=rows_left)


@route("/schools/{key}/limits", "POST")
def raise_limit(request: Request) -> Response:
    sent = texts(request)
    with database(request).begin() as conn:
        school = school_of(request, conn)
        try:
            until, name = day_of(sent.get("until", ""), "until"), sent.get("limit", "")
            value = limit_of(sent.get("value", ""), school.settings.guards, name)
            given = {"who": viewer(request).email, "reason": sent.get("reason", "")}
            decisions.raise_limit(conn, school.key, name, value, until, **given)
        except FieldError as problem:
            return of_school(request, status=400, errors={problem.field: problem.message}, decision="raise")
    message = f"The limit is higher until {day(until)}, this day included. The next sync uses it."
    return redirect(request, f"/schools/{school.key}/holds", message=message)


@route("/schools/{key}/limits/end", "POST")
def lower_limits(request: Request) -> Response:
    with database(request).begin() as conn:
        school = school_of(request, conn)
        decisions.lower_limits(conn, school.key, who=viewer(request).email)
    return redirect(request, f"/schools/{school.key}/holds", message="The limits of the settings count again.")


def limit_of(text: str, guards: Guards, name: str) -> float:
    """A limit as people type it. Shares are in percent. Raises FieldError."""
    try:
        number = float(text.strip().removesuffix("%").replace(",", "."))
    except ValueError:
        raise FieldError("value", "Give the new limit as a number.") from None
    return number / 100 if isinstance(getattr(guards, name, None), float) else number


def _limits(school: SchoolRow) -> list[tuple[str, str]]:
    """The limits that can be raised, with their value now."""
    now = school.settings.guards.model_dump()
    return [
        (name, f"{title_of('guards.' + name)}: now {decisions.limit_text(now[name])}") for name in decisions.RAISABLE
    ]


def _raised(school: SchoolRow) -> list[tuple[str, str, date, str, str]]:
    """Title, value, last day, who and why of the limits that are raised today."""
    today = datetime.now(school.settings.zone).date()
    return [
        (
            title_of(f"guards.{name}"),
            decisions.limit_text(one["value"]),
            date.fromisoformat(one["until"]),
            one["who"],
            one["reason"],
        )
        for name, one in school.raised_limits.items()
        if date.fromisoformat(one["until"]) >= today
    ]


@route("/schools/{key}/exemptions", "POST")
def take_back(request: Request) -> Response:
    school = the_school(request)
    reason, ids = reason_of(request), plain_numbers(request, "exemption")
    error = reason_problem(reason) or ("" if ids else "Choose what to plan again.")
    if error:
        return of_school(request, status=400, errors={"reason": error}, decision="take_back")
    done = decisions.take_back(database(request), school.key, ids, who=viewer(request).email, reason=reason)
    message = f"{counted(done, 'change is', 'changes are')} planned again by the next sync."
    return redirect(request, f"/schools/{school.key}/holds", message=message)


def _hash(request: Request) -> str:
    return str(form(request).get("hash", ""))


def _parts(request: Request) -> list[approvals.Part] | None:
    """The roles and kinds of change that were chosen; None if the form offered no choice."""
    if "parts" not in form(request):
        return None
    pairs = (str(sent).partition(" ") for sent in form(request).getlist("part"))
    return [(role, action) for role, _, action in pairs]


def decide(request: Request, decision: str) -> Response:
    """Approve the held rows of the plan that the person looked at, discard it, or relink its people."""
    with database(request).begin() as conn:
        school, plan = plan_of(request, conn)
        manager = decides_as_manager(viewer(request), conn, school, plan.id)
    reason, parts = reason_of(request), _parts(request)
    error = reason_problem(reason) or ("Choose what to approve." if decision == "approve" and parts == [] else "")
    errors = {"reason": error} if error else {}
    if not error and decision == "approve":
        archivals = _archivals(request, school, plan, manager, parts)
        if not is_typed(request, archivals):
            errors = {"archivals": f"Type {archivals}, the number of people to archive."}
    if errors:
        return of_school(request, status=400, errors=errors, decision=decision)
    given: dict[str, Any] = {"who": viewer(request).email, "reason": reason, "plan_hash": _hash(request)}
    home, db = f"/schools/{school.key}", database(request)
    try:
        if decision == "discard":
            decisions.discard(db, school.key, plan.id, **given)
            message = (
                f"Plan {plan.id} was discarded. None of its held changes is applied. The next sync makes a new plan."
            )
            return redirect(request, f"{home}/plans/{plan.id}", message=message)
        if decision == "approve":
            result = decisions.approve(db, school.key, plan.id, manager=manager, parts=parts, **given)
        else:
            result = decisions.relink(db, school.key, plan.id, **given)
    except approvals.ManagerDecides as problem:
        return refused(request, school, plan, str(problem))
    except (approvals.PlanChanged, approvals.NothingHeld, approvals.NotOverridable) as problem:
        return _not_decided(request, db, school, plan, decision, problem)
    except SyncError as problem:
        return refused(request, school, plan, problem.message)
    return redirect(request, f"{home}/syncs/{result.sync_id}", message=_message_of(decision, plan, result))


def _archivals(
    request: Request, school: SchoolRow, plan: plans.PlanRow, manager: bool, parts: list[approvals.Part] | None
) -> int:
    """How many people the approval would archive."""
    holds = database(request).call(approvals.held, school_id=school.id, plan_id=plan.id)
    return hold_explanation_of((vars(hold) for hold in holds), manager=manager).archivals(parts)


def _message_of(decision: str, plan: plans.PlanRow, result: SyncResult) -> str:
    if decision == "relink":
        linked = linked_words(result.total("link")).capitalize()
        return f"{linked} and nothing else was changed. Sync again to see the rest."
    rest = f" {counted(result.waiting, 'row stays', 'rows stay')} held." if result.waiting else ""
    return f"Plan {plan.id} was approved and applied.{rest}"


def _not_decided(
    request: Request, db: Database, school: SchoolRow, plan: plans.PlanRow, decision: str, problem: Exception
) -> Response:
    """The plan is no longer open: a second click leads where the first did, all else is refused."""
    home = f"/schools/{school.key}"
    with db.begin() as conn:
        now, done = plans.get(conn, plan.id), held_plans.sync_after(conn, plan.id)
    if decision == "discard" and now.state == "discarded":
        return redirect(request, f"{home}/plans/{plan.id}", message=f"Plan {plan.id} was discarded already.")
    same = str(form(request).get("hash", "")) == now.hash
    if done is not None and same and (decision == "relink" or (decision == "approve" and now.state == "planned")):
        message = f"This was decided already: sync {done} did it."
        return redirect(request, f"{home}/syncs/{done}", message=message)
    if isinstance(problem, approvals.NotOverridable):
        why = (
            "Nobody can approve or discard these changes: what the SIS sent does not prove that these people have left."
        )
        return refused(request, school, plan, why)
    return refused(request, school, plan, "It was replaced by a newer one, decided by somebody else, or changed.")


@route("/schools/{key}/holds", "GET", "POST")
def of_school(
    request: Request, *, status: int = 200, errors: Mapping[str, str] = NOTHING, decision: str = ""
) -> Response:
    """The held changes with the rows; a POST searches them. errors, decision: of a form, which is shown again."""
    with database(request).begin() as conn:
        school = school_of(request, conn)
        holds = approvals.held(conn, school_id=school.id)
        plan = plans.get(conn, holds[0].plan_id) if holds else None
        newest = plans.latest(conn, school.id)
        manager = plan is None or decides_as_manager(viewer(request), conn, school, plan.id)
        explanation = hold_explanation_of((vars(hold) for hold in holds), manager=manager)
        rows = events = None
        links = 0
        if plan is not None:
            address = f"/schools/{school.key}/holds"
            kinds = [(kind.role, kind.action) for kind in explanation.kinds]
            rows = rows_of(request, conn, school, plan, address=address, kinds=kinds)
            events = held_plans.timeline(conn, plan)
            links = plan_rows.new_links(conn, plan.id) if explanation.rekeyed else 0
        exempted = lasting_decisions.exemptions_of_school(conn, school.id)
    return page(
        request, "school_holds.html", status=status, school=school, tab="holds", plan=plan, newest=newest,
        explanation=explanation, decisions=_offered(explanation, links), typed=explanation.archivals() > MOST_UNTYPED,
        exempted=exempted, limits=_limits(school), raised=_raised(school), links=links, rows=rows, events=events,
        errors=errors, decision=decision, typed_in={decision: texts(request)} if decision else {},
    )  # fmt: skip


def _offered(explanation: HoldExplanation, links: int) -> list[str]:
    """The decisions that are possible, the most likely first; none if only the next sync can clear the hold."""
    offered = ["relink"] if links else []
    offered += ["approve"] if explanation.approvable else []
    return [*offered, "discard"] if explanation.approvable or explanation.managers else offered


for decision in ("approve", "discard", "relink"):
    route(f"/schools/{{key}}/plans/{{plan_id}}/{decision}", "POST")(partial(decide, decision=decision))
