"""Reuse of cleaned rosters: a snapshot takes over the roster of an earlier one if the input of cleaning is the same.

Cleaning is a function of records, rejected records, orgs, settings, code and day. `find_earlier` makes a digest of the
first three; the caller adds the others. Equal digests mean equal rosters until the day on which a role begins or ends.
After `CLEANED_AGAIN_AFTER`, everything is cleaned again in any case.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Table, text

from roster_pipeline.directory.pulls import IN_PULL
from roster_pipeline.directory.stored_frames import ROSTER
from roster_pipeline.directory.tables import excluded_contact, quality_result, rejected_record

KEY = "cleaning"
"""The key of a `Cleaning` in the counts of a snapshot."""
NUMBERS = "number_places"
"""The key, in the counts of a snapshot, of the settings that name the places of student and staff numbers."""
CLEANED_AGAIN_AFTER = timedelta(days=7)
LOOKED_AT = 5
"""How many earlier snapshots of a school are compared: syncs of one person make some too."""
COUNTED = ("roles", "flags", "masters", NUMBERS, KEY)
"""The keys of a snapshot's counts that belong to its roster."""

FIND = f"""
with pulled_org as (
    select r.id from sis_record r {IN_PULL}
    where r.connection_id = :connection and r.kind = 'org'
), input (key) as (
    select encode(sha256(coalesce((
        select string_agg(int8send(block) || convert_to(part, 'UTF8') || bits, ''::bytea order by block, part)
        from snapshot_record where snapshot_id = :snapshot
    ), ''::bytea)), 'hex') || ' ' || encode(sha256(coalesce((
        select string_agg(int8send(id), ''::bytea order by id) from pulled_org
    ), ''::bytea)), 'hex') || ' ' || encode(sha256(convert_to(coalesce((
        select string_agg(line, ' ' order by line) from (
            select row(collection, sourced_id, field, rule, severity)::text as line
            from raw_reject where snapshot_id = :snapshot
        ) rejects
    ), ''), 'UTF8')), 'hex') || ' ' || :rest
)
select input.key, earlier.id, earlier.counts
from input left join lateral (
    select id, counts from (
        select id, counts, roster_id from snapshot
        where school_id = :school and id < :snapshot order by id desc limit :most
    ) newest
    where roster_id is not null and counts -> 'cleaning' ->> 'key' = input.key
      and coalesce(counts -> 'cleaning' ->> 'until', '9999') > :today and counts -> 'cleaning' ->> 'since' > :oldest
    order by id desc limit 1
) earlier on true
"""  # noqa: S608 - our own SQL
"""A record is stored once and never changed, so its id stands for its content."""


def _copied(table: Table, returning: str) -> str:
    names = ", ".join(column.name for column in table.columns if column.name != "snapshot_id")
    return (
        f"insert into {table.name} (snapshot_id, {names}) "  # noqa: S608 - our own names
        f"select :snapshot, {names} from {table.name} where snapshot_id = :earlier returning {returning}"
    )


TAKE_OVER = f"""
with held as (
    select roster_id, roster_version, counts from snapshot where id = :earlier and roster_id is not null for share
), named as (
    update snapshot n set roster_id = held.roster_id, roster_version = held.roster_version, counts = n.counts || (
        select jsonb_object_agg(key, value) from jsonb_each(held.counts) where key in {COUNTED}
    ) from held where n.id = :snapshot returning 1
), rejected as ({_copied(rejected_record, "severity")}), excluded as ({_copied(excluded_contact, "1")}),
quality as ({_copied(quality_result, "1")}), moved as (
    update stored_frame set snapshot_id = :snapshot where snapshot_id = :earlier and name = '{ROSTER}'
)
select (select count(*) from named) as named,
       (select count(*) from rejected where severity = 'error') as rejected
"""  # noqa: S608
"""The earlier snapshot's roster is locked until the end of the transaction, so nobody deletes it meanwhile."""


@dataclass(frozen=True)
class Cleaning:
    """The input of a roster. key: its digest. since: the day of cleaning. until: when a role begins or has ended."""

    key: str
    since: date
    until: date | None

    def as_counts(self) -> dict[str, Any]:
        """For the counts of a snapshot."""
        until = self.until.isoformat() if self.until else None
        return {KEY: {"key": self.key, "since": self.since.isoformat(), "until": until}}


@dataclass(frozen=True)
class Earlier:
    """A digest of the input of cleaning, and the earlier snapshot with it whose roster is right today."""

    key: str
    snapshot_id: int | None
    by_role: Mapping[str, int]


def find_earlier(conn: Connection, facts: Mapping[str, Any], rest: str, today: date) -> Earlier:
    """An earlier snapshot with the same input. rest: what cleaning reads besides records, orgs and the day."""
    given = {
        "school": facts["school_id"],
        "connection": facts["connection_id"],
        "snapshot": facts["id"],
        "pull": facts["pull_id"],
        "rest": rest,
        "today": today.isoformat(),
        "oldest": (today - CLEANED_AGAIN_AFTER).isoformat(),
        "most": LOOKED_AT,
    }
    found = conn.execute(text(FIND), given).one()
    return Earlier(found.key, found.id, dict((found.counts or {}).get("roles", {})))


def take_over(conn: Connection, snapshot_id: int, earlier: Earlier) -> int | None:
    """Give a snapshot without a roster that of an earlier one, with rejections and quality. Returns how many records
    cannot be used; None, and writes nothing, without an earlier one."""
    if earlier.snapshot_id is None:
        return None
    with conn.begin_nested() as attempt:
        taken = conn.execute(text(TAKE_OVER), {"snapshot": snapshot_id, "earlier": earlier.snapshot_id}).one()
        if not taken.named:
            attempt.rollback()  # another transaction has just deleted the roster
            return None
    return int(taken.rejected)
