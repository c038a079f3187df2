"""enrollments.csv: who is enrolled where, for connections on which no enrollment left means gone.

The file says who has no enrollment only if it is the whole truth and every row of it can be read. What is wrong with it
is a problem of the snapshot where it is needed, and never an error of the bundle.
"""

from __future__ import annotations

from collections.abc import Sequence

from roster_pipeline.oneroster.bundle.bundle_errors import BundleBroken, BundleTooLarge, WrongEncoding, WrongHeader
from roster_pipeline.oneroster.bundle.bundle_layout import BundleLayout
from roster_pipeline.oneroster.bundle.columns import ENROLLMENTS as COLUMNS
from roster_pipeline.oneroster.bundle.columns import layout_of
from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.bundle.opened_bundle import ENROLLMENTS, Member, OpenedBundle
from roster_pipeline.oneroster.bundle.preflight import preflight
from roster_pipeline.oneroster.bundle.row_repair import RowRepair
from roster_pipeline.oneroster.bundle.rows import record_maker
from roster_pipeline.oneroster.bundle.table import Table
from roster_pipeline.oneroster.collections.enrollments import IN_PART, UNREAD, UNREADABLE_ROWS, Memberships

_WRONG = (BundleBroken, BundleTooLarge, WrongEncoding, WrongHeader)


def enrollments_of(opened: Sequence[tuple[OpenedBundle, BundleLayout]], limits: BundleLimits) -> Memberships | str:
    """The enrollments of these bundles together; or why nobody can be called not enrolled by them, as a slug.

    opened: one bundle, or several of one night.
    """
    memberships = Memberships()
    for package, contents in opened:
        member = package.files.get(ENROLLMENTS)
        if member is None:
            return UNREAD
        if not contents.whole or contents.enrollments != "bulk":
            return IN_PART
        problem = _read(member, limits, memberships)
        if problem is not None:
            return problem
    return memberships if memberships else UNREAD


def _read(member: Member, limits: BundleLimits, memberships: Memberships) -> str | None:
    """Take in the enrollments of one bundle; gives the slug of what is wrong with them."""
    try:
        with Table(member, preflight(member), limits) as table:
            layout = layout_of(member.name, table.header, COLUMNS)
            make = record_maker(layout)
            for page in table.pages(RowRepair(table.header, layout.positions)):
                if page.unreadable:
                    return UNREADABLE_ROWS
                memberships.page([make(row) for row in page.rows])
            return None
    except _WRONG:
        return UNREAD
