"""Edits by hand, in the pipeline and in the model."""

from itertools import permutations

import pytest
from sqlalchemy import Connection

from roster_pipeline.directory import manual_edits, members, tenants
from roster_pipeline.directory.duplicate_pairs import MergeImpossible
from roster_pipeline.services import possible_duplicates
from roster_pipeline_tests.directory.builders import Decision
from roster_pipeline_tests.invariants.district import CheckedDistrict
from roster_pipeline_tests.invariants.merging import merge, never_one
from roster_pipeline_tests.invariants.person import Membership, Person

WAYS = ("archive", "restore", "restore", "exclude", "include", "unlink", "unlink", "link", "merge", "merge")
ROSTERS = """
select s.key as school, array_agg(c.sourced_id) as records
from school s join cleaned_roster c on c.snapshot_id = (select max(id) from snapshot n where n.school_id = s.id
    and exists (select from cleaned_roster where snapshot_id = n.id))
where s.district_id = :district and c.record_status = 'member' group by s.key
"""
_TOLD = Decision(who="owner", reason="asked for it")


def do(district: CheckedDistrict, what: str, pick: int) -> bool:
    """Make one of these edits to a picked person. Returns whether there was one."""
    if what == "merge":
        return _merge(district, pick)
    able = [person for person in district.model.people if _able(district, person, what)]
    if not able:
        return False
    person = able[pick % len(able)]
    with district.place.database.begin() as conn:
        if what == "archive":
            _archive(conn, district, person)
        elif what == "restore":
            _restore(conn, district, person)
        elif what == "unlink":
            _unlink(conn, district, person, sorted(person.links)[pick % len(person.links)])
        elif what == "link":
            theirs = _theirs(district, person)
            _link(conn, district, person, theirs[pick % len(theirs)])
        else:
            person.excluded = what == "exclude"
            number = district.number_of(person)
            manual_edits.set_excluded(conn, district.place.district_id, number, person.excluded, **_TOLD)
    return True


def restored(district: CheckedDistrict, person: Person) -> bool:
    """Restore this person by hand. Returns whether they were archived."""
    if not _able(district, person, "restore"):
        return False
    with district.place.database.begin() as conn:
        _restore(conn, district, person)
    return True


def say_the_truth_of(district: CheckedDistrict, link: str) -> bool:
    """Somebody who knows the truth confirms a doubted link or removes it. Returns whether it was right."""
    person = district.model.linked[link]
    right = district.sis.records[link].truth == person.truth
    with district.place.database.begin() as conn:
        if right:
            number, connection = district.number_of(person), tenants.get_connection(conn, district.place.key)
            manual_edits.link(conn, connection, number, link, **_TOLD)
            _confirm(district, person, link)
        else:
            _unlink(conn, district, person, link)
    return right


def _merge(district: CheckedDistrict, pick: int) -> bool:
    """Two people who are one person in truth become one person, unless evidence speaks against it; the merge is undone
    once before."""
    people = district.model.people
    pairs = [pair for pair in permutations(people, 2) if pair[0].truth == pair[1].truth] or _entered_again(
        district, pick
    )
    if not pairs:
        return False
    kept, gone = pairs[pick % len(pairs)]
    numbers = district.number_of(kept), district.number_of(gone)
    rosters = {row["school"]: set(row["records"]) for row in district.place.rows(ROSTERS)}
    if never_one(kept, gone, rosters):
        with district.place.database.begin() as conn, pytest.raises(MergeImpossible):
            possible_duplicates.merge(conn, district.place.district_id, *numbers, **_TOLD)
        return False
    prints = district.place.fingerprint()
    with district.place.database.begin() as conn:
        possible_duplicates.merge(conn, district.place.district_id, *numbers, **_TOLD)
        possible_duplicates.undo_merge(conn, district.place.district_id, numbers[0], **_TOLD)
    after = district.place.fingerprint()
    assert after == prints, [name for name in prints if prints[name] != after[name]]
    with district.place.database.begin() as conn:
        possible_duplicates.merge(conn, district.place.district_id, *numbers, **_TOLD)
    district.sis.confirmed |= gone.links
    merge(kept, gone)
    district.model.people.remove(gone)
    return True


def _entered_again(district: CheckedDistrict, pick: int) -> list[tuple[Person, Person]]:
    """Somebody enters a member who is there already. Returns both orders of the pair."""
    active = [
        (person, key, person.members[school])
        for person in district.model.people
        for key, school in district.ids.items()
        if person.links and school in person.members and person.members[school].status == "active"
    ]
    if not active:
        return []
    person, key, member = active[pick % len(active)]
    own = {name: person.fields[name] for name in ("given", "family", "email")}
    typed = {"given_name": own["given"], "family_name": own["family"], "email": own["email"], "role": member.role}
    with district.place.database.begin() as conn:
        number = manual_edits.add(conn, tenants.get_school(conn, key), typed, **_TOLD)
    twin = Person(dict.fromkeys(person.fields) | own, None, number=number, truth=person.truth)
    twin.members[district.ids[key]] = Membership(member.role, managed=False)
    district.model.people.append(twin)
    return [(person, twin), (twin, person)]


def _able(district: CheckedDistrict, person: Person, what: str) -> bool:
    if what == "restore":
        return any(member.status == "archived" for member in person.members.values())
    return bool(person.links) if what == "unlink" else bool(_theirs(district, person)) if what == "link" else True


def _theirs(district: CheckedDistrict, person: Person) -> list[str]:
    """Records that were unlinked from this person although they are theirs in truth."""
    records = district.sis.records
    return sorted(link for link in person.not_theirs if records[link].truth == person.truth)


def _confirm(district: CheckedDistrict, person: Person, record: str) -> None:
    """From now on the link is never doubted, so the SIS must not give the id away."""
    person.confirmed.add(record)
    district.sis.confirmed.add(record)


def _archive(conn: Connection, district: CheckedDistrict, person: Person) -> None:
    for key, school in district.ids.items():
        member = person.members.get(school)
        if member and member.status == "active":
            manual_edits.set_archived(conn, tenants.get_school(conn, key), district.number_of(person), True, **_TOLD)
            member.status, member.by = "archived", "hand"


def _restore(conn: Connection, district: CheckedDistrict, person: Person) -> None:
    for key, school in district.ids.items():
        member = person.members.get(school)
        if member and member.status == "archived":
            manual_edits.set_archived(conn, tenants.get_school(conn, key), district.number_of(person), False, **_TOLD)
            member.status, member.by, member.absent, member.managed = "active", None, 0, False


def _unlink(conn: Connection, district: CheckedDistrict, person: Person, record: str) -> None:
    """The record is not this person; the directory chooses the next primary record."""
    number = district.number_of(person)
    manual_edits.unlink(conn, tenants.get_connection(conn, district.place.key), number, record, **_TOLD)
    person.links.remove(record)
    person.masters.pop(record, None)
    person.confirmed.discard(record)
    person.not_theirs.add(record)
    if person.primary == record:
        primary = [each["sourced_id"] for each in members.get_person(conn, district.place.district_id, number).links]
        person.primary = primary[0] if primary else None
        assert set(primary) == person.links


def _link(conn: Connection, district: CheckedDistrict, person: Person, record: str) -> None:
    """The record is this person after all, and not the person to whom it was matched since."""
    owner = district.model.linked.get(record)
    if owner is not None:
        _unlink(conn, district, owner, record)
    number = district.number_of(person)
    manual_edits.link(conn, tenants.get_connection(conn, district.place.key), number, record, **_TOLD)
    person.not_theirs.remove(record)
    person.links.add(record)
    _confirm(district, person, record)
    person.primary = person.primary or record
