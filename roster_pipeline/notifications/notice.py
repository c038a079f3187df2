"""Short mails beside the reports: stale, paused, all clear. A sentence or two, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from roster_pipeline.notifications.blocks import Block, Command, Link, Page, Section, Sentence
from roster_pipeline.notifications.console_words import in_console
from roster_pipeline.notifications.mail import Mail
from roster_pipeline.notifications.outcome import Tone
from roster_pipeline.notifications.render import draw
from roster_pipeline.vocabulary import moment


@dataclass(frozen=True)
class Notice:
    """One such mail. `about`: the school's name, or the connection; `key`: the school's key, empty for a connection.

    link: a page of the console where it can be done, if there is a console. run: the Dagster run, for engineers.
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
    run: str | None = None


def notice_mail(notice: Notice, *, commands: bool = True) -> Mail:
    """The mail of a notice. commands: False for owners of an installation that has a console."""
    blocks = [Sentence(sentence if commands else in_console(sentence)) for sentence in notice.sentences]
    what_to_do: list[Block] = [Command(notice.command)] if notice.command and commands else []
    page = Page(
        school=notice.about,
        tone=notice.tone,
        badge=notice.badge,
        headline=f"{notice.headline}.",
        remarks=(),
        details=(moment(notice.when, notice.time_zone),),
        action=notice.link,
        sections=(
            *([Section("What to know", tuple(blocks))] if blocks else []),
            *([Section("What to do", tuple(what_to_do))] if what_to_do else []),
        ),
        footer="Who gets this mail is one of the school's settings (Roster Email), and one of the installation's.",
        run=notice.run,
    )
    return draw(page, f"{notice.about}: {notice.headline[0].lower()}{notice.headline[1:]}", notice.key)
