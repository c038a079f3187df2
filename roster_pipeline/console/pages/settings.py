"""Automatic Rostering: the settings of one school. A wrong field is marked, and nothing is saved."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import school_of, viewer
from roster_pipeline.console.page import database, page, redirect
from roster_pipeline.console.settings_form import (
    Form,
    chosen_preset,
    context,
    seen_of,
    sent_form,
    stored_form,
    with_connection_test,
    wrong,
)
from roster_pipeline.directory import connection_tests
from roster_pipeline.services.connection_test_state import LastTest
from roster_pipeline.services.save_settings import SaveResult, save_settings

AUTOMATIC = "school-automatic"


def show(request: Request) -> Response:
    """GET: what is stored; with `trial` the form as it was tested, for browsers without scripts and for reloading."""
    with database(request).begin() as opened:
        school = school_of(request, opened)
        opened_form = stored_form(opened, school)
        trial = connection_tests.get(opened, school.id, request.query_params.get("trial", ""))
    if trial is not None and trial.who == viewer(request).who:
        opened_form.trial = trial
        opened_form.values = trial.form["values"]
        opened_form.seen = trial.form["seen"]
    return filled(request, opened_form)


def save(request: Request) -> Response:
    """POST: save, all of it or nothing."""
    with database(request).begin() as opened:
        school = school_of(request, opened)
        came, wanted = sent_form(request, stored_form(opened, school))
        came = with_connection_test(opened, came, viewer(request).who)
    if wanted is None:
        return filled(request, came, 400)
    who = viewer(request)
    rights = {"operator": who.operator, "manager": who.may_manage(school.district_id)}
    result = save_settings(database(request), school.key, wanted, who=who.who, seen=seen_of(came), **rights)
    if result.saved:
        message = _saved_message(result, wanted.settings.automatic)
        return redirect(request, f"/schools/{school.key}/settings", told=message)
    came.errors |= wrong(result.errors)
    if result.needs_test:
        came.errors[AUTOMATIC] = f"{result.needs_test.message} {result.needs_test.remedy}"
    came.conflict = result.conflict
    return filled(request, came, 409 if result.conflict else 400)


def hints(request: Request) -> Response:
    """GET: what is known of the chosen SIS, as a piece of the page."""
    return page(request, "settings_hints.html", preset=chosen_preset(request.query_params))


def page_with_hints(request: Request) -> Response:
    """POST: the whole page with the hints of the chosen SIS, for browsers without scripts."""
    with database(request).begin() as opened:
        came, _ = sent_form(request, stored_form(opened, school_of(request, opened)))
    came.errors.clear()
    return filled(request, came)


def filled(request: Request, shown_form: Form, status: int = 200) -> Response:
    """The page with a form."""
    return page(request, "settings.html", status=status, **context(request, shown_form))


def _saved_message(result: SaveResult, automatic: bool) -> str:
    if not result.changed:
        return "Nothing was changed."
    if automatic:
        return "Saved. The school is synced every night."
    if result.test is LastTest.GREEN:
        return "Saved."
    return "Saved. Test Your Information before you enable Automatic Rostering."


routes = [
    Route("/sis-hints", hints, methods=["GET"]),
    Route("/schools/{key}/settings", show, methods=["GET"]),
    Route("/schools/{key}/settings", save, methods=["POST"]),
    Route("/schools/{key}/hints", page_with_hints, methods=["POST"]),
]
