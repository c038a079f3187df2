"""Automatic Rostering: the settings of one school in sections. If a field is wrong, nothing is saved. Also adds schools
of a SIS that is connected, or of a SIS that somebody connects here first."""

import re
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from roster_pipeline.console import settings_form
from roster_pipeline.console.forms import KEY_WORDS, TAKEN, Values, wrong
from roster_pipeline.console.page import database, form, page, redirect, route
from roster_pipeline.console.pages.sis_school_pages import connection_form, listed, place_of, settings_of
from roster_pipeline.console.session import district_of, limit, nothing_here, school_of, the_school, viewer
from roster_pipeline.directory import connection_tests, tenants
from roster_pipeline.directory.accounts import Account
from roster_pipeline.directory.tenant_changes import KeyTaken
from roster_pipeline.notifications.blocks import in_console
from roster_pipeline.notifications.mail import MailError
from roster_pipeline.services.save_settings import SaveResult, preview_mail, save_settings, send_test_mail
from roster_pipeline.services.school_changes import connect_sis
from roster_pipeline.services.school_status import first_steps
from roster_pipeline.services.settings_changes import FieldError, LastTest
from roster_pipeline.settings.fields import SECTIONS, Section
from roster_pipeline.settings.school import KEY_PATTERN

WINDOW = timedelta(minutes=15)
TEST_MAILS = 10
MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
AUTOMATIC = "school-automatic"
TEST = "test"
"""The place of the test on the page of the connection."""


@route("/schools/{key}/settings", "GET")
def first(request: Request) -> Response:
    """Go to the first section."""
    school = the_school(request)
    return RedirectResponse(f"/schools/{school.key}/settings/{SECTIONS[0].key}", 303)


def show(request: Request, section: Section) -> Response:
    """The stored settings; with `test`, the form as it was tested, for reloading and without scripts."""
    with database(request).begin() as conn:
        school = school_of(request, conn)
        stored = settings_form.stored_form(conn, school, section)
        test = connection_tests.get(conn, school.id, request.query_params.get("test", ""))
    typed = test is not None and test.who == viewer(request).email and "values" in test.form
    if test is not None and typed and section is settings_form.CONNECTION_SECTION:
        stored.test = test
        stored.values = test.form["values"]
        stored.seen = test.form["seen"]
    return filled(request, stored)


def save(request: Request, section: Section) -> Response:
    """Save the whole section, or nothing."""
    with database(request).begin() as conn:
        school = school_of(request, conn)
        came, wanted = settings_form.sent_form(request, settings_form.stored_form(conn, school, section))
        if section is settings_form.CONNECTION_SECTION:
            came = settings_form.with_connection_test(conn, came, viewer(request).email)
    if wanted is None:
        return filled(request, came, 400)
    who = viewer(request)
    rights = {"operator": who.operator, "manager": who.may_manage(school.district_id)}
    result = save_settings(
        database(request), school.key, wanted, who=who.email, seen=settings_form.seen_of(came), **rights
    )
    if result.saved:
        message = _saved_message(result, section, rostered=bool(school.settings.rostered))
        return redirect(request, f"/schools/{school.key}/settings/{section.key}", message=message)
    came.errors |= wrong(result.errors)
    if result.needs_test:
        place = TEST if section is settings_form.CONNECTION_SECTION else AUTOMATIC
        came.errors[place] = f"{result.needs_test.message} {result.needs_test.remedy}"
    came.conflict = result.conflict
    return filled(request, came, 409 if result.conflict else 400)


@route("/sis-hints", "GET")
def hints(request: Request) -> Response:
    """The facts about the chosen SIS, as a piece of the page."""
    return page(request, "settings_hints.html", preset=settings_form.chosen_preset(request.query_params))


@route("/schools/{key}/hints", "POST")
def page_with_hints(request: Request) -> Response:
    """The whole page with the hints of the chosen SIS, for browsers without scripts."""
    with database(request).begin() as conn:
        came, _ = settings_form.sent_form(
            request, settings_form.stored_form(conn, school_of(request, conn), settings_form.CONNECTION_SECTION)
        )
    came.errors.clear()
    return filled(request, came)


@route("/schools/{key}/settings/report/preview", "GET")
def preview(request: Request) -> Response:
    """The Roster Email as a page of its own, the only one with inline styles."""
    with database(request).begin() as conn:
        mail = preview_mail(conn, school_of(request, conn))
    return HTMLResponse(mail.html, headers={"content-security-policy": MAIL_POLICY})


@route("/schools/{key}/settings/report/test-mail", "POST")
def send_test(request: Request) -> Response:
    """Send the same mail to the person who asks, and to nobody else."""
    who = viewer(request)
    school = the_school(request)
    limit(request, "test mails to", who.email, TEST_MAILS, WINDOW)
    try:
        database(request).call(send_test_mail, school, who.email, who=who.email)
        message = f"A test mail was sent to {who.email}."
    except MailError as problem:
        message = f"The test mail could not be sent: {in_console(problem.message)} {in_console(problem.remedy)}"
    return redirect(request, f"/schools/{school.key}/settings/report", message=message)


def filled(request: Request, shown_form: settings_form.Form, status: int = 200) -> Response:
    """The page with the values of a form."""
    with database(request).begin() as conn:
        steps = first_steps(conn, shown_form.school)
        past = settings_form.past_guards(conn, shown_form.school) if shown_form.section.key == "guards" else {}
    values = {"steps": steps, "past": past} | settings_form.context(request, shown_form)
    return page(request, "settings.html", status=status, **values)


NOBODY_ROSTERED = " But no role is rostered, so nobody is looked for: choose the roles under What is synced."


def _saved_message(result: SaveResult, section: Section, *, rostered: bool) -> str:
    if not result.changed:
        tested = section is settings_form.CONNECTION_SECTION and result.test is LastTest.GREEN
        return "Nothing was changed. The connection is tested." if tested else "Nothing was changed."
    if "automatic" in result.changed and result.automatic:
        return "Saved. The school is synced every night." + ("" if rostered else NOBODY_ROSTERED)
    if section is settings_form.CONNECTION_SECTION and result.test is not LastTest.GREEN:
        return "Saved. Test Your Information before you enable Automatic Rostering."
    return "Saved."


@route("/schools/new", "GET")
def choose_connection(request: Request) -> Response:
    """The existing connections, and the form of a new one."""
    chosen = {"district": request.query_params.get("district", "")}
    return page(request, "new_school.html", **database(request).call(_choice, viewer(request), chosen, {}))


@route("/schools/new", "POST")
def connect(request: Request) -> Response:
    """A new connection; then the schools of its SIS are listed."""
    given, who, errors = form(request), viewer(request), dict[str, str]()
    values = {name: str(value).strip() for name, value in given.items() if name != "secret"}
    settings = settings_of(values, None, errors)
    key = values.get("connection_key", "")
    if key and not re.fullmatch(KEY_PATTERN, key):
        errors["connection_key"] = KEY_WORDS
    if not errors and settings is not None:
        try:
            with database(request).begin() as conn:
                district = district_of(request, conn, values.get("district", ""))
                secret = str(given.get("secret", ""))
                connection = connect_sis(
                    conn, district.key, key or None, settings, secret, who=who.email, operator=who.operator
                )
        except KeyTaken:
            errors["connection_key"] = TAKEN
        except FieldError as problem:
            errors[place_of(problem.field)] = problem.message
        else:
            return listed(request, connection)
    if settings_form.typed_secret(request):
        errors.setdefault("secret", settings_form.SECRET_IS_LOST)
    return page(request, "new_school.html", status=400, **database(request).call(_choice, who, values, errors))


def _choice(conn: Connection, who: Account, values: Values, errors: dict[str, str]) -> dict[str, Any]:
    districts = [one for one in tenants.list_districts(conn) if who.may_manage(one.id)]
    if not districts and not who.operator:
        raise nothing_here()
    mine = {one.id for one in districts}
    return {
        "districts": districts,
        "connections": [one for one in tenants.list_connections(conn) if one.district_id in mine],
    } | connection_form(values, errors, "It is stored encrypted, and never shown again.")


for section in SECTIONS:
    route(f"/schools/{{key}}/settings/{section.key}", "GET")(partial(show, section=section))
    route(f"/schools/{{key}}/settings/{section.key}", "POST")(partial(save, section=section))
