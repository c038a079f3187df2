"""One reading of a bundle's files: orgs, roles, people; normalised by the client's own readers, counted for the proof.

Rows are streamed a page at a time. What is kept beyond a page: which ids came (8 bytes each), and in 1.2 who has which
role (16 bytes each).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from roster_pipeline.oneroster.bundle.bundle_layout import BundleLayout, File
from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.bundle.role_index import ENTRY_NAMES, RoleIndex
from roster_pipeline.oneroster.bundle.row_repair import RowRepair
from roster_pipeline.oneroster.bundle.rows import cell_picker, record_maker, unreadable_rejects
from roster_pipeline.oneroster.bundle.table import Page, Row, Table
from roster_pipeline.oneroster.bundle.user_rows import UserRows
from roster_pipeline.oneroster.collections.reading import LISTED, Batch, Wanted
from roster_pipeline.oneroster.paging.seen_ids import Flags, SeenIds
from roster_pipeline.oneroster.records.coercion import ID_NULLS
from roster_pipeline.oneroster.records.dates import Dates
from roster_pipeline.oneroster.records.org_records import orgs_of
from roster_pipeline.oneroster.records.org_references import OrgReferences, ReferenceCounts
from roster_pipeline.oneroster.records.role_entries import CONTACT_ROLES, with_unclear_dates
from roster_pipeline.oneroster.records.user_records import reject
from roster_pipeline.org_tree import GONE_STATUSES

STRAY_ROLES = 0.01
"""Share of roles whose user is not in a bulk bundle, beyond which users.csv must be taken for cut."""

Record = dict[str, Any]


@dataclass
class Tally:
    """What was counted of people. orgs: those that anybody names. problems, notes: slugs, each once."""

    pages: int = 0
    records: int = 0
    rejected: int = 0
    left_out: int = 0
    duplicates: int = 0
    unclear_dates: int = 0
    references: ReferenceCounts = field(default_factory=ReferenceCounts)
    roles_seen: set[str | None] = field(default_factory=set)
    roles_with_org: set[str | None] = field(default_factory=set)
    orgs: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, slug: str) -> None:
        if slug not in self.problems:
            self.problems.append(slug)


class BundleReading:
    """Reads the files of one opened bundle; `tally` is whole after the last batch."""

    def __init__(
        self, contents: BundleLayout, wanted: Wanted, limits: BundleLimits, metadata_keys: tuple[str, ...] = ()
    ) -> None:
        self.tally = Tally()
        self._contents = contents
        self._wanted = wanted
        self._limits = limits
        self._metadata_keys = metadata_keys
        self._orgs = OrgReferences()
        self.tally.references = self._orgs.counts
        self._dates = Dates()

    def batches(self) -> Iterator[Batch]:
        """Orgs, then people."""
        files = self._contents.files
        if "orgs" in files:
            yield from self._read_orgs(files["orgs"])
        book = self._roles(files["roles"]) if "roles" in files else None
        if "users" in files:
            yield from self._users(files["users"], book)

    def _read_orgs(self, file: File) -> Iterator[Batch]:
        make = record_maker(file.layout)
        at = file.layout.positions["sourcedId"]
        seen = SeenIds()
        for page in self._pages("orgs", file):
            rejects, nameless = unreadable_rejects(page.unreadable, "orgs", file.layout)
            rows, repeated = _once(page.rows, [row[at].strip() for row in page.rows], seen)
            if nameless:
                self.tally.problem("unreadable-rows:orgs")
            if repeated:
                self.tally.problem("duplicates:orgs")
            orgs, more = orgs_of([record for row in rows if (record := make(row))])
            self._orgs.note(orgs)
            yield Batch("org", orgs, rejects + more)

    def _roles(self, file: File) -> RoleIndex:
        """All roles that are not ended by their status. A row that cannot be read would cost somebody a school."""
        book = RoleIndex()
        cells = cell_picker(file.layout, ENTRY_NAMES)
        head = cell_picker(file.layout, ("user", "status"))
        for page in self._pages("roles", file):
            if page.unreadable:
                self.tally.problem("unreadable-rows:roles")
            for row in page.rows:
                user, status = head(row)
                user = user.strip()
                if not user or user in ID_NULLS:
                    if any(row):
                        self.tally.problem("unreadable-rows:roles")
                elif not status or status.strip().lower() not in GONE_STATUSES:
                    book.add(user, cells(row))
        book.seal()
        self._dates.learn(book.dates())
        return book

    def _users(self, file: File, book: RoleIndex | None) -> Iterator[Batch]:
        reader = UserRows(file.layout, self._metadata_keys, book, self._dates)
        partial = (
            self._contents.files["roles"].mode == "delta" if book is not None else "role" not in file.layout.positions
        )
        seen, seen_roles = SeenIds(), SeenIds()
        tally = self.tally
        for page in self._pages("users", file):
            rejects, nameless = unreadable_rejects(page.unreadable, "users", file.layout)
            if nameless:
                tally.problem("unreadable-rows:users")
            rows = [row for row in page.rows if any(row)]
            tally.pages += 1
            tally.records += len(rows) + len(rejects)
            tally.rejected += len(rejects)
            ids = reader.ids(rows)
            forms = reader.ids_with_roles(rows)
            differs = seen_roles.add(forms) if forms is not None else None
            rows, repeated = _once(rows, ids, seen, differs)
            if repeated:
                tally.duplicates += len(repeated)
                tally.records -= len(repeated)
                rejects += [reject(one, "users", "sourcedId", "repeated", "warning") for one in repeated]
                ids = reader.ids(rows)
            users, more = reader.users(rows, ids)
            tally.rejected += len(rows) - len(users)
            tally.unclear_dates += with_unclear_dates(more)
            if partial:
                users, unknown = _with_known_roles(users)
                tally.rejected += len(unknown)
                more += unknown
            yield Batch("user", self._kept(users), rejects + more)
        self._judge(book, partial)

    def _judge(self, book: RoleIndex | None, partial: bool) -> None:
        """What only the whole file can tell."""
        tally = self.tally
        if tally.duplicates:
            tally.problem("duplicates")
        if self._contents.whole and tally.records > tally.rejected:
            if not tally.roles_with_org:
                tally.problem("no-orgs")
            for group in LISTED if tally.roles_with_org else ():
                if group in tally.roles_seen and group not in tally.roles_with_org:
                    tally.problem(f"no-orgs:{group}")
        if book is not None and self._contents.whole and (stray := book.unasked()):
            if stray > STRAY_ROLES * len(book):
                tally.problem("roles-name-absent-users")
            else:
                tally.notes.append("roles-name-absent-users")
        if partial:
            tally.notes.append("roles-in-part")

    def _pages(self, name: str, file: File) -> Iterator[Page]:
        with Table(file.member, file.seen, self._limits) as table:
            repaired = 0
            for page in table.pages(RowRepair(table.header, file.layout.positions)):
                repaired += page.repaired
                yield page
            if repaired:
                self.tally.notes.append(f"rows-put-right:{name}:{repaired}")
            if table.cut_short:
                self.tally.problem(f"ends-inside-a-row:{name}")

    def _kept(self, users: list[Record]) -> list[Record]:
        """Without guardians where none are needed, and for some schools their people only; as the API's pull does."""
        schools, contacts = self._wanted.school_ids, self._wanted.contacts
        tally = self.tally
        told = self._orgs.place(users)
        tally.roles_seen.update(role for role, _ in told)
        tally.orgs.update(org for _, org in told if org)
        tally.roles_with_org.update(role for role, org in told if org in self._orgs.ids)
        kept = users
        if schools is not None:
            kept = [
                user
                for user in users
                if user["status"] in GONE_STATUSES
                or any(entry["org"] in schools or entry["role"] in CONTACT_ROLES for entry in user["roles"])
            ]
        if not contacts:
            kept = [
                user
                for user in kept
                if not user["roles"] or any(entry["role"] not in CONTACT_ROLES for entry in user["roles"])
            ]
        tally.left_out += len(users) - len(kept)
        return kept


def _once(
    rows: list[Row], ids: Sequence[str], seen: SeenIds, differs: Flags | None = None
) -> tuple[list[Row], list[str]]:
    """Rows whose id is new, or that have none; and the ids that came before.

    differs: rows that are new for their role and school: one more row of the same person, and no repetition.
    """
    if not rows:
        return rows, []
    is_new = seen.add(np.fromiter(map(hash, ids), np.int64, len(ids)))
    new = (is_new if differs is None else is_new | differs).tolist()
    if all(new):
        return rows, []
    kept = [row for row, one, fresh in zip(rows, ids, new, strict=True) if fresh or not one]
    return kept, [one for one, fresh in zip(ids, new, strict=True) if one and not fresh]


def _with_known_roles(users: list[Record]) -> tuple[list[Record], list[Record]]:
    """In a delta whose roles are only those that changed: people without any role in it are rejected, unless gone.

    Their roles are unknown, which must not look like none.
    """
    known = [user for user in users if user["status"] in GONE_STATUSES or any(e["role"] for e in user["roles"])]
    if len(known) == len(users):
        return users, []
    ids = {user["sourcedId"] for user in known}
    unknown = [user["sourcedId"] for user in users if user["sourcedId"] not in ids]
    return known, [reject(one, "users", "roles", "roles-not-in-delta") for one in unknown]
