"""The collections of the standard's rostering service that say who is in which school: path, envelope, scope, records.
Also 1.2's discovery document, which lists them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from roster_pipeline.simulator.messages import Record
from roster_pipeline.simulator.person import STUDENT, TEACHER
from roster_pipeline.simulator.view import View

SCOPE_PREFIXES = {
    "1.1": "https://purl.imsglobal.org/spec/or/v1p1/scope/",
    "1.2": "https://purl.imsglobal.org/spec/or/v1p2/scope/",
}
CORE, FULL = "roster-core.readonly", "roster.readonly"
ROSTER_SCOPES = (CORE, FULL, "roster-demographics.readonly")
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


def _enrollments(view: View, positions: Sequence[int]) -> Listing:
    return Listing("enrollments", "enrollment", positions, view.studies.enrollment, view.studies.find_enrollment)


def _school(view: View, ids: Sequence[str]) -> str:
    return view.require_school(ids[0])


def _school_enrollments(view: View, ids: Sequence[str]) -> Listing:
    school = _school(view, ids)
    members = sorted({*view.rows(STUDENT, school), *view.rows(TEACHER, school)})
    positions = view.studies.enrollment_positions(members)
    return _enrollments(view, [p for p in positions if view.studies.enrollment_school(p) == school])


ROUTES: dict[tuple[str, ...], Route] = {
    ("orgs",): Route(CORE, lambda view, _: _orgs(view)),
    ("schools",): Route(CORE, lambda view, _: _orgs(view, "school")),
    ("users",): Route(CORE, lambda view, _: _users(view)),
    ("students",): Route(CORE, lambda view, _: _users(view, STUDENT)),
    ("teachers",): Route(CORE, lambda view, _: _users(view, TEACHER)),
    ("enrollments",): Route(CORE, lambda view, _: _enrollments(view, view.enrollment_positions())),
    ("schools", "students"): Route(FULL, lambda view, ids: _users(view, STUDENT, _school(view, ids))),
    ("schools", "teachers"): Route(FULL, lambda view, ids: _users(view, TEACHER, _school(view, ids))),
    ("schools", "enrollments"): Route(FULL, _school_enrollments),
}
"""By the names on the path, without the ids between them. Single objects are below the paths of one name."""


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
