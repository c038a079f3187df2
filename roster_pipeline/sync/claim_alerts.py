"""The alert on people whom another connection delivers too: to their school, and to those who can settle it.

Once per school until nobody waits any more, then an all-clear. How many there are is in each report of the school.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from roster_pipeline.directory import accounts, alerts, tenants
from roster_pipeline.directory.alerts import CLAIMED
from roster_pipeline.directory.claims import claimed_people
from roster_pipeline.notifications.outcome import claimed_words
from roster_pipeline.sync.alert_recipients import school_notice, send_alert, was_open
from roster_pipeline.sync.hold_alerts import Watched

HINT = "The plan of the other school names the records, and there it is said who they are."


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
        headline = "Nobody of this school is claimed elsewhere any more"
        since = was_open(alert.opened_at, alert.message, school.settings.time_zone)
        send_alert(
            connection, [school], school_notice(school, now, "good", "All clear", headline, since), alert.id, "cleared"
        )
    for school_id in sorted(fresh):
        school, message = schools[school_id], claimed_words(claimed[school_id])
        opened = alerts.open_alert(connection, f"school {school.key}", CLAIMED, message, school=school_id)
        headline = "Another school also claims people of this one"
        notice = school_notice(school, now, "attention", "Claimed elsewhere", headline, message, HINT)
        managers = accounts.managers_of(connection, school.district_id)
        send_alert(connection, [school], notice, opened, "opened", also=managers)
    return Watched(len(fresh), len(over))
