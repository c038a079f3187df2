"""Several bundles since the last one that was read: applied in order, or the gap is reported."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roster_pipeline.oneroster.bundle import MISSED, LastRead
from roster_pipeline.oneroster.bundle.bundle_discovery import FoundBundle, FoundFile, date_bundles
from roster_pipeline.oneroster.bundle.delta_chain import LATE, MOST_BUNDLES, is_broken, to_read
from roster_pipeline_tests.oneroster_bundle.writing import Read, bundle_11, people_of, pupil, put

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


def test_bundles_of_one_moment_are_in_the_order_of_their_numbers() -> None:
    """A folder that was copied has the times of the copy, and SFTP knows only whole seconds."""
    found = [FoundBundle(f"{number}.zip", (FoundFile("", 1, day(0).timestamp()),)) for number in (9, 11, 10)]
    assert [one.bundle.name for one in date_bundles(found, {}, day(1).timestamp())] == ["11.zip", "10.zip", "9.zip"]


@pytest.mark.parametrize(("names", "unbroken"), [(("02", "03"), True), (("03", "02"), False)])
def test_days_in_the_names_that_contradict_the_times_prove_no_order(names: tuple[str, str], unbroken: bool) -> None:
    found = [
        FoundBundle(f"2026-11-{name}.zip", (FoundFile("", 1, day(hour / 24).timestamp()),))
        for hour, name in enumerate(names, start=1)
    ]
    bundles = date_bundles(found, {}, day(1).timestamp())
    last = looked(0, 0.01)
    assert is_broken(to_read(bundles, last), bundles, last, whole=False) is not unbroken


@pytest.fixture
def week(tmp_path: Path) -> Path:
    """Everything on Monday, then what changed."""
    folder = tmp_path / "exports"
    tuesday = bundle_11(pupil(1, familyName="Tuesday") | ACTIVE, pupil(4) | ACTIVE, mode="delta")
    wednesday = bundle_11(pupil(1, familyName="Wednesday") | ACTIVE, pupil(2) | GONE, mode="delta")
    put(folder / "monday.zip", bundle_11(pupil(1), pupil(2), pupil(3)), day(0))
    put(folder / "tuesday.zip", tuesday, day(1))
    put(folder / "wednesday.zip", wednesday, day(2))
    return folder


def test_deltas_over_a_whole_bundle_are_the_whole_truth(week: Path) -> None:
    users, proof = people_of(week)
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
    users, proof = people_of(week, looked(0, 0.1))
    assert {name: one["familyName"] for name, one in users.items()} == {
        "stu-1": "Wednesday",
        "stu-2": "Oduya",
        "stu-4": "Oduya",
    }
    assert (proof.mode, proof.complete) == ("delta", True)
    assert list(people_of(week, looked(1, 1.1))[0]) == ["stu-1", "stu-2"]


def test_what_was_missed_and_is_not_there_any_more_makes_the_pull_incomplete(week: Path) -> None:
    (week / "monday.zip").unlink()
    (week / "tuesday.zip").unlink()
    _, proof = people_of(week, looked(0, 0.1))
    assert (proof.mode, proof.complete, proof.problems) == ("delta", False, (MISSED,))


def test_a_delta_that_comes_after_a_newer_one_is_named_until_a_whole_bundle_comes(week: Path) -> None:
    late = (week / "tuesday.zip").rename(week.parent / "tuesday.zip")
    age = people_of(week)[1].age
    assert age is not None
    last = replace(looked(2, 2.1), marks=frozenset(age.marks), whole=datetime.fromisoformat(str(age.whole)))
    assert people_of(week, last)[1].problems == ()
    late.rename(week / "tuesday.zip")
    _, proof = people_of(week, last)
    assert (proof.complete, proof.problems, proof.age and proof.age.whole) == (False, (MISSED, LATE), age.whole)
    put(week / "before.zip", bundle_11(pupil(1)), day(-1))
    (week / "tuesday.zip").unlink()
    assert people_of(week, last)[1].problems == (), "a bundle before the newest whole one does not matter"
    put(week / "tuesday.zip", bundle_11(pupil(1)), day(1))
    put(week / "thursday.zip", bundle_11(pupil(1)), day(3))
    assert people_of(week, last)[1].problems == ()


def test_a_whole_bundle_ends_the_gap(week: Path) -> None:
    (week / "monday.zip").unlink()
    (week / "tuesday.zip").unlink()
    put(week / "thursday.zip", bundle_11(pupil(1)), day(3))
    assert people_of(week, looked(0, 0.1))[1].complete


@pytest.mark.parametrize("name", ["roster-{}.zip", "2026-11-0{}.zip"])
def test_numbers_and_days_that_are_missing_before_a_whole_bundle_do_not_matter(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "exports"
    for number in (2, 3, 8):
        put(folder / name.format(number), bundle_11(pupil(1)), day(number - 2))
    assert people_of(folder, looked(1, 1.1))[1].problems == ()
    put(folder / name.format(9), bundle_11(pupil(1) | ACTIVE, mode="delta"), day(7))
    assert people_of(folder, looked(1, 1.1))[1].problems == ()
    (folder / name.format(8)).unlink()
    assert people_of(folder, looked(1, 1.1))[1].problems == (MISSED,)


def test_a_record_that_a_newer_bundle_corrects_is_not_rejected(tmp_path: Path) -> None:
    bad = pupil(1) | {"orgSourcedIds": "", "role": "", "givenName": ""}
    folder = tmp_path / "exports"
    put(folder / "monday.zip", bundle_11(bad | {"status": "strange"}, pupil(2)), day(0))
    before = {one["sourcedId"] for one in Read(folder).rejects}
    put(folder / "tuesday.zip", bundle_11(pupil(1) | ACTIVE, mode="delta"), day(1))
    assert "stu-1" in people_of(folder)[0]
    assert "stu-1" not in before & {one["sourcedId"] for one in Read(folder).rejects}


def test_the_revision_is_that_of_the_whole_row(week: Path) -> None:
    first = people_of(week)[1].revision
    assert first == people_of(week)[1].revision
    put(week / "tuesday.zip", bundle_11(pupil(4) | ACTIVE, mode="delta"), day(1))
    assert first != people_of(week)[1].revision
