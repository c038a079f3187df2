"""The rows of a plan as people read them: who, what, which fields from what to what, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roster_pipeline.safe_csv import csv_chunks
from roster_pipeline.vocabulary import CONTACT_FIELDS, MEMBERSHIP_FIELDS, MORE_CONTACTS, PERSON_FIELDS, STUDENT_CONTACTS

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from roster_pipeline.directory.database import Database
    from roster_pipeline.directory.plan_rows import RowFilter
    from roster_pipeline.directory.plans import PlanRow

HEADER = ("row", "action", "role", "person", "name", "sourcedIds", "matched by", "reason", "why", "field", "from", "to")
ORDER = {field: place for place, field in enumerate((*PERSON_FIELDS, *MEMBERSHIP_FIELDS, *STUDENT_CONTACTS))}
"""Fields in the order people expect; the database keeps them in none."""
FLAGS = "contact_flags"


@dataclass(frozen=True)
class Line:
    """One row of a plan. changes: field to (from, to). held: waits for a person. exempted: somebody took it out.
    sync_id: the sync that applied it. linked_person_id: whose the record is since then."""

    row: int
    action: str
    role: str
    person_id: int | None
    name: str
    sourced_ids: tuple[str, ...]
    matched_by: str | None
    reason: str
    why: str
    changes: Mapping[str, tuple[Any, Any]]
    held: bool = False
    exempted: bool = False
    sync_id: int | None = None
    linked_person_id: int | None = None

    def page_of(self, manages: bool) -> int | None:
        """The person whose page the row leads to; None where there is none, or not for somebody of this school alone.

        manages: the reader manages the district. Until a plan is applied, who joins from another school and whom
        another connection knows are people of other schools.
        """
        foreign = self.reason == "other_connection" or (self.action == "create" and self.sync_id is None)
        return None if foreign and not manages else self.person_id or self.linked_person_id

    @property
    def readable(self) -> dict[str, tuple[Any, Any]]:
        """The changes for people: as `changes`, with lists of contacts and their flags as text instead of JSON."""
        return {field: (readable(field, old), readable(field, new)) for field, (old, new) in self.changes.items()}

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        changes = {field: {"from": old, "to": new} for field, (old, new) in self.changes.items()}
        plain = {name: value for name, value in self.__dict__.items() if name != "linked_person_id"}
        return {**plain, "sourced_ids": list(self.sourced_ids), "changes": changes}


def lines(
    conn: Connection, plan: PlanRow, chosen: RowFilter | None = None, *, limit: int | None = None, offset: int = 0
) -> list[Line]:
    """A plan's rows, or one page of those that were chosen, with the names that the directory has for its people."""
    from roster_pipeline.directory import plan_rows

    found = plan_rows.page(conn, plan, chosen or plan_rows.RowFilter(), limit=limit, offset=offset)
    return [line_of(row) for row in found]


def every_line(database: Database, plan: PlanRow, chosen: RowFilter | None = None) -> Iterator[Line]:
    """The same, all of them, some hundred at a time: for a download.

    Each part is read in a transaction of its own, so that whoever reads slowly holds no connection. Rows of a plan
    never change.
    """
    from roster_pipeline.directory import plan_rows

    after = -1
    while True:
        with database.begin() as conn:
            rows = plan_rows.following(conn, plan, chosen or plan_rows.RowFilter(), after=after)
        yield from map(line_of, rows)
        if len(rows) < plan_rows.AT_ONCE:
            return
        after = rows[-1]["row"]


def line_of(row: Mapping[str, Any]) -> Line:
    """A row of `directory.plan_rows` as a line."""
    from roster_pipeline.vocabulary import why_of

    pairs = sorted((row["changes"] or {}).items(), key=lambda pair: (ORDER.get(pair[0], len(ORDER)), pair[0]))
    changes = {str(field): (both[0], both[1]) for field, both in pairs}
    return Line(
        row=row["row"],
        action=row["action"],
        role=row["role"],
        person_id=row["person_id"],
        name=row["name"] or _new_name(changes),
        sourced_ids=tuple(row["sourced_ids"]),
        matched_by=row["matched_by"],
        reason=row["reason"],
        why=why_of(row["reason"], row["notes"]),
        changes=changes,
        held=row["held"],
        exempted=row["exempted"],
        sync_id=row["sync_id"],
        linked_person_id=row["linked_person_id"],
    )


def readable(field: str, value: Any) -> Any:
    """One value of a change for people: `Ada Byron (parent), ada@example.org; Ben Byron` instead of JSON."""
    if field == MORE_CONTACTS and isinstance(value, str):
        return "; ".join(map(_contact, json.loads(value)))
    if field == FLAGS and isinstance(value, str):
        return _flags(value)
    return value


def _contact(values: list[str | None]) -> str:
    """values: in the order of `CONTACT_FIELDS`; the sourcedId alone for a contact that was not delivered."""
    told = dict(zip(CONTACT_FIELDS, values, strict=False))
    name = " ".join(filter(None, (told.get("contact_given_name"), told.get("contact_family_name"))))
    relationship = told.get("contact_relationship")
    who = (name or told["contact_sourced_id"] or "") + (f" ({relationship})" if relationship else "")
    flags = _flags(told.get(FLAGS))
    return ", ".join(filter(None, (who, told.get("contact_email"), told.get("contact_phone"), flags)))


def _flags(stored: str | None) -> str:
    return ", ".join(f"{key}: {value}" for key, value in json.loads(stored).items()) if stored else ""


def _new_name(changes: Mapping[str, tuple[Any, Any]]) -> str:
    return " ".join(str(changes[field][1]) for field in ("given_name", "family_name") if _told(changes, field))


def _told(changes: Mapping[str, tuple[Any, Any]], field: str) -> bool:
    return field in changes and changes[field][1] is not None


def cells(some: Iterable[Line]) -> Iterator[tuple[Any, ...]]:
    """The columns of `HEADER`: one line per field change, one for a row without."""
    for line in some:
        head = (
            line.row,
            line.action,
            line.role,
            line.person_id,
            line.name,
            " ".join(line.sourced_ids),
            line.matched_by,
            line.reason,
            line.why,
        )
        changes: list[tuple[Any, ...]] = [(field, old, new) for field, (old, new) in line.readable.items()]
        for change in changes or [(None, None, None)]:
            yield (*head, *change)


def write_csv(path: Path, some: Iterable[Line]) -> int:
    """Write lines to a file that opens right in a spreadsheet; returns how many.

    The file is readable by its owner only, also if it was there before: it names people.
    """
    rows = list(cells(some))
    path.touch(mode=0o600)
    path.chmod(0o600)
    with path.open("wb") as file:
        file.writelines(csv_chunks(HEADER, rows))
    return len(rows)
