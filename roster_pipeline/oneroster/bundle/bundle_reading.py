"""Reading the files of one bundle: orgs, roles and people, normalised and counted for the proof.

Rows are streamed in pages. Only the ids (8 bytes each) and, in 1.2, the roles (16 bytes each) stay in memory longer
than a page.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from roster_pipeline.errors import ORGS_ARE_DELTA
from roster_pipeline.oneroster.bundle.bundle_layout import BundleFile, BundleLayout
from roster_pipeline.oneroster.bundle.columns import ColumnLayout, cell_picker, record_maker, unreadable_rejects
from roster_pipeline.oneroster.bundle.csv_table import Page, Table
from roster_pipeline.oneroster.bundle.row_repair import Row, RowRepair
from roster_pipeline.oneroster.bundle.user_rows import ENTRY_NAMES, RoleIndex, UserRows
from roster_pipeline.oneroster.collections.proof import Flags, SeenIds
from roster_pipeline.oneroster.collections.row_order import RowKeys, row_keys
from roster_pipeline.oneroster.collections.wanted import LISTED, Batch, Wanted
from roster_pipeline.oneroster.records.coercion import ID_NULLS
from roster_pipeline.oneroster.records.orgs import OrgReferences, orgs_of
from roster_pipeline.oneroster.records.role_entries import Dates, with_unclear_dates
from roster_pipeline.oneroster.records.user_records import reject
from roster_pipeline.org_tree import GONE_STATUSES
from roster_pipeline.vocabulary import LONGEST_ID

STRAY_ROLES = 0.01
"""If a larger share of the roles belongs to users who are not in a bulk bundle, users.csv was probably cut."""

_SHORTENED = re.compile(r"\d([.,]\d+)?E\+\d\d+|#[A-Z/0]+[!?]?|#{2,}")
Record = dict[str, Any]


@dataclass
class Tally:
    """Counts of people. problems, notes: slugs for the proof. users: all of users.csv, None until it is read;
    without_role: users of a bulk file who have no role and are not marked as gone. rows: of users.csv and roles.csv, by
    page."""

    pages: int = 0
    records: int = 0
    rejected: int = 0
    left_out: int = 0
    duplicates: int = 0
    unclear_dates: int = 0
    orgs: OrgReferences = field(default_factory=OrgReferences)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    users: SeenIds | None = None
    without_role: SeenIds = field(default_factory=SeenIds)
    rows: dict[str, list[RowKeys]] = field(default_factory=lambda: defaultdict(list))

    def problem(self, slug: str) -> None:
        if slug not in self.problems:
            self.problems.append(slug)


class BundleReading:
    """Reads the files of one opened bundle. `tally` is complete after the last batch. with_break: the files that always
    ended with a line break."""

    def __init__(self, layout: BundleLayout, wanted: Wanted, with_break: Collection[str] = ()) -> None:
        self.layout = layout
        self._with_break = with_break
        self._wanted = wanted
        self._dates = Dates()
        self.tally = Tally()
        self._orgs = self.tally.orgs
        self._shortened: set[str] = set()
        """User ids that a spreadsheet shortened: those of roles.csv, and later those of users.csv."""

    def batches(self) -> Iterator[Batch]:
        """Orgs, then people."""
        files = self.layout.files
        if "orgs" in files:
            yield from self._read_orgs(files["orgs"])
        roles = self._read_roles(files["roles"]) if "roles" in files else None
        if "users" in files:
            yield from self._read_users(files["users"], roles)

    def _read_orgs(self, file: BundleFile) -> Iterator[Batch]:
        make = record_maker(file.columns)
        at = file.columns.positions["sourcedId"]
        seen = SeenIds()
        for page in self._pages("orgs", file):
            rejects, anybody = unreadable_rejects(page.unreadable, "orgs", file.columns)
            rows, repeated = _once(page.rows, [row[at].strip() for row in page.rows], seen)
            if anybody:
                self.tally.problem("unreadable-rows:orgs")
            if repeated:
                self.tally.problem("duplicates:orgs")
            orgs, more = orgs_of([record for row in rows if (record := make(row))])
            self._orgs.note(orgs)
            yield Batch("org", orgs, rejects + more)

    def _read_roles(self, file: BundleFile) -> RoleIndex:
        """All roles whose status does not end them. An unreadable row is a problem: somebody would lose a school."""
        roles = RoleIndex()
        entry_of = cell_picker(file.columns, ENTRY_NAMES)
        user_and_status = cell_picker(file.columns, ("user", "status"))
        user_and_org = cell_picker(file.columns, ("user", "org"))
        for page in self._pages("roles", file):
            if page.unreadable:
                self.tally.problem("unreadable-rows:roles")
            self.tally.rows["roles"].append(row_keys(map(user_and_org, page.rows), "roles"))
            for row in page.rows:
                user, status = user_and_status(row)
                user = user.strip()
                if not user or user in ID_NULLS:
                    if any(row):
                        self.tally.problem("unreadable-rows:roles")
                elif not status or status.strip().lower() not in GONE_STATUSES:
                    roles.add(user, entry_of(row))
                    if _is_shortened(user):
                        self._shortened.add(user)
        roles.seal()
        self._dates.learn(roles.dates())
        return roles

    def _read_users(self, file: BundleFile, roles: RoleIndex | None) -> Iterator[Batch]:
        reader = UserRows(file.columns, roles, self._dates)
        if roles is not None:
            partial = self.layout.files["roles"].mode == "delta"
        else:
            partial = "role" not in file.columns.positions
        seen, seen_versions = SeenIds(), SeenIds()
        tally, of_roles, self._shortened = self.tally, self._shortened, set()
        of_row = cell_picker(file.columns, ("sourcedId", "orgs" if roles is None else ""))
        for page in self._pages("users", file):
            rejects, anybody = unreadable_rejects(page.unreadable, "users", file.columns)
            if anybody:
                tally.problem("unreadable-rows:users")
            rows = [row for row in page.rows if any(row)]
            tally.pages += 1
            tally.records += len(rows) + len(rejects)
            tally.rejected += len(rejects)
            tally.rows["users"].append(row_keys(map(of_row, rows), "users"))
            ids = reader.ids(rows)
            if self._is_anybodys(ids, rows, file.columns):
                tally.problem("unreadable-rows:users")
            moved = reader.moved(rows)
            if any(moved):
                tally.rejected += sum(moved)
                rejects += [reject(ids[at], "users", "row", "cells-moved") for at in np.flatnonzero(moved)]
                rows = [row for row, is_moved in zip(rows, moved, strict=True) if not is_moved]
                ids = reader.ids(rows)
            rows, repeated = _once(rows, ids, seen, seen_versions.add(reader.versions(rows)))
            if repeated:
                tally.duplicates += len(repeated)
                tally.records -= len(repeated)
                rejects += [reject(sourced_id, "users", "sourcedId", "repeated", "warning") for sourced_id in repeated]
                ids = reader.ids(rows)
            users, more = reader.users(rows, ids)
            tally.rejected += len(rows) - len(users)
            tally.unclear_dates += with_unclear_dates(more)
            if partial:
                users, without_roles = _with_known_roles(users)
                tally.rejected += len(without_roles)
                more += without_roles
            bare = [user["sourcedId"] for user in users if not user["roles"] and user["status"] not in GONE_STATUSES]
            if bare:
                tally.without_role.add(np.fromiter(map(hash, bare), np.int64, len(bare)))
            self._orgs.place(users)
            kept = self._wanted.kept(users, self._wanted.school_ids or (), gone=True)
            tally.left_out += len(users) - len(kept)
            yield Batch("user", kept, rejects + more)
        tally.users = seen
        if self.layout.whole and not of_roles <= self._shortened:
            tally.problem("unreadable-rows:roles")
        self._check_whole_file(roles)
        if "orgs" not in self.layout.files or self.layout.files["orgs"].mode == "delta":
            self._orgs.unlisted = 0  # they may be listed in an earlier bundle
        if partial:
            tally.notes.append("roles-in-part")

    def _is_anybodys(self, ids: Sequence[str], rows: Sequence[Row], columns: ColumnLayout) -> bool:
        """Whether one of these rows has a name but no usable id: none, one that is too long, or a repeated one that a
        spreadsheet shortened."""
        found, names_of = False, cell_picker(columns, ("givenName", "familyName"))
        for place, sourced_id in enumerate(ids):
            if not sourced_id or sourced_id in ID_NULLS or len(sourced_id) > LONGEST_ID:
                found |= any(names_of(rows[place]))
            elif _is_shortened(sourced_id):
                found |= sourced_id in self._shortened
                self._shortened.add(sourced_id)
        return found

    def _check_whole_file(self, roles: RoleIndex | None) -> None:
        """Checks that need all users."""
        tally = self.tally
        if tally.duplicates:
            tally.problem("duplicates")
        if not self.layout.whole:
            return
        if tally.records == tally.rejected:
            tally.problem("no-people")
        elif ORGS_ARE_DELTA in self.layout.notes:
            if self._orgs.unlisted or not self._orgs.ids:
                tally.problem("orgs-in-part")
        else:
            if not self._orgs.roles_with_org:
                tally.problem("no-orgs")
            for group in LISTED if self._orgs.roles_with_org else ():
                if group in self._orgs.roles_seen and group not in self._orgs.roles_with_org:
                    tally.problem(f"no-orgs:{group}")
        if roles is not None and (stray := roles.unused()):
            if stray > STRAY_ROLES * len(roles):
                tally.problem("roles-name-absent-users")
            else:
                tally.notes.append("roles-name-absent-users")

    def _pages(self, name: str, file: BundleFile) -> Iterator[Page]:
        with Table(file.member, file.seen, ends_with_break=name in self._with_break) as table:
            repaired = 0
            for page in table.pages(RowRepair(table.header, file.columns.positions)):
                repaired += page.repaired
                yield page
            if repaired:
                self.tally.notes.append(f"rows-put-right:{name}:{repaired}")
            if table.cut_short:
                self.tally.problem(f"ends-inside-a-row:{name}")


def _is_shortened(sourced_id: str) -> bool:
    """Whether a spreadsheet wrote an id as a number (1.23E+15) or as an error (#REF!), so that several become one."""
    return ("E+" in sourced_id or sourced_id[0] == "#") and bool(_SHORTENED.fullmatch(sourced_id))


def _once(
    rows: list[Row], ids: Sequence[str], seen: SeenIds, another: Flags | None = None
) -> tuple[list[Row], list[str]]:
    """The rows whose id is new or empty, and the ids that came before.

    another: rows with a new role, school or name. They are not repetitions but further rows of the same person, or rows
    of another person.
    """
    if not rows:
        return rows, []
    new_ids = seen.add(np.fromiter(map(hash, ids), np.int64, len(ids)))
    new = (new_ids if another is None else new_ids | another).tolist()
    if all(new):
        return rows, []
    kept = [row for row, sourced_id, is_new in zip(rows, ids, new, strict=True) if is_new or not sourced_id]
    return kept, [sourced_id for sourced_id, is_new in zip(ids, new, strict=True) if sourced_id and not is_new]


def _with_known_roles(users: list[Record]) -> tuple[list[Record], list[Record]]:
    """In a delta that holds only changed roles: the users with a role or marked as gone, and rejects of all others.

    Their roles are unknown, which must not look like none.
    """
    kept: list[Record] = []
    rejects: list[Record] = []
    for user in users:
        if user["status"] in GONE_STATUSES or any(entry["role"] for entry in user["roles"]):
            kept.append(user)
        else:
            rejects.append(reject(user["sourcedId"], "users", "roles", "roles-not-in-delta"))
    return kept, rejects
