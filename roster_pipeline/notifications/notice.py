"""Short mails beside the reports: stale, paused, all clear. A sentence or two, and what to type."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from roster_pipeline.notifications.blocks import Block, Command, Link, Page, Section, Sentence
from roster_pipeline.notifications.mail import Mail
from roster_pipeline.notifications.mail_page import shown_time
from roster_pipeline.notifications.outcome import Tone
from roster_pipeline.notifications.render import draw


@dataclass(frozen=True)
class Notice:
    """One such mail. `about`: the school's name, or the connection; `key`: the school's key, empty for a connection.

    link: a page of the console where it can be done too, if there is a console.
    """

    about: str
    key: str
    when: datetime
    time_zone: str
    tone: Tone
    badge: str
    headline: str
    sentences: tuple[str, ...] = ()
    command: str = ""
    link: Link | None = None


def notice_mail(notice: Notice) -> Mail:
    """The mail of a notice."""
    blocks = [Sentence(sentence) for sentence in notice.sentences]
    what_to_do: list[Block] = [Command(notice.command)] if notice.command else []
    what_to_do += [notice.link] if notice.link else []
    page = Page(
        school=notice.about,
        tone=notice.tone,
        badge=notice.badge,
        headline=f"{notice.headline}.",
        remarks=(),
        details=(shown_time(notice.when, notice.time_zone),),
        link=None,
        sections=(
            *([Section("What to know", tuple(blocks))] if blocks else []),
            *([Section("What to do", tuple(what_to_do))] if what_to_do else []),
        ),
        footer="Who gets this mail is one of the school's settings (Roster Email), and one of the installation's.",
    )
    return draw(page, f"{notice.about}: {notice.headline[0].lower()}{notice.headline[1:]}", notice.key)
