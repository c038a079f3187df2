"""The demo itself: set everything up, run three nights through Dagster, say what happened and where to look."""

from __future__ import annotations

import os
import time
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from roster_pipeline.demo import story
from roster_pipeline.demo.demo_setup import fresh_databases, register
from roster_pipeline.demo.demo_sis import PORT, simulated
from roster_pipeline.demo.summary import Line, tables_of
from roster_pipeline.notifications.delivery import SMTP_URL
from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.sis import Sis

NOON = f"{story.SCHOOLS[0].name}, noon"
BAD_NIGHT = 3
BAD_CONNECTION = "southside-sis"
BAD_ANSWER = "record_missing"
"""On the third night this SIS leaves people out of its pages while its total still counts them."""


def run_demo(console: Console) -> int:
    """Run the demo; returns the exit code. Everything it starts ends with it."""
    began = time.monotonic()
    people = story.districts()
    os.environ.pop(SMTP_URL, None)  # its people are made up, and so are their addresses: no server shall see them
    with console.status("starting PostgreSQL"):
        database = fresh_databases()
    lines: list[Line] = []
    try:
        with simulated(people) as (base_url, served):
            register(database, base_url)
            with _progress(console) as progress:
                task = progress.add_task("", total=len(story.NIGHTS) * len(story.SCHOOLS) + 1)
                for night, title in enumerate(story.NIGHTS, start=1):
                    if night == story.NOON_BEFORE:
                        story.pass_noon(people)
                        progress.update(task, description=f"noon, by hand: {story.SCHOOLS[0].name}")
                        lines.append(_sync(night, story.SCHOOLS[0], NOON, None))
                        progress.advance(task)
                    _prepare(night, people, served)
                    for school in story.SCHOOLS:
                        progress.update(task, description=f"night {night} ({title}): {school.name}")
                        lines.append(_sync(night, school, school.name, f"demo-{night}"))
                        progress.advance(task)
        sent = _send(database)
    finally:
        database.close()
    for table in tables_of(lines, story.NIGHTS):
        console.print(table)
    _say_where(console, sent, base_url, time.monotonic() - began)
    failed = [line for line in lines if line.problem]
    for line in failed:
        console.print(f"[red]{escape(line.problem or '')}[/red]")
    return 1 if failed else 0


def _prepare(night: int, people: dict[str, District], served: dict[str, Sis]) -> None:
    story.pass_night(people, night)
    if night == BAD_NIGHT:
        served[BAD_CONNECTION].faults.set(BAD_ANSWER)


def _sync(night: int, school: story.DemoSchool, shown: str, batch: str | None) -> Line:
    """One run. `batch`: what the schools of one connection share a pull by; None for a run by hand."""
    from roster_pipeline.defs.resources import DirectoryResource
    from roster_pipeline.run_school import run_school
    from roster_pipeline.sync.latest_counts import latest_counts

    ran = run_school(school.key, night=batch)
    if ran.problem:
        return Line(night, shown, {}, ran.problem)
    counts = latest_counts(DirectoryResource().database(), school.key)
    return Line(night, shown, counts)


def _send(database: object) -> int:
    from roster_pipeline.defs.resources import DirectoryResource
    from roster_pipeline.sync.outbox_sender import send_due

    return send_due(DirectoryResource().database()).sent


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _say_where(console: Console, mails: int, base_url: str, seconds: float) -> None:
    port = urlsplit(base_url).port
    same = "" if port == PORT else f" --simulator-port {port}"
    outbox = os.path.relpath(os.path.join(os.environ["ROSTER_HOME"], "outbox"))  # noqa: PTH118
    console.print(
        f"\n{mails} report e-mails lie in [bold]{outbox}/*.eml[/bold]; open them with any mail program.\n"
        "What is held, and why:     [bold]roster hold show lincoln-high[/bold]\n"
        "The people as they stand:  [bold]roster people lincoln-high[/bold]\n"
        f"The Dagster UI on all this: [bold]{f'roster dev{same}' if same else 'make dev'}[/bold], "
        "then open the link it prints\n"
        f"(roster is .venv/bin/roster.) Done in {seconds:.0f} s."
    )
