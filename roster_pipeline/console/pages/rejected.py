"""Records of one snapshot that could not be used as they are: whose record it is, which value, and what is wrong with
it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.cleaning.rejections import RULES
from roster_pipeline.console.auth.viewer import nothing_here, school_of, viewer
from roster_pipeline.console.list_filters import ROWS, Listed, ListFilter, list_filter, number_of
from roster_pipeline.console.page import csv_answer, database, page
from roster_pipeline.directory import audit, rosters
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.rosters import RejectedFilter, SnapshotHead, UnknownSnapshot
from roster_pipeline.directory.tenants import SchoolRow

HEADER = ("name", "value", "sourcedId", "collection", "field", "rule", "meaning", "severity", "role")
AT_ONCE = 1000


def show(request: Request) -> Response:
    """The list. A POST searches it by sourcedId."""
    with database(request).begin() as opened:
        school, snapshot = _snapshot_of(request, opened)
        asked, wanted = _asked(request)
        found = rosters.page(opened, snapshot.id, wanted, limit=ROWS, offset=asked.offset)
        listed = Listed(asked, list(found), rosters.count(opened, snapshot.id, wanted))
        by_rule = rosters.by_rule(opened, snapshot.id)
    return page(
        request,
        "rejected.html",
        school=school,
        tab="syncs",
        snapshot=snapshot,
        listed=listed,
        by_rule=by_rule,
        manages=viewer(request).may_manage(school.district_id),
        meaning=_meaning,
        csv=f"/schools/{school.key}/rejected/{snapshot.id}/rows.csv",
        now=datetime.now(UTC),
        zone=school.settings.time_zone,
    )


def rows_csv(request: Request) -> Response:
    """The same as a file."""
    with database(request).begin() as opened:
        school, snapshot = _snapshot_of(request, opened)
        asked, wanted = _asked(request)
        details = {"snapshot": snapshot.id, "rows": rosters.count(opened, snapshot.id, wanted)}
        audit.record(
            opened,
            who=viewer(request).who,
            what="rejected records downloaded",
            district_id=school.district_id,
            school_id=school.id,
            details=details | {"searched": bool(asked.words)},
        )
    name = f"{school.key}-rejected-{snapshot.id}"
    return csv_answer(name, HEADER, _cells(database(request), snapshot.id, wanted))


def _cells(opened_again: Database, snapshot_id: int, wanted: RejectedFilter) -> Iterator[tuple[Any, ...]]:
    offset = 0
    while True:
        with opened_again.begin() as opened:
            found = rosters.page(opened, snapshot_id, wanted, limit=AT_ONCE, offset=offset)
        for row in found:
            rule = row["rule"]
            yield (
                row["name"],
                row["value"],
                row["sourced_id"],
                row["collection"],
                row["field"],
                rule,
                _meaning(rule),
                row["severity"],
                row["role"],
            )
        if len(found) < AT_ONCE:
            return
        offset += AT_ONCE


def _asked(request: Request) -> tuple[ListFilter, RejectedFilter]:
    asked = list_filter(request, "rule", "severity")
    return asked, RejectedFilter(rule=asked["rule"], severity=asked["severity"], words=asked.words)


def _meaning(rule: str) -> str:
    return RULES.get(rule, rule.replace("_", " "))


def _snapshot_of(request: Request, opened: Connection) -> tuple[SchoolRow, SnapshotHead]:
    school = school_of(request, opened)
    try:
        return school, rosters.snapshot_of_school(opened, school.id, number_of(request, "snapshot_id"))
    except UnknownSnapshot:
        raise nothing_here() from None


routes = [
    Route("/schools/{key}/rejected/{snapshot_id}", show, methods=["GET", "POST"]),
    Route("/schools/{key}/rejected/{snapshot_id}/rows.csv", rows_csv, methods=["GET", "POST"]),
]
