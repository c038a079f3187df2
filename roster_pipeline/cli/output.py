"""The output of commands: tables for people, JSON for programs on stdout, notes for people on stderr. Wrong values
are named in plain words.

Everything shown may come from a SIS, so control characters are removed: a name must not steer a terminal.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from roster_pipeline.directory import tenants
from roster_pipeline.notifications import content
from roster_pipeline.notifications import outcome as outcomes
from roster_pipeline.services import plan_rows
from roster_pipeline.vocabulary import ACTIONS, COUNTS, day, moment

A_DAY = "write a day as YYYY-MM-DD"
MESSAGES = {"date_": A_DAY, "time_": "write a time as HH:MM", "string_type": "this value is needed"}
"""By the kind of validation error: a message in place of one that is written for programmers."""
PLAIN = (
    (r"Input should be a valid integer\b.*", "write a whole number"),
    (r"Input should be a valid number\b.*", "write a number"),
    (r"Input should be greater than or equal to (\S+)", r"write a number of at least \1"),
    (r"Input should be less than or equal to (\S+)", r"write a number of at most \1"),
    (r"Value error, '.*' does not match the formats .*", A_DAY),
)
"""For messages of the parser and of the settings that are written for programmers: the same in plain words."""
_STEERS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls that orjson writes as they are, line separators, and marks of the writing direction."""
WIDTH_OF_A_FILE = 160
"""Columns when the output goes to a file or a pipe; a terminal tells its own width."""


def console(*, stderr: bool = False) -> Console:
    """A console on the current stream. stderr is for notes and progress, stdout for the result."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH_OF_A_FILE
    return Console(stderr=stderr, width=width, highlight=False, markup=False)


def note(text: str, style: str = "") -> None:
    """A line for people beside the output."""
    console(stderr=True).print(Text(safe(text), style=style), soft_wrap=True)


def say(text: str, style: str = "") -> None:
    """A line of output."""
    console().print(Text(safe(text), style=style), soft_wrap=True)


def print_json(data: Any) -> None:
    """JSON on stdout. Values that JSON does not know become text. Characters that steer a terminal are escaped."""
    text = orjson.dumps(data, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    sys.stdout.write(_STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """A table for people. A cell is any value, or a `Text` with its own style."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(value if isinstance(value, Text) else Text(shown(value)) for value in row))
    console().print(table)


def print_rows(
    as_json: bool, data: Any, columns: Sequence[str], rows: Iterable[Sequence[Any]], remark: str = ""
) -> None:
    """The result of a command: `data` for programs, or `rows` as a table for people, with a remark beside it."""
    if as_json:
        print_json(data)
        return
    print_table(columns, rows)
    if remark:
        note(remark)


def print_checks(as_json: bool, data: Any, items: Iterable[Mapping[str, Any]]) -> None:
    """The items of a test. ok: True, False, or None for a remark."""
    marks = {True: Text("ok", style="green"), False: Text("failed", style="red"), None: Text("note", style="yellow")}
    rows = [(marks[one["ok"]], one["name"], safe(one["detail"] or ""), safe(one["remedy"] or "")) for one in items]
    print_rows(as_json, data, ["", "item", "result", "what to do"], rows)


def print_facts(facts: Mapping[str, Any], as_json: bool = False) -> None:
    """Two columns: a name and its value."""
    if as_json:
        print_json(facts)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(Text(name), value if isinstance(value, Text) else Text(shown(value)))
    console().print(table)


def shown(value: Any) -> str:
    """One value as a person reads it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value, value.astimezone().tzinfo or "UTC")
    if isinstance(value, date):
        return day(value)
    if isinstance(value, list | tuple | set):
        return ", ".join(shown(part) for part in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={shown(part)}" for name, part in value.items()) or "-"
    return safe(str(value))


def safe(text: str) -> str:
    """The text without control characters; line breaks stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, date | Path):
        return str(value)
    return str(value)


LOUD = {"held": "yellow", "conflicts": "yellow", "archived": "cyan"}


def print_report(report: content.SyncReport, as_json: bool = False) -> None:
    """A finished sync: counts per role, then holds with reasons, problems of the roster, and rejected records."""
    if as_json:
        print_json(report.as_dict())
        return
    print_table(["role", *COUNTS], [(role.role, *(_count(role, name) for name in COUNTS)) for role in report.roles])
    print_findings(
        (held.role, held.action, held.rows, [(found.message, found.overridable) for found in held.findings])
        for held in report.held
        if held.rows
    )
    if wrong := outcomes.wrong_as_such(report):
        print_table(["what looks wrong"], [(message,) for message in wrong], title="\nThe roster")
    for remark in outcomes.remarks(report):
        say(remark)
    if report.row_notes:
        print_table(["to check"], [(note.sentence,) for note in report.row_notes], title="\nPeople")
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
    """Held rows: role, action, number, and for each finding its message and whether an approval can override it."""
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


def print_pairs(title: str, lines: list[plan_rows.Line], school: tenants.SchoolRow) -> None:
    """Persons and records that somebody has to settle, and the commands for that; nothing without lines."""
    if not lines:
        return
    say(f"\n{title}", style="bold")
    print_table(("row", "person", "record"), [(line.row, line.person_id, line.sourced_ids) for line in lines])
    of = f"--connection {school.connection.key} --reason '...'"
    say(f"Somebody else:   roster person unlink PERSON RECORD {of}")
    say(f"The same person: roster person link PERSON RECORD {of}")


def in_plain_words(message: str) -> str:
    """The message of a wrong value for people who do not write programs."""
    for written, plain in PLAIN:
        if found := re.fullmatch(written, message, re.DOTALL):
            return found.expand(plain)
    return message


def wrong_settings(problem: Any) -> str:
    """One line per wrong setting: its name and what is expected. The given value is not repeated."""
    lines = []
    for error in problem.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(part for part in error["loc"] if isinstance(part, str)) or "settings"
        text = next(
            (text for kind, text in MESSAGES.items() if error["type"].startswith(kind)), in_plain_words(error["msg"])
        )
        lines.append(f"{name}: {text.removeprefix('Value error, ')}")
    return "\n".join(lines)
