"""If the input of cleaning is the same as the night before, its roster is taken over."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from roster_pipeline import sync
from roster_pipeline.cleaning.quality import not_tested
from roster_pipeline.cleaning.quality_suite import SHIPPED
from roster_pipeline.directory import (
    operations,
    plan_reuse,
    planning_input,
    roster_rows,
    rosters,
    snapshots,
    stored_frames,
    tenants,
)
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.plan_reuse import Unsettled
from roster_pipeline.directory.roster_rows import CLEANED_AGAIN_AFTER, KEY
from roster_pipeline.planning.settled import OPEN
from roster_pipeline.sync import clean_snapshot, plan_input
from roster_pipeline.sync.clean_snapshot import CleanedCounts
from roster_pipeline.sync.plan_input import PlanInput
from roster_pipeline_tests.district import Begun, District, simulated_district
from roster_pipeline_tests.kept_frames import keep_and_compare
from roster_pipeline_tests.postgres import as_text, copy_of

DAY = timedelta(days=1)
_numbers = count(1)


class Nights:
    """Fetches and cleans of one school with contacts, each on a day that a test can set."""

    def __init__(self, district: District, monkeypatch: pytest.MonkeyPatch) -> None:
        self.district = district
        self.today = datetime.now(UTC).date()
        monkeypatch.setattr(clean_snapshot, "_today", lambda school: self.today)

    def next(self, *, take_over: bool = True) -> CleanedCounts:
        """One more night."""
        sync.fetch(self.district.database, "lincoln", batch=f"night {next(_numbers)}", run_id=None)
        return sync.clean_latest(self.district.database, "lincoln", run_id=None, take_over=take_over)

    def of(self, snapshot_id: int) -> tuple[list[pd.DataFrame], dict[str, Any]]:
        """Everything that cleaning wrote for a snapshot, and the roster's values in its counts."""
        with self.district.database.begin() as conn:
            frames = [*rosters.load(conn, snapshot_id), rosters.load_quality(conn, snapshot_id)]
            frames += [rosters.load_excluded(conn, snapshot_id)]
            counts = conn.scalar(text("select counts from snapshot where id = :id"), {"id": snapshot_id})
        return [frame.drop(columns="snapshot_id", errors="ignore") for frame in frames], counts


@pytest.fixture(scope="module")
def begun(postgres_template: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun[District]]:
    """A school that was fetched and cleaned once."""
    home = tmp_path_factory.mktemp("home")
    with (
        copy_of(postgres_template) as url,
        pytest.MonkeyPatch.context() as patched,
        simulated_district(District, Database(as_text(url)), patched, home) as district,
    ):
        district.add_school(primary_contacts=True)
        assert not Nights(district, patched).next().taken_over
        yield Begun(district, district.people)


@pytest.fixture
def nights(begun: Begun[District], monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    with begun.copied() as district:
        yield Nights(district, monkeypatch)


def test_a_roster_that_was_taken_over_is_the_one_that_cleaning_would_make_and_does_make_again(nights: Nights) -> None:
    taken = nights.next()
    fresh = nights.next(take_over=False)
    assert (taken.taken_over, fresh.taken_over) == (True, False)
    assert (taken.by_role, taken.rejected, taken.people) == (fresh.by_role, fresh.rejected, fresh.people)
    order = ["rule", "role"]
    same, made = (pd.DataFrame(one.quality).sort_values(order, ignore_index=True) for one in (taken, fresh))
    pd.testing.assert_frame_equal(same, made, check_dtype=False)
    (frames, counts), (fresh_frames, fresh_counts) = nights.of(taken.snapshot_id), nights.of(fresh.snapshot_id)
    for frame, other in zip(frames, fresh_frames, strict=True):
        pd.testing.assert_frame_equal(frame, other)
    assert len(frames[0]) > 80
    assert counts == fresh_counts
    assert nights.next().taken_over
    again = sync.clean_latest(nights.district.database, "lincoln", run_id=None)
    assert not again.taken_over, "a snapshot that is cleaned twice is cleaned anew"
    assert len(nights.of(again.snapshot_id)[0][0]) > 80


def suite_of(nights: Nights, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite of the installation with another limit in a rule."""
    rule = next(one for one in json.loads(SHIPPED.read_text())["expectations"] if "mostly" in one["kwargs"])
    rule["kwargs"]["mostly"] = 0.123
    (folder / "suite.json").write_text(json.dumps({"expectations": [rule]}))
    monkeypatch.setenv("ROSTER_QUALITY_SUITE", str(folder / "suite.json"))


def student(nights: Nights) -> str:
    """The record of a student."""
    return str(nights.district.people.people_of("sch-1", "student")[0].sourced_id)


def applied(nights: Nights) -> None:
    """The first sync: the directory gets people and contacts."""
    sync.plan_latest(nights.district.database, "lincoln", run_id=None)
    sync.apply_latest(nights.district.database, "lincoln", run_id=None, who="night")
    assert nights.district.count("contact")


def in_directory(change: str) -> Callable[[Nights], object]:
    """A change of what the directory has of the first student with a contact, by whomever."""
    record = "(select min(l.sourced_id) from link l join contact c using (person_id))"
    person = f"(select person_id from link where sourced_id = {record})"
    return lambda nights: nights.district.execute(change.format(record=record, person=person))


CHANGES: dict[str, Callable[[Nights], object]] = {
    "another contact": in_directory("update contact set sourced_id = 'c' where person_id = {person}"),
    "no contact": in_directory("delete from contact where person_id = {person}"),
    "a second contact": in_directory(
        "insert into contact (district_id, school_id, person_id, place, sourced_id) "
        "select district_id, school_id, person_id, 2, 'c' from contact where person_id = {person}"
    ),
    "a link of somebody else": in_directory(
        "update link set person_id = (select max(person_id) from membership) where sourced_id = {record}"
    ),
    "a link that is gone": in_directory("delete from link where sourced_id = {record}"),
    "a name": lambda nights: nights.district.people.rename(student(nights), family_name="Okonkwo-Byrne"),
    "a newcomer": lambda nights: nights.district.people.add("student", "sch-1", agents=()),
    "a leaver": lambda nights: nights.district.people.remove(student(nights), how="vanish"),
    "a setting of the school": lambda nights: nights.district.set_school("lincoln", preferred_names=True),
    "a setting of the connection": lambda nights: nights.district.set_connection(student_number_from="username"),
    "a contact rule": lambda nights: nights.district.set_connection(contact_rules=["role=not relative"]),
    "a week": lambda nights: setattr(nights, "today", nights.today + CLEANED_AGAIN_AFTER),
}


SAME: dict[str, Callable[[Nights], object]] = {
    "the first sync": applied,
    "a contact's name": in_directory("update contact set given_name = 'Ada' where person_id = {person}"),
    "a link's version": in_directory("update link set version = '1.2' where sourced_id = {record}"),
}


def test_whatever_cleaning_reads_it_cleans_again_when_it_changes(nights: Nights) -> None:
    for what, change in SAME.items():
        change(nights)
        assert nights.next().taken_over, what
    for what, change in CHANGES.items():
        change(nights)
        assert not nights.next().taken_over, what
        assert nights.next().taken_over, what


def test_another_quality_suite_or_another_code_cleans_again(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    suite_of(nights, tmp_path, monkeypatch)
    assert not nights.next().taken_over
    monkeypatch.setattr(clean_snapshot, "code_version", lambda part: "newer")
    assert not nights.next().taken_over
    monkeypatch.setenv("ROSTER_QUALITY_SUITE", str(tmp_path / "not there"))
    assert not nights.next().taken_over, "a suite that cannot be read tests nothing"
    monkeypatch.setenv("ROSTER_QUALITY_SUITE", str(tmp_path / "suite.json"))
    again = sync.clean_latest(nights.district.database, "lincoln", run_id=None)
    assert not again.taken_over, "it has a roster already"


def test_quality_that_could_not_be_tested_is_tested_in_the_next_night(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights.district.people.rename(student(nights), family_name="Okonkwo-Byrne")
    with monkeypatch.context() as broken:
        broken.setattr(clean_snapshot, "_tested", lambda *_: not_tested())
        assert not nights.next().taken_over
    night = nights.next()
    assert not night.taken_over
    assert all(result["tested"] is not None for result in night.quality)
    assert nights.next().taken_over


def test_a_day_on_which_a_role_begins_or_has_ended_cleans_again(nights: Nights) -> None:
    people = nights.district.people
    first, second = people.people_of("sch-1", "student")[:2]
    ends, begins = nights.today + 2 * DAY, nights.today + 4 * DAY
    people.set_roles(first.sourced_id, [role._replace(end=ends.isoformat()) for role in first.roles])
    people.set_roles(second.sourced_id, [role._replace(begin=begins.isoformat()) for role in second.roles])
    seen = []
    for _ in range(6):
        night = nights.next()
        roster = nights.of(night.snapshot_id)[0][0].set_index("sourced_id")["record_status"]
        seen.append((night.taken_over, roster[first.sourced_id], roster[second.sourced_id]))
        nights.today += DAY
    assert seen == [
        (False, "member", "not_begun"),
        (True, "member", "not_begun"),
        (True, "member", "not_begun"),
        (False, "ended", "not_begun"),
        (False, "ended", "member"),
        (True, "ended", "member"),
    ]


def test_a_roster_that_is_pruned_meanwhile_is_not_taken_over(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    def found_and_pruned(*given: Any) -> roster_rows.Earlier:
        earlier = found(*given)
        nights.district.database.call(roster_rows.release, [earlier.snapshot_id or 0])
        return earlier

    found = roster_rows.find_earlier
    monkeypatch.setattr(roster_rows, "find_earlier", found_and_pruned)
    night = nights.next()
    assert not night.taken_over
    assert student(nights) in set(nights.of(night.snapshot_id)[0][0]["sourced_id"])


def test_the_roster_of_a_sync_of_one_person_is_never_taken_over(nights: Nights) -> None:
    first = nights.next().snapshot_id
    with nights.district.database.begin() as conn:
        derived = snapshots.derive(conn, snapshots.facts(conn, first), mode="delta")
        assert KEY not in snapshots.facts(conn, derived)["counts"]
        conn.execute(text("update snapshot set counts = counts - 'cleaning' where id < :id"), {"id": derived})
    assert not nights.next().taken_over


@pytest.fixture
def read(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The school counts as large and has stored its records. Returns a growing list: the documents that each further
    night reads."""
    keep_and_compare(monkeypatch)
    nights.next(take_over=False)
    read: list[int] = []

    def documents_of(conn: Any, records: Any) -> Any:
        read.append(len(records))
        return only_these(conn, records)

    only_these = snapshots.documents_of
    monkeypatch.setattr(snapshots, "documents_of", documents_of)
    return read


def kept(nights: Nights) -> dict[str, int]:
    """The stored frames, each with its snapshot."""
    with nights.district.database.begin() as conn:
        return {row.name: row.snapshot_id for row in conn.execute(text("select name, snapshot_id from stored_frame"))}


def test_a_night_with_changes_reads_only_the_new_documents_of_a_large_school(nights: Nights, read: list[int]) -> None:
    before = kept(nights)
    nights.district.people.rename(student(nights), family_name="Okonkwo-Byrne")
    nights.district.people.remove(nights.district.people.people_of("sch-1", "teacher")[0].sourced_id, how="vanish")
    night = nights.next()
    assert (read, night.taken_over) == ([1], False)
    written = nights.district.rows("select first_version, last_version from roster_row where roster_id = 2")
    changed = [(row["first_version"], row["last_version"]) for row in written if row["first_version"]]
    ended = [row for row in written if row["last_version"] == 0]
    assert (len(changed), len(ended)) == (1, 2), "the other rows are those of the night before"
    assert kept(nights) == {"records": before["records"], "roster": night.snapshot_id}
    assert nights.next().taken_over
    assert kept(nights)["roster"] > night.snapshot_id, "the roster that was taken over is the one that is kept"


def test_all_records_are_read_and_kept_if_many_are_new_or_another_code_kept_them(
    nights: Nights, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in nights.district.people.people_of("sch-1", "student")[:40]:
        nights.district.people.rename(one.sourced_id, family_name="Okonkwo-Byrne")
    night = nights.next()
    assert read == []
    assert kept(nights) == {"records": night.snapshot_id, "roster": night.snapshot_id}
    monkeypatch.setattr(stored_frames, "code_version", lambda *_: "newer")
    night = nights.next(take_over=False)
    assert (read, set(kept(nights).values())) == ([], {night.snapshot_id})


def test_nothing_is_kept_of_an_erased_person(nights: Nights, read: list[int]) -> None:
    who, database = student(nights), nights.district.database
    nights.district.sync_school("lincoln")
    assert kept(nights)
    person = int(nights.district.rows(f"select person_id from link where sourced_id = '{who}'")[0]["person_id"])
    with database.begin() as conn:
        district = int(conn.scalar(text("select district_id from person where id = :id"), {"id": person}) or 0)
        operations.erase(conn, district, person, who="test", reason="a test")
    assert kept(nights) == {}
    sync.clean_latest(database, "lincoln", run_id=None)
    assert kept(nights) == {}, "this snapshot was read before the erasure"
    nights.next(take_over=False)
    assert set(kept(nights)) == {"records", "roster"}


def test_everybody_of_a_large_school_is_planned_once_a_week(nights: Nights, read: list[int]) -> None:
    for _ in range(3):
        nights.district.sync_school("lincoln")
    for days, planned_too in ((0, False), (6, False), (7, True), (-1, True)):
        assert (to_plan(nights, days).settled == OPEN).all() == planned_too, days


def to_plan(nights: Nights, days: int = 0) -> PlanInput:
    """What the next plan of the newest snapshot would be made of, so many days from now, if none were taken over."""
    with nights.district.database.begin() as conn:
        school = tenants.get_school(conn, "lincoln")
        snapshot = int(conn.scalar(text("select max(id) from snapshot")) or 0)
    today = datetime.now(school.settings.zone).date()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plan_reuse, "find", lambda *_: None)
        given = plan_input.read(nights.district.database, school, snapshot, today + days * DAY)
    assert isinstance(given, PlanInput)
    return given


@pytest.mark.parametrize("what", ["", "cleaned again", "roster begun anew", "written meanwhile"])
def test_records_whose_rows_of_the_roster_have_ended_are_planned(
    nights: Nights, read: list[int], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        nights.district.sync_school("lincoln")
    if what == "cleaned again":  # then the rows that have ended since the last plan may be gone
        sync.clean_latest(nights.district.database, "lincoln", run_id=None, take_over=False)
    who, odd = student(nights), still_planned(to_plan(nights))
    nights.district.people.rename(who, family_name="Okonkwo-Byrne")
    if what == "roster begun anew":
        monkeypatch.setattr(roster_rows, "MOST_DIFFERENT", 0)
    nights.next()
    if what == "written meanwhile":
        monkeypatch.setattr(rosters, "load_quality", _after_another_cleaning(nights))
    given = to_plan(nights)
    assert still_planned(given) == (odd | {who} if not what else set(given.roster["sourced_id"]))


def still_planned(given: PlanInput) -> set[str]:
    """The records that are planned."""
    return set(given.roster["sourced_id"][given.settled == OPEN])


@pytest.mark.parametrize("odd_id", ["o'%s{x}", 'back\\slash "quoted"'])
def test_only_people_of_records_that_are_planned_are_read(nights: Nights, odd_id: str) -> None:
    nights.district.sync_school("lincoln")
    database, who = nights.district.database, student(nights)
    with database.begin() as conn:
        for table in ("roster_row", "link"):
            rename = text(f"update {table} set sourced_id = :new where sourced_id = :old")
            conn.execute(rename, {"new": odd_id, "old": who})
        person = int(conn.scalar(text("select person_id from link where sourced_id = :id"), {"id": odd_id}) or 0)
        settled = list(conn.scalars(text("select person_id from membership")))
        school = tenants.get_school(conn, "lincoln")
        snapshot = int(conn.scalar(text("select max(id) from snapshot")) or 0)
        some = Unsettled([odd_id], settled, [])
        loaded = planning_input.load_directory(conn, school, snapshot, len(settled), some)
    assert loaded.people.index.tolist() == loaded.members.index.tolist() == [person]
    assert loaded.links["sourced_id"].tolist() == [odd_id]


def _after_another_cleaning(nights: Nights) -> Callable[..., pd.DataFrame]:
    """Reads quality results after a sync of the same school has cleaned the same snapshot again."""
    load = rosters.load_quality

    def load_quality(conn: Connection, snapshot_id: int) -> pd.DataFrame:
        sync.clean_latest(nights.district.database, "lincoln", run_id=None, take_over=False)
        return load(conn, snapshot_id)

    return load_quality


def test_kept_frames_are_pruned_with_their_snapshot(nights: Nights, read: list[int]) -> None:
    nights.district.sync_school("lincoln")
    nights.district.people.rename(student(nights), family_name="Okonkwo-Byrne")
    nights.district.sync_school("lincoln")
    with nights.district.database.begin() as conn:
        snapshots.prune(conn, conn.scalar(text("select id from school")), keep=1)
    assert set(kept(nights)) == {"roster", "settled"}
