"""`roster doctor`, `prune`, `metrics` and `outbox` on the command line."""

import os
import pty
import re
import sys
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from roster_pipeline import cli
from roster_pipeline.directory import alerts, outbox
from roster_pipeline.directory.database import Database
from roster_pipeline.notifications.mail import Mail
from roster_pipeline.runtime.embedded import DAGSTER_URL
from roster_pipeline.settings.installation import project_root
from roster_pipeline_tests.cli.conftest import Roster
from roster_pipeline_tests.console.held_plans import INCOMPLETE, held_archive, held_creates
from roster_pipeline_tests.directory.builders import add_school
from roster_pipeline_tests.postgres import admin


@pytest.fixture
def installed(school: Roster, dagster_url: str, monkeypatch: pytest.MonkeyPatch) -> Roster:
    """The school, with a database for Dagster of its own."""
    monkeypatch.setenv(DAGSTER_URL, dagster_url)
    return school


def test_doctor_is_red_without_a_daemon_and_says_what_to_do(installed: Roster) -> None:
    answer = installed("doctor", "--json")
    found = {item["name"]: item for item in answer.data}
    assert answer.code == 1
    assert found["daemon"]["ok"] is False
    assert "roster dev" in found["daemon"]["remedy"]
    assert found["database"]["ok"]
    assert found["schema"]["ok"]
    assert found["run coordinator"]["ok"]


def test_doctor_is_red_with_a_run_coordinator_that_notes_no_nights(
    installed: Roster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = (project_root() / "dagster.yaml").read_text()
    own = re.sub(r"run_coordinator:\n.*\n.*\n", "", shipped)
    assert own != shipped
    (tmp_path / "dagster.yaml").write_text(own)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    found = {item["name"]: item for item in installed("doctor", "--json").data}
    assert "Copy run_coordinator" in found["run coordinator"]["remedy"]


def test_doctor_says_for_each_open_alert_what_to_do(installed: Roster, database: Database) -> None:
    told = {
        ("school oak", "held"): "roster hold show oak",
        ("school oak", "claimed elsewhere"): "roster plan show oak",
        ("school oak", "paused"): "roster school resume oak",
        ("school oak", "stale"): "roster sync oak",
        ("school oak", "source_stale"): "roster sync oak",
        ("school oak", "fetch"): "Check the address.",
        ("school oak", "run"): "roster history oak",
        ("connection sis", "credentials"): "Check the address.",
        ("connection sis", "secret expires"): "roster connection set sis --client-secret ask",
        ("installation", "pruning"): "roster prune",
    }
    with database.begin() as conn:
        for subject, cause in told:
            own = cause in ("fetch", "credentials")
            alerts.open_alert(conn, subject, cause, "It failed.\nCheck the address." if own else "It failed.")
    found = [item for item in installed("doctor", "--json").data if item["name"] == "open alert"]
    assert len(found) == len(told)
    for item, remedy in zip(found, told.values(), strict=True):
        assert remedy in item["remedy"], item["detail"]


def test_doctor_is_red_while_the_alert_on_two_daemons_is_open(installed: Roster, database: Database) -> None:
    """One look at the heartbeats seldom shows two daemons; the sensor looks every minute."""
    with database.begin() as conn:
        alerts.open_alert(conn, "installation", "one daemon", "two daemons run at once")
    answer = installed("doctor", "--json")
    items = {item["name"]: item for item in answer.data}
    assert items["open alert"]["remedy"] == "The line one daemon says what to do."
    assert (items["one daemon"]["ok"], items["one daemon"]["detail"]) == (False, "two daemons run at once")
    assert "Stop one of them" in items["one daemon"]["remedy"]


def test_init_asks_for_a_district_only_if_there_is_none(installed: Roster) -> None:
    again = installed("init").err
    assert "Ready." in again
    assert "district add" not in again


def test_prune_tells_what_it_dropped(installed: Roster) -> None:
    assert set(installed("prune", "--json").data) >= {"snapshots", "mails", "runs"}


def test_metrics_go_to_stdout_or_whole_into_a_file(school: Roster, tmp_path: Path) -> None:
    target = tmp_path / "roster.prom"
    assert school("metrics", "--textfile", target).code == 0
    assert target.read_text() == school("metrics").out
    assert 'roster_failures_since_sync{school="oak"} 0' in target.read_text()
    assert list(tmp_path.glob(".*")) == []


def test_metrics_that_cannot_be_written_end_with_the_reason(school: Roster, tmp_path: Path) -> None:
    answer = school("metrics", "--textfile", tmp_path / "nowhere" / "roster.prom")
    assert answer.code == 1
    assert "cannot be written: No such file or directory" in answer.err


NO_DATABASE = {
    "not an address": ("db.example.org", "is not the address of a database", "Write ROSTER_DATABASE_URL like"),
    "another server": ("mysql://db.example.org/roster", "PostgreSQL database", "Write ROSTER_DATABASE_URL like"),
    "an @ in the password": (
        "postgresql://u:a@s3cret@db.example.org/roster",
        "not the address",
        "Write ROSTER_DATABASE",
    ),
    "an @ and a slash in it": (
        "postgresql://u:a@s3cret/b@127.0.0.1/roster",
        "not the address",
        "Write ROSTER_DATABASE",
    ),
    "nobody there": ("postgresql://u:s3cret@127.0.0.1:9/roster", "cannot be reached", "Check ROSTER_DATABASE_URL"),
}


@pytest.mark.parametrize("case", NO_DATABASE)
def test_without_a_database_every_command_says_what_to_do_and_doctor_is_red(
    roster: Roster, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, said, remedy = NO_DATABASE[case]
    monkeypatch.setenv("ROSTER_DATABASE_URL", address)
    answer = roster("school", "list")
    assert (answer.code, answer.out) == (1, "")
    first, second = answer.err.splitlines()
    assert said in first
    assert second.startswith(remedy)
    looked = roster("doctor", "--json")
    assert looked.code == 1
    assert [(item["name"], item["ok"]) for item in looked.data] == [("database", False), ("versions", None)]
    assert looked.data[0]["detail"] == first
    assert "s3cret" not in answer.err + looked.out


def test_a_user_without_rights_on_a_database_learns_which_right_is_missing(
    roster: Roster, postgres_server: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"modest_{os.getpid()}"
    with admin(postgres_server) as server:
        server.execute(f"create role {name} login")
        server.execute(f"create database {name}_closed")
        server.execute(f"revoke connect on database {name}_closed from public")
        try:
            wanted = {f"{name}_none": f"create database {name}_none owner {name}", f"{name}_closed": "rights"}
            for database, remedy in wanted.items():
                address = postgres_server.set(username=name, database=database).render_as_string(hide_password=False)
                monkeypatch.setenv("ROSTER_DATABASE_URL", address)
                answer = roster("school", "list")
                assert answer.code == 1
                assert database in answer.err
                assert remedy in answer.err.splitlines()[1]
        finally:
            server.execute(f"drop database {name}_closed")
            server.execute(f"drop role {name}")


def test_a_dagster_home_without_its_file_is_named(
    roster: Roster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the file of the working folder would decide which launcher a production uses."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    answer = roster("school", "list")
    assert (answer.code, answer.out) == (1, "")
    assert f"No dagster.yaml in {tmp_path}" in answer.err


def test_a_home_that_cannot_be_made_is_named(roster: Roster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ROSTER_HOME", str(tmp_path / "file" / "home"))
    answer = roster("doctor")
    assert answer.code == 1
    assert "Set ROSTER_HOME to another." in answer.err


def test_a_name_with_other_letters_than_the_terminal_ends_no_command(
    school: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file or a program gets UTF-8 in any case."""
    assert school("district", "add", "lodz", "--name", "Łódź").code == 0
    monkeypatch.setattr(cli, "end_by_signals", lambda: None)
    monkeypatch.setattr(sys, "argv", ["roster", "district", "list"])
    for (read, write), printed in ((pty.openpty(), "?ód?".encode("latin-1")), (os.pipe(), "Łódź".encode())):
        with open(write, "w", encoding="latin-1") as out, monkeypatch.context() as given:  # noqa: PTH123 - no path
            given.setattr(sys, "stdout", out)
            with pytest.raises(SystemExit) as ended:
                cli.main()
            out.flush()
        assert ended.value.code == 0
        assert printed in os.read(read, 10_000)
        os.close(read)


def test_what_is_held_comes_with_the_commands_that_can_help(roster: Roster, database: Database) -> None:
    with database.begin() as conn:
        oak, elm = add_school(conn, "oak"), add_school(conn, "elm")
    plan = held_creates(database, oak)
    held = held_archive(database, elm, INCOMPLETE)
    said = roster("hold", "show", "oak").err
    assert f"roster hold approve oak --plan {plan}" in said
    assert f"roster hold discard oak --plan {plan}" in said
    said = roster("hold", "show", "elm").err
    assert "This cannot be approved. Sync again: roster sync elm" in said
    assert "roster hold" not in said
    answer = roster("hold", "discard", "elm", "--plan", held, "--reason", "tired of it")
    assert (answer.code, "only that can clear the hold: roster sync elm" in answer.err) == (1, True)


def test_a_dead_letter_is_shown_and_tried_again(school: Roster, database: Database) -> None:
    with database.begin() as conn:
        mail = Mail("Oak: no changes", "body", "body")
        outbox.put(conn, message_id="<m>", kind="report", school_id=1, recipients=["a@example.org"], mail=mail)
        outbox.failed(conn, 1, "The mail server refused the mail (550).", permanent=True)
    (shown,) = school("outbox", "list", "--dead", "--json").data
    assert (shown["state"], shown["school"], shown["error"]) == (
        "dead",
        "oak",
        "The mail server refused the mail (550).",
    )
    assert "body" not in school("outbox", "list", "--json").out
    assert "Oak: no changes" in school("outbox", "list").out
    assert school("outbox", "retry", 1).code == 0
    assert school("outbox", "list", "--dead", "--json").data == []
    refused = school("outbox", "retry", 1)
    assert refused.code == 1
    assert "was not given up" in refused.err
