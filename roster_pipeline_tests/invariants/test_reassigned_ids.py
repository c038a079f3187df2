"""Nights of ids that went to somebody else: model and pipeline agree, and nobody becomes somebody else."""

import pytest

from roster_pipeline.directory import plans, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.relink import unlink_leavers
from roster_pipeline_tests.invariants.district import CheckedDistrict
from roster_pipeline_tests.invariants.manual_edits import say_the_truth_of
from roster_pipeline_tests.invariants.person import Person
from roster_pipeline_tests.invariants.rules import SchoolRules
from roster_pipeline_tests.invariants.sis_state import LEAVING, Leaving
from roster_pipeline_tests.invariants.sync_district import Site

LEFT_ALONE = """
select r.action, count(*) as rows from plan_row r
where r.action in ('skip', 'conflict') and r.plan_id = (
    select max(p.id) from plan p join school s on s.id = p.school_id where s.key = :school)
group by r.action
"""


@pytest.fixture
def district(database: Database, site: Site) -> CheckedDistrict:
    """Two schools with twelve students each, after the first night of the first one."""
    district = CheckedDistrict(database, site, 0, [SchoolRules("sch-1"), SchoolRules("sch-2")])
    for school in district.sis.schools:
        for _ in range(12):
            district.sis.join(school, "student")
    night(district)
    return district


def night(district: CheckedDistrict, school: str | None = None) -> dict[str, int]:
    """One night of a school (by default the first), compared with the model; returns its changes, and the people left
    alone."""
    school = school or district.schools[0]
    district.model.night(district.ids[school], district.sis.served())
    applied = district.place.sync_school(school)
    district.check()
    alone = district.place.rows(LEFT_ALONE, school=school)
    done = {what: rows for what, rows in applied.by_action.items() if rows}
    return done | {row["action"]: row["rows"] for row in alone}


def unlink_all(district: CheckedDistrict, school: str) -> int:
    """By the school's newest plan."""
    for person in district.model.people:
        district.number_of(person)
    with district.place.database.begin() as conn:
        found = tenants.get_school(conn, school)
        plan = plans.latest(conn, found.id)
        assert plan is not None
        return len(unlink_leavers(conn, found, plan, who="owner", reason="new ids every year"))


def forget(person: Person, link: str) -> None:
    """In the model: the record is not theirs, and they have no other record."""
    person.links.remove(link)
    person.masters.pop(link, None)
    person.not_theirs.add(link)
    person.primary = None


@pytest.mark.parametrize("kinds", [LEAVING[:2], LEAVING[2:]], ids=" ".join)
@pytest.mark.parametrize("gone_before", [False, True])
def test_a_leavers_id_that_goes_to_a_newcomer_waits_until_it_is_unlinked(
    district: CheckedDistrict, kinds: tuple[Leaving, ...], gone_before: bool
) -> None:
    leavers = district.sis.here()[: len(kinds)]
    for leaver, how in zip(leavers, kinds, strict=True):
        district.sis.leave(leaver, how)
        if gone_before:
            assert night(district) == {"archive": 1}
    newcomers = [
        district.sis.give_away(district.sis.records[leaver.sourced_id], "sch-1", "student") for leaver in leavers
    ]
    for _ in range(2):
        assert night(district) == {"conflict": 2}
    assert sorted(district.doubted()) == sorted(leaver.sourced_id for leaver in leavers)
    for leaver in leavers:
        assert not say_the_truth_of(district, leaver.sourced_id)
    assert night(district)["create"] == 2
    assert night(district) == ({} if gone_before else {"skip": 2})
    names = {shown["given"] for shown in district.pipeline().values()}
    assert {known.given for known in (*leavers, *newcomers)} <= names


def test_ids_of_leavers_that_all_went_to_newcomers_are_taken_away_at_once(district: CheckedDistrict) -> None:
    leavers, active = district.sis.here()[:2], district.sis.here()[2]
    for leaver in leavers:
        district.sis.leave(leaver, "vanish")
        assert night(district) == {"archive": 1}
    for leaver in leavers:
        district.sis.give_away(district.sis.records[leaver.sourced_id], "sch-1", "student")
    district.sis.transform(active)
    assert night(district) == {"conflict": 3}
    school = district.schools[0]
    assert [unlink_all(district, school) for _ in range(2)] == [2, 0]
    for leaver in leavers:
        forget(district.model.linked[leaver.sourced_id], leaver.sourced_id)
    assert night(district) == {"create": 2, "conflict": 1}
    assert night(district) == {"conflict": 1}
    told = district.place.rows("select person_id, reason from audit where what = 'record unlinked'")
    assert len({line["person_id"] for line in told if line["reason"] == "new ids every year"}) == len(told) == 2


def test_somebody_with_all_values_changed_is_followed_once_that_was_confirmed(district: CheckedDistrict) -> None:
    changed = district.sis.here()[0]
    district.sis.transform(changed)
    for _ in range(2):
        assert night(district) == {"conflict": 1}
    assert say_the_truth_of(district, changed.sourced_id)
    assert night(district) == {"update": 1}
    district.sis.transform(district.sis.records[changed.sourced_id])
    assert night(district) == {"update": 1}


def test_a_deletion_of_somebody_else_keeps_the_member_until_the_link_is_decided(district: CheckedDistrict) -> None:
    left, wrong = district.sis.here()[:2]
    district.sis.leave(left, "mark")
    district.sis.transform(wrong)
    district.sis.leave(district.sis.records[wrong.sourced_id], "mark")
    assert night(district) == {"archive": 1, "conflict": 1}
    assert night(district) == {"conflict": 1}
    assert say_the_truth_of(district, wrong.sourced_id)
    assert night(district) == {"archive": 1}


def test_a_human_whose_old_id_went_to_somebody_else_keeps_who_they_are(district: CheckedDistrict) -> None:
    moved = district.sis.here()[0]
    district.sis.rekey(moved)
    district.sis.give_away(district.sis.records[moved.sourced_id], "sch-1", "student")
    assert night(district) == {"conflict": 2}
    assert not say_the_truth_of(district, moved.sourced_id)
    assert night(district) == {"create": 1, "update": 1}


def test_an_id_that_went_to_another_school_waits_there_while_here_its_person_left_or_has_another(
    district: CheckedDistrict,
) -> None:
    night(district, district.schools[1])
    leaver, moved = district.sis.here()[:2]
    district.sis.leave(leaver, "vanish")
    district.sis.rekey(moved)
    for known in (leaver, moved):
        district.sis.give_away(district.sis.records[known.sourced_id], "sch-2", "student")
    assert night(district) == {"archive": 1, "update": 1}
    assert night(district, district.schools[1]) == {"conflict": 2}
    assert night(district) == {"conflict": 1}
    assert not say_the_truth_of(district, moved.sourced_id)
    assert [night(district, school) for school in district.schools] == [{}, {"conflict": 1, "create": 1}]


def test_ids_that_are_dealt_anew_among_many_hold_everything(district: CheckedDistrict) -> None:
    for record in district.sis.here()[:4]:
        district.sis.leave(record, "vanish")
        district.sis.give_away(district.sis.records[record.sourced_id], "sch-1", "student")
    district.sis.join("sch-1", "student")
    assert night(district) == {"conflict": 4, "held": 1}
