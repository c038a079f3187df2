"""Names, e-mails, phones and numbers of people never leave our own tables."""

import json
import logging
import os
import signal
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from cryptography.fernet import Fernet
from dagster._serdes import serialize_value
from sqlalchemy import Connection, text

from roster_pipeline.directory import approvals, manual_edits, operations, tenants, uploads
from roster_pipeline.directory.accounts import COMMAND_LINE
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.operations import exposition
from roster_pipeline.oneroster import OneRosterError
from roster_pipeline.services import connection_test, decisions, people_file, people_upload, person_changes, workbook
from roster_pipeline.simulator import Role
from roster_pipeline.simulator.person import CONTACT_ROLES
from roster_pipeline.sync.health_checks import health_checks
from roster_pipeline.sync.monitoring import watch
from roster_pipeline_tests.cli.conftest import run
from roster_pipeline_tests.csv_bundle import write_csv_bundle
from roster_pipeline_tests.directory.builders import Decision
from roster_pipeline_tests.hostile_strings import hostile_strings, leaked
from roster_pipeline_tests.invariants.several_connections import several_connections
from roster_pipeline_tests.scenarios.conftest import DagsterDistrict
from roster_pipeline_tests.scenarios.test_changes_only import unnamed
from roster_pipeline_tests.scenarios.test_fetching import prove_changes

FAULTS = ("email=invalid", "nulls", "types", "unknown_roles", "truncated_json", "record_missing", "failure_with_200")


OF_PEOPLE = {
    *("sis_record", "roster_row", "plan_row"),
    *("person", "link", "link_record", "membership", "contact", "change_log", "person_merge", "exemption"),
    "people_upload",
}
"""The tables with people. All other tables are for operators."""
TABLES = "select relname from pg_stat_user_tables where schemaname = 'public'"
STEPS = {"fetch": "sis_record", "clean": "roster_row", "plan": "plan_row", "apply": "person"}
"""For each step, a table with people that it writes."""
COMMANDS = (("history", "lincoln"), ("hold", "list"), ("school", "show", "lincoln"), ("connection", "show", "sis"))
"""Commands about a school that name nobody."""
WHO = Decision(who="owner", reason="tried")


@pytest.fixture
def district(dagster_district: DagsterDistrict) -> DagsterDistrict:
    """Every sync of this module is a run of Dagster."""
    return dagster_district


def _everything_said(district: DagsterDistrict, caplog: pytest.LogCaptureFixture) -> str:
    said = [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    for each in district.instance.get_runs():
        said.append(serialize_value(each))
        said += [serialize_value(entry) for entry in district.instance.all_logs(each.run_id)]
    with district.database.begin() as conn:
        for table in sorted(set(conn.scalars(text(TABLES))) - OF_PEOPLE):
            said += [json.dumps(row, default=str) for row in conn.scalars(text(f"select to_jsonb(t) from {table} t"))]
    return "\n".join(said)


def test_nothing_about_people_stands_in_events_logs_exceptions_or_mails(
    district: DagsterDistrict, caplog: pytest.LogCaptureFixture, postgres_log: Callable[[], str]
) -> None:
    caplog.set_level(logging.DEBUG)
    district.add_school(report_to=["it@school.example"], primary_contacts=True)
    hostile_strings(district.people)
    district.run_sync()
    assert district.count("person", "given_name like 'Zyxpoison%'") > 40
    for fault in FAULTS:
        district.sis.faults.set(fault)
        first, second, *_ = district.people.people_of("sch-1", "student")
        district.people.rename(first.sourced_id)
        district.people.remove(second.sourced_id)
        district.run_sync()
        district.sis.faults.clear()
    with district.database.begin() as conn:
        refuse = "alter table person add constraint refuse check (given_name not like 'Zyxpoison%') not valid"
        conn.execute(text(refuse))
    district.people.rename(district.people.people_of("sch-1", "teacher")[0].sourced_id, given_name="Zyxpoison-new")
    district.run_sync()
    assert district.problems, "the database refused the row"
    _allow(district, "person")
    for place, pupil in enumerate(district.people.people_of("sch-1", "student")):
        names = {"given_name": f"Zyxpoison-n{place}", "family_name": f"Zyxpoison-m{place}"}
        keys = {"email": f"qqleak-n{place}@zyxpoison.example", "identifier": f"9988776600{place}", "username": ""}
        district.people.edit(pupil.sourced_id, **names, **keys)
    district.run_sync()
    assert district.count("plan_row", "reason = 'id_reassigned'") > 2
    assert district.count("verdict", "findings::text like '%\"reassigned_ids\"%'") > 0
    assert leaked(_everything_said(district, caplog) + postgres_log()) == []


def _refuse(district: DagsterDistrict, table: str) -> None:
    """Let the database refuse every row of a table with a poisoned person."""
    with district.database.begin() as conn:
        rule = f"check (row_to_json({table})::text !~* 'zyxpoison') not valid"
        conn.execute(text(f"alter table {table} add constraint refuse {rule}"))


def _allow(district: DagsterDistrict, table: str) -> None:
    district.execute(f"alter table {table} drop constraint refuse")


def _newest(district: DagsterDistrict, table: str) -> int:
    return int(district.value(f"select max(id) from {table}") or 0)


def _complaint(does: Callable[[], Any]) -> str:
    """The text of a failure, with everything that Python would print."""
    with pytest.raises((DirectoryError, OneRosterError)) as caught:
        does()
    return "".join(traceback.format_exception(caught.value))


def test_nothing_about_people_stands_in_what_a_step_says_that_the_database_refused_or_a_signal_ended(
    district: DagsterDistrict,
    caplog: pytest.LogCaptureFixture,
    postgres_log: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    district.add_school(report_to=["it@school.example"], report_attachment="masked", primary_contacts=True)
    hostile_strings(district.people)
    for step, table in STEPS.items():
        _refuse(district, table)
        district.run_sync()
        assert district.problems, step
        assert district.count("failure", f"step = '{step}'") == 1, step
        _allow(district, table)
    district.run_sync()
    assert not district.problems
    for number in (signal.SIGTERM, signal.SIGINT):

        def interrupted(*_: object, number: signal.Signals = number, **__: object) -> None:
            try:
                raise ValueError("Zyxpoison, qqleak@zyxpoison.example")
            except ValueError:
                os.kill(os.getpid(), number)
                time.sleep(5.0)

        with monkeypatch.context() as interrupting:
            interrupting.setattr("roster_pipeline.sync.clean_snapshot.clean_latest", interrupted)
            district.run_sync()
        newest = district.instance.get_runs(limit=1)[0]
        assert newest.status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
        logs = district.instance.all_logs(newest.run_id)
        assert "DagsterExecutionInterruptedError" in "".join(map(serialize_value, logs))
    said = _everything_said(district, caplog) + postgres_log()
    assert len(said) > 10_000
    assert leaked(said) == []


def _by_hand(district: DagsterDistrict, conn: Connection) -> None:
    """Everything that people do to a person."""
    sis, school = tenants.get_connection(conn, "sis"), tenants.get_school(conn, "lincoln")
    who, district_id = int(conn.scalar(text("select max(person_id) from membership")) or 0), school.district_id
    known = conn.scalar(text("select sourced_id from link where person_id = :who and is_primary"), {"who": who})
    manual_edits.link(conn, sis, who, str(known), **WHO)
    manual_edits.link(conn, sis, who, "another", **WHO)
    manual_edits.unlink(conn, sis, who, "another", **WHO)
    manual_edits.edit(
        conn, district_id, who, {"given_name": "Zyxpoison-hand", "email": "qqleak@zyxpoison.example"}, **WHO
    )
    manual_edits.set_lock(conn, district_id, who, "phone", True, **WHO)
    manual_edits.set_lock(conn, district_id, who, "phone", False, **WHO)
    manual_edits.set_excluded(conn, district_id, who, True, **WHO)
    manual_edits.set_excluded(conn, district_id, who, False, **WHO)
    manual_edits.set_archived(conn, school, who, True, **WHO)
    manual_edits.set_archived(conn, school, who, False, **WHO)
    added = manual_edits.add(conn, school, {"family_name": "Zyxpoison-new", "role": "staff"}, **WHO)
    operations.erase(conn, district_id, added, **WHO)


def test_texts_about_decisions_and_tests_name_nobody(
    district: DagsterDistrict, caplog: pytest.LogCaptureFixture, postgres_log: Callable[[], str]
) -> None:
    caplog.set_level(logging.DEBUG)
    wishes: dict[str, Any] = {
        "report_to": ["it@school.example"],
        "report_attachment": "masked",
        "first_sync": "approve",
    }
    district.add_school(primary_contacts=True, **wishes)
    hostile_strings(district.people)

    def connected() -> bool:
        return district.run_job("test_connection", partition_key="lincoln").success

    district.run_sync(dry_run=True)
    assert district.count("plan", "dry_run") == 1
    said = []
    district.run_sync()
    decisions.approve(district.database, "lincoln", _newest(district, "plan"), **WHO)
    assert district.count("person", "given_name like 'Zyxpoison%'") > 40
    district.execute("update link set sourced_id = 'old-' || sourced_id")
    district.run_sync()
    held = district.database.call(approvals.held)
    assert "rekeyed" in {finding["guard"] for hold in held for finding in hold.findings}
    decisions.relink(district.database, "lincoln", _newest(district, "plan"), **WHO)
    students = district.people.people_of("sch-1", "student")
    district.people.remove(students[0].sourced_id)
    district.run_sync()
    archival = _newest(district, "sync")
    assert district.count("witness") > 0
    _refuse(district, "membership")
    _refuse(district, "person")
    district.people.rename(students[1].sourced_id, given_name="Zyxpoison-other")
    district.run_sync()
    assert district.problems
    _allow(district, "membership")
    _allow(district, "person")
    district.run_sync()
    renamed = _newest(district, "sync")
    _refuse(district, "person")
    said.append(_complaint(lambda: decisions.roll_back(district.database, renamed, **WHO)))
    _allow(district, "person")
    decisions.roll_back(district.database, archival, only="archived", **WHO)
    decisions.roll_back(district.database, renamed, **WHO)
    with district.database.begin() as conn:
        _by_hand(district, conn)
    assert connected()
    for fault in FAULTS:
        district.sis.faults.set(fault)
        connected()
        district.sis.faults.clear()
    said += [str(item) for item in health_checks(district.database, sis=True)]
    said.append(exposition(district.database))
    said += [_everything_said(district, caplog), postgres_log()]
    assert leaked("\n".join(said)) == []


TOLD = ("moved_keys", "unknown_orgs", "quality", "older_source", "incomplete_snapshot", "shrunk_role")
"""Guards of the nights below; each has a sentence in reports, holds, alerts and checks."""


def test_nothing_about_people_stands_in_what_notes_findings_contact_rules_and_ages_tell(
    district: DagsterDistrict, tmp_path: Path, caplog: pytest.LogCaptureFixture, postgres_log: Callable[[], str]
) -> None:
    caplog.set_level(logging.DEBUG)
    district.add_school(report_to=["it@school.example"], primary_contacts=True, contacts_most=3)
    district.set_connection(contact_rules=["metadata:custody=joint"], contact_flags=["metadata:custody"])
    hostile_strings(district.people)
    contacts = [each for each in district.people.people() if any(map(each.has_role, CONTACT_ROLES))]
    for place, contact in enumerate(contacts):
        district.people.edit(contact.sourced_id, metadata={"custody": "joint" if place % 5 else "Zyxpoison by order"})
    district.run_sync()
    assert district.count("membership", "status = 'active'") > 40
    students = district.people.people_of("sch-1", "student")
    with district.database.begin() as conn:
        conn.execute(text("update link set sourced_id = 'old-' || sourced_id where sourced_id = any(:ids)"),
                     {"ids": [students[0].sourced_id, students[1].sourced_id]})  # fmt: skip
    for one, other in zip(students[4:8], [*students[5:8], students[4]], strict=True):
        district.people.edit(one.sourced_id, identifier=other.identifier)
    for student in students[10:15]:
        district.people.edit(student.sourced_id, roles=(Role("student", "Zyxpoison school"),))
    district.people.edit(contacts[1].sourced_id, metadata={"custody": "qqleak"})
    district.run_sync()
    assert district.count("plan_row", "notes like '%found_by_number%'") == 2
    assert district.count("plan_row", "reason = 'contact_excluded'") > 0
    for fault in ("dates=set_back", "email=invalid", "list_omits=30", "single_users=off", "half_school=sch-1"):
        district.sis.faults.set(fault)
        district.people.remove(district.people.people_of("sch-1", "student")[-1].sourced_id)
        district.run_sync()
        assert not district.problems
        watch(district.database, datetime.now(UTC))
        district.sis.faults.clear()
    district.set_connection(url=f"file://{tmp_path / 'bundle'}", token_url=None)
    write_csv_bundle(district.people, tmp_path / "bundle", version="1.1")
    for file in (tmp_path / "bundle").iterdir():
        os.utime(file, (1.7e9, 1.7e9))
    district.run_sync()
    assert not district.problems
    watch(district.database, datetime.now(UTC))
    told = {guard for guard in TOLD if district.count("verdict", f'findings @> \'[{{"guard": "{guard}"}}]\'')}
    assert told == set(TOLD)
    assert district.count("alert") > 0
    assert leaked(_everything_said(district, caplog) + postgres_log()) == []


def test_texts_about_joined_records_and_unnamed_changes_name_nobody(
    district: DagsterDistrict,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    postgres_log: Callable[[], str],
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("ROSTER_DATABASE_URL", database_url)
    district.set_connection(delta=True)
    district.add_school(report_to=["it@school.example"], automatic=True)
    hostile_strings(district.people)
    first, second, *_ = district.people.people_of("sch-1", "student")
    unnamed(district, second.sourced_id, modified="2026-01-05T00:00:00.000Z")
    district.run_sync()
    same = ("given_name", "family_name", "email", "identifier", "state_id", "grades")
    copied = {name: getattr(first, name) for name in same}
    district.people.add("student", "sch-1", sourced_id="copy", username="", **copied)
    district.run_sync()
    assert district.count("plan_row", "notes like '%records_joined%'") > 0
    prove_changes(district)
    district.run_sync()
    assert district.count("pull", "mode = 'delta'") == 1
    unnamed(district, second.sourced_id, given_name="Zyxpoison-quiet", email="qqleak-quiet@zyxpoison.example")
    district.execute("""update pull set proof = proof || '{"full_at": "2020-01-01T00:00:00+00:00"}'""")
    district.run_sync()
    assert district.count("outbox", "subject like '%did not name 1 person%'") == 1
    answers = [run(*command) for command in COMMANDS]
    assert [answer.code for answer in answers] == [0] * len(COMMANDS)
    said = [answer.out + answer.err for answer in answers]
    assert leaked("\n".join([*said, _everything_said(district, caplog), postgres_log()])) == []


def test_texts_about_people_who_wait_for_the_districts_manager_name_nobody(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
    postgres_log: Callable[[], str],
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("ROSTER_HOME", str(tmp_path))
    monkeypatch.setenv("ROSTER_DATABASE_URL", database_url)
    person = {"given_name": "Zyxpoison", "family_name": "Zyxpoison-s'\"%s", "email": "qqleak@zyxpoison.example"}
    with several_connections(database, tmp_path) as district:
        district.deliver("main", "m-one", **person, phone="+15550199777", identifier="99887766")
        district.night("main")
        district.deliver("east", "e-one", **person, phone="+15550199777", identifier="99887766")
        assert district.night("east").by_action["held"] == 1
        district.deliver("west", "w-one", **person)
        district.night("west")
        assert "other_connection" in district.reasons("west")
        (held,) = database.call(approvals.held)
        assert len(district.rows("select 1 from outbox where kind = 'alert'")) == 2, "held in east, claimed of main"
        with pytest.raises(DirectoryError) as refused:
            decisions.approve(database, "east", held.plan_id, who="owner", reason="ours")
        said = ["".join(traceback.format_exception(refused.value)), *(record.getMessage() for record in caplog.records)]
        for command in (("hold", "list"), ("history", "east"), ("history", "west"), ("school", "show", "east")):
            answer = run(*command)
            assert answer.out, command
            said += [answer.out, answer.err]
        for table in sorted({row["relname"] for row in district.rows(TABLES)} - OF_PEOPLE):
            said += [json.dumps(row, default=str) for row in district.rows(f"select to_jsonb(t) as row from {table} t")]
    assert any("the district's manager" in one for one in said)
    assert leaked("\n".join([*said, postgres_log()])) == []


LIST = "First name,Last name,Mail,Student ID,Role\n" + "".join(
    f"Zyxpoison-u{place},Zyxpoison,qqleak-u{place}@zyxpoison.example,9988776655{place},student\n" for place in range(3)
)


def test_texts_about_leavers_exemptions_uploads_and_undone_edits_name_nobody(
    district: DagsterDistrict, caplog: pytest.LogCaptureFixture, postgres_log: Callable[[], str]
) -> None:
    caplog.set_level(logging.DEBUG)
    district.add_school(report_to=["it@school.example"], report_attachment="masked", first_sync="approve")
    hostile_strings(district.people)
    district.run_sync()
    said = [_exempted(district, "create")]
    decisions.approve(district.database, "lincoln", _newest(district, "plan"), **WHO)
    students = district.people.people_of("sch-1", "student")
    for place, student in enumerate(students):
        district.people.edit(student.sourced_id, email=f"qqleak-e{place}@zyxpoison.example")
    district.people.remove(students[0].sourced_id)
    district.run_sync()
    said += [_exempted(district, "update"), *_left(district), *_uploaded(district), *_undone(district)]
    district.run_sync()
    for fault in ("", "email=invalid", "truncated_json"):
        if fault:
            district.sis.faults.set(fault)
        with district.database.begin() as conn:
            together = connection_test.begin_together(conn, [tenants.get_school(conn, "lincoln")], who="owner")
        connection_test.carry_out_together(district.database, together)
        district.sis.faults.clear()
    assert district.count("connection_test", "ended_at is not null") == 3
    assert leaked("\n".join([*said, _everything_said(district, caplog), postgres_log()])) == []


def _exempted(district: DagsterDistrict, action: str) -> str:
    """The output when single held rows are left out, and planned again."""
    plan = _newest(district, "plan")
    with district.database.begin() as conn:
        query = "select row from plan_row where plan_id = :plan and action = :action order by row limit 2"
        rows = list(conn.scalars(text(query), {"plan": plan, "action": action}))
    assert decisions.exempt(district.database, "lincoln", plan, rows, **WHO) == 2
    said = _complaint(lambda: decisions.exempt(district.database, "lincoln", plan, [-1], **WHO))
    decisions.take_back(district.database, "lincoln", [_newest(district, "exemption")], **WHO)
    return said


def _left(district: DagsterDistrict) -> list[str]:
    """The output about announced leavers, known ones and others."""

    def announced(words: str, reason: str) -> Any:
        with district.database.begin() as conn:
            day = datetime.now(UTC).date()
            return decisions.announce(conn, tenants.get_school(conn, "lincoln"), words, day, who="owner", reason=reason)

    with district.database.begin() as conn:
        known = conn.execute(
            text("select number, email, username from person where username is not null limit 3")
        ).all()
    words = f"{known[0].number}, {known[1].email} {known[2].username} Zyxpoison"
    done = announced(words, "they leave")
    assert (done.people > 0, bool(done.unknown)) == (True, True)
    assert leaked(words) == ["zyxpoison", "qqleak", "99887766"]
    wrong = ((words, "x" * 600), (words, "rings\x07"), (" ".join(f"qqleak{n}" for n in range(3000)), "they leave"))
    said = [_complaint(lambda words=words, reason=reason: announced(words, reason)) for words, reason in wrong]  # type: ignore[misc]
    district.execute("alter table announced_leaver add constraint refuse check (false) not valid")
    said.append(_complaint(lambda: announced(str(known[2].username), "they leave")))
    _allow(district, "announced_leaver")
    return said


def _uploaded(district: DagsterDistrict) -> list[str]:
    """The output about a list of people: its decisions, its end, and its errors."""
    file = people_file.read_people_file(LIST.encode())
    columns = people_file.fields_of_columns(file.header)

    def entered(upload: uploads.Upload, digest: str) -> int:
        with district.database.begin() as conn:
            school = tenants.get_school(conn, "lincoln")
            return people_upload.apply(conn, school, upload, digest, reader=COMMAND_LINE, **WHO)

    with district.database.begin() as conn:
        school = tenants.get_school(conn, "lincoln")
        number = uploads.keep(conn, school, file.header, file.rows, columns, "student", who="owner")
        kept = uploads.kept(conn, school, number, who="owner")
        assert kept is not None
        uploads.choose(conn, kept, {2: "new", 3: "out"})
        upload = uploads.kept(conn, school, number, who="owner")
        assert upload is not None
        seen = people_upload.preview(conn, school, file, columns, role="", choices=upload.choices, reader=COMMAND_LINE)
    said = [_complaint(lambda: entered(upload, "another"))]
    _refuse(district, "person")
    said.append(_complaint(lambda: entered(upload, seen.digest)))
    _allow(district, "person")
    entered(upload, seen.digest)
    said.append(_complaint(lambda: entered(upload, seen.digest)))
    broken = (b"PK\x03\x04 Zyxpoison", b"Zyxpoison,qqleak\n", b"Zyxpoison\n" + b"qqleak\n" * 6000)
    for data in broken:
        with pytest.raises(workbook.FileUnusable) as unusable:
            people_file.read_people_file(data)
        said.append("".join(traceback.format_exception(unusable.value)))
    return said


def _undone(district: DagsterDistrict) -> list[str]:
    """The output about an edit that is undone, and about one that cannot be undone."""
    with district.database.begin() as conn:
        district_id = tenants.get_school(conn, "lincoln").district_id
        who = int(conn.scalar(text("select max(person_id) from link")) or 0)

    def edited(name: str) -> int:
        district.database.call(person_changes.edit, district_id, who, {"given_name": name}, **WHO)
        return _newest(district, "audit")

    def undone(edit: int) -> None:
        district.database.call(person_changes.undo, district_id, who, edit, **WHO)

    undone(edited("Zyxpoison-undone"))
    first = edited("Zyxpoison-first")
    second = edited("Zyxpoison-second")
    said = [_complaint(lambda: undone(first))]
    _refuse(district, "person")
    said.append(_complaint(lambda: undone(second)))
    _allow(district, "person")
    return said
