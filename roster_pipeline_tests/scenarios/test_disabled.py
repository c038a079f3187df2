"""A connection on which a disabled account means gone."""

from roster_pipeline_tests.district import District


def test_disabled_accounts_that_mean_gone_are_archived_although_the_sis_answers_for_them(district: District) -> None:
    district.add_school()
    district.set_connection(disabled_means_gone=True)
    district.run_sync()
    students = [person.sourced_id for person in district.people.people_of("sch-1", "student")]
    for one in students[:4]:
        district.people.edit(one, enabled=False)
    night = district.run_sync()
    assert (night["archived"], night["held"]) == (4, 0)
    assert district.active("student") == len(students) - 4
    district.people.edit(students[0], enabled=True)
    assert district.run_sync()["restored"] == 1
