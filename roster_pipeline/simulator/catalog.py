"""The collections of the standard's rostering service: path, envelope, scope and records.

Also 1.2's discovery document, which lists them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from roster_pipeline.simulator.messages import Record, RequestError
from roster_pipeline.simulator.person import STUDENT, TEACHER
from roster_pipeline.simulator.studies import GRADES
from roster_pipeline.simulator.view import View

SCOPE_PREFIXES = {
    "1.1": "https://purl.imsglobal.org/spec/or/v1p1/scope/",
    "1.2": "https://purl.imsglobal.org/spec/or/v1p2/scope/",
}
ROSTER_SCOPES = CORE, FULL, DEMOGRAPHICS = ("roster-core.readonly", "roster.readonly", "roster-demographics.readonly")
DISCOVERY_FILES = ("onerosterv1p2rostersservice_openapi3_v1p0.json", "imsorv1p2_rostering_openapi3_v1p0.json")
"""Two documents of the standard name the file differently; the simulator answers to both names."""


@dataclass(slots=True)
class Listing:
    """The records of one path. Only `render` and `find` know what the integers in `positions` mean."""

    plural: str
    single: str
    positions: Sequence[int]
    render: Callable[[int], Record]
    find: Callable[[str], int | None]


class Route(NamedTuple):
    """One row of the table of operations."""

    scope: str
    make: Callable[[View, Sequence[str]], Listing]


def _users(view: View, role: str | None = None, school: str | None = None) -> Listing:
    return Listing("users", "user", view.positions(role, school), view.user, view.finder(role))


def _orgs(view: View, of_type: str | None = None) -> Listing:
    orgs = view.orgs(of_type)
    places = {org.sourced_id: place for place, org in enumerate(orgs)}
    return Listing("orgs", "org", range(len(orgs)), lambda place: view.org(orgs[place]), places.get)


def _sessions(view: View, kind: str | None = None, parent: str | None = None) -> Listing:
    positions = view.studies.session_positions(kind, parent)

    def find(sourced_id: str) -> int | None:
        place = view.studies.find_session(sourced_id)
        return place if place in positions else None

    return Listing("academicSessions", "academicSession", positions, view.studies.session, find)


def _courses(view: View) -> Listing:
    return Listing("courses", "course", range(len(GRADES)), view.studies.course, view.studies.find_course)


def _classes(view: View, positions: Sequence[int]) -> Listing:
    return Listing("classes", "class", positions, view.studies.a_class, view.studies.find_class)


def _enrollments(view: View, positions: Sequence[int]) -> Listing:
    return Listing("enrollments", "enrollment", positions, view.studies.enrollment, view.studies.find_enrollment)


def _demographics(view: View) -> Listing:
    def find(sourced_id: str) -> int | None:
        position = view.finder(STUDENT)(sourced_id)
        return None if position is None else view.row(position)

    return Listing("demographics", "demographics", view.rows(STUDENT), view.studies.demographic, find)


def _school(view: View, ids: Sequence[str]) -> str:
    return view.require_school(ids[0])


def _class(view: View, sourced_id: str, school: str | None = None) -> int:
    position = view.studies.find_class(sourced_id)
    if position is None or (school is not None and position not in view.studies.class_positions(school)):
        raise RequestError(404, "no class with this sourcedId")
    return position


def _in_class(view: View, role: str | None, position: int) -> list[int]:
    school = view.district.population.school_ids[position // view.studies.per_school]
    members = [*view.rows(STUDENT, school), *view.rows(TEACHER, school)]
    studies, at = view.studies, view.district.at
    return [
        row
        for row in members
        if position in studies.classes_of(person := at(row)) and role in (None, person.roles[0].role)
    ]


def _class_people(role: str) -> Callable[[View, Sequence[str]], Listing]:
    def make(view: View, ids: Sequence[str]) -> Listing:
        where = _class(view, ids[-1], _school(view, ids) if len(ids) > 1 else None)
        people = view.positions_of(_in_class(view, role, where), role)
        return Listing("users", "user", people, view.user, view.finder(role))

    return make


def _class_enrollments(view: View, ids: Sequence[str]) -> Listing:
    where = _class(view, ids[1], _school(view, ids))
    positions = view.studies.enrollment_positions(_in_class(view, None, where))
    return _enrollments(view, [p for p in positions if view.studies.enrollment_class(p) == where])


def _school_enrollments(view: View, ids: Sequence[str]) -> Listing:
    school = _school(view, ids)
    members = sorted({*view.rows(STUDENT, school), *view.rows(TEACHER, school)})
    ours = set(view.studies.class_positions(school))
    positions = view.studies.enrollment_positions(members)
    return _enrollments(view, [p for p in positions if view.studies.enrollment_class(p) in ours])


def _person_classes(role: str | None) -> Callable[[View, Sequence[str]], Listing]:
    def make(view: View, ids: Sequence[str]) -> Listing:
        position = view.finder(role)(ids[0])
        if position is None:
            raise RequestError(404, "no user with this sourcedId")
        return _classes(view, view.studies.classes_of(view.person(position)))

    return make


def _course_classes(view: View, ids: Sequence[str]) -> Listing:
    course = view.studies.find_course(ids[0])
    if course is None:
        raise RequestError(404, "no course with this sourcedId")
    return _classes(view, view.studies.class_positions(course=course))


def _term(view: View, ids: Sequence[str]) -> str:
    if _sessions(view, "term").find(ids[0]) is None:
        raise RequestError(404, "no term with this sourcedId")
    return ids[0]


def _term_classes(view: View, ids: Sequence[str]) -> Listing:
    return _classes(view, view.studies.class_positions() if _term(view, ids) == "ses-t1" else [])


def _school_terms(view: View, ids: Sequence[str]) -> Listing:
    _school(view, ids)
    return _sessions(view, "term")


def _school_courses(view: View, ids: Sequence[str]) -> Listing:
    _school(view, ids)
    return _courses(view)


ROUTES: dict[tuple[str, ...], Route] = {
    ("orgs",): Route(CORE, lambda view, _: _orgs(view)),
    ("schools",): Route(CORE, lambda view, _: _orgs(view, "school")),
    ("users",): Route(CORE, lambda view, _: _users(view)),
    ("students",): Route(CORE, lambda view, _: _users(view, STUDENT)),
    ("teachers",): Route(CORE, lambda view, _: _users(view, TEACHER)),
    ("classes",): Route(CORE, lambda view, _: _classes(view, view.studies.class_positions())),
    ("courses",): Route(CORE, lambda view, _: _courses(view)),
    ("enrollments",): Route(CORE, lambda view, _: _enrollments(view, view.enrollment_positions())),
    ("academicSessions",): Route(CORE, lambda view, _: _sessions(view)),
    ("terms",): Route(CORE, lambda view, _: _sessions(view, "term")),
    ("gradingPeriods",): Route(CORE, lambda view, _: _sessions(view, "gradingPeriod")),
    ("demographics",): Route(DEMOGRAPHICS, lambda view, _: _demographics(view)),
    ("schools", "students"): Route(FULL, lambda view, ids: _users(view, STUDENT, _school(view, ids))),
    ("schools", "teachers"): Route(FULL, lambda view, ids: _users(view, TEACHER, _school(view, ids))),
    ("schools", "enrollments"): Route(FULL, _school_enrollments),
    ("schools", "classes"): Route(FULL, lambda v, ids: _classes(v, v.studies.class_positions(_school(v, ids)))),
    ("schools", "courses"): Route(FULL, _school_courses),
    ("schools", "terms"): Route(FULL, _school_terms),
    ("schools", "classes", "students"): Route(FULL, _class_people(STUDENT)),
    ("schools", "classes", "teachers"): Route(FULL, _class_people(TEACHER)),
    ("schools", "classes", "enrollments"): Route(FULL, _class_enrollments),
    ("classes", "students"): Route(FULL, _class_people(STUDENT)),
    ("classes", "teachers"): Route(FULL, _class_people(TEACHER)),
    ("courses", "classes"): Route(FULL, _course_classes),
    ("terms", "classes"): Route(FULL, _term_classes),
    ("terms", "gradingPeriods"): Route(FULL, lambda v, ids: _sessions(v, "gradingPeriod", _term(v, ids))),
    ("students", "classes"): Route(FULL, _person_classes(STUDENT)),
    ("teachers", "classes"): Route(FULL, _person_classes(TEACHER)),
    ("users", "classes"): Route(FULL, _person_classes(None)),
}
"""For the names on the path, without the ids between them: what is there.

Single objects are below the paths of one name.
"""


def discovery_document(root: str, token_url: str) -> Record:
    """The OpenAPI document of a service: its root URL, its token endpoint, its scopes and its paths."""
    scopes = {SCOPE_PREFIXES["1.2"] + name: name for name in ROSTER_SCOPES}
    flow = {"clientCredentials": {"tokenUrl": token_url, "scopes": scopes}}
    paths: dict[str, Record] = {}
    for names, route in ROUTES.items():
        path = "/{id}/".join(("", *names)).removeprefix("/{id}") if len(names) > 1 else f"/{names[0]}"
        paths[path] = {"get": {"responses": {"200": {"description": "the collection"}}}}
        if len(names) == 1 and route.scope != FULL:
            paths[f"{path}/{{sourcedId}}"] = {"get": {"responses": {"200": {"description": "one object"}}}}
    return {
        "openapi": "3.0.1",
        "info": {"title": "OneRoster rostering, simulated", "version": "1.2"},
        "servers": [{"url": root}],
        "paths": paths,
        "components": {"securitySchemes": {"OAuth2CC": {"type": "oauth2", "flows": flow}}},
    }
