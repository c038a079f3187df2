"""Preview & run: Sync now and Dry run, and the live progress of each run. Also the sync of one person."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from roster_pipeline.console.config import Config
from roster_pipeline.console.launchers import launch
from roster_pipeline.console.page import database, form, page, piece, plain_number, reason_of, redirect, route, texts
from roster_pipeline.console.pages.person_page import page_of_person, school_of_form, view_of
from roster_pipeline.console.session import limit, nothing_here, school_of, the_school, viewer
from roster_pipeline.directory import approvals, audit, manual_runs, plans
from roster_pipeline.directory.sync_summary import sync_summary
from roster_pipeline.notifications.blocks import in_console
from roster_pipeline.runtime.run_school import LAST_STEP, STEPS
from roster_pipeline.services import person_view
from roster_pipeline.services.plan_rows import summary_of, would_do
from roster_pipeline.services.school_status import first_steps, status_of_sync
from roster_pipeline.sync import SyncError, one_person
from roster_pipeline.sync.build_report import report_of, run_url
from roster_pipeline.vocabulary import reason_problem

WINDOW = timedelta(hours=1)
BY_ONE_PERSON = 60
KINDS: dict[str, manual_runs.Kind] = {"sync": "sync", "dry_run": "dry_run"}
PIECES = "live_pieces.html"


@route("/schools/{key}/runs", "GET")
def list_(request: Request, refused: manual_runs.AlreadyGoing | None = None) -> Response:
    """The two buttons, and the latest runs."""
    with database(request).begin() as conn:
        school = school_of(request, conn)
        runs, steps = manual_runs.of_school(conn, school.id), first_steps(conn, school)
    given = {"school": school, "tab": "runs", "base": f"/schools/{school.key}", "runs": runs, "steps": steps}
    return page(request, "runs.html", status=409 if refused else 200, **given, refused=refused)


@route("/schools/{key}/runs", "POST")
def start(request: Request) -> Response:
    """Begin a run, or say which one is going on."""
    kind = KINDS.get(str(form(request).get("kind", "")))
    school = the_school(request)
    if kind is None:
        raise nothing_here()
    who = viewer(request)
    config: Config = request.app.state.config
    limit(request, "runs by", who.email, BY_ONE_PERSON, WINDOW)
    try:
        run_id = launch(database(request), school, kind, who=who.email, slots=config.runs, minutes=config.run_minutes)
    except manual_runs.AlreadyGoing as problem:
        return list_(request, problem)
    return RedirectResponse(f"/schools/{school.key}/runs/{run_id}", 303)


@route("/schools/{key}/runs/{run}/cancel", "POST")
def cancel(request: Request) -> Response:
    """End a run. One that is over stays as it is."""
    run_id = request.path_params["run"]
    with database(request).begin() as conn:
        school = school_of(request, conn)
        if manual_runs.get(conn, school.id, run_id) is None:
            raise nothing_here()
        who = viewer(request).email
        if manual_runs.cancel(conn, school.id, run_id, who):
            audit.record_cancel(conn, run_id, school, who=who)
    return RedirectResponse(f"/schools/{school.key}/runs/{run_id}", 303)


@route("/schools/{key}/runs/{run}", "GET")
def show(request: Request) -> Response:
    """How far one run is."""
    state = _state(request)
    return page(request, "run.html", tab="runs", url=run_url(state["run"].id), **state)


@route("/schools/{key}/runs/{run}/progress", "GET")
def progress(request: Request) -> Response:
    """The part of the page that shows how far the run is; 204 while it is as the page has `seen` it."""
    state = _state(request)
    if state["seen"] == request.query_params.get("seen"):
        return Response(status_code=204)
    del state["school"]
    return HTMLResponse(piece(PIECES, "progress", **state))


def _state(request: Request) -> dict[str, Any]:
    """The school, and what the macro `progress` shows of the run in the path. Raises HTTPException 404."""
    with database(request).begin() as conn:
        school = school_of(request, conn)
        run = manual_runs.get(conn, school.id, request.path_params["run"])
        if run is None:
            raise nothing_here()
        outcome, place = manual_runs.outcome(conn, school.id, run.id), manual_runs.place(conn, run)
        here = f"at {run.step or 'the start'}, place {place}{', canceled' if run.canceled_by else ''}"
        return {
            "school": school,
            "base": f"/schools/{school.key}",
            "run": run,
            "steps": steps_of(run),
            "outcome": outcome,
            "result": _result(conn, run, outcome),
            "place": place,
            "seen": "end" if run.ended_at else here,
            "decidable": outcome.sync_outcome == "held"
            and outcome.plan_id is not None
            and any(hold.overridable for hold in approvals.held(conn, school_id=school.id, plan_id=outcome.plan_id)),
        }


@route("/people/{person_id}/ask", "POST")
def ask(request: Request) -> Response:
    """Ask the SIS of one school for a person, and show its answer and what would change."""
    with database(request).begin() as conn:
        view = view_of(request, conn)
    school = school_of_form(view, texts(request))
    limit(request, "asks by", viewer(request).email, BY_ONE_PERSON, WINDOW)
    try:
        asked = one_person.make_plan(database(request), school, view.person.id)
    except SyncError as problem:
        return page_of_person(request, status=400, error=_words(problem))
    return redirect(request, f"/people/{view.person.id}?asked={asked.plan_id}#asked")


@route("/people/{person_id}/sync", "POST")
def sync_person(request: Request) -> Response:
    """Apply what the page of a person showed after the SIS was asked."""
    reason, plan_id = reason_of(request), plain_number(texts(request).get("plan", ""))
    with database(request).begin() as conn:
        view = view_of(request, conn)
        shown = person_view.person_plan(conn, view, plan_id)
    if shown is None:
        raise nothing_here()
    if error := reason_problem(reason):
        return page_of_person(request, status=400, error=error, asked=plan_id)
    who = viewer(request).email
    try:
        result = one_person.apply_plan(database(request), shown.school.key, plan_id, who=who, reason=reason)
    except SyncError as problem:
        return page_of_person(request, status=409, error=_words(problem))
    message = {
        "applied": f"Synced: sync {result.sync_id}.",
        "held": "A guard held the change, so nothing was done. The next sync of the school shows it among the holds.",
        "unchanged": "The SIS was asked, and nothing had to change.",
    }
    return redirect(request, f"/people/{view.person.id}", message=message[result.outcome])


def _words(problem: SyncError) -> str:
    message = problem.message[:1].upper() + problem.message[1:].removesuffix(".")
    return f"{message}. {in_console(problem.remedy)}".strip()


def steps_of(run: Row[Any]) -> list[str]:
    """The steps of a run, in words and in order; a dry run applies nothing."""
    return [words for step, words in STEPS.items() if step != LAST_STEP or run.kind == "sync"]


def _result(conn: Connection, run: Row[Any], outcome: Row[Any]) -> str:
    """The result of an ended run, or of a dry run, as a sentence. Empty if the run did not get so far."""
    if not run.ended_at:
        return ""
    if run.kind == "dry_run" and outcome.plan_id is not None and not run.problem:
        return would_do(summary_of(conn, plans.get(conn, outcome.plan_id)))
    if outcome.sync_id is None:
        return ""
    report = report_of(sync_summary(conn, outcome.sync_id))
    return status_of_sync("sync", outcome.sync_outcome, report.as_dict() if report else {}).sentence
