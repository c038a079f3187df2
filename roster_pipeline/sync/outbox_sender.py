"""Puts reports, daily digests and alerts into the outbox, and sends the mails that are due.

The report of a sync is put there in the transaction of the sync itself. So a process that dies in between does not
lose a mail or make a second one. A sensor puts the reports that are still missing after a rollback. A mail that fails
waits longer each time. In the morning, the reports that waited for a recipient become one mail.

A report may have a CSV file, with one line per row of the plan. Mailboxes keep a mail for years. So the file has only
ids or masked names: it never holds a whole name, an e-mail, a user name or a number, and a sourcedId that is one of
these (some systems do so) is left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from time import monotonic
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from roster_pipeline.directory import outbox
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.directory.plan_rows import RowDetail, count_details, details_of
from roster_pipeline.directory.sync_summary import SyncSummary, mark_reported, sync_summary, unreported
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.blocks import Link, page_link
from roster_pipeline.notifications.content import FailureAlert, RowDetails, SyncReport
from roster_pipeline.notifications.mail import Mail, Mailer, MailError, PermanentDeliveryError, ServerAwayError
from roster_pipeline.notifications.mail_page import render
from roster_pipeline.notifications.notice import Notice, digest_mail, notice_mail
from roster_pipeline.notifications.outcome import Tone, wants
from roster_pipeline.safe_csv import ENCODING, csv_chunks
from roster_pipeline.settings.installation import MailServer
from roster_pipeline.sync.build_report import console_url, message_id, report_of
from roster_pipeline.vocabulary import moment, why_of

MOST_AT_ONCE = 200
"""How many mails one tick sends. The others wait for the next tick, so that a tick stays short."""
MOST_SECONDS = 20.0
"""Seconds after which a tick sends no further mail: Dagster waits 60 s for a tick, and one mail may take 35 s."""
MORNING = time(7, 0)
"""When a digest is sent, by the clock of the school whose report waited longest: all nights are over."""
Names = Literal["ids", "masked"]
MOST_ROWS = 10_000
"""Rows of an attachment. This is about 2 MB: mail servers accept far more, but nobody reads that much."""
HEADER = ("row", "action", "result", "role", "person", "sourcedIds", "matched by", "reason", "why", "fields")
NAME = "name"
HIDDEN = "*"


@dataclass(frozen=True)
class Sent:
    """How many mails left, were put off, and were given up."""

    sent: int = 0
    failed: int = 0
    dead: int = 0


def send_due(database: Database, mailer: Mailer) -> Sent:
    """Send the mails that are due. If the server is away, this stops, because every other mail would wait as long."""
    sent = failed = dead = 0
    away, until = False, monotonic() + MOST_SECONDS
    for _ in range(MOST_AT_ONCE):
        if away or monotonic() > until:
            break
        with database.begin() as conn:
            waiting = outbox.due(conn, limit=1)
            if not waiting:
                break
            message = waiting[0]
            mail = Mail(message.subject, message.text, message.html, message.school or "", message.attachment)
            try:
                delivery = mailer.send(message.message_id, message.recipients, mail, at=message.created_at)
            except Exception as problem:  # also a mail that cannot be made: the others must not wait for it
                away = isinstance(problem, ServerAwayError)
                why = problem.message if isinstance(problem, MailError) else f"It broke off: {type(problem).__name__}."
                permanent = isinstance(problem, PermanentDeliveryError)
                alive = outbox.failed(conn, message.id, why, away=away, permanent=permanent)
                failed, dead = failed + alive, dead + (not alive)
            else:
                sent += 1
                if delivery.never:
                    outbox.refused(conn, message.id, delivery.never)
                    dead += 1
                if delivery.later:
                    outbox.failed(conn, message.id, "some recipients were put off", recipients=delivery.later)
                else:
                    outbox.sent(conn, message.id)
    return Sent(sent, failed, dead)


def due_at(put_at: datetime, time_zone: str) -> datetime:
    """The first morning after a report was written, as UTC."""
    zone = ZoneInfo(time_zone)
    local = put_at.astimezone(zone)
    morning = datetime.combine(local.date(), MORNING, zone)
    if morning <= local:
        morning = datetime.combine(local.date() + timedelta(days=1), MORNING, zone)
    return morning.astimezone(UTC)


def put_digests(database: Database, now: datetime) -> int:
    """Write the digests that are due, each report into one. Returns how many."""
    put = 0
    with database.begin() as conn:
        lock_until_commit(conn, "digests")
        for recipient, lines in groupby(outbox.waiting_for_digest(conn), key=lambda line: line.recipient):
            group = list(lines)
            if now < due_at(group[0].put_at, group[0].time_zone):
                continue
            identity = message_id("digest", recipient, *(line.sync_id for line in group))
            outbox.put(
                conn,
                message_id=identity,
                kind="digest",
                recipients=[recipient],
                mail=digest_mail(
                    [SyncReport.from_dict(line.report) for line in group], now, group[0].time_zone, console_url()
                ),
            )
            outbox.sent_with_digest(conn, recipient, [line.sync_id for line in group], identity)
            put += 1
    return put


def attach(conn: Connection, plan_id: int | None, sync_id: int, names: str) -> tuple[RowDetails | None, str | None]:
    """The mail's sentence about the file, and the file. (None, None) if no file is wanted, or if it would be empty."""
    if plan_id is None or names not in ("ids", "masked"):
        return None, None
    chosen: Names = "masked" if names == "masked" else "ids"
    rows = count_details(conn, plan_id, sync_id)
    if not rows:
        return None, None
    if rows > MOST_ROWS:
        return RowDetails(rows, chosen, attached=False), None
    return RowDetails(rows, chosen, attached=True), details_csv(details_of(conn, plan_id, sync_id, MOST_ROWS), chosen)


def details_csv(rows: Iterable[RowDetail], names: Names) -> str:
    """The file as text. The byte order mark is added later."""
    header = HEADER if names == "ids" else (*HEADER[:5], NAME, *HEADER[5:])
    return b"".join(csv_chunks(header, (_cells(row, names) for row in rows))).decode(ENCODING)


def _cells(row: RowDetail, names: Names) -> tuple[object, ...]:
    who = (row.person_id,) if names == "ids" else (row.person_id, masked(row.given_name, row.family_name))
    ids, why = " ".join(_shown_id(one, row) for one in row.sourced_ids), why_of(row.reason, row.notes)
    return (row.row, row.action, row.result, row.role, *who, ids, row.matched_by, row.reason, why, " ".join(row.fields))


def masked(*names: str | None) -> str:
    """The first letters: `A. L.`. A name of one letter would be shown completely, so it becomes `*`."""
    return " ".join(_initial(name) for name in names if name)


def _initial(name: str) -> str:
    letters = [letter for letter in name if letter.isalnum()]
    return f"{letters[0].upper()}." if len(letters) > 1 else HIDDEN


def _shown_id(sourced_id: str, row: RowDetail) -> str:
    """A sourcedId as it is, unless it shows who the person is."""
    secrets = {secret.casefold() for secret in row.secrets}
    secrets |= {name.casefold() for name in (row.given_name, row.family_name) if name}
    plain = sourced_id.casefold()
    identifying = "@" in plain or plain in secrets or any(len(one) > 3 and one in plain for one in secrets)
    return HIDDEN if identifying else sourced_id


def put_reports(database: Database) -> int:
    """Write the missing reports into the outbox. Returns how many mails it put there."""
    with database.begin() as conn:
        return sum(put_report(conn, sync_summary(conn, sync_id)) for sync_id in unreported(conn))


def put_report(conn: Connection, summary: SyncSummary) -> int:
    """Store one sync's report with the sync, and put its mail into the outbox if the school wants one. Returns the
    number of mails: 1 or 0. A run that is executed again makes no second mail if it found nothing new. It works in the
    caller's transaction, so a sync and its mail are committed together."""
    report, sync_id = report_of(summary), summary.sync_id
    mark_reported(conn, sync_id, report.as_dict())
    if summary.repeats or not summary.settings.report_to or not wants(report, summary.settings.report_when):
        return 0
    if summary.settings.report_when == "daily":
        outbox.put_for_digest(conn, summary.settings.report_to, sync_id)
        return 0
    details, file = attach(conn, summary.plan_id, sync_id, summary.settings.report_attachment)
    outbox.put(
        conn,
        message_id=message_id("sync", summary.school_key, sync_id, summary.at.isoformat()),
        kind="report",
        school_id=summary.school_id,
        sync_id=sync_id,
        recipients=summary.settings.report_to,
        mail=render(replace(report, details=details)),
        attachment=file,
    )
    return 1


def send_alert(
    conn: Connection,
    schools: list[SchoolRow],
    alert: Notice | FailureAlert,
    *identity: object,
    owners_too: bool = True,
    also: Sequence[str] = (),
    also_link: Link | None = None,
) -> None:
    """Put one mail to all recipients into the outbox. identity: values that make its Message-ID the same each time.
    Where there is a console, owners are led to its pages, and the operators get a mail of their own with the commands.
    owners_too: False if the owners know already; then only the operators get the mail. also: further addresses.
    also_link: a page that these and the operators may open, and the owners perhaps not."""
    owners = [address for school in schools for address in school.settings.report_to] if owners_too else []
    interested, operate = list(dict.fromkeys([*owners, *also])), operators()
    mails: list[tuple[list[str], bool, tuple[str, ...]]] = [(interested + operate, True, ())]
    if console_url():
        others = [one for one in also if one not in operate] if also_link else []
        rest = [one for one in interested if one not in {*operate, *others}]
        mails = [(rest, False, ()), (others, False, ("managers",)), (operate, True, ("operators",))]
    for recipients, commands, more in mails:
        if not recipients:
            continue
        if isinstance(alert, Notice):
            shown = replace(alert, link=also_link) if also_link and more else alert
            drawn = notice_mail(shown, commands=commands)
        else:
            drawn = render(alert, commands=commands)
        outbox.put(
            conn, message_id=message_id("alert", *identity, *more), kind="alert",
            school_id=schools[0].id if len(schools) == 1 else None, recipients=list(dict.fromkeys(recipients)),
            mail=drawn,
        )  # fmt: skip


def school_notice(
    school: SchoolRow,
    now: datetime,
    tone: Tone,
    badge: str,
    headline: str,
    *sentences: str,
    command: str = "",
    link: Link | None = None,
) -> Notice:
    """A short mail about one school, in the school's time zone."""
    zone = school.settings.time_zone
    return Notice(school.name, school.key, now, zone, tone, badge, headline, sentences, command, link)


def was_open(since: datetime, message: str, zone: str = "UTC") -> str:
    """The sentence of an all-clear about the alert that it ends. zone: the time zone of the school that it concerns."""
    return f"This was open since {moment(since, zone)}: {message}"


def page_of_school(key: str, text: str, path: str = "") -> Link | None:
    """A link to a page of the school in the console; None if there is no console."""
    return page_link(console_url(), f"/schools/{key}{path}", text)


def operators() -> list[str]:
    """The operators' addresses, as they are configured."""
    return MailServer.read().alerts_to
