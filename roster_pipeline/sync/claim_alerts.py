"""The alert on people whom another connection delivers too: to their school, and to those who can settle it.

Once per school until nobody waits any more, then an all-clear. How many there are is in each report of the school.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from roster_pipeline.directory import accounts, alerts, tenants
from roster_pipeline.directory.alerts import CLAIMED
from roster_pipeline.directory.claims import claimed_people
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.notice import Notice
from roster_pipeline.notifications.outcome import claimed_words
from roster_pipeline.sync.alert_recipients import send_alert
from roster_pipeline.sync.hold_alerts import Watched


def watch_claims(connection: Connection, now: datetime) -> Watched:
    """One look, in the caller's transaction."""
    claimed = claimed_people(connection)
    known = {alert.school_id: alert for alert in alerts.open_alerts(connection) if alert.cause == CLAIMED}
    fresh, over = claimed.keys() - known.keys(), known.keys() - claimed.keys()
    if not (fresh or over):
        return Watched()
    schools = {school.id: school for school in tenants.list_schools(connection)}
    for school_id in sorted(over, key=str):
        alert, school = known[school_id], schools[school_id or 0]
        alerts.close(connection, alert.id)
        said = f"This was open since {alert.opened_at:%Y-%m-%d %H:%M} UTC: {alert.message}"
        _tell(connection, school, now, alert.id, "good", "Nobody of this school is claimed elsewhere any more", said)
    for school_id in sorted(fresh):
        school, said = schools[school_id], claimed_words(claimed[school_id])
        opened = alerts.open_alert(connection, f"school {school.key}", CLAIMED, said, school=school_id)
        _tell(connection, school, now, opened, "attention", "Another school also claims people of this one", said)
    return Watched(len(fresh), len(over))


def _tell(
    connection: Connection, school: SchoolRow, now: datetime, alert_id: int | None, tone: str, headline: str, said: str
) -> None:
    good = tone == "good"
    hint = "The plan of the other school names the records, and there it is said who they are."
    notice = Notice(
        school.name,
        school.key,
        now,
        school.settings.time_zone,
        "good" if good else "attention",
        "All clear" if good else "Claimed elsewhere",
        headline,
        (said,) if good else (said, hint),
    )
    managers = [] if good else accounts.managers_of(connection, school.district_id)
    send_alert(connection, [school], notice, alert_id, "cleared" if good else "opened", also=managers)
