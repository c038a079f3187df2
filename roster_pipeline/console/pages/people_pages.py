"""The people of a school, or of all schools of the viewer in a district, with a search, a filter and pages; of people
who are not there, what the newest plans and the rejected records have. Also the form to enter a person by hand, and the
lists of conflicts and possible duplicates. A search is a form: its words are never in an address."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, get_args

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from roster_pipeline.cleaning.field_values import CEDS
from roster_pipeline.console.page import (
    NOTHING,
    ROWS,
    Listed,
    database,
    list_filter,
    number_of,
    page,
    plain_number,
    reason_of,
    redirect,
    role,
    route,
    texts,
)
from roster_pipeline.console.session import nothing_here, school_of, the_school, viewer
from roster_pipeline.directory import people_list, plan_rows, plans, rosters, tenants
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.people_list import Mark, PeopleFilter, Source
from roster_pipeline.directory.tenants import DistrictRow
from roster_pipeline.services import people_upload, person_changes, possible_duplicates
from roster_pipeline.services.person_view import find
from roster_pipeline.services.plan_rows import line_of
from roster_pipeline.vocabulary import LEFT_REASONS, REASONS, ROLE_ORDER

FIELDS = ("role", "grade", "status", "source", "mark", "district")
STATUSES = {"": "Active", "archived": "Archived", "all": "Active and archived"}
SOURCES = {"": "Any", "sis": "Linked to the SIS", "hand": "Not linked to the SIS"}
MARKS = {
    "": "Everybody", "excluded": "Excluded from the sync", "locked": "With locked fields", "no_email": "Without e-mail",
    "conflict": "In conflict",
}  # fmt: skip
AT_ONCE = 20
MOST_ABSENT = 20
"""How many rows, and how many records of each kind, a search shows."""
WITHOUT_PLACE = {
    **{status: status for status in ("role_off", "org_below", "unknown_org")},
    **{status: reason for status, reason in LEFT_REASONS.items() if status != "elsewhere"},
}
"""Statuses of records without a place in the school, with the reason. "elsewhere" is of another school."""


@route("/schools/{key}/people", "GET", "POST")
def of_school(request: Request) -> Response:
    """People of one school. A POST searches them."""
    with database(request).begin() as conn:
        school = school_of(request, conn)
        everything = viewer(request).may_manage(school.district_id)
        wanted = PeopleFilter(school.district_id, (school.id,), everything=everything)
        context = _listed(request, conn, wanted)
        in_conflict = possible_duplicates.count_conflicts(conn, plans.latest(conn, school.id, dry_run=True))
    return page(request, "school_people.html", school=school, tab="people", conflicts=in_conflict, **context)


@route("/people", "GET", "POST")
def of_all_schools(request: Request) -> Response:
    """People of all schools of the viewer in a district. A POST searches them. Who has one school sees its page."""
    who = viewer(request)
    with database(request).begin() as conn:
        own = [
            school
            for school in tenants.schools_by_id(conn, who.schools).values()
            if not who.may_manage(school.district_id)
        ]
        if len(own) == 1 and not who.may_give_access:
            return RedirectResponse(f"/schools/{own[0].key}/people", 303)
        district, districts = _chosen(request, conn, {school.district_id for school in own})
        manages = who.may_manage(district.id)
        schools = None if manages else tuple(school.id for school in own if school.district_id == district.id)
        context = _listed(request, conn, PeopleFilter(district.id, schools, everything=manages))
    return page(request, "people.html", district=district, districts=districts, manages=manages, **context)


@route("/schools/{key}/people/add", "GET")
def add_form(request: Request, given: Mapping[str, str] = NOTHING, problem: DirectoryError | None = None) -> Response:
    """The form for somebody who is not in the SIS."""
    return page(
        request,
        "person_add.html",
        status=400 if problem else 200,
        school=the_school(request),
        tab="people",
        given=given,
        error=problem.message if problem else "",
        here=problem if isinstance(problem, people_upload.MayBeHere) else None,
        fields=person_changes.ADDED,
        roles=[(name, role(name)) for name in ROLE_ORDER],
        grades=[("", "None"), *((code, code) for code in CEDS)],
    )


@route("/schools/{key}/people/add", "POST")
def add(request: Request) -> Response:
    given, reason = texts(request), reason_of(request)
    typed = {name: given.get(name, "") for name in (*person_changes.ADDED, "role", "grade")}
    school = the_school(request)
    try:
        reader, other = viewer(request), given.get("somebody_else") == "on"
        by = {"who": reader.email, "reason": reason}
        number = database(request).call(people_upload.add, school, typed, reader=reader, sure=other, **by)
    except DirectoryError as problem:
        if problem.retryable:
            raise
        return add_form(request, given, problem)
    entered = "Entered by hand. No sync archives them until the SIS knows them."
    return redirect(request, f"/people/{number}", message=entered)


def _chosen(request: Request, conn: Connection, more: Collection[int] = ()) -> tuple[DistrictRow, list[DistrictRow]]:
    """The district asked for, else the first, and all the viewer may choose: managed ones and `more`. Raises 404."""
    key = list_filter(request, "district")["district"]
    may = viewer(request).may_manage
    districts = [row for row in tenants.list_districts(conn) if may(row.id) or row.id in more]
    district = next((row for row in districts if key in ("", row.key)), None)
    if district is None:
        raise nothing_here()
    return district, districts


def _listed(request: Request, conn: Connection, scope: PeopleFilter) -> dict[str, Any]:
    filters = list_filter(request, *FIELDS)
    wanted = replace(
        scope,
        words=filters.words,
        role=filters["role"] if filters["role"] in ROLE_ORDER else "",
        grade=filters["grade"],
        status={"archived": "archived", "all": ""}.get(filters["status"], "active"),
        source=_one_of(Source, filters["source"]),
        mark=_one_of(Mark, filters["mark"]),
    )
    rows = people_list.people(conn, wanted, limit=ROWS, offset=filters.offset)
    grades = people_list.grades(conn, scope)
    by_role = people_list.active_by_role(conn, scope)
    archived = 0
    if filters.words and not rows and wanted.status == "active":
        archived = people_list.count(conn, replace(wanted, status="archived"))
    absent = []
    if filters.words and (scope.schools or not rows):  # the plans of a whole district are read only if nobody fits
        absent = _absent(conn, wanted)
    return {
        "archived": archived,
        "absent": absent,
        "listed": Listed(filters, list(rows), people_list.count(conn, wanted)),
        "by_role": {name: by_role[name] for name in ROLE_ORDER if by_role.get(name)},
        "choices": {
            "role": [("", "Any"), *((name, role(name)) for name in ROLE_ORDER)],
            "grade": [("", "Any"), *((grade, grade) for grade in grades)],
            "status": list(STATUSES.items()),
            "source": list(SOURCES.items()),
            "mark": list(MARKS.items()),
        },
    }


def _absent(conn: Connection, wanted: PeopleFilter) -> list[dict[str, Any]]:
    """People with the words of a search who are not in its schools: rows of the newest plans that nobody has applied
    (plan, line), records that could not be used (rule: what is wrong), and records without a place here (why)."""
    rows = plan_rows.not_entered(conn, wanted, limit=MOST_ABSENT)
    wrong = rosters.RejectedFilter(severity="error", words=wanted.words)
    records = rosters.page_of_newest(conn, wanted, wrong, limit=MOST_ABSENT)
    others = plan_rows.without_place(conn, wanted, WITHOUT_PLACE, limit=MOST_ABSENT)
    known = tenants.schools_by_id(conn, {row["school_id"] for row in [*rows, *records, *others]})
    of = plans.get_all(conn, {row["plan_id"] for row in rows})
    found = [
        *({"school_id": row["school_id"], "plan": of[row["plan_id"]], "line": line_of(row)} for row in rows),
        *records,
        *({**row, "why": REASONS[WITHOUT_PLACE[row["record_status"]]]} for row in others),
    ]
    return [{**row, "school": known[row["school_id"]]} for row in found]


def _one_of(kind: Any, value: str) -> Any:
    return value if value in get_args(kind) else ""


@route("/schools/{key}/conflicts", "GET")
def conflicts_of_school(request: Request) -> Response:
    """The conflicts of the newest plan, which may be the plan of a dry run."""
    who, filters = viewer(request), list_filter(request, at_once=AT_ONCE)
    with database(request).begin() as conn:
        school = school_of(request, conn)
        plan = plans.latest(conn, school.id, dry_run=True)
        total, found = possible_duplicates.count_conflicts(conn, plan), []
        if plan is not None and total:
            found = possible_duplicates.conflicts(conn, school, plan, who, limit=AT_ONCE, offset=filters.offset)
    listed = Listed(filters, list(found), total)
    return page(request, "conflicts.html", school=school, tab="people", plan=plan, listed=listed)


@route("/people/conflicts", "GET")
def conflicts_of_district(request: Request) -> Response:
    """The conflicts in the newest plans of a district's schools, for those who manage it."""
    who, filters = viewer(request), list_filter(request, "district", at_once=AT_ONCE)
    with database(request).begin() as conn:
        district, _ = _chosen(request, conn)
        found, total = possible_duplicates.conflicts_of_district(
            conn, district.id, who, limit=AT_ONCE, offset=filters.offset
        )
    return page(request, "district_conflicts.html", district=district, listed=Listed(filters, list(found), total))


@route("/people/duplicates", "GET")
@route("/schools/{key}/duplicates", "GET")
def duplicates(request: Request) -> Response:
    """Possible duplicates with somebody of one school, or of a district for those who manage it."""
    who, filters = viewer(request), list_filter(request, "said", "district", at_once=AT_ONCE)
    with database(request).begin() as conn:
        school = school_of(request, conn) if "key" in request.path_params else None
        place = school or _chosen(request, conn)[0]
        found = possible_duplicates.possible_duplicates(
            conn, school.district_id if school else place.id, who, school_id=school.id if school else None,
            distinct=filters["said"] == "two", limit=AT_ONCE, offset=filters.offset,
        )  # fmt: skip
    return page(
        request,
        "duplicates.html",
        found=found,
        listed=Listed(filters, list(found.pairs), found.total),
        single=None,
        name=place.name,
        people=f"/schools/{school.key}/people" if school else f"/people?district={place.key}",
    )


@route("/people/{person_id}/beside", "GET")
def beside(request: Request) -> Response:
    """Two people next to each other, however somebody found them."""
    who, one = viewer(request), number_of(request, "person_id")
    typed = request.query_params.get("other", "").strip()
    other = plain_number(typed)
    with database(request).begin() as conn:
        find(conn, one, who)
        pairs = [possible_duplicates.pair_of(conn, one, other, who)] if typed and other != one else []
    return page(request, "duplicates.html", pairs=pairs, single=one)
