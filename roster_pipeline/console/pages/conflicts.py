"""Conflicts of a school, to be worked through: both sides beside each other, "same person" or "two people"."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import school_of, viewer
from roster_pipeline.console.list_filters import list_filter
from roster_pipeline.console.page import database, page
from roster_pipeline.directory import plans
from roster_pipeline.services import conflicts

AT_ONCE = 20


def show(request: Request) -> Response:
    """The conflicts of the newest plan, a dry run's too."""
    who = viewer(request)
    asked = list_filter(request)
    offset = (asked.page - 1) * AT_ONCE
    with database(request).begin() as opened:
        school = school_of(request, opened)
        plan = plans.latest(opened, school.id, dry_run=True)
        total = conflicts.count(opened, plan)
        found = []
        if plan is not None and total:
            found = conflicts.page(opened, school, plan, who.may_see, who.may_manage, limit=AT_ONCE, offset=offset)
    return page(
        request,
        "conflicts.html",
        school=school,
        tab="people",
        plan=plan,
        conflicts=found,
        total=total,
        newer=asked.at(asked.page - 1) if asked.page > 1 else None,
        older=asked.at(asked.page + 1) if offset + AT_ONCE < total else None,
        now=datetime.now(UTC),
        zone=school.settings.time_zone,
    )


routes = [Route("/schools/{key}/conflicts", show, methods=["GET"])]
