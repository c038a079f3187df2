"""Reads a list of people from a CSV or XLSX file, and each row as the values of a person. Limits keep a file from
filling the memory. A row with a formula is refused; none is computed."""

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain, islice
from typing import Any
from xml.parsers import expat

from openpyxl import load_workbook

from roster_pipeline.cleaning.emails_and_phones import e164
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.errors import RosterError
from roster_pipeline.oneroster.bundle.bundle_files import LETTER_OF_1252, STRANGE_IN_1252
from roster_pipeline.safe_csv import plain_cell
from roster_pipeline.services.person_changes import NotUsable, stored_grade, stored_value
from roster_pipeline.vocabulary import PERSON_FIELDS

_MIB = 1024 * 1024
LARGEST_FILE = 5 * _MIB
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
LONGEST_CELL = 500
_ZIP = b"PK\x03\x04"
_BLANK, _OTHER_KINDS = b"\xef\xbb\xbf \t\r\n", (b"<", b"%PDF", b"{\\rtf")  # many systems call a web page `.xls`
_SEPARATORS = (",", ";", "\t", "|")
FIRST_LINES = 10
"""The lines in which the names of the columns are searched. A title, or a note such as `sep=;`, may stand above."""
COLUMNS: dict[str, tuple[str, ...]] = {
    "given_name": ("given name", "first name", "forename"),
    "family_name": ("family name", "last name", "surname"),
    "middle_name": ("middle name",),
    "preferred_given_name": ("preferred given name", "preferred first name", "preferred name", "nickname"),
    "preferred_family_name": ("preferred family name", "preferred last name"),
    "email": ("email", "email address", "mail"),
    "phone": ("phone", "phone number", "mobile", "telephone", "sms"),
    "username": ("username", "user name", "login"),
    "number": ("number", "student number", "staff number", "student id", "staff id", "identifier"),
    "role": ("role", "type"),
    "grade": ("grade", "grade level", "year"),
}
"""For each field, the names of columns that mean it. Capital letters, blanks and punctuation do not matter."""
_ROLES = {
    "student": ("student", "students", "pupil", "pupils"),
    "teacher": ("teacher", "teachers"),
    "staff": ("staff", "aide"),
    "admin": ("admin", "admins", "administrator", "principal"),
}
_NAMES = {"given_name", "family_name"}
_FIELD_OF = {"".join(filter(str.isalnum, name)): field for field, names in COLUMNS.items() for name in names}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words}
CREATE, JOIN, UPDATE, NOTHING = "create", "join", "update", "nothing"
LOOK, LEFT, UNREADABLE = "look", "left", "unreadable"
DOES = {
    CREATE: "New here.",
    JOIN: "In the directory already. Gets a membership in this school.",
    UPDATE: "Entered by hand before. Gets the values of the list.",
    NOTHING: "In this school already. Nothing changes.",
}
"""The effect of a row and the reason, as people see them. Rows that do something else have their own reason."""
DOING = (CREATE, JOIN, UPDATE)
NEW, OUT = "new", "out"
"""The possible decisions about a row that needs a look, in addition to the number of a person that it fits."""


class FileUnusable(RosterError):
    """The file cannot be read as a list of people. The message says why, and repeats nothing from the file."""


@dataclass(frozen=True)
class PeopleFile:
    """header: the names of the columns as they are written. rows: the number of each line, and its cells."""

    header: list[str]
    rows: list[tuple[int, list[str]]]


def read_people_file(data: bytes) -> PeopleFile:
    """Read a CSV or XLSX file. The names of the columns are in the first of the rows at the top in which a column is a
    name of people, else in the first row with two cells. Raises FileUnusable."""
    if len(data) > LARGEST_FILE:
        raise FileUnusable(
            f"The file is larger than {LARGEST_FILE // _MIB} MB.", "Leave out columns and sheets that are not needed."
        )
    lines = _workbook(data) if data.startswith(_ZIP) else _csv(data)
    filled = ((number, cells) for number, cells in enumerate(lines, 1) if any(cells))
    top = list(islice(filled, FIRST_LINES))
    if not top:
        raise FileUnusable("The file is empty.", "Choose a file with a row of column names and a row for each person.")
    place = _header([cells for _, cells in top])
    if place is None:
        place = next((place for place, (_, cells) in enumerate(top) if sum(map(bool, cells)) > 1), 0)
    names = top[place][1]
    while names and not names[-1]:
        names = names[:-1]
    if len(names) > MOST_COLUMNS:
        raise FileUnusable(f"The file has more than {MOST_COLUMNS} columns.", "Leave out those that are not needed.")
    rows: list[tuple[int, list[str]]] = []
    for number, cells in chain(top[place + 1 :], filled):
        if len(rows) == MOST_ROWS:
            raise FileUnusable(f"The file has more than {MOST_ROWS:,} rows.", "Upload it in parts.")
        rows.append((number, (cells + [""] * len(names))[: len(names)]))
    if not rows:
        raise FileUnusable("The file has column names and no rows.", "Add a row for each person.")
    return PeopleFile(names, rows)


def _header(lines: Sequence[Sequence[str]]) -> int | None:
    """The place of the first line that names a column with names of people."""
    return next((place for place, cells in enumerate(lines) if _NAMES & set(fields_of_columns(cells))), None)


def _csv(data: bytes) -> Iterator[list[str]]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    elif b"\0" in data or data.lstrip(_BLANK).startswith(_OTHER_KINDS):
        raise FileUnusable("This is not a CSV or XLSX file.", "In your spreadsheet, save the list as CSV or XLSX.")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            if len(STRANGE_IN_1252.findall(data)) > len(LETTER_OF_1252.findall(data)) / 10:
                raise FileUnusable(
                    "The letters of the file are neither in UTF-8 nor in Windows-1252.",
                    'In your spreadsheet, save the list as XLSX, or as "CSV UTF-8".',
                ) from None
            text = data.decode("cp1252", "replace")
    top = [line for line in text[: MOST_COLUMNS * LONGEST_CELL].splitlines() if line.strip()][:FIRST_LINES]
    split = {one: [line.split(one) for line in top] for one in _SEPARATORS}
    likely = {one: (_header(lines) is not None, sum(map(len, lines))) for one, lines in split.items()}
    separator = max(_SEPARATORS, key=lambda one: likely[one])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in reader:
            yield [_text(plain_cell(cell)) for cell in cells[: MOST_COLUMNS + 1]]
    except csv.Error:
        raise FileUnusable(
            "The CSV file cannot be read to its end.", "Open it in your spreadsheet and save it as CSV again."
        ) from None


def _workbook(data: bytes) -> Iterator[list[str]]:
    try:
        _check_zip(data)
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=False, keep_links=False)
        shown = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        lists = [sheet for sheet in shown if _header(list(islice(filter(any, _cells(sheet)), FIRST_LINES))) is not None]
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
        yield [_text(_of_cell(cell)) for cell in row]


def _of_cell(cell: Any) -> str:
    """The text of a cell, with the zeros that its format shows."""
    value = cell.value
    if value is None or cell.data_type == "f":
        return "" if value is None else "="  # an array formula comes as an object
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        value = int(value)
    if isinstance(value, int) and re.fullmatch("0{2,}", cell.number_format or ""):
        return str(value).zfill(len(cell.number_format))
    day = value.date() if isinstance(value, datetime) else value
    return day.isoformat() if isinstance(day, date) else str(value)


def _text(cell: str) -> str:
    return cell.replace("\0", "").strip()


def fields_of_columns(header: Sequence[str]) -> list[str]:
    """The field of each column by its name, or "". The first of two columns for one field gets it."""
    found: list[str] = []
    for name in header:
        field = _FIELD_OF.get("".join(filter(str.isalnum, name.casefold())), "")
        found.append("" if field in found else field)
    return found


@dataclass(frozen=True)
class Row:
    """One row of the list. number: its line in the file. what: one of the constants above. why: a sentence. person_id:
    the person that it is or may be, if the reader may see them. fields: as the directory stores them, with role and
    grade; empty if the row cannot be read. For a look: candidates: number and description of each person that it may
    be; may_be_new: whether the reader may say so; choice: what was decided."""

    number: int
    what: str
    why: str
    name: str
    person_id: int | None = None
    fields: Mapping[str, Any] | None = None
    candidates: tuple[tuple[int, str], ...] = ()
    may_be_new: bool = False
    choice: str = ""


def read_row(number: int, cells: Sequence[str], columns: Sequence[str], role: str, school: SchoolRow) -> Row:
    """The values of one row, or why it cannot be read."""
    given = {field: cell for field, cell in zip(columns, cells, strict=True) if field}
    name = " ".join(filter(None, (given.get("given_name"), given.get("family_name"))))[:100]

    def unreadable(why: str) -> Row:
        return Row(number, UNREADABLE, why, name)

    for field, cell in given.items():
        words = field.replace("_", " ")
        if cell.startswith("="):
            return unreadable(f"The cell of {words} has a formula.")
        if len(cell) > LONGEST_CELL:
            return unreadable(f"The cell of {words} has more than {LONGEST_CELL} characters.")
    own_role = _ROLE_OF.get(given.get("role", "").casefold()) if given.get("role") else role
    if not own_role:
        return unreadable("The role is not student, teacher, staff or admin.")
    fields: dict[str, Any] = {"role": own_role, "grade": None}
    try:
        for field in PERSON_FIELDS:
            if field == "phone" and given.get(field):
                fields[field] = e164(given[field], school.settings.phone_region)
                if fields[field] is None:
                    return unreadable("The phone number cannot be dialed.")
            elif field in given:
                fields[field] = stored_value(field, given[field])
        if own_role == "student":
            fields["grade"] = stored_grade(given.get("grade", ""))
    except NotUsable as problem:
        return unreadable(problem.message)
    if not fields.get("given_name") and not fields.get("family_name"):
        return unreadable("The row has no name.")
    return Row(number, "", "", name, fields=fields)
