"""One sync in the words of its mail, with checks and facts; its rollback, which shows what would happen before it asks
for a reason; and the rejected records of its snapshot."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row
from starlette.requests import Request
from starlette.responses import Response

from roster_pipeline.console.charts import SHOWN, role_bars
from roster_pipeline.console.page import (
    ROWS,
    Listed,
    ListFilter,
    csv_answer,
    database,
    form,
    list_filter,
    meaning,
    number_of,
    page,
    reason_of,
    redirect,
    route,
)
from roster_pipeline.console.session import nothing_here, school_of, viewer
from roster_pipeline.directory import approvals, audit, ledger, rollback, rosters
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.sync_summary import sync_summary
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.mail_page import page_of
from roster_pipeline.notifications.outcome import remarks, wrong_as_such
from roster_pipeline.services import decisions
from roster_pipeline.services.school_status import status_of_sync
from roster_pipeline.sync.build_report import report_of, run_url
from roster_pipeline.vocabulary import reason_problem, role_place

COLUMNS = ("created", "updated", "restored", "archived", "held", "skipped", "conflicts", "unchanged")
ALWAYS = ("created", "updated", "archived")
"""Columns that are shown even if they are empty."""
BEHIND = ("To check", "Compared with the sync before", "Quality checks", "Left as they are", "Connection")
"""Sections of the mail that the page shows as they are. The other sections have their own tables here."""
HEADER = ("name", "value", "sourcedId", "collection", "field", "rule", "meaning", "severity", "role")
AT_ONCE = 1000
"""Rejected records that are read at once for the file."""


@route("/schools/{key}/syncs/{sync_id}/rollback", "POST")
def roll_back(request: Request) -> Response:
    only = _only(request)
    with database(request).begin() as conn:
        school, sync = _sync_of(request, conn)
    reason = reason_of(request)
    if error := reason_problem(reason):
        return preview(request, status=400, error=error)
    home = f"/schools/{school.key}/syncs"
    try:
        result = decisions.roll_back(database(request), sync.id, who=viewer(request).email, reason=reason, only=only)
    except (rollback.AlreadyUndone, rollback.NothingToUndo):
        undone_by = database(request).call(rollback.undone_whole_by, sync.id)
        if undone_by is None:
            return preview(request, status=409)
        return redirect(request, f"{home}/{undone_by}", message=f"Sync {sync.id} was undone already, by this one.")
    message = f"Sync {sync.id} is undone by this one. {decisions.moved_words(result)}".strip()
    return redirect(request, f"{home}/{result.sync_id}", message=message)


def _sync_of(request: Request, conn: Connection) -> tuple[SchoolRow, ledger.SyncRow]:
    """The school and the sync in the path. Raises HTTPException 404, also for a sync of another school."""
    school = school_of(request, conn)
    sync = ledger.get_sync(conn, number_of(request, "sync_id"))
    if sync.school_id != school.id:
        raise nothing_here()
    return school, sync


def _only(request: Request) -> rollback.Only | None:
    given = form(request) if request.method == "POST" else request.query_params
    return "archived" if given.get("only") == "archived" else None


@route("/schools/{key}/syncs/{sync_id}/rollback", "GET")
def preview(request: Request, *, status: int = 200, error: str = "") -> Response:
    """The effect of a rollback of the sync, or of its archivals only."""
    only = _only(request)
    with database(request).begin() as conn:
        school, sync = _sync_of(request, conn)
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
    )


@route("/schools/{key}/syncs/{sync_id}", "GET")
def show(request: Request) -> Response:
    with database(request).begin() as conn:
        school, sync = _sync_of(request, conn)
        report = report_of(sync_summary(conn, sync.id))
        whole = rollback.undone_whole_by(conn, sync.id) is not None
        holds = [] if sync.plan_id is None else approvals.held(conn, school_id=school.id, plan_id=sync.plan_id)
    roles = sorted(report.roles, key=lambda one: role_place(one.role)) if report else []
    status = status_of_sync(sync.kind, sync.outcome, report.as_dict() if report else {})
    sections = {section.title: section for section in page_of(report).sections} if report else {}
    return page(
        request,
        "sync.html",
        school=school,
        tab="syncs",
        sync=sync,
        status_text=status,
        report=report,
        remarks=[one for one in remarks(report) if one not in status.sentence] if report else [],
        held=[one for one in report.held if one.rows] if report else [],
        wrong=wrong_as_such(report) if report else [],
        columns=[name for name in COLUMNS if name in ALWAYS or (report and report.total(name))],
        roles=roles,
        chart=role_bars(roles),
        legend=[name for name in SHOWN if report and report.total(name)],
        sections=[sections[title] for title in BEHIND if title in sections],
        waiting=bool(holds),
        decidable=any(hold.overridable for hold in holds),
        undone_whole=whole,
        may_roll_back=sync.kind in ("sync", "approval", "person", "upload") and not whole and bool(sync.counts),
        run=run_url(sync.run_id),
    )


@route("/schools/{key}/rejected/{snapshot_id}", "GET", "POST")
def show_rejected(request: Request) -> Response:
    """The rejected records. A POST searches them by sourcedId."""
    with database(request).begin() as conn:
        school, snapshot = _snapshot_of(request, conn)
        filters, wanted = _filters(request)
        found = rosters.page(conn, snapshot.id, wanted, limit=ROWS, offset=filters.offset)
        listed = Listed(filters, list(found), rosters.count(conn, snapshot.id, wanted))
        by_rule = rosters.by_rule(conn, snapshot.id)
    return page(
        request,
        "rejected.html",
        school=school,
        tab="syncs",
        snapshot=snapshot,
        listed=listed,
        by_rule=by_rule,
        manages=viewer(request).may_manage(school.district_id),
        csv=f"/schools/{school.key}/rejected/{snapshot.id}/rows.csv",
    )


@route("/schools/{key}/rejected/{snapshot_id}/rows.csv", "GET", "POST")
def rejected_csv(request: Request) -> Response:
    """The same as a file."""
    with database(request).begin() as conn:
        school, snapshot = _snapshot_of(request, conn)
        filters, wanted = _filters(request)
        details = {"snapshot": snapshot.id, "rows": rosters.count(conn, snapshot.id, wanted)}
        details["searched"] = bool(filters.words)
        audit.record(conn, viewer(request).email, "rejected records downloaded", school=school, details=details)
    name = f"{school.key}-rejected-{snapshot.id}"
    return csv_answer(name, HEADER, _cells(database(request), snapshot.id, wanted))


def _cells(db: Database, snapshot_id: int, wanted: rosters.RejectedFilter) -> Iterator[tuple[Any, ...]]:
    offset = 0
    while True:
        found = db.call(rosters.page, snapshot_id, wanted, limit=AT_ONCE, offset=offset)
        for row in found:
            whose = (row[name] for name in ("name", "value", "sourced_id", "collection", "field", "rule"))
            yield (*whose, meaning(row["rule"]), row["severity"], row["role"])
        if len(found) < AT_ONCE:
            return
        offset += AT_ONCE


def _filters(request: Request) -> tuple[ListFilter, rosters.RejectedFilter]:
    filters = list_filter(request, "rule", "severity")
    return filters, rosters.RejectedFilter(rule=filters["rule"], severity=filters["severity"], words=filters.words)


def _snapshot_of(request: Request, conn: Connection) -> tuple[SchoolRow, Row[Any]]:
    school = school_of(request, conn)
    return school, rosters.snapshot_of_school(conn, school.id, number_of(request, "snapshot_id"))
