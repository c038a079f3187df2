"""A plan that changed nobody is taken over, unless something that it read has changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from roster_pipeline.directory import plan_reuse, snapshots, tenants
from roster_pipeline.directory.plan_reuse import Earlier
from roster_pipeline_tests.district import District
from roster_pipeline_tests.settled_plans import TAKEN_OVER, plan_and_compare

STRANGER = """
with stranger as (
    insert into person (district_id, email, number, number_kind, number_connection_id)
    values (:district, {email}, {number}, 'student', :connection) returning id
)
"""
RECORD = """
(select {column} from cleaned_roster where snapshot_id = :snapshot and role = 'student' and number_kind = 'student'
 order by sourced_id limit 1)
"""
ONE = "(select max(person_id) from membership where school_id = :school and role = 'student')"
PLAN = (
    "insert into plan (district_id, school_id, snapshot_id, hash, position, first_sync, dry_run, person_id) "
    "select district_id, school_id, snapshot_id, '', 1, false, {dry_run}, {person} from plan where id = :plan"
)
NOT_HERE = STRANGER.format(email="'nobody@x.example'", number="'none'")
AGAIN: dict[str, str] = {
    "a member's name": f"update person set family_name = 'Okonkwo-Byrne' where id = {ONE}",
    "a member's phone is locked": f"update person set locked_fields = '{{phone}}' where id = {ONE}",
    "a member's role elsewhere": "insert into membership (district_id, school_id, person_id, role, status) "
    f"values (:district, :other, {ONE}, 'student', 'active')",
    "a membership that ended": f"delete from membership where school_id = :school and person_id = {ONE}",
    "a stranger's e-mail": STRANGER.format(email=f"upper({RECORD.format(column='email')})", number="null") + "select",
    "a stranger's number": STRANGER.format(email="null", number=RECORD.format(column="number || ' '")) + "select",
    "a stranger's record": NOT_HERE + "update link set person_id = stranger.id from stranger "
    f"where connection_id = :connection and sourced_id = {RECORD.format(column='sourced_id')}",
    "an exemption": "insert into exemption (district_id, school_id, connection_id, action, role, sourced_ids, who, "
    "reason) values (:district, :school, :connection, 'create', 'student', '{x}', 'test', 'test')",
    "an announced leaver": "insert into announced_leaver (district_id, school_id, person_id, day, who, reason) "
    f"values (:district, :school, {ONE}, current_date - 2, 'test', 'test')",
    "a record unlinked by hand": "insert into link_exclusion (district_id, connection_id, sourced_id, person_id) "
    f"values (:district, :connection, 'x', {ONE})",
    "a setting of the district": "update district set settings = settings || '{\"x\": 1}'",
    "a setting of another school": "update school set settings = settings || '{\"preferred_names\": true}' "
    "where id = :other",
    "an incomplete snapshot": "update snapshot set complete = false where id = :snapshot",
    "a list of changes": "update snapshot set mode = 'delta' where id = :snapshot",
    "another roster": "update snapshot set roster_version = roster_version + 1 where id = :snapshot",
    "a newer plan": PLAN.format(dry_run="false", person="null"),
    "lists that are gone": "delete from plan_unchanged where plan_id = :plan",
}
SAME: dict[str, str] = {
    "a stranger": NOT_HERE + "select",
    "a plan of one person": PLAN.format(dry_run="false", person=ONE),
    "a dry run": PLAN.format(dry_run="true", person="null"),
    "an announcement of next month": "insert into announced_leaver (district_id, school_id, person_id, day, who, "
    f"reason) values (:district, :school, {ONE}, current_date + 30, 'test', 'test')",
}


class Nights:
    """Nights of two schools without changes, until a plan of the first one is kept."""

    def __init__(self, district: District) -> None:
        self.database = district.database
        for school, night in (("kennedy", "1"), ("lincoln", "1"), ("lincoln", "2")):
            district.sync_school(school, night)

    def found(self, change: str = "", days: int = 0, **more: Any) -> Earlier | None:
        """Whether the newest plan is right again after a change, which is undone."""
        with self.database.begin() as conn:
            given = self.facts(conn) | more
            if change:
                used = {name: value for name, value in given.items() if f":{name}" in change}
                conn.execute(text(change), used)
            school = tenants.get_school(conn, "lincoln")
            today = datetime.now(UTC).date() + timedelta(days=days)
            found = plan_reuse.find(conn, school, snapshots.facts(conn, given["snapshot"]), today)
            conn.rollback()
        return found

    def facts(self, conn: Connection) -> dict[str, Any]:
        """Numbers for the statements."""
        school, other = (tenants.get_school(conn, key) for key in ("lincoln", "kennedy"))
        newest = "select max({}) from plan where school_id = :school"
        given = {"school": school.id}
        return given | {
            "district": school.district_id, "connection": school.connection.id, "other": other.id,
            "plan": conn.scalar(text(newest.format("id")), given),
            "snapshot": conn.scalar(text(newest.format("snapshot_id")), given),
        }  # fmt: skip


def test_a_plan_that_changed_nobody_is_taken_over_until_something_that_it_read_has_changed(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    district.add_school(primary_contacts=True)
    district.add_school("kennedy", school_id="sch-2")
    plans = plan_and_compare(monkeypatch)
    nights = Nights(district)
    assert plans == [0, 0, 0], "the first plan created everybody, and the change log names them since"
    assert nights.found()
    for what, change in SAME.items():
        assert nights.found(change), what
    for what, change in AGAIN.items():
        assert not nights.found(change), what
    for days, again in ((6, False), (7, True), (-1, True)):
        assert bool(nights.found(days=days)) != again, days
    with monkeypatch.context() as patched:
        patched.setattr(plan_reuse, "MOST_CHANGED", 0)
        assert not nights.found(SAME["a stranger"])
    strangers = district.people.people_of("sch-2", "student")[-2:]
    for night, stranger in zip(("3", "4"), strangers, strict=True):
        district.people.rename(stranger.sourced_id, family_name="Okonkwo-Byrne")
        assert district.sync_school("kennedy", night).changed == 1
        assert district.sync_school("lincoln", night).outcome == "unchanged"
    assert plans[3:] == [0, TAKEN_OVER, 0, TAKEN_OVER], "changes of another school's people do not count"


def test_a_change_of_somebody_whom_the_plan_read_besides_the_members_counts(district: District) -> None:
    district.add_school(primary_contacts=True)
    district.add_school("kennedy", school_id="sch-2")
    nights = Nights(district)
    with district.database.begin() as conn:
        given = nights.facts(conn)
        stranger = int(conn.scalar(text(NOT_HERE + "select id from stranger"), given) or 0)
    found = nights.found()
    assert found, "a stranger"
    district.database.call(plan_reuse.keep, given["snapshot"], replace(found, others=[stranger]), mode="full")
    assert not nights.found(f"update person set family_name = 'Okonkwo' where id = {stranger}")
