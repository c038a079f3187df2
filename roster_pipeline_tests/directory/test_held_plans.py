"""Held plans over many schools, their timeline; a plan's rows page by page; rejected records; the audit searched."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from roster_pipeline.directory import approvals, audit, held_plans, manual_edits, plan_rows, plans, rollback, rosters
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.plan_rows import RowFilter
from roster_pipeline.directory.rosters import RejectedFilter, UnknownSnapshot
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory import builders

NOW = datetime.now(UTC)
FINDING = {"guard": "archivals", "message": "many", "value": 0.5, "limit": 0.1, "overridable": True}
CREATES = ("student", "create")


def _held_plan(database: Database, school: SchoolRow, *names: str) -> int:
    return builders.write_plan(
        database, school, [builders.newcomer(name) for name in names or ("u1",)], held={CREATES: [FINDING]}
    )


def test_held_plans_are_those_of_the_schools_one_may_see_newest_first(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    elsewhere = database.call(builders.add_school, "elsewhere", connection="other", district="shelbyville")
    first, second, third = (_held_plan(database, school) for school in (lincoln, roosevelt, elsewhere))
    with database.begin() as conn:
        everything = held_plans.waiting(conn)
        assert [one.plan_id for one in everything] == [third, second, first]
        assert {(one.plans, one.all_rows) for one in everything} == {(3, 3)}
        assert [one.plan_id for one in held_plans.waiting(conn, districts=[lincoln.district_id])] == [second, first]
        assert [one.plan_id for one in held_plans.waiting(conn, schools=[elsewhere.id])] == [third]
        assert held_plans.waiting(conn, districts=[], schools=[]) == []
        assert [one.plan_id for one in held_plans.waiting(conn, words="ROOSE")] == [second]
        assert held_plans.waiting(conn, guard="witness") == []
        (page,) = held_plans.waiting(conn, guard="archivals", limit=1, offset=1)
    assert (page.plan_id, page.kinds[0]["findings"], page.plans) == (second, [FINDING], 3)


def test_a_plans_timeline_says_who_decided_what(database: Database, lincoln: SchoolRow) -> None:
    plan_id = _held_plan(database, lincoln)
    night = builders.apply_plan(database, plan_id, who="night")
    database.call(approvals.approve, plan_id, "early", "too early", NOW - timedelta(hours=100))
    database.call(approvals.approve, plan_id, "owner", "they are new", NOW)
    done = builders.apply_plan(database, plan_id, who="owner", kind="approval")
    newer = _held_plan(database, lincoln, "u2")
    with database.begin() as conn:
        events = held_plans.timeline(conn, plans.get(conn, plan_id))
        assert held_plans.sync_after(conn, plan_id) == done.sync_id
    told = sorted((event.what, event.who, event.sync_id, event.lapsed(NOW)) for event in events if event.who)
    assert told == [
        ("approval", "owner", done.sync_id, False),
        ("approve", "early", None, True),
        ("approve", "owner", done.sync_id, False),
        ("sync", "night", night.sync_id, False),
    ]
    assert (events[-1].what, events[-1].sync_id) == ("newer", newer)


def test_rows_are_chosen_counted_and_paged(database: Database, lincoln: SchoolRow) -> None:
    builders.sync_rows(database, lincoln, builders.newcomer("old", "Grace"))
    grace = builders.person_of(database, "old")
    rows = [builders.newcomer(f"u{n}", f"Ada{n}", changes={"email": f"ada{n}@example.org"}) for n in range(7)]
    rows += [builders.row("archive", grace, links=["old"]), builders.row("unchanged", role="teacher", links=["t%_1"])]
    rows[2] |= {"notes": "email_of_another records_joined"}
    rows[5] |= {"notes": "email_of_another"}
    plan_id = builders.write_plan(database, lincoln, rows, held={("student", "archive"): [FINDING]})
    with database.begin() as conn:
        plan = plans.get(conn, plan_id)

        def chosen(**more: object) -> list[int]:
            one = RowFilter(**more)  # type: ignore[arg-type]
            found = [each["row"] for each in plan_rows.page(conn, plan, one)]
            assert len(found) == plan_rows.count(conn, plan, one)
            assert [each["row"] for each in plan_rows.following(conn, plan, one)] == found
            return found

        assert len(chosen()) == 9
        assert chosen(actions=("archive", "unchanged")) == [7, 8]
        assert chosen(role="teacher") == [8]
        assert chosen(held=True) == chosen(words="GRACE love") == chosen(words="old") == [7]
        assert chosen(words="ada3") == chosen(words="ADA3@example.org") == [3]
        assert chosen(words="%_1") == [8], "no wildcard"
        assert chosen(notes=("records_joined", "found_by_id")) == [2]
        assert chosen(words="'; drop table plan_row") == []
        (third,) = plan_rows.page(conn, plan, RowFilter(), limit=1, offset=7)
        assert (third["name"], third["held"], third["sync_id"]) == ("Grace Lovelace", True, None)
        assert plan_rows.following(conn, plan, RowFilter(), after=7)[0]["row"] == 8


def test_rejected_records_belong_to_their_school(database: Database, lincoln: SchoolRow, roosevelt: SchoolRow) -> None:
    snapshot_id = builders.snapshot_of(database, lincoln)
    columns = ["collection", "sourced_id", "field", "rule", "severity", "role"]
    frame = pd.DataFrame(
        [("users", f"u{n}", "email", "invalid_email", "warning", "student") for n in range(5)]
        + [("users", None, "sourcedId", "missing", "error", None)],
        columns=columns,
    )
    with database.begin() as conn:
        rosters.write(conn, snapshot_id, builders.NOBODY, frame)
        assert rosters.snapshot_of_school(conn, lincoln.id, snapshot_id).id == snapshot_id
        with pytest.raises(UnknownSnapshot):
            rosters.snapshot_of_school(conn, roosevelt.id, snapshot_id)
        assert rosters.page(conn, snapshot_id, RejectedFilter(), limit=1)[0]["severity"] == "error"
        assert rosters.count(conn, snapshot_id, RejectedFilter(rule="invalid_email", words="U3")) == 1
        assert [(line["rule"], line["rows"]) for line in rosters.by_rule(conn, snapshot_id)] == [
            ("missing", 1),
            ("invalid_email", 5),
        ]


def test_the_audit_is_searched_by_district_school_kind_and_words(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    with database.begin() as conn:
        audit.record(conn, who="ada@example.org", what="settings changed", school_id=lincoln.id, reason="new year")
        audit.record(conn, who="bob@example.org", what="hold approved", district_id=roosevelt.district_id)
        audit.record(conn, who="root", what="access granted")

        def found(**more: object) -> list[str]:
            return [entry.what for entry in audit.search(conn, **more)]  # type: ignore[arg-type]

        assert found() == ["access granted", "hold approved", "settings changed"]
        assert found(districts=[lincoln.district_id]) == ["hold approved", "settings changed"]
        assert found(districts=[]) == []
        assert found(school_id=lincoln.id) == found(words="ADA year lincoln") == ["settings changed"]
        assert found(what="hold approved") == found(limit=1, offset=1) == ["hold approved"]
        assert audit.kinds(conn) == ["access granted", "hold approved", "settings changed"]


def test_a_rollback_is_outlined_in_numbers_and_changes_nothing(database: Database, lincoln: SchoolRow) -> None:
    sync_id = builders.sync_rows(database, lincoln, builders.newcomer("u1"), builders.newcomer("u2", "Grace")).sync_id
    grace = builders.person_of(database, "u2")
    database.call(manual_edits.edit, lincoln.district_id, grace, {"phone": "+49"}, who="o", reason="called")
    outline = rollback.outline(database, sync_id)
    assert outline.people == {"student": {"create": 1, "moved": 1}}
    assert (outline.undone, outline.left_alone) == (1, 1)
    assert [(one["name"], one["role"]) for one in outline.moved] == [("Grace Lovelace", "student")]
    assert rollback.outline(database, sync_id, only="archived").people == {}
    assert rollback.outline(database, sync_id) == outline
