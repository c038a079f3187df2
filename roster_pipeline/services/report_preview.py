"""The Roster Email of a school as it would look now, for its settings page, and one copy of it by mail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from roster_pipeline.directory import audit, plans
from roster_pipeline.directory.sync_summary import latest_sync, sync_summary
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications import Mail, RoleCounts, SyncReport, mailer_from, message_id, render
from roster_pipeline.runtime.embedded import home
from roster_pipeline.settings.installation import MailServer
from roster_pipeline.sync.build_report import console_url, report_of
from roster_pipeline.vocabulary import ROLE_ORDER


def preview_mail(conn: Connection, school: SchoolRow) -> Mail:
    """The mail of the last sync; before the first one, that of a sync of the newest plan. Counts only, no rows."""
    sync_id = latest_sync(conn, school.key)
    return render(report_of(sync_summary(conn, sync_id)) if sync_id is not None else _of_plan(conn, school))


def _of_plan(conn: Connection, school: SchoolRow) -> SyncReport:
    plan = plans.latest(conn, school.id, dry_run=True)
    counts, rostered = plan.counts if plan else {}, school.settings.rostered
    return SyncReport(
        school_key=school.key,
        school_name=school.name,
        when=datetime.now(UTC),
        time_zone=school.settings.time_zone,
        roles=tuple(RoleCounts.of(role, counts.get(role, {})) for role in ROLE_ORDER if role in rostered),
        plan_id=plan.id if plan else None,
        console_url=console_url(),
    )


def send_test_mail(conn: Connection, school: SchoolRow, to: str, *, who: str) -> None:
    """Send the preview to one address at once, so that the answer of the mail server is known. Raises MailError."""
    mail = preview_mail(conn, school)
    mail = replace(mail, subject=f"Test: {mail.subject}")
    mailer = mailer_from(MailServer.read(), home() / "outbox")
    identity = message_id("test", school.key, to, datetime.now(UTC).isoformat(), sender=mailer.sender)
    mailer.send(identity, [to], mail)
    audit.record(conn, who=who, what="test mail sent", district_id=school.district_id, school_id=school.id)
