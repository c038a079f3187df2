"""One CSV file: first read from end to end, then row by row, with a record of every row that cannot be read.

The first reading proves that the file can be read in full (a zip's checksums included), finds its encoding, and takes
its fingerprint. Rows are used only afterwards, so a damaged bundle fails before anything is passed on.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from roster_pipeline.oneroster.bundle.bundle_files import (
    BUFFER_BYTES,
    BundleLimits,
    BundleTooLarge,
    Member,
    WrongEncoding,
    WrongHeader,
)
from roster_pipeline.oneroster.bundle.row_repair import RowRepair

Row = list[str]
EMPTY_CELL = -1
"""Every row gets one more empty cell at its end; the position of columns that are not there."""
UTF_8 = "utf-8-sig"
WINDOWS_1252 = "cp1252"
REPLACEMENT = "�"
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UNUSED_IN_1252 = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
_LENGTH_RULES = {True: "too-few-cells", False: "too-many-cells"}
"""Rules of unreadable rows, by whether the row is shorter than the header."""


@dataclass(frozen=True)
class Preflight:
    """bytes: read. encoding: Python's name. damaged: some characters are unknown; they become U+FFFD.

    ends_with_break: the last line is complete. digest: SHA-256 of the bytes.
    """

    bytes: int
    encoding: str
    damaged: bool
    ends_with_break: bool
    digest: str


def preflight(member: Member) -> Preflight:
    """Read a file to its end. Raises BundleBroken, BundleTooLarge or WrongEncoding.

    A file that is not valid UTF-8 is Windows-1252, unless most of its non-ASCII characters are valid UTF-8: then it is
    UTF-8 with damage, and reading it as Windows-1252 would garble every accented name of the district.
    """
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    total = valid = invalid = unused = 0
    last = b""
    with member.open() as stream:
        while chunk := stream.read(BUFFER_BYTES):
            if total == 0 and (chunk.startswith(_UTF_16_MARKS) or b"\0" in chunk[:64]):
                raise WrongEncoding(f"{member.name} is written in UTF-16.", "Export it in UTF-8.")
            total += len(chunk)
            last = chunk[-1:]
            digest.update(chunk)
            try:
                valid += 0 if (text := decoder.decode(chunk)).isascii() else _count_not_ascii(text)
            except UnicodeDecodeError:
                decoder.reset()
                text = chunk.decode("utf-8", "replace")
                bad = text.count(REPLACEMENT)
                valid, invalid = valid + _count_not_ascii(text) - bad, invalid + bad
            unused += sum(map(chunk.count, _UNUSED_IN_1252))
    if decoder.getstate()[0]:  # the file ends inside a character
        invalid += 1
    if invalid == 0:
        return Preflight(total, UTF_8, False, last in (b"\n", b"\r", b""), digest.hexdigest())
    encoding = UTF_8 if valid > invalid else WINDOWS_1252
    damaged = encoding == UTF_8 or unused > 0
    return Preflight(total, encoding, damaged, last in (b"\n", b"\r"), digest.hexdigest())


def _count_not_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


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
