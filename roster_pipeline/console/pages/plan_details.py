"""A plan: every row with who, what, from, to and why; what became of it; and the rows as a file."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import viewer
from roster_pipeline.console.list_filters import list_filter
from roster_pipeline.console.page import ACTIONS, csv_answer, database, page
from roster_pipeline.console.plan_view import FIELDS, decides_as_manager, plan_of, row_filter, rows_of
from roster_pipeline.directory import audit, held_plans, plan_rows
from roster_pipeline.services.hold_explanations import hold_explanation_of
from roster_pipeline.services.plan_rows import HEADER, cells, every_line, summary_of
from roster_pipeline.vocabulary import REASONS, held_place, role_place

ALWAYS = ("create", "update", "archive")
"""Columns that are shown also where they are empty."""


def show(request: Request) -> Response:
    """A plan; posted, it is searched."""
    with database(request).begin() as opened:
        school, plan = plan_of(request, opened)
        summary = summary_of(opened, plan)
        rows = rows_of(request, opened, school, plan, address=f"/schools/{school.key}/plans/{plan.id}")
        events = held_plans.timeline(opened, plan)
        why = plan_rows.reasons(opened, plan)
        manager = decides_as_manager(viewer(request), opened, school, plan.id)
    counts = _counts(why)
    return page(
        request,
        "plan.html",
        school=school,
        tab="holds" if summary.held_rows and plan.state == "planned" and not plan.dry_run else "syncs",
        plan=plan,
        summary=summary,
        counts=counts,
        columns=[name for name in ACTIONS if name in ALWAYS or any(name in of for of in counts.values())],
        why=[
            line | {"sentence": REASONS.get(line["reason"], line["reason"])}
            for line in sorted(why, key=lambda line: held_place(line["role"], line["action"])[::-1])
        ],
        holding=hold_explanation_of((line for line in summary.verdict if _waits(line)), manager=manager),
        rows=rows,
        events=events,
        now=datetime.now(UTC),
        zone=school.settings.time_zone,
    )


def rows_csv(request: Request) -> Response:
    """The rows that the filter chose, as a file."""
    with database(request).begin() as opened:
        school, plan = plan_of(request, opened)
        asked = list_filter(request, *FIELDS)
        wanted = row_filter(asked)
        details = {"plan": plan.id, "rows": plan_rows.count(opened, plan, wanted), "searched": bool(asked.words)}
        audit.record(
            opened,
            who=viewer(request).who,
            what="plan rows downloaded",
            district_id=school.district_id,
            school_id=school.id,
            details=details | {name: value for name, value in asked.fields.items() if value and name != "sort"},
        )
    lines = every_line(database(request), plan, wanted)
    return csv_answer(f"{school.key}-plan-{plan.id}", HEADER, cells(lines))


def _counts(why: list[dict[str, object]]) -> dict[str, dict[str, int]]:
    """role to action to rows, the roles as in the settings."""
    counts: dict[str, dict[str, int]] = {}
    for line in sorted(why, key=lambda one: role_place(str(one["role"]))):
        of_role = counts.setdefault(str(line["role"]), {})
        of_role[str(line["action"])] = of_role.get(str(line["action"]), 0) + int(str(line["rows"]))
    return counts


def _waits(line: dict[str, object]) -> bool:
    return line["verdict"] == "hold" and bool(line["rows"]) and line["sync_id"] is None


routes = [
    Route("/schools/{key}/plans/{plan_id}", show, methods=["GET", "POST"]),
    Route("/schools/{key}/plans/{plan_id}/rows.csv", rows_csv, methods=["GET", "POST"]),
]
