from collections import Counter
from datetime import date

import pytest

from roster_pipeline.simulator import WAYS_OF_LEAVING, District, generate_district, pass_day
from roster_pipeline.simulator.person import CONTACT_ROLES, ROLES
from roster_pipeline_tests.simulator.conftest import NOW, START


def test_the_same_seed_and_start_give_the_same_people() -> None:
    one, two = (list(generate_district(7, 2, 40, start=START).people()) for _ in range(2))
    assert one == two
    assert one != list(generate_district(8, 2, 40, start=START).people())


def test_every_role_of_the_standard_is_there(district: District) -> None:
    assert {entry.role for person in district.people() for entry in person.roles} == set(ROLES)


def test_contacts_and_students_point_at_each_other(district: District) -> None:
    people = list(district.people())
    for person in people:
        for agent in person.agents:
            assert person.row in people[agent].agents
            assert (person.roles[0].role in CONTACT_ROLES) != (people[agent].roles[0].role in CONTACT_ROLES)
    assert any(len(person.agents) > 2 for person in people)
    assert any(person.has_role("student") and not person.agents for person in people)


def test_some_humans_have_two_records(district: District) -> None:
    by_email = Counter(person.email for person in district.people() if person.email)
    shared = {email for email, count in by_email.items() if count > 1}
    pairs = {tuple(sorted(p.roles[0].role for p in district.people() if p.email == email)) for email in shared}
    assert pairs == {("siteAdministrator", "teacher"), ("parent", "teacher")} or pairs == {
        ("siteAdministrator", "teacher"), ("guardian", "teacher"), ("parent", "teacher"),
    }  # fmt: skip


def test_some_people_have_two_schools_or_two_roles_in_one(district: District) -> None:
    teachers = [person for person in district.people() if person.has_role("teacher")]
    assert any(len({entry.org for entry in person.roles}) == 2 for person in teachers)
    assert any({entry.role for entry in person.roles} == {"teacher", "siteAdministrator"} for person in teachers)
    assert any(p.has_role("student") and len(p.roles) == 2 for p in district.people())


def test_student_and_staff_numbers_overlap_and_have_leading_zeros(district: District) -> None:
    students = {p.identifier for p in district.people() if p.has_role("student")}
    assert students & {p.identifier for p in district.people() if p.has_role("teacher")}
    assert "000001" in students


def test_names_hold_apostrophes_letters_beyond_ascii_and_blanks() -> None:
    names = {p.family_name for p in generate_district(7, 2, 400).people()}
    assert any("'" in name for name in names)
    assert any(" " in name for name in names)
    assert any(not name.isascii() for name in names)


def test_a_person_is_found_by_sourced_id(district: District) -> None:
    for person in district.people():
        assert district.person(person.sourced_id) == person
    for unknown in ("u-999", "u-1", "nobody", "u-01003", f"u-{1000 + len(district)}"):
        with pytest.raises(LookupError):
            district.person(unknown)


def test_people_of_a_school_are_its_active_people_with_a_current_role(district: District) -> None:
    before = {person.sourced_id for person in district.people_of("sch-1", "student")}
    leavers = sorted(before)[:5]
    for sourced_id, how in zip(leavers, ("mark", "vanish", "lose_org", "end_date"), strict=False):
        district.remove(sourced_id, how=how)
    after = {person.sourced_id for person in district.people_of("sch-1", "student")}
    assert before - after == set(leavers[:4])


@pytest.mark.parametrize("how", WAYS_OF_LEAVING)
def test_a_person_who_left_comes_back_as_before(district: District, how: str) -> None:
    sourced_id = district.people_of("sch-1", "student")[0].sourced_id
    before = district.person(sourced_id)
    district.remove(sourced_id, how=how)
    assert district.restore(sourced_id)._replace(modified=before.modified) == before


@pytest.mark.parametrize("how", ["linger", "mark_then_vanish"])
def test_some_leavers_take_some_days_to_vanish(district: District, how: str) -> None:
    sourced_id = district.people_of("sch-1", "student")[0].sourced_id
    district.remove(sourced_id, how=how, days=2)
    pass_day(district)
    assert district.person(sourced_id).status == ("active" if how == "linger" else "tobedeleted")
    pass_day(district)
    with pytest.raises(LookupError):
        district.person(sourced_id)


def test_verbs_change_and_stamp_one_person(district: District) -> None:
    added = district.add("teacher", "sch-2", given_name="Ola", email="ola@staff.example.org")
    assert (added.given_name, added.roles[0].org) == ("Ola", "sch-2")
    assert district.move(added.sourced_id, "sch-3").roles[0].org == "sch-3"
    assert district.set_role(added.sourced_id, "principal").roles[0].role == "principal"
    assert district.rename(added.sourced_id, given_name="Olav").given_name == "Olav"
    assert district.rename(added.sourced_id).family_name != added.family_name
    assert district.edit(added.sourced_id, enabled=False).modified == NOW.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_a_new_student_has_a_new_contact_linked_both_ways(district: District) -> None:
    student = district.add("student", "sch-1")
    (contact,) = (district.at(row) for row in student.agents)
    assert contact.agents == (student.row,)
    assert contact.has_role("parent")


def test_a_day_is_reproducible_and_changes_each_person_once() -> None:
    def nights() -> list[tuple[object, ...]]:
        district = generate_district(7, 3, 60, start=START, clock=lambda: NOW)
        return [
            pass_day(
                district,
                joiners=6,
                leavers=6,
                renames=4,
                role_moves=2,
                school_moves=2,
                renumbered=2,
                returners=2,
                how=["mark", "vanish"],
            )
            for _ in range(3)
        ]

    first, second = nights(), nights()
    assert first == second
    for report in first:
        changed = [sourced_id for group in report[1:] for sourced_id in group]  # type: ignore[attr-defined]
        assert len(changed) == len(set(changed))
    assert [len(group) for group in first[1][1:]] == [6, 6, 2, 4, 2, 2, 2]  # type: ignore[arg-type]


def test_reset_forgets_every_change(district: District) -> None:
    before = list(district.people())
    pass_day(district, joiners=3, leavers=3, renames=3)
    district.reset()
    assert list(district.people()) == before
    assert district.day == 0


def test_a_million_people_take_no_memory_to_speak_of() -> None:
    import tracemalloc

    tracemalloc.start()
    district = generate_district(7, schools=430, students_per_school=1000, start=date(2026, 9, 1))
    assert len(district) > 1_000_000
    assert district.at(999_999).sourced_id == "u-1000999"
    pass_day(district, joiners=50, leavers=50, renames=50)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30_000_000
