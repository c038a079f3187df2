"""Holds: what a guard stopped, over all schools and in one; and a person's decision on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import school_of, viewer
from roster_pipeline.console.list_filters import ROWS, Listed, list_filter
from roster_pipeline.console.page import database, form, page, redirect
from roster_pipeline.console.plan_view import decides_as_manager, plan_of, rows_of
from roster_pipeline.directory import approvals, held_plans, plan_rows, plans
from roster_pipeline.directory.apply import SyncResult
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.plans import PlanRow
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services import decisions
from roster_pipeline.services.decisions import LONGEST_REASON
from roster_pipeline.services.hold_explanations import ADVICE, HoldExplanation, hold_explanation_of
from roster_pipeline.sync.error_messages import SyncError
from roster_pipeline.vocabulary import counted

MOST_UNTYPED = 50
"""Archivals that are approved by a button alone; above that their number is typed as well."""


def every_hold(request: Request) -> Response:
    """What waits in all schools that the viewer may see, the newest first."""
    who = viewer(request)
    asked = list_filter(request, "guard")
    with database(request).begin() as opened:
        found = held_plans.waiting(
            opened,
            districts=None if who.operator else who.districts,
            schools=None if who.operator else who.schools,
            words=asked.words,
            guard=asked["guard"],
            limit=ROWS,
            offset=asked.offset,
        )
    return page(
        request,
        "holds.html",
        held=[(one, hold_explanation_of(one.kinds, manager=who.may_manage(one.district_id))) for one in found],
        listed=Listed(asked, list(found), found[0].plans if found else 0),
        guards=list(ADVICE),
        now=datetime.now(UTC),
    )


def of_school(request: Request) -> Response:
    """What waits in one school, with the rows; posted, the rows are searched."""
    return _page_of(request)


def approve(request: Request) -> Response:
    """Let through what is held of the plan that was looked at, and apply it now."""
    return _decide(request, "approve")


def discard(request: Request) -> Response:
    """Drop the plan that was looked at."""
    return _decide(request, "discard")


def relink(request: Request) -> Response:
    """Give the people of the plan that was looked at their new ids."""
    return _decide(request, "relink")


def _decide(request: Request, decision: str) -> Response:
    with database(request).begin() as opened:
        school, plan = plan_of(request, opened)
        manager = decides_as_manager(viewer(request), opened, school, plan.id)
    reason, hash_ = str(form(request).get("reason", "")).strip(), str(form(request).get("hash", ""))
    if not reason or len(reason) > LONGEST_REASON:
        error = "Say why; it is kept in the audit." if not reason else f"At most {LONGEST_REASON} characters."
        return _page_of(request, status=400, error=error, decision=decision)
    if decision == "approve" and (typing := _to_type(request, school, plan, manager)):
        return _page_of(
            request, status=400, error=f"Type {typing}, the number of people to archive.", decision=decision
        )
    given: dict[str, Any] = {"who": viewer(request).who, "reason": reason, "plan_hash": hash_}
    home, opened_again = f"/schools/{school.key}", database(request)
    try:
        if decision == "discard":
            decisions.discard(opened_again, school.key, plan.id, **given)
            told = f"Plan {plan.id} was discarded: nothing of what was held is applied. The next sync makes a new plan."
            return redirect(request, f"{home}/plans/{plan.id}", told=told)
        if decision == "approve":
            result = decisions.approve(opened_again, school.key, plan.id, manager=manager, **given)
        else:
            result = decisions.relink(opened_again, school.key, plan.id, **given)
    except approvals.ManagerDecides as problem:
        return _refused(request, school, plan, str(problem))
    except (approvals.PlanChanged, approvals.NothingHeld, approvals.NotOverridable) as problem:
        return _not_decided(request, opened_again, school, plan, decision, problem)
    except SyncError as problem:
        return _refused(request, school, plan, problem.message)
    return redirect(request, f"{home}/syncs/{result.sync_id}", told=_told(decision, plan, result))


def _to_type(request: Request, school: SchoolRow, plan: PlanRow, manager: bool) -> int | None:
    """How many people would be archived, where that many are to be typed and something else was."""
    with database(request).begin() as opened:
        found = approvals.held(opened, school_id=school.id, plan_id=plan.id)
    archivals = hold_explanation_of((vars(one) for one in found), manager=manager).archivals
    typed = str(form(request).get("archivals", "")).replace(",", "").strip()
    return archivals if archivals > MOST_UNTYPED and typed != str(archivals) else None


def _told(decision: str, plan: PlanRow, result: SyncResult) -> str:
    if decision == "relink":
        people = sum(of.get("link", 0) for of in result.counts.values())
        return f"The ids of {people:,} people were linked and nothing else was changed. Sync again to see the rest."
    left = sum(rows for of in result.held.values() for rows in of.values())
    rest = f" {counted(left, 'row stays', 'rows stay')} held." if left else ""
    return f"Plan {plan.id} was approved and applied.{rest}"


def _not_decided(
    request: Request, opened_again: Database, school: SchoolRow, plan: PlanRow, decision: str, problem: Exception
) -> Response:
    """A second click leads where the first one did; everything else changed meanwhile and is refused."""
    home = f"/schools/{school.key}"
    with opened_again.begin() as opened:
        now, done = plans.get(opened, plan.id), held_plans.sync_after(opened, plan.id)
    if decision == "discard" and now.state == "discarded":
        return redirect(request, f"{home}/plans/{plan.id}", told=f"Plan {plan.id} was discarded already.")
    same = str(form(request).get("hash", "")) == now.hash
    if done is not None and same and (decision == "relink" or (decision == "approve" and now.state == "planned")):
        told = f"This was decided already: sync {done} did it."
        return redirect(request, f"{home}/syncs/{done}", told=told)
    if isinstance(problem, approvals.NotOverridable):
        return _refused(request, school, plan, "What is held cannot be approved: the snapshot does not prove it.")
    return _refused(request, school, plan, "It was replaced by a newer one, decided by somebody else, or changed.")


def _refused(request: Request, school: SchoolRow, plan: PlanRow, message: str) -> Response:
    with database(request).begin() as opened:
        newest = plans.latest(opened, school.id)
        waiting = approvals.held(opened, school_id=school.id)
    return page(
        request,
        "plan_changed.html",
        status=409,
        school=school,
        tab="holds",
        plan=plan,
        message=message,
        newest=newest,
        waiting=waiting[0].plan_id if waiting else None,
    )


def _page_of(request: Request, *, status: int = 200, error: str = "", decision: str = "") -> Response:
    with database(request).begin() as opened:
        school = school_of(request, opened)
        found = approvals.held(opened, school_id=school.id)
        plan = plans.get(opened, found[0].plan_id) if found else None
        newest = plans.latest(opened, school.id)
        manager = plan is None or decides_as_manager(viewer(request), opened, school, plan.id)
        holding = hold_explanation_of((vars(one) for one in found), manager=manager)
        rows = events = None
        links = 0
        if plan is not None:
            address = f"/schools/{school.key}/holds"
            kinds = [(kind.role, kind.action) for kind in holding.kinds]
            rows = rows_of(request, opened, school, plan, address=address, kinds=kinds)
            events = held_plans.timeline(opened, plan)
            links = plan_rows.new_links(opened, plan.id) if holding.rekeyed else 0
    return page(
        request,
        "school_holds.html",
        status=status,
        school=school,
        tab="holds",
        plan=plan,
        newest=newest,
        holding=holding,
        decisions=_offered(holding, links),
        typed=holding.archivals > MOST_UNTYPED,
        links=links,
        rows=rows,
        events=events,
        error=error,
        decision=decision,
        now=datetime.now(UTC),
        zone=school.settings.time_zone,
    )


def _offered(holding: HoldExplanation, links: int) -> list[str]:
    """Which decisions there are on what is held, the likeliest first; none where the next sync alone can clear it."""
    offered = ["relink"] if links else []
    offered += ["approve"] if holding.approvable else []
    return [*offered, "discard"] if offered or holding.managers else []


routes = [
    Route("/holds", every_hold, methods=["GET", "POST"]),
    Route("/schools/{key}/holds", of_school, methods=["GET", "POST"]),
    Route("/schools/{key}/plans/{plan_id}/approve", approve, methods=["POST"]),
    Route("/schools/{key}/plans/{plan_id}/discard", discard, methods=["POST"]),
    Route("/schools/{key}/plans/{plan_id}/relink", relink, methods=["POST"]),
]
