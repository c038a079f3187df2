"""Syncs from the command line: real databases, Dagster's own storage, a simulated SIS over HTTP."""

import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from unittest import mock

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster_postgres.utils import create_pg_connection
from sqlalchemy import create_engine
from sqlalchemy.engine import URL

from roster_pipeline.definitions import defs
from roster_pipeline.directory import manual_runs, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.runtime.embedded import DAGSTER_URL, DATABASE_URL, HOME, SECRET_KEY
from roster_pipeline.simulator import Sis, create_site, generate_district, running
from roster_pipeline_tests.cli.conftest import SECRET, Answer, run
from roster_pipeline_tests.postgres import drop

CLIENT = "client"
STUDENTS = 20
NUMBERS = count(1)


@dataclass(frozen=True)
class Installation:
    """A folder after `roster init`, with one connection to a SIS. Each test takes one of its schools."""

    base_url: str
    sis: Sis

    def school(self, *options: str) -> str:
        """A school of its own for one test; students are rostered."""
        number = next(NUMBERS)
        key = f"school-{number}"
        arguments = ("--connection", "sis", "--school-id", f"sch-{number}", "--name", f"School {number}", "--students")
        added(run("school", "add", key, *arguments, *options))
        return key


def added(answer: Answer) -> None:
    assert answer.code == 0, answer.err


@pytest.fixture(scope="module")
def installation(postgres_server: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Set up by the commands themselves, once, because making Dagster's storage takes seconds."""
    name = f"roster_cli_{secrets.token_hex(4)}"
    url = postgres_server.set(database=name).render_as_string(hide_password=False)
    environment = {DATABASE_URL: url, HOME: str(tmp_path_factory.mktemp("home"))}
    level = logging.getLogger("dagster").level
    sis = Sis(generate_district(3, schools=30, students_per_school=STUDENTS), credentials={CLIENT: SECRET})
    with mock.patch.dict(os.environ, environment), running(create_site([sis])) as base_url:
        for variable in (DAGSTER_URL, SECRET_KEY, "ROSTER_WHO"):
            os.environ.pop(variable, None)
        added(run("init"))
        added(run("district", "add", "spring", "--name", "Spring Schools"))
        where = ("--url", f"{base_url}/ims/oneroster/rostering/v1p2", "--allow-private-addresses")
        who = ("--client-id", CLIENT, "--client-secret", "-")
        added(run("connection", "add", "sis", "--district", "spring", *where, *who, stdin=SECRET))
        yield Installation(base_url, sis)
    logging.getLogger("dagster").setLevel(level)
    drop(postgres_server, name, f"{name}_dagster")


def test_a_first_sync_waits_and_an_approval_with_a_reason_applies_it(installation: Installation) -> None:
    key = installation.school()
    held = run("sync", key)
    assert held.code == 3
    assert "waits for approval" in held.err
    assert run("people", key, "--json").data == []
    (waiting,) = run("hold", "list", key, "--json").data
    assert (waiting["action"], waiting["overridable"]) == ("create", True)
    assert len(run("hold", "show", key, "--json").data["rows"]) == waiting["rows"]
    plan = waiting["plan_id"]
    assert run("hold", "approve", key, "--plan", plan).code == 2, "a reason is required"
    assert run("hold", "approve", key, "--plan", plan, "--reason", " ").code == 2
    approved = run("hold", "approve", key, "--plan", plan, "--reason", "looked at it", "--who", "Ada", "--json")
    assert approved.code == 0, approved.err
    assert approved.data["kind"] == "approval"
    assert len(run("people", key, "--role", "student", "--json").data) == waiting["rows"]
    assert [line["kind"] for line in run("history", key, "--json").data] == ["approval", "sync"]
    newest = run("audit", "--school", key, "--json").data[0]
    assert (newest["who"], newest["what"], newest["reason"]) == ("Ada", "hold approved", "looked at it")
    again = run("hold", "approve", key, "--plan", plan, "--reason", "once more")
    assert again.code == 1
    assert "Nothing of plan" in again.err


def test_a_sync_is_a_dagster_run_that_the_ui_shows(installation: Installation) -> None:
    key = installation.school("--first-sync", "apply")
    answer = run("sync", key, "--who", "Ada", "--json")
    assert answer.code == 0, answer.err
    assert answer.data["school_key"] == key
    assert "DEBUG" not in answer.err
    with dg.DagsterInstance.get() as instance:
        assert key in instance.get_dynamic_partitions("schools")
        (found,) = instance.get_runs(filters=dg.RunsFilter(tags={"dagster/partition": key}))
    assert found.status == dg.DagsterRunStatus.SUCCESS
    assert "Ada" not in str(found.tags), "owners of other districts can read them"
    line = run("history", key, "--json").data[0]
    assert (line["who"], line["run_id"], line["outcome"]) == ("Ada", found.run_id, "applied")
    for arguments in (("people", key), ("history", key), ("plan", "show", key), ("hold", "show", key)):
        assert run(*arguments).code == 0


def test_a_dry_run_applies_nothing_and_its_plan_can_be_read_row_by_row(
    installation: Installation, tmp_path: Path
) -> None:
    key = installation.school("--first-sync", "apply")
    answer = run("sync", key, "--dry-run", "--json")
    assert answer.code == 0, answer.err
    assert answer.data["dry_run"]
    planned = sum(answer.data["counts"]["student"].values())
    assert run("people", key, "--json").data == run("history", key, "--json").data == []
    rows = run("plan", "show", key, "--json").data["rows"]
    assert len(rows) == planned
    assert all(row["name"] and row["why"] and row["changes"] for row in rows)
    path = tmp_path / "plan.csv"
    assert run("plan", "show", key, "--csv", path).code == 0
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    unwritten = run("plan", "show", key, "--csv", "/nowhere/plan.csv")
    assert (unwritten.code, unwritten.err.splitlines()[1][:20]) == (1, "Check that it exists")
    assert unwritten.err.startswith("/nowhere/plan.csv cannot be used: No such file or directory.")
    assert run("plan", "show", key, "--action", "archive", "--json").data["rows"] == []


def test_a_plan_of_another_school_or_one_that_was_discarded_is_not_approved(installation: Installation) -> None:
    key, other = installation.school(), installation.school()
    run("sync", key)
    plan = run("hold", "list", key, "--json").data[0]["plan_id"]
    answer = run("hold", "approve", other, "--plan", plan, "--reason", "x")
    assert answer.code == 1
    assert "is not one of" in answer.err
    assert run("hold", "discard", key, "--plan", plan, "--reason", "wrong term").code == 0
    assert run("hold", "list", key, "--json").data == []
    assert run("hold", "approve", key, "--plan", plan, "--reason", "after all").code == 1
    assert run("people", key, "--json").data == []


def test_a_wrong_school_id_is_one_message_and_changes_nothing(installation: Installation) -> None:
    key = installation.school()
    run("school", "set", key, "--school-id", "nowhere")
    answer = run("sync", key)
    assert answer.code == 3
    assert answer.err.startswith(f"{key}: ")
    assert "Check the School ID" in answer.err
    assert "Traceback" not in answer.out + answer.err
    (line,) = run("history", key, "--json").data
    assert (line["kind"], line["outcome"]) == ("failure", "failed")
    assert "Check the School ID" in line["message"]
    assert line["who"] not in ("", "by hand"), "who started it"
    run("school", "set", key, "--time-zone", "Asia/Tokyo")
    assert re.search(r"\d\d:\d\d JST +\S+ +failure", run("history", key).out), "by the clock of the school"
    red = run("test-connection", key, "--json")
    assert red.code == 1
    assert not red.data["ok"]


def of_school(installation: Installation, key: str) -> list[str]:
    """The people of the school with this key, in the SIS."""
    return [one.sourced_id for one in installation.sis.district.people_of(key.replace("school-", "sch-"))]


def vanished(installation: Installation, key: str) -> None:
    for one in of_school(installation, key):
        installation.sis.district.remove(one)


def unusable(installation: Installation, key: str) -> None:
    for one in of_school(installation, key):
        installation.sis.district.edit(one, status="strange")
    next(NUMBERS)  # the next school has some of these pupils, too


NOBODY = [
    (
        "the school is empty in the SIS",
        vanished,
        (),
        "Nobody was found: the SIS shows no people of this school.",
        "roster test-connection",
    ),
    ("no record can be used", unusable, (), "records of the SIS could not be used", "roster test-connection"),
    (
        "no role is rostered",
        None,
        ("--no-students",),
        "No role of this school is rostered, so nobody was looked for.",
        "Choose who is rostered, for example: roster school set",
    ),
]


@pytest.mark.parametrize(
    ("change", "options", "said", "next_step"), [row[1:] for row in NOBODY], ids=[row[0] for row in NOBODY]
)
def test_a_sync_that_finds_nobody_is_not_green(
    installation: Installation,
    change: Callable[[Installation, str], None] | None,
    options: tuple[str, ...],
    said: str,
    next_step: str,
) -> None:
    key = installation.school(
        "--first-sync", "apply", "--report-to", "it@example.org", "--report-when", "problems", *options
    )
    if change is not None:
        change(installation, key)
    dry = run("sync", key, "--dry-run")
    assert (dry.code, next_step in dry.err) == (3, True)
    answer = run("sync", key)
    assert answer.code == 3, answer.out
    assert said in answer.err
    assert f"{next_step} {key}" in answer.err
    assert "already matches" not in answer.out + answer.err
    assert said in run("history", key, "--json").data[0]["said"]
    (mail,) = [
        one for one in run("outbox", "list", "--json").data if f"School {key.removeprefix('school-')}:" in str(one)
    ]
    assert "nobody was found" in str(mail)


def test_a_test_of_records_that_cannot_be_used_is_red_and_names_the_rule_and_the_cure(
    installation: Installation,
) -> None:
    key = installation.school()
    people = [one.sourced_id for one in installation.sis.district.people_of(key.replace("school-", "sch-"), "student")]
    tenth = len(people) // 10
    for number, one in enumerate(people[: tenth + 1]):
        installation.sis.district.edit(one, status="strange")
        if number == tenth // 2:
            few = {item["name"]: item for item in run("test-connection", key, "--json").data["items"]}
            assert few["Usable records"]["ok"] is True
    many = {item["name"]: item for item in run("test-connection", key, "--json").data["items"]}
    assert many["Usable records"]["ok"] is False
    assert f"{tenth + 1} of " in many["Usable records"]["detail"]
    assert "records of students cannot be used" in many["Usable records"]["detail"]
    assert "(unknown_status)" in many["Usable records"]["detail"]
    assert "Let the SIS send active, tobedeleted or inactive as status." in many["Usable records"]["remedy"]
    assert "strange" not in str(many)
    for one in people[: tenth + 1]:
        installation.sis.district.edit(one, status="active")  # other tests use this SIS, too


def test_the_outcome_of_test_your_information_is_kept(installation: Installation) -> None:
    key = installation.school()
    answer = run("test-connection", key)
    assert answer.code == 0, answer.out + answer.err
    assert "Sign-in" in answer.out
    kept = run("school", "show", key, "--json").data["test"]
    assert {item["name"] for item in kept["items"]} >= {"Address", "Sign-in", "School"}


def test_a_person_is_shown_with_all_that_ever_happened_until_the_sync_is_undone_after_a_look_and_a_reason(
    installation: Installation,
) -> None:
    key = installation.school("--first-sync", "apply")
    assert run("sync", key).code == 0
    someone = run("plan", "show", key, "--json").data["rows"][0]
    found = run("person", "find", someone["changes"]["email"]["to"], "--json").data
    (one,) = [person for person in found if person["memberships"][0]["school"] == key]
    shown = run("person", "show", one["id"], "--history", "--json").data
    assert shown["fields"]["given_name"] == someone["changes"]["given_name"]["to"]
    assert {change["entity"] for change in shown["history"]} >= {"person", "link", "membership"}
    assert run("person", "show", one["id"], "--history").code == run("person", "find", someone["name"]).code == 0
    assert run("person", "show", 10**9).code == 1
    done = run("history", key, "--json").data[0]["id"]
    assert run("rollback", done, "--preview", "--json").data
    assert run("rollback", done, "--preview").code == 0
    refused = run("rollback", done, "--reason", "wrong term")
    assert (refused.code, "--yes" in refused.err) == (1, True)
    undone = run("rollback", done, "--reason", "wrong term", "--yes", "--json")
    assert undone.code == 0, undone.err
    newest = run("history", key, "--json").data[0]
    assert (newest["kind"], newest["undoes"]) == ("rollback", done)
    assert run("rollback", done, "--reason", "once more", "--yes").code == 1


def test_an_id_that_went_to_somebody_else_waits_for_what_a_person_says(installation: Installation) -> None:
    key = installation.school("--first-sync", "apply", "--students-auto-update")
    assert run("sync", key).code == 0
    here = installation.sis.district.people_of(
        run("school", "show", key, "--json").data["settings"]["school_id"], "student"
    )
    newcomer, renamed = here[0].sourced_id, here[1].sourced_id
    for place, sourced_id in enumerate((newcomer, renamed)):
        names = {"given_name": f"Eva{key}{place}", "family_name": f"Ray{key}{place}", "username": ""}
        installation.sis.district.edit(
            sourced_id, **names, email=f"{key}-{place}@new.example", identifier=f"{key}-{place}"
        )
    assert run("sync", key).code == 0
    rows = run("plan", "show", key, "--action", "conflict", "--json").data["rows"]
    assert {row["reason"] for row in rows} == {"id_reassigned"}
    number = {row["sourced_ids"][0]: row["person_id"] for row in rows}
    shown = run("plan", "show", key).out
    for sourced_id in (newcomer, renamed):
        assert sourced_id in shown
        assert str(number[sourced_id]) in shown
    why = ("--connection", "sis", "--reason", "asked the office")
    for said in (
        "roster person unlink PERSON RECORD --connection sis",
        "roster person link PERSON RECORD --connection",
        f"roster person unlink-leavers {key}",
    ):
        assert said in shown
    assert "no id of a leaver" in run("person", "unlink-leavers", key, "--reason", "none has left").err
    assert run("person", "unlink", number[newcomer], newcomer, *why).code == 0
    assert run("person", "link", number[renamed], renamed, *why).code == 0
    assert run("sync", key).code == 0
    rows = run("plan", "show", key, "--json").data["rows"]
    assert {row["sourced_ids"][0]: row["action"] for row in rows if row["action"] in ("create", "update")} == {
        newcomer: "create",
        renamed: "update",
    }
    (link,) = run("person", "show", number[renamed], "--json").data["links"]
    assert (link["sourced_id"], link["confirmed"]) == (renamed, True)


def test_an_unknown_school_starts_no_run(installation: Installation) -> None:
    answer = run("sync", "nowhere")
    assert (answer.code, answer.out) == (1, "")
    assert "no school nowhere" in answer.err
    with dg.DagsterInstance.get() as instance:
        assert not instance.has_dynamic_partition("schools", "nowhere")


def test_runs_that_wait_are_canceled_and_one_of_another_process_is_named(installation: Installation) -> None:
    key, other = installation.school(), installation.school()
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("roster_pipeline"), "__repository__")
    with dg.DagsterInstance.get() as instance:
        queued, elsewhere, others = (
            instance.create_run_for_job(
                defs.resolve_job_def("rostering"),
                tags={"dagster/partition": school},
                status=status,
                remote_job_origin=RemoteJobOrigin(repository, "rostering"),
            ).run_id
            for school, status in (
                (key, dg.DagsterRunStatus.QUEUED),
                (key, dg.DagsterRunStatus.STARTED),
                (other, dg.DagsterRunStatus.QUEUED),
            )
        )
    database = Database(os.environ[DATABASE_URL])
    school = database.call(tenants.get_school, key)
    database.call(manual_runs.ask, "by-hand", school.id, key, kind="sync", who="another", host="here")
    answer = run("run", "cancel", key, "--who", "Ada")
    assert answer.code == 1
    assert f"the run {elsewhere} cannot be ended from here" in answer.err
    with dg.DagsterInstance.get() as instance:
        status = {one.run_id: one.status.value for one in instance.get_runs()}
        assert (status[queued], status[elsewhere], status[others]) == ("CANCELED", "STARTED", "QUEUED")
        instance.delete_run(elsewhere)
    found = database.call(manual_runs.get, school.id, "by-hand")
    database.close()
    assert found is not None
    assert found.problem == "Canceled by Ada. Nothing was half applied."
    lines = run("audit", "--school", key, "--json").data
    assert {line["details"]["run"] for line in lines if line["what"] == "run canceled"} == {queued, "by-hand"}
    assert "no run is under way" in run("run", "cancel", key).err


def test_a_sync_without_the_database_of_dagster_says_so(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It breaks off in the middle; Dagster itself connects six times."""
    school = installation.school()

    def broken_off(*_: object) -> None:
        with create_pg_connection(create_engine("postgresql+psycopg2://nobody@127.0.0.1:9/none")):
            raise AssertionError("there is a server")

    monkeypatch.setattr("dagster_postgres.utils.calculate_delay", lambda **_: 0)
    monkeypatch.setattr("roster_pipeline.runtime.run_school._execute", broken_off)
    answer = run("sync", school)
    assert answer.code == 1
    assert answer.err.splitlines() == [
        f"{school}: the database of Dagster cannot be reached, or broke off.",
        f"Check that its server runs, and run it again: roster sync {school}. Nothing was half applied.",
    ]
