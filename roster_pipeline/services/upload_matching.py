"""Decides who each row of an uploaded list is: by the table of evidence and, if that is not clear, by the decision of a
person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.identity.person_pairs import StoredPerson, compared, name_of
from roster_pipeline.vocabulary import PERSON_FIELDS, full_name

CREATE, JOIN, UPDATE, NOTHING = "create", "join", "update", "nothing"
LOOK, LEFT, UNREADABLE = "look", "left", "unreadable"
DOES = {
    CREATE: "New here.",
    JOIN: "In the directory already. Gets a membership in this school.",
    UPDATE: "Entered by hand before. Gets the values of the list.",
    NOTHING: "In this school already. Nothing changes.",
}
"""What a row does and why, as people see it. Rows that do something else have their own reason."""
DOING = (CREATE, JOIN, UPDATE)
NEW, OUT = "new", "out"
"""The possible decisions about a row that needs a look, in addition to the number of a person whom it fits."""
_NEW = -1
_OTHER_SCHOOL = "It may be somebody of another school. A manager of the district decides that."


@dataclass(frozen=True)
class Row:
    """One row of the list. number: its line in the file. what: one of the constants above. why: a sentence.

    person_id: the person whom it is or may be, if the reader may see them. fields: values as the directory stores them,
    with role and grade; empty if the row cannot be read.

    For a row that needs or needed a look: candidates: the number and a description of each person whom it may be.
    may_be_new: whether the reader may say that it is none of them. choice: what was decided.
    """

    number: int
    what: str
    why: str
    name: str
    person_id: int | None = None
    fields: Mapping[str, Any] | None = None
    candidates: tuple[tuple[int, str], ...] = ()
    may_be_new: bool = False
    choice: str = ""


class Matching:
    """Decides who each row is. own: the schools that the reader sees; None for all."""

    def __init__(self, school: SchoolRow, people: list[StoredPerson], own: set[int] | None) -> None:
        self._school, self._own = school, own
        self._near: dict[tuple[str, Any], list[StoredPerson]] = defaultdict(list)
        self._by_id = {person.id: person for person in people}
        for person in people:
            for key in _keys(person):
                self._near[key].append(person)

    def decided(self, rows: list[Row], choices: Mapping[int, str]) -> list[Row]:
        """The same rows, each with what it does. choices: for the number of a row, a person's number, `NEW` or
        `OUT`."""
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
                found = self._look(row, found, f"It may be the same person as row {min(earlier)}.")
            found = self._chosen(row, self._once(row, found, taken), choices.get(row.number, ""))
            result.append(self._once(row, found, taken))
        return result

    def _once(self, row: Row, found: Row, taken: dict[int, int]) -> Row:
        """The row. It needs a look if an earlier row is the same person. taken: for each person, the first such row."""
        if found.person_id is None or found.what not in (JOIN, UPDATE, NOTHING):
            return found
        first = taken.setdefault(found.person_id, row.number)
        if first == row.number:
            return found
        return replace(self._look(row, found, f"It is the same person as row {first}."), candidates=())

    def _look(self, row: Row, found: Row, why: str) -> Row:
        """The row, marked as one that needs a look. found: what it would do otherwise."""
        if found.what == LOOK:
            return replace(found, why=why)
        one = found.person_id
        candidates = () if one is None else ((one, self._words(one)),)
        return replace(row, what=LOOK, why=why, person_id=one, candidates=candidates, may_be_new=True)

    def _chosen(self, row: Row, found: Row, choice: str) -> Row:
        """The row with somebody's decision about it, if it needs a look and they may decide that."""
        if found.what != LOOK or not choice:
            return found
        if choice == OUT:
            return replace(found, what=LEFT, why="You leave it out.", choice=choice)
        if choice == NEW and found.may_be_new:
            why = "You say that it is somebody new."
            return replace(found, what=CREATE, why=why, person_id=None, choice=choice)
        if choice not in {str(number) for number, _ in found.candidates}:
            return found
        same = self._same(row, self._by_id[int(choice)])
        why = same.why if same.what == LOOK else f"You say who it is. {same.why}"
        return replace(same, why=why, choice=choice, candidates=found.candidates, may_be_new=found.may_be_new)

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
        whole = len(shown) == len(open_)
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
        candidates = tuple((number, self._words(number)) for number in shown)
        return replace(row, what=LOOK, why=why, person_id=shown[0], candidates=candidates, may_be_new=whole)

    def _words(self, number: int) -> str:
        """A person in one line of words."""
        fields = self._by_id[number].fields
        told = (full_name(fields) or "No name", fields["number"], fields["email"], f"person {number}")
        return ", ".join(str(one) for one in told if one)

    def _same(self, row: Row, person: StoredPerson) -> Row:
        if not self._visible(person):
            return replace(row, what=LOOK, why=_OTHER_SCHOOL)
        here = next((each for each in person.memberships if each["school_id"] == self._school.id), None)
        if here is not None and here["status"] == "archived":
            why = "Archived in this school. Restore them on their page."
            return replace(row, what=LOOK, why=why, person_id=person.id, may_be_new=True)
        new = self._new_values(row, person)
        what = JOIN if here is None else UPDATE if new else NOTHING
        kept = new | {name: (row.fields or {}).get(name) for name in ("role", "grade")}
        return replace(row, what=what, why=DOES[what], person_id=person.id, fields=kept)

    def _new_values(self, row: Row, person: StoredPerson) -> dict[str, Any]:
        """The values that the list gives to a person who was entered by hand.

        The SIS gives the values of all other people.
        """
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
    """The values by which people are found. The table of evidence then compares them."""
    fields = person.fields
    keys: list[tuple[str, Any]] = []
    if fields["email"]:
        keys.append(("email", fields["email"].lower()))
    if fields["number"] and fields["number_connection_id"] is not None:
        number = fields["number"].lstrip("0")
        keys.append(("number", (fields["number_connection_id"], fields["number_kind"], number)))
    name = name_of(fields)
    return [*keys, ("name", name)] if all(name) else keys
