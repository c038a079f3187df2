"""Announced leavers: people of a school, each with a day. Guards do not count these people once they are gone.

An announcement archives nobody. It says that we expect the person to be absent (`planning/plan.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, text

from roster_pipeline.directory import audit
from roster_pipeline.directory.tenants import SchoolRow

STAYS = timedelta(days=30)
"""How long after its day an announcement counts: a school that syncs nightly has new usual sizes after a week."""
FIND = """
select w.word, array_agg(distinct m.person_id) filter (where m.person_id is not null) as people
from unnest(cast(:words as text[])) w(word)
left join lateral (
    select p.id from person p where p.district_id = :district and p.number = w.word
    union select p.id from person p where p.district_id = :district and lower(p.email) = lower(w.word)
    union select p.id from person p where p.district_id = :district and lower(p.username) = lower(w.word)
    union select l.person_id from link l where l.connection_id = :connection and l.sourced_id = w.word
) f on true
left join membership m on m.district_id = :district and m.school_id = :school and m.person_id = f.id
  and m.status = 'active'
group by w.word
"""
ANNOUNCE = """
insert into announced_leaver (district_id, school_id, person_id, day, who, reason)
select :district, :school, person, :day, :who, :reason from unnest(cast(:people as bigint[])) person
on conflict (district_id, school_id, person_id)
do update set day = excluded.day, who = excluded.who, reason = excluded.reason, at = now()
"""
OF_SCHOOL = """
select a.person_id, nullif(concat_ws(' ', p.given_name, p.family_name), '') as name, m.role, m.status, a.day, a.who,
       a.reason, a.at, count(*) over () as total
from announced_leaver a
join membership m using (district_id, school_id, person_id)
join person p on p.id = a.person_id and p.district_id = a.district_id
where a.school_id = :school order by a.day, lower(p.family_name), p.id limit :limit offset :offset
"""
OF_PERSON = """
select s.key as school, a.day, a.who, a.reason, a.at from announced_leaver a join school s on s.id = a.school_id
where a.district_id = :district and a.person_id = :person order by a.at, s.key
"""
IN_FORCE = """
select person_id from announced_leaver where school_id = :school and :today between day and day + :stays
"""
EARLIER = """
select place, role, array_agg(person_id) as people from (
    select s.place, l.person_id,
           (array_agg(c.role order by array_position(array['admin', 'teacher', 'staff', 'student'], c.role)))[1] as role
    from unnest(cast(:snapshots as bigint[])) with ordinality s(id, place)
    join link l on l.connection_id = :connection and l.person_id = any(cast(:people as bigint[]))
    join cleaned_roster c on c.snapshot_id = s.id and c.sourced_id = l.sourced_id and c.record_status = 'member'
    group by s.place, l.person_id
) known group by place, role
"""


@dataclass(frozen=True)
class AnnouncedLeaver:
    """A person with the day on which they leave. status: the status of the membership. total: the number of announced
    leavers of the school, over all pages."""

    person_id: int
    name: str | None
    role: str
    status: str
    day: date
    who: str
    reason: str
    at: datetime
    total: int

    def ended(self, today: date) -> bool:
        """Whether the announcement has ended."""
        return has_ended(self.day, today)


@dataclass(frozen=True)
class Announcement:
    """A day on which one person leaves a school, by its key, and who said so."""

    school: str
    day: date
    who: str
    reason: str
    at: datetime


def has_ended(day: date, today: date) -> bool:
    """Whether an announcement of this day has ended."""
    return today > day + STAYS


def find(conn: Connection, school: SchoolRow, words: Collection[str]) -> dict[str, list[int]]:
    """For each number, e-mail, user name or sourcedId: the active people of the school who have it."""
    given = {
        "district": school.district_id,
        "school": school.id,
        "connection": school.connection.id,
        "words": list(dict.fromkeys(words)),
    }
    return {row.word: list(row.people or ()) for row in conn.execute(text(FIND), given)}


def announce(conn: Connection, school: SchoolRow, people: Collection[int], day: date, who: str, reason: str) -> int:
    """Note that active people of a school leave on a day; a newer announcement replaces an older one."""
    given = {"district": school.district_id, "school": school.id}
    conn.execute(text(ANNOUNCE), given | {"people": sorted(people), "day": day, "who": who, "reason": reason})
    audit.record(
        conn, who=who, what="leavers announced", district_id=school.district_id, school_id=school.id,
        reason=reason, details={"people": len(people), "day": day.isoformat()},
    )  # fmt: skip
    return len(people)


def withdraw(conn: Connection, school: SchoolRow, people: Collection[int] | None, who: str) -> int:
    """Take announcements back, those of some people or all of a school. Returns how many."""
    query = (
        "delete from announced_leaver where school_id = :school "
        "and (:every or person_id = any(cast(:people as bigint[])))"
    )
    given = {"school": school.id, "every": people is None, "people": sorted(people or ())}
    done = conn.execute(text(query), given).rowcount
    if done:
        audit.record(
            conn, who=who, what="leavers withdrawn", district_id=school.district_id, school_id=school.id,
            details={"people": done},
        )  # fmt: skip
    return done


def of_school(conn: Connection, school_id: int, *, limit: int = 50, offset: int = 0) -> list[AnnouncedLeaver]:
    """The announced leavers of a school, by day and name."""
    given = {"school": school_id, "limit": limit, "offset": offset}
    return [AnnouncedLeaver(**row) for row in conn.execute(text(OF_SCHOOL), given).mappings()]


def of_person(conn: Connection, district_id: int, person_id: int) -> list[Announcement]:
    """The announcements of one person, of each school at most one, also those that have ended."""
    given = {"district": district_id, "person": person_id}
    return [Announcement(**row) for row in conn.execute(text(OF_PERSON), given).mappings()]


def in_force(conn: Connection, school_id: int, today: date) -> frozenset[int]:
    """People whose announcement counts today: it counts from its day on, for `STAYS`."""
    given = {"school": school_id, "today": today, "stays": STAYS.days}
    return frozenset(conn.scalars(text(IN_FORCE), given))


def in_earlier_snapshots(
    conn: Connection, connection_id: int, snapshots: list[int], people: Collection[int]
) -> list[dict[str, list[int]]]:
    """For each snapshot and role, the people who were members in the snapshot."""
    found: list[dict[str, list[int]]] = [{} for _ in snapshots]
    if people and snapshots:
        given = {"connection": connection_id, "snapshots": snapshots, "people": sorted(people)}
        for row in conn.execute(text(EARLIER), given):
            found[row.place - 1][row.role] = list(row.people)
    return found
