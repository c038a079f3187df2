"""Shows the people of a school, and of a district for its managers: with a search and a filter, a page at a time.

It also enters a person by hand.

The search is sent as a form, so its words are never in an address.
"""

from __future__ import annotations

from typing import Any, get_args

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.cleaning.field_values import CEDS
from roster_pipeline.console.auth.viewer import nothing_here, school_of, viewer
from roster_pipeline.console.list_filters import ROWS, Listed, list_filter
from roster_pipeline.console.page import database, page, redirect, role, texts
from roster_pipeline.directory import people_list, plans, tenants
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.people_list import Mark, PeopleFilter, Source
from roster_pipeline.directory.tenants import DistrictRow, SchoolRow
from roster_pipeline.services import person_changes
from roster_pipeline.services.conflicts import count as count_conflicts
from roster_pipeline.vocabulary import ROLE_ORDER, reason_problem

FIELDS = ("role", "grade", "status", "source", "mark", "district")
STATUSES = {"": "Active", "archived": "Archived", "all": "Active and archived"}
SOURCES = {"": "Any", "sis": "Linked to the SIS", "hand": "Not linked to the SIS"}
MARKS = {
    "": "Everybody",
    "excluded": "Excluded from the sync",
    "locked": "With locked fields",
    "no_email": "Without e-mail",
    "conflict": "In conflict",
}


def of_school(request: Request) -> Response:
    """People of one school. A POST searches them."""
    with database(request).begin() as opened:
        school = school_of(request, opened)
        everything = viewer(request).may_manage(school.district_id)
        wanted = PeopleFilter(school.district_id, school.id, everything=everything)
        context = _listed(request, opened, wanted)
        conflicts = count_conflicts(opened, plans.latest(opened, school.id, dry_run=True))
    return page(request, "school_people.html", school=school, tab="people", conflicts=conflicts, **context)


def of_district(request: Request) -> Response:
    """People of a district, for those who manage it. A POST searches them."""
    who = viewer(request)
    with database(request).begin() as opened:
        districts = [row for row in tenants.list_districts(opened) if who.may_manage(row.id)]
        if not districts:
            raise nothing_here()
        district = _district(request, districts)
        context = _listed(request, opened, PeopleFilter(district.id))
    return page(request, "people.html", district=district, districts=districts, **context)


def add_form(request: Request) -> Response:
    """The form for somebody whom the SIS does not have."""
    with database(request).begin() as opened:
        school = school_of(request, opened)
    return _form(request, school, {}, "")


def add(request: Request) -> Response:
    """Enter the person."""
    given = texts(request)
    reason = given.get("reason", "")
    typed = {name: given.get(name, "") for name in (*person_changes.ADDED, "role", "grade")}
    with database(request).begin() as opened:
        school = school_of(request, opened)
    if reason and (error := reason_problem(reason)):
        return _form(request, school, given, error)
    try:
        with database(request).begin() as opened:
            number = person_changes.add(opened, school.key, typed, who=viewer(request).who, reason=reason)
    except DirectoryError as problem:
        if problem.retryable:
            raise
        return _form(request, school, given, problem.message)
    return redirect(
        request, f"/people/{number}", told="Entered by hand. No sync archives them before the SIS knows them."
    )


def _form(request: Request, school: SchoolRow, given: dict[str, str], error: str) -> Response:
    return page(
        request,
        "person_add.html",
        status=400 if error else 200,
        school=school,
        tab="people",
        given=given,
        error=error,
        fields=person_changes.ADDED,
        roles=[(name, role(name)) for name in ROLE_ORDER],
        grades=[("", "None"), *((code, code) for code in CEDS)],
    )


def _district(request: Request, districts: list[DistrictRow]) -> DistrictRow:
    """The requested district, else the first one. Raises HTTPException 404 if the viewer does not manage it."""
    key = list_filter(request, "district")["district"]
    if not key:
        return districts[0]
    for row in districts:
        if row.key == key:
            return row
    raise nothing_here()


def _listed(request: Request, opened: Connection, scope: PeopleFilter) -> dict[str, Any]:
    asked = list_filter(request, *FIELDS)
    wanted = PeopleFilter(
        district_id=scope.district_id,
        school_id=scope.school_id,
        everything=scope.everything,
        words=asked.words,
        role=asked["role"] if asked["role"] in ROLE_ORDER else "",
        grade=asked["grade"],
        status={"archived": "archived", "all": ""}.get(asked["status"], "active"),
        source=_one_of(Source, asked["source"]),
        mark=_one_of(Mark, asked["mark"]),
    )
    rows = people_list.people(opened, wanted, limit=ROWS, offset=asked.offset)
    grades = people_list.grades(opened, scope)
    by_role = people_list.active_by_role(opened, scope)
    return {
        "listed": Listed(asked, list(rows), people_list.count(opened, wanted)),
        "by_role": {name: by_role[name] for name in ROLE_ORDER if by_role.get(name)},
        "choices": {
            "role": [("", "Any"), *((name, role(name)) for name in ROLE_ORDER)],
            "grade": [("", "Any"), *((one, one) for one in grades)],
            "status": list(STATUSES.items()),
            "source": list(SOURCES.items()),
            "mark": list(MARKS.items()),
        },
    }


def _one_of(kind: Any, value: str) -> Any:
    return value if value in get_args(kind) else ""


routes = [
    Route("/people", of_district, methods=["GET", "POST"]),
    Route("/schools/{key}/people", of_school, methods=["GET", "POST"]),
    Route("/schools/{key}/people/add", add_form, methods=["GET"]),
    Route("/schools/{key}/people/add", add, methods=["POST"]),
]
