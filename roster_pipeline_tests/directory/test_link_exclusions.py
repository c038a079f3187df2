"""Link exclusions hold against plans, rollbacks and erasures, and concern nobody else."""

from functools import partial

import pytest

from roster_pipeline.directory import audit, manual_edits, members, rollback, tenant_changes
from roster_pipeline.directory.apply import PlanStale
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.operations import erase
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.loaded_directories import load_both_ways

BY = builders.Decision(who="owner", reason="a namesake")
MAIL = "ada@example.org"
APART = "select connection_id, sourced_id, person_id from link_exclusion order by 2, 3"


@pytest.fixture
def ada(database: Database, lincoln: SchoolRow) -> int:
    """Ada, with the records u1 and u2."""
    builders.sync_rows(database, lincoln, builders.newcomer("u1", changes={"number": "17", "email": MAIL}))
    person = builders.person_of(database, "u1")
    builders.sync_rows(
        database, lincoln, builders.row("update", person, reason="relinked", links=["u2"], new_links=["u2"])
    )
    return person


def unlink(database: Database, school: SchoolRow, person: int, sourced_id: str = "u2") -> None:
    database.call(manual_edits.unlink, school.connection, person, sourced_id, **BY)


def link(database: Database, school: SchoolRow, person: int, sourced_id: str = "u2") -> None:
    database.call(manual_edits.link, school.connection, person, sourced_id, **BY)


def test_unlinking_is_remembered_until_the_two_are_linked_again(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    with pytest.raises(manual_edits.NoSuchLink):
        unlink(database, lincoln, ada, "unknown")
    assert builders.every(database, APART) == [], "what was refused is not remembered"
    for _ in range(2):
        unlink(database, lincoln, ada)
        assert builders.every(database, APART) == [(lincoln.connection.id, "u2", ada)]
        (told,) = database.call(members.get_person, lincoln.district_id, ada).exclusions
        assert (told["connection"], told["sourced_id"]) == (lincoln.connection.key, "u2")
        link(database, lincoln, ada)
        assert builders.every(database, APART) == []
    builders.sync_rows(database, lincoln, builders.newcomer("u9"))
    unlink(database, lincoln, ada)
    link(database, lincoln, builders.person_of(database, "u9"))
    assert builders.every(database, APART) == [(lincoln.connection.id, "u2", ada)], "a link to somebody else keeps it"


def test_a_plan_that_would_link_the_two_is_stale_with_any_revisions(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    unlink(database, lincoln, ada)
    for action in ("update", "unchanged", "skip"):
        for way in (builders.apply_plan, partial(builders.relink, reason="new ids")):
            plan_id = builders.write_plan(
                database, lincoln, [builders.row(action, ada, links=["u2"], new_links=["u2"])]
            )
            with pytest.raises(PlanStale, match="The directory changed"):
                way(database, plan_id, who="night")
    assert builders.every(database, "select sourced_id from link") == [("u1",)]


def test_a_rollback_does_not_make_the_link_again(database: Database, lincoln: SchoolRow, ada: int) -> None:
    linked = builders.row("update", ada, reason="relinked", links=["u3"], new_links=["u3"])
    undone = builders.roll_back(database, builders.sync_rows(database, lincoln, linked).sync_id, **BY)
    link(database, lincoln, ada, "u3")
    unlink(database, lincoln, ada, "u3")
    assert [each.moved for each in rollback.preview(database, undone.sync_id) if each.entity == "link"] == [True]
    assert builders.roll_back(database, undone.sync_id, **BY).counts == {"student": {"moved": 1}}
    assert builders.every(database, "select sourced_id from link order by 1") == [("u1",), ("u2",)]


def test_a_person_with_a_link_exclusion_is_not_rolled_back_with_their_sync(
    database: Database, lincoln: SchoolRow
) -> None:
    sync_id = builders.sync_rows(database, lincoln, builders.newcomer("u1"), builders.newcomer("u9")).sync_id
    person = builders.person_of(database, "u1")
    unlink(database, lincoln, person, "u1")
    result = builders.roll_back(database, sync_id, **BY)
    assert (result.outcome, result.counts) == ("held", {"student": {"create": 1, "moved": 1}})
    assert builders.every(database, "select id from person") == [(person,)]
    assert builders.every(database, APART) == [(lincoln.connection.id, "u1", person)]


def test_erasing_deletes_decisions_about_the_person_and_their_records(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    builders.sync_rows(database, lincoln, builders.newcomer("u9"))
    other = builders.person_of(database, "u9")
    unlink(database, lincoln, ada)
    link(database, lincoln, other)
    link(database, lincoln, other, "u3")
    unlink(database, lincoln, other, "u3")
    database.call(erase, lincoln.district_id, other, **BY)
    assert builders.every(database, APART) == []
    assert database.call(audit.search, person_id=ada)[0].what == "record unlinked"


def test_erasing_somebody_leaves_the_record_that_is_not_theirs(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    builders.snapshot_of(database, lincoln, *(builders.user(each, lincoln.settings.school_id) for each in ("u1", "u2")))
    unlink(database, lincoln, ada)
    database.call(erase, lincoln.district_id, ada, **BY)
    assert builders.every(database, "select sourced_id from raw_user") == [("u2",)]
    assert builders.one(database, "select count(*) from link_exclusion") == 0


def test_planning_reads_only_link_exclusions_of_these_people_and_this_sis(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    database.call(tenant_changes.add_connection, lincoln.district_key, "other", lincoln.connection.settings, None)
    elsewhere = database.call(builders.add_school, "elsewhere", connection="other", district=lincoln.district_key)
    foreign = database.call(builders.add_school, "foreign", connection="foreign-sis", district="shelbyville")
    builders.sync_rows(database, foreign, builders.newcomer("u1", changes={"email": MAIL}))
    namesake = builders.one(database, "select person_id from link where connection_id = :c", c=foreign.connection.id)
    for school, person, record in ((elsewhere, ada, "u1"), (foreign, namesake, "u1"), (lincoln, ada, "u2")):
        link(database, school, person, record)
        unlink(database, school, person, record)
    assert len(builders.every(database, APART)) == 3
    read = {}
    for school in (lincoln, elsewhere, foreign):
        snapshot_id = builders.snapshot_of(database, school)
        database.call(builders.clean_records, snapshot_id, {"sourced_id": "u1", "email": MAIL})
        read[school.key] = database.call(load_both_ways, school, snapshot_id).exclusions.to_numpy().tolist()
    assert read == {"lincoln": [["u2", ada]], "elsewhere": [["u1", ada]], "foreign": [["u1", namesake]]}
