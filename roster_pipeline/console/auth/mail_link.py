"""The one-time link by mail.

The mail leaves at once and past the outbox: a link in the outbox could be read there by everybody who may look at the
database, and would outlive its hour. If it cannot be sent, the person asks for another.
"""

from __future__ import annotations

import logging
from urllib.parse import urlencode

from roster_pipeline.console.config import Config
from roster_pipeline.directory import accounts, sign_ins
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.sessions import hashed
from roster_pipeline.notifications import MailError, mailer_from, message_id
from roster_pipeline.notifications.sign_in_mail import sign_in_mail
from roster_pipeline.runtime.embedded import home
from roster_pipeline.services.access_changes import note_refusal
from roster_pipeline.settings.installation import MailServer

log = logging.getLogger(__name__)
UNKNOWN = "somebody unknown"


def link_address(config: Config, token: str, next_path: str = "/") -> str:
    """The link itself. It begins with the address of the settings, never with what a request said of itself."""
    more = {"next": next_path} if next_path != "/" else {}
    return f"{config.url}/sign-in/link?{urlencode({'token': token, **more})}"


def send_link(database: Database, config: Config, email: str, next_path: str) -> None:
    """Send a link if the address may sign in. Runs after the answer, which therefore tells nobody whether it may."""
    try:
        with database.begin() as opened:
            account = accounts.find(opened, email)
            if account is None:
                note_refusal(opened, UNKNOWN, "a link was asked for by an address without access")
                return
            if config.oidc is not None and account.bound:
                note_refusal(opened, account.email, "a link was asked for, but the account signs in at the provider")
                return
            token = sign_ins.new_link(opened, account.id)
        mail = sign_in_mail(link_address(config, token, next_path), config.url, sign_ins.LINK_LASTS.seconds // 60)
        mailer = mailer_from(MailServer.read(), home() / "outbox")
        mailer.send(message_id("sign-in", hashed(token), sender=mailer.sender), [account.email], mail)
    except (MailError, DirectoryError) as problem:
        log.error("A sign-in link could not be sent: %s %s", problem.message, problem.remedy)
