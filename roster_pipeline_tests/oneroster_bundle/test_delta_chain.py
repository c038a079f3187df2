"""Several bundles that arrived since the last one was read: applied in order, or the gap is said."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from roster_pipeline.oneroster import Proof, Wanted
from roster_pipeline.oneroster.bundle import MISSED, LastRead, pull_bundle, source_of
from roster_pipeline.oneroster.bundle.bundle_discovery import FoundBundle, FoundFile, date_bundles
from roster_pipeline.oneroster.bundle.delta_chain import MOST_BUNDLES, is_broken, to_read
from roster_pipeline_tests.oneroster_bundle.writing import STUDENT, as_zip, bundle_11

MONDAY = datetime(2026, 11, 2, 18, tzinfo=UTC)
ACTIVE = {"status": "active", "dateLastModified": "2026-11-02T10:00:00.000Z"}
GONE = ACTIVE | {"status": "tobedeleted"}


def day(number: float) -> datetime:
    """So many days after Monday."""
    return MONDAY + timedelta(days=number)


def looked(written: float, at: float) -> LastRead:
    return LastRead(day(written), day(at), newest=day(written))


CHAINS = [
    ("never read: all of them, until one says everything", [3, 2, 1], None, 3, True),
    ("nothing new: the same one again", [0], looked(0, 0.1), 1, True),
    ("the next one, and the last is still there", [1, 0], looked(0, 0.1), 1, True),
    ("three nights missed, and all of them are there", [3, 2, 1, 0], looked(0, 0.1), 3, True),
    ("replaced by the next within a day of our look", [1], looked(0, 0.1), 1, True),
    ("replaced twice since our look", [2], looked(0, 0.1), 1, False),
    ("the same file over a weekend in which we looked", [3], looked(0, 2.1), 1, True),
    ("those there follow our look, the one that was read is cleared away", [3, 2, 1], looked(0, 0.1), 3, True),
    ("the first of them came too late to be the next", [4, 3], looked(0, 0.1), 2, False),
    ("too many", list(range(200, 0, -1)), looked(0, 0.1), MOST_BUNDLES, False),
]


@pytest.mark.parametrize(("times", "last", "read", "unbroken"), [row[1:] for row in CHAINS], ids=[r[0] for r in CHAINS])
def test_which_bundles_are_read_and_whether_one_is_missing(
    times: list[float], last: LastRead | None, read: int, unbroken: bool
) -> None:
    found_bundles = [
        FoundBundle(f"{time}.zip".replace(".5", "h"), (FoundFile("", 1, day(time).timestamp()),)) for time in times
    ]
    bundles = date_bundles(found_bundles, {}, day(1000).timestamp())
    chosen = to_read(bundles, last)
    assert (len(chosen), not is_broken(chosen, bundles, last, whole=False)) == (read, unbroken)


def put(folder: Path, name: str, at: float, files: Mapping[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    moment = day(at).timestamp()
    os.utime(as_zip(folder / name, files), (moment, moment))


def student(number: int, **fields: str) -> dict[str, str]:
    return STUDENT | {"sourcedId": f"stu-{number}", "identifier": str(number), "email": ""} | fields


def read(folder: Path, last: LastRead | None = None) -> tuple[dict[str, Any], list[str], Proof]:
    """People by id, rejected ids, and the proof."""
    pulled = pull_bundle(source_of(f"file://{folder}", allow_private=True), Wanted(), last)
    users: dict[str, Any] = {}
    rejects: list[str] = []
    for batch in pulled:
        rejects += [str(one["sourcedId"]) for one in batch.rejects]
        for one in batch.records if batch.kind == "user" else ():
            assert one["sourcedId"] not in users, "each id comes once"
            users[one["sourcedId"]] = one
    return users, rejects, pulled.proof


@pytest.fixture
def week(tmp_path: Path) -> Path:
    """Everything on Monday, then what changed."""
    folder = tmp_path / "exports"
    put(folder, "monday.zip", 0, bundle_11(student(1), student(2), student(3)))
    put(
        folder,
        "tuesday.zip",
        1,
        bundle_11(student(1, familyName="Tuesday") | ACTIVE, student(4) | ACTIVE, mode="delta"),
    )
    put(
        folder,
        "wednesday.zip",
        2,
        bundle_11(student(1, familyName="Wednesday") | ACTIVE, student(2) | GONE, mode="delta"),
    )
    return folder


def test_deltas_over_a_whole_bundle_are_the_whole_truth(week: Path) -> None:
    users, _, proof = read(week)
    assert {name: (one["familyName"], one["status"]) for name, one in users.items()} == {
        "stu-1": ("Wednesday", "active"),
        "stu-2": ("Oduya", "tobedeleted"),
        "stu-3": ("Oduya", None),
        "stu-4": ("Oduya", "active"),
    }
    assert (proof.mode, proof.complete, proof.records, proof.pages) == ("full", True, 4, 3)
    assert "bundles:3" in proof.notes
    assert proof.server_time == day(2).isoformat()


def test_a_night_that_was_missed_is_made_up_for(week: Path) -> None:
    users, _, proof = read(week, looked(0, 0.1))
    assert {name: one["familyName"] for name, one in users.items()} == {
        "stu-1": "Wednesday",
        "stu-2": "Oduya",
        "stu-4": "Oduya",
    }
    assert (proof.mode, proof.complete) == ("delta", True)
    assert list(read(week, looked(1, 1.1))[0]) == ["stu-1", "stu-2"]


def test_what_was_missed_and_is_not_there_any_more_makes_the_pull_incomplete(week: Path) -> None:
    (week / "monday.zip").unlink()
    (week / "tuesday.zip").unlink()
    _, _, proof = read(week, looked(0, 0.1))
    assert (proof.mode, proof.complete, proof.problems) == ("delta", False, (MISSED,))


def test_a_whole_bundle_ends_the_gap(week: Path) -> None:
    (week / "monday.zip").unlink()
    (week / "tuesday.zip").unlink()
    put(week, "thursday.zip", 3, bundle_11(student(1)))
    assert read(week, looked(0, 0.1))[2].complete


def test_a_record_that_was_put_right_by_a_newer_bundle_is_no_reject(tmp_path: Path) -> None:
    bad = student(1) | {"orgSourcedIds": "", "role": "", "givenName": ""}
    folder = tmp_path / "exports"
    put(folder, "monday.zip", 0, bundle_11(bad | {"status": "strange"}, student(2)))
    before = read(folder)[1]
    put(folder, "tuesday.zip", 1, bundle_11(student(1) | ACTIVE, mode="delta"))
    users, rejects, _ = read(folder)
    assert "stu-1" in users
    assert "stu-1" not in rejects or "stu-1" not in before


def test_the_revision_is_that_of_the_whole_row(week: Path) -> None:
    first = read(week)[2].revision
    assert first == read(week)[2].revision
    put(week, "tuesday.zip", 1, bundle_11(student(4) | ACTIVE, mode="delta"))
    assert first != read(week)[2].revision
