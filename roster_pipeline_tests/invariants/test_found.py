"""Nights in which random syncs once found an error, each as small as possible."""

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline_tests.invariants.district import CheckedDistrict
from roster_pipeline_tests.invariants.rules import SchoolRules
from roster_pipeline_tests.invariants.sync_district import Site


@pytest.fixture
def district(database: Database, site: Site) -> CheckedDistrict:
    """Two empty schools with everything switched on."""
    return CheckedDistrict(database, site, 0, [SchoolRules("sch-1"), SchoolRules("sch-2")])


def test_several_records_of_one_human_in_one_role_are_not_taken_for_a_role_that_shrank(
    district: CheckedDistrict,
) -> None:
    for number in range(6):
        teacher = district.sis.join("sch-1", "teacher")
        if number < 3:
            district.sis.second_record(teacher, "sch-1", "teacher", mailbox=False)
    district.place.sync_school(district.schools[0])
    district.sis.join("sch-1", "student")
    night = district.place.sync_school(district.schools[0])
    assert (night.by_action["create"], night.by_action["held"]) == (1, 0)


def test_an_administrator_whose_other_record_sorts_first_still_counts_as_one(district: CheckedDistrict) -> None:
    teacher = district.sis.join("sch-1", "teacher")
    second = district.sis.second_record(teacher, "sch-1", "admin", mailbox=False)
    assert teacher.sourced_id < second.sourced_id
    district.place.sync_school(district.schools[0])
    district.sis.join("sch-1", "student")
    night = district.place.sync_school(district.schools[0])
    assert (night.by_action["create"], night.by_action["held"]) == (1, 0)


def test_a_first_sync_waits_for_approval_also_after_a_night_that_brought_nobody(database: Database, site: Site) -> None:
    district = CheckedDistrict(database, site, 0, [SchoolRules("sch-1", approves_first=True)])
    district.place.sync_school(district.schools[0])
    for _ in range(3):
        district.sis.join("sch-1", "student")
    night = district.place.sync_school(district.schools[0])
    assert (night.by_action["create"], night.by_action["held"]) == (0, 3)


def test_a_home_record_in_another_school_is_not_taken_for_gone_when_somebody_returns(district: CheckedDistrict) -> None:
    first, second = district.schools
    home = district.sis.join("sch-1", "teacher")
    other = district.sis.second_record(home, "sch-2", "teacher", mailbox=True)
    district.sis.join("sch-2", "teacher")
    for school in (first, second):
        district.place.sync_school(school)
    district.sis.leave(other, "mark")
    district.place.sync_school(second)
    district.sis.come_back(district.sis.records[other.sourced_id])
    assert district.place.sync_school(second).by_action["restore"] == 1
    person = next(shown for links, shown in district.pipeline().items() if home.sourced_id in links)
    assert (person["primary"], person["email"]) == ([home.sourced_id], home.email)


def test_somebody_whose_new_record_shares_its_number_with_a_stranger_is_not_archived(district: CheckedDistrict) -> None:
    known = [district.sis.join("sch-1", "teacher") for _ in range(3)]
    district.place.sync_school(district.schools[0])
    rekeyed = district.sis.rekey(known[0])
    district.sis.take_number_of(district.sis.join("sch-1", "teacher"), rekeyed)
    for _ in range(2):
        night = district.place.sync_school(district.schools[0])
        assert (night.by_action["create"], night.by_action["archive"], night.by_action["held"]) == (0, 0, 0)
    district.sis.own_number(district.sis.here()[-1])
    assert district.place.sync_school(district.schools[0]).by_action["update"] == 1
    assert {known[0].sourced_id, rekeyed.sourced_id} <= {link for links in district.pipeline() for link in links}


def test_somebody_of_another_school_is_found_by_a_number_in_another_spelling(district: CheckedDistrict) -> None:
    known = district.sis.join("sch-1", "student")
    for _ in range(3):
        district.sis.join("sch-2", "student")
    for school in district.schools:
        district.place.sync_school(school)
    district.sis.leave(known, "vanish")
    number, truth = f"00{known.number}", known.truth  # the SIS knows them under another id now
    values = {name: getattr(known, name) for name in ("given", "family", "middle", "grade", "master", "username")}
    district.sis.look_alike("sch-2", "student", numbered=True, number=number, truth=truth, **values)
    night = district.place.sync_school(district.schools[1])
    assert len([shown for shown in district.pipeline().values() if shown["given"] == known.given]) == 1
    assert district.place.rows("select notes from plan_row where notes like 'found_by%'") == [
        {"notes": "found_by_number"}
    ]
    assert night.by_action["create"] == 1
