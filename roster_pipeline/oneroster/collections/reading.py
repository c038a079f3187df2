"""One reading of a connection: its state, and the conversion of raw pages to batches."""

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from roster_pipeline.errors import NO_ID
from roster_pipeline.oneroster.client import Client
from roster_pipeline.oneroster.collections.collection import Collection
from roster_pipeline.oneroster.collections.listing import Listing
from roster_pipeline.oneroster.collections.paging import Revision
from roster_pipeline.oneroster.collections.proof import Flags, Hashes, ListingProof, Repetitions, SeenIds, hashes
from roster_pipeline.oneroster.collections.wanted import Batch, Fill, Wanted
from roster_pipeline.oneroster.errors import TooSlow
from roster_pipeline.oneroster.records.coercion import own_id
from roster_pipeline.oneroster.records.known_users import KnownUser, KnownUsers, agents_of, whole
from roster_pipeline.oneroster.records.orgs import Memberships, OrgReferences
from roster_pipeline.oneroster.records.role_entries import CONTACT_ROLES, Dates, with_unclear_dates
from roster_pipeline.oneroster.records.user_records import UserReader, reject
from roster_pipeline.org_tree import GONE_STATUSES, is_school, org_meant, orgs_below


class Reading:
    """The state of one reading. Strategies fill it, and the proof is built from it."""

    def __init__(
        self,
        client: Client,
        wanted: Wanted,
        *,
        strict: bool,
        started: float,
        repetitions: dict[str, Repetitions] | None = None,
        several_records: bool = False,
        known: KnownUsers | None = None,
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
        self.orgs = OrgReferences()
        self.seen_roles = SeenIds() if several_records else None
        """Which ids came in which roles and schools, for a SIS that is known to have several records of one person."""
        self._org_records: list[dict[str, Any]] = []
        self.schools: list[str] = []
        self._identifiers: dict[str, list[str]] = {}
        self.agents: set[str] = set()
        self.unclear_dates = 0
        self.enrolled: Memberships | None = None
        """Enrollments, if they are wanted and could be read."""
        self.dates = Dates()
        self._own: set[str] | None = None
        self._seen: list[SeenIds] = []
        self._known = known
        self._reader = UserReader(client.endpoint.metadata_keys, self.dates)
        self._started = started
        self._repetitions = {} if repetitions is None else repetitions
        """Repeated records of this pull, by the path of the collection."""

    @property
    def org_ids(self) -> set[str]:
        """The sourcedIds of the orgs that the SIS lists."""
        return self.orgs.ids

    @property
    def lacks_guardians(self) -> bool:
        """Whether guardians are wanted, also one by one, and no listing has had any."""
        wanted = self.wanted
        return wanted.contacts and wanted.single_contacts and CONTACT_ROLES.isdisjoint(self.orgs.roles_seen)

    def whole_listing(self) -> Listing:
        """The listing of all users. It recognises users of the last pull, if their results depend on nothing else."""
        wanted, endpoint = self.wanted, self.client.endpoint
        collection = self.client.collection("/users", "users")
        if self._known is not None and self.org_ids and not wanted.enrollments and wanted.school_ids is None:
            self._known.begin(endpoint.base_url, endpoint.metadata_keys, wanted.contacts, sorted(self.org_ids))
            collection.known = self._known
        return self._listing(collection)

    def listing(self, path: str, key: str, label: str | None = None, query_filter: str | None = None) -> Listing:
        """A listing of this reading; all of its listings must have one revision of the data."""
        return self._listing(self.client.collection(path, key, label, query_filter))

    def _listing(self, collection: Collection) -> Listing:
        unfiltered = collection.filter is None
        repetitions = self._repetitions.setdefault(collection.path, Repetitions()) if unfiltered else None
        return self.client.listing(collection, self.revision, repetitions, strict=self.strict)

    def note_orgs(self, orgs: list[dict[str, Any]]) -> None:
        """Add orgs that the SIS lists."""
        self.orgs.note(orgs)
        self._org_records += orgs
        self.schools += [org["sourcedId"] for org in orgs if is_school(org) and org["status"] not in GONE_STATUSES]
        for org in orgs:
            if org["identifier"] is not None:
                self._identifiers.setdefault(org["identifier"], []).append(org["sourcedId"])

    def unknown_schools(self) -> list[str]:
        """The School IDs of this pull that are neither the sourcedId nor the identifier of an org."""
        named = self.wanted.school_ids or self.wanted.of_schools
        return [school for school in named if school not in self.org_ids and school not in self._identifiers]

    @property
    def own_schools(self) -> tuple[str, ...]:
        """The sourcedIds of the schools that alone are read; empty if the whole connection is."""
        return tuple(org_meant(self._org_records, school) for school in self.wanted.school_ids or ())

    def wanted_schools(self) -> list[str]:
        """The sourcedIds of the schools that the pull is for: the named ones, else all."""
        schools: list[str] = []
        for school in self.wanted.school_ids or self.wanted.of_schools:
            schools += [school] if school in self.org_ids else self._identifiers.get(school, [])
        return list(dict.fromkeys(schools)) or self.schools or sorted(self.org_ids)

    def users(self, listing: Listing, fill: Fill | None = None) -> Iterator[Batch]:
        """A listing of users as normalised batches; each person comes once over all listings of this reading.

        fill: adds what other collections say to a user, in place, before the user is used.
        """
        self.people.append(listing.proof)
        several = bool(self._seen)
        listing.seen_roles = self.seen_roles
        for page in listing.pages():
            self._in_time()
            records = self._unseen(page, listing) if several else page
            self.records += len(records)
            known: list[KnownUser] = []
            if fill is None:
                known = [record for record in records if type(record) is KnownUser]
                records = [record for record in records if type(record) is not KnownUser] if known else records
            else:
                records = list(map(whole, records))
            users, rejects = self._reader.page(records)
            if NO_ID not in self.notes and any(one["sourcedId"] is None for one in rejects):
                self.notes.append(NO_ID)
            self._note_padded(records, users)
            self.unclear_dates += with_unclear_dates(rejects)
            self.rejected += len(records) - len(users)
            rejects += [_repeated(record) for record in listing.repeated]
            if fill is not None:
                for user in users:
                    fill(user)
            places = self._note_known(known)
            self.orgs.place(users)
            if self.enrolled is not None:
                self.enrolled.mark(users, self.client.clock.now().date(), self.orgs)
            kept = self.wanted.kept(users, self._own_orgs())
            self.left_out += len(users) - len(kept)
            users = kept
            self._note_agents([*known, *users])
            marks = [getattr(user, "mark", None) for user in users] if self._known is not None and fill is None else ()
            yield Batch("user", users, rejects, marks, places)
        self._seen.append(listing.seen)

    def extra_users(self, users: list[dict[str, Any]]) -> Batch:
        """A batch of users that were fetched one by one."""
        self.records += len(users)
        self.orgs.place(users)
        return Batch("user", users, [])

    def has_seen(self, sourced_ids: list[str]) -> list[bool]:
        """For each id whether a listing of this reading delivered it."""
        seen = self._seen_before(hashes([{"sourcedId": sourced_id} for sourced_id in sourced_ids]))
        return [bool(was_seen) for was_seen in seen]

    def problems(self) -> list[str]:
        """Why this reading is not complete; empty if it is."""
        of_listings = [problem for proof in self.people + self.others for problem in proof.problems]
        unread = [f"unread:{group}" for group in sorted(self.unread) if group != "contact" and self.wanted.wants(group)]
        unclear = ["dates-contradict"] if self.dates.contradicted else []
        return of_listings + self.own_problems + unread + unclear

    def doubts(self) -> list[str]:
        """Problems that do not count if another reading delivers exactly the same."""
        return [doubt for proof in self.people + self.others for doubt in proof.doubts]

    def outcome(self) -> list[Any]:
        """Values that are equal in two readings if the data did not change."""
        return [(p.path, p.records, p.digest, p.total_end, p.totals) for p in self.people + self.others]

    def _unseen(self, page: list[Any], listing: Listing) -> list[Any]:
        """The records of a page that no earlier listing delivered, or delivered in other roles and schools."""
        seen = self._seen_before(hashes(page))
        if self.seen_roles is not None:
            seen &= ~listing.other_roles
        return [record for record, was_seen in zip(page, seen, strict=True) if not was_seen]

    def _seen_before(self, values: Hashes) -> Flags:
        """For each hash of an id whether an earlier listing delivered it."""
        seen = np.zeros(len(values), dtype=np.bool_)
        for ids in self._seen:
            seen |= ids.has(values)
        return seen

    def _own_orgs(self) -> set[str]:
        """The schools of the pull, and the orgs below them."""
        if self._own is None:
            self._own = {org for school in self.own_schools for org in (school, *orgs_below(self._org_records, school))}
        return self._own

    def _note_known(self, users: list[KnownUser]) -> list[int]:
        """Remember the roles of these users, which all name listed orgs. Returns their places."""
        places = [user.place for user in users]
        if self._known is not None and users:
            roles = self._known.roles_of(places)
            self.orgs.roles_seen |= roles
            self.orgs.roles_with_org |= roles
        return places

    def _note_agents(self, users: list[dict[str, Any]]) -> None:
        """Remember the guardians that may have to be fetched one by one, while no listing has delivered any."""
        if not self.wanted.contacts or not CONTACT_ROLES.isdisjoint(self.orgs.roles_seen):
            self.agents.clear()
            return
        most = self.client.endpoint.limits.single_users
        for agents in agents_of(users):
            if len(self.agents) > most:
                return
            self.agents.update(agents)

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
    sourced_id = own_id(record.get("sourcedId")) if isinstance(record, dict) else None
    return reject(sourced_id if isinstance(sourced_id, str) else None, "users", "sourcedId", "repeated", "warning")
