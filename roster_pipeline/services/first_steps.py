"""The steps of a new school, from the first test to the nightly sync. The next one is what its pages lead to."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from roster_pipeline.directory import plans
from roster_pipeline.directory.school_overview import first_days
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.connection_test_state import LastTest, last_test, tested_school
from roster_pipeline.services.plan_summary import summary_of, would_do
from roster_pipeline.vocabulary import ROLE_ORDER, role_name

MOST_SYNCS = 5
"""A school with as many syncs is not new any more, even if it stays without automatic rostering."""


@dataclass(frozen=True)
class FirstStep:
    """One step. detail: what it brought, in words. button, path: the page below the school's where it is done."""

    words: str
    done: bool
    detail: str
    button: str
    path: str


def first_steps(conn: Connection, school: SchoolRow) -> list[FirstStep]:
    """The steps of a school in order; empty once it has come through them, or is not new any more."""
    facts = first_days(conn, school.id)
    settings, first = school.settings, "Sync for the first time"
    if facts.applied and (settings.automatic or facts.applied >= MOST_SYNCS):
        return []
    tested = last_test(school)
    numbers = ""
    if facts.plan_id is not None and not facts.applied:
        numbers = would_do(summary_of(conn, plans.get(conn, facts.plan_id)))
    return [
        FirstStep(
            "Test the connection",
            tested is LastTest.GREEN,
            tested_school(school.test["items"]) if school.test and tested is LastTest.GREEN else "",
            "Test Your Information",
            "/settings/connection",
        ),
        FirstStep(
            "Choose who is rostered",
            bool(settings.rostered),
            ", ".join(role_name(role) for role in ROLE_ORDER if role in settings.rostered),
            "Choose the roles",
            "/settings/synced",
        ),
        FirstStep("Try it with a dry run", facts.plan_id is not None, numbers, "Dry run", "/runs"),
        FirstStep(
            f"{first}, and approve it" if settings.first_sync == "approve" else first,
            facts.applied > 0,
            "The first sync waits for your approval." if facts.held else "",
            "Look and decide" if facts.held else "Sync now",
            "/holds" if facts.held else "/runs",
        ),
        FirstStep(
            "Switch on automatic rostering",
            settings.automatic,
            f"Every night at {settings.sync_time:%H:%M} ({settings.time_zone})." if settings.automatic else "",
            "Open the schedule",
            "/settings/schedule",
        ),
    ]


def next_of(steps: list[FirstStep]) -> FirstStep | None:
    """The first step that is not done."""
    return next((step for step in steps if not step.done), None)
