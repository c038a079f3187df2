"""One sync: what it did and what it left, in the words of its mail, with the checks and the facts behind it."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import nothing_here, school_of
from roster_pipeline.console.charts import SHOWN, role_bars
from roster_pipeline.console.list_filters import number_of
from roster_pipeline.console.page import database, page
from roster_pipeline.directory import approvals, ledger, rollback
from roster_pipeline.directory.ledger import SyncRow, UnknownSync
from roster_pipeline.directory.sync_summary import sync_summary
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications import SyncReport
from roster_pipeline.notifications.mail_page import page_of
from roster_pipeline.notifications.outcome import remarks, wrong_as_such
from roster_pipeline.services.school_status import status_of_sync
from roster_pipeline.sync.build_report import report_of, run_url
from roster_pipeline.vocabulary import role_place

COLUMNS = ("created", "updated", "restored", "archived", "held", "skipped", "conflicts", "unchanged")
ALWAYS = ("created", "updated", "archived")
"""Columns that are shown also where they are empty."""
BEHIND = ("Compared with the sync before", "Quality checks", "Left as they are", "Connection")
"""Sections of the mail that the page shows as they are; the others have tables of their own here."""


def show(request: Request) -> Response:
    """The sync's page."""
    with database(request).begin() as opened:
        school = school_of(request, opened)
        sync = sync_of(request, opened, school)
        report = report_of(sync_summary(opened, sync.id))
        whole = rollback.undone_whole_by(opened, sync.id) is not None
        holds = [] if sync.plan_id is None else approvals.held(opened, school_id=school.id, plan_id=sync.plan_id)
    roles = sorted(report.roles, key=lambda one: role_place(one.role)) if report else []
    said = status_of_sync(sync.kind, sync.outcome, report.as_dict() if report else {})
    return page(
        request,
        "sync.html",
        school=school,
        tab="syncs",
        sync=sync,
        said=said,
        report=report,
        remarks=remarks(report) if report else [],
        held=[one for one in report.held if one.rows] if report else [],
        wrong=wrong_as_such(report) if report else [],
        columns=[name for name in COLUMNS if name in ALWAYS or (report and report.total(name))],
        roles=roles,
        chart=role_bars(roles),
        legend=[name for name in SHOWN if report and report.total(name)],
        sections=_sections(report),
        rejected_url=f"/schools/{school.key}/rejected/{sync.snapshot_id}" if sync.snapshot_id else "",
        waiting=bool(holds),
        decidable=any(hold.overridable for hold in holds),
        undone_whole=whole,
        may_roll_back=sync.kind in ("sync", "approval", "person", "upload") and not whole and bool(sync.counts),
        run=run_url(sync.run_id),
        now=datetime.now(UTC),
    )


def sync_of(request: Request, opened: Connection, school: SchoolRow) -> SyncRow:
    """The sync in the path. Raises HTTPException 404 where it is not one of this school."""
    try:
        found = ledger.get_sync(opened, number_of(request, "sync_id"))
    except UnknownSync:
        raise nothing_here() from None
    if found.school_id != school.id:
        raise nothing_here()
    return found


def _sections(report: SyncReport | None) -> list[object]:
    if report is None:
        return []
    found = {section.title: section for section in page_of(report).sections}
    return [found[title] for title in BEHIND if title in found]


routes = [Route("/schools/{key}/syncs/{sync_id}", show, methods=["GET"])]
