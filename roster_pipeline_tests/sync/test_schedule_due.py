"""When a school is due: its own clock, daylight saving, nights missed, failed and tried again."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from sqlalchemy import text

from roster_pipeline.definitions import build_defs
from roster_pipeline.defs.jobs import nightly
from roster_pipeline.defs.resources import DirectoryResource, InstallationResource, close_databases
from roster_pipeline.directory import alerts, tenant_changes, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.scheduled_runs import ScheduledSchool, note_requested, scheduled_schools
from roster_pipeline.services.school_changes import add_school, change_school, resume_school
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.sync.schedule_due import (
    FIRST,
    MOST_NAMED,
    SECOND,
    DueSchool,
    due,
    due_schools,
    next_night,
    night_of,
    not_due,
    why_not,
)
from roster_pipeline_tests.directory.builders import sync_rows

TONIGHT = datetime(2026, 11, 3, 20, 0, tzinfo=UTC)
OAK = ScheduledSchool(
    1, "oak", "Oak", "sis", time(20, 0), "UTC", None, None, None, None, False, False, None, None, False
)
ASKED = replace(OAK, requested_night="2026-11-03", requested_attempt=FIRST, requested_at=TONIGHT)
FAILED = replace(ASKED, failed_at=TONIGHT + timedelta(minutes=5), failed_night="2026-11-03", retryable=True)
MINUTES = timedelta(minutes=1)

CASES = {
    "its time has come": (OAK, TONIGHT, FIRST),
    "a minute too early": (OAK, TONIGHT - MINUTES, None),
    "missed by eleven hours": (OAK, TONIGHT + timedelta(hours=11), FIRST),
    "missed by more than twelve": (OAK, TONIGHT + timedelta(hours=13), None),
    "synced since": (replace(OAK, last_sync=TONIGHT + MINUTES), TONIGHT + 15 * MINUTES, None),
    "synced the day before": (replace(OAK, last_sync=TONIGHT - timedelta(hours=20)), TONIGHT, FIRST),
    "asked for and still at work": (ASKED, TONIGHT + 15 * MINUTES, None),
    "failed a moment ago": (FAILED, TONIGHT + 15 * MINUTES, None),
    "failed an hour ago": (FAILED, TONIGHT + 75 * MINUTES, SECOND),
    "failed for good": (replace(FAILED, retryable=False), TONIGHT + 75 * MINUTES, None),
    "failed twice": (replace(FAILED, requested_attempt=SECOND), TONIGHT + timedelta(hours=5), None),
    "moved west after it was asked for": (replace(ASKED, requested_night="2026-11-04"), TONIGHT + 15 * MINUTES, None),
    "moved west, a night later": (replace(ASKED, requested_night="2026-11-04"), TONIGHT + timedelta(days=2), FIRST),
    "moved from the early morning to the evening": (
        replace(ASKED, requested_at=TONIGHT - timedelta(hours=19), last_sync=TONIGHT - timedelta(hours=19)),
        TONIGHT,
        FIRST,
    ),
    "moved to a later hour of the evening": (replace(ASKED, requested_at=TONIGHT - timedelta(hours=2)), TONIGHT, None),
    "failed the night before": (FAILED, TONIGHT + timedelta(days=1), FIRST),
    "gave way": (replace(ASKED, gave_way=True), TONIGHT + 15 * MINUTES, SECOND),
    "gave way and was asked for again": (
        replace(ASKED, gave_way=True, requested_attempt=SECOND),
        TONIGHT + 15 * MINUTES,
        None,
    ),
}


@pytest.mark.parametrize(("school", "now", "attempt"), CASES.values(), ids=CASES.keys())
def test_what_is_started_when(school: ScheduledSchool, now: datetime, attempt: int | None) -> None:
    found = due(school, now, ZoneInfo("UTC"))
    assert (found.attempt if found else None) == attempt


@pytest.mark.parametrize(
    ("zone", "sync_time", "days"),
    [
        ("America/Chicago", time(2, 30), (datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 3, 12, tzinfo=UTC))),
        ("America/Chicago", time(1, 30), (datetime(2026, 10, 29, tzinfo=UTC), datetime(2026, 11, 5, tzinfo=UTC))),
        ("Europe/Berlin", time(20, 0), (datetime(2026, 3, 26, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC))),
        ("Asia/Kolkata", time(20, 0), (datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 8, tzinfo=UTC))),
        ("Australia/Adelaide", time(2, 15), (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 8, tzinfo=UTC))),
        ("Australia/Lord_Howe", time(2, 0), (datetime(2026, 4, 2, tzinfo=UTC), datetime(2026, 4, 9, tzinfo=UTC))),
    ],
    ids=[
        "spring forward",
        "fall back",
        "an ordinary night",
        "half an hour",
        "half an hour and spring",
        "half-hour change",
    ],
)
def test_every_local_night_comes_once_and_at_its_time(
    zone: str, sync_time: time, days: tuple[datetime, datetime]
) -> None:
    place, (now, end) = ZoneInfo(zone), days
    starts: list[datetime] = []
    while now < end:
        starts_at = night_of(sync_time, place, now)
        if not starts or starts[-1] != starts_at:
            starts.append(starts_at)
        now += timedelta(minutes=15)
    dates = [starts_at.astimezone(place).date() for starts_at in starts]
    assert dates == [dates[0] + timedelta(days=day) for day in range(len(starts))]
    assert all(timedelta(hours=22.9) < b - a < timedelta(hours=25.1) for a, b in pairwise(starts))
    shown = {starts_at.astimezone(place).time() for starts_at in starts}
    assert sync_time in shown
    assert len(shown) <= 2, "only the skipped hour is shown as another one"


def test_a_sync_time_that_is_skipped_past_midnight_is_waited_for() -> None:
    """Greenland goes from 23:00 to 0:00, so the 23:59 of that day is 0:59 of the next one."""
    nuuk, now, starts = ZoneInfo("America/Nuuk"), datetime(2026, 3, 27, tzinfo=UTC), set()
    while now < datetime(2026, 4, 1, tzinfo=UTC):
        last, following = night_of(time(23, 59), nuuk, now), next_night(time(23, 59), nuuk, now)
        assert last <= now < following, now
        starts |= {last, following}
        now += timedelta(minutes=15)
    assert {b - a for a, b in pairwise(sorted(starts))} <= {timedelta(hours=23), timedelta(hours=24)}


@pytest.fixture
def oak(database: Database) -> Database:
    """A school of 20:00 in Kolkata (14:30 UTC) that runs by itself, and one that does not."""
    with database.begin() as conn:
        tenant_changes.add_district(conn, "spring", "Spring")
        tenant_changes.add_connection(conn, "spring", "sis", ConnectionSettings(url="https://sis.example.org"), None)
        settings = SchoolSettings(school_id="1", automatic=True, time_zone="Asia/Kolkata")
        tenant_changes.add_school(conn, "sis", "oak", "Oak", settings)
        tenant_changes.add_school(conn, "sis", "elm", "Elm", SchoolSettings(school_id="2"))
    return database


def started(database: Database, tick: datetime) -> list[DueSchool]:
    """The schools that are due at a tick, after their runs were queued."""
    due_now, _ = due_schools(database, tick)
    for one in due_now:
        database.call(note_requested, one.key, one.night, one.attempt, tick)
    return due_now


def test_a_night_is_asked_for_once_and_a_school_that_is_off_never(oak: Database) -> None:
    tick = datetime(2026, 11, 3, 14, 30, tzinfo=UTC)
    assert due_schools(oak, tick - 15 * MINUTES)[0] == []
    for ahead in (timedelta(), 15 * MINUTES, timedelta(hours=11), timedelta(days=1)):
        assert due_schools(oak, tick + ahead)[0], "a look at a tick, or one that broke off, starts nothing"
    assert [(one.key, one.night) for one in started(oak, tick + 15 * MINUTES)] == [("oak", "2026-11-03")]
    assert due_schools(oak, tick + 15 * MINUTES)[0] == []
    assert [one.night for one in due_schools(oak, tick + timedelta(days=1))[0]] == ["2026-11-04"]


def test_a_clock_that_was_wrong_for_a_night_stops_no_later_night(oak: Database) -> None:
    tick = datetime(2026, 11, 3, 14, 30, tzinfo=UTC)
    assert started(oak, tick + timedelta(days=400))
    sync_rows(oak, oak.call(tenants.get_school, "oak"))
    with oak.begin() as conn:
        conn.execute(text("update sync set at = :ahead"), {"ahead": tick + timedelta(days=400)})
    assert [one.night for one in started(oak, tick)] == ["2026-11-03"]
    assert due_schools(oak, tick + 15 * MINUTES)[0] == []
    assert [one.night for one in due_schools(oak, tick + timedelta(days=1))[0]] == ["2026-11-04"]


def test_a_failed_night_is_tried_again_once(oak: Database) -> None:
    tick = datetime.now(UTC).replace(microsecond=0)
    with oak.begin() as conn:
        settings = SchoolSettings(school_id="1", automatic=True, sync_time=(tick - MINUTES).time())
        tenant_changes.set_school(conn, "oak", settings)
    (first,) = started(oak, tick)
    oak.call(alerts.record, "oak", "fetch", "away", "r1", night=first.night, retryable=True)
    assert due_schools(oak, tick + 15 * MINUTES)[0] == []
    (second,) = started(oak, tick + 75 * MINUTES)
    assert (second.night, second.attempt) == (first.night, SECOND)
    assert due_schools(oak, tick + 90 * MINUTES)[0] == []
    attempts = {school.key: school.requested_attempt for school in oak.call(scheduled_schools, 15 * MINUTES, tick)}
    assert attempts == {"oak": SECOND, "elm": None}


def test_the_schedule_asks_by_the_partition_tag_alone_and_logs_why_others_wait(
    oak: Database, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    oak.call(tenant_changes.set_school, "elm", SchoolSettings(school_id="2", automatic=True, sync_time=time(23)))
    defs = build_defs(resource_overrides={"directory": DirectoryResource(url=database_url)})
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=datetime(2026, 11, 3, 14, 45, tzinfo=UTC),
            repository_def=defs.get_repository_def(),
            resources={"directory": DirectoryResource(url=database_url), "installation": InstallationResource()},
        )
        data = nightly.evaluate_tick(context)
    close_databases()
    assert "not due: elm: not yet due (next: Tue 3 Nov 2026, 23:00 UTC)" in capfd.readouterr().err
    assert [request.run_key for request in data.run_requests or []] == ["oak:2026-11-03:1"]
    (request,) = data.run_requests or []
    assert request.partition_key is None or request.tags["dagster/partition"] == "oak"
    assert request.tags["dagster/partition"] == "oak"
    assert request.tags["roster/connection"] == "sis"


def test_a_school_that_is_switched_on_or_resumed_begins_with_its_next_night(oak: Database) -> None:
    now = datetime.now(UTC)
    an_hour_ago = (now - timedelta(hours=1)).time().replace(microsecond=0)
    elm, ash, fir = (
        SchoolSettings(school_id=school_id, automatic=True, sync_time=an_hour_ago) for school_id in ("2", "3", "4")
    )
    with oak.begin() as conn:
        change_school(conn, "elm", who="ada", settings=elm)
        add_school(conn, "sis", "ash", "Ash", ash, who="ada")
        tenant_changes.add_school(conn, "sis", "fir", "Fir", fir)
        paused = tenants.get_school(conn, "fir").id
        alerts.open_alert(conn, "school fir", alerts.PAUSED, "It failed for a week", school=paused)
        assert resume_school(conn, "fir", who="ada")
        assert not resume_school(conn, "fir", who="ada")
    mine = {"elm", "ash", "fir"}
    assert not mine & {one.key for one in due_schools(oak, now + MINUTES)[0]}
    assert mine <= {one.key for one in due_schools(oak, now + timedelta(hours=23, minutes=30))[0]}


def test_a_new_sync_time_in_the_past_still_starts_the_night(oak: Database) -> None:
    now = datetime.now(UTC)
    zone = f"Etc/GMT{now.hour - 12:+d}"  # in a zone where it is noon, so that an hour before and after are the same day
    noon = now.astimezone(ZoneInfo(zone))
    with oak.begin() as conn:
        later = (noon + timedelta(hours=1)).time()
        before = SchoolSettings(school_id="2", automatic=True, time_zone=zone, sync_time=later)
        change_school(conn, "elm", who="ada", settings=before)
    with oak.begin() as conn:
        earlier = before.model_copy(update={"sync_time": (noon - timedelta(hours=1)).time()})
        change_school(conn, "elm", who="ada", settings=earlier)
    assert "elm" in {one.key for one in due_schools(oak, now + MINUTES)[0]}


@pytest.mark.parametrize(
    ("school", "why"),
    [
        (replace(OAK, last_sync=TONIGHT + MINUTES), "synced this night"),
        (ASKED, "started this night"),
        (replace(FAILED, retryable=False), "failed this night"),
        (replace(OAK, last_sync=TONIGHT - timedelta(hours=40)), "not yet due"),
    ],
)
def test_why_a_school_is_not_due_is_said_with_its_next_time(school: ScheduledSchool, why: str) -> None:
    now = TONIGHT + (timedelta(hours=13) if why.startswith("not yet") else 15 * MINUTES)
    assert not_due(school, now, ZoneInfo("UTC")) == (why, "Wed 4 Nov 2026, 20:00 UTC")


def test_the_schedule_says_why_it_starts_nobody_and_runs_carry_the_schools_name(
    oak: Database, database_url: str
) -> None:
    tick = TONIGHT + timedelta(hours=13)
    assert "; oak: not yet due (next: " in _why_not(oak, tick)
    assert [one.name for one in started(oak, TONIGHT)] == [oak.call(tenants.get_school, "oak").name]
    assert "oak: started this night" in _why_not(oak, TONIGHT + 15 * MINUTES)


def test_of_many_schools_the_schedule_counts_the_reasons_and_names_the_next(oak: Database) -> None:
    with oak.begin() as conn:
        settings = tenants.get_school(conn, "oak").settings
        connection = tenants.get_school(conn, "oak").connection.key
        for place in range(MOST_NAMED):
            later = settings.model_copy(update={"sync_time": time(21), "school_id": f"s{place}"})
            tenant_changes.add_school(conn, connection, f"elm-{place}", f"Elm {place}", later)
    tick = TONIGHT + timedelta(hours=14)
    assert _why_not(oak, tick) == (
        "11 not yet due, 1 automatic rostering is off; the next is oak: Wed 4 Nov 2026, 20:00 IST"
    )


def test_why_a_school_does_not_run_by_itself_is_said_too(oak: Database) -> None:
    with oak.begin() as conn:
        query = "insert into alert (subject, cause, school_id, message) select key, 'paused', id, '' from school "
        conn.execute(text(query + "where key = 'oak'"))
    off, paused = "automatic rostering is off", "paused after failed nights, until somebody resumes it"
    assert _why_not(oak, TONIGHT) == f"elm: {off}; oak: {paused}"


def _why_not(database: Database, at: datetime) -> str:
    due_now, others = due_schools(database, at)
    assert due_now == []
    return why_not(others, at)
