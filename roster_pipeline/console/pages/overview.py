"""The first page: every school the viewer may see, those that need attention first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import viewer
from roster_pipeline.console.page import database, page
from roster_pipeline.directory import tenants
from roster_pipeline.directory.school_overview import STATES, Overview, overview
from roster_pipeline.services.school_status import next_run, status_of

PAGE = 50
SHOWN = {
    "": "All",
    "attention": "Needs attention",
    "held": "Held",
    "failing": "Failing",
    "paused": "Paused",
    "stale": "Silent",
    "resting": "Paused until a day",
    "quiet": "Paused or silent",
    "off": "By hand",
    "fine": "In order",
}
"""What can be chosen as a filter, in words."""
LONGEST_SEARCH = 100


def show(request: Request) -> Response:
    """The overview. `q` searches, `state` filters, `page` counts from 1."""
    who = viewer(request)
    search = request.query_params.get("q", "")[:LONGEST_SEARCH]
    state = request.query_params.get("state") or None
    state = state if state in (*STATES, "attention", "quiet") else None
    number = max(1, _number(request.query_params.get("page", "")))
    with database(request).begin() as opened:
        found = overview(
            opened,
            everyone=who.operator,
            districts=who.districts,
            schools=who.schools,
            search=search,
            state=state,
            limit=PAGE,
            offset=(number - 1) * PAGE,
        )
        districts = tenants.list_districts(opened) if who.lets_others_in else []
    return page(
        request,
        "overview.html",
        districts=[row for row in districts if who.may_manage(row.id)],
        **lines(found, search, state, number),
    )


def lines(found: Overview, search: str, state: str | None, number: int) -> dict[str, Any]:
    """What the template shows."""
    now = datetime.now(UTC)
    first = (number - 1) * PAGE + 1
    return {
        "found": found,
        "lines": [(one, status_of(one), next_run(one, now)) for one in found.page],
        "search": search,
        "state": state or "",
        "states": list(SHOWN.items()),
        "now": now,
        "said": f"{first:,} to {first + len(found.page) - 1:,} of {found.found:,}" if found.page else "",
        "newer": _address(search, state, number - 1) if number > 1 else None,
        "older": _address(search, state, number + 1) if number * PAGE < found.found else None,
    }


def _address(search: str, state: str | None, number: int) -> str:
    chosen = {"q": search, "state": state or "", "page": str(number) if number > 1 else ""}
    given = urlencode({name: value for name, value in chosen.items() if value})
    return f"/?{given}" if given else "/"


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 7 else 1


routes = [Route("/", show, methods=["GET"])]
