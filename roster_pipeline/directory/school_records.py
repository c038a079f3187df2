"""Which records of a pull belong to one school: its org with those above it, its users, and their contacts.

Most nights change few records. So the school's newest snapshot is updated, if the rules of the selection are the same:
records that both pulls name stay, and only new records and the contacts of changed students are selected again. A test
compares this with a full selection, on random nights.
"""

from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import Connection, text

from roster_pipeline.directory.pulls import IN_PULL
from roster_pipeline.directory.record_sets import RecordSet, name_in_snapshot, of_pulls, of_snapshot, read_ids

CHOSEN = "chosen"
"""In a snapshot's counts: the rules that selected its records. An erasure removes it."""
RULES = 1
"""Increase it when this code selects other records for a school than before."""
MOST_NEW = 0.3
"""If a pull has more new records than this share of the school's records, everything is selected again. A city's
pull has more new records every night than a small school has people. Checking each costs more than selecting the
school's."""
ELSEWHERE = "elsewhere"
"""The part of a snapshot with users who do not name the school."""

ORGS = f"""
with recursive family as (
    select r.id, r.payload ->> 'parent' as parent from sis_record r {IN_PULL}
    where r.connection_id = :connection and r.kind = 'org' and r.sourced_id = :org
    union
    select o.id, o.parent from family f cross join lateral (
        select r.id, r.payload ->> 'parent' as parent from sis_record r {IN_PULL}
        where r.connection_id = :connection and r.kind = 'org' and r.sourced_id = f.parent
    ) o
)
select id from family
"""  # noqa: S608
"""The school and the orgs to which it belongs. `union` stops the search if an org is its own ancestor."""

NAMING_SCHOOL = """
select id from sis_record
where connection_id + 0 = :connection and kind = 'user' and orgs && cast(:here as text[])
"""
"""`+ 0`, here and below, keeps the database from an index with which it would read the whole connection."""

NEW_NAMING_SCHOOL = """
select r.id from unnest(cast(:new as bigint[])) n (id)
cross join lateral (select * from sis_record where id = n.id offset 0) r
where r.kind = 'user' and r.orgs && cast(:here as text[])
"""

OF_MEMBERS = """
select u.id from membership m
cross join lateral (
    select sourced_id from link where person_id = m.person_id and connection_id + 0 = :connection offset 0
) l
cross join lateral (
    select id from sis_record
    where connection_id = :connection and kind = 'user' and sourced_id = l.sourced_id offset 0
) u
where m.district_id = :district and m.school_id = :school and m.status = 'active'
"""
"""The records of the members, also those that now name another school: they moved."""

WITH_SAME_ID = """
select u.id from unnest(cast(:ids as bigint[])) n (id)
cross join lateral (select sourced_id from sis_record where id = n.id and kind = 'user' offset 0) r
cross join lateral (
    select id from sis_record
    where connection_id = :connection and kind = 'user' and sourced_id = r.sourced_id offset 0
) u
"""
"""The users with the sourcedId of one of these users, themselves among them."""

CONTACTS_OF = """
with student as materialized (
    select u.sourced_id, u.agents from unnest(cast(:students as bigint[])) s (id)
    cross join lateral (select * from sis_record where id = s.id offset 0) u where u.student
)
select u.id from (select distinct unnest(agents) as agent from student) a
cross join lateral (
    select id from sis_record where connection_id = :connection and kind = 'user' and sourced_id = a.agent offset 0
) u
union
select u.id from student s
cross join lateral (
    select id from sis_record
    where connection_id + 0 = :connection and kind = 'user' and agents @> array[s.sourced_id] offset 0
) u
"""
"""The agents that students name, and who name a student: some servers fill one side only."""

STORED_CONTACTS = """
select u.id from contact c
cross join lateral (
    select id from sis_record
    where connection_id = :connection and kind = 'user' and sourced_id = c.sourced_id offset 0
) u
where c.district_id = :district and c.school_id = :school
"""
"""Stored contacts, also of former students and without a link, in case contact rules exclude somebody."""

STUDENTS_OF = """
with person as materialized (
    select u.sourced_id, u.agents from unnest(cast(:people as bigint[])) p (id)
    cross join lateral (select * from sis_record where id = p.id and kind = 'user' offset 0) u
)
select s.id from (select distinct unnest(agents) as student from person) a
cross join lateral (
    select id from sis_record
    where connection_id = :connection and kind = 'user' and sourced_id = a.student and student offset 0
) s
union
select s.id from person p
cross join lateral (
    select id from sis_record
    where connection_id + 0 = :connection and kind = 'user' and student and agents @> array[p.sourced_id] offset 0
) s
"""
"""The students whose contacts some people are, by the same two sides."""

NEWEST = """
select id, pull_id from (
    select id, pull_id, pruned_at, counts from snapshot where school_id = :school and id < :snapshot
    order by id desc limit 5
) newest
where pruned_at is null and pull_id is not null and counts ->> 'chosen' = :key order by id desc limit 1
"""
EXISTING = "select count(*) from sis_record where id = any(cast(:ids as bigint[]))"

SEARCHABLE = """
select clean_pending_lists()
"""
"""PostgreSQL first puts new rows into a list next to these indexes, and each search would read the whole list."""


@dataclass(frozen=True)
class Chooser:
    """What selects a school's records. here: the school and the orgs of its users. stored: stored contacts too."""

    connection: int
    district: int
    school: int
    org: str
    here: tuple[str, ...]
    contacts: bool
    stored: bool

    @property
    def key(self) -> str:
        """Equal for equal choosers."""
        return sha256(repr((RULES, self)).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class _Base:
    """An earlier snapshot of the school, made by the same rules. new: what its pull did not name."""

    users: RecordSet
    elsewhere: RecordSet
    contacts: RecordSet
    new: RecordSet


def choose(
    conn: Connection, chooser: Chooser, snapshot_id: int, pull_id: int, *, from_base: bool = True
) -> dict[str, int]:
    """Let a new snapshot name the school's records of a pull; how many, by part. from_base: faster, same result."""
    given = vars(chooser) | {"here": list(chooser.here), "pull": pull_id}
    pull, base = _pull_and_base(conn, chooser, snapshot_id, pull_id, from_base=from_base)
    if base is None or chooser.contacts:
        conn.execute(text(SEARCHABLE))
    naming, same_ids = _users(conn, given, pull, base)
    users = naming | same_ids | (read_ids(conn, OF_MEMBERS, given) & pull)
    contacts = RecordSet.of([])
    if chooser.contacts:
        contacts = _contacts(conn, given, pull, users, None if chooser.stored else base)
    if chooser.contacts and chooser.stored:
        contacts |= read_ids(conn, STORED_CONTACTS, given) & pull
    parts = {"org": read_ids(conn, ORGS, given), "user": users, "contact": contacts}
    name_in_snapshot(conn, snapshot_id, parts | {ELSEWHERE: users - naming})
    return {part: len(records) for part, records in parts.items()}


def _pull_and_base(
    conn: Connection, chooser: Chooser, snapshot_id: int, pull_id: int, *, from_base: bool
) -> tuple[RecordSet, _Base | None]:
    """The pull's records, and the snapshot to update: None if there is none, or if too much is new."""
    search = {"school": chooser.school, "snapshot": snapshot_id, "key": chooser.key}
    found = conn.execute(text(NEWEST), search).one_or_none() if from_base else None
    if found is None:
        return of_pulls(conn, pull_id)[pull_id], None
    pulls = of_pulls(conn, pull_id, found.pull_id)
    pull, new = pulls[pull_id], pulls[pull_id] - pulls[found.pull_id]
    parts = of_snapshot(conn, found.id)
    if len(new) > MOST_NEW * (len(parts["user"]) + len(parts["contact"])):
        return pull, None
    return pull, _Base(parts["user"], parts[ELSEWHERE], parts["contact"], new)


def _users(
    conn: Connection, given: dict[str, object], pull: RecordSet, base: _Base | None
) -> tuple[RecordSet, RecordSet]:
    """Users who name the school, and the other records with their ids, perhaps of other people."""

    def with_same_id(records: RecordSet) -> RecordSet:
        return read_ids(conn, WITH_SAME_ID, given, ids=records) & pull

    if base is None:
        naming = read_ids(conn, NAMING_SCHOOL, given) & pull
        return naming, with_same_id(naming)
    before = (base.users - base.elsewhere) & pull
    naming = before | read_ids(conn, NEW_NAMING_SCHOOL, given, new=base.new)
    return naming, with_same_id(with_same_id(base.new | (base.elsewhere & pull)) & naming)


def _contacts(
    conn: Connection, given: dict[str, object], pull: RecordSet, users: RecordSet, base: _Base | None
) -> RecordSet:
    """The contacts of the students among these users."""

    def contacts_of(people: RecordSet) -> RecordSet:
        return read_ids(conn, CONTACTS_OF, given, students=people) & pull

    if base is None:
        return contacts_of(users)
    gone = base.users - users
    if gone and conn.scalar(text(EXISTING), {"ids": gone.literal}) != len(gone):
        return contacts_of(users)  # some records are no longer stored, so their contacts are not known
    before = base.contacts & pull
    doubtful = (before & contacts_of(gone)) | base.new
    students = read_ids(conn, STUDENTS_OF, given, people=doubtful) & users
    return (before - doubtful) | contacts_of(students | (users - base.users))
