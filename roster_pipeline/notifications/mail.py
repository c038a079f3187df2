"""A rendered mail, and the message it becomes on its way out (RFC 5322, with both bodies quoted-printable)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address, Group
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from roster_pipeline.safe_csv import ENCODING

_MESSAGE_ID = re.compile(r"<[^\s<>@]+@[^\s<>@]+>")
_NOT_IN_AN_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f<>,;:\"()\\]")
_NOT_IN_A_FILE_NAME = re.compile(r"[^a-z0-9]+")
_NOT_IN_A_HEADER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True)
class Mail:
    """What `render` makes of a report. `school` is the school's key, for a header that mail rules can sort by.

    attachment: a CSV file of row details, for owners who asked for it.
    """

    subject: str
    text: str
    html: str
    school: str = ""
    attachment: str | None = None


def message_id(*parts: object, sender: str) -> str:
    """A Message-ID that is the same whenever the same parts are given, in the domain of the sender.

    `message_id("sync", database_id, 17, sender="Roster <roster@example.org>")`. The parts are hashed, so they may hold
    anything; include what tells two installations apart, or their mails look like copies of each other. A sender that
    is no address does not fail here, in the middle of a sync, but when the mail is sent.
    """
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()[:32]
    try:
        domain = address_of(sender).domain
    except ValueError:
        domain = "roster.invalid"
    return f"<{digest}@{domain}>"


def address_of(written: str) -> Address:
    """`Name <user@host>` or `user@host`, the host in its ASCII spelling. ValueError, without the value, otherwise."""
    name, bare = parseaddr(written)
    user, _, domain = bare.rpartition("@")
    if not user or not domain or _NOT_IN_AN_ADDRESS.search(bare) or _NOT_IN_A_HEADER.search(written):
        raise ValueError("this is not an e-mail address")
    try:
        return Address(name, user, domain.encode("idna").decode("ascii"))
    except UnicodeError:
        raise ValueError("this is not an e-mail address") from None


def compose(mail: Mail, sender: Address, recipients: Sequence[Address], identity: str, at: datetime) -> EmailMessage:
    """The message. `identity` is its Message-ID, brackets and all; the same mail always has the same one.

    A mail of no one school goes to people of several: it shows nobody's address to the others.
    """
    if not _MESSAGE_ID.fullmatch(identity):
        raise ValueError("a Message-ID looks like <something@host>")
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    open_to_all = mail.school or len(recipients) == 1
    message["To"] = tuple(recipients) if open_to_all else Group("undisclosed-recipients")
    message["Subject"] = _NOT_IN_A_HEADER.sub(" ", mail.subject)
    message["Date"] = format_datetime(at.astimezone(UTC))
    message["Message-ID"] = identity
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    if mail.school:
        message["X-Roster-School"] = _NOT_IN_A_HEADER.sub(" ", mail.school)
    message.set_content(mail.text, cte="quoted-printable")
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    if mail.attachment is not None:
        content = mail.attachment.encode(ENCODING)
        message.add_attachment(content, maintype="text", subtype="csv", filename=_file_name(mail, at))
    return message


def _file_name(mail: Mail, at: datetime) -> str:
    school = _NOT_IN_A_FILE_NAME.sub("-", mail.school.lower()).strip("-") or "roster"
    return f"{school}-{at.astimezone(UTC):%Y-%m-%d}-rows.csv"
