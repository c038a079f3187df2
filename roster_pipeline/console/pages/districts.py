"""A district: its connections with their schools, what can be done for all of them at once, and its year.

The first page: every school the viewer may see, those that need attention first.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import nothing_here, viewer
from roster_pipeline.console.charts import year_charts
from roster_pipeline.console.config import Config
from roster_pipeline.console.launchers import launch_all
from roster_pipeline.console.page import database, day_of, form, page, redirect, texts
from roster_pipeline.directory import school_history, school_overview, tenants
from roster_pipeline.directory.school_overview import STATES, Overview, overview
from roster_pipeline.directory.tenants import DistrictRow, UnknownKey
from roster_pipeline.notifications.blocks import in_console
from roster_pipeline.services import school_changes
from roster_pipeline.services.school_status import next_run, plain, status_of
from roster_pipeline.services.settings_changes import FieldError
from roster_pipeline.vocabulary import counted, day

SHOWN = 200
"""Schools that need attention, over all connections. More of them are on the page of all schools."""
MOST_SYNCS = 200
"""Syncs that one click asks for."""
NOT_WELL: tuple[school_overview.State, ...] = ("failing", "stale")
PAGE = 50
STATE_NAMES = {
    "": "All",
    "attention": "Needs attention",
    "held": "Held",
    "failing": "Failing",
    "paused": "Paused",
    "stale": "Silent",
    "resting": "Paused until a day",
    "quiet": "Paused or silent",
    "off": "By hand",
    "fine": "In order",
}
"""What can be chosen as a filter, in words."""
LONGEST_SEARCH = 100


def show_overview(request: Request) -> Response:
    """The overview. `q` searches, `state` filters, `page` counts from 1."""
    who = viewer(request)
    search = request.query_params.get("q", "")[:LONGEST_SEARCH]
    state = request.query_params.get("state") or None
    state = state if state in (*STATES, "attention", "quiet") else None
    number = max(1, _number(request.query_params.get("page", "")))
    with database(request).begin() as opened:
        found = overview(
            opened,
            everyone=who.operator,
            districts=who.districts,
            schools=who.schools,
            search=search,
            state=state,
            limit=PAGE,
            offset=(number - 1) * PAGE,
        )
        districts = tenants.list_districts(opened) if who.lets_others_in else []
    return page(
        request,
        "overview.html",
        districts=[row for row in districts if who.may_manage(row.id)],
        **overview_lines(found, search, state, number),
    )


def overview_lines(found: Overview, search: str, state: str | None, number: int) -> dict[str, Any]:
    """What the template shows."""
    now = datetime.now(UTC)
    first = (number - 1) * PAGE + 1
    return {
        "found": found,
        "lines": [(one, status_of(one), next_run(one, now)) for one in found.page],
        "search": search,
        "state": state or "",
        "states": list(STATE_NAMES.items()),
        "now": now,
        "said": f"{first:,} to {first + len(found.page) - 1:,} of {found.found:,}" if found.page else "",
        "newer": _address(search, state, number - 1) if number > 1 else None,
        "older": _address(search, state, number + 1) if number * PAGE < found.found else None,
    }


def _address(search: str, state: str | None, number: int) -> str:
    chosen = {"q": search, "state": state or "", "page": str(number) if number > 1 else ""}
    given = urlencode({name: value for name, value in chosen.items() if value})
    return f"/?{given}" if given else "/"


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 7 else 1


def show(request: Request) -> Response:
    """GET /districts/KEY."""
    now = datetime.now(UTC)
    with database(request).begin() as opened:
        district = _district_of(request, opened)
        connections = school_overview.connections(opened, district.id)
        attention = school_overview.overview(opened, districts=[district.id], state="attention", limit=SHOWN)
        weeks = school_history.year(opened, district_id=district.id)
        zone = tenants.usual_time_zone(opened, [district.id]) or "UTC"
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
        now=now,
        resting=district.paused_until is not None and district.paused_until > now.date(),
        earliest=now.date() + timedelta(days=1),
    )


def sync(request: Request) -> Response:
    """POST: sync the schools of a connection that fail or are silent."""
    with database(request).begin() as opened:
        district, connection_id = _connection_of(request, opened)
        keys = school_overview.schools_in_state(opened, district.id, connection_id, NOT_WELL)[:MOST_SYNCS]
        schools = [tenants.get_school(opened, key) for key in keys]
    config: Config = request.app.state.config
    asked, going = launch_all(
        database(request), schools, who=viewer(request).who, slots=config.runs, minutes=config.run_minutes
    )
    told = f"{counted(asked, 'sync is', 'syncs are')} asked for. They run one after another."
    told += f" {counted(going, 'school is', 'schools are')} being synced already." if going else ""
    return redirect(request, f"/districts/{district.key}", told=told)


def resume(request: Request) -> Response:
    """POST: let the paused schools of a connection run by themselves again."""
    with database(request).begin() as opened:
        district, connection_id = _connection_of(request, opened)
        keys = school_overview.schools_in_state(opened, district.id, connection_id, ("paused", "resting", "failing"))
        done = sum(school_changes.resume_school(opened, key, who=viewer(request).who) for key in keys)
    told = f"{counted(done, 'school runs', 'schools run')} by {'itself' if done == 1 else 'themselves'} again."
    return redirect(request, f"/districts/{district.key}", told=told)


def pause(request: Request) -> Response:
    """POST: let the schedule start no school of the district before a day."""
    sent = texts(request)
    with database(request).begin() as opened:
        district = _district_of(request, opened)
        try:
            until = day_of(sent.get("until", ""), "until")
            given = {"who": viewer(request).who, "reason": sent.get("reason", "")}
            school_changes.pause(opened, until, district=district.key, **given)
        except FieldError as problem:
            return redirect(request, f"/districts/{district.key}", told=f"Not paused. {problem.message}")
    return redirect(request, f"/districts/{district.key}", told=f"Paused until {day(until)}. Syncs by hand still work.")


def resume_all(request: Request) -> Response:
    """POST: end the pause of the district."""
    with database(request).begin() as opened:
        district = _district_of(request, opened)
        done = school_changes.resume_district(opened, district.key, who=viewer(request).who)
    told = "The schools run by themselves again." if done else "The district was not paused."
    return redirect(request, f"/districts/{district.key}", told=told)


def _district_of(request: Request, opened: Connection) -> DistrictRow:
    try:
        found = tenants.get_district(opened, request.path_params["key"])
    except UnknownKey:
        raise nothing_here() from None
    if not viewer(request).may_manage(found.id):
        raise nothing_here()
    return found


def _connection_of(request: Request, opened: Connection) -> tuple[DistrictRow, int]:
    district = _district_of(request, opened)
    try:
        found = tenants.get_connection(opened, str(form(request).get("connection", "")))
    except UnknownKey:
        raise nothing_here() from None
    if found.district_id != district.id:
        raise nothing_here()
    return district, found.id


routes = [
    Route("/districts/{key}", show, methods=["GET"]),
    Route("/districts/{key}/sync", sync, methods=["POST"]),
    Route("/districts/{key}/resume", resume, methods=["POST"]),
    Route("/districts/{key}/pause", pause, methods=["POST"]),
    Route("/districts/{key}/pause/end", resume_all, methods=["POST"]),
    Route("/", show_overview, methods=["GET"]),
]
