"""Merges two people, and undoes merges.

A merge moves everything of one person to the other in one transaction, under the district's lock, and keeps both people
as they were, row by row, so that it can be undone. Whether two people may be merged is decided in `identity`.
"""

# ruff: noqa: S608 - what is put together here are our own table and column names

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from roster_pipeline.directory.duplicate_pairs import MergeImpossible, note_pair
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.members import UnknownPerson, choose_primary
from roster_pipeline.directory.rollback_sql import nobody_may_call
from roster_pipeline.directory.tables import contact, membership

State = Mapping[str, Any]
Decide = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
"""For each column, makes the resulting value from a row of the kept person and a row of the other person."""

_OWNED = {"person": "id"} | dict.fromkeys(("link", "membership", "contact", "link_exclusion"), "person_id")
"""For each table, the column that names the person."""
_STATE = "jsonb_build_object({})".format(
    ", ".join(
        f"'{name}', coalesce((select jsonb_agg(to_jsonb(x)) from {name} x "
        f"where x.district_id = :district and x.{column} = :{{0}}), '[]')"
        for name, column in _OWNED.items()
    )
    + ", 'not_duplicate', coalesce((select jsonb_agg(to_jsonb(x)) from not_duplicate x "
    "where x.district_id = :district and :{0} in (x.person_id, x.other_id)), '[]')"
)
_BOTH = f"select jsonb_build_object('kept', {_STATE.format('kept')}, 'gone', {_STATE.format('gone')})"
_OF_MEMBERSHIP, _OF_CONTACT = (
    ", ".join(column.name for column in table.columns if column.name != "person_id") for table in (membership, contact)
)
_OF_CONTACT_KEY = ("district_id", "school_id", "person_id", "place")
_COUNTED = {"absent_syncs", "revision", "updated_at"}
"""Columns that a sync may write without changing the membership."""
_MOVE_CONTACTS = (
    f"insert into contact (person_id, {_OF_CONTACT}) select :to, {_OF_CONTACT} from contact "
    "where district_id = :district and person_id = :from and school_id = any(:schools)"
)
_MOVE_MEMBERSHIPS = (
    f"insert into membership (person_id, {_OF_MEMBERSHIP}) select :to, {_OF_MEMBERSHIP} from membership "
    "where district_id = :district and person_id = :from and school_id = any(:schools)",
    _MOVE_CONTACTS,
    "delete from membership where district_id = :district and person_id = :from and school_id = any(:schools)",
)
"""Contacts move together with their membership."""
_SET_MEMBERSHIP = """
update membership m set role = n.role, grade = n.grade, source_role = n.source_role, source_grade = n.source_grade,
    status = n.status, archived_by = n.archived_by, archived_at = n.archived_at, managed = n.managed,
    absent_syncs = n.absent_syncs, revision = m.revision + 1, updated_at = now()
from jsonb_populate_record(null::membership, cast(:row as jsonb)) n
where m.district_id = :district and m.school_id = n.school_id and m.person_id = :person
"""
_TAKE_LINKS = """
insert into link (district_id, connection_id, sourced_id, person_id, is_primary, version, master_identifier, confirmed,
                  primary_by_hand, created_at)
select district_id, connection_id, sourced_id, :kept, is_primary and not :has_primary, version, master_identifier, true,
       primary_by_hand and not :has_primary, created_at
from jsonb_populate_recordset(null::link, cast(:links as jsonb))
"""
"""The links count as confirmed by hand, so no sync doubts them."""
_TAKE_APART = """
insert into link_exclusion (district_id, connection_id, sourced_id, person_id, created_at)
select district_id, connection_id, sourced_id, :kept, created_at
from link_exclusion where district_id = :district and person_id = :gone on conflict do nothing
"""
_TAKE_TWO = """
insert into not_duplicate (district_id, person_id, other_id, created_at)
select district_id, least(:kept, x.third), greatest(:kept, x.third), created_at
from not_duplicate n cross join lateral (
    select case when n.person_id = :gone then n.other_id else n.person_id end as third) x
where n.district_id = :district and :gone in (n.person_id, n.other_id) and x.third <> :kept on conflict do nothing
"""


def merge(
    conn: Connection,
    district_id: int,
    kept: int,
    gone: int,
    *,
    fields: Decide,
    membership: Decide,
    who: str,
    reason: str,
) -> int:
    """Move everything of one person to another person, and remove the first. Returns the number of the merge. fields:
    makes the new values of the kept person from the two rows of `person`. membership: makes the resulting row from two
    rows of `membership` of one school; its `person_id` says whose membership it was. The caller holds the district's
    lock, and has checked whether the two may be merged. Earlier plans are then out of date."""
    given: dict[str, Any] = {"district": district_id, "kept": kept, "gone": gone}
    given |= {"from": gone, "to": kept, "person": kept}
    before = conn.scalar(text(_BOTH), given)
    mine, theirs = before["kept"], before["gone"]
    own = {row["school_id"]: row for row in mine["membership"]}
    given["schools"] = [row["school_id"] for row in theirs["membership"] if row["school_id"] not in own]
    for statement in _MOVE_MEMBERSHIPS:
        conn.execute(text(statement), given)
    for row in theirs["membership"]:
        school = row["school_id"]
        if school not in own:
            continue
        result = membership(own[school], row)
        conn.execute(text(_SET_MEMBERSHIP), given | {"row": _json(result)})
        if _contacts(theirs, school) and (result["person_id"] == gone or not _contacts(mine, school)):
            _delete(conn, "contact", _contacts(mine, school), _OF_CONTACT_KEY)
            conn.execute(text(_MOVE_CONTACTS), given | {"schools": [school]})
    conn.execute(text("delete from link where district_id = :district and person_id = :gone"), given)
    has_primary = any(each["is_primary"] for each in mine["link"])
    conn.execute(text(_TAKE_LINKS), given | {"links": _json(theirs["link"]), "has_primary": has_primary})
    conn.execute(text(_TAKE_APART), given)
    conn.execute(text(_TAKE_TWO), given)
    for table in ("link_exclusion", "membership"):
        conn.execute(text(f"delete from {table} where district_id = :district and person_id = :gone"), given)
    conn.execute(text("delete from person where district_id = :district and id = :gone"), given)
    _set_person(conn, district_id, kept, fields(mine["person"][0], theirs["person"][0]))
    after = conn.scalar(text(f"select {_STATE.format('kept')}"), given)
    noted = (
        "insert into person_merge (district_id, kept_id, gone_id, who, before, after) values "
        "(:district, :kept, :gone, :who, cast(:before as jsonb), cast(:after as jsonb)) returning id"
    )
    values = {"who": who, "before": _json(before), "after": _json(after)}
    merge_id = int(conn.execute(text(noted), given | values).scalar_one())
    note_pair(conn, district_id, kept, gone, "people merged", who, reason, merge=merge_id)
    return merge_id


def merges_of(conn: Connection, district_id: int, person_id: int) -> Sequence[Row[Any]]:
    """Merges that hold and in which this person was kept, the newest first."""
    query = (
        "select id, kept_id, gone_id, who, at from person_merge "
        "where district_id = :district and kept_id = :person and undone_at is null order by id desc"
    )
    return conn.execute(text(query), {"district": district_id, "person": person_id}).all()


def undo(conn: Connection, district_id: int, kept: int, *, who: str, reason: str) -> int:
    """Take back the newest merge of a person, but keep what syncs have changed since. Returns the number of the person
    who is back. Records that are still linked to the kept person go back, memberships go back as they are today, and a
    value of the kept person is set back if nothing has changed it since. Raises MergeImpossible, UnknownPerson."""
    lock_district(conn, district_id)
    given: dict[str, Any] = {"district": district_id, "kept": kept, "to": 0, "from": kept}
    if conn.scalar(text("select id from person where district_id = :district and id = :kept"), given) is None:
        raise UnknownPerson(kept)
    newest = "district_id = :district and kept_id = :kept and undone_at is null order by id desc limit 1"
    row = conn.execute(text(f"select * from person_merge where {newest}"), given).mappings().first()
    if row is None:
        raise MergeImpossible(f"Nobody was merged into person {kept}.", "There is nothing to undo.")
    mine, theirs, after = row["before"]["kept"], row["before"]["gone"], row["after"]
    given |= {"gone": row["gone_id"], "to": row["gone_id"], "merge": row["id"]}
    now = conn.scalar(text(f"select {_STATE.format('kept')}"), given)
    _insert(conn, "person", [each | {"revision": each["revision"] + 1} for each in theirs["person"]])
    _links_back(conn, given, mine, theirs)
    _memberships_back(conn, given, mine, theirs, after, now)
    for table, keys in (
        ("link_exclusion", ("connection_id", "sourced_id")),
        ("not_duplicate", ("person_id", "other_id")),
    ):
        own = {tuple(each[key] for key in keys) for each in mine[table]}
        added = [each for each in after[table] if tuple(each[key] for key in keys) not in own]
        _delete(conn, table, added, keys if table == "not_duplicate" else (*keys, "person_id"))
        _insert(conn, table, [each for each in theirs[table] if table == "link_exclusion" or _alive(conn, each)])
    old, left, today = mine["person"][0], after["person"][0], now["person"][0]
    back = {
        name: old[name]
        for name in old
        if name not in ("revision", "updated_at") and old[name] != left[name] and today[name] == left[name]
    }
    _set_person(conn, district_id, kept, back)
    conn.execute(text("update person_merge set undone_at = now() where id = :merge"), given)
    note_pair(conn, district_id, kept, row["gone_id"], "merge undone", who, reason, merge=row["id"])
    return int(row["gone_id"])


def _links_back(conn: Connection, given: State, mine: State, theirs: State) -> None:
    """Move back the records that the merge moved, if still linked, and give each person one primary record."""
    keys = ("connection_id", "sourced_id")
    rows = [each | {"person_id": given["kept"]} for each in theirs["link"]]
    taken = {tuple(each[key] for key in keys) for each in _delete(conn, "link", rows, (*keys, "person_id"))}
    _insert(conn, "link", [each for each in theirs["link"] if tuple(each[key] for key in keys) in taken])
    was = [(each["connection_id"], each["sourced_id"]) for each in mine["link"] if each["is_primary"]]
    choose_primary(conn, given["district"], [given["kept"], given["gone"]], *was)


def _memberships_back(conn: Connection, given: State, mine: State, theirs: State, after: State, now: State) -> None:
    own, left, today = ({each["school_id"]: each for each in one["membership"]} for one in (mine, after, now))
    moved = [each["school_id"] for each in theirs["membership"] if each["school_id"] not in own]
    there = [school for school in moved if school in today]
    for statement in _MOVE_MEMBERSHIPS:
        conn.execute(text(statement), dict(given) | {"schools": there})
    again = [each for each in theirs["membership"] if each["school_id"] not in there]
    _insert(conn, "membership", [each | {"revision": each["revision"] + 1} for each in again])
    schools = {each["school_id"] for each in again}
    for school in schools:
        old, merged, current = (_contacts(state, school) for state in (theirs, after, now))
        moved_on = [each | {"person_id": given["kept"]} for each in old] == merged
        _insert(conn, "contact", [each | {"person_id": given["gone"]} for each in (current if moved_on else old)])
    for school in schools & own.keys() & today.keys():
        if any(today[school][name] != left[school][name] for name in left[school].keys() - _COUNTED):
            continue
        conn.execute(text(_SET_MEMBERSHIP), dict(given) | {"row": _json(own[school]), "person": given["kept"]})
        if _contacts(now, school) == _contacts(after, school) != _contacts(mine, school):
            _delete(conn, "contact", _contacts(now, school), _OF_CONTACT_KEY)
            _insert(conn, "contact", _contacts(mine, school))
    excluded = f"c.person_id in (:kept, :gone) and {nobody_may_call('c', 'c.sourced_id')}"
    conn.execute(text(f"delete from contact c where c.district_id = :district and {excluded}"), dict(given))


def _contacts(state: State, school: int) -> list[dict[str, Any]]:
    return sorted((each for each in state["contact"] if each["school_id"] == school), key=lambda each: each["place"])


def _set_person(conn: Connection, district_id: int, person_id: int, fields: Mapping[str, Any]) -> None:
    pairs = "".join(f"{name} = n.{name}, " for name in fields)
    read = ", updated_at = now()" if set(fields) - {"excluded", "locked_fields"} else ""
    conn.execute(
        text(
            f"update person p set {pairs}revision = p.revision + 1{read} "
            "from jsonb_populate_record(null::person, cast(:row as jsonb)) n "
            "where p.district_id = :district and p.id = :person"
        ),
        {"district": district_id, "person": person_id, "row": _json(dict(fields))},
    )


def _insert(conn: Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        query = (
            f"insert into {table} select (jsonb_populate_recordset(null::{table}, cast(:rows as jsonb))).* "
            "on conflict do nothing"
        )
        conn.execute(text(query), {"rows": _json(list(rows))})


def _delete(
    conn: Connection, table: str, rows: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Delete these rows by these columns; returns those that were there."""
    same = " and ".join(f"x.{key} = n.{key}" for key in keys)
    query = (
        f"delete from {table} x using jsonb_populate_recordset(null::{table}, cast(:rows as jsonb)) n "
        f"where {same} returning x.*"
    )
    if not rows:
        return []
    return [dict(row) for row in conn.execute(text(query), {"rows": _json(list(rows))}).mappings()]


def _alive(conn: Connection, pair: Mapping[str, Any]) -> bool:
    query = "select count(*) = 2 from person where id in (:one, :other)"
    return bool(conn.scalar(text(query), {"one": pair["person_id"], "other": pair["other_id"]}))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
