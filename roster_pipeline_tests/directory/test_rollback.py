"""Rollback: one sync is undone exactly, and later changes stay."""

from typing import Any

import pytest
from sqlalchemy import text

from roster_pipeline.directory import ledger, manual_edits, rollback
from roster_pipeline.directory.apply import PlanStale, SyncResult
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.directory.builders import every, newcomer, one, person_of, row, sync_rows, write_plan

STATE = {
    "person": "select id, given_name, family_name, email, enabled, number, number_kind, locked_fields from person",
    "link": "select connection_id, sourced_id, person_id, is_primary, confirmed from link",
    "membership": "select school_id, person_id, role, grade, status, archived_by, managed, absent_syncs "
    "from membership",
    "contact": "select person_id, email, phone from contact",
}


def _state(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(every(database, query), key=str) for table, query in STATE.items()}


def _a_night(database: Database, school: SchoolRow) -> int:
    """A sync with every kind of change, after an earlier night."""
    known = {name: person_of(database, name) for name in ("stays", "leaves", "returns", "absent")}
    return sync_rows(
        database,
        school,
        newcomer("joins", changes={"email": "j@example.org", "contact_phone": "+2"}),
        row("update", known["stays"], changes={"family_name": "King", "contact_email": None, "enabled": False}),
        row("unchanged", known["stays"], links=["second"], new_links=["second"], role="teacher"),
        row("archive", known["leaves"]),
        row("restore", known["returns"], changes={"grade": "09"}),
        row("skip", known["absent"], reason="grace", absent_syncs=1),
    ).sync_id


def _undo(database: Database, sync_id: int, only: rollback.Only | None = None) -> SyncResult:
    return builders.roll_back(database, sync_id, who="owner", reason="wrong file", only=only)


@pytest.fixture
def before(database: Database, lincoln: SchoolRow) -> dict[str, list[tuple[Any, ...]]]:
    first = [newcomer(name) for name in ("leaves", "returns", "absent")]
    contact = {"contact_email": "p@example.org", "number": "17", "enabled": True}
    sync_rows(database, lincoln, newcomer("stays", changes=contact), *first)
    sync_rows(database, lincoln, row("archive", person_of(database, "returns")))
    return _state(database)


def test_a_rollback_restores_exactly_what_was_and_can_be_rolled_back(
    database: Database, lincoln: SchoolRow, before: Any
) -> None:
    sync_id = _a_night(database, lincoln)
    after = _state(database)
    shown = rollback.preview(database, sync_id)
    assert _state(database) == after != before
    joined, stays = person_of(database, "joins"), person_of(database, "stays")
    removed = {(entity, "remove") for entity in STATE}
    assert {(each.entity, each.way) for each in shown if each.person_id == joined} == removed
    assert ["enabled", "family_name"] in [each.fields for each in shown if each.person_id == stays]
    result = _undo(database, sync_id)
    assert _state(database) == before
    assert result.counts == {"student": {"create": 1, "update": 2, "archive": 1, "restore": 1}}
    undone = database.call(ledger.get_sync, sync_id)
    doing = database.call(ledger.get_sync, result.sync_id)
    assert undone.undone_by == result.sync_id
    assert (doing.kind, doing.undoes, doing.outcome) == ("rollback", sync_id, "applied")
    _undo(database, result.sync_id)
    assert _state(database) == after


def test_the_archivals_alone_can_be_undone_and_then_what_is_left(
    database: Database, lincoln: SchoolRow, before: Any
) -> None:
    sync_id = _a_night(database, lincoln)
    assert _undo(database, sync_id, "archived").counts == {"student": {"archive": 1}}
    status = "select status from membership where person_id = :p"
    assert one(database, status, p=person_of(database, "leaves")) == "active"
    assert one(database, "select count(*) from link where sourced_id = 'joins'") == 1
    _undo(database, sync_id)
    assert _state(database) == before
    with pytest.raises(rollback.AlreadyUndone):
        _undo(database, sync_id)


def test_a_row_that_moved_since_is_left_and_reported(database: Database, lincoln: SchoolRow, before: Any) -> None:
    sync_id = _a_night(database, lincoln)
    stays, leaves = person_of(database, "stays"), person_of(database, "leaves")
    database.call(manual_edits.edit, lincoln.district_id, stays, {"phone": "+49"}, who="owner", reason="called")
    database.call(manual_edits.set_archived, lincoln, leaves, False, who="owner", reason="is here")
    assert {each.person_id for each in rollback.preview(database, sync_id) if each.moved} == {stays, leaves}
    result = _undo(database, sync_id)
    assert result.outcome == "held"
    assert result.counts["student"]["moved"] == 2
    assert every(database, "select family_name, phone from person where id = :p", p=stays) == [("King", "+49")]
    assert one(database, "select count(*) from link where sourced_id = 'joins'") == 0


def test_somebody_who_joined_another_school_since_or_whose_link_was_confirmed_is_kept(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    sync_id = sync_rows(database, lincoln, *map(newcomer, ("u1", "u2", "u3"))).sync_id
    joined, confirmed = person_of(database, "u1"), person_of(database, "u3")
    sync_rows(database, roosevelt, row("create", joined, changes={"role": "student"}))
    database.call(manual_edits.link, lincoln.connection, confirmed, "u3", who="owner", reason="it is them")
    assert _undo(database, sync_id).counts == {"student": {"create": 1, "moved": 2}}
    memberships = "select person_id, school_id from membership order by 1"
    assert every(database, memberships) == [(joined, roosevelt.id)]
    links = "select sourced_id, person_id, confirmed from link order by 1"
    assert every(database, links) == [("u1", joined, False), ("u3", confirmed, True)]
    assert one(database, "select count(*) from person") == 2


def test_a_sync_is_undone_once(database: Database, lincoln: SchoolRow) -> None:
    sync_id = sync_rows(database, lincoln, newcomer("u1")).sync_id
    _undo(database, sync_id)
    with pytest.raises(rollback.AlreadyUndone):
        builders.roll_back(database, sync_id, who="owner", reason="again")
    with pytest.raises(rollback.NothingToUndo):
        builders.roll_back(database, sync_rows(database, lincoln).sync_id, who="owner", reason="empty")
    with pytest.raises(ledger.UnknownSync):
        rollback.preview(database, 10**9)


def test_a_student_whose_contact_changed_since_keeps_it_and_the_membership_under_it(
    database: Database, lincoln: SchoolRow
) -> None:
    first = sync_rows(database, lincoln, newcomer("u1", changes={"contact_email": "a@example.org"}), newcomer("u2"))
    student = person_of(database, "u1")
    sync_rows(database, lincoln, row("update", student, changes={"contact_email": "b@example.org"}))
    shown = rollback.preview(database, first.sync_id)
    assert {(each.entity, each.moved) for each in shown if each.person_id == student} == {
        (entity, True) for entity in STATE
    }
    assert _undo(database, first.sync_id).counts == {"student": {"create": 1, "moved": 1}}
    assert every(database, "select person_id, email from contact") == [(student, "b@example.org")]
    assert every(database, "select sourced_id from link") == [("u1",)]


def test_a_contact_without_its_student_is_not_restored(database: Database, lincoln: SchoolRow) -> None:
    first = sync_rows(database, lincoln, newcomer("u1", changes={"contact_email": "a@example.org"})).sync_id
    stays = sync_rows(database, lincoln, newcomer("u2", changes={"contact_email": "c@example.org"}))
    gone = [row("update", person_of(database, one), changes={"contact_email": None}) for one in ("u1", "u2")]
    second = sync_rows(database, lincoln, *gone).sync_id
    _undo(database, first)
    assert (stays.outcome, _undo(database, second).outcome) == ("applied", "held")
    assert every(database, "select person_id, email from contact") == [(person_of(database, "u2"), "c@example.org")]


def test_a_membership_and_a_link_without_their_person_are_not_restored(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    first = sync_rows(database, lincoln, newcomer("u1")).sync_id
    joins = row("create", person_of(database, "u1"), changes={"role": "student"}, links=["u1b"])
    undone = _undo(database, sync_rows(database, roosevelt, joins).sync_id).sync_id
    _undo(database, first)
    with pytest.raises(rollback.NothingToUndo):
        _undo(database, undone)
    assert one(database, "select count(*) from membership") + one(database, "select count(*) from link") == 0


def test_somebody_whose_record_is_another_persons_by_now_is_not_made_again(
    database: Database, lincoln: SchoolRow
) -> None:
    undone = _undo(database, sync_rows(database, lincoln, newcomer("u1")).sync_id)
    sync_rows(database, lincoln, newcomer("u1"))
    with pytest.raises(rollback.NothingToUndo):
        _undo(database, undone.sync_id)
    assert every(database, "select person_id from membership") == [(person_of(database, "u1"),)]


def test_a_sync_from_before_links_could_be_confirmed_is_undone_as_any_other(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    moves = row("update", ada, reason="relinked", changes={"primary_record": "u2"}, links=["u2"], new_links=["u2"])
    sync_id = sync_rows(database, lincoln, moves).sync_id
    with database.begin() as conn:
        conn.execute(text("alter table change_log disable trigger append_only"))
        conn.execute(text("update change_log set before = before - 'confirmed', after = after - 'confirmed'"))
        conn.execute(text("alter table change_log enable trigger append_only"))
    assert _undo(database, sync_id).outcome == "applied"
    assert every(database, "select sourced_id, is_primary, confirmed from link") == [("u1", True, False)]


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_home_that_moved_on_since_is_not_given_to_two_records(
    database: Database, lincoln: SchoolRow, by_hand: bool
) -> None:
    sync_rows(database, lincoln, newcomer("u1"), newcomer("u9"))
    person = person_of(database, "u1")

    def moves(to: str) -> dict[str, Any]:
        return row("update", person, reason="relinked", changes={"primary_record": to}, links=[to], new_links=[to])

    second = sync_rows(database, lincoln, moves("u2"), row("archive", person_of(database, "u9"))).sync_id
    if by_hand:
        database.call(manual_edits.unlink, lincoln.connection, person, "u2", who="owner", reason="not theirs")
    else:
        sync_rows(database, lincoln, moves("u3"))
    primary = f"select sourced_id from link where person_id = {person} and is_primary"
    before = every(database, primary)
    assert _undo(database, second).counts == {"student": {"moved": 1, "archive": 1}}
    assert every(database, primary) == before == [("u1",) if by_hand else ("u3",)]


def test_a_plan_that_found_somebody_by_a_link_is_stale_once_the_link_is_rolled_back(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    links = {"links": ["u2"], "new_links": ["u2"]}
    second = sync_rows(database, lincoln, row("update", ada, reason="relinked", **links)).sync_id
    plan_id = write_plan(database, lincoln, [row("update", ada, links=["u2"], changes={"email": "x@example.org"})])
    _undo(database, second)
    with pytest.raises(PlanStale):
        builders.apply_plan(database, plan_id, who="test")


def test_two_nights_are_undone_the_newest_first(database: Database, lincoln: SchoolRow, before: Any) -> None:
    first = _a_night(database, lincoln)
    between = _state(database)
    stays, joins, leaves = (person_of(database, name) for name in ("stays", "joins", "leaves"))
    second = sync_rows(
        database,
        lincoln,
        row(
            "update",
            stays,
            changes={"family_name": "Queen", "grade": "10", "primary_record": "second"},
            links=["second"],
        ),
        row("update", joins, changes={"contact_phone": "+3", "email": None}, links=["third"], new_links=["third"]),
        row("restore", leaves),
    ).sync_id
    _undo(database, second)
    assert _state(database) == between
    result = _undo(database, first)
    assert _state(database) == before
    assert result.outcome == "applied"
