"""Fetching: shared pulls, their cost for the SIS, deltas, per-school lists, CSV bundles."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from roster_pipeline.defs.resources import SisResource
from roster_pipeline.directory.delta_base import DeltaBase
from roster_pipeline.settings.school import ConnectionSettings
from roster_pipeline.simulator import generate_district
from roster_pipeline.sync import clean_latest, fetch, fetch_strategy, plan_latest
from roster_pipeline.sync.fetch_strategy import Choice, choose
from roster_pipeline_tests.csv_bundle import write_csv_bundle
from roster_pipeline_tests.district import District
from roster_pipeline_tests.scenarios.conftest import DagsterDistrict

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
SETTINGS = ConnectionSettings(url="https://sis.example.org")


def _base(records: int = 1000, days: float = 1, **proof: object) -> DeltaBase:
    at = NOW - timedelta(days=days)
    return DeltaBase(1, at, at, at, records, proof=proof)


def _chosen(settings: ConnectionSettings = SETTINGS, **facts: object) -> Choice:
    known: dict[str, object] = {"whole": None, "own": None, "rostered": 100, "schools": 1, "list_requests": None}
    known |= {"lists_leave_out": 0, "proved": True, "now": NOW} | facts
    return choose(settings, **known)  # type: ignore[arg-type]


def test_a_connection_is_read_whole_until_it_is_known_to_be_far_larger_than_what_is_rostered() -> None:
    assert not _chosen().per_school
    assert not _chosen(whole=_base(15_000)).per_school
    assert _chosen(whole=_base(400_000)).per_school
    assert not _chosen(whole=_base(400_000), rostered=40_000).per_school
    assert not _chosen(whole=_base(400_000), rostered=None).per_school


@pytest.mark.parametrize(
    ("schools", "of_one_school", "of_the_whole", "lists"),
    [(3, 360, 4_000, True), (12, 360, 4_000, False), (1, 360, 359, False), (60, None, 400, True), (60, 2, None, True)],
)
def test_lists_are_read_only_if_they_are_known_to_cost_fewer_requests(
    schools: int, of_one_school: int | None, of_the_whole: int | None, lists: bool
) -> None:
    whole = _base(400_000, requests=of_the_whole)
    assert _chosen(whole=whole, schools=schools, list_requests=of_one_school).per_school is lists


def test_lists_are_compared_with_the_whole_every_week_and_not_used_if_they_leave_people_out() -> None:
    per_school = SETTINGS.model_copy(update={"strategy": "per_school"})
    assert _chosen(per_school, whole=_base(days=6)).per_school
    assert not _chosen(per_school, whole=_base(days=8)).per_school
    assert not _chosen(per_school, whole=_base(), lists_leave_out=3).per_school


def test_a_delta_needs_a_full_pull_of_this_week_and_goes_back_a_little_further() -> None:
    delta = SETTINGS.model_copy(update={"delta": True})
    assert _chosen(delta).since is None
    assert _chosen(delta, whole=_base(days=8)).everybody_too, "the weekly full pull looks whom the changes missed"
    chosen = _chosen(delta, whole=_base(days=1))
    assert chosen.since is not None
    assert (chosen.since < NOW - timedelta(days=1), chosen.everybody_too) == (True, False)
    assert _chosen(delta, whole=_base(days=1), proved=False).everybody_too


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=2), timedelta(days=400)])
def test_a_delta_behind_a_clock_that_ran_ahead_goes_back_to_our_own_time(ahead: timedelta) -> None:
    delta = SETTINGS.model_copy(update={"delta": True})
    at = NOW - timedelta(days=1)
    base = DeltaBase(1, at, at, at + ahead, 1000, started_at=at - timedelta(minutes=3))
    since = _chosen(delta, whole=base).since
    assert since is not None
    assert since < at


@pytest.mark.parametrize("strategy", ["whole", "per_school"])
def test_a_delta_is_not_laid_over_what_a_full_pull_of_the_other_way_has_overtaken(strategy: str) -> None:
    delta = SETTINGS.model_copy(update={"delta": True, "strategy": strategy})
    older, newer = _base(days=3), _base(days=1)
    by_list = strategy == "per_school"
    overtaken = _chosen(delta, whole=newer if by_list else older, own=older if by_list else newer)
    assert overtaken.since is None or overtaken.everybody_too
    assert _chosen(delta, whole=older if by_list else newer, own=newer if by_list else older).since is not None


def test_fifty_schools_cost_hardly_more_than_one_pull_of_everything(district: District) -> None:
    district.sis.district = generate_district(9, schools=50, students_per_school=12)
    keys = [district.add_school(f"school-{number}", f"sch-{number}") for number in range(1, 51)]
    fetch(district.database, keys[0], batch="night", run_id=None)
    pages_of_one = len(district.sis.log.entries)
    for key in keys[1:]:
        fetch(district.database, key, batch="night", run_id=None)
    assert len(district.sis.log.entries) <= 1.1 * pages_of_one
    assert district.count("snapshot") == 50


def large_district(district: District, monkeypatch: pytest.MonkeyPatch, schools: int) -> list[str]:
    """The SIS has sixty schools and counts as large; this many of them are configured. Returns their keys."""
    monkeypatch.setattr(fetch_strategy, "LARGE", 100)
    district.sis.district = generate_district(9, schools=60, students_per_school=12)
    return [district.add_school(f"school-{number}", f"sch-{number}") for number in range(1, schools + 1)]


def cost(district: District, keys: list[str], batch: str) -> list[int]:
    """The number of requests to the SIS for each school of one night."""
    counted = []
    for key in keys:
        before = district.sis.log.total
        fetch(district.database, key, batch=batch, run_id=None)
        counted.append(district.sis.log.total - before)
    return counted


def test_the_first_night_of_a_large_connection_is_one_pull(district: District, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = cost(district, large_district(district, monkeypatch, schools=4), "monday")
    assert first > 10
    assert others == [0, 0, 0]
    assert district.count("pull") == 1


def test_schools_that_were_never_fetched_count_as_rostered(district: District, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = large_district(district, monkeypatch, schools=5)
    cost(district, keys[:1], "monday")
    assert district.count("snapshot") == 1
    cost(district, keys, "tuesday")
    assert (district.count("pull"), district.count("pull", "scope <> ''")) == (2, 0), "one snapshot, but five schools"


def test_the_lists_of_few_schools_of_a_large_connection_are_read_from_the_second_night_on(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = large_district(district, monkeypatch, schools=2)
    monday, tuesday = cost(district, keys, "monday"), cost(district, keys, "tuesday")
    assert district.count("pull", "scope <> ''") == 2
    assert sum(tuesday) < sum(monday)
    district.execute("update pull set proof = proof || '{\"requests\": 360}' where scope <> ''")
    cost(district, keys, "wednesday")
    assert district.count("pull", "scope <> ''") == 2, "the lists turned out to cost more than everything"
    assert district.count("pull", "batch = 'wednesday'") == 1


def test_a_delta_night_changes_and_archives_by_mark_but_absence_in_it_means_nothing(district: District) -> None:
    district.set_connection(delta=True)
    district.add_school(primary_contacts=True)
    district.run_sync()
    prove_changes(district)
    contacts = district.count("contact")
    students = [person.sourced_id for person in district.people.people_of("sch-1", "student")]
    district.people.remove(students[0], how="mark")
    district.people.remove(students[1], how="vanish")
    district.people.rename(students[2], family_name="Okafor")
    night = district.run_sync()
    assert district.count("snapshot", "mode = 'delta'") == 1
    assert (night["archived"], night["updated"]) == (1, 1)
    assert district.count("contact", "true") == contacts
    district.execute('update pull set proof = proof || \'{"full_at": "2020-01-01T00:00:00+00:00"}\'')
    assert district.run_sync()["archived"] == 1, "the weekly full pull sees who vanished"


def prove_changes(district: District) -> None:
    """As if this SIS had named every kind of change on earlier nights."""
    with district.database.begin() as conn:
        proved = """'{"delta_proved": ["same_day", "membership", "email"]}'"""
        conn.execute(text(f"update connection set learned = learned || {proved}"))


def test_per_school_lists_are_compared_with_the_whole_and_given_up_when_they_leave_people_out(
    district: District,
) -> None:
    district.set_connection(strategy="per_school")
    district.add_school()
    district.run_sync()
    district.run_sync()
    assert district.count("pull", "scope <> ''") == 1
    district.sis.faults.set("not_found=/schools/{id}/teachers")
    district.sis.faults.clear()
    with district.database.begin() as conn:
        conn.execute(text("update pull set finished_at = finished_at - interval '8 days' where scope = ''"))
        gone = (
            "update pull_record set bits = set_bit(bits, r.id & 511, 0) from sis_record r where r.sourced_id = :id "
            "and block = r.id >> 9 and pull_id = (select max(id) from pull where scope <> '')"
        )
        student = district.people.people_of("sch-1", "student")[0].sourced_id
        assert conn.execute(text(gone), {"id": student}).rowcount == 1
    assert district.run_sync()["archived"] == 0
    assert district.value("select learned ->> 'lists_leave_out' from connection") == "1"
    district.run_sync()
    assert district.count("pull", "scope <> ''") == 1, "the lists are not trusted any more"


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_school_can_be_rostered_from_csv_bundles(district: District, tmp_path: Path, version: str) -> None:
    bundle = tmp_path / "export.zip"
    write_csv_bundle(district.people, bundle, version=version)
    district.set_connection(url=f"file://{bundle}", token_url=None)
    district.add_school(primary_contacts=True)
    first = district.run_sync()
    assert not district.problems
    assert first["created"] == district.count("membership")
    assert district.active("student") == len(district.people.people_of("sch-1", "student"))
    district.people.remove(district.people.people_of("sch-1", "student")[0].sourced_id)
    write_csv_bundle(district.people, bundle, version=version)
    assert district.run_sync()["archived"] == 1
    write_csv_bundle(district.people, bundle, version=version, mode="delta", since=datetime(2020, 1, 1, tzinfo=UTC))
    district.people.remove(district.people.people_of("sch-1", "student")[0].sourced_id)
    assert district.run_sync()["archived"] == 0


def test_a_dry_run_plans_and_leaves_the_directory_alone(district: District) -> None:
    key = district.add_school()
    fetch(district.database, key, batch="dry", run_id="dry")
    clean_latest(district.database, key, run_id="dry")
    assert plan_latest(district.database, key, run_id="dry", dry_run=True).by_action["create"] > 40
    assert district.count("person") == 0


def test_a_pull_of_the_night_is_not_read_again_after_a_newer_one(district: District) -> None:
    keys = [district.add_school("lincoln"), district.add_school("oak", "sch-2")]
    district.run_sync(keys[0], night="2026-09-01")
    student = district.people.people_of("sch-2", "student")[0].sourced_id
    district.people.rename(student, given_name="Before")
    district.run_sync(keys[1])
    district.people.rename(student, given_name="Newest")
    district.run_sync(keys[1], night="2026-09-01")
    assert district.count("person", "given_name = 'Newest'") == 1
    assert district.count("pull") == 2, "the pull that was overtaken is kept no longer than any other"
    asked = len(district.sis.log.entries)
    district.run_sync(keys[0], night="2026-09-01")
    assert len(district.sis.log.entries) == asked, "the night's second pull is shared like the first"
    district.execute("update pull set finished_at = finished_at - interval '2 days'")
    district.run_sync(keys[0], night="2026-09-01")
    assert len(district.sis.log.entries) > asked, "a tag that somebody copied later is no night"


def test_bounds_of_the_resource_hold_for_the_client(dagster_district: DagsterDistrict) -> None:
    dagster_district.add_school()
    dagster_district.instance.add_dynamic_partitions("schools", ["lincoln"])
    small = {"sis": SisResource(limits={"records": 10})}
    assert not dagster_district.run_job("rostering", small, partition_key="lincoln").success
    assert dagster_district.run_sync()["created"] > 0
