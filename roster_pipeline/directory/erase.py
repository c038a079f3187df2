"""Erasing one person for good: everything that the directory holds of them and of those who were merged into them. Only
a person does this by hand.

The sync never deletes anybody. While the SIS still has the person, the next sync creates them again, so erase them in
the SIS first.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from roster_pipeline.directory import audit
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.members import UnknownPerson, numbers_of

RECORDS = """
select connection_id, sourced_id from link where district_id = :district and person_id = :person
union
select cast(after ->> 'connection_id' as bigint), after ->> 'sourced_id' from change_log
where district_id = :district and person_id = any(:people) and entity = 'link' and after ->> 'sourced_id' is not null
except
select connection_id, sourced_id from link_exclusion where district_id = :district and person_id = :person
"""
"""The person's records of the SISs, also those that were once linked. Records of which somebody said that they are not
the person's are left out, because they belong to another human being. Another SIS may use the same sourcedId for
somebody else."""
THEIRS = "unnest(cast(:connections as bigint[]), cast(:sourced_ids as text[])) theirs (connection_id, sourced_id)"

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
    "update outbox o set attachment = null from school s "
    "where s.id = o.school_id and s.district_id = :district and o.attachment is not null",
    "delete from plan_row r using plan p "
    "where p.id = r.plan_id and p.district_id = :district and r.person_id = any(:people)",
    f"delete from plan_row r using plan p, snapshot s, {THEIRS} "  # noqa: S608
    "where p.id = r.plan_id and s.id = p.snapshot_id and s.connection_id = theirs.connection_id "
    "and theirs.sourced_id = any(r.sourced_ids)",
)
OF_SNAPSHOT = (
    "raw_reject",
    "cleaned_roster",
    "rejected_record",
    "witness",
)
OF_PULL = ("pulled_reject",)


def erase(conn: Connection, district_id: int, person_id: int, *, who: str, reason: str) -> None:
    """Delete a person with links, memberships, contacts, SIS records, plan rows and what the change log says of them.

    The change log still says that something happened and when, but not what. Raises UnknownPerson.
    """
    lock_district(conn, district_id)
    given: dict[str, Any] = {"district": district_id, "person": person_id}
    if conn.scalar(text("select id from person where district_id = :district and id = :person"), given) is None:
        raise UnknownPerson(person_id)
    given["people"] = numbers_of(conn, person_id)
    known = conn.execute(text(RECORDS), given).all()
    records = {**given, "connections": [row[0] for row in known], "sourced_ids": [row[1] for row in known]}
    for statement in SCRUB:
        conn.execute(text(statement), records)
    for table in OF_SNAPSHOT:
        conn.execute(text(_records_in(table, "snapshot")), records)
    for table in OF_PULL:
        conn.execute(text(_records_in(table, "pull")), records)
    audit.record(conn, who=who, what="person erased", district_id=district_id, person_id=person_id, reason=reason)


def _records_in(table: str, owner: str) -> str:
    return (
        f"delete from {table} t using {owner} o, {THEIRS} where o.id = t.{owner}_id "  # noqa: S608
        "and o.connection_id = theirs.connection_id and t.sourced_id = theirs.sourced_id"
    )
