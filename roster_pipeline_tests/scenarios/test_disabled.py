"""A connection on which a disabled account means gone."""

from __future__ import annotations

from roster_pipeline_tests.scenarios.conftest import Town


def test_disabled_accounts_are_archived_where_that_means_gone_though_the_sis_still_answers_for_them(town: Town) -> None:
    town.add_school()
    town.set_connection(disabled_means_gone=True)
    town.run_sync()
    students = [person.sourced_id for person in town.people.people_of("sch-1", "student")]
    for one in students[:4]:
        town.people.edit(one, enabled=False)
    night = town.run_sync()
    assert (night["archived"], night["held"]) == (4, 0)
    assert town.active("student") == len(students) - 4
    town.people.edit(students[0], enabled=True)
    assert town.run_sync()["restored"] == 1
