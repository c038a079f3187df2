"""What every way out for mails promises, and how it says that a mail did not get through.

Errors are of two kinds. `PermanentDeliveryError`: the servers will never take this mail, so trying again is noise.
`TemporaryDeliveryError`: everything else, also a wrong password, because the mail is fine once that is put right.
Their texts carry codes, never an address, a password or the server's own words (which like to repeat both).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from roster_pipeline.errors import RosterError
from roster_pipeline.notifications.mail import Mail

SMTP_URL = "ROSTER_SMTP_URL"
MAIL_FROM = "ROSTER_MAIL_FROM"
FOLDER_SENDER = "Roster <roster@localhost>"
"""The From of mails that go to a folder, where nobody has set one."""


class MailError(RosterError):
    """A mail that did not get through, or cannot."""


class MailSettingsError(MailError):
    """The settings do not describe a way out."""


class TemporaryDeliveryError(MailError):
    """Nobody has the mail yet; try again later with the same Message-ID."""


class ServerAwayError(TemporaryDeliveryError):
    """The server is not there, or turns everybody away: the next mail would not get through either."""


class PermanentDeliveryError(MailError):
    """Nobody will get this mail, however often it is tried."""


@dataclass(frozen=True)
class Delivery:
    """Who has the mail, who may be tried again (and only they), and who never gets it. At least one has it."""

    accepted: tuple[str, ...]
    later: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


class Mailer(Protocol):
    """A way out."""

    sender: str

    def send(self, message_id: str, recipients: Sequence[str], mail: Mail, *, at: datetime | None = None) -> Delivery:
        """One message to all recipients. `at` becomes its Date; give the time of the report, so that a resend is equal.

        Raises TemporaryDeliveryError or PermanentDeliveryError when no recipient has it.
        """
        ...

    def check(self) -> None:
        """Whether mails could leave now, without sending one. Raises MailError."""
        ...
