"""The rows of a plan, filtered, counted and read a page at a time, and those that an attachment lists."""

# ruff: noqa: S608 - what is put together here are our own table and column names

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from roster_pipeline.directory.people_list import PeopleFilter, folded, words_in
from roster_pipeline.directory.pg_copy import number_literal
from roster_pipeline.directory.plans import IN_SCOPE, NEWEST_OF_SCHOOLS, OF_ROW, PlanRow
from roster_pipeline.vocabulary import RISKIEST_FIRST, ROLE_NAMES

SORTS = {
    "name": "lower(coalesce(p.family_name, r.changes -> 'family_name' ->> 1)), "
    "lower(coalesce(p.given_name, r.changes -> 'given_name' ->> 1))",
    "role": f"array_position(array{list(ROLE_NAMES)}, r.role)",
    "action": f"array_position(array{[*RISKIEST_FIRST, 'conflict', 'skip']}, r.action)",
    "reason": "r.reason",
}
"""The orders in which rows can be sorted, with their SQL."""
AT_ONCE = 500
"""How many rows are read at a time if all rows are needed."""

# the person's name as the directory has it now; a new person has none there
_NAME = "nullif(concat_ws(' ', p.given_name, p.family_name), '')"
_HELD = (
    "coalesce(v.verdict = 'hold' and v.sync_id is null and r.witness is distinct from 'here', false) and not r.exempted"
)
_OURS = """r.reason <> 'other_connection' and (r.action <> 'conflict' or exists (
    select from membership m join plan o on o.school_id = m.school_id
    where o.id = r.plan_id and m.person_id = r.person_id))"""
"""Until a conflict is settled, a school cannot see or search the values of a person who was never in it."""
_JOINED = f"""
from {{rows}} r
left join verdict v on {OF_ROW}
left join person p on p.id = r.person_id and p.district_id = :district and {_OURS}
"""
_FROM = f"{_JOINED.format(rows='plan_line')} where r.plan_id = :plan"
_SEARCHED = folded(
    "concat_ws(' ', p.given_name, p.family_name, p.preferred_given_name, p.preferred_family_name, p.email, "
    "p.username, p.number, array_to_string(r.sourced_ids, ' '), "
    "(select string_agg(c.value ->> 1, ' ') from jsonb_each(r.changes) c where c.key in "
    "('given_name', 'family_name', 'preferred_given_name', 'preferred_family_name', 'email', 'username', 'number')))"
)
_LINKED = (
    "(select l.person_id from plan o join snapshot s on s.id = o.snapshot_id join link l "
    "on l.connection_id = s.connection_id and l.sourced_id = r.sourced_ids[1] where o.id = r.plan_id)"
)
"""Who has the row's first record now: a row that created a person has no number of them."""
_COLUMNS = f"""
select r.row, r.action, r.role, r.person_id, {_NAME} as name, r.sourced_ids, r.matched_by, r.reason, r.notes, r.changes,
       r.guard, {_HELD} as held, r.exempted, r.person_id is null or p.id is not null as ours,
       case when r.witness is distinct from 'here' and not r.exempted then v.sync_id end as sync_id,
       case when v.sync_id is not null then {_LINKED} end as linked_person_id
"""
_OF_NEWEST = f"""
with newest as materialized (
    select newest.id, s.id as school_id, s.name from {NEWEST_OF_SCHOOLS}
    where {IN_SCOPE}
)
{_COLUMNS}, r.plan_id, newest.school_id, count(*) over () as total
{_JOINED.format(rows="plan_row")} join newest on newest.id = r.plan_id
where {{which}} order by newest.name, newest.school_id, r.row limit :limit offset :offset
"""
_WITHOUT_PLACE = """
select s.id as school_id, c.sourced_id, concat_ws(' ', c.given_name, c.family_name) as name, c.record_status
from {newest} join plan o on o.id = newest.id
join cleaned_roster c on c.snapshot_id = o.snapshot_id
where c.record_status = any(:statuses) and c.role is distinct from 'contact' and {scope} {which}
  and not exists (select from link where connection_id = s.connection_id and sourced_id = c.sourced_id)
order by s.name, c.sourced_id limit :limit
"""
DETAILS = f"""
select r.row, r.action, r.role, r.person_id, r.sourced_ids, r.matched_by, r.reason, r.notes,
       array(select key from jsonb_object_keys(r.changes) key order by key) as fields,
       coalesce(r.changes -> 'given_name' ->> 1, p.given_name) as given_name,
       coalesce(r.changes -> 'family_name' ->> 1, p.family_name) as family_name,
       array_remove(array[p.email, p.username, p.number,
           r.changes -> 'email' ->> 0, r.changes -> 'username' ->> 0, r.changes -> 'number' ->> 0,
           r.changes -> 'email' ->> 1, r.changes -> 'username' ->> 1, r.changes -> 'number' ->> 1], null) as secrets,
       case when v.plan_id is null or r.witness = 'here' or r.exempted then 'left alone'
            when v.sync_id = :sync then 'done' else 'held' end as result
from plan_row r
join plan o on o.id = r.plan_id
left join person p on p.id = r.person_id and p.district_id = o.district_id and {_OURS}
left join verdict v on {OF_ROW}
where r.plan_id = :plan and r.action <> 'unchanged' and (v.sync_id is null or v.sync_id = :sync)
order by r.row limit :most
"""
"""The mail of an earlier sync of the same plan already listed the rows that it applied."""
COUNT_DETAILS = f"""
select count(*) from plan_row r
left join verdict v on {OF_ROW}
where r.plan_id = :plan and r.action <> 'unchanged' and (v.sync_id is null or v.sync_id = :sync)
"""


@dataclass(frozen=True)
class RowFilter:
    """Which rows: of actions, a role or a person, with one of the notes, with all the words, or only those that wait.
    sort: of `SORTS`."""

    actions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    role: str | None = None
    reason: str | None = None
    words: str = ""
    held: bool = False
    person_id: int | None = None
    sort: str = ""
    records: tuple[str, ...] = ()
    """With `person_id`: their sourcedIds at the plan's connection, for a row that created them."""

    def sql(self) -> tuple[str, dict[str, Any]]:
        """Conditions and their values."""
        conditions, given = [], dict[str, Any]()
        if self.actions:
            conditions.append("r.action = any(:actions)")
            given["actions"] = list(self.actions)
        if self.notes:
            conditions.append("string_to_array(r.notes, ' ') && cast(:notes as text[])")
            given["notes"] = list(self.notes)
        for name in ("role", "reason"):
            if getattr(self, name) is not None:
                conditions.append(f"r.{name} = :{name}")
                given[name] = getattr(self, name)
        if self.person_id is not None:
            conditions.append(
                "(r.person_id = :person_id or (r.person_id is null and r.sourced_ids && cast(:records as text[])))"
            )
            given |= {"person_id": self.person_id, "records": list(self.records)}
        if self.held:
            conditions.append(_HELD)
        found, words = words_in(_SEARCHED, self.words)
        conditions, given = conditions + found, given | words
        return "".join(f" and {each}" for each in conditions), given


def page(
    conn: Connection, plan: PlanRow, chosen: RowFilter, *, limit: int | None = None, offset: int = 0
) -> list[dict[str, Any]]:
    """A page of rows with `_COLUMNS`, in the chosen order, else by number, archivals first among held ones."""
    order = f"{SORTS[chosen.sort]}, r.row" if chosen.sort in SORTS else "r.row"
    order = "r.action <> 'archive', r.row" if chosen.held and not chosen.sort else order
    rest = f"order by {order} limit :limit offset :offset"
    return _rows(conn, plan, chosen, rest, limit=limit, offset=offset)


def conflicts_of_district(conn: Connection, district_id: int, *, limit: int, offset: int = 0) -> list[dict[str, Any]]:
    """One page of the conflicts in a district's newest plans, with plan_id, school_id and total (all pages)."""
    given = {"district": district_id, "schools": None, "limit": limit, "offset": offset}
    query = _OF_NEWEST.format(which="r.action = 'conflict'")
    return [dict(row) for row in conn.execute(text(query), given).mappings()]


def not_entered(conn: Connection, wanted: PeopleFilter, *, limit: int) -> list[dict[str, Any]]:
    """As `conflicts_of_district`: unapplied rows about people who are not in the school, with words of a search."""
    found, given = words_in(_SEARCHED, wanted.words)
    which = ["v.sync_id is null", "(r.action in ('create', 'conflict') or r.person_id is null)", *found]
    query = text(_OF_NEWEST.format(which=" and ".join(which)))
    return [dict(row) for row in conn.execute(query, given | wanted.scope | {"limit": limit, "offset": 0}).mappings()]


def without_place(
    conn: Connection, wanted: PeopleFilter, statuses: Collection[str], *, limit: int
) -> list[dict[str, Any]]:
    """Records of nobody in the directory with these statuses and words: school_id, sourced_id, name, record_status."""
    found, given = words_in(folded("concat_ws(' ', c.given_name, c.family_name, c.email, c.sourced_id)"), wanted.words)
    which = " ".join(f"and {each}" for each in found)
    query = text(_WITHOUT_PLACE.format(newest=NEWEST_OF_SCHOOLS, scope=IN_SCOPE, which=which))
    values = given | wanted.scope | {"statuses": list(statuses), "limit": limit}
    return [dict(row) for row in conn.execute(query, values).mappings()]


def following(conn: Connection, plan: PlanRow, chosen: RowFilter, *, after: int = -1) -> list[dict[str, Any]]:
    """The next rows after the row with this number. A download uses it to read some hundred rows at a time."""
    rest = "and r.row > :after order by r.row limit :limit"
    return _rows(conn, plan, chosen, rest, after=after, limit=AT_ONCE)


def _rows(conn: Connection, plan: PlanRow, chosen: RowFilter, rest: str, **given: int | None) -> list[dict[str, Any]]:
    """The chosen rows. rest: the end of the query, and `given` its values. It reads the numbers of the rows first. A
    person without a row of their own has no records in the plan, and the database looks them up only for the rows that
    are read by number."""
    conditions, values = chosen.sql()
    query = f"select r.row {_FROM} {conditions} {rest}"
    numbers = list(conn.scalars(text(query), {**_of(plan), **values, **given}))
    listed = number_literal(numbers)
    found = conn.execute(text(f"{_COLUMNS} {_FROM} and r.row = any(cast('{listed}' as int[]))"), _of(plan))
    by_number = {row["row"]: dict(row) for row in found.mappings()}
    return [by_number[number] for number in numbers if number in by_number]


def count(conn: Connection, plan: PlanRow, chosen: RowFilter) -> int:
    """How many rows were chosen."""
    conditions, given = chosen.sql()
    return int(conn.scalar(text(f"select count(*) {_FROM} {conditions}"), {**_of(plan), **given}) or 0)


def reasons(conn: Connection, plan: PlanRow) -> list[dict[str, Any]]:
    """The number of rows for each role, action and reason."""
    query = (
        "select role, action, reason, count(*) as rows from plan_line where plan_id = :plan "
        "group by role, action, reason order by role, action, rows desc, reason"
    )
    return [dict(row) for row in conn.execute(text(query), {"plan": plan.id}).mappings()]


def sourced_ids(conn: Connection, plan_id: int) -> list[str]:
    """The sourcedIds of the records of all rows."""
    query = "select unnest(sourced_ids) from plan_line where plan_id = :plan"
    return list(conn.scalars(text(query), {"plan": plan_id}))


def new_links(conn: Connection, plan_id: int) -> int:
    """How many known people of the plan came with a new id. A relink would link these people."""
    query = (
        "select count(*) from plan_row r left join verdict v using (plan_id, role, action, guard) "
        "where plan_id = :plan and not exempted and person_id is not null and cardinality(new_links) > 0 "
        "and action in ('create', 'update', 'restore', 'unchanged', 'skip') "
        'and not coalesce(v.findings @> \'[{"approver": "manager"}]\', false)'
    )
    return int(conn.scalar(text(query), {"plan": plan_id}) or 0)


def _of(plan: PlanRow) -> dict[str, Any]:
    return {"plan": plan.id, "district": plan.district_id}


REASONS = """
select plan_id, reason, notes from plan_row
where plan_id = any(cast(:plans as bigint[])) and person_id = any(cast(:people as bigint[]))
  and action in ('archive', 'restore')
"""


@dataclass(frozen=True)
class RowDetail:
    """One row. result: done, held or left alone. fields: names only. Person names and `secrets` are for masking."""

    row: int
    action: str
    role: str
    person_id: int | None
    sourced_ids: list[str]
    matched_by: str | None
    reason: str
    notes: str | None
    fields: list[str]
    given_name: str | None
    family_name: str | None
    secrets: list[str]
    result: str


def reasons_of(conn: Connection, plans: Collection[int], people: Collection[int]) -> dict[int, tuple[str, str | None]]:
    """Reason and notes of the rows that archive or restore a person, by plan. people: all numbers of the person."""
    found = conn.execute(text(REASONS), {"plans": sorted(plans), "people": sorted(people)}) if plans else ()
    return {row.plan_id: (row.reason, row.notes) for row in found}


def count_details(conn: Connection, plan_id: int, sync_id: int) -> int:
    """How many rows a sync's attachment would have."""
    return int(conn.scalar(text(COUNT_DETAILS), {"plan": plan_id, "sync": sync_id}) or 0)


def details_of(conn: Connection, plan_id: int, sync_id: int, most: int) -> Iterator[RowDetail]:
    """The same rows in the plan's order, at most this many."""
    for row in conn.execute(text(DETAILS), {"plan": plan_id, "sync": sync_id, "most": most}).mappings():
        yield RowDetail(**row)
