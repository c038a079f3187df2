"""The alert on a source that has stopped: opened and cleared by the nights that read it, once per school.

A night inside a blackout window opens none: a school that changes nothing in summer has a SIS that does not either.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.directory import alerts
from roster_pipeline.directory.alerts import SOURCE_STALE
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.sync.alert_recipients import page_of_school, school_notice, send_alert, was_open
from roster_pipeline.sync.source_age import snapshot_facts, wrong_with_age


def watch_source(connection: Connection, school: SchoolRow, facts: Mapping[str, Any], now: datetime) -> None:
    """Open or clear the school's alert on its source. facts: of the snapshot that was just taken."""
    found = wrong_with_age(snapshot_facts(facts), school.settings.guards)
    subject = f"school {school.key}"
    if not found:
        cleared = alerts.close_of(connection, subject, SOURCE_STALE)
        if cleared is not None:
            since = was_open(cleared.opened_at, cleared.message, school.settings.time_zone)
            notice = school_notice(school, now, "good", "All clear", "The source is up to date again", since)
            send_alert(connection, [school], notice, cleared.id, "cleared")
        return
    if _in_blackout(school, now):
        return
    message = " ".join(found)
    opened = alerts.open_alert(connection, subject, SOURCE_STALE, message, school=school.id)
    if opened is not None:
        hint = "Nobody is archived meanwhile. Check whether the export still runs, and where it writes to."
        if facts["written_at"] is None:
            hint = "Nobody is archived meanwhile. Check whether the SIS still passes its changes on to this connection."
        notice = school_notice(
            school,
            now,
            "attention",
            "Old source",
            "The source of the roster looks old",
            message,
            hint,
            command=f"roster test-connection {school.key}",
            link=page_of_school(school.key, "Test and settings", "/settings"),
        )
        send_alert(connection, [school], notice, opened, "opened")


def _in_blackout(school: SchoolRow, now: datetime) -> bool:
    today = now.astimezone(school.settings.zone).date()
    windows = school.settings.guards.windows
    return any(window.kind == "blackout" and window.first <= today <= window.last for window in windows)
