"""One session with one SIS. It connects when first needed; the end of `with` closes it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, tzinfo
from functools import partial
from typing import Any, Self
from uuid import uuid4

from roster_pipeline.oneroster.collections.collection import Collection
from roster_pipeline.oneroster.collections.listing import Listing
from roster_pipeline.oneroster.collections.paging import PagingHabits, Revision
from roster_pipeline.oneroster.collections.proof import Repetitions
from roster_pipeline.oneroster.collections.response_body import single_record, unsure
from roster_pipeline.oneroster.collections.wanted import LISTED
from roster_pipeline.oneroster.errors import (
    NotOffered,
    NotOneRoster,
    OneRosterError,
    Redirected,
    Refused,
    RequestRefused,
    SchoolNotFound,
    ServerFailed,
    SignInRefused,
)
from roster_pipeline.oneroster.http.discovery import Discovery
from roster_pipeline.oneroster.http.endpoint import Clock, Endpoint, segment, with_query
from roster_pipeline.oneroster.http.error_mapping import UNKNOWN_TOO, unreadable
from roster_pipeline.oneroster.http.http_session import HttpSession
from roster_pipeline.oneroster.http.oauth2 import Connected, recalled
from roster_pipeline.oneroster.records.orgs import org_of, orgs_of
from roster_pipeline.oneroster.records.user_records import UserReader
from roster_pipeline.oneroster.witness import Answer, WitnessReport, ask_witness
from roster_pipeline.org_tree import orgs_meant

OUTDATED = (NotOffered, NotOneRoster, RequestRefused, SignInRefused)
"""Errors that may mean that the facts of an earlier session are outdated. The client then searches again, once."""
UNKNOWN_STATUSES = (404, 410, None)
"""HTTP statuses that say that an object does not exist. Others only say that we cannot request it."""
SERVES_SINGLE_USERS = "single_users"
"""In `Client.learned`: this server has given a single user by id."""
MOST_PADDED_IDS = 50_000


class Client:
    """Reads one SIS. Synchronous; its own threads fetch pages and single users in parallel.

    learned: JSON values to store and to pass in `Endpoint.learned` of the next session: root, version, form of the
    sign-in, paging habits. It holds no secret.
    """

    def __init__(self, endpoint: Endpoint, clock: Clock | None = None) -> None:
        self.endpoint = endpoint
        self.clock = clock or Clock()
        self.session = HttpSession(endpoint, self.clock)
        self.learned: dict[str, Any] = dict(endpoint.learned)
        self.habits = PagingHabits.recalled(endpoint.page_size, endpoint.learned.get("paging") or {})
        self.executor = ThreadPoolExecutor(max_workers=max(1, endpoint.parallel), thread_name_prefix="oneroster")
        self._connected: Connected | None = None
        self._padded: dict[str, str] = {}
        self._nobody: dict[str, tuple[int | None, bool]] = {}
        self._lists: dict[str, tuple[list[dict[str, Any]], Iterator[dict[str, Any]]]] = {}
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.executor.shutdown(wait=True, cancel_futures=True)
        self.session.close()

    def connect(self) -> Connected:
        """Find root, version and sign-in of this SIS, or take those that an earlier session learned."""
        with self._lock:
            return self._connected or self._connect(recalled(self.session))

    def forget_learned(self) -> bool:
        """Find root, version and sign-in again if an earlier session learned them. True if so: then try once more."""
        with self._lock:
            if self._connected is None or not self._connected.remembered:
                return False
            self._connect(None)
            return True

    def _connect(self, earlier: Connected | None) -> Connected:
        self._connected = connected = earlier or Discovery(self.session).find()
        self.session.sign_in = connected.sign_in
        self.learned.update(connected.learned())
        return connected

    @property
    def version(self) -> str:
        """ "1.1" or "1.2"."""
        return self.connect().version

    def collection(self, path: str, key: str, label: str | None = None, query_filter: str | None = None) -> Collection:
        """A collection under the root. key: the standard's name of its list in the body. label: the path without ids,
        if that differs from `path`."""
        connected = self.connect()
        return Collection(
            self.session, self.habits, connected.root, path, key, label or path, query_filter, connected.address.query
        )

    def listing(
        self,
        collection: Collection,
        revision: Revision | None = None,
        repetitions: Repetitions | None = None,
        *,
        strict: bool = False,
    ) -> Listing:
        """One reading of a collection, with the paging habits of this server. For the parameters see `Listing`."""
        return Listing(collection, self.executor, revision, repetitions, strict=strict)

    def note_paging(self) -> None:
        """Put the paging habits into `learned`."""
        self.learned["paging"] = self.habits.as_dict()

    def orgs(self) -> Iterator[dict[str, Any]]:
        """All orgs that the SIS lists: of `/orgs`, or of `/schools` if that is refused."""
        for page in self.org_listing().pages():
            yield from orgs_of(page)[0]
        self.note_paging()

    def listed_orgs(self) -> Iterator[dict[str, Any]]:
        """The same, requested once for each client, and only as far as somebody reads."""
        return self._once("orgs", self.orgs)

    def _once(self, name: str, read: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        known, rest = self._lists.setdefault(name, ([], read()))
        yield from known
        try:
            for org in rest:
                known.append(org)
                yield org
        except OneRosterError:  # a list that broke off must not look complete
            del self._lists[name]
            raise

    def _schools(self) -> Iterator[dict[str, Any]]:
        """The orgs of `/schools`, for a SIS whose `/orgs` lacks them; none if the SIS does not offer `/schools`."""
        listing = self.listing(self.collection("/schools", "orgs"))
        for page in listing.pages() if listing.offered() is not None else ():
            yield from orgs_of(page)[0]

    def org_listing(self, revision: Revision | None = None, *, strict: bool = False) -> Listing:
        """The listing of `/orgs`, or of `/schools` if the first page of `/orgs` cannot be read."""
        try:
            return self._readable_orgs(revision, strict)
        except OUTDATED:
            if not self.forget_learned():
                raise
            return self._readable_orgs(revision, strict)

    def _readable_orgs(self, revision: Revision | None, strict: bool) -> Listing:
        refusals: list[OneRosterError] = []
        for path in ("/orgs", "/schools"):
            listing = self.listing(self.collection(path, "orgs"), revision, strict=strict)
            try:
                listing.open()
            except (NotOffered, Refused, RequestRefused, ServerFailed) as problem:
                if not unreadable(problem):
                    raise
                refusals.append(problem)
            else:
                return listing
        raise refusals[0]

    def find_org(self, school_id: str) -> dict[str, Any] | None:
        """The org with this School ID as its sourcedId, else as an identifier that only it has. None if there is none.
        Its member "foundBy" says which. Raises SchoolNotFound if several orgs have the identifier."""
        wanted = school_id.strip()
        alone = self.single_org(wanted)
        if alone is not None:
            return {**alone, "foundBy": "sourcedId"}
        found = orgs_meant(self.listed_orgs(), wanted) or orgs_meant(self._once("schools", self._schools), wanted)
        if len(found) > 1:
            raise SchoolNotFound.of_several(found)
        return found[0] if found else None

    def single_org(self, sourced_id: str) -> dict[str, Any] | None:
        """The org with this sourcedId, requested alone; None if the SIS does not give it."""
        for path in ("/orgs/", "/schools/"):
            record = self._single(path + segment(sourced_id), "orgs", path + "{id}", sourced_id)
            org = org_of(record, []) if record is not None else None
            if org is not None and org["sourcedId"] == sourced_id:
                return org
        return None

    def user_answers(self, sourced_ids: Sequence[str], role: str = "") -> dict[str, Answer]:
        """The SIS's answer for each id. Each id is requested alone; several requests run in parallel, within the host's
        limit. role: with a list of its own, in which an id is requested too if `/users` does not have it."""
        self.connect()
        reader = UserReader(self.endpoint.metadata_keys)

        def ask(sourced_id: str) -> Answer:
            spelled = self._padded.get(sourced_id, sourced_id)
            record = None
            for path in ("/users", *([LISTED[role]] if role in LISTED else [])):
                one = f"{path}/{segment(spelled)}"
                try:
                    record = record or self._single(one, "users", path + "/{id}", spelled, optional=False)
                except OneRosterError as problem:
                    if not self._means_unknown(problem, path):
                        return Answer("unanswered", None, type(problem).__name__)
            if record is None:
                padded = self.learned.get("padded_ids") and sourced_id not in self._padded
                return Answer("unanswered", None, "padded-ids") if padded else Answer("missing", None)
            user = reader.one(record, [])
            if user is None or user["sourcedId"] != sourced_id:
                return Answer("unanswered", None, "another-record")
            return Answer("found", user)

        unique = list(dict.fromkeys(sourced_ids))
        return dict(zip(unique, self.executor.map(ask, unique), strict=True))

    def _means_unknown(self, problem: OneRosterError, path: str) -> bool:
        """Whether an error is this SIS's answer for an unknown user: it says so, and a made-up user gets it too. A web
        page with 404 may be of a firewall; an answer without a user may hide one, if a made-up one gets 404."""
        nobody = self._refusal_of_nobody(path)
        if problem.status in (200, 204):
            return nobody[0] in (200, 204, *UNKNOWN_TOO)
        known = problem.status in (404, self.endpoint.unknown_user_status)
        return known and (problem.status, problem.web_page) == nobody

    def _refusal_of_nobody(self, path: str) -> tuple[int | None, bool]:
        """The HTTP status for an id that nobody has, and whether it was a web page; no status if it is not an error."""
        refusal: tuple[int | None, bool] = None, False
        if path not in self._nobody:
            try:
                self._single(f"{path}/{uuid4()}", "users", path + "/{id}", "", optional=False)
            except OneRosterError as problem:
                refusal = problem.status, problem.web_page
        return self._nobody.setdefault(path, refusal)

    def witness(
        self,
        sourced_ids: Sequence[str],
        school_id: str,
        present_ids: Sequence[str],
        today: date | None = None,
        zone: tzinfo = UTC,
        role: str = "",
    ) -> WitnessReport:
        """Request each person by id, after somebody present has proved that the SIS serves single users.

        present_ids: people who are in the school, of whom a few are requested. today, zone: the school's date and time
        zone, for roles that begin and end. role: of all these people; if `/users/{id}` answers for nobody present,
        the role's own list is asked as well. The session learns whether the SIS serves single users. See `ask_witness`.
        """
        report = WitnessReport({}, False)
        for of_role in ("", role) if role in LISTED else ("",):
            if not report.serves_single_users:
                report = ask_witness(
                    partial(self.user_answers, role=of_role), sourced_ids, school_id, present_ids,
                    today or self.clock.now().date(), list_orgs=lambda: [*self.orgs(), *self._schools()],
                    served_before=bool(self.learned.get(SERVES_SINGLE_USERS)), zone=zone,
                )  # fmt: skip
        if report.proved:
            self.learned[SERVES_SINGLE_USERS] = True
        return report

    def remember_padded(self, raw: str) -> None:
        """Keep an id that has outer blanks as the server spells it, because requests need exactly that."""
        self.learned["padded_ids"] = True
        if len(self._padded) < MOST_PADDED_IDS:
            self._padded[raw.strip()] = raw

    def _single(
        self, path: str, key: str, label: str, sourced_id: str, *, optional: bool = True
    ) -> dict[str, Any] | None:
        """One object as it came; None for 404, and for a response without it. optional: other errors give None as well,
        because there is another way to find the object."""
        connected = self.connect()
        try:
            response = self.session.get(with_query(connected.root + path, [], connected.address.query), label)
            if not response.is_of_today(self.clock.now()):
                raise unsure(label)
            return single_record(response, key, label, sourced_id)
        except SignInRefused:
            if not self.forget_learned():
                raise
            return self._single(path, key, label, sourced_id, optional=optional)
        except (NotOffered, Redirected, Refused, RequestRefused, ServerFailed, NotOneRoster) as problem:
            absent = isinstance(problem, NotOffered) and not optional
            if absent and not problem.of_today:
                raise unsure(label) from None
            if optional or (absent and problem.status in UNKNOWN_STATUSES and not problem.web_page):
                return None
            raise
