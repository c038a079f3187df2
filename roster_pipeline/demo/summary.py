"""The demo's report: per school and night, what was done, as a table a person can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.table import Table

LONGEST_NAME = 23
COLUMNS = ("created", "updated", "restored", "skipped", "archived", "held", "rejected")


@dataclass(frozen=True)
class Line:
    """One school on one night. `counts` has a key per column of the report; `problem` is set where the run failed."""

    night: int
    school: str
    counts: Mapping[str, int]
    problem: str | None = None


def tables_of(lines: list[Line], nights: tuple[str, ...]) -> Iterator[Table]:
    """One table per night, narrow enough for 80 columns."""
    for night, title in enumerate(nights, start=1):
        table = Table(
            title=f"\nNight {night}: {title}", title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0)
        )
        table.add_column("", min_width=LONGEST_NAME, no_wrap=True)
        for column in COLUMNS:
            table.add_column(column, justify="right", no_wrap=True)
        for line in lines:
            if line.night == night:
                shown = (_cell(column, line.counts.get(column, 0)) for column in COLUMNS)
                table.add_row(line.school, *(("[red]failed[/red]",) if line.problem else shown))
        yield table


def _cell(column: str, number: int) -> str:
    if not number:
        return "[dim]·[/dim]"
    return f"[bold yellow]{number}[/bold yellow]" if column == "held" else str(number)
