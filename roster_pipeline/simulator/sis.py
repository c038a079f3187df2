"""One simulated SIS: a district behind a prefix, with its credentials, faults, tokens and request log."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from roster_pipeline.simulator import discovery
from roster_pipeline.simulator.call import Answer, Call
from roster_pipeline.simulator.catalog import FULL, ROUTES, Listing
from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.error_responses import RequestError, error_payload
from roster_pipeline.simulator.fault_table import FAULTS
from roster_pipeline.simulator.faults import Faults, table
from roster_pipeline.simulator.gate import early_reply
from roster_pipeline.simulator.listing import select
from roster_pipeline.simulator.page_cache import PageCache
from roster_pipeline.simulator.pages import collection_reply
from roster_pipeline.simulator.payload import ROOTS, V12, Record
from roster_pipeline.simulator.query import Query, read_fields
from roster_pipeline.simulator.request_log import RequestLog
from roster_pipeline.simulator.sis_access import Access
from roster_pipeline.simulator.tokens import Tokens
from roster_pipeline.simulator.view import View

DEMO_CREDENTIALS: Mapping[str, str] = {"demo-client": "demo-secret"}
TOKEN_PATHS = ("/oauth/token", "/token", "/oauth/access_token", "/oauth2/token")
"""Where the token endpoint answers below the prefix; below each root at `/token` too."""
PLAIN_V1P2 = "/ims/oneroster/v1p2"
"""Where some products put 1.2, against the standard."""


def new_faults(*specs: str) -> Faults:
    """A fresh switchboard with every known fault, some of them on from the start."""
    return Faults(table(FAULTS), *specs)


class RevisionCache:
    """Keeps what is expensive for one state of district and faults, drops them when either changes."""

    def __init__(self, district: District, faults: Faults) -> None:
        self._district, self._faults = district, faults
        self._state = (-1, -1)
        self._held: dict[tuple[object, ...], Any] = {}
        self._lock = threading.RLock()

    def get(self, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """The stored value, made on the first call."""
        with self._lock:
            state = (self._district.revision, self._faults.revision)
            if state != self._state:
                self._held, self._state = {}, state
            if key not in self._held:
                self._held[key] = make()
            return self._held[key]


class Sis:
    """Everything one mounted SIS needs. `prefix` is what stands between host and `/ims/...`.

    page_cache_megabytes: room for finished pages that are served again while nothing changes; for benchmarks.
    """

    def __init__(
        self,
        district: District,
        *,
        prefix: str = "",
        credentials: Mapping[str, str] = DEMO_CREDENTIALS,
        faults: Faults | None = None,
        versions: Sequence[str] = tuple(ROOTS),
        control: bool = True,
        page_cache_megabytes: int = 0,
    ) -> None:
        self.district = district
        self.prefix = prefix.rstrip("/")
        self.faults = faults or new_faults()
        self.versions = tuple(versions)
        self.control = control
        self.tokens = Tokens(credentials, self.faults)
        self.access = Access(self.tokens, self.faults)
        self.cache = RevisionCache(district, self.faults)
        self.log = RequestLog()
        self.pages = PageCache(page_cache_megabytes)
        self.recent: list[float] = []

    def reset(self) -> None:
        """The first day again: no changes, no faults, no tokens, no log."""
        self.district.reset()
        self.faults.clear()
        self.tokens.revoke_all()
        self.log.clear()

    def is_token_path(self, path: str) -> bool:
        """Whether a path below the prefix is a token endpoint."""
        if self.faults.on("token_path"):
            return path == self.faults.text("token_path")
        return path in TOKEN_PATHS or any(path == f"{root}/token" for root in ROOTS.values())

    def token(self, call: Call) -> Answer:
        """Answer a POST to the token endpoint."""
        if self.faults.on("token_error"):
            return Answer(self.faults.number("token_error"), b"<html>error</html>", media_type="text/html")
        if self.faults.on("token_moved") and "moved" not in call.query_string:
            return Answer(self.faults.number("token_moved"), b"", {"Location": f"{call.path}?moved=1"})
        answer = self.tokens.answer(call.headers, call.query_string, call.body)
        return Answer(answer.status, answer.body, answer.headers)

    def read(self, call: Call, at_once: int = 1) -> Answer:
        """Answer one GET of the rostering service."""
        try:
            with self.district.lock:
                self._locate(call)
                return early_reply(self, call, at_once) or self._read(call)
        except RequestError as fault:
            shape = self.faults.text("error_shape") or "standard"
            if shape == "plain":
                return Answer(fault.status, fault.description.encode(), fault.headers, "text/plain")
            payload = error_payload(call.version, fault.code_minor, fault.description, shape)
            return Answer(fault.status, payload, fault.headers)

    def _read(self, call: Call) -> Answer:
        if call.version == V12 and call.names == ("discovery",) and call.ids and call.ids[0] in discovery.FILES:
            if self.faults.on("discovery", "off"):
                raise RequestError(404, "no such path")
            token_path = self.faults.text("token_path") or f"{self.prefix}{TOKEN_PATHS[0]}"
            return Answer(200, discovery.discovery_document(call.root, call.origin + token_path))
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
            return collection_reply(view, call, route.make(view, call.ids))

        if self.faults.active():
            return make()
        return self.pages.get((self.district.revision, self.faults.revision), call, make)

    def _locate(self, call: Call) -> None:
        """Find version and root in the path."""
        for version in self.versions:
            below = call.path.removeprefix(self.prefix)
            for root in self._roots(version):
                if below == root or below.startswith(f"{root}/"):
                    call.version, call.root = version, f"{call.origin}{self.prefix}{root}"
                    call.split(below.removeprefix(root))
                    return
        call.version = V12
        raise RequestError(404, "no such path")

    def _roots(self, version: str) -> list[str]:
        """Where a version stands below the prefix at the moment."""
        roots = [ROOTS[version]]
        if version == V12 and self.faults.on("plain_v1p2"):
            roots = [PLAIN_V1P2] if self.faults.on("plain_v1p2", "only") else [*roots, PLAIN_V1P2]
        return [f"{root}{self.faults.text('root_suffix')}" for root in roots]

    def _single(self, call: Call, listing: Listing) -> Answer:
        position = listing.find(call.ids[-1])
        if position is None:
            raise RequestError(404, f"no {listing.single} with this sourcedId")
        parameters = dict(call.parameters())
        query = Query()
        if "fields" in parameters:
            read_fields(query, parameters["fields"], listing.plural, call.version)
        record: Record = select(listing.render(position), query.fields)
        key = "school" if listing.single == "org" and self.faults.on("envelope", "school") else listing.single
        if listing.plural == "users" and self.faults.on("user_single_as_list"):
            return Answer(200, {listing.plural: [record]})
        return Answer(200, {key: record})
