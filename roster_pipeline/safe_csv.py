"""CSV that survives a spreadsheet: no cell runs as a formula, and no number, grade or date is rewritten.

A spreadsheet guesses the type of a cell. It runs text that begins like a formula, drops the zero of the grade `09`,
rounds an id of 20 digits, and turns `3-4` into a day. One apostrophe in front prevents all of that, and programs can
remove it again (`plain_cell`). `="09"` would keep the zero too, but it is a formula: some spreadsheets refuse it or
warn about it.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A cell that begins so is run as a formula (the full-width forms too)."""
ENCODING = "utf-8-sig"
"""Without the mark, spreadsheets read a CSV in the computer's own encoding and spoil every accent."""
MARK = "'"
LINES_A_CHUNK = 500

_DIGIT = re.compile(r"\d")
_SPLITS = re.compile(r"[;\t\r\n]")
_SAFE_NUMBER = re.compile(r"(0|[1-9]\d{0,10})")
"""Whole numbers up to eleven digits stay as they are; from twelve on they are shown, and saved, as 1.2E+11."""
_NUMBER_LIKE = re.compile(r"[.,]?\d[\d\s.,:/%-]*+([eE]\d+)?\s*([aApP][mM]?)?")
"""Numbers, dates and times as any of the world's spreadsheets reads them, and `12E3`, which would be 12,000. `*+` here
and below: a cell of an uploaded list has up to 130,000 letters, and with `*` it would take minutes."""
_MONTH = "(?:jan|feb|mar|mär|mrz|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-zä]*"
_MONTH_DAY = re.compile(rf"\d{{1,4}}[\s./-]*{_MONTH}[\s./-]*\d*|{_MONTH}[\s./-]*\d{{1,4}}", re.IGNORECASE)
"""`MAR1` and `3-Sep` become days."""
_STARTS = re.escape("".join(FORMULA_STARTS))
_INNER_START = re.compile(rf"([;\t\r\n][\"\s]*)(?='*[{_STARTS}])")
_INNER_MARK = re.compile(rf"([;\t\r\n][\"\s]*+)(?:'(?='*[{_STARTS}]))?")
"""In countries that write lists with `;`, spreadsheets split cells at it, so a second cell can begin inside a cell."""


def safe_cell(value: Any) -> str:
    """The value as text that a spreadsheet keeps as it is. None is an empty cell."""
    if value is None:
        return ""
    text = str(value)
    marked = _INNER_START.sub(rf"\1{MARK}", text) if _SPLITS.search(text) else text
    return MARK + marked if _needs_mark(text) else marked


def plain_cell(cell: str) -> str:
    """The reverse of `safe_cell`, for programs that read such a file."""
    text = _INNER_MARK.sub(r"\1", cell)
    return text[1:] if text.startswith(MARK) and _needs_mark(text[1:]) else text


def _needs_mark(text: str) -> bool:
    """Whether a cell needs the mark. An apostrophe that belongs to the value does not count: the cell `'=1` must not
    lose its apostrophe when it is read back."""
    bare = text.lstrip(MARK)
    if bare.lstrip(" ").startswith(FORMULA_STARTS):
        return True
    if not _DIGIT.search(bare):
        return False
    trimmed = bare.strip()
    if _SAFE_NUMBER.fullmatch(trimmed):
        return False
    return bool(_NUMBER_LIKE.fullmatch(trimmed) or _MONTH_DAY.fullmatch(trimmed))


def csv_chunks(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """The file in chunks of bytes. Every cell is safe, and there are never more than some hundred lines in memory."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(header)
    begun = False
    for number, row in enumerate(rows, start=1):
        writer.writerow([safe_cell(cell) for cell in row])
        if not number % LINES_A_CHUNK:
            yield _taken(buffer, begun)
            begun = True
    yield _taken(buffer, begun)


def _taken(buffer: io.StringIO, begun: bool) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8" if begun else ENCODING)
