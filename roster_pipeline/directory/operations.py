"""For operators: metrics for Prometheus, the deletion of old rows, the erasure of one person.

Metrics (text format 0.0.4) are counts and times by school key. Old rows are raw records, mails, notes of nights and
cleared alerts. The ledger, the change log and the audit are never deleted, because rollbacks and questions need them.

No sync deletes anybody. Only a person erases a person, by hand: everything that the directory holds of them and of
those who were merged into them. While the SIS still has the person, the next sync creates them again, so erase them in
the SIS first.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from roster_pipeline.directory import audit, connection_tests, pulls, record_sets
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import lock_district, lock_for_erasure
from roster_pipeline.directory.members import get_person, numbers_of

OF_A_SCHOOL = {
    "last_sync": ("roster_last_sync_timestamp_seconds", "When the school's last sync finished"),
    "seconds": ("roster_sync_duration_seconds", "From the end of the fetch to the end of the last sync"),
    "held": ("roster_held_rows", "Changes that the last sync held"),
    "failures": ("roster_failures_since_sync", "Failed steps since the last finished sync"),
    "automatic": ("roster_automatic", "1 where the school runs every night by itself"),
    "paused": ("roster_paused", "1 where the school is paused after a week of failed nights"),
}
OF_ALL = {
    "alerts": ("roster_open_alerts", "Alerts that are open"),
    "waiting": ("roster_outbox_waiting", "Mails that wait to be sent"),
    "dead": ("roster_outbox_dead", "Mails that were given up in the last seven days"),
}
SCHOOLS = """
select s.key as school, extract(epoch from done.at) as last_sync, done.seconds, done.held,
    (select count(*) from failure f where f.school_id = s.id and f.at > coalesce(done.at, '-infinity')) as failures,
    exists (select from alert a where a.school_id = s.id and a.cause = 'paused' and a.cleared_at is null) as paused,
    coalesce((s.settings ->> 'automatic')::boolean, false) as automatic
from school s
left join lateral (
    select y.at, extract(epoch from y.at - p.taken_at) as seconds,
        (select coalesce(sum(n::int), 0) from jsonb_each(y.held) r, jsonb_each_text(r.value) h(action, n)) as held
    from sync y left join snapshot p on p.id = y.snapshot_id
    where y.school_id = s.id and y.kind = 'sync' order by y.id desc limit 1
) done on true
order by s.key
"""
PEOPLE = """
select s.key as school, m.role, count(*) as people from membership m join school s on s.id = m.school_id
where m.status = 'active' group by s.key, m.role order by s.key, m.role
"""
REST = """
select (select count(*) from alert where cleared_at is null) as alerts,
    (select count(*) from outbox where sent_at is null and dead_at is null) as waiting,
    (select count(*) from outbox where dead_at >= now() - interval '7 days') as dead
"""
OLD = {
    "mails": "delete from outbox where coalesce(sent_at, dead_at) < now() - cast(:age as interval)",
    "row details": (
        "update outbox set attachment = null where attachment is not null and dead_at < now() - interval '7 days'"
    ),
    "digest lines": "delete from digest where message_id is not null and put_at < now() - cast(:age as interval)",
    "nights": "delete from scheduled_run where requested_at < now() - cast(:age as interval)",
    "failures": (
        "delete from failure f where at < now() - cast(:age as interval) "
        "and exists (select from sync y where y.school_id = f.school_id and y.kind = 'sync' and y.at > f.at)"
    ),
    "alerts": "delete from alert where cleared_at < now() - cast(:age as interval) and cause <> 'paused'",
    "runs by hand": "delete from manual_run where ended_at < now() - cast(:age as interval)",
    "uploaded lists": "delete from people_upload where at < now() - interval '1 day'",
}
"""The row details of a mail that was given up are deleted after a week, because they concern people. A week is enough
for a second try. Failures of a school that has not worked since then are kept, because they count towards its pause.
The alerts about pauses are kept too."""
RECORDS = """
select connection_id, sourced_id from link where district_id = :district and person_id = :person
union
select cast(after ->> 'connection_id' as bigint), after ->> 'sourced_id' from change_log
where district_id = :district and person_id = any(:people) and entity = 'link' and after ->> 'sourced_id' is not null
except
select connection_id, sourced_id from link_exclusion where district_id = :district and person_id = :person
"""
"""The person's records of the SISs, also those that were once linked. Records that somebody unlinked from the person
are left out, because they belong to another human being. A record of another SIS with the same sourcedId is somebody
else's."""
THEIRS = "unnest(cast(:connections as bigint[]), cast(:sourced_ids as text[])) theirs (connection_id, sourced_id)"
_ROLLED_BACK = """not exists (select from person p where p.id = c.person_id)
  and not exists (select from person_merge g where g.gone_id = c.person_id and g.undone_at is null)"""
"""Condition on a row of the change log: its person was removed, and not by a merge."""
REMOVED = f"""
select distinct c.person_id from change_log c join {THEIRS}
    on c.after ->> 'sourced_id' = theirs.sourced_id and (c.after ->> 'connection_id')::bigint = theirs.connection_id
where c.district_id = :district and c.entity = 'link' and {_ROLLED_BACK}
"""  # noqa: S608
"""People whom a rollback removed. The next sync made them again from the same record, with another number."""
ONLY_LOGGED = f"""
select exists (
    select from change_log c
    where c.district_id = :district and c.person_id = :person and coalesce(c.before, c.after) is not null
      and {_ROLLED_BACK})
"""  # noqa: S608
"""Whether a rollback removed this person, and no sync made them again."""
SCRUB = (
    "delete from contact where district_id = :district and person_id = :person",
    "delete from membership where district_id = :district and person_id = :person",
    "delete from link where district_id = :district and person_id = :person",
    "delete from link_exclusion where district_id = :district and person_id = :person",
    "delete from exemption where district_id = :district and person_id = :person",
    f"delete from exemption e using {THEIRS} "  # noqa: S608
    "where e.connection_id = theirs.connection_id and theirs.sourced_id = any(e.sourced_ids)",
    f"delete from excluded_contact e using snapshot s, {THEIRS} "  # noqa: S608
    "where s.id = e.snapshot_id and s.connection_id = theirs.connection_id and e.student_id = theirs.sourced_id",
    f"delete from link_exclusion a using {THEIRS} "  # noqa: S608
    "where a.connection_id = theirs.connection_id and a.sourced_id = theirs.sourced_id",
    "delete from person where district_id = :district and id = :person",
    "delete from people_upload where district_id = :district",
    "delete from person_merge where district_id = :district "
    "and (kept_id = any(:people) or (gone_id = any(:people) and undone_at is not null))",
    "select erase_from_log(:district, number) from unnest(cast(:people as bigint[])) number",
    f"delete from sis_record r using {THEIRS} "  # noqa: S608
    "where r.connection_id = theirs.connection_id and r.kind = 'user' and r.sourced_id = theirs.sourced_id",
    f"delete from roster_row r using snapshot o, {THEIRS} "  # noqa: S608
    "where o.roster_id = r.roster_id and o.connection_id = theirs.connection_id and r.sourced_id = theirs.sourced_id",
    "update snapshot set counts = counts - 'chosen' where district_id = :district and counts ? 'chosen'",
    "delete from stored_frame f using school s where s.id = f.school_id and s.district_id = :district",
    "update outbox o set attachment = null from school s "
    "where s.id = o.school_id and s.district_id = :district and o.attachment is not null",
    "delete from plan_row r using plan p "
    "where p.id = r.plan_id and p.district_id = :district and r.person_id = any(:people)",
    "update plan_unchanged u set people = array(select case when one.id <> all(:people) then one.id end "
    "from unnest(u.people) with ordinality one(id, place) order by one.place) "
    "from plan p where p.id = u.plan_id and p.district_id = :district and u.people && cast(:people as bigint[])",
    f"delete from plan_row r using plan p, snapshot s, {THEIRS} "  # noqa: S608
    "where p.id = r.plan_id and s.id = p.snapshot_id and s.connection_id = theirs.connection_id "
    "and theirs.sourced_id = any(r.sourced_ids)",
)
OF_SNAPSHOT = ("raw_reject", "rejected_record", "witness")
OF_PULL = ("pulled_reject",)


def exposition(database: Database, more: Mapping[str, tuple[str, float]] | None = None) -> str:
    """Every metric, by school key. more: from outside our tables: name to meaning and value."""
    with database.begin() as conn:
        schools, people, [rest] = (conn.execute(text(query)).mappings().all() for query in (SCHOOLS, PEOPLE, REST))
    lines: list[str] = []
    for column, (name, meaning) in OF_A_SCHOOL.items():
        found = ((f'school="{row["school"]}"', row[column]) for row in schools if row[column] is not None)
        lines += _family(name, meaning, found)
    counted = ((f'school="{row["school"]}",role="{row["role"]}"', row["people"]) for row in people)
    lines += _family("roster_people", "Active people of a school by role", counted)
    for column, (name, meaning) in OF_ALL.items():
        lines += _family(name, meaning, [("", rest[column])])
    for name, (meaning, value) in (more or {}).items():
        lines += _family(name, meaning, [("", value)])
    return "\n".join(lines) + "\n"


def _family(name: str, meaning: str, samples: Iterable[tuple[str, Any]]) -> list[str]:
    values = [f"{name}{{{labels}}} {float(value):.3f}" if labels else f"{name} {value}" for labels, value in samples]
    return [f"# HELP {name} {meaning}", f"# TYPE {name} gauge", *values]


def drop_old(conn: Connection, age: timedelta) -> dict[str, int]:
    """Drop the rows that are older, and return how many were dropped, by name."""
    dropped = {name: conn.execute(text(query), {"age": age}).rowcount for name, query in OLD.items()}
    return dropped | {"tests of forms": connection_tests.prune(conn), "broken pulls": pulls.drop_broken(conn)}


def erase(conn: Connection, district_id: int, person_id: int, *, who: str, reason: str) -> None:
    """Delete a person with all that belongs to them; the change log says that, not what. Raises UnknownPerson."""
    lock_district(conn, district_id)
    lock_for_erasure(conn, district_id)
    check_erasable(conn, district_id, person_id)
    given: dict[str, Any] = {"district": district_id, "person": person_id, "people": numbers_of(conn, person_id)}
    known = conn.execute(text(RECORDS), given).all()
    records = {**given, "connections": [row[0] for row in known], "sourced_ids": [row[1] for row in known]}
    records["people"] = [*given["people"], *conn.scalars(text(REMOVED), records)]
    record_sets.forget(conn, district_id)
    for statement in SCRUB:
        conn.execute(text(statement), records)
    for table in OF_SNAPSHOT:
        conn.execute(text(_records_in(table, "snapshot")), records)
    for table in OF_PULL:
        conn.execute(text(_records_in(table, "pull")), records)
    audit.record(conn, who, "person erased", district_id=district_id, person_id=person_id, reason=reason)


def check_erasable(conn: Connection, district_id: int, person_id: int) -> None:
    """Raises UnknownPerson if nothing is held of this number."""
    if not conn.scalar(text(ONLY_LOGGED), {"district": district_id, "person": person_id}):
        get_person(conn, district_id, person_id)


def _records_in(table: str, owner: str) -> str:
    return (
        f"delete from {table} t using {owner} o, {THEIRS} where o.id = t.{owner}_id "  # noqa: S608
        "and o.connection_id = theirs.connection_id and t.sourced_id = theirs.sourced_id"
    )
