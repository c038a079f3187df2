"""A list of people that somebody uploads into a school: finds the person of each row, shows the changes, makes them.
Nobody is archived. The table of evidence (`identity`) decides who a row is, as for a record of the SIS: a key and a
name have to agree, and nothing may contradict. A doubtful row changes nothing until somebody decides."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Connection

from roster_pipeline.directory import ledger, uploads
from roster_pipeline.directory.accounts import Account
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.identity.person_pairs import StoredPerson, compared, names_of, search_keys
from roster_pipeline.services import people_file, person_changes
from roster_pipeline.services.people_file import PeopleFile, Row
from roster_pipeline.services.possible_duplicates import stored_people
from roster_pipeline.services.settings_changes import given_reason
from roster_pipeline.vocabulary import PERSON_FIELDS, full_name

_NEW = -1
_IN_SCHOOL = ("This person is in this school already.", "Change them on their page.")
_HERE = dict.fromkeys((people_file.UPDATE, people_file.NOTHING), _IN_SCHOOL) | {
    people_file.JOIN: ("This person is already in the directory, in another school.", "Upload a list with this person.")
}
_OTHER_SCHOOL = "It may be somebody of another school. A manager of the district decides that."


class UploadChanged(DirectoryError):
    """The directory has changed since the preview was shown, so the list would now do something else."""

    def __init__(self) -> None:
        super().__init__(
            "The directory changed since you looked, and the list would now do something else.", "Look again."
        )


class MayBeHere(DirectoryError):
    """Somebody of the directory is, or may be, the person to enter. people: their numbers, as far as the reader may see
    them. may_be_new: whether somebody may say that it is a new person."""

    def __init__(self, found: Row, people: Sequence[int]) -> None:
        self.people, self.may_be_new = people, found.what == people_file.LOOK
        what, remedy = _HERE.get(found.what, (found.why, "If this is a new person: roster person add --somebody-else"))
        who = ", ".join(f"person {number}" for number in people)
        super().__init__(f"{what} Here: {who}." if who else what, remedy)


@dataclass(frozen=True)
class Preview:
    """The effect that a list would have. columns: each column's name and its field, or "" if it is left out."""

    columns: list[tuple[str, str]]
    rows: list[Row]
    problem: str = ""

    @property
    def unknown(self) -> list[str]:
        return [name for name, field in self.columns if not field]

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows by what they do."""
        return {
            what: sum(row.what == what for row in self.rows)
            for what in (*people_file.DOES, people_file.LOOK, people_file.LEFT, people_file.UNREADABLE)
        }

    @property
    def doing(self) -> int:
        return sum(row.what in people_file.DOING for row in self.rows)

    @property
    def digest(self) -> str:
        """A digest of everything that the list would do. Only a list with the same digest is applied."""
        plain = [(row.number, row.what, row.person_id, dict(row.fields or {})) for row in self.rows]
        return hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()


def preview(
    conn: Connection,
    school: SchoolRow,
    file: PeopleFile,
    columns: Sequence[str],
    *,
    role: str,
    reader: Account,
    choices: Mapping[int, str] | None = None,
) -> Preview:
    """Return the effect that each row would have now. columns: the field of each column. role: the role for rows
    without one. choices: for the number of a row that needs a look, a person's number, `NEW` or `OUT`."""
    named = list(zip(file.header, columns, strict=True))
    if not {"given_name", "family_name"} & set(columns):
        return Preview(named, [], "No column has a given name or a family name.")
    rows = [people_file.read_row(number, cells, columns, role, school) for number, cells in file.rows]
    people = _people(conn, school, [row for row in rows if row.fields])
    return Preview(named, Matching(school, people, _own(school, reader)).decided(rows, choices or {}))


def add(
    conn: Connection, school: SchoolRow, typed: Mapping[str, str], *, reader: Account, sure: bool, who: str, reason: str
) -> int:
    """Enter one person by hand, and return their number. typed: as for `fields_of`. sure: the reader says that
    nobody here is this person. Raises MayBeHere."""
    lock_district(conn, school.district_id)
    row = Row(1, "", "", "", fields=person_changes.fields_of(typed))
    (found,) = Matching(school, _people(conn, school, [row]), _own(school, reader)).decided([row], {})
    if found.what != people_file.CREATE and not (found.what == people_file.LOOK and sure):
        one = () if found.person_id is None else (found.person_id,)
        raise MayBeHere(found, [number for number, _ in found.candidates] or one)
    return person_changes.add(conn, school.key, typed, who=who, reason=reason)


def apply(
    conn: Connection, school: SchoolRow, upload: uploads.Upload, digest: str, *, reader: Account, who: str, reason: str
) -> int:
    """Do what the preview with this digest showed, and return the sync's number. Raises UploadChanged, FieldError."""
    why = given_reason(reason)
    lock_district(conn, school.district_id)
    file = PeopleFile(upload.header, upload.rows)
    seen = preview(conn, school, file, upload.columns, role=upload.role, choices=upload.choices, reader=reader)
    if seen.digest != digest or not seen.doing:
        raise UploadChanged
    doing = [
        {"what": row.what, "person_id": row.person_id, **(row.fields or {})}
        for row in seen.rows
        if row.what in people_file.DOING
    ]
    sync_id = uploads.apply(conn, school, doing, left=len(seen.rows) - len(doing), who=who, reason=why)
    ledger.note_decision(conn, school.id, "upload", who, sync_id=sync_id)
    return sync_id


def _own(school: SchoolRow, reader: Account) -> frozenset[int] | None:
    """The schools that the reader sees; None for all."""
    return None if reader.may_manage(school.district_id) else reader.schools


def _people(conn: Connection, school: SchoolRow, rows: Iterable[Row]) -> list[StoredPerson]:
    """Everybody who may be the person of a row."""
    fields = [row.fields or {} for row in rows]
    ids = uploads.candidates(
        conn,
        school,
        emails=[each["email"] for each in fields if each.get("email")],
        numbers=[each["number"] for each in fields if each.get("number")],
    )
    names = frozenset[str]().union(*(names_of(each.get("given_name"), each.get("family_name")) for each in fields))
    members = uploads.names_of_members(conn, school) if names else ()
    named = {number for number, given, family in members if not names.isdisjoint(names_of(given, family))}
    return list(stored_people(conn, school.district_id, sorted(named.union(ids))).values())


class Matching:
    """Decides who each row is. own: the schools that the reader sees; None for all."""

    def __init__(self, school: SchoolRow, people: list[StoredPerson], own: frozenset[int] | None) -> None:
        self._school, self._own = school, own
        self._near: dict[tuple[str, Any], list[StoredPerson]] = defaultdict(list)
        self._by_id = {person.id: person for person in people}
        for person in people:
            for key in search_keys(person):
                self._near[key].append(person)

    def decided(self, rows: list[Row], choices: Mapping[int, str]) -> list[Row]:
        """The same rows, each with its effect. choices: for the number of a row, a person's number, `NEW` or `OUT`."""
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
                for key in search_keys(person)
                for number, other in before[key]
                if (weighed := compared(person, other)).same or weighed.doubtful or weighed.may_be
            ]
            for key in search_keys(person):
                before[key].append((row.number, person))
            found = self._of(row, person)
            if earlier:
                found = self._look(row, found, f"It may be the same person as row {min(earlier)}.")
            found = self._chosen(row, self._once(row, found, taken), choices.get(row.number, ""))
            result.append(self._once(row, found, taken))
        return result

    def _once(self, row: Row, found: Row, taken: dict[int, int]) -> Row:
        """The row. It needs a look if an earlier row is the same person. taken: for each person, the first such row."""
        if found.person_id is None or found.what not in (people_file.JOIN, people_file.UPDATE, people_file.NOTHING):
            return found
        first = taken.setdefault(found.person_id, row.number)
        if first == row.number:
            return found
        return replace(self._look(row, found, f"It is the same person as row {first}."), candidates=())

    def _look(self, row: Row, found: Row, why: str) -> Row:
        """The row, marked as one that needs a look. found: its effect otherwise."""
        if found.what == people_file.LOOK:
            return replace(found, why=why)
        one = found.person_id
        candidates = () if one is None else ((one, self._words(one)),)
        return replace(row, what=people_file.LOOK, why=why, person_id=one, candidates=candidates, may_be_new=True)

    def _chosen(self, row: Row, found: Row, choice: str) -> Row:
        """The row with somebody's decision about it, if it needs a look and they may decide that."""
        if found.what != people_file.LOOK or not choice:
            return found
        if choice == people_file.OUT:
            return replace(found, what=people_file.LEFT, why="You leave it out.", choice=choice)
        if choice == people_file.NEW and found.may_be_new:
            why = "You decided that this is somebody new."
            return replace(found, what=people_file.CREATE, why=why, person_id=None, choice=choice)
        if choice not in {str(number) for number, _ in found.candidates}:
            return found
        same = self._same(row, self._by_id[int(choice)])
        why = same.why if same.what == people_file.LOOK else f"You decided who this is. {same.why}"
        return replace(same, why=why, choice=choice, candidates=found.candidates, may_be_new=found.may_be_new)

    def _as_person(self, row: Row) -> StoredPerson:
        fields = dict.fromkeys(PERSON_FIELDS) | dict(row.fields or {})
        kind = "student" if fields["role"] == "student" else "staff"
        fields |= {"number_kind": kind, "number_connection_id": self._school.connection.id}
        member = {"role": fields["role"], "grade": fields["grade"], "status": "active", "years": 0}
        return StoredPerson(_NEW, fields, {}, (member,), frozenset(), frozenset())

    def _of(self, row: Row, person: StoredPerson) -> Row:
        near = {other.id: other for key in search_keys(person) for other in self._near[key]}
        weighed = {number: compared(person, other) for number, other in near.items()}
        same = [number for number, each in weighed.items() if each.same]
        unsure = [number for number, each in weighed.items() if each.doubtful and number not in same]
        maybe = [number for number, each in weighed.items() if each.may_be and number not in same]
        if len(same) == 1 and not unsure:
            return self._same(row, self._by_id[same[0]])
        if not same and not unsure and not maybe:
            return replace(row, what=people_file.CREATE, why=people_file.DOES[people_file.CREATE])
        open_ = sorted({*same, *unsure, *maybe})
        shown = [number for number in open_ if self._visible(self._by_id[number])]
        whole = len(shown) == len(open_)
        if not shown:
            return replace(row, what=people_file.LOOK, why=_OTHER_SCHOOL)
        if len(open_) > 1:
            why = "It fits several people of the directory."
        elif unsure:
            why = "It fits somebody in the directory, but other values contradict that."
        elif "number" in weighed[shown[0]].agree or weighed[shown[0]].near:
            why = "Somebody else here has this number."
        else:
            why = "Somebody of this name is here, and there is no number or e-mail to compare."
        candidates = tuple((number, self._words(number)) for number in shown)
        return replace(row, what=people_file.LOOK, why=why, person_id=shown[0], candidates=candidates, may_be_new=whole)

    def _words(self, number: int) -> str:
        """A person in one line of words."""
        fields = self._by_id[number].fields
        parts = (full_name(fields) or "No name", fields["number"], fields["email"], f"person {number}")
        return ", ".join(str(part) for part in parts if part)

    def _same(self, row: Row, person: StoredPerson) -> Row:
        if not self._visible(person):
            return replace(row, what=people_file.LOOK, why=_OTHER_SCHOOL)
        here = next((each for each in person.memberships if each["school_id"] == self._school.id), None)
        if here is not None and here["status"] == "archived":
            why = "Archived in this school. Restore them on their page."
            return replace(row, what=people_file.LOOK, why=why, person_id=person.id, may_be_new=True)
        new = self._new_values(row, person)
        what = people_file.JOIN if here is None else people_file.UPDATE if new else people_file.NOTHING
        kept = new | {name: (row.fields or {}).get(name) for name in ("role", "grade")}
        return replace(row, what=what, why=people_file.DOES[what], person_id=person.id, fields=kept)

    def _new_values(self, row: Row, person: StoredPerson) -> dict[str, Any]:
        """The values that the list gives to a person entered by hand; all others have those of the SIS."""
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
