"""The audit: who did what, when and why. Operators see all of it, managers their districts', owners their school's."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import nothing_here, school_of, viewer, zone_of
from roster_pipeline.console.list_filters import ROWS, Listed, ListFilter, list_filter
from roster_pipeline.console.page import database, page
from roster_pipeline.directory import audit
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.settings.fields import title_of
from roster_pipeline.vocabulary import day

DAYS = ("until", "day")
"""Details that are days."""


def everything(request: Request) -> Response:
    """All that the viewer may see; posted, it is searched."""
    who = viewer(request)
    if not who.lets_others_in:
        raise nothing_here()
    return _page_of(request, districts=None if who.operator else who.districts)


def of_school(request: Request) -> Response:
    """What concerns one school."""
    with database(request).begin() as opened:
        school = school_of(request, opened)
    return _page_of(request, school=school)


def _page_of(
    request: Request, *, districts: Collection[int] | None = None, school: SchoolRow | None = None
) -> Response:
    asked = list_filter(request, "what")
    with database(request).begin() as opened:
        found = audit.search(
            opened,
            districts=districts,
            school_id=school.id if school else None,
            what=asked["what"],
            words=asked.words,
            limit=ROWS + 1,
            offset=asked.offset,
        )
        kinds = audit.kinds(opened, districts, school.id if school else None)
        zone = school.settings.time_zone if school else zone_of(viewer(request), opened)
    return page(
        request,
        "school_audit.html" if school else "audit.html",
        school=school,
        tab="",
        listed=_listed(asked, found),
        kinds=kinds,
        details=_details,
        zone=zone,
    )


def _listed(asked: ListFilter, found: list[audit.Shown]) -> Listed:
    return Listed(asked, list(found[:ROWS]), more=len(found) > ROWS)


def _details(entry: audit.Shown) -> str:
    """`plan 17, rows 120`, or `changed Recipients, Students: Archive`."""
    details = entry.details | {"changed": ", ".join(map(title_of, entry.details.get("changed") or ()))}
    details |= {name: day(date.fromisoformat(details[name])) for name in DAYS if name in details}
    given = ((name.replace("_", " "), _plain(value)) for name, value in details.items() if value)
    return ", ".join(f"{name} {value}".strip() for name, value in given)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_plain(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
    return "" if value is True else str(value)


routes = [
    Route("/audit", everything, methods=["GET", "POST"]),
    Route("/schools/{key}/audit", of_school, methods=["GET", "POST"]),
]
