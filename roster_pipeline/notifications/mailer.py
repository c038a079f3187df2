"""The choice of the way out: an SMTP server by `ROSTER_SMTP_URL`, or a folder of .eml files where there is none."""

from __future__ import annotations

from pathlib import Path

from roster_pipeline.notifications.delivery import FOLDER_SENDER, MAIL_FROM, SMTP_URL, Mailer, MailSettingsError
from roster_pipeline.notifications.mail_folder import FolderMailer
from roster_pipeline.notifications.smtp import SmtpMailer
from roster_pipeline.settings.installation import MailServer


def mailer_from(server: MailServer, folder: Path) -> Mailer:
    """The mailer of an installation. folder: where mails are written when there is no `ROSTER_SMTP_URL`.

    Raises MailSettingsError.
    """
    url, sender = server.smtp_url, server.mail_from
    if not url:
        return FolderMailer(folder, sender or FOLDER_SENDER)
    if not sender:
        raise MailSettingsError(f"{SMTP_URL} is set, but {MAIL_FROM} is not.", f"Set {MAIL_FROM} to the sender.")
    return SmtpMailer(url, sender)
