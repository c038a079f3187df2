"""Mails about access to the console: the one-time link that signs in, and the invitation of somebody new."""

from __future__ import annotations

from collections.abc import Sequence

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


MOST_NAMED = 10
"""Schools that an invitation names."""


def invitation_mail(places: Sequence[str], url: str | None) -> Mail:
    """places: names of schools or districts; none for everything. url: the first page, if there is a console."""
    named = list(places[:MOST_NAMED])
    more = len(places) - len(named)
    what = ", ".join(named) + (f" and {more} more" if more else "") if named else "all schools"
    page = Page(
        school="Roster",
        tone="good",
        badge="Invitation",
        headline=f"You can now look after {what} in Roster.",
        remarks=("Somebody who runs Roster for your schools gave you access.",),
        details=(),
        action=Link("Open Roster", url) if url else None,
        sections=(
            Section(
                "How to begin",
                (
                    Sentence("Sign in with the address to which this mail came."),
                    Sentence("The first page shows the steps until people come from the SIS every night."),
                    *(() if url else (Sentence("Ask the person who invited you for the address of the console."),)),
                ),
            ),
        ),
        footer="You get this mail once, because somebody gave this address access.",
    )
    return draw(page, f"Invitation to Roster: {what}", "")
