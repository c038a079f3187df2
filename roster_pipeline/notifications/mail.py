"""A rendered mail, the message it becomes (RFC 5322, both bodies quoted-printable), and the errors of sending it.

There are two kinds of errors. `PermanentDeliveryError`: the servers will never take this mail, so there is no second
try. `TemporaryDeliveryError`: everything else, also a wrong password, because the mail can be sent once that is
corrected. Their texts have codes, but never an address, a password or the server's own words (which often repeat both).

Without a mail server, mails are written as .eml files into a folder, for a first look.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address, Group
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, getaddresses
from pathlib import Path
from typing import Protocol

from roster_pipeline.errors import RosterError
from roster_pipeline.safe_csv import ENCODING

_MESSAGE_ID = re.compile(r"<[^\s<>@]+@[^\s<>@]+>")
_NOT_IN_AN_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f<>,;:\"()\\]")
_NOT_IN_A_FILE_NAME = re.compile(r"[^a-z0-9]+")
_NOT_IN_A_HEADER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
SMTP_URL = "ROSTER_SMTP_URL"
MAIL_FROM = "ROSTER_MAIL_FROM"
FOLDER_SENDER = "Roster <roster@localhost>"
"""The From of mails that go to a folder, if nobody has set one."""
SLUG_LENGTH = 60
"""How many characters of the subject a file name has: short enough for every file system."""


@dataclass(frozen=True)
class Mail:
    """A rendered report. school: its key, for a header for mail rules. attachment: row details as CSV, if asked for."""

    subject: str
    text: str
    html: str
    school: str = ""
    attachment: str | None = None


def message_id(*parts: object, sender: str) -> str:
    """A Message-ID in the domain of the sender; the same parts give the same one. They are hashed, so any text will do;
    include one that differs between installations, or their mails look like copies. A sender that is not an address
    fails only when the mail is sent, not here in the middle of a sync."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()[:32]
    try:
        domain = address_of(sender).domain
    except ValueError:
        domain = "roster.invalid"
    return f"<{digest}@{domain}>"


def address_of(written: str) -> Address:
    """`Name <user@host>` or `user@host`, the host in ASCII. Raises ValueError, without the value, for anything else."""
    addresses = getaddresses([written])
    name, bare = addresses[0] if len(addresses) == 1 else ("", "")
    user, _, domain = bare.rpartition("@")
    unsafe = _NOT_IN_AN_ADDRESS.search(bare) or _NOT_IN_A_HEADER.search(written) or not bare.isprintable()
    if not user or not domain or unsafe:
        raise ValueError("this is not an e-mail address")
    try:
        return Address(name, user, domain.encode("idna").decode("ascii"))
    except UnicodeError:
        raise ValueError("this is not an e-mail address") from None


def usable(recipients: Sequence[str]) -> tuple[dict[str, Address], list[str]]:
    """The recipients that are addresses, and the others. Raises PermanentDeliveryError if none is one."""
    good, never = {}, []
    for recipient in dict.fromkeys(recipients):
        try:
            good[recipient] = address_of(recipient)
        except ValueError:
            never.append(recipient)
    if not good:
        raise PermanentDeliveryError("This mail has no usable recipient.", "Correct the school's Roster Email.")
    return good, never


def compose(mail: Mail, sender: Address, recipients: Sequence[Address], identity: str, at: datetime) -> EmailMessage:
    """The message. identity: its Message-ID with brackets. A mail about several schools hides its recipients."""
    if not _MESSAGE_ID.fullmatch(identity):
        raise ValueError("a Message-ID looks like <something@host>")
    ascii_only = all(address.username.isascii() for address in (sender, *recipients))
    message = EmailMessage(policy=SMTP if ascii_only else SMTPUTF8)
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
        school = _NOT_IN_A_FILE_NAME.sub("-", mail.school.lower()).strip("-") or "roster"
        name = f"{school}-{at.astimezone(UTC):%Y-%m-%d}-rows.csv"
        message.add_attachment(content, maintype="text", subtype="csv", filename=name)
    return message


class MailError(RosterError):
    """A mail that was not delivered, or cannot be delivered."""


class MailSettingsError(MailError):
    """The settings do not describe a usable way to send mails."""


class TemporaryDeliveryError(MailError):
    """Nobody has the mail yet. Try again later with the same Message-ID."""


class ServerAwayError(TemporaryDeliveryError):
    """The server does not answer, or refuses everybody. The next mail would fail too."""


class PermanentDeliveryError(MailError):
    """Nobody will get this mail; another try does not help."""


@dataclass(frozen=True)
class Delivery:
    """The recipients who have the mail, those to try again, and those who never get it. At least one has it."""

    accepted: tuple[str, ...]
    later: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


class Mailer(Protocol):
    """A way to send mails."""

    sender: str

    def send(self, message_id: str, recipients: Sequence[str], mail: Mail, *, at: datetime | None = None) -> Delivery:
        """One message to all; at: its Date, the report's time, so a resend is equal. MailError if nobody has it."""
        ...

    def check(self) -> None:
        """Whether mails could leave now, without sending one. Raises MailError."""
        ...


class FolderMailer:
    """Writes `2026-11-03_200412_lincoln-high_4-created_1f0c9a7e.eml`; the same Message-ID replaces its own file."""

    def __init__(self, folder: Path, sender: str) -> None:
        self.folder = folder
        self.sender = sender
        try:
            self._from = address_of(sender)
        except ValueError:
            raise MailSettingsError("The sender is not an e-mail address.", "Correct ROSTER_MAIL_FROM.") from None

    def send(self, message_id: str, recipients: Sequence[str], mail: Mail, *, at: datetime | None = None) -> Delivery:
        """Write one file, completely or not at all."""
        good, never = usable(recipients)
        when = (at or datetime.now(UTC)).astimezone(UTC)
        message = compose(mail, self._from, list(good.values()), message_id, when)
        mark = hashlib.sha256(message_id.encode()).hexdigest()[:8]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            earlier = next(self.folder.glob(f"*_{mark}.eml"), None)
            self._write(earlier or self.folder / self._name(mail, when, mark), message.as_bytes())
        except OSError as problem:
            raise TemporaryDeliveryError(
                f"The mail could not be written: {problem.strerror}.", f"Check the folder {self.folder}."
            ) from None
        return Delivery(tuple(good), never=tuple(never))

    def check(self) -> None:
        """Whether the folder can be written to."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as problem:
            raise TemporaryDeliveryError(
                f"Mails cannot be written: {problem.strerror}.", f"Check the folder {self.folder}."
            ) from None

    @staticmethod
    def _name(mail: Mail, when: datetime, mark: str) -> str:
        outcome = mail.subject.partition(": ")[2] or mail.subject
        parts = [f"{when:%Y-%m-%d_%H%M%S}", slug(mail.school), slug(outcome), mark]
        return "_".join(part for part in parts if part) + ".eml"

    def _write(self, path: Path, content: bytes) -> None:
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=self.folder)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def slug(text: str) -> str:
    """Lower-case letters, digits and dashes: safe in a file name everywhere."""
    return _NOT_IN_A_FILE_NAME.sub("-", text.lower())[:SLUG_LENGTH].strip("-")
