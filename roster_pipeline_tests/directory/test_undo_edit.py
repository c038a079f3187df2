"""Undo of one edit by hand: everything is as before, unless something newer changed the same values."""

from typing import Any

import pytest
from sqlalchemy import Connection

from roster_pipeline.directory import audit, ledger, manual_edits, members, undo_edit
from roster_pipeline.directory.apply import PlanStale
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.directory.undo_edit import CannotUndo
from roster_pipeline.services import person_changes
from roster_pipeline_tests.directory import builders


def _state(conn: Connection, school: SchoolRow, person: int) -> Any:
    found = vars(members.get_person(conn, school.district_id, person)).copy()
    del found["updated_at"]
    for each in found["exclusions"]:
        del each["since"]
    return found


def _newest(database: Database, person: int) -> int:
    return database.call(audit.search, person_id=person, limit=1)[0].id


def _undo(database: Database, school: SchoolRow, person: int, edit: int) -> None:
    database.call(undo_edit.undo, school.district_id, person, edit, who="manager", reason="a mistake")


def test_an_undo_brings_everything_back_is_audited_and_makes_plans_stale(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    kinds = builders.every_edit(lincoln, ada)
    assert undo_edit.EDITS.keys() == kinds.keys()
    for what, do in kinds.items():
        before = database.call(_state, lincoln, ada)
        database.call(do)
        assert database.call(_state, lincoln, ada) != before, what
        edit = _newest(database, ada)
        plan = builders.write_plan(database, lincoln, [builders.row("update", ada, changes={"email": "x@example.org"})])
        _undo(database, lincoln, ada, edit)
        assert database.call(_state, lincoln, ada) == before, what
        line = database.call(audit.search, person_id=ada, limit=1)[0]
        assert (line.who, line.what, line.reason) == ("manager", "edit undone", "a mistake")
        assert line.details == {"edit": edit, "was": what}
        with pytest.raises(PlanStale):
            builders.apply_plan(database, plan, who="test")
        with pytest.raises(CannotUndo, match="already"):
            _undo(database, lincoln, ada, edit)
        database.call(do)


def test_what_was_said_of_a_record_before_comes_back(database: Database, lincoln: SchoolRow, ada: int) -> None:
    excluded = "select sourced_id from link_exclusion"
    database.call(manual_edits.link, lincoln.connection, ada, "u2", **builders.BY)
    database.call(manual_edits.unlink, lincoln.connection, ada, "u2", **builders.BY)
    database.call(manual_edits.link, lincoln.connection, ada, "u2", **builders.BY)
    assert builders.every(database, excluded) == []
    _undo(database, lincoln, ada, _newest(database, ada))
    assert builders.every(database, excluded) == [("u2",)]
    builders.write_plan(database, lincoln, [builders.row("conflict", ada, links=["u3"], reason="match_contradicted")])
    database.call(manual_edits.unlink, lincoln.connection, ada, "u3", **builders.BY)
    assert len(builders.every(database, excluded)) == 2
    _undo(database, lincoln, ada, _newest(database, ada))
    assert builders.every(database, excluded) == [("u2",)], "of a record that was never linked"


def test_a_later_change_of_another_value_does_not_prevent_the_undo(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    district = lincoln.district_id
    database.call(manual_edits.edit, district, ada, {"phone": "+1"}, **builders.BY)
    edit = _newest(database, ada)
    builders.sync_rows(
        database, lincoln, builders.row("update", ada, changes={"email": "new@example.org"}, links=["u1"])
    )
    database.call(manual_edits.set_lock, district, ada, "username", True, **builders.BY)
    _undo(database, lincoln, ada, edit)
    assert builders.every(database, "select phone, email, locked_fields from person") == [
        (None, "new@example.org", ["username"])
    ]


def test_what_something_newer_changed_is_refused_in_words(database: Database, lincoln: SchoolRow, ada: int) -> None:
    district, source, do = lincoln.district_id, lincoln.connection, builders.every_edit(lincoln, ada)
    builders.sync_rows(database, lincoln, builders.newcomer("b1", "Bo"))
    bo = builders.person_of(database, "b1")
    newer: dict[str, tuple[builders.Do, builders.Do]] = {
        "Phone was changed again since": (
            lambda conn: manual_edits.edit(conn, district, ada, {"phone": "+1"}, **builders.BY),
            lambda conn: manual_edits.edit(conn, district, ada, {"phone": "+2"}, **builders.BY),
        ),
        "The lock of a field was changed again since": (do["field locked"], do["field unlocked"]),
        "The membership was changed again since": (do["membership archived"], do["membership active"]),
        "Whether syncs change the person was changed": (do["person excluded"], do["person included"]),
        f"The record is linked to person {bo} now": (
            lambda conn: manual_edits.unlink(conn, source, ada, "u1", **builders.BY),
            lambda conn: manual_edits.link(conn, source, bo, "u1", **builders.BY),
        ),
        "The link of the record was changed since": (
            lambda conn: manual_edits.link(conn, source, ada, "u5", **builders.BY),
            lambda conn: manual_edits.set_primary_record(conn, source, ada, "u5", **builders.BY),
        ),
        "It changed nothing that is still there": (do["person included"], do["person excluded"]),
    }
    for words, (edit, later) in newer.items():
        database.call(edit)
        number = _newest(database, ada)
        database.call(later)
        count = builders.one(database, "select count(*) from change_log")
        with pytest.raises(CannotUndo) as refused:
            _undo(database, lincoln, ada, number)
        assert words in str(refused.value)
        assert builders.one(database, "select count(*) from change_log") == count
    with pytest.raises(CannotUndo, match="no edit"):
        _undo(database, lincoln, bo, _newest(database, ada))
    with pytest.raises(CannotUndo, match="no edit"):
        _undo(database, lincoln, ada, 999_999)


def test_an_undone_archival_is_shown_in_dagster_as_a_restoration(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    database.call(person_changes.set_archived, "lincoln", ada, True, **builders.BY)
    edit = _newest(database, ada)
    database.call(person_changes.undo, lincoln.district_id, ada, edit, **builders.BY)
    log = database.call(ledger.changes_of_person, lincoln.district_id, ada)
    assert [kind for (kind,) in builders.every(database, "select kind from unreported_decision order by id")] == [
        "archival",
        "restore",
    ]
    assert (log[-1].sync_id, log[-1].entity) == (None, "membership")
