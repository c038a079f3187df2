"""Reads a list of people from a CSV or XLSX file, and each row as the values of a person. Limits keep a file from
filling the memory. A row with a formula is refused."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from roster_pipeline.cleaning.emails_and_phones import e164
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.oneroster.bundle.bundle_files import LETTER_OF_1252, STRANGE_IN_1252
from roster_pipeline.safe_csv import plain_cell
from roster_pipeline.services.person_changes import NotUsable, stored_grade, stored_value
from roster_pipeline.services.workbook import MOST_COLUMNS, MOST_ROWS, FileUnusable, cells_of_workbook
from roster_pipeline.vocabulary import PERSON_FIELDS

_MIB = 1024 * 1024
LARGEST_FILE = 5 * _MIB
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
    lines = cells_of_workbook(data, _is_list) if data.startswith(_ZIP) else _csv(data)
    filled = _filled(lines)
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


def _is_list(lines: Iterator[list[str]]) -> bool:
    """Whether the first lines of a sheet name a column with names of people."""
    return _header([cells for _, cells in islice(_filled(lines), FIRST_LINES)]) is not None


def _filled(lines: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, with their numbers."""
    written = ([cell.replace("\0", "").strip() for cell in cells] for cells in lines)
    return ((number, cells) for number, cells in enumerate(written, 1) if any(cells))


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
            yield [plain_cell(cell) for cell in cells[: MOST_COLUMNS + 1]]
    except csv.Error:
        raise FileUnusable(
            "The CSV file cannot be read to its end.", "Open it in your spreadsheet and save it as CSV again."
        ) from None


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
