"""Records of a SIS are stored once by their content; pulls and snapshots name them."""

from typing import Any

import pytest

from roster_pipeline.directory import delta_base, pull_comparison, pulls, snapshots
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.delta_base import DeltaBase
from roster_pipeline.directory.record_sets import of_pull
from roster_pipeline.directory.sis_records import (
    _LISTS,
    _USER,
    CHUNK,
    content_hash,
    document,
    keep_records,
    prune_records,
)
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory.builders import (
    PROOF,
    Page,
    add_school,
    every,
    newcomer,
    one,
    org,
    pull_of,
    records,
    snapshot_of,
    sync_rows,
    user,
)

USERS = "select sourced_id, payload ->> 'givenName' from sis_record where kind = 'user' order by 1, id"
NO_COLUMNS: dict[str, Any] = {"columns": {}, "lost_columns": {}}


def night(database: Database, school: SchoolRow, *users: dict[str, Any]) -> int:
    """A synced night, whose snapshot counts for the retention."""
    snapshot_id = snapshot_of(database, school, *users)
    sync_rows(database, school, newcomer(f"new-{snapshot_id}"), snapshot_id=snapshot_id)
    return snapshot_id


def prune(database: Database, school: SchoolRow, keep: int) -> int:
    with database.begin() as conn:
        snapshots.prune(conn, school.id, keep=keep)
        return prune_records(conn, school.connection.id)


def load(database: Database, snapshot_id: int) -> list[dict[str, Any]]:
    return records(database.call(snapshots.load, snapshot_id).users)


def test_a_record_that_is_the_same_as_last_night_is_not_stored_again(database: Database, lincoln: SchoolRow) -> None:
    here = lincoln.settings.school_id
    first = snapshot_of(database, lincoln, user("a", here), user("b", here))
    second = snapshot_of(database, lincoln, user("a", here), user("b", here, givenName="Bea"), user("c", here))
    assert every(database, USERS) == [("a", "Ada"), ("b", "Ada"), ("b", "Bea"), ("c", "Ada")]
    assert one(database, "select count(*) from sis_record where kind = 'org'") == 1
    assert [record["givenName"] for record in load(database, first)] == ["Ada", "Ada"]
    assert [record["givenName"] for record in load(database, second)] == ["Ada", "Bea", "Ada"]


def test_a_record_that_comes_twice_in_a_pull_is_named_once(database: Database, lincoln: SchoolRow) -> None:
    here = lincoln.settings.school_id
    twice = [user("a", here), user("a", here), user("b", here), user("b", here, givenName="Bea")]
    many = [user(f"x{number}", here) for number in range(CHUNK)]
    for _ in ("first pull", "another"):
        pull_id = pull_of(database, lincoln, Page("user", twice), Page("user", many), Page("user", [user("a", here)]))
        assert len(database.call(of_pull, pull_id)) == 3 + len(many)


@pytest.mark.parametrize("pages_after", [0, 2])
def test_a_page_that_cannot_be_written_undoes_the_pull(
    database: Database, lincoln: SchoolRow, pages_after: int
) -> None:
    here = lincoln.settings.school_id
    good, bad = Page("user", [user("a", here)] * CHUNK), Page("user", [user("b", here), {"givenName": "Poison"}])
    with pytest.raises(KeyError) as problem:
        pull_of(database, lincoln, good, Page(bad.kind, bad.records * CHUNK), *[good] * pages_after)
    assert "Poison" not in repr(problem.value)
    assert one(database, "select count(*) from sis_record") == 0


def test_a_change_and_the_way_back_find_the_first_record_again_and_no_other_connections(
    database: Database, lincoln: SchoolRow
) -> None:
    here = lincoln.settings.school_id
    for name in ("Ada", "Bea", "Ada"):
        last = snapshot_of(database, lincoln, user("a", here, givenName=name))
    assert [record["givenName"] for record in load(database, last)] == ["Ada"]
    other = database.call(add_school, "oak", connection="other-sis")
    snapshot_of(database, other, user("a", here))
    counted = "select connection_id, count(*) from sis_record where kind = 'user' group by 1 order by 1"
    assert every(database, counted) == [(lincoln.connection.id, 2), (other.connection.id, 1)]


@pytest.mark.parametrize(
    ("members", "same"),
    [({}, True), ({"email": None}, True), ({"givenName": "Bea"}, False), ({"agents": ["x"]}, False), ({"x": 0}, False)],
)
def test_the_hash_is_that_of_the_content(members: dict[str, Any], same: bool) -> None:
    one_hash, other = (content_hash(document("user", user("a", "here", **more))) for more in ({}, members))
    assert (one_hash == other) is same


def test_members_without_a_value_are_not_stored_however_many_there_are() -> None:
    lists: dict[str, Any] = {name: [] for name in _LISTS}
    whole = dict.fromkeys(_USER) | lists | {"sourcedId": "a", "enabledUser": False, "metadata": {}, "sms": "1\0"}
    assert document("user", whole) == b'{"sourcedId":"a","sms":"1","enabledUser":false}'
    assert document("user", whole | {"unreadable": []}) == document("user", whole)


def test_pruning_deletes_the_records_that_nobody_names_and_no_others(database: Database, lincoln: SchoolRow) -> None:
    here = lincoln.settings.school_id
    for name in ("Ada", "Bea", "Cleo", "Dora"):
        last = night(database, lincoln, user("a", here, givenName=name), user("b", here))
    assert prune(database, lincoln, keep=4) == 0
    assert prune(database, lincoln, keep=1) == 2, "two pulls are kept, and name the last two"
    assert every(database, USERS) == [("a", "Cleo"), ("a", "Dora"), ("b", "Ada")]
    assert [record["sourcedId"] for record in load(database, last)] == ["a", "b"]


def test_nothing_is_pruned_while_records_are_being_named(database: Database, lincoln: SchoolRow) -> None:
    here = lincoln.settings.school_id
    for name in ("Ada", "Bea", "Cleo"):
        night(database, lincoln, user("a", here, givenName=name))
    pull_id, _ = database.call(pulls.claim, lincoln.connection, "tonight")
    pruned = []

    def pages() -> Any:
        yield Page("user", [user("a", here)])
        yield Page("user", [user("a", here, givenName="Eva")] * 1000)
        pruned.append(prune(database, lincoln, keep=1))

    pulls.store(database, pull_id, pages())
    assert pruned == [0], "the first record was named by nobody else"
    database.call(pulls.finish, pull_id, PROOF)
    tonight = database.call(snapshots.take, lincoln, here, pull_id, contacts=False, run_id=None)
    assert sorted(record["givenName"] for record in load(database, tonight)) == ["Ada", "Eva"]
    with database.begin() as conn:
        keep_records(conn, lincoln.connection.id)
        assert prune(database, lincoln, keep=1) == 0


def test_a_delta_names_the_records_of_its_base_that_it_does_not_replace(database: Database, lincoln: SchoolRow) -> None:
    here = lincoln.settings.school_id
    base = pull_of(database, lincoln, Page("org", [org(here)]), Page("user", [user("a", here), user("b", here)]))
    delta = pull_of(database, lincoln, Page("user", [user("b", here, givenName="Bea"), user("c", here)]))
    with database.begin() as conn:
        found = delta_base.delta_base_of(conn, lincoln.connection, "", before=delta)
        assert isinstance(found, DeltaBase)
        assert found.id == base
        delta_base.merge(conn, lincoln.connection.id, delta, found, {"mode": "delta"} | NO_COLUMNS, {})
        compared = pull_comparison.compare(conn, delta, base)
        tonight = snapshots.take(conn, lincoln, here, delta, contacts=False, run_id=None)
    assert [(r["sourcedId"], r["givenName"]) for r in load(database, tonight)] == [
        ("a", "Ada"), ("b", "Bea"), ("c", "Ada"),
    ]  # fmt: skip
    assert compared.changed == 2


def test_an_enrollment_that_could_not_be_read_is_taken_from_the_base(database: Database, lincoln: SchoolRow) -> None:
    here = lincoln.settings.school_id
    left = user("a", here, notEnrolled=[here])
    base = pull_of(database, lincoln, Page("org", [org(here)]), Page("user", [left, user("b", here)]))
    pull_id = pull_of(database, lincoln, Page("org", [org(here)]), Page("user", [user("a", here), user("b", here)]))
    with database.begin() as conn:
        found = delta_base.delta_base_of(conn, lincoln.connection, "", before=pull_id)
        assert isinstance(found, DeltaBase)
        delta_base.merge(conn, lincoln.connection.id, pull_id, found, NO_COLUMNS, {"users": {"notEnrolled"}})
        assert pull_comparison.compare(conn, pull_id, base).changed == 0
        tonight = snapshots.take(conn, lincoln, here, pull_id, contacts=False, run_id=None)
    assert [record.get("notEnrolled") for record in load(database, tonight)] == [[here], None]
