"""The demo's report: per school and night, what was done, as a table a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.table import Table

COLUMNS = ("created", "updated", "restored", "skipped", "archived", "held", "rejected")


@dataclass(frozen=True)
class Line:
    """One school on one night. `counts` has a key per column of the report; `problem` is set where the run failed."""

    night: int
    school: str
    counts: Mapping[str, int]
    seconds: float
    problem: str | None = None


def table_of(lines: list[Line], nights: tuple[str, ...]) -> Table:
    """One section per night."""
    table = Table(title="Three evenings", title_justify="left", header_style="bold")
    table.add_column("night")
    table.add_column("school")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    table.add_column("seconds", justify="right")
    for night, title in enumerate(nights, start=1):
        members = [line for line in lines if line.night == night]
        for place, line in enumerate(members):
            table.add_row(
                f"{night}: {title}" if place == 0 else "",
                line.school,
                *(_cell(column, line.counts.get(column, 0)) for column in COLUMNS),
                f"{line.seconds:.1f}",
                end_section=place == len(members) - 1,
            )
    return table


def _cell(column: str, number: int) -> str:
    if not number:
        return "[dim]·[/dim]"
    return f"[bold yellow]{number}[/bold yellow]" if column == "held" else str(number)
