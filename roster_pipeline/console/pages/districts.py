"""The first page, with every school that the viewer may see, those that need attention first. Also the form of a new
district, and the page of a district: its connections and schools, actions for all of them, and its year."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from roster_pipeline.console.charts import year_charts
from roster_pipeline.console.config import Config
from roster_pipeline.console.forms import KEY_WORDS, TAKEN, addresses
from roster_pipeline.console.launchers import launch_all
from roster_pipeline.console.page import ROWS, Listed, database, day_of, form, list_filter, page, redirect, route, texts
from roster_pipeline.console.session import district_of, nothing_here, viewer
from roster_pipeline.directory import alerts, audit, school_history, school_overview, tenant_changes, tenants
from roster_pipeline.directory.accounts import Account, Place
from roster_pipeline.notifications.blocks import in_console
from roster_pipeline.services import access_changes, school_changes
from roster_pipeline.services.school_changes import RESERVED, key_of
from roster_pipeline.services.school_status import next_run, plain, status_of
from roster_pipeline.services.settings_changes import FieldError, differences, remove_connection
from roster_pipeline.settings.school import ANY_SCHOOL, KEY_PATTERN, SchoolSettings, display_name
from roster_pipeline.vocabulary import counted, day

SHOWN = 200
"""How many schools that need attention are shown, over all connections. The page of all schools has the others."""
MOST_SYNCS = 200
"""How many syncs one click requests."""
NOT_WELL: tuple[school_overview.State, ...] = ("failing", "stale")
STATE_NAMES = {
    "": "All", "attention": "Needs attention", "held": "Held", "failing": "Failing", "paused": "Paused",
    "stale": "Silent", "resting": "Paused until a day", "quiet": "Paused or silent", "off": "By hand",
    "fine": "In order",
}  # fmt: skip
"""The choices of the filter, in words."""
LONGEST_SEARCH = 100


@route("/", "GET")
def show_overview(request: Request) -> Response:
    """The overview. `q` searches, `state` filters, `page` counts from 1."""
    who, sent, now = viewer(request), list_filter(request, "q", "state", address="/"), datetime.now(UTC)
    state = sent["state"] if sent["state"] in (*school_overview.STATES, "attention", "quiet") else ""
    filters = replace(sent, fields={"q": sent["q"][:LONGEST_SEARCH], "state": state})
    with database(request).begin() as conn:
        found = school_overview.overview(
            conn, everyone=who.operator, districts=who.districts, schools=who.schools, search=filters["q"],
            state=state or None, limit=ROWS, offset=filters.offset,
        )  # fmt: skip
        districts = tenants.list_districts(conn) if who.may_give_access else []
        problems = alerts.of_installation(conn) if who.operator else []
    return page(
        request,
        "overview.html",
        districts=[row for row in districts if who.may_manage(row.id)],
        problems=problems,
        found=found,
        lines=[(school, status_of(school), next_run(school, now)) for school in found.page],
        states=list(STATE_NAMES.items()),
        listed=Listed(filters, list(found.page), found.found),
    )


@route("/districts/{key}", "GET")
def show(request: Request) -> Response:
    now = datetime.now(UTC)
    with database(request).begin() as conn:
        district = district_of(request, conn, request.path_params["key"])
        connections = school_overview.connections(conn, district.id)
        attention = school_overview.overview(conn, districts=[district.id], state="attention", limit=SHOWN)
        weeks = school_history.year(conn, district_id=district.id)
        zone = tenants.usual_time_zone(conn, [district.id]) or "UTC"
        names = tenants.school_names(conn, [district.id], limit=1000)
    under = {one.id: [school for school in attention.page if school.connection_id == one.id] for one in connections}
    return page(
        request,
        "district.html",
        district=district,
        connections=[
            (one, in_console(plain(one.failure or "", "")), [(each, status_of(each)) for each in under[one.id]])
            for one in connections
        ],
        found=attention,
        charts=year_charts(weeks),
        weeks=weeks[::-1],
        zone=zone,
        resting=district.paused_until is not None and district.paused_until > now.date(),
        earliest=now.date() + timedelta(days=1),
        patterns=names,
        defaults=differences(SchoolSettings(school_id=ANY_SCHOOL), district.settings.school_defaults)
        if district.settings.school_defaults
        else None,
    )


@route("/districts/new", "GET")
def district_form(request: Request) -> Response:
    _operator(request)
    return page(request, "new_district.html", v={}, e={})


@route("/districts/new", "POST")
def add_district(request: Request) -> Response:
    """A new district, and the invitations of its managers."""
    who, errors = _operator(request), dict[str, str]()
    values = {name: str(value).strip() for name, value in form(request).items()}
    key = values.get("key", "") or key_of(values.get("name", ""))
    try:
        values["name"] = display_name(values.get("name", ""))
    except ValueError as problem:
        errors["name"] = str(problem)
    if "name" not in errors and (not re.fullmatch(KEY_PATTERN, key) or key in RESERVED):
        errors["key"] = KEY_WORDS
    if not errors:
        try:
            with database(request).begin() as conn:
                managers = [access_changes.address(email) for email in addresses(values.get("managers", ""))]
                row = tenant_changes.add_district(conn, key, values["name"])
                audit.record(conn, who.email, "district added", district_id=row.id)
                for email in dict.fromkeys(managers):
                    access_changes.grant(conn, email, Place(district_id=row.id), who=who.email)
                    url = request.app.state.config.url
                    access_changes.invite(conn, email, [row.name], console_url=url, path="/schools/new")
        except tenant_changes.KeyTaken:
            errors["key"] = TAKEN
        except access_changes.NoAddress as problem:
            errors["managers"] = f"{problem.message} {problem.remedy}"
        else:
            return redirect(
                request, f"/schools/new?district={key}", message=f"{row.name} was added. Connect its SIS next."
            )
    return page(request, "new_district.html", status=400, v=values, e=errors)


@route("/districts/{key}/sync", "POST")
def sync(request: Request) -> Response:
    """Sync the schools of a connection that fail or are silent."""
    with database(request).begin() as conn:
        district, connection_id = _connection_of(request, conn)
        keys = school_overview.schools_in_state(conn, district.id, connection_id, NOT_WELL)
        schools = [tenants.get_school(conn, key) for key in keys[:MOST_SYNCS]]
    config: Config = request.app.state.config
    asked, going = launch_all(
        database(request), schools, who=viewer(request).email, slots=config.runs, minutes=config.run_minutes
    )
    message = f"{counted(asked, 'sync is', 'syncs are')} asked for. They run one after another."
    message += f" {counted(going, 'school is', 'schools are')} being synced already." if going else ""
    if left := len(keys) - len(schools):
        message += (
            f" {counted(left, 'school was', 'schools were')} left out, because one click starts {MOST_SYNCS} syncs."
        )
        message += " When these are done, press the button again."
    return redirect(request, f"/districts/{district.key}", message=message)


@route("/districts/{key}/resume", "POST")
def resume(request: Request) -> Response:
    """Let the paused schools of a connection run by themselves again."""
    with database(request).begin() as conn:
        district, connection_id = _connection_of(request, conn)
        keys = school_overview.schools_in_state(conn, district.id, connection_id, ("paused", "resting", "failing"))
    who, resume_one = viewer(request).email, school_changes.resume_school
    done = sum(database(request).call(resume_one, key, who=who) for key in keys)  # each alone: locks no two schools
    message = f"{counted(done, 'school runs', 'schools run')} by {'itself' if done == 1 else 'themselves'} again."
    return redirect(request, f"/districts/{district.key}", message=message)


@route("/districts/{key}/connections/remove", "POST")
def remove(request: Request) -> Response:
    with database(request).begin() as conn:
        district, _ = _connection_of(request, conn)
        key = str(form(request)["connection"])
        try:
            remove_connection(conn, key, who=viewer(request).email)
            message = f"The connection {key} was removed."
        except tenant_changes.ConnectionInUse as problem:
            message = f"{problem.message} {problem.remedy}"
    return redirect(request, f"/districts/{district.key}", message=message)


@route("/districts/{key}/pause", "POST")
def pause(request: Request) -> Response:
    """Let the schedule start no school of the district before a day."""
    sent = texts(request)
    with database(request).begin() as conn:
        district = district_of(request, conn, request.path_params["key"])
        try:
            until = day_of(sent.get("until", ""), "until")
            given = {"who": viewer(request).email, "reason": sent.get("reason", "")}
            school_changes.pause(conn, until, district=district.key, **given)
        except FieldError as problem:
            return redirect(request, f"/districts/{district.key}", message=f"Not paused. {problem.message}")
    return redirect(
        request, f"/districts/{district.key}", message=f"Paused until {day(until)}. Syncs by hand still work."
    )


@route("/districts/{key}/pause/end", "POST")
def resume_all(request: Request) -> Response:
    """End the pause of the district."""
    with database(request).begin() as conn:
        district = district_of(request, conn, request.path_params["key"])
        done = school_changes.resume_district(conn, district.key, who=viewer(request).email)
    message = "The schools run by themselves again." if done else "The district was not paused."
    return redirect(request, f"/districts/{district.key}", message=message)


@route("/districts/{key}/defaults", "POST")
def set_defaults(request: Request) -> Response:
    """New schools begin with the settings of a school of the district, or with the standard ones."""
    key, who = texts(request).get("pattern", ""), viewer(request).email
    with database(request).begin() as conn:
        district = district_of(request, conn, request.path_params["key"])
        settings = _pattern(conn, district, key).settings if key else None
        school_changes.set_school_defaults(conn, district.key, settings, who=who)
    message = "New schools begin with these settings." if key else "New schools begin with the standard settings."
    return redirect(request, f"/districts/{district.key}#defaults", message=message)


def _operator(request: Request) -> Account:
    who = viewer(request)
    if not who.operator:
        raise nothing_here()
    return who


def _pattern(conn: Connection, district: tenants.DistrictRow, key: str) -> tenants.SchoolRow:
    school = tenants.get_school(conn, key)
    if school.district_id != district.id:
        raise nothing_here()
    return school


def _connection_of(request: Request, conn: Connection) -> tuple[tenants.DistrictRow, int]:
    district = district_of(request, conn, request.path_params["key"])
    connection = tenants.get_connection(conn, str(form(request).get("connection", "")))
    if connection.district_id != district.id:
        raise nothing_here()
    return district, connection.id
