"""The choice of the way out: an SMTP server by `ROSTER_SMTP_URL`, or a folder of .eml files where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from roster_pipeline.notifications.delivery import FOLDER_SENDER, MAIL_FROM, SMTP_URL, Mailer, MailSettingsError
from roster_pipeline.notifications.mail_folder import FolderMailer
from roster_pipeline.notifications.smtp import SmtpMailer


def mailer_from(environment: Mapping[str, str], folder: Path) -> Mailer:
    """The way out that the environment describes; `folder` is where mails lie when there is no `ROSTER_SMTP_URL`."""
    url, sender = environment.get(SMTP_URL, "").strip(), environment.get(MAIL_FROM, "").strip()
    if not url:
        return FolderMailer(folder, sender or FOLDER_SENDER)
    if not sender:
        raise MailSettingsError(f"{SMTP_URL} is set, but {MAIL_FROM} is not.", f"Set {MAIL_FROM} to the sender.")
    return SmtpMailer(url, sender)
