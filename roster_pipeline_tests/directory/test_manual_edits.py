"""Edits by hand: each is audited, and each makes earlier plans out of date."""

import pytest

from roster_pipeline.directory import audit, ledger, manual_edits, members, tenants
from roster_pipeline.directory.apply import PlanStale
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory import builders


def test_every_change_by_hand_is_audited_and_makes_plans_stale(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    query = "select updated_at from roster_public.directory_person where person_id = :person"
    for what, do in builders.every_edit(lincoln, ada).items():
        plan_id = builders.write_plan(
            database, lincoln, [builders.row("update", ada, changes={"email": "x@example.org"})]
        )
        before = builders.one(database, query, person=ada)
        database.call(do)
        line = database.call(audit.search, person_id=ada)[0]
        assert (line.what, line.who, line.reason) == (what, "owner", "asked to")
        changed = builders.one(database, query, person=ada) != before
        assert changed == (what == "person edited"), "the time of the last change of a field that applications read"
        with pytest.raises(PlanStale):
            builders.apply_plan(database, plan_id, who="night")
    last = "select sync_id, after ->> 'phone' from change_log where after ? 'phone' order by position desc limit 1"
    assert builders.every(database, last) == [(None, "+1")], "a change by hand has no sync"


def test_the_first_link_is_primary_and_a_primary_link_that_goes_is_followed_by_another(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    with database.begin() as conn:
        manual_edits.link(conn, lincoln.connection, ada, "u2", **builders.BY)
        manual_edits.link(conn, lincoln.connection, ada, "u2", **builders.BY)
        manual_edits.unlink(conn, lincoln.connection, ada, "u1", **builders.BY)
        assert [(each["sourced_id"], each["is_primary"]) for each in members.get_person(conn, 1, ada).links] == [
            ("u2", True)
        ]
        with pytest.raises(manual_edits.NoSuchLink):
            manual_edits.unlink(conn, lincoln.connection, ada, "u1", **builders.BY)


def test_a_home_is_chosen_of_their_records_alone_and_a_later_choice_or_a_sync_that_moves_it_ends_it(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    primary = f"select sourced_id, primary_by_hand from link where person_id = {ada} and is_primary"
    with database.begin() as conn:
        with pytest.raises(manual_edits.NoSuchLink, match="no link to this record"):
            manual_edits.set_primary_record(conn, lincoln.connection, ada, "u2", **builders.BY)
        manual_edits.link(conn, lincoln.connection, ada, "u2", **builders.BY)
        manual_edits.set_primary_record(conn, lincoln.connection, ada, "u2", **builders.BY)
    assert builders.every(database, primary) == [("u2", True)]
    database.call(manual_edits.set_primary_record, lincoln.connection, ada, "u1", **builders.BY)
    other = database.call(builders.add_school, "roosevelt", connection="other")
    assert builders.every(database, primary) == [("u1", True)]
    came = builders.row(
        "create", ada, changes={"role": "student", "primary_record": "x1"}, links=["x1"], new_links=["x1"]
    )
    sync = builders.sync_rows(database, other, came)
    assert builders.every(database, primary) == [("x1", False)]
    builders.roll_back(database, sync.sync_id, who="owner", reason="no")
    assert builders.every(database, primary) == [("u1", True)]


def test_only_a_linked_or_waiting_record_can_be_unlinked(database: Database, lincoln: SchoolRow, ada: int) -> None:
    other = database.call(builders.add_school, "roosevelt", connection="other")
    waits = builders.row("conflict", ada, reason="other_connection", matched_by="email", links=["x1"])
    builders.write_plan(database, other, [waits])
    with database.begin() as conn:
        for connection, record in ((other.connection, "x2"), (lincoln.connection, "x1")):
            with pytest.raises(manual_edits.NoSuchLink):
                manual_edits.unlink(conn, connection, ada, record, **builders.BY)
        manual_edits.unlink(conn, other.connection, ada, "x1", **builders.BY)
    assert builders.every(database, "select sourced_id, person_id from link_exclusion") == [("x1", ada)]
    assert builders.every(database, "select sourced_id, is_primary from link") == [("u1", True)]


def test_a_link_made_by_hand_is_confirmed_and_one_made_by_a_sync_once_somebody_says_so(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    builders.sync_rows(database, lincoln, builders.newcomer("u9"))
    confirmed = "select sourced_id, confirmed from link order by 1"
    assert builders.every(database, confirmed) == [("u1", False), ("u9", False)]
    for _ in range(2):
        database.call(manual_edits.link, lincoln.connection, ada, "u1", **builders.BY)
        database.call(manual_edits.link, lincoln.connection, ada, "u2", **builders.BY)
    assert builders.every(database, confirmed) == [("u1", True), ("u2", True), ("u9", False)]
    assert [line.what for line in database.call(audit.search, person_id=ada)] == ["record linked", "link confirmed"]
    last = [
        change
        for change in database.call(ledger.changes_of_person, lincoln.district_id, ada)
        if change.entity == "link"
    ]
    told = [(change.operation, (change.before or {}).get("confirmed"), change.after) for change in last]
    assert sorted((what, was, now["confirmed"]) for what, was, now in told if now) == [
        ("insert", None, "false"),
        ("insert", None, "true"),
        ("update", "false", "true"),
    ]


def test_an_unlinked_record_that_a_sync_takes_for_somebody_new_is_not_confirmed(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    database.call(manual_edits.link, lincoln.connection, ada, "u1", **builders.BY)
    database.call(manual_edits.unlink, lincoln.connection, ada, "u1", **builders.BY)
    builders.sync_rows(database, lincoln, builders.newcomer("u1"))
    assert builders.every(database, "select sourced_id, confirmed from link") == [("u1", False)]
    assert builders.person_of(database, "u1") != ada


def test_somebody_elses_record_is_not_taken_and_nobody_of_another_district_is_touched(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    builders.sync_rows(database, lincoln, builders.newcomer("u9"))
    theirs = f"already linked to person {builders.person_of(database, 'u9')}"
    with database.begin() as conn, pytest.raises(DirectoryError, match=theirs):
        manual_edits.link(conn, lincoln.connection, ada, "u9", **builders.BY)
    foreign = database.call(builders.add_school, "foreign", connection="foreign-sis", district="shelbyville")
    with database.begin() as conn, pytest.raises(members.UnknownPerson):
        manual_edits.set_excluded(conn, foreign.district_id, ada, True, **builders.BY)
    with database.begin() as conn, pytest.raises(members.UnknownPerson):
        manual_edits.link(conn, foreign.connection, ada, "x", **builders.BY)


def test_an_edit_locks_its_fields_by_default(database: Database, lincoln: SchoolRow, ada: int) -> None:
    with database.begin() as conn:
        manual_edits.edit(conn, lincoln.district_id, ada, {"phone": "+1", "email": None}, **builders.BY)
        manual_edits.edit(conn, lincoln.district_id, ada, {"username": "ada"}, lock_fields=False, **builders.BY)
        person = members.get_person(conn, lincoln.district_id, ada)
        assert (person.fields["phone"], person.fields["email"], person.fields["username"]) == ("+1", None, "ada")
        assert person.locked_fields == ["email", "phone"]
        manual_edits.set_lock(conn, lincoln.district_id, ada, "email", False, **builders.BY)
        assert members.get_person(conn, lincoln.district_id, ada).locked_fields == ["phone"]
        with pytest.raises(manual_edits.NoSuchField):
            manual_edits.edit(conn, lincoln.district_id, ada, {"revision": 1}, **builders.BY)


def test_a_membership_is_made_archived_and_restored_by_hand(database: Database, lincoln: SchoolRow, ada: int) -> None:
    with database.begin() as conn:
        manual_edits.set_archived(conn, lincoln, ada, True, **builders.BY)
        changes = ledger.changes_of_person(conn, lincoln.district_id, ada)
        assert [(each.entity, each.operation) for each in changes] == [
            ("person", "insert"),
            ("link", "insert"),
            ("membership", "insert"),
            ("membership", "update"),
        ]
        assert members.list_members(conn, lincoln.district_id, lincoln.id) == []
        archived = members.list_members(conn, lincoln.district_id, lincoln.id, status="archived")
        assert [each["archived_by"] for each in archived] == ["hand"]
        with pytest.raises(manual_edits.NotAMember):
            manual_edits.set_archived(conn, lincoln, ada, True, **builders.BY)
        manual_edits.set_archived(conn, lincoln, ada, False, **builders.BY)
        restored = members.list_members(conn, lincoln.district_id, lincoln.id, role="student")
        assert [each["managed"] for each in restored] == [False]
        manual_edits.add(conn, lincoln, {"given_name": "Grace", "role": "teacher"}, **builders.BY)
    by_hand = "select status, managed from membership where role = 'teacher'"
    assert builders.every(database, by_hand) == [("active", False)]


def test_people_are_found_by_what_one_knows_of_them(database: Database, lincoln: SchoolRow, ada: int) -> None:
    builders.sync_rows(database, lincoln, builders.newcomer("u2", "Grace", changes={"family_name": "Hopper"}))
    with database.begin() as conn:
        foreign = builders.add_school(conn, "foreign", connection="foreign-sis", district="shelbyville")
        for words in ("lovel", "Ada Lovelace", "ADA@example.org", "17", "u1", str(ada)):
            assert [each.id for each in members.find(conn, lincoln.district_id, words)] == [ada], words
            assert members.find(conn, foreign.district_id, words) == [], words
        assert members.find(conn, lincoln.district_id, " ") == []
        assert tenants.get_school(conn, "foreign").district_key == "shelbyville"
