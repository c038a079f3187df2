"""Conflicts and possible duplicates of a school or a district, to be worked through: both sides beside each other,
"same person" or "two people".
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import Viewer, nothing_here, school_of, viewer
from roster_pipeline.console.list_filters import ListFilter, list_filter, number_of, plain_number
from roster_pipeline.console.page import database, page
from roster_pipeline.directory import plans, tenants
from roster_pipeline.directory.members import UnknownPerson
from roster_pipeline.directory.tenants import DistrictRow
from roster_pipeline.services import conflicts
from roster_pipeline.services.person_view import find
from roster_pipeline.services.possible_duplicates import Pairs, pair_of, possible_duplicates

AT_ONCE = 20


def show(request: Request) -> Response:
    """The conflicts of the newest plan, which may be the plan of a dry run."""
    who = viewer(request)
    asked = list_filter(request)
    offset = (asked.page - 1) * AT_ONCE
    with database(request).begin() as opened:
        school = school_of(request, opened)
        plan = plans.latest(opened, school.id, dry_run=True)
        total = conflicts.count(opened, plan)
        found = []
        if plan is not None and total:
            found = conflicts.page(opened, school, plan, who.may_see, who.may_manage, limit=AT_ONCE, offset=offset)
    return page(
        request,
        "conflicts.html",
        school=school,
        tab="people",
        plan=plan,
        conflicts=found,
        total=total,
        back=asked.at(asked.page),
        now=datetime.now(UTC),
        newer=asked.newer,
        older=asked.older(AT_ONCE, total),
        zone=school.settings.time_zone,
    )


def of_school(request: Request) -> Response:
    """Possible duplicates with somebody of one school."""
    who, asked = viewer(request), list_filter(request, "said")
    with database(request).begin() as opened:
        school = school_of(request, opened)
        found = possible_duplicates(
            opened,
            school.district_id,
            who.may_see,
            who.may_manage,
            school_id=school.id,
            said_two=asked["said"] == "two",
            limit=AT_ONCE,
            offset=(asked.page - 1) * AT_ONCE,
        )
    return _listed(request, found, asked, f"/schools/{school.key}/people", school.name)


def of_district(request: Request) -> Response:
    """Possible duplicates of a district, for those who manage it."""
    who, asked = viewer(request), list_filter(request, "said", "district")
    with database(request).begin() as opened:
        district = _managed(opened, who, asked)
        found = possible_duplicates(
            opened,
            district.id,
            who.may_see,
            who.may_manage,
            said_two=asked["said"] == "two",
            limit=AT_ONCE,
            offset=(asked.page - 1) * AT_ONCE,
        )
    return _listed(request, found, asked, f"/people?district={district.key}", district.name)


def conflicts_of_district(request: Request) -> Response:
    """The conflicts in the newest plans of a district's schools, for those who manage it."""
    who, asked = viewer(request), list_filter(request, "district")
    offset = (asked.page - 1) * AT_ONCE
    with database(request).begin() as opened:
        district = _managed(opened, who, asked)
        found, total = conflicts.page_of_district(
            opened, district.id, who.may_see, who.may_manage, limit=AT_ONCE, offset=offset
        )
    return page(
        request,
        "district_conflicts.html",
        district=district,
        conflicts=found,
        total=total,
        back=asked.at(asked.page),
        now=datetime.now(UTC),
        newer=asked.newer,
        older=asked.older(AT_ONCE, total),
    )


def _managed(opened: Connection, who: Viewer, asked: ListFilter) -> DistrictRow:
    """The district asked for, else the first that the viewer manages. Raises HTTPException 404 for every other."""
    managed = (row for row in tenants.list_districts(opened) if who.may_manage(row.id))
    district = next((row for row in managed if asked["district"] in ("", row.key)), None)
    if district is None:
        raise nothing_here()
    return district


def beside(request: Request) -> Response:
    """Two people next to each other, however somebody found them."""
    who = viewer(request)
    typed = request.query_params.get("other", "").strip()
    other = plain_number(typed)
    one = number_of(request, "person_id")
    try:
        with database(request).begin() as opened:
            find(opened, one, who.may_see, who.may_manage)
            pairs = [pair_of(opened, one, other, who.may_see, who.may_manage)] if typed and other != one else []
    except UnknownPerson:
        raise nothing_here() from None
    return page(request, "duplicates.html", pairs=pairs, single=one, title="One person or two?")


def _listed(request: Request, found: Pairs, asked: ListFilter, people: str, name: str) -> Response:
    return page(
        request,
        "duplicates.html",
        pairs=found.pairs,
        found=found,
        single=None,
        title="Possible duplicates",
        name=name,
        people=people,
        asked=asked,
        newer=asked.newer,
        older=asked.older(AT_ONCE, found.total),
    )


routes = [
    Route("/schools/{key}/conflicts", show, methods=["GET"]),
    Route("/schools/{key}/duplicates", of_school, methods=["GET"]),
    Route("/people/duplicates", of_district, methods=["GET"]),
    Route("/people/conflicts", conflicts_of_district, methods=["GET"]),
    Route("/people/{person_id}/beside", beside, methods=["GET"]),
]
