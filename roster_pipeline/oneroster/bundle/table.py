"""One CSV file, row by row: reads its header, bounds its lines, and keeps account of every row that cannot be read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from roster_pipeline.oneroster.bundle.errors import BundleTooLarge, WrongHeader
from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.bundle.package import Member
from roster_pipeline.oneroster.bundle.survey import REPLACEMENT, Survey

Row = list[str]
EMPTY_CELL = -1
"""Every row ends in one empty cell more than the header names: it stands for the columns that are not there."""


@dataclass(frozen=True)
class Unreadable:
    """A row that is none. rule: why, as a slug. first: its first cell, None where even that cannot be trusted."""

    rule: str
    first: str | None


@dataclass
class Page:
    """Rows of exactly the header's width (and EMPTY_CELL), and the unreadable ones met on the way."""

    rows: list[Row] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows) + len(self.unreadable)


class Table:
    """A context manager; `header` is there at once, `pages()` can be read once.

    Quoting is strict: a quotation mark out of place makes a row unreadable, and does not glue it to its neighbours.
    cut_short: after `pages()`, whether the file ended inside a row.
    """

    def __init__(self, member: Member, seen: Survey, limits: BundleLimits) -> None:
        self.name = member.name
        self.cut_short = False
        self._seen = seen
        self._limits = limits
        self._text = io.TextIOWrapper(member.open(), seen.encoding, errors="replace", newline="")
        self._reader = csv.reader(self._lines(), strict=True)
        try:
            self.header = self._read_header()
        except BaseException:
            self._text.close()
            raise

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    def pages(self) -> Iterator[Page]:
        """All rows, a page at a time; empty lines are left out."""
        width, most, trusted = len(self.header), self._limits.batch, not self._seen.damaged
        page = Page()
        last_is_odd = False
        ended = False
        while not ended:
            try:
                for row in self._reader:
                    if len(row) == width and trusted:
                        row.append("")
                        page.rows.append(row)
                        last_is_odd = False
                    elif row:
                        last_is_odd = _take_odd(row, width, page)
                    if len(page.rows) >= most or len(page.unreadable) >= most:
                        yield page
                        page = Page()
                ended = True
            except csv.Error:
                page.unreadable.append(Unreadable("quotes-broken", None))
                last_is_odd = True
        self.cut_short = last_is_odd and not self._seen.ends_with_break
        if len(page):
            yield page

    def _read_header(self) -> Row:
        try:
            for row in self._reader:
                if any(cell.strip() for cell in row) and not _names_separator(row):
                    if len(row) > self._limits.columns:
                        break
                    return [cell.strip().lstrip("\ufeff") for cell in row]
        except csv.Error:
            pass
        raise WrongHeader(
            f"The first line of {self.name} names no columns.",
            "Export it with its header line, exactly one line, columns separated by commas.",
        )

    def _lines(self) -> Iterator[str]:
        most = self._limits.line_chars
        readline = self._text.readline
        while line := readline(most):
            if len(line) >= most and line[-1] not in "\r\n":
                raise BundleTooLarge(
                    f"{self.name} has a line of more than {most} characters.",
                    "This is no roster file, or its line breaks were lost on the way; export it again.",
                )
            yield line


def _names_separator(row: Row) -> bool:
    """Whether a first line is the note to a spreadsheet program that cells are separated by commas: `sep=,`."""
    return row[0].strip().lower() == "sep=" and not any(cell.strip() for cell in row[1:])


def _take_odd(row: Row, width: int, page: Page) -> bool:
    """Put a row that may be of another width, or damaged, where it belongs; True where it is too short.

    A row that is too long is not cut to size, even where its last cells are empty: a comma that should have been
    quoted shifts everything behind it by one, and the last column of users.csv is mostly empty.
    """
    if len(row) != width:
        short = len(row) < width
        if any(cell.strip() for cell in row):
            page.unreadable.append(Unreadable("too-few-cells" if short else "too-many-cells", row[0]))
        return short
    if any(REPLACEMENT in cell for cell in row):
        page.unreadable.append(Unreadable("letters-unreadable", None if REPLACEMENT in row[0] else row[0]))
    else:
        page.rows.append([*row, ""])
    return False
