"""Who hears of an alert: the owners of the schools it concerns, and the operators of the installation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from roster_pipeline.directory import outbox, tenants
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications import FailureAlert, render
from roster_pipeline.notifications.blocks import Link
from roster_pipeline.notifications.links import page_links
from roster_pipeline.notifications.notice import Notice, notice_mail
from roster_pipeline.notifications.outcome import Tone
from roster_pipeline.settings.installation import MailServer
from roster_pipeline.sync.build_report import console_url, message_id
from roster_pipeline.vocabulary import moment


def send_alert(
    connection: Connection,
    schools: list[SchoolRow],
    alert: Notice | FailureAlert,
    *identity: object,
    owners_too: bool = True,
    also: Sequence[str] = (),
) -> None:
    """Put one mail to all of them into the outbox. identity: what makes its Message-ID the same each time.

    Where there is a console, owners are led to its pages, and the operators get a mail of their own with the commands.
    owners_too: False where the owners know already, so that only the operators are told. also: further addresses.
    """
    owners = [address for school in schools for address in school.settings.report_to] if owners_too else []
    told, operate = list(dict.fromkeys([*owners, *also])), operators()
    mails: list[tuple[list[str], bool, tuple[str, ...]]] = [(told + operate, True, ())]
    if console_url():
        mails = [([one for one in told if one not in operate], False, ()), (operate, True, ("operators",))]
    for recipients, commands, more in mails:
        if not recipients:
            continue
        drawn = notice_mail(alert, commands=commands) if isinstance(alert, Notice) else render(alert, commands=commands)
        outbox.put(
            connection,
            message_id=message_id("alert", *identity, *more),
            kind="alert",
            school_id=schools[0].id if len(schools) == 1 else None,
            sync_id=None,
            recipients=list(dict.fromkeys(recipients)),
            mail=drawn,
        )


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
    """What an all-clear says of the alert that it ends. zone: of the school that it is about."""
    return f"This was open since {moment(since, zone)}: {message}"


def page_of_school(key: str, text: str, path: str = "") -> Link | None:
    """A page of the school in the console; None where there is no console."""
    return next(iter(page_links(console_url(), f"/schools/{key}{path}", text)), None)


def operators() -> list[str]:
    """The operators' addresses, as they were given."""
    return MailServer.read().alerts_to


def affected_schools(connection: Connection, school: SchoolRow) -> list[SchoolRow]:
    """The schools that a fault of this school's connection concerns: itself, and those that run by themselves."""
    others = tenants.list_schools(connection)
    return [school] + [
        other
        for other in others
        if other.connection.id == school.connection.id and other.id != school.id and other.settings.automatic
    ]
