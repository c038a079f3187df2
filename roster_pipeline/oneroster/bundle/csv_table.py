"""One CSV file, row by row, with a record of every row that cannot be read.

Repairs rows with more or fewer cells than the header, if the cells leave no doubt. A spreadsheet drops the empty cells
at the end of a row, and some exports write one comma more than the header has. Both are harmless. A comma that should
have been quoted is not: it moves every cell after it by one, and because the last columns of users.csv are mostly
empty, such a row has the same length. The difference is that a cell of a column with known values (a role, an e-mail, a
date) then no longer fits its column.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from roster_pipeline.oneroster.bundle.bundle_files import (
    REPLACEMENT,
    BundleLimits,
    BundleTooLarge,
    Member,
    Preflight,
    WrongHeader,
)
from roster_pipeline.oneroster.records.role_entries import ROLES

Row = list[str]
EMPTY_CELL = -1
"""Every row gets one more empty cell at its end; the position of columns that are not there."""
_LENGTH_RULES = {True: "too-few-cells", False: "too-many-cells"}
"""Rules of unreadable rows, by whether the row is shorter than the header."""
Check = Callable[[str], bool]


@dataclass(frozen=True)
class Unreadable:
    """A row that cannot be read. rule: why, as a slug. first: its first cell; None if that is not certain either."""

    rule: str
    first: str | None


@dataclass
class Page:
    """Rows of exactly the header's width (and EMPTY_CELL), and the unreadable ones between them.

    repaired: how many of `rows` had more or fewer cells and were repaired.
    """

    rows: list[Row] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    repaired: int = 0

    def __len__(self) -> int:
        return len(self.rows) + len(self.unreadable)


class Table:
    """A context manager. `header` is set at once; `pages()` can be read once.

    Quoting is strict: a misplaced quotation mark makes its row unreadable, and does not join it to the next rows.
    cut_short: after `pages()`, whether the file ended inside a row.
    """

    def __init__(self, member: Member, seen: Preflight, limits: BundleLimits) -> None:
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

    def pages(self, repair: RowRepair | None = None) -> Iterator[Page]:
        """All rows in pages, without empty lines. repair: repairs rows of another length than the header."""
        width, most, trusted = len(self.header), self._limits.batch, not self._seen.damaged
        page, odd = Page(), _OddRows(repair)
        ended = False
        while not ended:
            try:
                for row in self._reader:
                    if len(row) == width and trusted:
                        row.append("")
                        page.rows.append(row)
                        odd.next_is_readable()
                    elif row:
                        odd.take(row, width, page)
                    if (len(page.rows) >= most and not odd.last) or odd.count + len(page.unreadable) >= most:
                        odd.settle(page, width)
                        yield page
                        page = Page()
                ended = True
            except csv.Error:
                odd.next_is_broken()
                page.unreadable.append(Unreadable("quotes-broken", None))
        self.cut_short = odd.last and not self._seen.ends_with_break
        if self.cut_short:
            odd.next_is_broken()
        else:
            odd.next_is_readable()
        odd.settle(page, width)
        if len(page):
            yield page

    def _read_header(self) -> Row:
        try:
            for row in self._reader:
                if any(cell.strip() for cell in row) and not _is_separator_note(row):
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
                    "This is not a roster file, or it lost its line breaks; export it again.",
                )
            yield line


def _is_separator_note(row: Row) -> bool:
    """Whether a first line is the note to a spreadsheet program that cells are separated by commas: `sep=,`."""
    return row[0].strip().lower() == "sep=" and not any(cell.strip() for cell in row[1:])


class _OddRows:
    """Rows of another length than the header, kept until the page is full, because their neighbours matter.

    A line break inside a cell splits a row into two short ones. So a short row is repaired only if the next row is
    readable, or can be repaired too. last: the row just read is a short or damaged one.
    """

    def __init__(self, repair: RowRepair | None) -> None:
        self.last = False
        self._repair = repair
        self._rows: list[Row] = []
        self._next_readable: list[bool | None] = []
        """For each row, whether the row after it can be read; None: the next one is in `_rows` too."""

    @property
    def count(self) -> int:
        return len(self._rows)

    def next_is_readable(self) -> None:
        """A row of the header's length came, or the file ended properly."""
        self._note_next(readable=True)
        self.last = False

    def next_is_broken(self) -> None:
        """The next row cannot be read, so the row before it may be a part of it."""
        self._note_next(readable=False)
        self.last = True

    def take(self, row: Row, width: int, page: Page) -> None:
        """Keep a row of another length for later. One of the right length, or with damage, goes to the page now."""
        short = len(row) < width
        if any(REPLACEMENT in cell for cell in row):
            self._note_next(readable=False)
            rule = "letters-unreadable" if len(row) == width else _LENGTH_RULES[short]
            page.unreadable.append(Unreadable(rule, None if REPLACEMENT in row[0] else row[0]))
        elif len(row) == width:
            self._note_next(readable=True)
            page.rows.append([*row, ""])
        elif any(cell.strip() for cell in row):
            self._rows.append(row)
            self._next_readable.append(None)
        else:
            return
        self.last = short

    def settle(self, page: Page, width: int) -> None:
        """Add the kept rows to the page: repaired if that is possible, else as unreadable."""
        lengths = Counter(map(len, self._rows))
        usual = {length for length, often in lengths.items() if often * 2 > len(page.rows) + len(self._rows)}
        readable = False
        for row, following in zip(reversed(self._rows), reversed(self._next_readable), strict=True):
            may_repair = len(row) > width or (readable if following is None else following)
            fitted = self._repair.fitted(row, usual=len(row) in usual) if self._repair and may_repair else None
            if fitted is not None:
                page.rows.append([*fitted, ""])
                page.repaired += 1
            else:
                page.unreadable.append(Unreadable(_LENGTH_RULES[len(row) < width], row[0]))
            readable = fitted is not None
        self._rows.clear()
        self._next_readable.clear()

    def _note_next(self, *, readable: bool) -> None:
        """Note, for the row before if it is one of these, whether the row after it can be read."""
        if self.last and self._next_readable:
            self._next_readable[-1] = readable


def _matches(pattern: str) -> Check:
    compiled = re.compile(pattern)
    return lambda cell: bool(compiled.match(cell))


def _one_of(*words: str) -> Check:
    return lambda cell: cell.strip().lower() in words


_IS_DATE = _matches(r"^\d{1,4}[-/.]?\d{1,2}[-/.]?\d{1,4}([T ].*)?$")
_IS_PHONE = _matches(r"^[+\d][\d ()./-]{4,}( ?(x|ext\.?) ?\d+)?$")
CHECKS: Mapping[str, Check] = {
    "status": _one_of("active", "inactive", "tobedeleted"),
    "dateLastModified": _IS_DATE,
    "enabledUser": _one_of("true", "false", "1", "0", "yes", "no"),
    "role": lambda cell: cell.strip().lower() in ROLES or cell.startswith("ext:"),
    "email": _matches(r"^[^\s@]+@[^\s@]+$"),
    "sms": _IS_PHONE,
    "phone": _IS_PHONE,
    "grades": _matches(r"^(\d{1,2}|[A-Za-z]{1,3}|Other)(,(\d{1,2}|[A-Za-z]{1,3}))*$"),
    "type": _one_of("school", "district", "department", "local", "state", "national"),
    "roleType": _one_of("primary", "secondary"),
    "beginDate": _IS_DATE,
    "endDate": _IS_DATE,
}
"""Members whose values can be recognised."""
_LAST_FILLED: Mapping[str, Check] = {
    **CHECKS,
    "identifier": _matches(r"^[\w.-]*\d[\w.-]*$"),
    "familyName": bool,
    "name": bool,
    "org": bool,
    "parent": bool,
}
"""Members that the last filled cell of a row may belong to. In a row that was moved by one, that cell would hold the
value of the column before. The family name is safe because the middle name follows it: in a moved row it would be
there."""
_REQUIRED = (("sourcedId", "user"), ("familyName", "givenName"), ("name",), ("user",), ("org",))
"""One cell of each group must be filled (if the file has such columns), so that half a row is never used."""


class RowRepair:
    """Repairs rows of one file. positions: the column of each member, as in `ColumnLayout`."""

    def __init__(self, header: Sequence[str], positions: Mapping[str, int]) -> None:
        self.width = len(header)
        self._named = 1 + max((at for at, name in enumerate(header) if name), default=-1)
        self._checks = [(at, CHECKS[member]) for member, at in positions.items() if member in CHECKS]
        self._last_filled = {at: _LAST_FILLED[member] for member, at in positions.items() if member in _LAST_FILLED}
        required = [[positions[member] for member in group if member in positions] for group in _REQUIRED]
        self._required = [group for group in required if group]

    def fitted(self, row: Row, *, usual: bool = False) -> Row | None:
        """The row with as many cells as the header; None if cells may have moved, or the row may be cut.

        usual: more than half of the rows have this length, so it is a habit of the export.
        """
        cells, surplus = row[: self.width], row[self._named :]
        if any(cell.strip() for cell in surplus):
            return None
        cells = cells + [""] * (self.width - len(cells))
        if len(row) == self._named:
            return cells
        if not all(any(cells[at].strip() for at in group) for group in self._required):
            return None
        if any(cell[:1] == " " and cell.strip() for cell in cells):
            return None
        if not all(check(cells[at]) for at, check in self._checks if cells[at].strip()):
            return None
        if usual and len(row) > self.width:
            return cells
        last = max(at for at, cell in enumerate(cells) if cell.strip())
        fits = self._last_filled.get(last)
        return cells if fits is not None and fits(cells[last]) else None
