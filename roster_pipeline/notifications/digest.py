"""The daily digest: one mail to one recipient over many schools, those that need a look first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from roster_pipeline.notifications.blocks import Block, Command, Link, Page, Section, Sentence
from roster_pipeline.notifications.content import SyncReport
from roster_pipeline.notifications.links import page_links, web_address
from roster_pipeline.notifications.mail import Mail
from roster_pipeline.notifications.mail_page import shown_time
from roster_pipeline.notifications.outcome import outcome, remarks, tone
from roster_pipeline.notifications.render import draw
from roster_pipeline.vocabulary import counted


def digest_mail(reports: Sequence[SyncReport], when: datetime, time_zone: str, console_url: str | None = None) -> Mail:
    """The digest of at least one report."""
    worrying = [report for report in reports if tone(report) != "good"]
    fine = [report for report in reports if tone(report) == "good"]
    schools = counted(len({report.school_key for report in reports}), "school", "schools")
    look = f", {len(worrying)} to look at" if worrying else ", nothing to look at"
    sections = []
    if worrying:
        blocks = _lines(worrying)
        if any(report.held for report in worrying):
            blocks.append(Command("roster hold list"))
            blocks += page_links(console_url, "/holds", "See what is held in the console")
        sections.append(Section("Please look", tuple(blocks), attention=True))
    if fine:
        sections.append(Section("Done", tuple(_lines(fine))))
    page = Page(
        school="Roster digest",
        tone="attention" if worrying else "good",
        badge="Please look" if worrying else "Done",
        headline=f"{schools}{look}.",
        remarks=(),
        details=(shown_time(when, time_zone),),
        link=None,
        sections=tuple(sections),
        footer="Counts only: this mail names nobody. One mail a day instead of one per sync: "
        "roster school set SCHOOL --report-when daily",
    )
    return draw(page, f"Roster digest: {schools}{look}", "")


def _lines(reports: Sequence[SyncReport]) -> list[Block]:
    """School, outcome and a link to the run, one report after the other."""
    blocks: list[Block] = []
    for report in reports:
        blocks += [Sentence(report.school_name, "strong"), Sentence(outcome(report))]
        blocks += [Sentence(remark) for remark in remarks(report)]
        url = web_address(report.run_url)
        blocks += [Link("Dagster run", url, quiet=True)] if url else []
    return blocks
