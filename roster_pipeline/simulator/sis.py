"""One simulated SIS: a district behind a prefix, with its credentials, faults, tokens and request log."""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from roster_pipeline.simulator.authorization import Access, Tokens
from roster_pipeline.simulator.catalog import DISCOVERY_FILES, FULL, ROUTES, Listing, discovery_document
from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.messages import ROOTS, V12, Answer, Call, RequestError, error_payload
from roster_pipeline.simulator.pages import collection_answer
from roster_pipeline.simulator.view import RevisionCache, View
from roster_pipeline.simulator.wire_faults import early_answer

DEMO_CREDENTIALS: Mapping[str, str] = {"demo-client": "demo-secret"}
TOKEN_PATHS = ("/oauth/token", "/token", "/oauth/access_token", "/oauth2/token")
"""The path of the token endpoint below the prefix. It also answers at `/token` below each root."""
PLAIN_V1P2 = "/ims/oneroster/v1p2"
"""The path at which some products have 1.2, which the standard does not allow."""
LOGGED_REQUESTS = 10_000


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


class PageCache:
    """Finished pages of one state of the district, so that a benchmark of a client measures the client. The page that
    was used longest ago is dropped first. With 0 megabytes nothing is kept."""

    def __init__(self, megabytes: int = 0) -> None:
        self._room = megabytes << 20
        self._pages: OrderedDict[tuple[str, str, str], Answer] = OrderedDict()
        self._size = 0
        self._state: tuple[int, ...] = ()

    def get(self, state: tuple[int, ...], call: Call, make: Callable[[], Answer]) -> Answer:
        """The stored answer to the same call, or a new one. Another `state` than last time empties the cache."""
        if not self._room:
            return make()
        if state != self._state:
            self._pages.clear()
            self._size, self._state = 0, state
        key = (call.origin, call.path, call.query_string)
        if (kept := self._pages.get(key)) is not None:
            self._pages.move_to_end(key)
            return kept
        answer = make()
        answer.body = answer.content()
        self._pages[key] = answer
        self._size += len(answer.body)
        while self._size > self._room:
            _, dropped = self._pages.popitem(last=False)
            self._size -= len(dropped.body)
        return answer


class Sis:
    """One SIS of a site. prefix: the path before `/ims/...`. page_cache_megabytes: for finished pages (benchmarks)."""

    def __init__(
        self,
        district: District,
        *,
        prefix: str = "",
        credentials: Mapping[str, str] = DEMO_CREDENTIALS,
        faults: Faults | None = None,
        versions: Sequence[str] = tuple(ROOTS),
        page_cache_megabytes: int = 0,
    ) -> None:
        self.district = district
        self.prefix = prefix.rstrip("/")
        self.faults = faults or Faults()
        self.versions = tuple(versions)
        self.tokens = Tokens(credentials, self.faults)
        self.access = Access(self.tokens, self.faults)
        self.cache = RevisionCache(district, self.faults)
        self.log = RequestLog()
        self.pages = PageCache(page_cache_megabytes)
        self.recent: list[float] = []

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
                return early_answer(self, call, at_once) or self._read(call)
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

        if self.faults.active():
            return make()
        return self.pages.get((self.district.revision, self.faults.revision), call, make)

    def _single(self, call: Call, listing: Listing) -> Answer:
        position = listing.find(call.ids[-1])
        if position is None:
            raise RequestError(404, f"no {listing.single} with this sourcedId")
        record = listing.render(position)
        if listing.plural == "users" and self.faults.on("user_single_as_list"):
            return Answer(200, {listing.plural: [record]})
        key = "school" if listing.single == "org" and self.faults.on("envelope", "school") else listing.single
        return Answer(200, {key: record})
