"""One CSV file, row by row: reads its header, bounds its lines, and keeps account of every row that cannot be read."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from roster_pipeline.oneroster.bundle.bundle_errors import BundleTooLarge, WrongHeader
from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.bundle.opened_bundle import Member
from roster_pipeline.oneroster.bundle.preflight import REPLACEMENT, Preflight
from roster_pipeline.oneroster.bundle.row_repair import RowRepair

Row = list[str]
EMPTY_CELL = -1
"""Every row ends in one empty cell more than the header names: it stands for the columns that are not there."""

_LENGTHS = {True: "too-few-cells", False: "too-many-cells"}
"""Rules of rows that are shorter than the header, or not."""


@dataclass(frozen=True)
class Unreadable:
    """A row that is none. rule: why, as a slug. first: its first cell, None where even that cannot be trusted."""

    rule: str
    first: str | None


@dataclass
class Page:
    """Rows of exactly the header's width (and EMPTY_CELL), and the unreadable ones met on the way.

    repaired: how many of `rows` had more or fewer cells, and were put right.
    """

    rows: list[Row] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    repaired: int = 0

    def __len__(self) -> int:
        return len(self.rows) + len(self.unreadable)


class Table:
    """A context manager; `header` is there at once, `pages()` can be read once.

    Quoting is strict: a quotation mark out of place makes a row unreadable, and does not glue it to its neighbours.
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
        """All rows, a page at a time; empty lines are left out. repair: what puts rows of another length right."""
        width, most, trusted = len(self.header), self._limits.batch, not self._seen.damaged
        page, odd = Page(), _OddRows(repair)
        ended = False
        while not ended:
            try:
                for row in self._reader:
                    if len(row) == width and trusted:
                        row.append("")
                        page.rows.append(row)
                        odd.next_is_whole()
                    elif row:
                        odd.take(row, width, page)
                    if (len(page.rows) >= most and not odd.last) or odd.count + len(page.unreadable) >= most:
                        odd.settle(page, width)
                        yield page
                        page = Page()
                ended = True
            except csv.Error:
                odd.broken()
                page.unreadable.append(Unreadable("quotes-broken", None))
        self.cut_short = odd.last and not self._seen.ends_with_break
        if self.cut_short:
            odd.broken()
        else:
            odd.next_is_whole()
        odd.settle(page, width)
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


class _OddRows:
    """Rows of another length than the header, until the page is full: what stands around them tells what they are.

    A line break inside a cell makes two short rows of one. So a short row is put right only where the row behind it is
    a whole one, or can be put right as well. last: the row just read is a short one, or damaged.
    """

    def __init__(self, repair: RowRepair | None) -> None:
        self.last = False
        self._repair = repair
        self._rows: list[Row] = []
        self._behind: list[bool | None] = []
        """Of each, whether what stands behind it can be read; None: that is the next of these rows."""

    @property
    def count(self) -> int:
        return len(self._rows)

    def next_is_whole(self) -> None:
        """A row of the header's length came, or the file has ended in good order."""
        self._say(readable=True)
        self.last = False

    def broken(self) -> None:
        """What came cannot be read, so the row before it may be part of it."""
        self._say(readable=False)
        self.last = True

    def take(self, row: Row, width: int, page: Page) -> None:
        """Keep a row of another length for later; one of the right length or with damaged letters is settled now."""
        short = len(row) < width
        if any(REPLACEMENT in cell for cell in row):
            self._say(readable=False)
            rule = "letters-unreadable" if len(row) == width else _LENGTHS[short]
            page.unreadable.append(Unreadable(rule, None if REPLACEMENT in row[0] else row[0]))
        elif len(row) == width:
            self._say(readable=True)
            page.rows.append([*row, ""])
        elif any(cell.strip() for cell in row):
            self._rows.append(row)
            self._behind.append(None)
        else:
            return
        self.last = short

    def settle(self, page: Page, width: int) -> None:
        """Put what can be put right among the page's rows, and all others among its unreadable ones."""
        lengths = Counter(map(len, self._rows))
        usual = {length for length, often in lengths.items() if often * 2 > len(page.rows) + len(self._rows)}
        readable = False
        for row, behind in zip(reversed(self._rows), reversed(self._behind), strict=True):
            whole = len(row) > width or (readable if behind is None else behind)
            fitted = self._repair.fitted(row, usual=len(row) in usual) if self._repair is not None and whole else None
            if fitted is not None:
                page.rows.append([*fitted, ""])
                page.repaired += 1
            else:
                page.unreadable.append(Unreadable(_LENGTHS[len(row) < width], row[0]))
            readable = fitted is not None
        self._rows.clear()
        self._behind.clear()

    def _say(self, *, readable: bool) -> None:
        """Of the row before, if that is one of these: what stands behind it."""
        if self.last and self._behind:
            self._behind[-1] = readable
