"""What is held, as an alert: once per school until nobody has to decide any more, then an all-clear.

Owners who get a report after every sync have read it there. So the alert goes to the operators, and to owners whose
report waits for the digest of the next morning.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from roster_pipeline.directory import accounts, alerts, approvals, tenants
from roster_pipeline.directory.alerts import HELD
from roster_pipeline.directory.approvals import Hold
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.outcome import NOUNS, joined
from roster_pipeline.sync.alert_recipients import page_of_school, school_notice, send_alert, was_open
from roster_pipeline.vocabulary import counted, role_name


@dataclass(frozen=True)
class Watched:
    """How many alerts one look opened, cleared and repeated."""

    opened: int = 0
    cleared: int = 0
    reminded: int = 0


def watch_holds(
    connection: Connection, now: datetime, school_id: int | None = None, only: list[int] | None = None
) -> Watched:
    """One look, in the caller's transaction. school_id, only: at one school, and of its alerts at these alone."""
    holding: dict[int, list[Hold]] = {}
    for hold in approvals.held(connection, school_id=school_id):
        holding.setdefault(hold.school_id, []).append(hold)
    if not holding and only == []:
        return Watched()
    cleared = alerts.clear_held(connection, list(holding), only)
    known = {alert.school_id for alert in alerts.open_alerts(connection) if alert.cause == HELD}
    fresh = {number: holds for number, holds in holding.items() if number not in known}
    if not (cleared or fresh):
        return Watched()
    schools = tenants.schools_by_id(connection, [*fresh, *(alert.school_id or 0 for alert in cleared)])
    for alert in cleared:
        school = schools[alert.school_id or 0]
        since = was_open(alert.opened_at, alert.message, school.settings.time_zone)
        notice = school_notice(school, now, "good", "All clear", "Nothing is held any more", since)
        send_alert(connection, [school], notice, alert.id, "cleared", owners_too=_waits(school))
    for number, holds in fresh.items():
        school = schools[number]
        said = f"{_held(holds)} held{_by_whom(holds)}"
        opened = alerts.open_alert(connection, f"school {school.key}", HELD, f"{said}.", school=number)
        if opened is None:
            continue
        may = any(hold.overridable for hold in holds)
        link = page_of_school(school.key, *(("Look and decide", "/holds") if may else ("Sync again", "/runs")))
        notice = school_notice(
            school,
            now,
            "attention",
            "Held",
            said,
            "The report says why. Everything else of that sync was done.",
            command=f"roster hold show {school.key}",
            link=link,
        )
        managers = accounts.managers_of(connection, school.district_id) if any(h.needs_manager for h in holds) else []
        send_alert(connection, [school], notice, opened, "opened", owners_too=_waits(school), also=managers)
    return Watched(len(fresh), len(cleared))


def _held(holds: list[Hold]) -> str:
    kinds = [f"{counted(hold.rows, *NOUNS[hold.action])} of {role_name(hold.role)}" for hold in holds]  # type: ignore[index]
    return f"{joined(kinds)} {'is' if sum(hold.rows for hold in holds) == 1 else 'are'}"


def _by_whom(holds: list[Hold]) -> str:
    """Until when, by who may decide about any of it."""
    overridable = [hold for hold in holds if hold.overridable]
    if not overridable:
        return " and cannot be approved"
    return (
        " until the district's manager decides"
        if all(h.needs_manager for h in overridable)
        else " until someone decides"
    )


def _waits(school: SchoolRow) -> bool:
    return school.settings.report_when == "daily"
