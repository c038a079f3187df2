"""The daily digest: one mail to one recipient over many schools, those that need a look first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from roster_pipeline.report.blocks import Block, Command, Facts, Page, Section
from roster_pipeline.report.content import SyncReport
from roster_pipeline.report.mail import Mail
from roster_pipeline.report.outcome import counted, outcome, tone
from roster_pipeline.report.page import shown_time
from roster_pipeline.report.render import draw


def digest_mail(reports: Sequence[SyncReport], when: datetime, time_zone: str) -> Mail:
    """The digest of at least one report."""
    worrying = [report for report in reports if tone(report) != "good"]
    fine = [report for report in reports if tone(report) == "good"]
    schools = counted(len({report.school_key for report in reports}), "school", "schools")
    look = f", {len(worrying)} to look at" if worrying else ", nothing to look at"
    sections = []
    if worrying:
        blocks: list[Block] = [Facts(tuple(_line(report) for report in worrying))]
        if any(report.held for report in worrying):
            blocks.append(Command("roster hold list"))
        sections.append(Section("Please look", tuple(blocks), attention=True))
    if fine:
        sections.append(Section("Done", (Facts(tuple(_line(report) for report in fine)),)))
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


def _line(report: SyncReport) -> tuple[str, str]:
    return report.school_name, outcome(report) + (f" {report.run_url}" if report.run_url else "")
