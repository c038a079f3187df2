"""Enrollments of bundles: who has one, and whether they name people who are missing in the other files.

A file that was cut between two rows looks complete, but people who are still enrolled, or their roles, are missing in
it.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date

import numpy as np

from roster_pipeline.oneroster.bundle.bundle_files import (
    ENROLLMENTS,
    BundleBroken,
    BundleTooLarge,
    Member,
    WrongEncoding,
    WrongHeader,
    preflight,
)
from roster_pipeline.oneroster.bundle.bundle_layout import BundleLayout
from roster_pipeline.oneroster.bundle.bundle_reading import BundleReading
from roster_pipeline.oneroster.bundle.columns import ENROLLMENTS as ENROLLMENT_COLUMNS
from roster_pipeline.oneroster.bundle.columns import cell_picker, column_layout
from roster_pipeline.oneroster.bundle.csv_table import Table
from roster_pipeline.oneroster.bundle.row_repair import RowRepair
from roster_pipeline.oneroster.collections.row_order import RowKeys, row_keys
from roster_pipeline.oneroster.records.orgs import IN_PART, UNREAD, UNREADABLE_ROWS, Memberships, OrgReferences

_NAMES = ("user", "school", "role", "status", "beginDate", "endDate")
Which = Callable[[Sequence[str]], list[bool]]
"""From users, by sourcedId, to a flag for each."""


def read_enrollments(
    bundles: Iterable[BundleLayout], which: Which | None = None, rows: list[RowKeys] | None = None
) -> tuple[Memberships, str | None]:
    """The enrollments of these bundles together, and a problem slug if they do not show who has none.

    They show it only if enrollments.csv is bulk in every bundle and every row can be read. A problem in it is a problem
    of the snapshot, never an error of the bundle. which: keep only the enrollments of these users. rows: gets the
    rows of each file.
    """
    memberships, problem = Memberships(), None
    for layout in bundles:
        member = layout.bundle.files.get(ENROLLMENTS)
        if member is None:
            return memberships, UNREAD
        if not layout.whole or layout.enrollments != "bulk":
            return memberships, IN_PART
        try:
            problem = _add_enrollments(member, memberships, which, rows) or problem
        except (BundleBroken, BundleTooLarge, WrongEncoding, WrongHeader):
            return memberships, UNREAD
    return memberships, problem or (None if memberships else UNREAD)


def _add_enrollments(
    member: Member, memberships: Memberships, which: Which | None, keys: list[RowKeys] | None
) -> str | None:
    """Add the enrollments of one file. Returns the slug of its problem."""
    problem, pages = None, [row_keys((), ENROLLMENTS)]
    with Table(member, preflight(member)) as table:
        columns = column_layout(member.name, table.header, ENROLLMENT_COLUMNS)
        pick = cell_picker(columns, _NAMES)
        for page in table.pages(RowRepair(table.header, columns.positions)):
            rows = list(map(pick, page.rows))
            if page.unreadable:
                problem = UNREADABLE_ROWS
            if keys is not None:
                pages.append(row_keys((row[:2] for row in rows), ENROLLMENTS))
            if which is not None:
                flags = which([row[0].strip() for row in rows])
                rows = [row for row, chosen in zip(rows, flags, strict=True) if chosen]
            memberships.page([dict(zip(_NAMES, row, strict=True)) for row in rows])
    if keys is not None:
        keys.append(np.concatenate(pages))
    return problem


def _without_row(readings: Sequence[BundleReading]) -> Which:
    """Flags the users who have no row in these readings, or only a row without a role."""

    def flags(ids: Sequence[str]) -> list[bool]:
        values = np.fromiter(map(hash, ids), np.int64, len(ids))
        known = np.zeros(len(ids), dtype=np.bool_)
        for tally in (reading.tally for reading in readings):
            if tally.users is not None:
                known |= tally.users.has(values) & ~tally.without_role.has(values)
        return (~known).tolist()

    return flags


def lost_users(
    readings: Sequence[BundleReading], orgs: OrgReferences, today: date, enrolled: Memberships | None
) -> list[str]:
    """People who are enrolled in a bulk export's orgs today but have no record or no role in it.

    Enrollments in a role that nobody of the bundle has do not count: an export of students alone may have teachers'
    enrollments too. enrolled: the enrollments of the export, if they were read already.
    """
    if not readings[0].layout.whole:
        return []
    lacks = _without_row(readings)
    if enrolled is None:
        enrolled, _ = read_enrollments((reading.layout for reading in readings), lacks)
    roles = frozenset[str | None]({None}).union(*(reading.tally.orgs.roles_seen for reading in readings))
    users = list(enrolled.users)
    absent = (user for user, is_absent in zip(users, lacks(users), strict=True) if is_absent)

    def is_enrolled(user: str) -> bool:
        running = (orgs.meant(school) for school, role in enrolled.running(user, today) if role in roles)
        return any(not orgs.ids.isdisjoint(schools) for schools in running)

    return list(filter(is_enrolled, absent))
