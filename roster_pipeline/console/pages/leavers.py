"""Announced leavers of a school: who leaves on which day, typed or uploaded; and taken back again."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import school_of, viewer
from roster_pipeline.console.list_filters import ROWS, Listed, list_filter
from roster_pipeline.console.page import database, day_of, form, page, redirect
from roster_pipeline.directory import announced_leavers
from roster_pipeline.services import decisions
from roster_pipeline.services.settings_changes import FieldError
from roster_pipeline.vocabulary import counted, day


def show(request: Request) -> Response:
    """GET: the list, and the form to add to it."""
    return _page_of(request, {}, {}, None)


def announce(request: Request) -> Response:
    """POST: announce the people of a typed or an uploaded list."""
    sent = form(request)
    values = {name: str(sent.get(name, "")) for name in ("people", "day", "reason")}
    with database(request).begin() as opened:
        school = school_of(request, opened)
        try:
            leaves = day_of(values["day"], "day")
            done = decisions.announce(
                opened, school, values["people"], leaves, who=viewer(request).who, reason=values["reason"]
            )
        except FieldError as problem:
            return _page_of(request, values, {problem.field: problem.message}, None)
    if done.unknown or done.several or not done.people:
        return _page_of(request, {"day": values["day"], "reason": values["reason"]}, {}, done)
    told = f"{counted(done.people, 'person is', 'people are')} announced as leaving on {day(leaves)}."
    return redirect(request, f"/schools/{school.key}/leavers", told=told)


def withdraw(request: Request) -> Response:
    """POST: take announcements back."""
    chosen = [int(one) for one in map(str, form(request).getlist("person")) if one.isdecimal() and len(one) < 19]
    with database(request).begin() as opened:
        school = school_of(request, opened)
        done = announced_leavers.withdraw(opened, school, chosen, viewer(request).who)
    told = f"{counted(done, 'announcement was', 'announcements were')} taken back."
    return redirect(request, f"/schools/{school.key}/leavers", told=told)


def _page_of(
    request: Request, values: dict[str, str], errors: dict[str, str], done: decisions.Announced | None
) -> Response:
    asked = list_filter(request)
    with database(request).begin() as opened:
        school = school_of(request, opened)
        found = announced_leavers.of_school(opened, school.id, limit=ROWS, offset=asked.offset)
    return page(
        request,
        "leavers.html",
        status=400 if errors else 200,
        school=school,
        tab="people",
        listed=Listed(asked, list(found), found[0].total if found else 0),
        today=datetime.now(UTC).astimezone(school.settings.zone).date(),
        stays=announced_leavers.STAYS.days,
        values={"people": "", "day": "", "reason": ""} | values,
        errors=errors,
        done=done,
    )


routes = [
    Route("/schools/{key}/leavers", show, methods=["GET"]),
    Route("/schools/{key}/leavers", announce, methods=["POST"]),
    Route("/schools/{key}/leavers/withdraw", withdraw, methods=["POST"]),
]
