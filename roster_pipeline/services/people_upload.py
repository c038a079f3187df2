"""A list of people that somebody uploads into a school: shows what each row would do, and does it. Nobody is archived.

The table of evidence (`identity`) decides who a row is, as it does for a record of the SIS: a key and a name have to
agree, and nothing may contradict. A name alone never matches anybody. A row that is not clear does nothing until
somebody decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection

from roster_pipeline.cleaning.emails_and_phones import e164
from roster_pipeline.directory import tenants, unreported_decisions, uploads
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.directory.uploads import Upload
from roster_pipeline.identity.person_pairs import StoredPerson
from roster_pipeline.services.decisions import given_reason
from roster_pipeline.services.people_file import LONGEST_CELL, PeopleFile
from roster_pipeline.services.person_changes import NotUsable, stored_grade, stored_value
from roster_pipeline.services.possible_duplicates import stored_people
from roster_pipeline.services.upload_matching import DOES, DOING, LEFT, LOOK, UNREADABLE, Matching, Row
from roster_pipeline.vocabulary import PERSON_FIELDS

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
_FIELD_OF = {"".join(filter(str.isalnum, name)): field for field, names in COLUMNS.items() for name in names}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words}


class UploadChanged(DirectoryError):
    """The directory has changed since the preview was shown, so the list would now do something else."""

    def __init__(self) -> None:
        super().__init__(
            "The directory changed since you looked, and the list would now do something else.", "Look again."
        )


@dataclass(frozen=True)
class Preview:
    """What a list would do. columns: the name of each column, with its field, or with an empty text if the column is
    left out."""

    columns: list[tuple[str, str]]
    rows: list[Row]
    problem: str = ""

    @property
    def unknown(self) -> list[str]:
        """The columns that are left out."""
        return [name for name, field in self.columns if not field]

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows by what they do."""
        return {what: sum(row.what == what for row in self.rows) for what in (*DOES, LOOK, LEFT, UNREADABLE)}

    @property
    def doing(self) -> int:
        """How many rows change something."""
        return sum(row.what in DOING for row in self.rows)

    @property
    def digest(self) -> str:
        """A digest of everything that the list would do. Only a list with the same digest is applied."""
        plain = [(row.number, row.what, row.person_id, dict(row.fields or {})) for row in self.rows]
        return hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()


def fields_of_columns(header: Sequence[str]) -> list[str]:
    """The field of each column by its name, or an empty text.

    If two columns mean the same field, only the first gets it.
    """
    found: list[str] = []
    for name in header:
        field = _FIELD_OF.get("".join(filter(str.isalnum, name.casefold())), "")
        found.append("" if field in found else field)
    return found


def preview(
    conn: Connection,
    school: SchoolRow,
    file: PeopleFile,
    columns: Sequence[str],
    *,
    role: str,
    sees: Callable[[SchoolRow], bool],
    manages: Callable[[int], bool],
    choices: Mapping[int, str] | None = None,
) -> Preview:
    """What each row would do now. columns: the field of each column. role: the role for rows without one.

    choices: for the number of a row that needs a look, a person's number, `NEW` or `OUT`.
    """
    named = list(zip(file.header, columns, strict=True))
    if not {"given_name", "family_name"} & set(columns):
        return Preview(named, [], "No column has a given name or a family name.")
    rows = [_read(number, cells, columns, role, school) for number, cells in file.rows]
    people = _people(conn, school, [row for row in rows if row.fields])
    if manages(school.district_id):
        own = None
    else:
        own = {row.id for row in tenants.list_schools(conn) if row.district_id == school.district_id and sees(row)}
    return Preview(named, Matching(school, people, own).decided(rows, choices or {}))


def apply(
    conn: Connection,
    school: SchoolRow,
    upload: Upload,
    digest: str,
    *,
    sees: Callable[[SchoolRow], bool],
    manages: Callable[[int], bool],
    who: str,
    reason: str,
) -> int:
    """Do what the preview with this digest showed, in the caller's transaction.

    Returns the number of the sync, which can be rolled back. Raises UploadChanged, NoReason.
    """
    why = given_reason(reason)
    lock_district(conn, school.district_id)
    file = PeopleFile(upload.header, upload.rows)
    may: dict[str, Any] = {"sees": sees, "manages": manages}
    seen = preview(conn, school, file, upload.columns, role=upload.role, choices=upload.choices, **may)
    if seen.digest != digest or not seen.doing:
        raise UploadChanged
    doing = [
        {"what": row.what, "person_id": row.person_id, **(row.fields or {})} for row in seen.rows if row.what in DOING
    ]
    sync_id = uploads.apply(conn, school, doing, left=len(seen.rows) - len(doing), who=who, reason=why)
    unreported_decisions.put(conn, school.id, "upload", who, sync_id=sync_id)
    return sync_id


def _read(number: int, cells: Sequence[str], columns: Sequence[str], role: str, school: SchoolRow) -> Row:
    """The values of one row, or why it cannot be read."""
    given = {field: cell for field, cell in zip(columns, cells, strict=True) if field}
    name = " ".join(filter(None, (given.get("given_name"), given.get("family_name"))))[:100]

    def unreadable(why: str) -> Row:
        return Row(number, UNREADABLE, why, name)

    for field, cell in given.items():
        if cell.startswith("="):
            return unreadable(f"The cell of {_words(field)} has a formula.")
        if len(cell) > LONGEST_CELL:
            return unreadable(f"The cell of {_words(field)} has more than {LONGEST_CELL} characters.")
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


def _words(field: str) -> str:
    return field.replace("_", " ")


def _people(conn: Connection, school: SchoolRow, rows: Iterable[Row]) -> list[StoredPerson]:
    """Everybody who may be the person of a row."""
    fields = [row.fields or {} for row in rows]
    ids = uploads.candidates(
        conn,
        school,
        emails=[each["email"] for each in fields if each.get("email")],
        numbers=[each["number"] for each in fields if each.get("number")],
        names=[((each.get("given_name") or "").lower(), (each.get("family_name") or "").lower()) for each in fields],
    )
    return list(stored_people(conn, school.district_id, ids).values())
