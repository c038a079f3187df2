"""The file of `roster school add --file`: one line is one school, its columns are the options of the command."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from roster_pipeline.cli.commands import WRONG_USAGE, CommandError, text_of
from roster_pipeline.cli.connections import warn_untested
from roster_pipeline.cli.output import note, wrong_settings
from roster_pipeline.cli.setting_options import SCHOOL_OPTIONS, new_school, school_settings
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.safe_csv import plain_cell
from roster_pipeline.services.school_changes import NewSchool, add_schools
from roster_pipeline.services.settings_changes import FieldError, runs_untested
from roster_pipeline.settings.fields import Setting
from roster_pipeline.settings.school import KEY_PATTERN
from roster_pipeline.vocabulary import similar

KEY, CONNECTION, NAME, SCHOOL_ID = "school", "connection", "name", "school-id"
NOT_FOR_NEW = ("--unmap", "--no-windows")
"""Options that remove a setting: a new school has nothing to remove."""
YES, NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")
SHOWN = 50
"""Problems that are shown at once."""

COLUMNS = {option.parameter.replace("_", "-"): option for option in SCHOOL_OPTIONS if option.flags not in NOT_FOR_NEW}
ALL = (KEY, NAME, CONNECTION, *COLUMNS)


@dataclass
class Problems:
    """The problems of a file, by line; `refuse` raises them as one error."""

    path: Path
    of_lines: list[tuple[int, str]] = field(default_factory=list)

    def note(self, line: int, text: str) -> None:
        """One problem of one line of the file; the first line is 1."""
        self.of_lines.append((line, text))

    def refuse(self) -> None:
        """Raise CommandError with every problem, in the order of the lines; nothing if there is none."""
        if not self.of_lines:
            return
        lines = [f"line {line}, {text}" for line, text in sorted(self.of_lines, key=lambda problem: problem[0])]
        more = [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        listed = "\n".join([*lines[:SHOWN], *more])
        raise CommandError(f"{self.path}: no school was added.\n{listed}", WRONG_USAGE)


def add_file(
    database: Database, file: Path, connection: str | None, chosen: dict[str, Any], who: str
) -> list[SchoolRow]:
    """Add every school of a file, or none; connection, chosen: for lines without their own. Raises CommandError."""
    problems = Problems(file)
    with database.begin() as conn:
        wanted = read_schools(file, connection, chosen, problems, lambda source: new_school(conn, source))
        rows, refused = add_schools(conn, wanted, who=who)
        for line, problem in refused:
            if isinstance(problem, FieldError):
                problems.note(line, f"{problem.field.replace('_', '-')}: {problem.message}")
            else:
                problems.note(line, str(problem).replace("\n", " "))
        problems.refuse()
    return rows


def note_added(rows: list[SchoolRow]) -> None:
    """Make the partitions of new schools; say which have no role yet and which run untested."""
    from roster_pipeline.defs.asset_helpers import add_partitions

    add_partitions([row.key for row in rows])
    without = [row.key for row in rows if not row.settings.rostered]
    if without:
        example = f"roster school set {without[0]} --students --teachers"
        note(f"No role is rostered yet of {', '.join(without)}; for example: {example}")
    warn_untested([row.key for row in rows if runs_untested(row)])


def read_schools(
    path: Path,
    connection: str | None,
    chosen: Mapping[str, Any],
    problems: Problems,
    begin: Callable[[str], Mapping[str, Any]],
) -> list[NewSchool]:
    """The schools of a CSV file; adds to `problems` what is wrong with the others. connection, chosen: for lines whose
    cell is empty. begin: a connection's key to the settings of its new schools. Raises CommandError."""
    rows = _rows(path)
    header = [re.sub(r"[_\s]+", "-", name.strip().lower()) for name in next(rows, (1, []))[1]]
    _check_header(path, header, connection)
    schools: list[NewSchool] = []
    lines: dict[str, int] = {}
    defaults: dict[str, Mapping[str, Any]] = {}
    for line, cells in rows:
        if len(cells) > len(header):
            problems.note(line, f"{len(cells)} cells, but there are {len(header)} columns. Quote cells with commas.")
            continue
        row = {name: plain_cell(cell).strip() for name, cell in zip(header, cells, strict=False)}
        row[CONNECTION] = row.get(CONNECTION) or connection or ""
        if row[CONNECTION] not in defaults:
            defaults[row[CONNECTION]] = begin(row[CONNECTION])
        new = _school(line, row, chosen, problems, defaults[row[CONNECTION]])
        if new is not None and new.key in lines:
            problems.note(line, f"{KEY}: {new.key} is on line {lines[new.key]} already. Keys are unique.")
        elif new is not None:
            lines[new.key] = line
            schools.append(new)
    if not schools and not problems.of_lines:
        raise CommandError(f"{path}: there is no school below the line with the column names.", WRONG_USAGE)
    return schools


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every line that is not empty."""
    content = text_of(path)
    first = content.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(content.splitlines(keepends=True), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as problem:
        raise CommandError(f"{path}: line {line} is not CSV: {problem}.\nNo school was added.", WRONG_USAGE) from None


def _check_header(path: Path, header: Sequence[str], connection: str | None) -> None:
    wrong = []
    for name in header:
        if name not in ALL:
            meant = "".join(f"; do you mean {near}?" for near in similar(name, ALL)[:1])
            wrong.append(f"there is no column {name or 'without a name'}{meant}")
    wrong += [f"the column {name} is there twice" for name in dict.fromkeys(header) if header.count(name) > 1]
    needed = [KEY, NAME, SCHOOL_ID] + ([] if connection else [CONNECTION])
    wrong += [f"the column {name} is missing" for name in needed if name not in header]
    if wrong:
        listed = "\n".join(wrong)
        raise CommandError(f"{path}: the first line must name the columns.\n{listed}", WRONG_USAGE)


def _school(
    line: int, row: Mapping[str, str], chosen: Mapping[str, Any], problems: Problems, begins: Mapping[str, Any]
) -> NewSchool | None:
    """The school of one line, or None if something is wrong with it."""
    before = len(problems.of_lines)
    for name in (KEY, NAME, CONNECTION, SCHOOL_ID):
        if not row.get(name):
            problems.note(line, f"{name}: fill this in")
    if row.get(KEY) and not re.fullmatch(KEY_PATTERN, row[KEY]):
        problems.note(line, f"{KEY}: a key has lower-case letters, digits and hyphens only, at most 64")
    given = dict(chosen)
    for name, option in COLUMNS.items():
        if row.get(name):
            try:
                given[option.parameter] = _value(option, row[name])
            except ValueError as problem:
                problems.note(line, f"{name}: {problem}")
    settings = None
    try:
        settings = school_settings(begins, given)
    except typer.BadParameter as problem:
        problems.note(line, problem.message)
    except ValidationError as problem:
        for text in wrong_settings(problem).splitlines():
            if row.get(SCHOOL_ID) or not text.startswith("school_id"):
                problems.note(line, text)
    if settings is None or len(problems.of_lines) > before:
        return None
    return NewSchool(row[KEY], row[CONNECTION], row[NAME], settings, line)


def _value(option: Setting, cell: str) -> Any:
    """A cell as the option's value; several values of a list are separated by blanks or semicolons."""
    if option.kind is bool:
        if cell.lower() not in YES + NO:
            raise ValueError("write yes or no")
        return cell.lower() in YES
    return re.split(r"[;\s]+", cell.strip("; ")) if option.kind == list[str] else cell
