"""One CSV file, row by row, with a record of every row that cannot be read.

A quotation mark that is not closed joins all rows up to the next one into one, which can have the right length. One of
its cells then has several lines, with the commas of whole rows.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from roster_pipeline.oneroster.bundle.bundle_files import BundleTooLarge, Member, Preflight, WrongHeader
from roster_pipeline.oneroster.bundle.row_repair import Row, RowRepair
from roster_pipeline.oneroster.http.json_decoding import REPLACEMENT

MARK = "\ufeff"
"""The byte-order mark."""
_AS_FORMULA = re.compile(r'''(^|,)(?:="([^"]*)"|"=""([^"]*)""")(?=[,\r\n]|$)''')
"""A cell written as `="007"`, so that a spreadsheet keeps its zeros."""
EMPTY_CELL = -1
"""Every row gets one more empty cell at its end; the position of columns that are not there."""
_LENGTH_RULES = {True: "too-few-cells", False: "too-many-cells"}
"""Rules of unreadable rows, by whether the row is shorter than the header."""
_NUMBER = re.compile(r"\d+")
_UNQUOTED = 2
"""A comma that should be in quotes makes one cell more, or two. A row with still more cells may be of two people."""
_END_OF_FILE = "\x1a"
"""Ctrl-Z, with which old systems end a file. Zeros are none: a write that broke off leaves them."""
_END_MARKS = ("end", "eof", "")
"""Texts of lines that are not rows, without signs such as ---: at the end of a file, and under the header."""


@dataclass(frozen=True)
class Unreadable:
    """A row that cannot be read. rule: why, as a slug. first: its first cell; None if that is not certain either.
    anybodys: it may be about others than the person it names."""

    rule: str
    first: str | None
    anybodys: bool = False


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
    cut_short: after `pages()`, whether the file ended inside a row. ends_with_break: whether the file always ended
    with a line break. Without it, the last cell of the last row may be cut.
    """

    def __init__(self, member: Member, seen: Preflight, *, ends_with_break: bool = False) -> None:
        self.name = member.name
        self.cut_short = False
        self._seen = seen
        self._last_may_be_cut = ends_with_break and not seen.ends_with_break
        self._limits = member.limits
        self._text = io.TextIOWrapper(member.open(), seen.encoding, errors="replace", newline="")
        self._reader = csv.reader(self._lines(), strict=True)
        try:
            header = self._read_header()
            self.header = [name.strip('"') for name in header]
            if self.header != header:  # a blank stands before each quotation mark
                self._reader = csv.reader(self._lines(), strict=True, skipinitialspace=True)
        except BaseException:
            self._text.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    def pages(self, repair: RowRepair | None = None) -> Iterator[Page]:
        """All rows in pages, without empty lines and repeated headers. repair: repairs rows of another length than the
        header."""
        width, most, trusted = len(self.header), self._limits.batch, not self._seen.damaged
        page, odd, count = Page(), _OddRows(repair), 0
        ended, line, name = False, self._reader.line_num, self.header[0]
        while not ended:
            try:
                for row in self._reader:
                    before, line = line, self._reader.line_num
                    if line - before > 1 and _swallows_rows(row, width):
                        raise csv.Error  # as if the reader had noticed it
                    if row and row[0].endswith(name) and _names(row) == self.header:
                        continue  # of another file, joined to this one
                    if len(row) == width and trusted:
                        row.append("")
                        page.rows.append(row)
                        odd.next_is_readable()
                    elif row:
                        odd.take(row, width, page)
                    if (len(page.rows) >= most and not odd.last) or odd.count + len(page.unreadable) >= most:
                        odd.settle(page, width, count)
                        count += len(page.rows)
                        last = [page.rows.pop()] if self._last_may_be_cut and page.rows else []
                        yield page
                        page = Page(last)
                        count -= len(last)
                ended = True
            except csv.Error:
                line = self._reader.line_num
                odd.next_is_broken()
                page.unreadable.append(Unreadable("quotes-broken", None))
        self.cut_short = odd.last and not self._seen.ends_with_break
        odd.at_end = odd.last and not self.cut_short
        if self._last_may_be_cut and page.rows and not odd.last:
            page.unreadable.append(Unreadable("too-few-cells", page.rows.pop()[0]))
            self.cut_short = True
        if self.cut_short:
            odd.next_is_broken()
        else:
            odd.next_is_readable()
        odd.settle(page, width, count)
        if len(page):
            yield page

    def _read_header(self) -> Row:
        try:
            for row in self._reader:
                if any(cell.strip() for cell in row) and not _is_separator_note(row):
                    if len(row) > self._limits.columns:
                        break
                    return _names(row)
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
            if line[0] == MARK:  # of another file, joined to this one
                line = line.lstrip(MARK)
            yield _AS_FORMULA.sub(r'\1"\2\3"', line) if '="' in line else line


def _is_separator_note(row: Row) -> bool:
    """Whether a first line is the note to a spreadsheet program that cells are separated by commas: `sep=,`."""
    return row[0].strip().lower() == "sep=" and not any(cell.strip() for cell in row[1:])


def _names(row: Row) -> Row:
    """The names of a header line, without byte-order marks."""
    return [cell.strip().lstrip(MARK) for cell in row]


def _swallows_rows(row: Row, width: int) -> bool:
    """Whether a cell over several lines holds the rest of one row and the beginning of another."""
    return any(cell.count(",") >= width - 1 and ("\n" in cell or "\r" in cell) for cell in row)


def _is_anybodys(row: Row, count: int, *, at_end: bool, cut: bool) -> bool:
    """Whether an unreadable row may be about others than the person it names: a text such as an error message of the
    export, half a row at the end of the file, or a cut row. A line with only the number of rows, or an end mark, is
    harmless."""
    text = row[0].strip()
    alone = not any(cell.strip() for cell in row[1:])
    if alone and text.strip("-=_#* ").lower() in _END_MARKS:
        return False
    if at_end or (alone and (" " in text or "<" in text)):
        return str(count) not in _NUMBER.findall(",".join(row[:3]))
    return cut


class _OddRows:
    """Rows of another length than the header, kept until the page is full, because their neighbours matter.

    A line break inside a cell splits a row into two short ones. So a short row is repaired only if the next row is
    readable, or can be repaired too. If no short row of a page can be repaired, short rows are not usual in this
    export. Then a short row that is not part of a split one shows that a piece of the file is missing, perhaps with
    other people. last: the row just read is short or damaged. at_end: it was the last one.
    """

    def __init__(self, repair: RowRepair | None) -> None:
        self.last = self.at_end = False
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
            page.unreadable.append(Unreadable(rule, None if REPLACEMENT in row[0] else row[0], short))
        elif len(row) == width:
            self._note_next(readable=True)
            page.rows.append([*row, ""])
        elif any(cell.strip().strip(_END_OF_FILE) for cell in row):
            self._rows.append(row)
            self._next_readable.append(None)
        else:
            return
        self.last = short

    def settle(self, page: Page, width: int, count: int) -> None:
        """Add the kept rows to the page: repaired if that is possible, else as unreadable. count: rows before it."""
        count += len(page.rows)
        lengths = Counter(map(len, self._rows))
        usual = {length for length, often in lengths.items() if often * 2 > len(page.rows) + len(self._rows)}
        readable, left = False, []
        for place in reversed(range(len(self._rows))):
            row, following = self._rows[place], self._next_readable[place]
            may_repair = len(row) > width or (readable if following is None else following)
            fitted = self._repair.fitted(row, usual=len(row) in usual) if self._repair and may_repair else None
            if fitted is not None:
                page.rows.append([*fitted, ""])
                page.repaired += 1
            else:
                left.append(place)
            readable = fitted is not None
        short = {place for place, row in enumerate(self._rows) if len(row) < width}
        cut = set() if short.difference(left) else self._cut(short, width)
        for place in left:
            row = self._rows[place]
            joined = len(row) > width + _UNQUOTED and len(row) not in usual
            at_end = self.at_end and place == len(self._rows) - 1
            anybodys = joined or _is_anybodys(row, count, at_end=at_end, cut=place in cut)
            first = None if anybodys and (" " in row[0].strip() or "<" in row[0]) else row[0]
            page.unreadable.append(Unreadable(_LENGTH_RULES[place in short], first, anybodys))
        self._rows.clear()
        self._next_readable.clear()

    def _cut(self, short: set[int], width: int) -> set[int]:
        """The short rows that are not parts of one row with line breaks in its cells: a piece of the file is missing
        there. A row before a broken row is not judged."""
        cut: set[int] = set()
        part: list[int] = []
        for place in sorted(short):
            part.append(place)
            if place + 1 in short and self._next_readable[place] is None:
                continue
            if self._next_readable[place] is not False and sum(len(self._rows[each]) - 1 for each in part) != width - 1:
                cut.update(part)
            part = []
        return cut

    def _note_next(self, *, readable: bool) -> None:
        """If the row before is one of these, note whether the row after it can be read."""
        if self.last and self._next_readable:
            self._next_readable[-1] = readable
