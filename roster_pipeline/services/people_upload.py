"""A list of people, uploaded into a school: what each row would do, and doing it. Nobody is archived.

The table of evidence (`identity`) decides who a row is, as for a record of the SIS: a key and a name, and nothing
against it. A name alone never matches anybody. A row that is not clear does nothing, and says why.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Connection

from roster_pipeline.cleaning.emails_and_phones import e164
from roster_pipeline.directory import tenants, unreported_decisions, uploads
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.directory.uploads import Upload
from roster_pipeline.identity.person_pairs import StoredPerson, compared, name_of
from roster_pipeline.services.decisions import given_reason
from roster_pipeline.services.people_file import LONGEST_CELL, PeopleFile
from roster_pipeline.services.person_changes import NotUsable, stored_grade, stored_value
from roster_pipeline.services.possible_duplicates import stored_people
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
"""Field to the names of a column that mean it; capitals, blanks and punctuation do not count."""
_ROLES = {
    "student": ("student", "students", "pupil", "pupils"),
    "teacher": ("teacher", "teachers"),
    "staff": ("staff", "aide"),
    "admin": ("admin", "admins", "administrator", "principal"),
}
CREATE, JOIN, UPDATE, NOTHING, LOOK, UNREADABLE = "create", "join", "update", "nothing", "look", "unreadable"
DOES = {
    CREATE: "New here.",
    JOIN: "In the directory already. Gets a membership in this school.",
    UPDATE: "Entered by hand before. Gets the values of the list.",
    NOTHING: "In this school already. Nothing changes.",
}
"""What a row does, and why, as it is shown. The others say their own reason."""
DOING = (CREATE, JOIN, UPDATE)

_FIELD_OF = {"".join(filter(str.isalnum, name)): field for field, names in COLUMNS.items() for name in names}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words}
_NEW = -1
_OTHER_SCHOOL = "It may be somebody of another school. A manager of the district decides that."


class UploadChanged(DirectoryError):
    """The directory changed since the preview was shown, so that the list would do something else now."""

    def __init__(self) -> None:
        super().__init__(
            "The directory changed since you looked, and the list would now do something else.", "Look again."
        )


@dataclass(frozen=True)
class Row:
    """One row of the list. number: its line in the file. what: one of the constants above. why: a sentence.

    person_id: who it is, or may be, if the reader may see them. fields: values as the directory stores them, with role
    and grade; empty where the row cannot be read.
    """

    number: int
    what: str
    why: str
    name: str
    person_id: int | None = None
    fields: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Preview:
    """What a list would do. columns: name of each column to its field, or an empty text for one that is left out."""

    columns: list[tuple[str, str]]
    rows: list[Row]
    problem: str = ""

    @property
    def unknown(self) -> list[str]:
        """Columns that are left out."""
        return [name for name, field in self.columns if not field]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows do what."""
        return {what: sum(row.what == what for row in self.rows) for what in (*DOES, LOOK, UNREADABLE)}

    @property
    def doing(self) -> int:
        """How many rows change something."""
        return sum(row.what in DOING for row in self.rows)

    @property
    def digest(self) -> str:
        """Of all that the list would do; applying is bound to it."""
        plain = [(row.number, row.what, row.person_id, dict(row.fields or {})) for row in self.rows]
        return hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()


def fields_of_columns(header: Sequence[str]) -> list[str]:
    """The field of each column by its name, or an empty text. A field that was there before is not taken twice."""
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
) -> Preview:
    """What each row would do now. columns: the field of each column. role: of rows without one."""
    named = list(zip(file.header, columns, strict=True))
    if not {"given_name", "family_name"} & set(columns):
        return Preview(named, [], "No column has a given name or a family name.")
    rows = [_read(number, cells, columns, role, school) for number, cells in file.rows]
    people = _people(conn, school, [row for row in rows if row.fields])
    if manages(school.district_id):
        own = None
    else:
        own = {row.id for row in tenants.list_schools(conn) if row.district_id == school.district_id and sees(row)}
    return Preview(named, _Matching(school, people, own).decided(rows))


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
    """Do what the preview with this digest showed, in this transaction. Returns the number of the sync, which can be
    rolled back. Raises UploadChanged, NoReason."""
    why = given_reason(reason)
    lock_district(conn, school.district_id)
    file = PeopleFile(upload.header, upload.rows)
    seen = preview(conn, school, file, upload.columns, role=upload.role, sees=sees, manages=manages)
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
    """Everybody whom a row may be."""
    fields = [row.fields or {} for row in rows]
    ids = uploads.candidates(
        conn,
        school,
        emails=[each["email"] for each in fields if each.get("email")],
        numbers=[each["number"] for each in fields if each.get("number")],
        names=[((each.get("given_name") or "").lower(), (each.get("family_name") or "").lower()) for each in fields],
    )
    return list(stored_people(conn, school.district_id, ids).values())


class _Matching:
    """Who each row is. own: the schools that the reader sees; None for all."""

    def __init__(self, school: SchoolRow, people: list[StoredPerson], own: set[int] | None) -> None:
        self._school, self._own = school, own
        self._near: dict[tuple[str, Any], list[StoredPerson]] = defaultdict(list)
        self._by_id = {person.id: person for person in people}
        for person in people:
            for key in _keys(person):
                self._near[key].append(person)

    def decided(self, rows: list[Row]) -> list[Row]:
        """The same rows with what they do."""
        taken: dict[int, int] = {}
        before: dict[tuple[str, Any], list[tuple[int, StoredPerson]]] = defaultdict(list)
        result = []
        for row in rows:
            if row.fields is None:
                result.append(row)
                continue
            person = self._as_person(row)
            earlier = [
                number
                for key in _keys(person)
                for number, other in before[key]
                if (weighed := compared(person, other)).same or weighed.doubtful or weighed.may_be
            ]
            for key in _keys(person):
                before[key].append((row.number, person))
            found = self._of(row, person)
            if earlier:
                found = replace(row, what=LOOK, why=f"It may be the same person as row {min(earlier)}.")
            elif found.person_id is not None and found.what != LOOK:
                first = taken.setdefault(found.person_id, row.number)
                if first != row.number:
                    found = replace(row, what=LOOK, why=f"It is the same person as row {first}.")
            result.append(found)
        return result

    def _as_person(self, row: Row) -> StoredPerson:
        fields = dict.fromkeys(PERSON_FIELDS) | dict(row.fields or {})
        kind = "student" if fields["role"] == "student" else "staff"
        fields |= {"number_kind": kind, "number_connection_id": self._school.connection.id}
        member = {"role": fields["role"], "grade": fields["grade"], "status": "active", "years": 0}
        return StoredPerson(_NEW, fields, {}, (member,), frozenset(), frozenset())

    def _of(self, row: Row, person: StoredPerson) -> Row:
        near = {other.id: other for key in _keys(person) for other in self._near[key]}
        weighed = {number: compared(person, other) for number, other in near.items()}
        same = [number for number, each in weighed.items() if each.same]
        unsure = [number for number, each in weighed.items() if each.doubtful and number not in same]
        maybe = [number for number, each in weighed.items() if each.may_be and number not in same]
        if len(same) == 1 and not unsure:
            return self._same(row, self._by_id[same[0]])
        if not same and not unsure and not maybe:
            return replace(row, what=CREATE, why=DOES[CREATE])
        open_ = sorted({*same, *unsure, *maybe})
        shown = [number for number in open_ if self._visible(self._by_id[number])]
        if not shown:
            return replace(row, what=LOOK, why=_OTHER_SCHOOL)
        if len(open_) > 1:
            why = "It fits several people of the directory."
        elif unsure:
            why = "It fits somebody of the directory, but something speaks against it."
        elif "number" in weighed[shown[0]].agree or weighed[shown[0]].near:
            why = "Somebody else here has this number."
        else:
            why = "Somebody of this name is here, and there is no number or e-mail to compare."
        return replace(row, what=LOOK, why=why, person_id=shown[0])

    def _same(self, row: Row, person: StoredPerson) -> Row:
        if not self._visible(person):
            return replace(row, what=LOOK, why=_OTHER_SCHOOL)
        here = next((each for each in person.memberships if each["school_id"] == self._school.id), None)
        if here is not None and here["status"] == "archived":
            return replace(
                row, what=LOOK, why="Archived in this school. Restore them on their page.", person_id=person.id
            )
        new = self._new_values(row, person)
        what = JOIN if here is None else UPDATE if new else NOTHING
        kept = new | {name: (row.fields or {}).get(name) for name in ("role", "grade")}
        return replace(row, what=what, why=DOES[what], person_id=person.id, fields=kept)

    def _new_values(self, row: Row, person: StoredPerson) -> dict[str, Any]:
        """Values of the list that a person who was entered by hand gets. The SIS gives those of everybody else."""
        active = {each["school_id"] for each in person.memberships if each["status"] == "active"}
        if person.links or (self._own is not None and active - self._own):
            return {}
        locked = person.fields["locked_fields"]
        given = {name: (row.fields or {}).get(name) for name in PERSON_FIELDS}
        return {
            name: value
            for name, value in given.items()
            if value is not None and value != person.fields[name] and name not in locked
        }

    def _visible(self, person: StoredPerson) -> bool:
        return self._own is None or any(each["school_id"] in self._own for each in person.memberships)


def _keys(person: StoredPerson) -> list[tuple[str, Any]]:
    """What somebody is found by; the table of evidence then compares."""
    fields = person.fields
    keys: list[tuple[str, Any]] = []
    if fields["email"]:
        keys.append(("email", fields["email"].lower()))
    if fields["number"] and fields["number_connection_id"] is not None:
        number = fields["number"].lstrip("0")
        keys.append(("number", (fields["number_connection_id"], fields["number_kind"], number)))
    name = name_of(fields)
    return [*keys, ("name", name)] if all(name) else keys
