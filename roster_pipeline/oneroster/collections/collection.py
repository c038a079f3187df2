"""A collection: requests its pages in the form that the server accepts, and reads the responses."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from roster_pipeline.oneroster.collections.paging import Page, PagingHabits
from roster_pipeline.oneroster.collections.response_body import (
    PARTIAL,
    PageBody,
    comes_twice,
    next_in_header,
    records_of,
    total_in_header,
    web_page,
)
from roster_pipeline.oneroster.errors import (
    Busy,
    Dribbling,
    NotOffered,
    NotOneRoster,
    Refused,
    RequestRefused,
    ServerFailed,
    TooLarge,
)
from roster_pipeline.oneroster.http.endpoint import with_query
from roster_pipeline.oneroster.http.http_session import HttpSession
from roster_pipeline.oneroster.http.response import (
    MOST_AHEAD,
    MOST_STRUCTS,
    Response,
    overgrown,
    structs_size,
    too_many_values,
    values_size,
)
from roster_pipeline.oneroster.records.coercion import AGENTS
from roster_pipeline.oneroster.records.known_users import KnownUsers
from roster_pipeline.oneroster.records.usual_users import usual_users

REVISION_HEADERS = ("x-perm-rev",)
TRIES_BEFORE_SHRINKING = 2
ANOTHER_DAY = "another-day"
"""Problem slug of a page that is dated more than a day from our clock."""
FEWEST_AHEAD = 2
"""Pages to request while one is processed. More, up to the limit, only while we wait for the server."""


class TooLargeAhead(Exception):
    """A page that was requested before its turn is too large to keep until then. It is requested again."""


@dataclass
class Collection:
    """A collection of one root.

    key: the standard's name of its list in the body. label: the path without ids, for messages. filter: the standard's
    filter text. base_query: sent with every request. known: recognises users of the last pull. backwards: in the
    opposite order, if the server accepts a sort.
    """

    session: HttpSession
    habits: PagingHabits
    root: str
    path: str
    key: str
    label: str
    filter: str | None = None
    base_query: str = ""
    known: KnownUsers | None = None
    backwards: bool = False

    def url(self, offset: int, limit: int | None) -> str:
        """The complete URL of one page. Only parameters of the standard, because servers answer others with 400."""
        parameters: list[tuple[str, str]] = []
        if limit is not None:
            parameters.append(("limit", str(limit)))
        if limit is not None or offset:
            parameters.append(("offset", str(offset)))
        if self.habits.sort:
            parameters += [("sort", "sourcedId"), ("orderBy", "desc" if self.backwards else "asc")]
        if self.filter is not None:
            parameters.append(("filter", self.filter))
        return with_query(self.root + self.path, parameters, self.base_query)

    def linked(self, query: str) -> Page:
        """The page that the page before announced. query: of its address. Limit, order and filter stay ours, because
        links lack them or have others, and pages of another size or order would leave people out. Of a server that does
        not take them beside its cursor, only the filter stays."""
        own = urlsplit(self.url(0, self.habits.limit)).query.split("&")
        replaced = {"offset"} | ({"limit", "sort", "orderby"} if self.habits.as_announced else set())
        ours = [part for part in own if _name(part) not in replaced]
        names = {_name(part) for part in ours}
        parts = (*ours, *(part for part in query.split("&") if _name(part) not in names))
        url = with_query(self.root + self.path, [], "&".join(filter(None, parts)))
        return self._ask(url, self.habits.limit, None, ahead=False)

    def counts_page(self, size: int, total: int | None) -> bool | None:
        """Whether a total that is the size of the only page says nothing about the list: another one comes if one
        record is requested. None if the server ignores the limit. A total that was proved is not asked for again while
        the list is as long as it was."""
        habits, label = self.habits, self.label
        known = label in habits.counted and size >= habits.longest.get(label, 0)
        if known or size < 2 or habits.limit is None or self.filter is not None:
            return False
        with suppress(NotOffered, RequestRefused, ServerFailed):
            probe = self.page(0, 1)
            if len(probe.records) == 1:
                habits.counted.update({label} if probe.total == total else ())
                return probe.total == 1
            return None
        return False

    def page(self, offset: int, limit: int | None = None, *, ahead: bool = False) -> Page:
        """Fetch one page; if the server fails on a large page, a smaller one from the same offset.

        limit: caps the page, to fill a gap. ahead: the page is fetched before its turn; raises TooLargeAhead if it is
        too large to keep in memory until then. Raises the error that remains after retries and smaller pages.
        """
        habits = self.habits
        most = habits.limit if limit is None or habits.limit is None else min(limit, habits.limit)
        smallest = self.session.endpoint.limits.smallest_page
        while True:
            shrinkable = most is not None and most > smallest
            try:
                attempts = TRIES_BEFORE_SHRINKING if shrinkable else None
                page = self._ask(self.url(offset, most), most, attempts, ahead=ahead)
            except (ServerFailed, TooLarge) as problem:
                if not shrinkable or most is None or isinstance(problem, Busy | Dribbling):
                    raise
                most = max(smallest, most // 2)
                continue
            if most is not None and habits.limit is not None and limit is None:
                habits.limit = min(habits.limit, most)
            return page

    def first(self) -> Page:
        """The first page, with the first form of the request that the server accepts.

        Servers answer an unknown parameter with 400, 403, 404 or a failure. After 400, other forms are always tried;
        after the others, only on the first listing of a session.
        """
        habits = self.habits
        try:
            page = self.page(0)
        except (RequestRefused, Refused, NotOffered, ServerFailed) as refusal:
            bad = isinstance(refusal, RequestRefused)
            if self.filter is not None or not (bad or habits.is_doubtful(refusal)):
                raise
            for way in habits.alternatives() if bad else habits.plainer():
                try:
                    page = replace(self, habits=way).page(0)
                except (RequestRefused, Refused, NotOffered, ServerFailed):
                    continue
                habits.limit, habits.sort = way.limit, way.sort
                break
            else:
                raise refusal from None
        habits.worked = True
        return page

    def _ask(self, url: str, limit: int | None, attempts: int | None, *, ahead: bool) -> Page:
        def page(response: Response) -> Page:
            body: PageBody | None = None
            try:
                body = self._read(response, ahead)
            except NotOneRoster:
                if not self.session.answered:
                    raise
            if body is None:  # raised here, the error does not keep the body alive
                raise web_page(self.label)
            self.session.answered.add(self.label)
            total = total_in_header(response)
            revision = next((response.headers[name] for name in REVISION_HEADERS if name in response.headers), None)
            announced = [query for query in (next_in_header(response), body.next) if query is not None]
            twice = PARTIAL if comes_twice(response.body, self.key) else None
            caveat = body.caveat or twice or (None if response.is_of_today(self.session.clock.now()) else ANOTHER_DAY)
            stated = body.total if total is None else total
            return Page(body.records, limit, stated, max(announced, default=None), revision, caveat)

        return self.session.read(url, self.label, page, attempts)

    def ahead(self, executor: Executor, first: int, total: int, step: int, shared: int) -> Generator[tuple[int, Page]]:
        """The pages up to a total, several requested at the same time; each with the offset that was requested, in
        order.

        first: the offset of the first page. step: records to request. shared: how many of them each page has in common
        with the page before. Raises the errors of `page`, and TooLargeAhead.
        """
        planned: deque[tuple[int, Future[Page]]] = deque()
        window = FEWEST_AHEAD
        try:
            while planned or first + shared < total:
                while first + shared < total and len(planned) < min(window, self.session.parallel):
                    planned.append((first, executor.submit(self.page, first, step, ahead=True)))
                    first += step - shared
                asked, future = planned.popleft()
                window = max(FEWEST_AHEAD, window - 1) if future.done() else window + 1
                page = future.result()
                del future
                yield asked, page
        finally:
            for _, future in planned:
                future.cancel()

    def _read(self, response: Response, ahead: bool) -> PageBody:
        """The records; already read if all are usual users. Raises TooLargeAhead for a large page before its turn."""
        of_agents = any(key.startswith(AGENTS) for key in self.session.endpoint.metadata_keys)
        if self.key == "users" and response.status == 200 and not of_agents:
            size = structs_size(response.body)
            if ahead and size > MOST_AHEAD:
                raise TooLargeAhead
            read = self.known.users_of if self.known is not None else usual_users
            usual = read(response.body) if size <= MOST_STRUCTS else None
            if usual is not None:
                return PageBody(usual)
        size = values_size(response.body)
        if ahead and size > MOST_AHEAD:
            raise TooLargeAhead
        body = records_of(response, self.key, self.label)
        if size > MOST_AHEAD and overgrown(body.records):
            body.records.clear()
            raise too_many_values()
        return body


def _name(parameter: str) -> str:
    """The name of a parameter in lower case, because servers write `Limit` and `limit`."""
    return parameter.partition("=")[0].lower()
