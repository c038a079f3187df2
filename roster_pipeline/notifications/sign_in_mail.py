"""The mail with a one-time link: what it is, how long it works, and what to do if nobody asked for it."""

from __future__ import annotations

from roster_pipeline.notifications.blocks import Link, Page, Section, Sentence
from roster_pipeline.notifications.mail import Mail
from roster_pipeline.notifications.render import draw


def sign_in_mail(url: str, site: str, minutes: int) -> Mail:
    """url: the link. site: the console's address, so that the reader can tell where it leads."""
    page = Page(
        school="Roster",
        tone="good",
        badge="Sign in",
        headline="Your sign-in link.",
        remarks=(),
        details=(),
        action=None,
        sections=(
            Section(
                "Sign in",
                (
                    Sentence(f"Somebody, most likely you, asked to sign in at {site}."),
                    Link("Sign in", url),
                    Sentence(f"The link works once, within {minutes} minutes."),
                    Sentence("If it was not you, do nothing: without the link nobody gets in.", "quiet"),
                ),
            ),
        ),
        footer="You get this mail because this address may sign in.",
    )
    return draw(page, "Your sign-in link for Roster", "")
