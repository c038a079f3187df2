"""The person who is signed in, and what they may see. For a viewer, everything else does not exist."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request

from roster_pipeline.directory import tenants
from roster_pipeline.directory.accounts import Account
from roster_pipeline.directory.tenants import ConnectionRow, DistrictRow, SchoolRow, UnknownKey
from roster_pipeline.vocabulary import similar

NOTHING_HERE = "This page does not exist, or you may not see it."
MOST_SCHOOLS = 5000
"""A mistyped key is looked for among at most so many schools."""
LONGEST_KEY = 64


class NoSuchSchool(HTTPException):
    """The viewer has no such school. meant: key and name of the viewer's schools whose key is similar to the key in the
    path."""

    def __init__(self, meant: list[tuple[str, str]]) -> None:
        super().__init__(404, NOTHING_HERE)
        self.meant = meant


@dataclass(frozen=True)
class Viewer:
    """The person who is signed in. An operator sees everything, a manager the schools of districts, an owner
    schools."""

    account_id: int
    email: str
    name: str
    operator: bool
    districts: frozenset[int]
    schools: frozenset[int]

    @classmethod
    def of(cls, account: Account) -> Viewer:
        """The viewer of an account."""
        return cls(account.id, account.email, account.name, account.operator, account.districts, account.schools)

    def may_see(self, school: SchoolRow) -> bool:
        """Whether they may see the school, with all of its pages, settings and decisions."""
        return self.may_manage(school.district_id) or school.id in self.schools

    def may_manage(self, district_id: int) -> bool:
        """Whether they may add schools and connections to this district, and give others access."""
        return self.operator or district_id in self.districts

    @property
    def may_give_access(self) -> bool:
        """Whether there is anything that they could grant."""
        return self.operator or bool(self.districts)

    @property
    def who(self) -> str:
        """The name for the audit."""
        return self.email


def viewer(request: Request) -> Viewer:
    """Who is signed in. Only pages behind the sign-in may call this: for them, somebody is always signed in."""
    found = request.state.viewer
    if not isinstance(found, Viewer):
        raise HTTPException(401)
    return found


def school_of(request: Request, opened: Connection) -> SchoolRow:
    """The school in the path.

    Raises NoSuchSchool, both if the school does not exist and if it belongs to somebody else.
    """
    key, who = request.path_params["key"], viewer(request)
    try:
        school = tenants.get_school(opened, key)
    except UnknownKey:
        raise NoSuchSchool(_like(opened, who, key)) from None
    if not who.may_see(school):
        raise NoSuchSchool(_like(opened, who, key))
    return school


def _like(opened: Connection, who: Viewer, key: str) -> list[tuple[str, str]]:
    """Key and name of the viewer's schools whose key is similar to this one."""
    if len(key) > LONGEST_KEY:
        return []
    names = dict(tenants.school_names(opened, None if who.operator else who.districts, who.schools, limit=MOST_SCHOOLS))
    return [(near, names[near]) for near in similar(key, names)]


def zone_of(who: Viewer, opened: Connection) -> str:
    """The time zone of pages that are not about a single school: the zone of most of the viewer's schools."""
    return tenants.usual_time_zone(opened, None if who.operator else who.districts, who.schools) or "UTC"


def district_of(request: Request, opened: Connection, key: str) -> DistrictRow:
    """A district that the viewer manages. Raises HTTPException 404, also if the district does not exist."""
    try:
        district = tenants.get_district(opened, key)
    except UnknownKey:
        raise nothing_here() from None
    if not viewer(request).may_manage(district.id):
        raise nothing_here()
    return district


def connection_of(request: Request, opened: Connection) -> ConnectionRow:
    """The connection in the path, of a district that the viewer manages. Raises HTTPException 404."""
    try:
        connection = tenants.get_connection(opened, request.path_params["connection"])
    except UnknownKey:
        raise nothing_here() from None
    if not viewer(request).may_manage(connection.district_id):
        raise nothing_here()
    return connection


def nothing_here() -> HTTPException:
    """The answer for everything that a viewer may not know about."""
    return HTTPException(404, NOTHING_HERE)
