"""The age of the source: in report, history and alert; old data archive nobody."""

import os
import shutil
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from roster_pipeline.directory import alerts, tenants
from roster_pipeline.directory.school_history import school_history
from roster_pipeline.directory.sync_summary import latest_sync, sync_summary
from roster_pipeline.notifications.content import SyncReport
from roster_pipeline.notifications.mail_page import render
from roster_pipeline.services.school_status import status_of_entry
from roster_pipeline.sync.build_report import report_of
from roster_pipeline.sync.monitoring import watch
from roster_pipeline_tests.csv_bundle import write_csv_bundle
from roster_pipeline_tests.district import EVERYTHING, District
from roster_pipeline_tests.oneroster_bundle.writing import as_zip
from roster_pipeline_tests.scenarios.conftest import alert_mails

DAY = 86_400


def by_csv(district: District, path: Path, **settings: Any) -> None:
    district.set_connection(url=f"file://{path}", token_url=None)
    district.add_school(report_to=["it@example.org"], **settings)


def export(district: District, path: Path, days: float = 0, mode: Any = "bulk", since: datetime | None = None) -> None:
    """Write a bundle of the SIS as it is now, dated this many days ago; a folder of files if the name is not a zip."""
    path.parent.mkdir(exist_ok=True)
    write_csv_bundle(district.people, path, version="1.1", mode=mode, since=since)
    age(path, days)


def age(path: Path, days: float) -> None:
    at = time.time() - days * DAY
    for file in [path] if path.is_file() else list(path.iterdir()):
        os.utime(file, (at, at))


def report(district: District) -> SyncReport:
    with district.database.begin() as conn:
        return report_of(sync_summary(conn, latest_sync(conn, "lincoln") or 0))


def old(district: District) -> tuple[str, ...]:
    """The problems with the age of the last reading."""
    facts = report(district).connection
    assert facts is not None
    return facts.old


def open_causes(district: District) -> list[str]:
    return [one.cause for one in district.database.call(alerts.open_alerts) if one.cause != alerts.HELD]


def back(district: District, days: int) -> None:
    """Let this many days pass without a change of the source."""
    district.execute("update pull set unchanged_since = unchanged_since - :days * interval '1 day'", days=days)


@pytest.mark.parametrize("name", ["out/roster.zip", "loose"])
def test_a_bundle_of_three_weeks_ago_is_in_the_report_the_history_and_one_alert(
    district: District, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    by_csv(district, path.parent if name.startswith("out") else path)
    export(district, path)
    district.run_sync()
    assert not district.problems
    assert open_causes(district) == []
    district.people.remove(district.people.people_of("sch-1", "student")[0].sourced_id)
    export(district, path)
    age(path, 21)
    with district.database.begin() as conn:  # as if it had been read three weeks ago for the first time
        conn.execute(
            text("""update pull set proof = jsonb_set(proof, '{age,newest}', '"2020-01-01T00:00:00+00:00"')""")
        )
    for _ in range(2):
        assert district.run_sync()["archived"] == 0
    told = report(district)
    assert told.connection is not None
    assert told.connection.problems == ("source-old:21 days",)
    mail = render(told)
    assert "the source is old" in mail.subject
    assert "The bundle was written long ago, and nothing newer came (21 days)." in " ".join(mail.text.split())
    assert "21 days before" in mail.text
    with district.database.begin() as conn:
        line = school_history(conn, tenants.get_school(conn, "lincoln").id)[0]
    assert status_of_entry(line, "lincoln").badge in ("Old source", "Held")
    assert "21 days old" in status_of_entry(line, "lincoln").source
    assert open_causes(district) == ["source_stale"]
    assert watch(district.database, datetime.now(UTC)).cleared == 0, "a finished sync is no answer to it"
    assert [subject for subject, _ in alert_mails(district)] == ["Lincoln: the source of the roster looks old"]
    district.people.add("student", "sch-1")
    export(district, path)
    assert district.run_sync()["archived"] == 1
    assert "source_stale" not in open_causes(district)
    assert alert_mails(district)[-1][0] == "Lincoln: the source is up to date again"


@pytest.mark.parametrize(("source", "limit"), [("bundle", 7), ("api", 14)])
def test_a_source_without_changes_is_reported_and_archives_nobody_without_an_approval(
    district: District, tmp_path: Path, source: str, limit: int
) -> None:
    stay = {"rostered": True, "auto_update": True, "archive": False}
    if source == "bundle":
        by_csv(district, tmp_path / "roster.zip", students=stay)
        export(district, tmp_path / "roster.zip")
    else:
        district.add_school(report_to=["it@example.org"], students=stay)
    district.run_sync()
    district.people.remove(district.people.people_of("sch-1", "student")[0].sourced_id)
    if source == "bundle":
        export(district, tmp_path / "roster.zip")
    district.run_sync()
    back(district, limit - 1)
    district.run_sync()
    assert old(district) == ()
    assert open_causes(district) == []
    back(district, 1)
    district.set_school("lincoln", students=EVERYTHING)
    night = district.run_sync()
    assert (night["archived"], night["held"]) == (0, 1)
    (said,) = old(district)
    assert f"for {limit} days, since " in said
    (held,) = [one for one in report(district).held if one.rows]
    assert "source_stale" in {found.guard for found in held.findings}
    assert open_causes(district) == ["source_stale"]
    district.people.rename(district.people.people_of("sch-1", "student")[0].sourced_id)
    if source == "bundle":
        export(district, tmp_path / "roster.zip")
    assert district.run_sync()["archived"] == 1
    assert old(district) == ()
    assert open_causes(district) == []


def test_a_school_on_holiday_hears_of_no_old_source(district: District, tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    window = {"first": today - timedelta(days=1), "last": date.max.replace(year=2990), "kind": "blackout"}
    by_csv(district, tmp_path / "roster.zip", guards={"windows": [window]})
    export(district, tmp_path / "roster.zip", days=21)
    district.run_sync()
    assert open_causes(district) == []
    assert alert_mails(district) == []
    district.set_school("lincoln", guards={"windows": []})
    district.run_sync()
    assert open_causes(district) == ["source_stale"]
    district.set_school("lincoln", guards={"bundle_age_days": 30})
    district.run_sync()
    assert open_causes(district) == [], "a school whose export runs monthly says so"


PUT_BACK: dict[str, Callable[[Path, Path], object]] = {
    "as it was": lambda old, to: shutil.copy2(old, to),
    "with the time of the copy": lambda old, to: shutil.copy(old, to),
    "under another name": lambda old, to: shutil.copy2(old, to.with_name("again.zip")),
}


@pytest.mark.parametrize("how", list(PUT_BACK))
def test_an_older_zip_that_was_put_back_archives_nobody_tonight_and_tomorrow(
    district: District, tmp_path: Path, how: str
) -> None:
    out = tmp_path / "out"
    by_csv(district, out)
    export(district, out / "roster.zip", days=1)
    shutil.copy2(out / "roster.zip", tmp_path / "kept.zip")
    district.run_sync()
    for _ in range(5):
        district.people.add("student", "sch-1")
    export(district, out / "roster.zip")
    district.run_sync()
    students = district.active()
    (out / "roster.zip").unlink()
    PUT_BACK[how](tmp_path / "kept.zip", out / "roster.zip")
    for _ in range(2):
        assert (district.run_sync()["archived"], district.active()) == (0, students)
        assert report(district).connection.problems == ("source-older-than-before",)  # type: ignore[union-attr]
    assert open_causes(district) == ["source_stale"]
    district.people.remove(district.people.people_of("sch-1", "student")[0].sourced_id)
    (out / "roster.zip").unlink(missing_ok=True)
    export(district, out / "new.zip")
    assert district.run_sync()["archived"] == 1
    assert open_causes(district) == []


def test_a_delta_above_an_older_bulk_bundle_makes_that_no_newer(district: District, tmp_path: Path) -> None:
    out = tmp_path / "out"
    by_csv(district, out)
    export(district, out / "1.zip", days=0.9)
    shutil.copy2(out / "1.zip", tmp_path / "kept.zip")
    district.run_sync()
    for _ in range(5):
        district.people.add("student", "sch-1")
    export(district, out / "2.zip", days=0.5)
    district.run_sync()
    students = district.active()
    shutil.copy2(tmp_path / "kept.zip", out / "3.zip")
    age(out / "3.zip", 0.2)
    before = datetime.fromisoformat(district.people.stamp().replace("Z", "+00:00"))
    district.people.rename(district.people.people_of("sch-1", "student")[0].sourced_id)
    export(district, out / "4.zip", mode="delta", since=before)
    (out / "1.zip").unlink()
    (out / "2.zip").unlink()
    assert (district.run_sync()["archived"], district.active()) == (0, students)
    assert "source-older-than-before" in report(district).connection.problems  # type: ignore[union-attr]


def set_back(district: District, sourced_id: str, **fields: Any) -> None:
    """A record as it was in 2020."""
    person = district.people.person(sourced_id)._replace(modified="2020-01-01T00:00:00.000Z", **fields)
    with district.people.lock:
        district.people.changed[person.row] = person
        district.people.revision += 1


@pytest.mark.parametrize("source", ["api", "bundle"])
def test_data_that_were_set_back_to_an_earlier_day_archive_nobody(
    district: District, tmp_path: Path, source: str
) -> None:
    path = tmp_path / "roster.zip"

    def night() -> dict[str, int]:
        if source == "bundle":
            export(district, path, mode="delta", since=datetime(2019, 1, 1, tzinfo=UTC))
            with_bulk_manifest(path)
        return district.run_sync()

    if source == "bundle":
        by_csv(district, path)
    else:
        district.add_school()
    night()
    students = [one.sourced_id for one in district.people.people_of("sch-1", "student")]
    for one in students[:4]:
        set_back(district, one, given_name="Earlier")
    district.people.remove(students[5])
    for _ in range(2):
        assert night()["archived"] == 0
        assert report(district).connection.problems == ("source-older-than-before",)  # type: ignore[union-attr]
    for one in students[6:12]:
        district.people.rename(one, given_name="Today")
    assert night()["archived"] == 1, "more is newer than older: the SIS lives on"


def with_bulk_manifest(path: Path) -> None:
    """The same files as a bulk bundle that has dates, as some systems write it."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["manifest.csv"] = files["manifest.csv"].replace(b",delta", b",bulk")
    as_zip(path, files)
