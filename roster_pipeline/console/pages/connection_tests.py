"""Test Your Information, with the values of the form or for several schools of a connection as they are stored. Also
the supported SISs: what each can do, where to find the values to enter, what to grant there."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from roster_pipeline.console.forms import worded, wrong
from roster_pipeline.console.launchers import BY_ONE_PERSON, WINDOW, launch_test
from roster_pipeline.console.page import LOAD_AGAIN, database, page, piece, plain_number, redirect, route
from roster_pipeline.console.pages.settings import filled
from roster_pipeline.console.session import HTMX, TooMany, connection_of, limit, nothing_here, school_of, viewer
from roster_pipeline.console.settings_form import CONNECTION_SECTION, Form, context, sent_form, stored_form
from roster_pipeline.directory import connection_tests, tenants
from roster_pipeline.oneroster.presets import SIGN_IN, SUBJECTS, UNKNOWN, offered, preset, presets
from roster_pipeline.services.connection_test import MOST_TOGETHER, TestGoesOn, begin, begin_together
from roster_pipeline.services.school_status import tested_school
from roster_pipeline.services.settings_changes import FieldError, LastTest, last_test

OF_ONE_SCHOOL = 30
PIECES = "live_pieces.html"


@route("/sis", "GET")
def list_supported_sis(request: Request) -> Response:
    """All of them, and CSV bundles for a SIS without an API."""
    viewer(request)
    return page(request, "supported_sis.html", presets=presets(), sign_in=SIGN_IN, unknown=UNKNOWN)


@route("/sis/{sis}", "GET")
def show_supported_sis(request: Request) -> Response:
    viewer(request)
    sis = preset(request.path_params["sis"])
    delivers = [(name, offered(sis, subject)) for subject, name in SUBJECTS.items()]
    return page(request, "one_sis.html", preset=sis, delivers=delivers, sign_in=SIGN_IN, unknown=UNKNOWN)


@route("/schools/{key}/test", "POST")
def start(request: Request) -> Response:
    """Test the values of the form. Only the result is saved."""
    with database(request).begin() as conn:
        school = school_of(request, conn)
        came, wanted = sent_form(request, stored_form(conn, school, CONNECTION_SECTION))
    if wanted is None:
        came.test_errors = worded(came.errors)
        return _answer(request, came, 400)
    who = viewer(request)
    try:
        limit(request, "tests by", who.email, BY_ONE_PERSON, WINDOW)
        limit(request, "tests of", school.key, OF_ONE_SCHOOL, WINDOW)
        with database(request).begin() as conn:
            typed = {"values": came.values, "seen": came.seen}
            rights = {"operator": who.operator, "manager": who.may_manage(school.district_id)}
            test_id = begin(conn, school, wanted, form=typed, who=who.email, **rights)
            came.test = connection_tests.get(conn, school.id, test_id)
    except FieldError as problem:
        refused = wrong({problem.field: problem.message})
        came.errors |= refused
        came.test_errors = worded(refused)
        return _answer(request, came, 400)
    except TooMany as problem:
        came.test_errors = {"": problem.detail}
        return _answer(request, came, 429)
    except TestGoesOn as problem:
        came.test_errors = {"": f"{problem.message} {problem.remedy}"}
        if request.headers.get(HTMX) and problem.here and problem.here.who == who.email:
            came.test = problem.here  # a second click shows the test that the first one started
        return _answer(request, came, 409)
    launch_test(database(request), "test", school.key, test_id)
    if request.headers.get(HTMX):
        return _answer(request, came, 200)
    return RedirectResponse(f"/schools/{school.key}/settings/connection?test={test_id}#test", 303)


@route("/schools/{key}/test/{test}/progress", "GET")
def progress(request: Request) -> Response:
    """The items after the first ones that the page has `seen`, and the result of a test that ended; 204 for no news."""
    with database(request).begin() as conn:
        school = school_of(request, conn)
        test = connection_tests.get(conn, school.id, request.path_params["test"])
    if test is None:
        raise nothing_here()
    seen = request.query_params.get("seen", "")
    if test.ended_at is None and seen == str(len(test.items)):
        return Response(status_code=204)
    return HTMLResponse(piece(PIECES, "more_items", test, plain_number(seen), f"/schools/{school.key}"))


@route("/connections/{connection}/test", "POST")
def start_together(request: Request) -> Response:
    """Test all of them. Their SIS is read once."""
    who = viewer(request)
    try:
        with database(request).begin() as conn:
            connection = connection_of(request, conn)
        limit(request, "tests by", who.email, BY_ONE_PERSON, WINDOW)
        with database(request).begin() as conn:
            schools = [row for row in tenants.schools_of(conn, connection.id) if last_test(row) is not LastTest.GREEN]
            number = begin_together(conn, schools[:MOST_TOGETHER], who=who.email) if schools else None
    except TestGoesOn as problem:
        return together(request, f"{problem.message} {problem.remedy}")
    if number is not None:
        launch_test(database(request), "together", number)
    return redirect(request, f"/connections/{connection.key}/test")


@route("/connections/{connection}/test/progress", "GET")
def progress_together(request: Request) -> Response:
    """Lets the browser load the page again once no test is under way; 204 before that."""
    with database(request).begin() as conn:
        newest = connection_tests.newest(conn, connection_of(request, conn).id)
    going = any(test.ended_at is None for test in newest.values())
    return Response(status_code=204) if going else Response(headers=LOAD_AGAIN)


@route("/connections/{connection}/test", "GET")
def together(request: Request, error: str = "") -> Response:
    """The schools of a connection that have no green test, and the results of a test of all of them."""
    with database(request).begin() as conn:
        connection = connection_of(request, conn)
        newest = connection_tests.newest(conn, connection.id)
        schools = tenants.schools_of(conn, connection.id)
    lines = [
        (school, last_test(school), newest.get(school.id), tested_school(school.test["items"]) if school.test else "")
        for school in schools
    ]
    waiting = sum(state is not LastTest.GREEN for _, state, _, _ in lines)
    return page(
        request,
        "test_together.html",
        status=409 if error else 200,
        connection=connection,
        base=f"/connections/{connection.key}",
        lines=[line for line in lines if line[1] is not LastTest.GREEN or line[2] is not None],
        going=any(test.ended_at is None for test in newest.values()),
        waiting=min(waiting, MOST_TOGETHER),
        more=max(waiting - MOST_TOGETHER, 0),
        error=error,
    )


def _answer(request: Request, came: Form, status: int) -> Response:
    """Only the part with the test if a script asked, and then always 200: it shows nothing else."""
    if request.headers.get(HTMX):
        return page(request, "settings_test.html", **context(request, came))
    return filled(request, came, status)
