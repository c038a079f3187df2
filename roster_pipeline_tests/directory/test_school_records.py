"""Selecting a school's records from its newest snapshot gives the same as a full selection."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from roster_pipeline.directory import operations, school_records, snapshots, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.record_sets import RecordSet, of_snapshot
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.chosen_records import assert_chosen_again
from roster_pipeline_tests.directory.builders import Page, newcomer, one, org, person_of, pull_of, sync_rows, user

NIGHTS = 8
PEOPLE = [f"u{number}" for number in range(16)]
ORGS = ("org-lincoln", "org-below", "org-x")


class Sis:
    """A SIS whose people change at random; some have two records, and some name nobody who is there."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.people = {(sourced_id, 0): self.record(sourced_id) for sourced_id in PEOPLE[:12]}

    def record(self, sourced_id: str) -> dict[str, Any]:
        """Any record of this person."""
        orgs = self.chance.sample(ORGS, self.chance.choice((0, 1, 1, 1, 2)))
        role = self.chance.choice(("student", "student", "teacher", "parent"))
        agents = self.chance.sample(PEOPLE, self.chance.choice((0, 0, 1, 2)))
        return user(sourced_id, *orgs, role=role, agents=agents, givenName=self.chance.choice("AB"))

    def pages(self) -> Iterator[Page]:
        """The pages of one night, after some changes."""
        for _ in range(self.chance.choice((0, 1, 2, 3))):
            key = (self.chance.choice(PEOPLE), self.chance.choice((0, 0, 0, 1)))
            if key in self.people and self.chance.random() < 0.4:
                del self.people[key]
            else:
                self.people[key] = self.record(key[0])
        yield Page("org", [org("org-lincoln"), org("org-below", parent="org-lincoln"), org("org-x")])
        yield Page("user", list(self.people.values()))


def taken(database: Database, school: SchoolRow, sis: Sis) -> dict[str, Any]:
    """The facts of one more night's snapshot, after comparing it with a full selection."""
    pull_id = pull_of(database, school, *sis.pages())
    with database.begin() as conn:
        school = tenants.get_school(conn, school.key)
        snapshot_id = snapshots.take(
            conn, school, "org-lincoln", pull_id, contacts=school.settings.primary_contacts, run_id=None
        )
        facts = snapshots.facts(conn, snapshot_id)
        assert_chosen_again(conn, school, facts)
    return facts


def settings(database: Database, school: SchoolRow, **changes: Any) -> None:
    """Other settings of the school."""
    with database.begin() as conn:
        conn.execute(
            text("update school set settings = settings || cast(:changes as jsonb) where id = :id"),
            {
                "changes": school.settings.model_copy(update=changes).model_dump_json(include=set(changes)),
                "id": school.id,
            },
        )


@pytest.mark.parametrize("seed", range(6))
def test_on_random_nights(database: Database, lincoln: SchoolRow, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(school_records, "MOST_NEW", 100)
    sis, linked = Sis(seed), list(PEOPLE)
    settings(database, lincoln, primary_contacts=True)
    for night in range(NIGHTS):
        taken(database, lincoln, sis)
        if sis.chance.random() < 0.5:
            sync_rows(database, lincoln, newcomer(linked.pop(sis.chance.randrange(len(linked)))))
        if sis.chance.random() < 0.2:
            settings(database, lincoln, include_orgs_below=bool(night % 2))
        if night == NIGHTS // 2:
            with database.begin() as conn:
                person = conn.scalar(text("select min(id) from person"))
                if person is not None:
                    operations.erase(conn, lincoln.district_id, person, who="test", reason="asked")


def test_a_quiet_night_looks_at_no_record_again(
    database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    sis = Sis(1)
    first = taken(database, lincoln, sis)
    monkeypatch.setattr(school_records, "NAMING_SCHOOL", "no statement")
    monkeypatch.setattr(sis.chance, "choice", lambda of: of[0])
    pull_id = pull_of(database, lincoln, *sis.pages())
    second = database.call(snapshots.take, lincoln, "org-lincoln", pull_id, contacts=False, run_id=None)
    assert database.call(snapshots.facts, second)["counts"]["raw_users"] == first["counts"]["raw_users"] > 0


def test_a_small_school_looks_at_no_new_record_of_a_large_pull(
    database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = lincoln.settings.school_id
    monkeypatch.setattr(school_records, "NEW_NAMING_SCHOOL", "no statement")
    others = [user(f"u{number}", "org-x") for number in range(20)]
    for people in (others[:17], others):
        pull_id = pull_of(database, lincoln, Page("org", [org(here)]), Page("user", [user("pupil", here), *people]))
        last = database.call(snapshots.take, lincoln, here, pull_id, contacts=False, run_id=None)
        assert len(database.call(of_snapshot, last)["user"]) == 1


def test_after_an_erasure_the_records_are_selected_from_the_beginning(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u0"))
    taken(database, lincoln, Sis(2))
    chosen = "select count(*) from snapshot where counts ? 'chosen'"
    assert one(database, chosen) == 2
    database.call(operations.erase, lincoln.district_id, person_of(database, "u0"), who="test", reason="asked")
    assert one(database, chosen) == 0


def test_a_snapshot_without_records_is_not_a_base(database: Database, lincoln: SchoolRow) -> None:
    here = lincoln.settings.school_id
    settings(database, lincoln, primary_contacts=True)
    pages = [Page("org", [org(here)]), Page("user", [user("pupil", here, agents=["mother"]), user("mother")])]
    for people in (pages, [pages[0], Page("user", [user("mother")])]):
        pull_id = pull_of(database, lincoln, *people)
        with database.begin() as conn:
            last = snapshots.take(conn, lincoln, here, pull_id, contacts=True, run_id=None)
            conn.execute(text("delete from sis_record where sourced_id = 'pupil'"))
    with database.begin() as conn:
        assert len(of_snapshot(conn, last)["contact"]) == 0, "nobody can tell any more that this was the pupil's mother"


SETS: tuple[list[int], ...] = ([], [1], [511, 512], [7, 512, 9000, 1 << 40], list(range(0, 20000, 3)))


@pytest.mark.parametrize("one_set", SETS)
@pytest.mark.parametrize("other", SETS)
def test_sets_of_records_are_sets(one_set: list[int], other: list[int]) -> None:
    ours, theirs = RecordSet.of(one_set), RecordSet.of(other[::-1])
    assert (ours & theirs).ids.tolist() == sorted(set(one_set) & set(other))
    assert (ours | theirs).ids.tolist() == sorted(set(one_set) | set(other))
    assert (ours - theirs).ids.tolist() == sorted(set(one_set) - set(other))
    assert len(ours) == len(one_set)
    assert all(found.bits.any(axis=1).all() for found in (ours & theirs, ours | theirs, ours - theirs)), "no empty row"
