"""Who hears of an alert: the owners of the schools it concerns, and the operators of the installation."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from roster_pipeline.directory import outbox, tenants
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications import Mail
from roster_pipeline.settings.installation import MailServer
from roster_pipeline.sync.build_report import message_id

"""Addresses of the operators, separated by commas: they get every alert of every school."""


def send_alert(
    connection: Connection,
    schools: list[SchoolRow],
    mail: Mail,
    *identity: object,
    owners_too: bool = True,
    also: Sequence[str] = (),
) -> bool:
    """Put one mail to all of them into the outbox. identity: what makes its Message-ID the same each time.

    owners_too: False where the owners know already, so that only the operators are told. also: further addresses.
    """
    owners = [address for school in schools for address in school.settings.report_to] if owners_too else []
    recipients = list(dict.fromkeys([*owners, *also, *operators()]))
    return bool(recipients) and outbox.put(
        connection,
        message_id=message_id("alert", *identity),
        kind="alert",
        school_id=schools[0].id if len(schools) == 1 else None,
        sync_id=None,
        recipients=recipients,
        mail=mail,
    )


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
