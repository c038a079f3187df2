"""One simulated SIS: a district behind a prefix, with its credentials, faults, tokens and request log.

Its paths are the collections of the standard's rostering service that say who is in which school, and 1.2's discovery
document, which lists them.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from roster_pipeline.simulator.authorization import CORE, FULL, ROSTER_SCOPES, SCOPE_PREFIXES, Access, Tokens
from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.messages import ROOTS, V12, Answer, Call, Record, RequestError, error_payload
from roster_pipeline.simulator.pages import collection_answer
from roster_pipeline.simulator.person import STUDENT, TEACHER
from roster_pipeline.simulator.view import Listing, RevisionCache, View
from roster_pipeline.simulator.wire_faults import early_answer

DEMO_CREDENTIALS: Mapping[str, str] = {"demo-client": "demo-secret"}
TOKEN_PATHS = ("/oauth/token", "/token", "/oauth/access_token", "/oauth2/token")
"""The path of the token endpoint below the prefix. It also answers at `/token` below each root."""
PLAIN_V1P2 = "/ims/oneroster/v1p2"
"""The path at which some products have 1.2, which the standard does not allow."""
LOGGED_REQUESTS = 10_000
DISCOVERY_FILES = ("onerosterv1p2rostersservice_openapi3_v1p0.json", "imsorv1p2_rostering_openapi3_v1p0.json")
"""Two documents of the standard name the file differently; the simulator answers to both names."""


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


class LoggedRequest(NamedTuple):
    """One request that was answered. query: the query string as it came."""

    method: str
    resource: str
    path: str
    query: str
    status: int


class RequestLog:
    """The last requests, and counts of all. Safe across threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self.entries: deque[LoggedRequest] = deque(maxlen=LOGGED_REQUESTS)
            self.by_resource: Counter[str] = Counter()
            self.total = 0
            self.most_at_once = 0
            self.at_once = 0

    def begin(self) -> int:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            return self.at_once

    def end(self, request: LoggedRequest) -> None:
        with self._lock:
            self.at_once = max(0, self.at_once - 1)
            self.total += 1
            self.by_resource[request.resource] += 1
            self.entries.append(request)

    def summary(self) -> dict[str, Any]:
        """Counts and the last requests, as JSON values."""
        with self._lock:
            return {
                "total": self.total,
                "most_at_once": self.most_at_once,
                "by_resource": dict(self.by_resource),
                "requests": [request._asdict() for request in self.entries],
            }


class Sis:
    """One SIS of a site. prefix: the path before `/ims/...`. keep_pages: a page is made once
    until something changes, so that a benchmark of a client measures the client."""

    def __init__(
        self,
        district: District,
        *,
        prefix: str = "",
        credentials: Mapping[str, str] = DEMO_CREDENTIALS,
        faults: Faults | None = None,
        versions: Sequence[str] = tuple(ROOTS),
        keep_pages: bool = False,
    ) -> None:
        self.district = district
        self.prefix = prefix.rstrip("/")
        self.faults = faults or Faults()
        self.versions = tuple(versions)
        self.tokens = Tokens(credentials, self.faults)
        self.access = Access(self.tokens, self.faults)
        self.cache = RevisionCache(district, self.faults)
        self.log = RequestLog()
        self.keep_pages = keep_pages

    def reset(self) -> None:
        """Back to the first day: no changes, no faults, no tokens, no log."""
        self.district.reset()
        self.faults.clear()
        self.tokens.revoke_all()
        self.log.clear()

    def is_token_path(self, path: str) -> bool:
        if self.faults.on("token_path"):
            return path == self.faults.text("token_path")
        return path in TOKEN_PATHS or any(path == f"{root}/token" for root in ROOTS.values())

    def token(self, call: Call) -> Answer:
        if self.faults.on("token_error"):
            return Answer(self.faults.number("token_error"), b"<html>error</html>", media_type="text/html")
        if self.faults.on("token_moved") and "moved" not in call.query_string:
            return Answer(self.faults.number("token_moved"), b"", {"Location": f"{call.path}?moved=1"})
        return self.tokens.answer(call)

    def read(self, call: Call, at_once: int = 1) -> Answer:
        """Answer one GET of the rostering service. at_once: requests in progress, this one included."""
        try:
            with self.district.lock:
                self._locate(call)
                return early_answer(self.faults, call, at_once, self.tokens, self.district) or self._read(call)
        except RequestError as error:
            shape = self.faults.text("error_shape") or "standard"
            if shape == "plain":
                return Answer(error.status, error.description.encode(), error.headers, "text/plain")
            payload = error_payload(call.version, error.code_minor, error.description, shape)
            return Answer(error.status, payload, error.headers)

    def _locate(self, call: Call) -> None:
        """Find the version and the root in the path, and write them into the call."""
        below = call.path.removeprefix(self.prefix)
        for version in self.versions:
            root = PLAIN_V1P2 if version == V12 and self.faults.on("plain_v1p2") else ROOTS[version]
            root += self.faults.text("root_suffix")
            if below == root or below.startswith(f"{root}/"):
                call.version, call.root = version, f"{call.origin}{self.prefix}{root}"
                call.split(below.removeprefix(root))
                return
        call.version = V12
        raise RequestError(404, "no such path")

    def _read(self, call: Call) -> Answer:
        if call.version == V12 and call.names == ("discovery",) and call.ids and call.ids[0] in DISCOVERY_FILES:
            token_path = self.faults.text("token_path") or f"{self.prefix}{TOKEN_PATHS[0]}"
            return Answer(200, discovery_document(call.root, call.origin + token_path))
        route = ROUTES.get(call.names)
        if route is None:
            raise RequestError(404, "no such path")
        if call.method != "GET":
            raise RequestError(405, "rostering is read-only", headers={"Allow": "GET"})
        single = len(call.ids) == len(call.names)
        if single and (len(call.names) != 1 or route.scope == FULL):
            raise RequestError(404, "no such path")
        self.access.require(call, route.scope)
        view = View(self.district, call.version, call.root, self.faults, self.cache)
        if single:
            return self._single(call, route.make(view, call.ids))

        def make() -> Answer:
            return collection_answer(view, call, route.make(view, call.ids))

        def finished() -> Answer:
            answer = make()
            answer.body = answer.content()
            return answer

        if not self.keep_pages or self.faults.active():
            return make()
        kept: Answer = self.cache.get(("page", call.origin, call.path, call.query_string), finished)
        return kept

    def _single(self, call: Call, listing: Listing) -> Answer:
        position = listing.find(call.ids[-1])
        if position is None:
            raise RequestError(404, f"no {listing.single} with this sourcedId")
        record = listing.render(position)
        if listing.plural == "users" and self.faults.on("user_single_as_list"):
            return Answer(200, {listing.plural: [record]})
        key = "school" if listing.single == "org" and self.faults.on("envelope", "school") else listing.single
        return Answer(200, {key: record})


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
