"""Roll back one sync: first what would happen, in numbers, then a reason, then the outcome."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import nothing_here, school_of, viewer
from roster_pipeline.console.list_filters import number_of
from roster_pipeline.console.page import database, form, page, redirect
from roster_pipeline.directory import ledger, rollback
from roster_pipeline.directory.ledger import SyncRow
from roster_pipeline.directory.rollback import Only
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services import decisions
from roster_pipeline.vocabulary import counted, reason_problem

ARCHIVED = "archived"
LEFT = ("person was changed since and is left as is", "people were changed since and are left as they are")


def preview(request: Request) -> Response:
    """What a rollback would do now."""
    return _page_of(request, only=_only(request.query_params.get("only")))


def roll_back(request: Request) -> Response:
    """Do it."""
    only = _only(form(request).get("only"))
    with database(request).begin() as opened:
        school, sync = _sync_of(request, opened)
    reason = str(form(request).get("reason", "")).strip()
    if error := reason_problem(reason):
        return _page_of(request, only=only, status=400, error=error)
    home = f"/schools/{school.key}/syncs"
    try:
        result = decisions.roll_back(database(request), sync.id, who=viewer(request).who, reason=reason, only=only)
    except (rollback.AlreadyUndone, rollback.NothingToUndo):
        with database(request).begin() as opened:
            undone_by = rollback.undone_whole_by(opened, sync.id)
        if undone_by is None:
            return _page_of(request, only=only, status=409)
        return redirect(request, f"{home}/{undone_by}", told=f"Sync {sync.id} was undone already, by this one.")
    moved = sum(of.get("moved", 0) for of in result.counts.values())
    left = f" {counted(moved, *LEFT)}." if moved else ""
    return redirect(request, f"{home}/{result.sync_id}", told=f"Sync {sync.id} is undone by this one.{left}")


def _sync_of(request: Request, opened: Connection) -> tuple[SchoolRow, SyncRow]:
    school = school_of(request, opened)
    try:
        found = ledger.get_sync(opened, number_of(request, "sync_id"))
    except ledger.UnknownSync:
        raise nothing_here() from None
    if found.school_id != school.id:
        raise nothing_here()
    return school, found


def _only(value: object) -> Only | None:
    return "archived" if value == ARCHIVED else None


def _page_of(request: Request, *, only: Only | None, status: int = 200, error: str = "") -> Response:
    with database(request).begin() as opened:
        school, sync = _sync_of(request, opened)
    return page(
        request,
        "rollback.html",
        status=status,
        school=school,
        tab="syncs",
        sync=sync,
        only=only,
        outline=rollback.outline(database(request), sync.id, only=only),
        error=error,
        now=datetime.now(UTC),
        zone=school.settings.time_zone,
    )


routes = [
    Route("/schools/{key}/syncs/{sync_id}/rollback", preview, methods=["GET"]),
    Route("/schools/{key}/syncs/{sync_id}/rollback", roll_back, methods=["POST"]),
]
