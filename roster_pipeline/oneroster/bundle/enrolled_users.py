"""Enrollments of a bundle: who has one, and whether they name people whom the other files lack.

A file that was cut between two rows looks whole. But it lacks people, or their roles, who are still enrolled.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from roster_pipeline.oneroster.bundle.bundle_files import (
    ENROLLMENTS,
    BundleBroken,
    BundleLimits,
    BundleTooLarge,
    Member,
    OpenedBundle,
    WrongEncoding,
    WrongHeader,
    preflight,
)
from roster_pipeline.oneroster.bundle.bundle_layout import BundleLayout
from roster_pipeline.oneroster.bundle.bundle_reading import Tally
from roster_pipeline.oneroster.bundle.columns import ENROLLMENTS as ENROLLMENT_COLUMNS
from roster_pipeline.oneroster.bundle.columns import cell_picker, column_layout, record_maker
from roster_pipeline.oneroster.bundle.csv_table import Table
from roster_pipeline.oneroster.bundle.row_repair import RowRepair
from roster_pipeline.oneroster.collections.proof import SeenIds
from roster_pipeline.oneroster.records.orgs import IN_PART, UNREAD, UNREADABLE_ROWS, Memberships
from roster_pipeline.oneroster.records.role_entries import role_name
from roster_pipeline.org_tree import GONE_STATUSES

LOST_USERS = "enrollments-name-absent-users"
"""Problem: many people are enrolled, and users.csv or roles.csv lacks them. If they are few, it is a note."""
MOST_LOST, LOST_SHARE = 5, 0.01
"""More people than both: some exports keep the enrollments of a few who have left."""
_UNREADABLE = (BundleBroken, BundleTooLarge, WrongEncoding, WrongHeader)


def note_lost_users(
    opened: OpenedBundle, layout: BundleLayout, tally: Tally, limits: BundleLimits, today: date
) -> None:
    """Note in the tally of a bulk bundle if people without a record, or without a role, are enrolled in its orgs.

    Only if enrollments.csv is there, is bulk and can be read. Enrollments in a role that nobody of the bundle has do
    not count: an export of students alone may have those of teachers too.
    """
    member = opened.files.get(ENROLLMENTS)
    if member is None or not layout.whole or layout.enrollments != "bulk" or tally.users is None:
        return
    now, enrolled, known = today.isoformat(), SeenIds(), {None, *tally.roles_seen}
    try:
        with Table(member, preflight(member), limits) as table:
            columns = column_layout(member.name, table.header, ENROLLMENT_COLUMNS)
            pick = cell_picker(columns, ("user", "school", "role", "status", "endDate"))
            for page in table.pages():
                users = [
                    user.strip()
                    for user, school, role, status, ends in map(pick, page.rows)
                    if user.strip()
                    and school.strip() in tally.orgs.ids
                    and role_name(role) in known
                    and status.strip().lower() not in GONE_STATUSES
                    and not (ends[:4].isdecimal() and ends < now)
                ]
                enrolled.add(np.fromiter(map(hash, users), np.int64, len(users)))
    except _UNREADABLE:
        return
    values = enrolled.values()
    lost = int((~tally.users.has(values) | tally.without_role.has(values)).sum())
    if lost > max(MOST_LOST, LOST_SHARE * len(values)):
        tally.problem(LOST_USERS)
    elif lost:
        tally.notes.append(LOST_USERS)


def read_enrollments(opened: Sequence[tuple[OpenedBundle, BundleLayout]], limits: BundleLimits) -> Memberships | str:
    """The enrollments of these bundles together, or the problem slug that says why they cannot be used.

    They show who has no enrollment only if enrollments.csv is bulk in every bundle and every row can be read. A problem
    in it is a problem of the snapshot, never an error of the bundle.
    """
    memberships = Memberships()
    for bundle, layout in opened:
        member = bundle.files.get(ENROLLMENTS)
        if member is None:
            return UNREAD
        if not layout.whole or layout.enrollments != "bulk":
            return IN_PART
        problem = _add_enrollments(member, limits, memberships)
        if problem is not None:
            return problem
    return memberships if memberships else UNREAD


def _add_enrollments(member: Member, limits: BundleLimits, memberships: Memberships) -> str | None:
    """Add the enrollments of one file; returns the slug of its problem."""
    try:
        with Table(member, preflight(member), limits) as table:
            columns = column_layout(member.name, table.header, ENROLLMENT_COLUMNS)
            make = record_maker(columns)
            for page in table.pages(RowRepair(table.header, columns.positions)):
                if page.unreadable:
                    return UNREADABLE_ROWS
                memberships.page([make(row) for row in page.rows])
            return None
    except _UNREADABLE:
        return UNREAD
