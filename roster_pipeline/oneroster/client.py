"""One session with one SIS: connected when first needed, closed by `with`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from types import TracebackType
from typing import Any

from roster_pipeline.oneroster.errors import (
    NotOffered,
    NotOneRoster,
    OneRosterError,
    Refused,
    RequestRefused,
    SchoolNotFound,
    ServerFailed,
    SignInRefused,
)
from roster_pipeline.oneroster.http.address import segment, with_query
from roster_pipeline.oneroster.http.connected import Connected, recalled
from roster_pipeline.oneroster.http.discovery import Discovery
from roster_pipeline.oneroster.http.endpoint import Clock, Endpoint
from roster_pipeline.oneroster.http.error_mapping import unreadable
from roster_pipeline.oneroster.http.http_session import HttpSession
from roster_pipeline.oneroster.http.oauth2 import OAuth2SignIn
from roster_pipeline.oneroster.paging.list_end import Revision
from roster_pipeline.oneroster.paging.listing import Listing
from roster_pipeline.oneroster.paging.page import Collection, PagingHabits
from roster_pipeline.oneroster.paging.response_body import single_record
from roster_pipeline.oneroster.paging.seen_ids import Repetitions
from roster_pipeline.oneroster.records.orgs import org_of, orgs_of
from roster_pipeline.oneroster.records.user_records import UserReader
from roster_pipeline.oneroster.witness import Answer, WitnessReport, ask_witness
from roster_pipeline.org_tree import is_school

STALE_MEMORY = (NotOffered, NotOneRoster, RequestRefused, SignInRefused)
"""Errors after which what an earlier session learned is doubted and found out anew, once."""
UNKNOWN_STATUSES = (404, 410, None)
"""What says that there is no such object; other answers that hold none say that it cannot be asked for."""
SERVES_SINGLE_USERS = "single_users"
"""In `Client.learned`: somebody has been fetched by id here."""
MOST_PADDED_IDS = 50_000


class Client:
    """Reads one SIS. Synchronous; its own threads fetch pages and single users at the same time.

    `learned` is what a caller may persist and hand back in `Endpoint.learned`: root, version, form of the sign-in,
    paging habits. It holds no secret.
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
        self._lock = threading.RLock()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.executor.shutdown(wait=True, cancel_futures=True)
        self.session.close()

    def connect(self) -> Connected:
        """Find out, or recall, how this SIS wants to be spoken to."""
        with self._lock:
            if self._connected is None:
                self._connected = recalled(self.session) or Discovery(self.session).find()
                self.session.sign_in = self._connected.sign_in
                self.learned.update(self._connected.learned())
            return self._connected

    def doubt_memory(self) -> bool:
        """Forget what was recalled, if it was; True if it makes sense to try again."""
        with self._lock:
            if self._connected is None or not self._connected.remembered:
                return False
            self._connected = Discovery(self.session).find()
            self.session.sign_in = self._connected.sign_in
            self.learned.update(self._connected.learned())
            return True

    @property
    def version(self) -> str:
        """ "1.1" or "1.2"."""
        return self.connect().version

    @property
    def root_url(self) -> str:
        """Where the collections live: what was understood of the pasted address."""
        return self.connect().root

    @property
    def granted_scopes(self) -> str | None:
        """The scopes the token response says were granted; None where it does not say."""
        sign_in = self.connect().sign_in
        return sign_in.granted if isinstance(sign_in, OAuth2SignIn) else None

    def collection(self, path: str, key: str, label: str | None = None, query_filter: str | None = None) -> Collection:
        """A collection under the root. label: the path without ids."""
        connected = self.connect()
        return Collection(self.session, connected.root, path, key, label or path, query_filter, connected.address.query)

    def listing(
        self,
        collection: Collection,
        revision: Revision | None = None,
        repetitions: Repetitions | None = None,
        *,
        strict: bool = False,
    ) -> Listing:
        """One reading of a collection with what is known of this server's paging.

        repetitions: what an earlier reading of the same collection found repeated.
        """
        return Listing(collection, self.habits, self.executor, revision, repetitions, strict=strict)

    def note_paging(self) -> None:
        """Remember how paging worked out."""
        self.learned["paging"] = self.habits.as_dict()

    def orgs(self) -> Iterator[dict[str, Any]]:
        """All orgs that can be listed: `/orgs`, or `/schools` where that is refused."""
        for page in self.org_listing().pages():
            yield from orgs_of(page)[0]
        self.note_paging()

    def _schools(self) -> Iterator[dict[str, Any]]:
        """The orgs of `/schools`, for a SIS whose `/orgs` lacks them; none where they are not offered."""
        listing = self.listing(self.collection("/schools", "orgs"))
        try:
            listing.open()
        except (NotOffered, Refused, RequestRefused):
            return
        for page in listing.pages():
            yield from orgs_of(page)[0]

    def org_listing(self, revision: Revision | None = None, *, strict: bool = False) -> Listing:
        """The listing of `/orgs`, or of `/schools` where the first page of `/orgs` is refused."""
        for attempt in (1, 2):
            try:
                return self._first_readable((("/orgs", "orgs"), ("/schools", "orgs")), revision, strict)
            except STALE_MEMORY:
                if attempt == 2 or not self.doubt_memory():
                    raise
        raise AssertionError

    def _first_readable(self, choices: Sequence[tuple[str, str]], revision: Revision | None, strict: bool) -> Listing:
        refusal: OneRosterError | None = None
        for path, key in choices:
            listing = self.listing(self.collection(path, key), revision, strict=strict)
            try:
                listing.open()
            except (NotOffered, Refused, ServerFailed) as problem:
                if not unreadable(problem):
                    raise
                refusal = refusal or problem
            else:
                return listing
        assert refusal is not None  # noqa: S101 -- the loop ran, and every way out of it sets one
        raise refusal

    def find_org(self, school_id: str) -> dict[str, Any] | None:
        """The org a School ID means: by sourcedId, else by an identifier that only one org has. None if there is none.

        The org says which under "foundBy". Raises SchoolNotFound where the identifier is not unique.
        """
        wanted = school_id.strip()
        alone = self.single_org(wanted)
        if alone is not None:
            return {**alone, "foundBy": "sourcedId"}
        named: list[dict[str, Any]] = []
        for listed in (self.orgs, self._schools):
            for org in listed() if not named else ():
                if org["sourcedId"] == wanted:
                    return {**org, "foundBy": "sourcedId"}
                if org["identifier"] == wanted:
                    named.append(org)
        schools = [org for org in named if is_school(org)] or named
        if len(schools) > 1:
            raise SchoolNotFound(
                f"{len(schools)} orgs of the SIS have this School ID as their identifier.",
                "Enter the sourcedId of the school instead; the SIS shows it, or list the orgs to find it.",
            )
        return {**schools[0], "foundBy": "identifier"} if schools else None

    def single_org(self, sourced_id: str) -> dict[str, Any] | None:
        """The org with this sourcedId, asked for alone; None where nothing answers for it."""
        for path in ("/orgs/", "/schools/"):
            record = self._single(path + segment(sourced_id), "orgs", path + "{id}", sourced_id)
            org = org_of(record, []) if record is not None else None
            if org is not None and org["sourcedId"] == sourced_id:
                return org
        return None

    def user(self, sourced_id: str) -> dict[str, Any] | None:
        """One normalised user; None where the SIS answers 404. Raises where it does not answer properly."""
        record = self.raw_user(sourced_id)
        return None if record is None else UserReader(self.endpoint.metadata_keys).one(record, [])

    def raw_user(self, sourced_id: str) -> dict[str, Any] | None:
        """One user as it came; None for 404."""
        asked = self._padded.get(sourced_id, sourced_id)
        return self._single("/users/" + segment(asked), "users", "/users/{id}", asked, optional=False)

    def user_answers(self, sourced_ids: Sequence[str]) -> dict[str, Answer]:
        """What the SIS says of each id, asked one by one, several at a time within the host's limit."""
        self.connect()
        reader = UserReader(self.endpoint.metadata_keys)

        def ask(sourced_id: str) -> Answer:
            try:
                record = self.raw_user(sourced_id)
            except OneRosterError as problem:
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

    def witness(
        self, sourced_ids: Sequence[str], school_id: str, present_ids: Sequence[str], today: date | None = None
    ) -> WitnessReport:
        """Ask for each person by id, after somebody present has proved that single users are served at all.

        present_ids: some people known to be in the school. today: the school's date, for roles that begin and end.
        That single users are served is learned, too.
        """
        report = ask_witness(
            self.user_answers,
            sourced_ids,
            school_id,
            present_ids,
            today or self.clock.now().date(),
            list_orgs=lambda: [*self.orgs(), *self._schools()],
            served_before=bool(self.learned.get(SERVES_SINGLE_USERS)),
        )
        if report.proved:
            self.learned[SERVES_SINGLE_USERS] = True
        return report

    def remember_padded(self, raw: str) -> None:
        """Keep the id as the server spells it, where it has outer blanks: requests need exactly that."""
        self.learned["padded_ids"] = True
        if len(self._padded) < MOST_PADDED_IDS:
            self._padded[raw.strip()] = raw

    def _single(
        self, path: str, key: str, label: str, sourced_id: str, *, optional: bool = True
    ) -> dict[str, Any] | None:
        """One object; None for 404, and for an answer with no single object in it.

        optional: whatever else goes wrong is None as well, because there is another way to find the object.
        """
        for attempt in (1, 2):
            connected = self.connect()
            try:
                response = self.session.get(with_query(connected.root + path, [], connected.address.query), label)
                return single_record(response, key, label, sourced_id)
            except SignInRefused:
                if attempt == 2 or not self.doubt_memory():
                    raise
            except NotOffered as absent:
                if optional or absent.status in UNKNOWN_STATUSES:
                    return None
                raise
            except (Refused, RequestRefused, ServerFailed, NotOneRoster):
                if optional:
                    return None
                raise
        raise AssertionError
