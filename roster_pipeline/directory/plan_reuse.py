"""Reuse of plans: if a plan changed nobody, and nothing that it read has changed, its rows are right again.

The rows of a plan are a function of roster, directory, settings, decisions of people, and our code. The roster is the
same if the snapshot names the same version of the same roster. Settings and code are in a digest (`stored_frames`). The
directory is the same for this plan if the change log names nobody since who is a member of the school, was read by the
plan, or shares a link, a number or an e-mail with the roster. The verdict is always made again.

It is kept as one value (`stored_frames`), which belongs to the school's newest plan.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, text

from roster_pipeline.directory import stored_frames
from roster_pipeline.directory.lasting_decisions import IN_FORCE, STAYS
from roster_pipeline.directory.locks import lock_district_for_reading
from roster_pipeline.directory.pg_copy import Kind, read_frame
from roster_pipeline.directory.roster_rows import OF_SNAPSHOT
from roster_pipeline.directory.stored_frames import MOST_DAYS, PLAN, Reading, reading_of
from roster_pipeline.directory.tenants import SchoolRow

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
    given = {
        "district": school.district_id, "school": school.id, "connection": school.connection.id,
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
