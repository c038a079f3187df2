"""Mails that are not reports of a sync: alerts and all-clears, sign-in links, invitations, the daily digest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from roster_pipeline.notifications.blocks import (
    Block,
    Command,
    Link,
    Page,
    Section,
    Sentence,
    draw,
    in_console,
    page_link,
    web_address,
)
from roster_pipeline.notifications.content import FailureAlert, SyncReport
from roster_pipeline.notifications.mail import Mail
from roster_pipeline.notifications.outcome import Tone, outcome, remarks, tone
from roster_pipeline.vocabulary import counted, moment

FOOTER = (
    "Counts only: this mail names nobody. One mail a day instead of one per sync is a setting of each school: "
    "roster school set {school} --report-when daily"
)
FOOTER_IN_CONSOLE = (
    "Counts only: this mail names nobody. One mail a day instead of one per sync is a choice on the page Settings."
)


@dataclass(frozen=True)
class Notice:
    """One such mail. about: a school's name, or the connection; key: the school's key, if any. link: the page where the
    reader can act, if there is a console. run: the Dagster run."""

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


def sign_in_mail(url: str, site: str, minutes: int) -> Mail:
    """The mail with a sign-in link. url: the link. site: the console's address, so the reader sees where it leads."""
    page = Page(
        school="Roster",
        tone="good",
        badge="Sign in",
        headline="Your sign-in link.",
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
"""How many schools an invitation names."""


def invitation_mail(places: Sequence[str], url: str | None) -> Mail:
    """An invitation. places: names of schools or districts; none for all. url: the first page, if any."""
    named = list(places[:MOST_NAMED])
    more = len(places) - len(named)
    what = ", ".join(named) + (f" and {more} more" if more else "") if named else "all schools"
    page = Page(
        school="Roster",
        tone="good",
        badge="Invitation",
        headline=f"You can now look after {what} in Roster.",
        remarks=("Somebody who runs Roster for your schools gave you access.",),
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


def digest_mail(reports: Sequence[SyncReport], when: datetime, time_zone: str, console_url: str | None = None) -> Mail:
    """The digest of at least one report."""
    worrying = [report for report in reports if tone(report) != "good"]
    fine = [report for report in reports if tone(report) == "good"]
    schools = counted(len({report.school_key for report in reports}), "school", "schools")
    look = f", {len(worrying)} to look at" if worrying else ", nothing to look at"
    sections = []
    decide = any(held.rows and held.overridable for report in worrying for held in report.held)
    text, path = ("Look and decide", "/holds") if decide else ("Look at these schools", "/?state=attention")
    action = page_link(console_url, path, text) if worrying else None
    if worrying:
        blocks = _lines(worrying, console_url)
        if decide and not action:
            blocks.append(Command("roster hold list"))
        sections.append(Section("Please look", tuple(blocks), attention=True))
    if fine:
        sections.append(Section("Done", tuple(_lines(fine, console_url))))
    page = Page(
        school="Roster digest",
        tone="attention" if worrying else "good",
        badge="Please look" if worrying else "Done",
        headline=f"{schools}{look}.",
        details=(moment(when, time_zone),),
        action=action,
        sections=tuple(sections),
        footer=FOOTER_IN_CONSOLE if web_address(console_url) else FOOTER.format(school=reports[0].school_key),
    )
    return draw(page, f"Roster digest: {schools}{look}", "")


def _lines(reports: Sequence[SyncReport], console_url: str | None) -> list[Block]:
    """One report after the other: school, outcome and a link to the sync, or to its run if there is no console."""
    blocks: list[Block] = []
    for report in reports:
        blocks += [Sentence(report.school_name, "strong"), Sentence(outcome(report))]
        blocks += [Sentence(remark) for remark in remarks(report)]
        page = f"/schools/{report.school_key}/syncs/{report.sync_id}" if report.sync_id is not None else ""
        link = page_link(console_url, page, "See this sync", quiet=True) if page else None
        link = link or page_link(report.run_url, "", "Dagster run", quiet=True)
        blocks += [link] if link else []
    return blocks


def alert_sections(alert: FailureAlert, typed: bool) -> list[Section]:
    lines = (Sentence(line if typed else in_console(line)) for line in alert.lines)
    remedy = alert.remedy if typed else in_console(alert.remedy)
    again: tuple[Block, ...] = (Sentence("Then sync the school again.", "quiet"),)
    if typed:
        again = (Sentence("Then sync the school again:", "quiet"), Command(f"roster sync {alert.school_key}"))
    school = page_link(alert.console_url, f"/schools/{alert.school_key}", "Open the school in the console")
    unchanged = (Sentence("Nothing in the directory was changed.", "quiet"),) if alert.directory_unchanged else ()
    todo = (Sentence(line) for line in remedy.strip().splitlines())
    return [
        Section("What went wrong", (*lines, *unchanged), attention=True),
        Section("What to do", (*todo, *again, *([school] if school else []))),
    ]
