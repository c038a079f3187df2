"""Reads an XLSX file as rows of cells. Limits keep a file from filling the memory. No formula is computed."""

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any
from xml.parsers import expat

from openpyxl import load_workbook

from roster_pipeline.errors import RosterError

_MIB = 1024 * 1024
LARGEST_UNPACKED = 50 * _MIB
"""A limit for an XLSX file, which is a zip of XML files."""
LARGEST_PIECE = _MIB
"""A limit for one tag, one comment, or one part that is not XML."""
MOST_PARTS = 200
_ALONE = "Save the list alone as XLSX, or as CSV."
MOST_ROWS = 5_000
MOST_COLUMNS = 60
MOST_ELEMENTS = MOST_ROWS * MOST_COLUMNS * 4
"""A limit for the XML elements of an XLSX file: each cell has two, and two more in the table of texts."""
_PARTS = re.compile(r'"([^"]*)"|\\(.)|([-/() ])|(0+|@)')
"""The parts of a number format that are texts, and the places for the value."""


class FileUnusable(RosterError):
    """The file cannot be read as a list of people. The message says why, and repeats nothing from the file."""


def cells_of_workbook(data: bytes, is_list: Callable[[Iterator[list[str]]], bool]) -> Iterator[list[str]]:
    """The cells of the sheet with the list of people, row by row; else those of the first sheet that is shown. is_list:
    whether the rows of a sheet are a list of people. Raises FileUnusable."""
    try:
        _check_zip(data)
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=False, keep_links=False)
        shown = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        lists = [sheet for sheet in shown if is_list(_cells(sheet))]
        if len(lists) > 1:
            raise FileUnusable("Several sheets of the XLSX file have a list of people.", _ALONE)
        yield from _cells((lists or shown)[0])
    except FileUnusable:
        raise
    except Exception:  # a forged workbook makes the readers of ZIP, XML and XLSX fail in too many ways to list
        raise FileUnusable(
            "The file cannot be read as XLSX.", "Open it in your spreadsheet and save it as XLSX again, or as CSV."
        ) from None


def _check_zip(data: bytes) -> None:
    """Unpack everything once, within the limits, without trust in the table of contents. Refuse XML that defines its
    own entities, because they let a few bytes stand for gigabytes; large tags, comments and pictures, because the
    parser begins them again with each block that it reads; and BZIP2 and LZMA, which `zipfile` unpacks in one piece,
    however little was asked for. Raises FileUnusable, and any exception for a damaged file."""
    left, elements = LARGEST_UNPACKED, 0

    def doctype(*_: object) -> None:
        raise FileUnusable("The XLSX file defines XML entities.", _ALONE)

    def markup(*texts: str) -> None:
        if sum(map(len, texts)) > LARGEST_PIECE:
            raise FileUnusable("The XLSX file has more than a list.", _ALONE)

    def element(name: str, attributes: list[str]) -> None:
        nonlocal elements
        elements += 1
        markup(name, *attributes)
        if elements > MOST_ELEMENTS:
            raise FileUnusable("The XLSX file has too many cells.", _ALONE)

    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        parts = packed.infolist()
        if len(parts) > MOST_PARTS:
            raise FileUnusable("The XLSX file has too many parts.", _ALONE)
        for part in parts:
            if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise FileUnusable("The XLSX file is packed in another way than XLSX files are.", _ALONE)
            with packed.open(part) as stream:
                content = stream.read(left + 1)
            left -= len(content)
            if left < 0:
                raise FileUnusable(f"The unpacked XLSX file is larger than {LARGEST_UNPACKED // _MIB} MB.", _ALONE)
            xml = expat.ParserCreate()
            xml.ordered_attributes = True
            xml.StartDoctypeDeclHandler, xml.StartElementHandler = doctype, element
            xml.CommentHandler = xml.ProcessingInstructionHandler = markup
            try:
                xml.Parse(content, True)
            except expat.ExpatError:  # not every part is XML
                markup(content.decode("latin-1"))


def _cells(sheet: Any) -> Iterator[list[str]]:
    sheet.reset_dimensions()
    for row in sheet.iter_rows(max_row=MOST_ROWS * 2, max_col=MOST_COLUMNS + 1):
        yield [_of_cell(cell) for cell in row]


def _of_cell(cell: Any) -> str:
    """The text of a cell, with the zeros and texts that its format shows."""
    value = cell.value
    if value is None or cell.data_type == "f":
        return "" if value is None else "="  # an array formula comes as an object
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        value = int(value)
    if isinstance(value, str) or (isinstance(value, int) and value >= 0):
        return _shown(str(value), cell.number_format or "", "@" if isinstance(value, str) else "0")
    day = value.date() if isinstance(value, datetime) else value
    return day.isoformat() if isinstance(day, date) else str(value)


def _shown(value: str, number_format: str, place: str) -> str:
    """A value as a spreadsheet shows it, if its format holds only texts and places for it: `"S-"0000`, `000-000`.
    place: the sign of a place, "0" for a digit or "@" for a whole text."""
    section = number_format.partition(";")[0]
    parts = _PARTS.findall(section)
    places = "".join(here for *_, here in parts)
    if not value or _PARTS.sub("", section) or set(places) != {place}:
        return value
    value = value.zfill(len(places)) if place == "0" else value
    surplus, shown = len(value) - len(places), ""
    for *texts, here in parts:
        end = len(here) + surplus if here else 0  # the first place takes what has no place of its own
        surplus = 0 if here else surplus
        shown, value = f"{shown}{''.join(texts)}{value[:end]}", value[end:]
    return shown
