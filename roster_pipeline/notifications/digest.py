"""The daily digest: one mail to one recipient over many schools, those that need a look first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from roster_pipeline.notifications.blocks import Block, Command, Link, Page, Section, Sentence
from roster_pipeline.notifications.content import SyncReport
from roster_pipeline.notifications.links import page_links, web_address
from roster_pipeline.notifications.mail import Mail
from roster_pipeline.notifications.outcome import outcome, remarks, tone
from roster_pipeline.notifications.render import draw
from roster_pipeline.vocabulary import counted, moment

FOOTER = (
    "Counts only: this mail names nobody. One mail a day instead of one per sync is a setting of each school: "
    "roster school set {school} --report-when daily"
)
FOOTER_IN_CONSOLE = (
    "Counts only: this mail names nobody. One mail a day instead of one per sync is a choice on the page Settings."
)


def digest_mail(reports: Sequence[SyncReport], when: datetime, time_zone: str, console_url: str | None = None) -> Mail:
    """The digest of at least one report."""
    worrying = [report for report in reports if tone(report) != "good"]
    fine = [report for report in reports if tone(report) == "good"]
    schools = counted(len({report.school_key for report in reports}), "school", "schools")
    look = f", {len(worrying)} to look at" if worrying else ", nothing to look at"
    sections = []
    decide = any(held.rows and held.overridable for report in worrying for held in report.held)
    text, path = ("Look and decide", "/holds") if decide else ("Look at these schools", "/?state=attention")
    action = next(iter(page_links(console_url, path, text)), None) if worrying else None
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
        remarks=(),
        details=(moment(when, time_zone),),
        action=action,
        sections=tuple(sections),
        footer=FOOTER_IN_CONSOLE if web_address(console_url) else FOOTER.format(school=reports[0].school_key),
    )
    return draw(page, f"Roster digest: {schools}{look}", "")


def _lines(reports: Sequence[SyncReport], console_url: str | None) -> list[Block]:
    """School, outcome and a link to the sync, or to its run where there is no console, one report after the other."""
    blocks: list[Block] = []
    for report in reports:
        blocks += [Sentence(report.school_name, "strong"), Sentence(outcome(report))]
        blocks += [Sentence(remark) for remark in remarks(report)]
        page = f"/schools/{report.school_key}/syncs/{report.sync_id}" if report.sync_id is not None else ""
        pages = page_links(console_url, page, "See this sync") if page else ()
        url = web_address(report.run_url)
        blocks += [Link(one.text, one.url, quiet=True) for one in pages]
        blocks += [Link("Dagster run", url, quiet=True)] if url and not pages else []
    return blocks
