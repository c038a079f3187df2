"""The age of bundles: the newest of several, wrong times, and missing bundles."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from roster_pipeline.oneroster import Proof
from roster_pipeline.oneroster.bundle import LastRead, check_bundle_schools, source_of
from roster_pipeline.oneroster.connection_test_items import TestedSchool
from roster_pipeline_tests.oneroster_bundle import writing
from roster_pipeline_tests.oneroster_bundle.sftp_server import SftpServer
from roster_pipeline_tests.oneroster_bundle.writing import ORGS, SCHOOL, SCHOOL_TOO, bundle_11, people_of, pupil, table

NOW = datetime(2026, 11, 20, 20, tzinfo=UTC)
"""A Friday."""
CHANGED = {"status": "active", "dateLastModified": "2026-11-19T10:00:00.000Z"}


def days_ago(number: float) -> datetime:
    return NOW - timedelta(days=number)


def put(path: Path, files: Mapping[str, bytes], days: float) -> None:
    """A bundle, written this many days ago."""
    writing.put(path, files, days_ago(days))


def read(source: Any, last: LastRead | None = None, now: datetime = NOW) -> tuple[dict[str, Any], Proof]:
    return people_of(source, last, now)


def after(proof: Proof, looked_at: datetime = NOW, *, complete: bool | None = None) -> LastRead:
    """The state from which the next pull continues."""
    age = proof.age
    assert age is not None
    newest = None if age.newest is None else datetime.fromisoformat(age.newest)
    if not (proof.complete if complete is None else complete):
        return LastRead(seen=age.marks, newest=newest)
    written = datetime.fromisoformat(age.written)
    return LastRead(written, looked_at, frozenset(age.marks), age.marks, newest)


# The newest content wins.


@pytest.mark.parametrize(("zip_days", "loose_days", "wins"), [(1, 21, "stu-1"), (21, 1, "stu-2"), (0.1, 0.2, "stu-1")])
@pytest.mark.parametrize("over", ["file", "sftp"])
def test_a_newer_zip_wins_over_loose_files_and_newer_loose_files_over_a_zip(
    tmp_path: Path, zip_days: float, loose_days: float, wins: str, over: str
) -> None:
    served = tmp_path / "served"
    put(served / "out", bundle_11(pupil(2)), loose_days)
    put(served / "out" / "roster.zip", bundle_11(pupil(1)), zip_days)
    if over == "file":
        assert list(read(served / "out")[0]) == [wins]
        return
    with SftpServer(served) as server:
        assert list(read(server.source("/out"))[0]) == [wins]


def test_a_delta_beside_an_older_loose_bulk_bundle_is_laid_over_it(tmp_path: Path) -> None:
    put(tmp_path / "out", bundle_11(pupil(1), pupil(2)), 1)
    put(tmp_path / "out" / "changes.zip", bundle_11(pupil(2, familyName="New", **CHANGED), mode="delta"), 0.2)
    users, proof = read(tmp_path / "out")
    assert {name: one["familyName"] for name, one in users.items()} == {"stu-1": "Oduya", "stu-2": "New"}
    assert (proof.mode, proof.complete) == ("full", True)


def test_the_age_of_unpacked_files_is_that_of_the_files_about_people(tmp_path: Path) -> None:
    put(tmp_path / "out", bundle_11(pupil(1)), 0)
    at = days_ago(21).timestamp()
    os.utime(tmp_path / "out" / "users.csv", (at, at))
    assert read(tmp_path / "out")[1].age.written == days_ago(21).isoformat()  # type: ignore[union-attr]


# A time that is wrong.


@pytest.mark.parametrize("kind", ["zip", "loose files", "several zips"])
def test_a_time_in_the_future_is_a_problem_and_reported_with_its_hours(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    put(path / "a.zip" if "zip" in kind else path, bundle_11(pupil(1)), -2)
    if kind == "several zips":
        put(path / "b.zip", bundle_11(pupil(2)), 1)
    users, proof = read(path)
    assert list(users) == ["stu-1"]
    assert (proof.complete, proof.problems) == (False, ("source-from-the-future:48 hours",))
    source = source_of(f"file://{path}", allow_private=True)
    items = {one.name: one for _, one in check_bundle_schools(source, [TestedSchool("sch-1")], now=NOW)}
    assert items["Age"].ok is False
    assert "48 hours in the future" in items["Age"].detail


def test_a_difference_of_ten_minutes_is_not_a_wrong_clock(tmp_path: Path) -> None:
    put(tmp_path / "out.zip", bundle_11(pupil(1)), -9 / 1440)
    assert read(tmp_path / "out.zip")[1].complete


def test_the_same_file_is_dated_wrong_also_when_its_time_has_come(tmp_path: Path) -> None:
    put(tmp_path / "out.zip", bundle_11(pupil(1)), -2)
    first = read(tmp_path / "out.zip")[1]
    later = read(tmp_path / "out.zip", after(first), NOW + timedelta(days=3))[1]
    assert later.problems == ("source-from-the-future:48 hours",)
    assert later.age is not None
    assert later.age.written == NOW.isoformat(), "it was written before it was seen first"


@pytest.mark.parametrize("mode", ["bulk", "delta"])
def test_the_bundle_after_one_from_the_future_is_still_read(tmp_path: Path, mode: str) -> None:
    out = tmp_path / "out"
    put(out / "0.zip", bundle_11(pupil(1), pupil(2)), 2)
    base = read(out, now=days_ago(1.9))[1]
    ahead = bundle_11(pupil(1, familyName="Ahead", **CHANGED), mode="delta")
    put(out / "1.zip", ahead, -3)
    told = read(out, after(base, days_ago(1.9)), days_ago(0.9))[1]
    assert told.problems == ("source-from-the-future:94 hours",)
    seen = after(told).seen
    put(out / "2.zip", bundle_11(pupil(1, familyName="Right", **CHANGED), pupil(3, **CHANGED), mode=mode), 0.1)
    last = after(base, days_ago(1.9))
    users, proof = read(out, LastRead(last.written, last.looked_at, last.marks, seen, last.newest))
    assert users["stu-1"]["familyName"] == "Right"
    assert "stu-3" in users
    assert proof.complete, proof.problems


@pytest.mark.parametrize(("size", "kind"), [(1, "the only one"), (2, "replaced"), (3, "a delta")])
def test_a_bundle_older_than_the_last_one_changes_nothing(tmp_path: Path, size: int, kind: str) -> None:
    out = tmp_path / "out"
    put(out / "new.zip", bundle_11(pupil(1), pupil(2)), 0.1)
    first = read(out)[1]
    (out / "new.zip").unlink()
    mode = "delta" if kind == "a delta" else "bulk"
    put(out / ("new.zip" if kind == "replaced" else "old.zip"), bundle_11(pupil(size, **CHANGED), mode=mode), 9)
    users, proof = read(out, after(first), NOW + timedelta(days=1))
    assert users == {}
    assert (proof.mode, proof.complete, proof.problems) == ("delta", False, ("source-older-than-before",))
    assert proof.age is not None
    assert proof.age.newest == days_ago(0.1).isoformat()
    again = read(out, LastRead(days_ago(0.1), NOW, frozenset(), proof.age.marks, days_ago(0.1)), NOW)[1]
    assert again.problems == ("source-older-than-before",), "the next night says so, too"


# Several bundles of one night.

TEACHER = {"sourcedId": "t-1", "givenName": "Kim", "familyName": "Ito", "role": "teacher", "orgSourcedIds": "sch-1"}


def of_school(school: dict[str, str], *users: dict[str, str]) -> dict[str, bytes]:
    return bundle_11(*(user | {"orgSourcedIds": school["sourcedId"]} for user in users)) | {
        "orgs.csv": table(ORGS, [school])
    }


@pytest.mark.parametrize("over", ["file", "sftp"])
def test_zips_of_one_night_that_cover_different_schools_are_all_read(tmp_path: Path, over: str) -> None:
    out = tmp_path / "served" / "out"
    (tmp_path / "served").mkdir()
    put(out / "one.zip", of_school(SCHOOL, pupil(1), TEACHER), 0.10)
    put(out / "two.zip", of_school(SCHOOL_TOO, pupil(2), TEACHER), 0.12)
    if over == "file":
        users, proof = read(out)
    else:
        with SftpServer(out.parent) as server:
            users, proof = read(server.source("/out"))
    assert set(users) == {"stu-1", "stu-2", "t-1"}
    assert {entry["org"] for entry in users["t-1"]["roles"]} == {"sch-1", "sch-2"}, "a teacher of both"
    assert (proof.mode, proof.complete, proof.records) == ("full", True, 3)
    assert "bundles-of-one-night:2" in proof.notes


def test_an_export_that_ran_twice_counts_once(tmp_path: Path) -> None:
    put(tmp_path / "out" / "early.zip", bundle_11(pupil(1), pupil(2)), 0.2)
    put(tmp_path / "out" / "late.zip", bundle_11(pupil(1)), 0.1)
    users, proof = read(tmp_path / "out")
    assert set(users) == {"stu-1"}
    assert proof.complete
    assert "bundle-left-out" in proof.notes


def test_an_export_of_one_school_after_one_of_all_takes_that_school_alone(tmp_path: Path) -> None:
    two = pupil(2) | {"orgSourcedIds": "sch-2"}
    gone = pupil(9)
    everybody = bundle_11(pupil(1), gone, two) | {"orgs.csv": table(ORGS, [SCHOOL, SCHOOL_TOO])}
    put(tmp_path / "out" / "all.zip", everybody, 0.2)
    put(tmp_path / "out" / "one.zip", of_school(SCHOOL, pupil(1, familyName="New")), 0.1)
    users, proof = read(tmp_path / "out")
    assert {name: one["familyName"] for name, one in users.items()} == {"stu-1": "New", "stu-2": "Oduya"}
    assert proof.complete


def test_the_bundle_of_the_night_before_is_not_of_this_night(tmp_path: Path) -> None:
    put(tmp_path / "out" / "one.zip", of_school(SCHOOL, pupil(1)), 0.1)
    put(tmp_path / "out" / "two.zip", of_school(SCHOOL_TOO, pupil(2)), 1.1)
    assert set(read(tmp_path / "out")[0]) == {"stu-1"}


# Missing deltas.

ROWS = [
    ("every night", {"1.zip": 2, "2.zip": 1, "3.zip": 0.1}, True),
    ("a night is missing in the middle", {"1.zip": 4, "2.zip": 3, "3.zip": 1}, False),
    ("a night is missing at the end", {"1.zip": 4, "2.zip": 3, "4.zip": 0.1}, False),
    ("a date in the names jumps", {"d-2026-11-16.zip": 0.4, "d-2026-11-17.zip": 0.3, "d-2026-11-19.zip": 0.2}, False),
    ("dates without a jump", {"d-20261117.zip": 0.4, "d-20261118.zip": 0.3, "d-20261119.zip": 0.2}, True),
    ("a number jumps", {"d7.zip": 2, "d8.zip": 1, "d10.zip": 0.1}, False),
    ("nothing but a weekend", {"fri.zip": 7.1, "mon.zip": 4.1, "tue.zip": 3.1, "wed.zip": 2.1, "thu.zip": 1.1}, True),
    ("a weekend with one day more", {"fri.zip": 7.1, "tue.zip": 3.1, "wed.zip": 2.1, "thu.zip": 1.1}, False),
]


@pytest.mark.parametrize(("lying", "unbroken"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_hole_or_a_jump_in_a_row_of_deltas_says_that_one_is_missing(
    tmp_path: Path, lying: dict[str, float], unbroken: bool
) -> None:
    for number, (name, days) in enumerate(sorted(lying.items(), key=lambda one: -one[1])):
        mode = "delta" if number else "bulk"
        put(tmp_path / "out" / name, bundle_11(pupil(number, **CHANGED), mode=mode), days)
    proof = read(tmp_path / "out")[1]
    assert ("deltas-missed" not in proof.problems, proof.complete) == (unbroken, unbroken)


ONE_BY_ONE = [
    ("the next night", {"a.zip": 2.1, "b.zip": 1.1}, {"c.zip": 0.1}, True),
    ("a night is missing", {"a.zip": 3.1, "b.zip": 2.1}, {"c.zip": 0.1}, False),
    ("a number is missing", {"d1.zip": 2.1, "d2.zip": 1.1}, {"d4.zip": 0.1}, False),
    ("a date is missing", {"d-2026-11-17.zip": 0.5, "d-2026-11-18.zip": 0.4}, {"d-2026-11-20.zip": 0.1}, False),
    ("weekly, as ever", {"a.zip": 28, "b.zip": 21, "c.zip": 14, "d.zip": 7}, {"e.zip": 0.1}, True),
    ("weekly, and one is missing", {"a.zip": 35, "b.zip": 28, "c.zip": 21, "d.zip": 14}, {"f.zip": 0.1}, False),
]


@pytest.mark.parametrize(
    ("known", "new", "unbroken"), [row[1:] for row in ONE_BY_ONE], ids=[row[0] for row in ONE_BY_ONE]
)
def test_a_hole_between_the_last_look_and_the_next_delta_is_seen(
    tmp_path: Path, known: dict[str, float], new: dict[str, float], unbroken: bool
) -> None:
    for name, days in known.items():
        put(tmp_path / "out" / name, bundle_11(pupil(1, **CHANGED), mode="delta"), days)
    looked_at = days_ago(min(known.values()) - 0.1)
    marks = read(tmp_path / "out")[1].age.marks  # type: ignore[union-attr]
    last = LastRead(days_ago(min(known.values())), looked_at, frozenset(marks), marks, days_ago(min(known.values())))
    for name, days in new.items():
        put(tmp_path / "out" / name, bundle_11(pupil(2, **CHANGED), mode="delta"), days)
    users, proof = read(tmp_path / "out", last)
    assert set(users) == {"stu-2"}
    assert ("deltas-missed" not in proof.problems) is unbroken
