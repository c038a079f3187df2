"""What the last plan of a school spares the next: the plan as it was, or the people whom it settled.

If a plan changed nobody, and nothing that it read has changed, its rows are right again. They are a function of roster,
directory, settings, decisions of people, and our code. The roster is the same if the snapshot names the same version of
the same roster. Settings and code are in a digest. The directory is the same for this plan if the change log names
nobody since who is a member of the school, was read by the plan, or shares a link, a number or an e-mail with the
roster. The verdict is always made again.

The plan of a large school keeps its settled pairs (`planning/settled.py`). With the pairs is the position of the change
log at which the directory was read. Every change of a person, link, membership or contact is in the log after that
position, by a person or a sync. Records that have changed are those whose row of the roster has ended since
(`roster_rows`). What planning reads besides people is in the digest: settings, the connections of the district,
decisions about records, and our code. If the digest is another one, or the roster has begun anew, nothing is settled.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, text

from roster_pipeline import code_version
from roster_pipeline.directory import stored_frames
from roster_pipeline.directory.lasting_decisions import IN_FORCE, STAYS
from roster_pipeline.directory.locks import lock_district_for_reading
from roster_pipeline.directory.pg_copy import Kind, number_literal, read_frame
from roster_pipeline.directory.roster_rows import OF_SNAPSHOT
from roster_pipeline.directory.stored_frames import PLAN, SETTLED
from roster_pipeline.directory.tenants import SchoolRow

MOST_UNSETTLED = 20_000
"""If more people of the district were changed, everybody is planned."""
MOST_DAYS = 7
"""Everybody is planned again after this many days, so that no mistake of this shortcut lasts longer."""

DECIDED = """
select jsonb_build_array(
    (select settings from district where id = :district),
    (select jsonb_agg(jsonb_build_array(id, key, settings) order by id) from connection where district_id = :district),
    (select jsonb_agg(jsonb_build_array(id, connection_id, settings -> 'phone_region', settings -> 'preferred_names')
        order by id) from school where district_id = :district),
    (select jsonb_agg(jsonb_build_array(sourced_id, person_id) order by sourced_id, person_id) from link_exclusion
     where district_id = :district and connection_id = :connection)
)::text, roster_id, roster_version from snapshot where id = :snapshot
"""
UNSETTLING = """
select coalesce(array_agg(distinct person_id), '{}') as people,
    coalesce(array_agg(distinct coalesce(after ->> 'sourced_id', before ->> 'sourced_id'))
        filter (where entity = 'link' and coalesce(after, before) is not null), '{}') as records,
    array(
        select sourced_id from roster_row
        where roster_id = :roster and last_version >= :before and last_version < :now and last_version < 2147483647
    ) as ended
from (
    select person_id, entity, before, after from change_log
    where district_id = :district and position > :position and entity = 'person'
    union all
    select person_id, entity, before, after from change_log
    where district_id = :district and position > :position and entity <> 'person'
) changed
"""
"""Each half of the log has an index, and ended rows too, kept while a snapshot names their version."""
OTHERS = """
select p.id, lower(p.email), case when p.number_connection_id = :connection then p.number_kind end,
    bare_number(p.number), array(
        select l.sourced_id from link l where l.connection_id = :connection and l.person_id = p.id
    )
from person p where p.district_id = :district and p.id = any(cast(:people as bigint[])) and not exists (
    select from membership m where m.district_id = :district and m.school_id = :school and m.person_id = p.id
)
"""
MOST_CHANGED = 2000
"""If more people of the district were changed, to look at them takes as long as a plan."""
_CHANGED = """
select person_id, entity, school_id, coalesce(after ->> 'sourced_id', before ->> 'sourced_id') as record
from change_log where district_id = :district and position > :position and entity"""
SAME = f"""
with changed as materialized ({_CHANGED} = 'person' union all {_CHANGED} <> 'person'),
people as materialized (select distinct person_id as id from changed),
roster as materialized (
    select sourced_id, lower(email) as email, number_kind, bare_number(number) as number
    from {OF_SNAPSHOT.format(snapshot=":snapshot")}
), records as materialized (
    select record from changed where entity = 'link'
    union all
    select l.sourced_id from people join link l on l.person_id = people.id and l.connection_id = :connection
), persons as materialized (
    select lower(p.email) as email, bare_number(p.number) as number,
        case when p.number_connection_id = :connection then p.number_kind end as number_kind
    from people join person p on p.id = people.id and p.district_id = :district
)
select case when is_called then last_value else 0 end as position, :plan = (
    select id from plan where school_id = :school and person_id is null and not dry_run order by id desc limit 1
) and :listed = (
    select coalesce(sum(cardinality(people)), 0) from plan_unchanged where plan_id = :plan
) and not exists (select from exemption where school_id = :school) and not exists ({IN_FORCE}) and (
    not exists (select from people) or (
        (select count(*) from people) <= :most
        and not exists (select from changed where school_id = :school or person_id = any(cast(:others as bigint[])))
        and not exists (
            select from people join membership m on m.person_id = people.id
            where m.district_id = :district and m.school_id = :school
        )
        and not exists (select from records join roster r on r.sourced_id = records.record)
        and not exists (select from persons p join roster r on r.email = p.email)
        and not exists (select from persons p join roster r on (r.number_kind, r.number) = (p.number_kind, p.number))
    )
) as same
from change_log_position_seq
"""  # noqa: S608 - our own SQL
_ROWS: dict[str, Kind] = {
    "row": "int", "action": "text", "reason": "text", "role": "text", "person_id": "int", "sourced_ids": "json",
    "new_links": "json", "matched_by": "text", "notes": "text", "changes": "json", "number_kind": "text",
    "absent_syncs": "int", "person_revision": "int", "membership_revision": "int", "witness": "text",
}  # fmt: skip
_LISTS = ("sourced_ids", "new_links")


@dataclass(frozen=True)
class Reading:
    """What a plan keeps for the next one. decided: the digest. roster: number and version of what it read."""

    decided: str
    roster: tuple[int, int]


def reading_of(conn: Connection, school: SchoolRow, facts: Mapping[str, Any]) -> Reading | None:
    """Call it after the roster was read, and before the directory is: then a setting that is changed meanwhile gives
    another digest the next time. None if the roster was written again after `facts` were read (`snapshots.facts`)."""
    given = school.ids | {"snapshot": facts["id"]}
    decided, *roster = conn.execute(text(DECIDED), given).one()
    if roster != [facts["roster_id"], facts["roster_version"]]:
        return None
    used = (
        school.settings.model_dump_json(),
        school.connection.settings.model_dump_json(),
        str(facts["school_sourced_id"]),
    )
    code = (code_version("."), pd.__version__, pa.__version__)
    return Reading(sha256(repr((decided, used, code)).encode()).hexdigest(), (roster[0], roster[1]))


@dataclass(frozen=True)
class Earlier:
    """A plan that changed nobody. rows: those of `plan_row`. listed: by role, how many people it lists besides.
    numbers: what the guards judge. position: of the change log when it was last found right. others: the people whom it
    read besides the members of the school. since: the day on which everybody was planned."""

    plan_id: int
    rows: pd.DataFrame
    listed: Mapping[str, int]
    numbers: Mapping[str, Any]
    reading: Reading
    position: int
    others: Collection[int]
    since: date


def find(conn: Connection, school: SchoolRow, facts: Mapping[str, Any], today: date) -> Earlier | None:
    """The school's newest plan, if it is right for this snapshot. facts: of the snapshot, with its roster.

    It first waits for changes of the district that are being made, as `planning_input.load_directory` does.
    """
    kept = stored_frames.kept(conn, facts["id"], PLAN, own=False) if facts["complete"] else None
    if kept is None or kept.roster != (facts["roster_id"], facts["roster_version"]):
        return None
    state = orjson.loads(kept.table.schema.metadata[b"state"])
    since = date.fromisoformat(state["since"])
    if tuple(state["roster"]) != kept.roster or state["mode"] != facts["mode"]:
        return None
    if not 0 <= (today - since).days < MOST_DAYS:
        return None
    lock_district_for_reading(conn, school.district_id)
    reading = reading_of(conn, school, facts)
    if reading is None or reading.decided != state["decided"]:
        return None
    listed = dict(zip(*(kept.table[name].to_pylist() for name in ("role", "people")), strict=True))
    given = school.ids | {
        "snapshot": facts["id"], "plan": state["plan"], "position": state["position"], "others": state["others"],
        "listed": sum(listed.values()), "most": MOST_CHANGED, "today": today, "stays": STAYS.days,
    }  # fmt: skip
    position, same = conn.execute(text(SAME), given).one()
    if not same:
        return None
    rows = _rows(conn, state["plan"])
    return Earlier(state["plan"], rows, listed, state["numbers"], reading, position, state["others"], since)


def keep(conn: Connection, snapshot_id: int, plan: Earlier, *, mode: str) -> None:
    """Keep what `find` needs of a plan that would come again, in the plan's transaction. mode: of the snapshot."""
    state = {
        "plan": plan.plan_id, "numbers": plan.numbers, "decided": plan.reading.decided, "roster": plan.reading.roster,
        "position": plan.position, "others": sorted(plan.others), "mode": mode, "since": plan.since.isoformat(),
    }  # fmt: skip
    roles, people = pa.array(plan.listed.keys(), pa.large_string()), pa.array(plan.listed.values(), pa.int64())
    table = pa.table({"role": roles, "people": people}).replace_schema_metadata({"state": orjson.dumps(state)})
    stored_frames.keep(conn, snapshot_id, PLAN, table)


def _rows(conn: Connection, plan_id: int) -> pd.DataFrame:
    columns = ", ".join(f"array_to_json({name})" if name in _LISTS else name for name in _ROWS)
    query = f"select {columns} from plan_row where plan_id = {{plan}} order by row"  # noqa: S608
    return read_frame(conn, query, _ROWS, plan=plan_id)


@dataclass(frozen=True)
class Before:
    """An earlier plan's pairs (sourced_id, person_id). since: when everybody was planned. others: no members."""

    pairs: pa.Table
    since: date
    people: frozenset[int]
    records: frozenset[str]
    others: frozenset[int]


@dataclass(frozen=True)
class Unsettled:
    """Whom a plan is about. sourced_ids: unsettled records. others: no members, with a settled record's key."""

    sourced_ids: Sequence[str]
    settled: Sequence[int]
    others: Sequence[int]


def load_pairs(
    conn: Connection, school: SchoolRow, snapshot_id: int, records: int, reading: Reading, today: date
) -> Before | None:
    """The pairs of the school's last plan. None if there are none, if something else than people was changed since, if
    the roster has begun anew, or if everybody was last planned `MOST_DAYS` ago. Call it under the lock of the district.
    records: how many the snapshot has."""
    found = stored_frames.kept(conn, snapshot_id, SETTLED, records=records, own=False)
    if found is None:
        return None
    table = found.table
    state = orjson.loads(table.schema.metadata[b"state"])
    since = date.fromisoformat(state["since"])
    if state["decided"] != reading.decided or not 0 <= (today - since).days < MOST_DAYS:
        return None
    (roster, before), (same, now) = state["roster"], reading.roster
    if found.roster != (roster, before) or same != roster or now < before:
        return None
    given = {"position": state["position"], "district": school.district_id}
    changed = conn.execute(text(UNSETTLING), given | {"roster": roster, "before": before, "now": now}).one()
    if len(changed.people) > MOST_UNSETTLED:
        return None
    people = frozenset(changed.people)
    return Before(table, since, people, frozenset([*changed.records, *changed.ended]), people.union(state["others"]))


def keep_pairs(
    conn: Connection,
    snapshot_id: int,
    pairs: pa.Table,
    reading: Reading,
    position: int,
    others: Collection[int],
    *,
    since: date,
) -> None:
    """Keep the pairs of a plan in its transaction. position: that of the change log when the directory was read. since:
    the day on which everybody was planned."""
    state = {
        "decided": reading.decided, "roster": reading.roster, "position": position, "others": sorted(others),
        "since": since.isoformat(),
    }  # fmt: skip
    stored_frames.keep(conn, snapshot_id, SETTLED, pairs.replace_schema_metadata({"state": orjson.dumps(state)}))


def others_of(
    conn: Connection, school: SchoolRow, people: Collection[int]
) -> list[tuple[int, str | None, str | None, str | None, list[str]]]:
    """Those of these people who are not members of the school: number, e-mail, kind of number (if it is of the school's
    connection), number without differences of spelling, and sourcedIds at the connection."""
    if not people:
        return []
    return [tuple(row) for row in conn.execute(text(OTHERS), school.ids | {"people": number_literal(people)})]
