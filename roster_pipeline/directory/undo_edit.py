"""Undoes one edit by hand: the values of one person go back, if nothing has changed the same values since.

An edit is one transaction. The audit has its kind and reason. The change log has its rows, before and after. Both have
the same time. Unlike a rollback, only the values that the edit changed are compared and set back.
"""

# ruff: noqa: S608 - what is put together here are our own table and column names

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from roster_pipeline.directory import audit, ledger
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.members import choose_primary
from roster_pipeline.directory.rollback_sql import CASTS, KEPT

UNDONE = "edit undone"
OF_MEMBERSHIP = ("membership archived", "membership active")
OF_PERSON = ("person edited", "field locked", "field unlocked", "person excluded", "person included")
OF_LINK = ("record linked", "record unlinked", "link confirmed", "primary record chosen")
_TABLES = {"person": OF_PERSON, "membership": OF_MEMBERSHIP, "link": OF_LINK}
EDITS: Mapping[str, str] = {what: table for table, kinds in _TABLES.items() for what in kinds}
"""The kinds of audit entries of edits that can be undone, each with the table whose rows it changed."""
_LOCKS = "locked_fields"
_NOT_COMPARED = ("archived_at", "absent_syncs", "version", "master_identifier")
"""These columns follow from other values, or are written by syncs that change nothing else."""
_SHOWN = {
    _LOCKS: "the lock of a field",
    "excluded": "whether syncs change the person",
    **dict.fromkeys(("status", "archived_by"), "the membership"),
    **dict.fromkeys(("is_primary", "primary_by_hand"), "the record that the fields follow"),
    "confirmed": "the link of the record",
}

Row = Mapping[str, Any]
Key = tuple[str, str] | str
"""A row: connection and sourcedId of a link, the school of a membership, "" for the person."""
Ways = dict[tuple[str, Key], tuple[Row | None, Row | None]]


def _texts(entity: str, *more: str) -> str:
    """A row in the form of the change log: every value is a text."""
    names = [*KEPT[entity], *more]
    listed = ", ".join(f"'{name}'" for name in names)
    return f"jsonb_object(array[{listed}], array[{', '.join(f'x.{name}::text' for name in names)}])"


_NOW = f"""
with own as (select cast(:district as bigint) as district_id, cast(:person as bigint) as person_id),
record as (
    select distinct (coalesce(after, before) ->> 'connection_id')::bigint as connection_id,
           coalesce(after, before) ->> 'sourced_id' as sourced_id
    from change_log l join own using (district_id, person_id) where l.entity = 'link'
)
select 'person' as entity, '' as one, '' as two, {_texts("person")} as row
from person x join own on own.person_id = x.id and own.district_id = x.district_id
union all
select 'membership', s.key, '', {_texts("membership")}
from membership x join own using (district_id, person_id) join school s on s.id = x.school_id
union all
select 'link', x.connection_id::text, x.sourced_id, {_texts("link", "person_id")}
from link x join own using (district_id)
where x.person_id = own.person_id or (x.connection_id, x.sourced_id) in (select connection_id, sourced_id from record)
union all
select 'link_exclusion', x.connection_id::text, x.sourced_id,
       jsonb_build_object('here', to_char(x.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'))
from link_exclusion x join own using (district_id, person_id)
"""
_STALE = "update person set revision = revision + 1 where district_id = :district and id = :person"


def _value(name: str) -> str:
    return f"cast(:to_{name} as {CASTS.get(name, 'text')})"


_PAIR = "(district_id, connection_id, sourced_id, person_id"
_ITS = "(:district, cast(:one as bigint), :two, :person"
_NO_PRIMARY = " and not exists (select from link h where h.person_id = :person and h.is_primary)"
_LINK_VALUES = [_value(name) + _NO_PRIMARY * (name in ("is_primary", "primary_by_hand")) for name in KEPT["link"]]
_REMAKE = f"insert into link {_PAIR}, {', '.join(KEPT['link'])}) values {_ITS}, {', '.join(_LINK_VALUES)})"
_WHERE = {
    "person": "x.district_id = :district and x.id = :person",
    "membership": "x.district_id = :district and x.person_id = :person "
    "and x.school_id = (select id from school where key = :one)",
    "link": f"{_PAIR}) = {_ITS})",
}
_EXCLUDE = f"insert into link_exclusion {_PAIR}) values {_ITS}) on conflict do nothing"
_INCLUDE = f"delete from link_exclusion where {_WHERE['link']}"


class CannotUndo(DirectoryError):
    """The edit is unknown, or it was undone before, or something newer changed the same values."""


@dataclass(frozen=True)
class Rows:
    """The rows of one person as they are now, in the form of the change log. links: the links of the person, and the
    links of other people for records that once belonged to the person. exclusions: for each unlinked record, when
    somebody unlinked it."""

    person: Row
    memberships: Mapping[Key, Row]
    links: Mapping[Key, Row]
    exclusions: Mapping[Key, str]

    def of(self, entity: str, key: Key) -> Row | None:
        rows = self.memberships if entity == "membership" else self.links
        return self.person if entity == "person" else rows.get(key)


@dataclass(frozen=True)
class Edit:
    """One edit by hand: its audit entry, and for each (table, key) the row before and after, or None."""

    entry: audit.Entry
    ways: Ways

    @property
    def shared(self) -> bool:
        """Whether all schools of the person see the change."""
        return self.entry.what not in OF_MEMBERSHIP

    def excluded(self, now: Rows) -> list[Key]:
        """The records that this edit unlinked from the person, if they are still unlinked."""
        at = self.entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        return [key for key, since in now.exclusions.items() if since == at]


def edits(entries: Sequence[audit.Entry], changes: Sequence[ledger.Change], person_id: int) -> list[Edit]:
    """The edits by hand among audit entries, with what each changed of this person."""
    of: dict[tuple[datetime, str], Ways] = {}
    for each in changes:
        if each.sync_id is None and each.person_id == person_id:
            ways, place = of.setdefault((each.at, each.entity), {}), (each.entity, _key(each))
            ways[place] = (ways[place][0] if place in ways else each.before, each.after)
    return [
        Edit(entry, of.get((entry.at, EDITS[entry.what]), {}))
        for entry in entries
        if entry.what in EDITS and entry.person_id == person_id
    ]


def rows_now(conn: Connection, district_id: int, person_id: int) -> Rows:
    """The rows with which edits of a person are compared."""
    of: dict[str, dict[Key, Any]] = {"person": {}, "membership": {}, "link": {}, "link_exclusion": {}}
    for row in conn.execute(text(_NOW), {"district": district_id, "person": person_id}):
        of[row.entity][(row.one, row.two) if row.entity.startswith("link") else row.one] = row.row
    exclusions = {key: row["here"] for key, row in of["link_exclusion"].items()}
    return Rows(of["person"].get("", {}), of["membership"], of["link"], exclusions)


def problem(edit: Edit, now: Rows) -> str:
    """Why an edit cannot be undone, as a sentence; empty if it can."""
    anything = bool(edit.excluded(now))
    for (entity, key), (before, after) in edit.ways.items():
        row = now.of(entity, key)
        if before is None and after is None:
            return "Its values were erased."
        if before is None or after is None:
            anything = True
            if refusal := _link_problem(edit, row, key, now, linked=before is None):
                return refusal
            continue
        for name in _changed(entity, before, after):
            anything = True
            if row is None or not _as_left(name, before, after, row):
                return f"{_SHOWN.get(name, name.replace('_', ' ')).capitalize()} was changed again since."
    return "" if anything else "It changed nothing that is still there."


def undo(conn: Connection, district_id: int, person_id: int, edit_id: int, *, who: str, reason: str) -> Edit:
    """Undo an edit, and note it in the audit. edit_id: the number of its audit entry. Raises CannotUndo."""
    lock_district(conn, district_id)
    entry = audit.get(conn, edit_id)
    if entry is None or (entry.district_id, entry.person_id) != (district_id, person_id) or entry.what not in EDITS:
        raise CannotUndo(
            f"Person {person_id} has no edit {edit_id} that can be undone.", f"See: roster person show {person_id}"
        )
    query = "select true from audit where what = :what and person_id = :person and details ->> 'edit' = :edit"
    if conn.scalar(text(query), {"what": UNDONE, "person": person_id, "edit": str(edit_id)}):
        raise CannotUndo(f"Edit {edit_id} was undone already.", "Nothing has to be done.")
    edit = edits([entry], ledger.changes_of_person(conn, district_id, person_id), person_id)[0]
    now = rows_now(conn, district_id, person_id)
    if refusal := problem(edit, now):
        raise CannotUndo(f"This edit cannot be undone. {refusal}", "Look at the history, and make a new edit.")
    given = {"district": district_id, "person": person_id}
    for statement, values in _statements(edit, now):
        conn.execute(text(statement), given | values)
    choose_primary(conn, district_id, [person_id])
    if EDITS[entry.what] == "link":
        conn.execute(text(_STALE), given)
    whom: dict[str, Any] = {"district_id": district_id, "school_id": entry.school_id, "person_id": person_id}
    audit.record(conn, who, UNDONE, reason=reason, details={"edit": edit_id, "was": entry.what}, **whom)
    return edit


def _key(change: ledger.Change) -> Key:
    if change.entity == "link":
        row = change.after or change.before or {}
        return (row.get("connection_id", ""), row.get("sourced_id", ""))
    return change.school or ""


def _changed(entity: str, before: Row, after: Row) -> list[str]:
    return [name for name in KEPT[entity] if name in after and before.get(name) != after[name]]


def _names(array: str) -> set[str]:
    """The names of the fields in the text of an array, such as `{email,phone}`."""
    return set(filter(None, array.strip("{}").split(",")))


def _as_left(name: str, before: Row, after: Row, row: Row) -> bool:
    """Whether a value is still as the edit left it. Only the locks that the edit added or removed count."""
    if name in _NOT_COMPARED:
        return True
    if name != _LOCKS:
        return bool(row[name] == after[name])
    was, left, here = _names(before[name]), _names(after[name]), _names(row[name])
    return left - was <= here and not (was - left) & here


def _link_problem(edit: Edit, row: Row | None, key: Key, now: Rows, *, linked: bool) -> str:
    """The reason why a link that the edit made (linked) or took away cannot go back."""
    mine = row is not None and row["person_id"] == str(edit.entry.person_id)
    if linked:
        kept = mine and row is not None and row["confirmed"] == "true" and row["primary_by_hand"] == "false"
        return "" if kept else "The link of the record was changed since."
    if row is not None:
        return f"The record is linked to person {row['person_id']} now."
    if key in now.exclusions and key not in edit.excluded(now):
        return "Somebody has unlinked the record again since."
    return ""


def _statements(edit: Edit, now: Rows) -> Iterator[tuple[str, dict[str, Any]]]:
    """The statements to execute, in this order, each with its values."""
    for key in edit.excluded(now):
        yield _INCLUDE, _place(key)
    made, gone = [], []
    for (entity, key), (before, after) in edit.ways.items():
        place = _place(key)
        if before is None:
            made.append(place)
        elif after is None:
            gone.append(place | {f"to_{name}": before[name] for name in KEPT["link"]})
        elif names := _changed(entity, before, after):
            yield _set_back(entity, names), place | _values(names, before, after, now.of(entity, key) or {})
    for place in made:
        yield f"delete from link x where {_WHERE['link']}", place
        if edit.entry.details.get("was_excluded"):
            yield _EXCLUDE, place
    for values in gone:
        yield _REMAKE, values


def _place(key: Key) -> dict[str, Any]:
    one, two = key if isinstance(key, tuple) else (key, "")
    return {"one": one, "two": two}


def _set_back(entity: str, names: Sequence[str]) -> str:
    pairs = [f"{name} = {_value(name)}" for name in names]
    if entity != "link":
        pairs.append("revision = x.revision + 1")
    if entity == "membership" or (entity == "person" and set(names) - {"excluded", _LOCKS}):
        pairs.append("updated_at = now()")
    return f"update {entity} x set {', '.join(pairs)} where {_WHERE[entity]}"


def _values(names: Sequence[str], before: Row, after: Row, row: Row) -> dict[str, Any]:
    values = {f"to_{name}": before.get(name) for name in names}
    if _LOCKS in names:
        was, left, here = (_names(one[_LOCKS]) for one in (before, after, row))
        values[f"to_{_LOCKS}"] = f"{{{','.join(sorted(here - (left - was) | (was - left)))}}}"
    return values
