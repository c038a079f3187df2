"""A sync or a plan as a table: per role what was done, what is held and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from roster_pipeline.cli.output import print_table, safe, say
from roster_pipeline.vocabulary import ACTIONS, COUNTS

if TYPE_CHECKING:
    from roster_pipeline.notifications import SyncReport

LOUD = {"held": "yellow", "conflicts": "yellow", "archived": "cyan"}


def print_report(report: SyncReport) -> None:
    """A finished sync: counts per role, then what is held and why, what looks wrong, then what was rejected."""
    from roster_pipeline.notifications.outcome import remarks, wrong_as_such

    print_table(["role", *COUNTS], [(role.role, *(_count(role, name) for name in COUNTS)) for role in report.roles])
    print_findings(
        (held.role, held.action, held.rows, [(found.message, found.overridable) for found in held.findings])
        for held in report.held
        if held.rows
    )
    if wrong := wrong_as_such(report):
        print_table(["what looks wrong"], [(message,) for message in wrong], title="\nThe roster")
    for remark in remarks(report):
        say(remark)
    rejected = [(line.collection, line.field, line.rule, line.severity, line.rows) for line in report.rejected]
    if rejected:
        print_table(["records", "field", "rule", "severity", "count"], rejected, title="\nRejected")


def print_plan_counts(counts: Mapping[str, Mapping[str, int]], title: str | None = None) -> None:
    """A plan: role to action to number of rows."""
    print_table(
        ["role", *ACTIONS],
        [(role, *(str(of.get(action, 0) or "") or "·" for action in ACTIONS)) for role, of in counts.items()],
        title=title,
    )


def print_findings(held: Iterable[tuple[str, str, int, list[tuple[str, bool]]]]) -> None:
    """What is held: role, action, rows, and per guard its message and whether an approval can let it through."""
    rows: list[tuple[Any, ...]] = []
    for role, action, number, findings in held:
        messages = "\n".join(safe(message) for message, _ in findings)
        overridable = all(can for _, can in findings)
        rows.append((role, action, number, messages, "yes" if overridable else Text("no", style="red")))
    if rows:
        print_table(["role", "action", "rows", "why", "can be approved"], rows, title="\nHeld")


def _count(role: Any, name: str) -> Text:
    number = getattr(role, name)
    return Text(str(number), style=LOUD.get(name, "")) if number else Text("·", style="dim")
