"""One reading of a connection: what is wanted, what has been seen, and the way from raw pages to batches."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, Protocol

import numpy as np

from roster_pipeline.oneroster.client import Client
from roster_pipeline.oneroster.collections.proof import ListingProof
from roster_pipeline.oneroster.errors import NotOffered, Refused, RequestRefused, TooSlow
from roster_pipeline.oneroster.paging.list_end import Revision
from roster_pipeline.oneroster.paging.listing import Listing
from roster_pipeline.oneroster.paging.seen_ids import Repetitions, SeenIds, hashes
from roster_pipeline.oneroster.records.dates import Dates
from roster_pipeline.oneroster.records.org_references import OrgReferences
from roster_pipeline.oneroster.records.role_entries import CONTACT_ROLES, with_unclear_dates
from roster_pipeline.oneroster.records.user_records import UserReader, reject
from roster_pipeline.org_tree import GONE_STATUSES, is_school, orgs_below

NOT_READABLE = (NotOffered, Refused, RequestRefused)
"""What says that a collection is not for us, now and tomorrow; other errors end the pull."""
LISTED = {"student": "/students", "teacher": "/teachers"}
"""Role groups that have a collection of their own; all others are only in `/users`."""
GROUPS = ("student", "teacher", "staff", "admin")
"""Role groups; guardians are a group of their own, wanted by `Wanted.contacts`."""
ROLES_OF = {
    "student": ("student",),
    "teacher": ("teacher",),
    "staff": ("aide", "proctor", "counselor"),
    "admin": ("administrator", "siteAdministrator", "districtAdministrator", "principal", "systemAdministrator"),
    "contact": ("guardian", "parent", "relative"),
}

Fill = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Wanted:
    """What a pull is for.

    school_ids: None pulls the whole connection; else per-school lists are used where they can be trusted. contacts:
    guardians are needed. since: only what changed after this instant (with a time zone), if the server's filter proves
    to work. roles: the role groups that are rostered; None means all, and only what is wanted can make a snapshot
    incomplete by being unreadable. of_schools: the School IDs (sourcedId or identifier) for which a whole connection is
    pulled: where a SIS lists people by school only, theirs are read. Empty means all schools. everybody_too: everybody
    is read, and besides whom the server names as changed since. single_contacts: guardians of no list are fetched too.
    """

    school_ids: tuple[str, ...] | None = None
    contacts: bool = False
    since: datetime | None = None
    roles: frozenset[str] | None = None
    of_schools: tuple[str, ...] = ()
    enrollments: bool = False
    """Say of each student in which of their schools no enrollment of theirs runs (`notEnrolled`)."""
    enrollments_if_there: bool = False
    """The same, of a bundle that has its enrollments; without them nothing is missing."""
    single_contacts: bool = True
    everybody_too: bool = False

    def wants(self, group: str) -> bool:
        return self.contacts if group == "contact" else self.roles is None or group in self.roles


@dataclass(frozen=True)
class Batch:
    """Normalised records and rejects of one page."""

    kind: Literal["org", "user"]
    records: list[dict[str, Any]]
    rejects: list[dict[str, Any]]


class Enrolled(Protocol):
    """The enrollments of a SIS."""

    def mark(self, users: list[dict[str, Any]], today: date, orgs: OrgReferences) -> None:
        """Put `notEnrolled` into students: those of their schools in which no enrollment of theirs runs."""


class Reading:
    """State of one reading; strategies fill it, the proof is made of it."""

    def __init__(
        self,
        client: Client,
        wanted: Wanted,
        *,
        strict: bool,
        started: float,
        repetitions: dict[str, Repetitions] | None = None,
        several_records: bool = False,
    ) -> None:
        self.client = client
        self.wanted = wanted
        self.strict = strict
        self.strategy = ""
        self.mode = "full" if wanted.school_ids is None else "school"
        self.revision = Revision()
        self.people: list[ListingProof] = []
        self.others: list[ListingProof] = []
        self.notes: list[str] = []
        self.unread: set[str] = set()
        self.own_problems: list[str] = []
        self.records = 0
        self.rejected = 0
        self.left_out = 0
        self.roles_seen: set[str | None] = set()
        self.roles_with_org: set[str | None] = set()
        self.orgs = OrgReferences()
        self.seen_roles = SeenIds() if several_records else None
        """Which ids came in which roles and schools, where the SIS is known to give one person several records."""
        self._org_records: list[dict[str, Any]] = []
        self.schools: list[str] = []
        self._identifiers: dict[str, list[str]] = {}
        self.agents: set[str] = set()
        self.unclear_dates = 0
        self.enrolled: Enrolled | None = None
        """Who is enrolled where, if that is wanted and could be read."""
        self.dates = Dates()
        self._own: set[str] | None = None
        self._seen: list[SeenIds] = []
        self._reader = UserReader(client.endpoint.metadata_keys, self.dates)
        self._started = started
        self._repetitions = {} if repetitions is None else repetitions
        """What this pull has found repeated, by the path of the collection."""

    @property
    def org_ids(self) -> set[str]:
        """The sourcedIds of the orgs that the SIS lists."""
        return self.orgs.ids

    def listing(self, path: str, key: str, label: str | None = None, query_filter: str | None = None) -> Listing:
        """A listing of this reading, under one revision of the data."""
        collection = self.client.collection(path, key, label, query_filter)
        repetitions = self._repetitions.setdefault(path, Repetitions()) if query_filter is None else None
        return self.client.listing(collection, self.revision, repetitions, strict=self.strict)

    def note_orgs(self, orgs: list[dict[str, Any]]) -> None:
        """Remember which orgs there are, by id and by identifier, and which of them are schools."""
        self.orgs.note(orgs)
        self._org_records += orgs
        self.schools += [org["sourcedId"] for org in orgs if is_school(org) and org["status"] not in GONE_STATUSES]
        for org in orgs:
            if org["identifier"] is not None:
                self._identifiers.setdefault(org["identifier"], []).append(org["sourcedId"])

    def unknown_schools(self) -> list[str]:
        """The School IDs of this pull that no org has, neither as its id nor as its identifier."""
        named = self.wanted.school_ids or self.wanted.of_schools
        return [one for one in named if one not in self.org_ids and one not in self._identifiers]

    def wanted_schools(self) -> list[str]:
        """The sourcedIds of the schools that the pull is for: those named, else all."""
        found: list[str] = []
        for one in self.wanted.school_ids or self.wanted.of_schools:
            found += [one] if one in self.org_ids else self._identifiers.get(one, [])
        return list(dict.fromkeys(found)) or self.schools or sorted(self.org_ids)

    def users(self, listing: Listing, fill: Fill | None = None) -> Iterator[Batch]:
        """A listing of users as batches: normalised, each person once over all listings of this reading.

        fill: completes a user in place, with what is known from elsewhere, before anybody judges it.
        """
        self.people.append(listing.proof)
        several = bool(self._seen)
        listing.seen_roles = self.seen_roles
        for page in listing.pages():
            self._in_time()
            records = self._unseen(page, listing) if several else page
            users, rejects = self._reader.page(records)
            self._note_padded(records, users)
            self.unclear_dates += with_unclear_dates(rejects)
            self.records += len(records)
            self.rejected += len(records) - len(users)
            rejects += [_repeated(record) for record in listing.repeated]
            if fill is not None:
                for user in users:
                    fill(user)
            self._place(users)
            if self.enrolled is not None:
                self.enrolled.mark(users, self.client.clock.now().date(), self.orgs)
            users = self._kept(users)
            self._note_agents(users)
            yield Batch("user", users, rejects)
        self._seen.append(listing.seen)

    def extra_users(self, users: list[dict[str, Any]]) -> Batch:
        """Users that were fetched one by one."""
        self.records += len(users)
        self._place(users)
        return Batch("user", users, [])

    def has_seen(self, sourced_ids: list[str]) -> list[bool]:
        """For each id whether a listing of this reading brought it."""
        values = hashes([{"sourcedId": one} for one in sourced_ids])
        found = np.zeros(len(values), dtype=np.bool_)
        for seen in self._seen:
            found |= seen.has(values)
        return [bool(one) for one in found]

    def problems(self) -> list[str]:
        """Why this reading is not the whole truth, if it is not."""
        of_listings = [problem for proof in self.people + self.others for problem in proof.problems]
        unread = [f"unread:{group}" for group in sorted(self.unread) if group != "contact" and self.wanted.wants(group)]
        unclear = ["dates-contradict"] if self.dates.contradicted else []
        return of_listings + self.own_problems + unread + unclear

    def doubts(self) -> list[str]:
        """What is a problem unless another reading brings exactly the same."""
        return [doubt for proof in self.people + self.others for doubt in proof.doubts]

    def outcome(self) -> list[Any]:
        """What two readings of data at rest have in common."""
        return [(p.path, p.records, p.digest, p.total_end) for p in self.people + self.others]

    def _unseen(self, page: list[Any], listing: Listing) -> list[Any]:
        """Those of a page whom no earlier listing brought, or brought in other roles and schools."""
        values = hashes(page)
        known = np.zeros(len(values), dtype=np.bool_)
        for seen in self._seen:
            known |= seen.has(values)
        if self.seen_roles is not None:
            known &= ~listing.other_roles
        return [record for record, is_known in zip(page, known, strict=True) if not is_known]

    def _kept(self, users: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Without guardians where none are needed; and in a pull for some schools, their people only.

        Guardians are never asked for their school, because a pupil's link decides about them.
        """
        schools, contacts = self.wanted.school_ids, self.wanted.contacts
        kept = users
        if schools is not None:
            own = self._own_orgs(schools)
            kept = [
                user
                for user in users
                if any(entry["org"] in own or entry["role"] in CONTACT_ROLES for entry in user["roles"])
            ]
        if not contacts:
            kept = [
                user
                for user in kept
                if not user["roles"] or any(entry["role"] not in CONTACT_ROLES for entry in user["roles"])
            ]
        self.left_out += len(users) - len(kept)
        return kept

    def _own_orgs(self, schools: tuple[str, ...]) -> set[str]:
        """These schools, and the orgs below them."""
        if self._own is None:
            self._own = {org for school in schools for org in (school, *orgs_below(self._org_records, school))}
        return self._own

    def _place(self, users: list[dict[str, Any]]) -> None:
        """Say which orgs these users belong to, and remember which roles came and which of them with an org."""
        told = self.orgs.place(users)
        self.roles_seen.update(role for role, _ in told)
        self.roles_with_org.update(role for role, org in told if org in self.org_ids)

    def _note_agents(self, users: list[dict[str, Any]]) -> None:
        """Remember whose guardians may have to be fetched one by one, as long as no listing has brought any."""
        if not self.wanted.contacts or not CONTACT_ROLES.isdisjoint(self.roles_seen):
            self.agents.clear()
            return
        most = self.client.endpoint.limits.single_users
        for user in users:
            if len(self.agents) <= most:
                self.agents.update(user["agents"])

    def _note_padded(self, records: list[Any], users: list[dict[str, Any]]) -> None:
        if len(records) == len(users) and all(map(operator.is_, records, users)):
            return
        try:
            if len(records) == len(users) and [r["sourcedId"] for r in records] == [u["sourcedId"] for u in users]:
                return
        except (KeyError, TypeError):
            pass
        for record in records:
            raw = record.get("sourcedId") if isinstance(record, dict) else None
            if isinstance(raw, str) and raw != raw.strip():
                self.client.remember_padded(raw)

    def _in_time(self) -> None:
        most = self.client.endpoint.limits.pull_seconds
        if self.client.clock.monotonic() - self._started > most:
            raise TooSlow(
                f"The pull was not complete after {most / 3600:.1f} hours.",
                "Choose a larger page size, or ask the SIS.",
            )


def _repeated(record: Any) -> dict[str, Any]:
    found = record.get("sourcedId") if isinstance(record, dict) else None
    return reject(found.strip() if isinstance(found, str) else None, "users", "sourcedId", "repeated", "warning")
