"""The settled pairs of a large school (`planning/settled.py`): kept with a plan, and what has changed since.

They are one value (`stored_frames`), with the position of the change log at which the directory was read. Every change
of a person, link, membership or contact is in the log after that position, whoever made it. Records that have changed
are those whose row of the roster has ended since (`roster_rows`). What planning reads besides people is in a digest:
settings, the connections of the district, decisions about records, and our code. If the digest is another one, or the
roster has begun anew, nothing is settled.
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
from roster_pipeline.directory.pg_copy import number_literal
from roster_pipeline.directory.stored_frames import SETTLED
from roster_pipeline.directory.tenants import SchoolRow

MOST_CHANGED = 20_000
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
CHANGED = """
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


@dataclass(frozen=True)
class Reading:
    """What a plan keeps for the next one. decided: the digest. roster: number and version of what it read."""

    decided: str
    roster: tuple[int, int]


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


def reading_of(conn: Connection, school: SchoolRow, facts: Mapping[str, Any]) -> Reading | None:
    """Call it after the roster was read, and before the directory is: then a setting that is changed meanwhile gives
    another digest the next time. None if the roster was written again after `facts` were read (`snapshots.facts`)."""
    given = {"district": school.district_id, "connection": school.connection.id, "snapshot": facts["id"]}
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


def load(
    conn: Connection, school: SchoolRow, snapshot_id: int, records: int, reading: Reading, today: date
) -> Before | None:
    """The pairs of the school's last plan. None if there are none, if something else than people was changed since, if
    the roster has begun anew, or if everybody was last planned `MOST_DAYS` ago. Call it under the lock of the district.
    records: how many the snapshot has."""
    kept = stored_frames.kept(conn, snapshot_id, SETTLED, records=records, own=False)
    if kept is None:
        return None
    table = kept.table
    state = orjson.loads(table.schema.metadata[b"state"])
    since = date.fromisoformat(state["since"])
    if state["decided"] != reading.decided or not 0 <= (today - since).days < MOST_DAYS:
        return None
    (roster, before), (same, now) = state["roster"], reading.roster
    if kept.roster != (roster, before) or same != roster or now < before:
        return None
    given = {"position": state["position"], "district": school.district_id}
    changed = conn.execute(text(CHANGED), given | {"roster": roster, "before": before, "now": now}).one()
    if len(changed.people) > MOST_CHANGED:
        return None
    people = frozenset(changed.people)
    return Before(table, since, people, frozenset([*changed.records, *changed.ended]), people.union(state["others"]))


def keep(
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
    the day on which everybody was planned. It waits for a running erasure; after one, it keeps nothing of this
    snapshot."""
    conn.execute(text("select from snapshot where id = :id for share"), {"id": snapshot_id})
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
    given = {"district": school.district_id, "school": school.id, "connection": school.connection.id}
    return [tuple(row) for row in conn.execute(text(OTHERS), given | {"people": number_literal(people)})]
