"""Two people who are one: the list of pairs, the merge, its undo, and "two people"."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from roster_pipeline.directory import audit, ledger, manual_edits, members, rollback
from roster_pipeline.directory.accounts import COMMAND_LINE
from roster_pipeline.directory.apply import PlanStale
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.duplicate_pairs import MergeImpossible
from roster_pipeline.directory.members import UnknownPerson
from roster_pipeline.directory.operations import erase
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services import possible_duplicates
from roster_pipeline.services.settings_changes import FieldError
from roster_pipeline.sync.monitoring import watch_claims
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.directory.builders import (
    BY,
    add_school,
    by_hand,
    clean_records,
    every,
    newcomer,
    one,
    person_of,
    row,
    sync_rows,
    write_plan,
)
from roster_pipeline_tests.hostile_strings import leaked

DIRECTORY = ("person", "link", "membership", "contact", "link_exclusion", "not_duplicate")
NOT_COMPARED = {"revision", "updated_at"}


def merge(database: Database, school: SchoolRow, kept: int, gone: int) -> str:
    return database.call(possible_duplicates.merge, school.district_id, kept, gone, **BY)


def undo(database: Database, school: SchoolRow, kept: int) -> str:
    return database.call(possible_duplicates.undo_merge, school.district_id, kept, **BY)


def pairs(database: Database, school: SchoolRow, **more: Any) -> list[tuple[int, int]]:
    with database.begin() as conn:
        found = possible_duplicates.possible_duplicates(conn, school.district_id, COMMAND_LINE, limit=50, **more)
        return [(pair.sides[0].person_id, pair.sides[1].person_id) for pair in found.pairs]


def contents(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of the directory, without counters of changes."""
    found = {}
    for table in DIRECTORY:
        rows = every(database, f"select to_jsonb(x) from {table} x")
        plain = [{name: value for name, value in each.items() if name not in NOT_COMPARED} for (each,) in rows]
        found[table] = sorted(plain, key=str)
    return found


@pytest.fixture
def two(database: Database, lincoln: SchoolRow, oak: SchoolRow) -> tuple[int, int]:
    """Ada with the record u1 in lincoln, and Ada with u2 in both schools; each with something of her own."""
    contact = {"contact_given_name": "Annabella", "contact_sourced_id": "c1"}
    sync_rows(database, lincoln, newcomer("u1", changes={"email": "ada@example.org", "grade": "09"}))
    sync_rows(database, oak, newcomer("u2", changes={"number": "17", "grade": "10", **contact}))
    kept, gone = person_of(database, "u1"), person_of(database, "u2")
    sync_rows(database, lincoln, row("create", gone, changes={"role": "student", "grade": "10", **contact}))
    with database.begin() as conn:
        manual_edits.set_lock(conn, lincoln.district_id, gone, "phone", True, **BY)
        manual_edits.edit(conn, lincoln.district_id, gone, {"phone": "+13125550142"}, **BY)
        manual_edits.set_excluded(conn, lincoln.district_id, gone, True, **BY)
        manual_edits.link(conn, oak.connection, gone, "u3", **BY)
        manual_edits.unlink(conn, oak.connection, gone, "u3", **BY)
    return kept, gone


def test_everything_moves_to_the_kept_person_is_audited_and_makes_plans_stale(
    database: Database, lincoln: SchoolRow, oak: SchoolRow, two: tuple[int, int]
) -> None:
    kept, gone = two
    plans = [
        write_plan(database, school, [row("update", person, changes={"email": "x@example.org"})])
        for school, person in zip((lincoln, oak), two, strict=True)
    ]
    assert merge(database, lincoln, kept, gone) == f"Person {gone} is now person {kept}."
    with database.begin() as conn:
        person = members.get_person(conn, lincoln.district_id, kept)
        with pytest.raises(UnknownPerson, match=f"merged into person {kept}"):
            members.get_person(conn, lincoln.district_id, gone)
    assert person.fields["email"] == "ada@example.org"
    assert (person.fields["number"], person.fields["phone"]) == ("17", "+13125550142")
    assert person.excluded
    assert person.locked_fields == ["phone"]
    links = {each["sourced_id"]: (each["is_primary"], each["confirmed"]) for each in person.links}
    assert links == {"u1": (True, False), "u2": (False, True)}
    assert [each["sourced_id"] for each in person.exclusions] == ["u3"]
    assert {each["school"]: each["grade"] for each in person.memberships} == {"lincoln": "09", "oak": "10"}
    assert {each["school"] for each in person.contacts} == {"lincoln", "oak"}
    for plan in plans:
        with pytest.raises(PlanStale, match="The directory changed"):
            builders.apply_plan(database, plan, who="night")
    entries = database.call(audit.search, person_id=kept)
    changes = database.call(ledger.changes_of_person, lincoln.district_id, kept)
    assert (entries[0].what, entries[0].reason, entries[0].details["other"]) == ("people merged", BY["reason"], gone)
    assert "person excluded" in [each.what for each in entries], "an entry of the other person"
    assert {each.person_id for each in changes} == {kept, gone}


def test_undoing_a_merge_at_once_gives_back_every_row(
    database: Database, lincoln: SchoolRow, two: tuple[int, int]
) -> None:
    before = contents(database)
    merge(database, lincoln, *two)
    assert contents(database) != before
    assert undo(database, lincoln, two[0]) == f"Person {two[0]} and person {two[1]} are two people again."
    assert contents(database) == before
    with pytest.raises(MergeImpossible):
        undo(database, lincoln, two[0])
    merge(database, lincoln, *two)
    undo(database, lincoln, two[0])
    assert contents(database) == before


@pytest.mark.parametrize("turned", [False, True])
def test_undoing_a_merge_of_somebody_entered_by_hand(database: Database, lincoln: SchoolRow, turned: bool) -> None:
    sync_rows(database, lincoln, newcomer("u1", changes={"email": "ada@example.org"}))
    both = [person_of(database, "u1"), by_hand(database, lincoln, email="ada@example.org", phone="+13125550142")]
    kept, gone = reversed(both) if turned else both
    before = contents(database)
    merge(database, lincoln, kept, gone)
    assert one(database, "select is_primary and confirmed from link where sourced_id = 'u1'") is turned
    assert one(database, "select is_primary from link where sourced_id = 'u1'")
    undo(database, lincoln, kept)
    assert contents(database) == before


def test_undo_keeps_what_syncs_did_since(
    database: Database, lincoln: SchoolRow, oak: SchoolRow, two: tuple[int, int]
) -> None:
    kept, gone = two
    merge(database, lincoln, kept, gone)
    database.call(manual_edits.set_excluded, lincoln.district_id, kept, False, **BY)
    database.call(manual_edits.edit, lincoln.district_id, kept, {"number": "18"}, lock_fields=False, **BY)
    database.call(manual_edits.unlink, oak.connection, kept, "u2", **BY)
    sync_rows(database, oak, row("archive", kept))
    undo(database, lincoln, kept)
    with database.begin() as conn:
        old, again = (members.get_person(conn, lincoln.district_id, number) for number in (kept, gone))
    assert again.fields["number"] == "17"
    assert {each["school"]: each["status"] for each in again.memberships} == {"lincoln": "active", "oak": "archived"}
    assert again.links == [], "somebody has unlinked it since"
    assert old.fields["number"] == "18", "somebody has changed it since"
    assert (old.fields["phone"], old.excluded, old.locked_fields) == (None, False, [])
    assert {each["school"] for each in old.memberships} == {"lincoln"}


def test_a_contact_that_went_since_the_merge_does_not_come_back_with_its_undo(
    database: Database, lincoln: SchoolRow, oak: SchoolRow, two: tuple[int, int]
) -> None:
    merge(database, lincoln, *two)
    sync_rows(
        database, lincoln, row("update", two[0], changes={"contact_given_name": None, "contact_sourced_id": None})
    )
    undo(database, lincoln, two[0])
    assert every(database, "select person_id, school_id from contact") == [(two[1], oak.id)]
    merge(database, lincoln, *two)
    with database.begin() as conn:
        conn.execute(text("insert into excluded_contact select max(id), 'c1', null from snapshot group by school_id"))
    undo(database, lincoln, two[0])
    assert one(database, "select count(*) from contact") == 0, "nobody may call them"


def test_merges_are_undone_from_the_newest_on(database: Database, lincoln: SchoolRow) -> None:
    first, second, third = (by_hand(database, lincoln, email="ada@example.org") for _ in range(3))
    before = contents(database)
    merge(database, lincoln, second, third)
    merge(database, lincoln, first, second)
    assert database.call(members.merged_into, third) == first
    assert database.call(members.numbers_of, first) == sorted((first, second, third))
    with pytest.raises(UnknownPerson):
        undo(database, lincoln, second)
    undo(database, lincoln, first)
    undo(database, lincoln, second)
    assert contents(database) == before


def test_erasing_the_kept_person_erases_the_other_too(
    database: Database, lincoln: SchoolRow, two: tuple[int, int]
) -> None:
    kept, gone = two
    merge(database, lincoln, kept, gone)
    database.call(erase, lincoln.district_id, kept, **BY)
    assert every(database, "select 1 from person_merge") == []
    query = "select count(*) from change_log where person_id = any(:people) and coalesce(before, after) is not null"
    assert one(database, query, people=[kept, gone]) == 0


def test_a_rollback_takes_nothing_away_from_somebody_who_was_merged_since(
    database: Database, lincoln: SchoolRow
) -> None:
    typed = by_hand(database, lincoln, email="ada@example.org")
    made = sync_rows(database, lincoln, newcomer("u1", changes={"email": "ada@example.org"}))
    kept = person_of(database, "u1")
    merge(database, lincoln, kept, typed)
    with pytest.raises(rollback.NothingToUndo):
        builders.roll_back(database, made.sync_id, who="owner", reason="x")
    assert one(database, "select count(*) from membership where person_id = :person", person=kept) == 1


def test_what_speaks_against_it_is_said_and_nothing_happens(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1", changes={"number": "1"}), newcomer("u2", changes={"number": "2"}))
    kept, gone = person_of(database, "u1"), person_of(database, "u2")
    with database.begin() as conn:
        conn.execute(
            text("update person set number_connection_id = :c, number_kind = 'student'"), {"c": lincoln.connection.id}
        )
    before = contents(database)
    with pytest.raises(MergeImpossible) as refused:
        merge(database, lincoln, kept, gone)
    assert "different numbers" in refused.value.message
    assert "Correct the wrong number" in refused.value.remedy
    assert contents(database) == before


def test_two_records_in_one_school_now_are_two_people(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1"), newcomer("u2"))
    snapshot = one(database, "select max(id) from snapshot")
    database.call(clean_records, snapshot, *({"sourced_id": record, "identity": "u1"} for record in ("u1", "u2")))
    with pytest.raises(MergeImpossible, match="a record of each person in one school"):
        merge(database, lincoln, person_of(database, "u1"), person_of(database, "u2"))


def test_pairs_are_proposed_until_somebody_says_that_they_are_two(
    database: Database, lincoln: SchoolRow, oak: SchoolRow
) -> None:
    ann, also = (by_hand(database, lincoln, "Ann", "Lee", email="ann@example.org") for _ in range(2))
    by_hand(database, lincoln, "Bo", "Lee", email="ann@example.org")
    joe = by_hand(database, lincoln, "Jo\u00e9", "Ray", number="0042")
    joseph = by_hand(database, oak, "Joseph", "Ray", number="42")
    names = [by_hand(database, oak, "Kim", "O'Hara"), by_hand(database, oak, "KIM", "OHara", email="kim@example.org")]
    by_hand(database, oak, "Kim", "O'Hara", role="teacher")
    assert pairs(database, lincoln) == [(joe, joseph), (ann, also), tuple(names)]
    assert pairs(database, lincoln, school_id=oak.id) == [(joe, joseph), tuple(names)]
    database.call(possible_duplicates.set_distinct, lincoln.district_id, also, ann, True, **BY)
    assert pairs(database, lincoln) == [(joe, joseph), tuple(names)]
    assert pairs(database, lincoln, distinct=True) == [(ann, also)]
    with pytest.raises(MergeImpossible, match="Somebody said"):
        merge(database, lincoln, ann, also)
    with database.begin() as conn:
        possible_duplicates.set_distinct(conn, lincoln.district_id, ann, also, False, **BY)
        with pytest.raises(MergeImpossible):
            possible_duplicates.set_distinct(conn, lincoln.district_id, ann, also, False, **BY)
    merge(database, lincoln, ann, also)
    assert (ann, also) not in pairs(database, lincoln)


def test_that_two_people_are_two_moves_with_a_merge(database: Database, lincoln: SchoolRow) -> None:
    kept, gone, third = (by_hand(database, lincoln, email="ada@example.org") for _ in range(3))
    database.call(possible_duplicates.set_distinct, lincoln.district_id, gone, third, True, **BY)
    merge(database, lincoln, kept, gone)
    with pytest.raises(MergeImpossible, match="Somebody said"):
        merge(database, lincoln, kept, third)
    undo(database, lincoln, kept)
    merge(database, lincoln, kept, third)


def test_owners_see_pairs_of_people_whom_they_see(database: Database, lincoln: SchoolRow, oak: SchoolRow) -> None:
    for school in (lincoln, oak):
        by_hand(database, school, email="ada@example.org")
    owner = replace(COMMAND_LINE, operator=False, schools=frozenset({oak.id}))
    with database.begin() as conn:
        found = possible_duplicates.possible_duplicates(conn, lincoln.district_id, owner, school_id=oak.id, limit=9)
    assert (found.pairs, found.total, found.hidden) == ([], 0, 1)


def test_a_reason_is_needed_and_people_of_one_district(database: Database, lincoln: SchoolRow, oak: SchoolRow) -> None:
    elsewhere = database.call(add_school, "elm", connection="other", district="shelbyville")
    here, there = by_hand(database, lincoln), by_hand(database, elsewhere)
    with pytest.raises(UnknownPerson):
        merge(database, lincoln, here, there)
    with pytest.raises(MergeImpossible):
        merge(database, lincoln, here, here)
    with database.begin() as conn, pytest.raises(FieldError):
        possible_duplicates.merge(conn, lincoln.district_id, here, there, who="x", reason=" ")


def test_nothing_of_the_people_is_logged_or_audited(
    database: Database, lincoln: SchoolRow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    poison = {"given": "Zyxpoison", "family": "Qqleak", "email": "qqleak@zyxpoison.example"}
    one_, other, third = (by_hand(database, lincoln, **poison, number=f"99887766{place}") for place in "112")
    merge(database, lincoln, one_, other)
    undo(database, lincoln, one_)
    said = []
    with pytest.raises(MergeImpossible) as refused:
        merge(database, lincoln, one_, third)
    said += [str(refused.value), refused.value.remedy]
    said += [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    said += [str(row) for row in every(database, "select * from audit")]
    assert leaked("\n".join(said)) == []


def test_a_merge_ends_the_alert_on_whom_another_school_claimed_and_its_undo_opens_it_again(
    database: Database, lincoln: SchoolRow, oak: SchoolRow
) -> None:
    kept, gone = by_hand(database, oak), by_hand(database, lincoln)
    east = database.call(add_school, "east", connection="other-sis")
    write_plan(database, east, [row("conflict", gone, reason="other_connection", sourced_ids=["e1"])])
    assert database.call(watch_claims, datetime.now(UTC)).opened == 1
    still = "select school_id from alert where cleared_at is null"
    merge(database, lincoln, kept, gone)
    assert every(database, still) == []
    undo(database, lincoln, kept)
    assert every(database, still) == [(lincoln.id,)]
