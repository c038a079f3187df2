"""Contacts that a school wants no more and that no row of its plan reaches, for their student is not in the roster."""

from __future__ import annotations

from sqlalchemy import Connection, text

DROP = """
delete from contact c using sync y, school s, verdict v
where y.id = :sync and s.id = y.school_id
  and c.place > case when s.settings ->> 'primary_contacts' = 'false' then 0
                     else coalesce((s.settings ->> 'contacts_most')::int, 1) end
  and v.plan_id = y.plan_id and v.role = 'student' and v.action = 'update'
  and v.guard = '' and v.sync_id = y.id
  and c.district_id = y.district_id and c.school_id = y.school_id
  and not exists (select from person p where p.id = c.person_id and p.district_id = c.district_id and p.excluded)
"""
"""The verdict on updates of students counts for these as well: a window or a hold keeps them."""


def drop_unwanted(conn: Connection, sync_id: int) -> int:
    """Remove the contacts that a school wants no more and its sync left: of students who are archived, or absent.

    In the transaction of that sync, so that a rollback brings them back. Who is excluded keeps theirs.
    """
    return conn.execute(text(DROP), {"sync": sync_id}).rowcount
