"""Lists the schools of a SIS, so that a person can tick and add them without knowing a School ID."""

from threading import Thread
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Row
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from roster_pipeline.console.forms import CONNECTION, SETTINGS, Values, addresses, errors_of, name_of, shown
from roster_pipeline.console.launchers import BY_ONE_PERSON, WINDOW, launch_test
from roster_pipeline.console.page import LOAD_AGAIN, STOP_POLLING, database, form, page, piece, redirect, route
from roster_pipeline.console.session import connection_of, limit, viewer
from roster_pipeline.console.settings_form import SECRET_IS_LOST, chosen_preset, typed_secret
from roster_pipeline.defs.asset_helpers import add_partitions
from roster_pipeline.directory import connection_tests, tenants
from roster_pipeline.directory.tenant_changes import RefusedSetting
from roster_pipeline.directory.tenants import ConnectionRow, SchoolRow, UnknownKey
from roster_pipeline.oneroster.presets import presets
from roster_pipeline.services.access_changes import NoAddress
from roster_pipeline.services.connection_test import TestGoesOn, begin_list
from roster_pipeline.services.school_changes import PickedSchool, add_picked
from roster_pipeline.services.settings_changes import SECRET, FieldError, allowed, change_connection, usable_secret
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings, display_name
from roster_pipeline.vocabulary import LONGEST_ID, ROLE_ORDER, people_of

TYPED = ("sis", "url", "client_id", "token_url")
"""The settings of a connection that a person enters here. The others keep the values that are known for the SIS."""
PRIVATE = name_of(CONNECTION, "allow_private_addresses")
"""Only operators can tick it."""
MOST_SHOWN = 400
"""How many schools are on one page. A form may have 1,000 fields."""
LONGEST_SEARCH = 100
TESTED_NEXT = "Test Your Information is next."
LABELS = {name: setting.title for name, setting in SETTINGS.items()} | {
    "connection_key": "Key of the connection",
    "name": "Name",
    "school_id": "School ID",
    "owners": "Owners",
    "pattern": "Settings",
}
"""The labels of the fields of the forms. The list of errors above a form uses them."""


@route("/connections/{connection}/list", "POST")
def list_(request: Request) -> Response:
    """Read the schools of a connection's SIS, after a correction of its settings if they were sent."""
    given, who, errors = form(request), viewer(request), dict[str, str]()
    values = {name: str(value).strip() for name, value in given.items() if name != "secret"}
    with database(request).begin() as conn:
        connection = connection_of(request, conn)
    if name_of(CONNECTION, "url") in values:
        values.setdefault(PRIVATE, "")
        settings = settings_of(values, connection.settings, errors)
        if settings is not None:
            try:
                with database(request).begin() as conn:
                    wanted = allowed(connection.settings, settings, operator=who.operator, manager=True)
                    secret = usable_secret(connection, wanted, str(given.get("secret", "")))
                    if secret or wanted != connection.settings:
                        change_connection(conn, connection.key, who=who.email, settings=wanted, secret=secret)
                    connection = tenants.get_connection(conn, connection.key)
            except FieldError as problem:
                errors[place_of(problem.field)] = problem.message
    if errors:
        if typed_secret(request):
            errors.setdefault("secret", SECRET_IS_LOST)
        with database(request).begin() as conn:
            context = _pick_context(request, conn, connection, values, errors)
        return page(request, "sis_schools.html", status=400, **context)
    return listed(request, connection)


@route("/connections/{connection}/schools", "GET")
def pick(request: Request) -> Response:
    """The schools of the SIS, to tick."""
    with database(request).begin() as conn:
        connection = connection_of(request, conn)
        return page(request, "sis_schools.html", **_pick_context(request, conn, connection, {}, {}))


@route("/connections/{connection}/schools/progress", "GET")
def progress(request: Request) -> Response:
    """Lets the browser load the page again once the schools were read. If they are shown: the numbers of their people,
    once these are counted. 204 before that."""
    with database(request).begin() as conn:
        connection = connection_of(request, conn)
        found = connection_tests.get_list(conn, connection)
        lines = _lines(request, conn, connection, found)
    shown = request.query_params.get("shown") == "yes"
    if found is None or (not shown and (found.schools or found.ended_at)):
        return Response(headers=LOAD_AGAIN)
    if found.ended_at is None:
        return Response(status_code=204)
    return HTMLResponse(piece("live_pieces.html", "people_counted", lines[:MOST_SHOWN]), STOP_POLLING)


@route("/connections/{connection}/schools", "POST")
def add(request: Request) -> Response:
    """The schools that were ticked, and a school that was typed because it is not in the list."""
    given, who, errors = form(request), viewer(request), dict[str, str]()
    values = {name: str(value).strip() for name, value in given.items()}
    ticked = {str(value) for name, value in given.multi_items() if name == "school"}
    with database(request).begin() as conn:
        connection = connection_of(request, conn)
        listed = connection_tests.get_list(conn, connection)
        for_all = addresses(values.get("owners", ""))
        picked = []
        everything = "all" in values
        for one, _, ours in _lines(request, conn, connection, listed):
            if one["id"] in ticked or (everything and ours is None):
                owners = [*addresses(values.get(f"owner-{one['id']}", "")), *for_all]
                picked.append(PickedSchool(one["id"], _usable_name(one), owners))
        if values.get("school_id") or values.get("name"):
            picked += _typed(values, for_all, errors)
        pattern = _pattern(conn, connection, values.get("pattern", ""), errors)
    if not picked and not errors:
        errors["schools"] = "Tick at least one school."
    if not errors:
        try:
            with database(request).begin() as conn:
                url = request.app.state.config.url
                added = add_picked(conn, connection, picked, pattern, who=who.email, console_url=url)
        except NoAddress as problem:
            errors["owners"] = f"{problem.message} {problem.remedy}"
        except (FieldError, RefusedSetting) as problem:
            errors["schools"] = problem.message
        else:
            return _added(request, added)
    with database(request).begin() as conn:
        context = _pick_context(request, conn, connection, values, errors) | {"ticked": ticked}
    return page(request, "sis_schools.html", status=400, **context)


def people_words(people: dict[str, int] | None) -> str:
    """The people of a school in words; empty if they are not counted."""
    if people is None:
        return ""
    counts = [people_of(role, people[role]) for role in ROLE_ORDER if people[role]]
    return ", ".join(counts) or "nobody"


def listed(request: Request, connection: ConnectionRow) -> Response:
    who = viewer(request)
    limit(request, "tests by", who.email, BY_ONE_PERSON, WINDOW)
    message = None
    try:
        list_id = database(request).call(begin_list, connection, who=who.email)
        if list_id is not None:
            launch_test(database(request), "list", connection.key, list_id)
    except TestGoesOn as problem:
        message = f"{problem.message} {problem.remedy}"
    return redirect(request, f"/connections/{connection.key}/schools", message=message)


def settings_of(values: Values, stored: ConnectionSettings | None, errors: dict[str, str]) -> ConnectionSettings | None:
    """A connection's settings with the typed values; a new one starts with those known for the SIS."""
    typed = {name: values.get(name_of(CONNECTION, name), "") or None for name in TYPED}
    chosen = chosen_preset(values)
    known = stored is not None and stored.sis == chosen.name
    plain = stored.model_dump(mode="json") if stored and known else chosen.defaults()
    given: dict[str, Any] = {
        "url": typed["url"] or "",
        "client_id": typed["client_id"] or "",
        "allow_private_addresses": values.get(PRIVATE) == "on",  # `allowed` decides about it
    }
    if typed["token_url"] or known:
        given["token_url"] = typed["token_url"]
    if not typed["url"]:
        errors[name_of(CONNECTION, "url")] = "Fill this in."
        return None
    try:
        return ConnectionSettings.model_validate(plain | given)
    except ValidationError as problem:
        errors |= errors_of(problem, CONNECTION, values)
        return None


def place_of(field: str) -> str:
    return "secret" if field == SECRET else name_of(CONNECTION, field)


def _added(request: Request, added: list[SchoolRow]) -> Response:
    keys = [row.key for row in added]
    Thread(target=add_partitions, args=(keys,), name="partition").start()  # Dagster takes a second to load
    if len(added) == 1:
        return redirect(request, f"/schools/{keys[0]}", message=f"{added[0].name} was added. {TESTED_NEXT}")
    message = f"{len(added)} schools were added. Test them next, all at once."
    return redirect(request, f"/connections/{added[0].connection.key}/test", message=message)


def _typed(values: Values, owners: list[str], errors: dict[str, str]) -> list[PickedSchool]:
    name, school_id = values.get("name", ""), values.get("school_id", "")
    try:
        name = display_name(name)
    except ValueError as problem:
        errors["name"] = str(problem)
    if not 0 < len(school_id) <= LONGEST_ID:
        errors["school_id"] = f"Fill this in, with at most {LONGEST_ID} characters."
    return [] if errors else [PickedSchool(school_id, name, owners)]


def _pattern(conn: Connection, connection: ConnectionRow, key: str, errors: dict[str, str]) -> SchoolSettings | None:
    """The settings that the new schools take over from another school; None for the district's defaults."""
    if not key:
        return None
    try:
        school = tenants.get_school(conn, key)
    except UnknownKey:
        school = None
    if school is None or school.district_id != connection.district_id:
        errors["pattern"] = "Choose one of the list."
        return None
    return school.settings


def _usable_name(school: dict[str, Any]) -> str:
    """The name of a school of the SIS, or its number if the SIS gives no name that we can store."""
    for text in (school["name"], school["identifier"], school["id"]):
        try:
            return display_name(text or "")
        except ValueError:
            continue
    return "School"


def _lines(
    request: Request, conn: Connection, connection: ConnectionRow, found: Row[Any] | None
) -> list[tuple[dict[str, Any], str, SchoolRow | None]]:
    """The schools of the SIS with all words of the search: each with its people, and ours if it was added."""
    words = request.query_params.get("q", "").casefold().split()
    there = {row.settings.school_id: row for row in tenants.schools_of(conn, connection.id)}
    lines = []
    for one in found.schools if found else []:
        text = f"{one['name']} {one['id']} {one['identifier']}".casefold()
        if all(word in text for word in words):
            lines.append((one, people_words(one["people"]), there.get(one["id"]) or there.get(one["identifier"])))
    return lines


def _pick_context(
    request: Request, conn: Connection, connection: ConnectionRow, values: Values, errors: dict[str, str]
) -> dict[str, Any]:
    listed = connection_tests.get_list(conn, connection)
    lines = _lines(request, conn, connection, listed)
    district = next(row for row in tenants.list_districts(conn) if row.id == connection.district_id)
    return {
        "connection": connection,
        "district": district,
        "base": f"/connections/{connection.key}",
        "found": listed,
        "lines": lines[:MOST_SHOWN],
        "more": len(lines) > MOST_SHOWN,
        "words": request.query_params.get("q", "")[:LONGEST_SEARCH],
        "ticked": frozenset(),
        "new": sum(ours is None for _, _, ours in lines),
        "patterns": [
            (key, f"As {name}") for key, name in tenants.school_names(conn, [connection.district_id], limit=1000)
        ],
    } | connection_form(
        shown(connection.settings, CONNECTION) | values,
        errors,
        "The stored one is kept if you leave this empty." if connection.secret else "",
    )


def connection_form(values: Values, errors: dict[str, str], secret_hint: str) -> dict[str, Any]:
    """The variables of the templates with the fields of a connection."""
    return {
        "v": values, "e": errors, "s": SETTINGS, "labels": LABELS, "presets": presets(),
        "preset": chosen_preset(values), "secret_hint": secret_hint,
    }  # fmt: skip
