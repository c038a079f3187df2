"""Nights of a school that exports deltas: missed nights are read later, and a gap archives nobody."""

import os
import re
import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roster_pipeline_tests.csv_bundle import BULK, write_csv_bundle
from roster_pipeline_tests.district import District


class Exports:
    """A folder that the SIS writes bundles to, one a day; the last one was written just now."""

    def __init__(self, district: District, folder: Path, start: datetime) -> None:
        self.district, self.folder, self.now = district, folder, start
        folder.mkdir()

    def write(
        self, name: str, *, hours: float, mode: str = BULK, since: datetime | None = None, long_dates: bool = False
    ) -> None:
        """Write one bundle, this many hours after the start. long_dates: with more digits behind the second."""
        path = write_csv_bundle(self.district.people, self.folder / name, version="1.1", mode=mode, since=since)
        if long_dates:
            with zipfile.ZipFile(path) as packed:
                files = {inside: packed.read(inside).decode() for inside in packed.namelist()}
            with zipfile.ZipFile(path, "w") as packed:
                for inside, content in files.items():
                    packed.writestr(inside, re.sub(r"(T[\d:]+\.\d{3})Z", r"\g<1>0000Z", content))
        self._age(path, hours)

    def again(self, name: str, new_name: str, *, hours: float) -> None:
        """A bundle that was there before, under another name."""
        self._age(Path(shutil.copy(self.folder / name, self.folder / new_name)), hours)

    def _age(self, path: Path, hours: float) -> None:
        at = (self.now + timedelta(hours=hours)).timestamp()
        os.utime(path, (at, at))


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def exports(district: District, tmp_path: Path) -> Exports:
    return Exports(district, tmp_path / "exports", datetime.now(UTC) - timedelta(days=11))


def look_back(district: District, hours: float) -> None:
    """Set the time of the last reading to that of a bundle this many hours after the start."""
    district.execute(
        "update pull set finished_at = now() - interval '11 days' + :hours * interval '1 hour'", hours=hours
    )


def proof_of(district: District, name: str) -> object:
    return district.value("select proof -> :name from pull order by id desc limit 1", name=name)


def since_the_last(district: District) -> datetime:
    """The SIS's own clock now: later changes are in the next delta."""
    return datetime.fromisoformat(district.people.stamp().replace("Z", "+00:00"))


def first_night(district: District, exports: Exports, name: str = "1.zip") -> None:
    """A bulk bundle is read, an hour after it was written. Later bundles may be old."""
    district.set_connection(url=f"file://{exports.folder}", token_url=None)
    district.add_school(guards={"bundle_age_days": 30})
    exports.write(name, hours=0)
    district.run_sync()
    look_back(district, 1)


def test_every_delta_since_the_last_sync_is_applied(district: District, exports: Exports) -> None:
    district.set_connection(url=f"file://{exports.folder}", token_url=None)
    district.add_school()
    exports.write("1.zip", hours=0)
    district.run_sync()
    assert not district.problems
    look_back(district, 1)
    first, second = district.people.people_of("sch-1", "student")[:2]
    before = since_the_last(district)
    district.people.rename(first.sourced_id, given_name="Firstly")
    exports.write("2.zip", hours=24, mode="delta", since=before)
    before = since_the_last(district)
    district.people.rename(second.sourced_id, given_name="Secondly")
    exports.write("3.zip", hours=48, mode="delta", since=before)
    night = district.run_sync()
    assert not district.problems
    assert night["archived"] == 0
    assert district.count("person", "given_name in ('Firstly', 'Secondly')") == 2
    assert proof_of(district, "complete") is True


def test_deltas_that_came_in_a_wrong_order_count_by_their_dates_of_change(district: District, exports: Exports) -> None:
    first_night(district, exports)
    back, gone = district.people.people_of("sch-1", "student")[:2]
    before = since_the_last(district)
    district.people.remove(back.sourced_id, how="mark")
    district.people.rename(gone.sourced_id, given_name="Earlier")
    exports.write("3.zip", hours=48, mode="delta", since=before)
    before = since_the_last(district)
    district.people.put(back)
    district.people.remove(gone.sourced_id, how="mark")
    exports.write("2.zip", hours=24, mode="delta", since=before)
    assert (district.problems, district.run_sync()["archived"]) == ([], 1)
    of = "person_id in (select person_id from link where sourced_id = '{}') and status = 'active'"
    assert district.count("membership", of.format(back.sourced_id)) == 1
    assert district.count("membership", of.format(gone.sourced_id)) == 0


def test_a_delta_that_came_and_went_unseen_is_a_gap_until_a_whole_bundle_comes(
    district: District, exports: Exports
) -> None:
    district.set_connection(url=f"file://{exports.folder / 'out.zip'}", token_url=None)
    district.add_school()
    exports.write("out.zip", hours=0)
    district.run_sync()
    look_back(district, 1)
    first, second, gone = district.people.people_of("sch-1", "student")[:3]
    before = since_the_last(district)
    district.people.rename(first.sourced_id, given_name="Firstly")
    exports.write("out.zip", hours=24 * 9, mode="delta", since=before)
    district.run_sync()
    assert not district.problems
    assert proof_of(district, "problems") == ["deltas-missed"]
    assert district.count("person", "given_name = 'Firstly'") == 1, "what it says is good"
    before = since_the_last(district)
    district.people.rename(second.sourced_id, given_name="Secondly")
    district.people.remove(gone.sourced_id, how="mark")
    exports.write("out.zip", hours=24 * 10, mode="delta", since=before)
    night = district.run_sync()
    assert proof_of(district, "problems") == ["deltas-missed"]
    assert night["archived"] == 0
    assert district.count("person", "given_name in ('Firstly', 'Secondly')") == 2, "the gap undoes nothing"
    exports.write("out.zip", hours=24 * 11)
    assert district.run_sync()["archived"] == 1
    assert proof_of(district, "complete") is True


def test_a_delta_that_comes_late_is_named_with_the_remedy_until_a_whole_bundle_comes(
    district: District, exports: Exports
) -> None:
    first_night(district, exports, "a.zip")
    changed, gone = district.people.people_of("sch-1", "student")[:2]
    before = since_the_last(district)
    district.people.rename(changed.sourced_id, given_name="Firstly")
    exports.write("c.zip", hours=24, mode="delta", since=before)
    district.run_sync()
    assert proof_of(district, "complete") is True
    before = since_the_last(district)
    district.people.remove(gone.sourced_id, how="mark")
    exports.write("b.zip", hours=12, mode="delta", since=before)
    for _ in range(2):
        assert district.run_sync()["archived"] == 0
        assert proof_of(district, "problems") == ["deltas-missed", "source-late-delta"]
        assert "export everything (bulk) once" in district.value("select message from alert where cleared_at is null")
    exports.write("d.zip", hours=36)
    assert district.run_sync()["archived"] == 1
    assert (proof_of(district, "complete"), district.count("alert", "cleared_at is null")) == (True, 0)


def test_a_first_bundle_that_only_says_what_changed_archives_nobody_and_asks_for_more(
    district: District, exports: Exports
) -> None:
    district.set_connection(url=f"file://{exports.folder}", token_url=None)
    district.add_school()
    exports.write("1.zip", hours=0, mode="delta", since=LONG_AGO)
    district.run_sync()
    assert proof_of(district, "problems") == ["delta-without-whole"]


def test_a_bundle_of_an_earlier_day_that_comes_again_changes_nobody(district: District, exports: Exports) -> None:
    """A delta is known by the dates of change in it, however many digits they have, and a bulk bundle by its bytes."""
    first_night(district, exports)
    gone, renamed = district.people.people_of("sch-1", "student")[:2]
    for number, name in ((2, "Earlier"), (3, "Later")):
        before = since_the_last(district)
        district.people.rename(renamed.sourced_id, given_name=name)
        if number == 2:
            district.people.remove(gone.sourced_id, how="mark")
        else:
            district.people.put(gone)
            joined = district.people.add("student", "sch-1").sourced_id
        hours = 24 * (number - 1)
        exports.write(f"{number}.zip", hours=hours, mode="delta", since=before, long_dates=number == 2)
        district.run_sync()
        look_back(district, 24 * (number - 1) + 1)
    link = f"sourced_id in ('{gone.sourced_id}', '{joined}')"
    here = f"status = 'active' and person_id in (select person_id from link where {link})"
    assert district.count("membership", here) == 2
    exports.again("2.zip", "4.zip", hours=72)
    night = district.run_sync()
    assert not district.problems
    assert (night["archived"], night["updated"], proof_of(district, "older_records")) == (0, 0, 2)
    look_back(district, 73)
    exports.again("1.zip", "5.zip", hours=96)
    district.run_sync()
    assert proof_of(district, "problems") == ["source-older-than-before"]
    before = since_the_last(district)
    district.people.rename(renamed.sourced_id, given_name="Last")
    exports.write("6.zip", hours=120, mode="delta", since=before)
    district.run_sync()
    assert proof_of(district, "problems") == ["source-older-than-before"], "the chain begins with the old bundle"
    assert district.count("membership", here) == 2
    exports.write("7.zip", hours=144)
    district.run_sync()
    assert proof_of(district, "complete") is True
    assert district.count("person", "given_name = 'Last'") == 1
