"""Nights with a bad roster: it archives nobody, and check, hold and mail say why."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import text

from roster_pipeline.cleaning.quality_suite import EXTRA_SUITE
from roster_pipeline.defs.checks import quality_results
from roster_pipeline.defs.resources import InstallationResource
from roster_pipeline.directory import approvals, rosters, tenants
from roster_pipeline.directory.approvals import Hold
from roster_pipeline.services import decisions
from roster_pipeline.sync.outbox_sender import send_due
from roster_pipeline_tests.csv_bundle import write_csv_bundle
from roster_pipeline_tests.district import District
from roster_pipeline_tests.scenarios.mailbox import Mailbox, body_of

EXPECTATIONS = "roster_pipeline.cleaning.expectations"


@pytest.fixture
def night(request: pytest.FixtureRequest, district: District, tmp_path: Path) -> Callable[[], dict[str, int]]:
    """One night of the school, by REST or, if a test says so, from a bundle that is written just before."""
    district.add_school(report_to=["it@example.org"])
    bundle, by_csv = tmp_path / "export.zip", getattr(request, "param", "") == "csv"
    if by_csv:
        district.set_connection(url=f"file://{bundle}", token_url=None)

    def run() -> dict[str, int]:
        if by_csv:
            write_csv_bundle(district.people, bundle, version="1.1")
        found = district.run_sync()
        assert not district.problems
        return found

    return run


def held(district: District) -> dict[tuple[str, str], Hold]:
    with district.database.begin() as conn:
        school = tenants.get_school(conn, "lincoln").id
        return {(hold.role, hold.action): hold for hold in approvals.held(conn, school_id=school)}


def quality_of(hold: Hold) -> list[str]:
    """The names of the rules that hold archivals."""
    return [one["message"].split()[2] for one in hold.findings if one["guard"] == "quality"]


def leave(district: District, role: str, people: int) -> None:
    for person in district.people.people_of("sch-1", role)[-people:]:
        district.people.remove(person.sourced_id)


def checks(district: District) -> dict[str, bool]:
    """The quality checks of the newest snapshot, as Dagster shows them."""
    with district.database.begin() as conn:
        stored = rosters.load_quality(conn, int(conn.scalar(text("select max(id) from snapshot")) or 0))
    return {
        str(one.check_name): one.passed
        for one in quality_results(cast("list[dict[str, Any]]", stored.to_dict("records")))
    }


def test_a_check_of_a_roster_without_people_says_that_nothing_was_tested() -> None:
    rule = {"rule": "email_valid", "role": "", "check_name": "emails", "severity": "error", "passed": False}
    (shown,) = [one for one in quality_results([rule | {"tested": 0, "failed": 0}]) if one.check_name == "emails"]
    assert shown.metadata["email_valid"].value == "there was no record to test"


def plan_id(district: District) -> int:
    return next(iter(held(district).values())).plan_id


@pytest.mark.parametrize("night", ["rest", "csv"], indirect=True)
def test_half_of_the_emails_and_all_grades_are_unusable_and_three_leave(
    district: District, night: Callable[[], dict[str, int]], mailbox: Mailbox
) -> None:
    night()
    there = district.active()
    leave(district, "student", 3)
    for place, student in enumerate(district.people.people_of("sch-1", "student")):
        district.people.edit(student.sourced_id, grades=("??",), **({"email": "not an address"} if place % 2 else {}))
    night()
    assert district.active() == there
    hold = held(district)["student", "archive"]
    assert (hold.rows, hold.overridable) == (3, True)
    assert quality_of(hold) == ["most_emails_valid", "most_grades_known"]
    assert {name for name, passed in checks(district).items() if not passed} == {"emails", "known_values"}
    send_due(district.database, InstallationResource().mailer())
    said = " ".join(body_of(mailbox.messages[-1][0]).split())
    for finding in hold.findings:
        assert finding["message"] in said
    decisions.approve(district.database, "lincoln", plan_id(district), who="it", reason="they did leave")
    assert district.active() == there - 3


def test_only_the_role_whose_records_are_unfit_is_held(district: District, night: Callable[[], dict[str, int]]) -> None:
    night()
    students, teachers = district.active(), district.active("teacher")
    leave(district, "student", 1)
    leave(district, "teacher", 1)
    for teacher in district.people.people_of("sch-1", "teacher"):
        district.people.edit(teacher.sourced_id, family_name="")
    assert len(district.people.people_of("sch-1", "teacher")) > 2
    night()
    assert (district.active(), district.active("teacher")) == (students - 1, teachers)
    assert quality_of(held(district)["teacher", "archive"]) == ["most_family_names_present"]


def test_a_number_typed_for_many_holds_who_left(district: District, night: Callable[[], dict[str, int]]) -> None:
    night()
    there = district.active()
    leave(district, "student", 1)
    for student in district.people.people_of("sch-1", "student")[:6]:
        district.people.edit(student.sourced_id, identifier="999999")
    night()
    assert district.active() == there
    assert quality_of(held(district)["student", "archive"]) == ["number_usable"]


def test_a_warning_is_shown_and_holds_nothing(district: District, night: Callable[[], dict[str, int]]) -> None:
    night()
    there = district.active()
    leave(district, "student", 1)
    for student in district.people.people_of("sch-1", "student")[:3]:
        district.people.edit(student.sourced_id, email="not an address")
    night()
    assert district.active() == there - 1
    assert checks(district)["emails"] is False


def test_a_school_that_lives_with_a_failed_rule_says_so_once(district: District) -> None:
    district.add_school(quality={"most_grades_known": {"severity": "warning"}})
    for student in district.people.people_of("sch-1", "student"):
        district.people.edit(student.sourced_id, grades=("form 4b",))
    district.run_sync()
    there = district.active()
    leave(district, "student", 1)
    district.run_sync()
    assert district.active() == there - 1


def added(monkeypatch: pytest.MonkeyPatch, folder: Path, *found: dict[str, Any]) -> None:
    path = folder / "suite.json"
    path.write_text(json.dumps({"name": "ours", "expectations": list(found)}), encoding="utf-8")
    monkeypatch.setenv(EXTRA_SUITE, str(path))


def test_an_expectation_that_somebody_adds_is_checked_shown_and_gates_without_a_line_of_code(
    district: District, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mailbox: Mailbox
) -> None:
    added(
        monkeypatch,
        tmp_path,
        {
            "type": "expect_column_values_to_not_match_regex",
            "description": "Usernames are none of the test accounts",
            "kwargs": {"column": "username", "regex": "^test", "mostly": 0.9},
            "meta": {"rule": "no_test_accounts", "severity": "error"},
        },
    )
    district.add_school(report_to=["it@example.org"])
    district.run_sync()
    there = district.active()
    leave(district, "student", 1)
    for place, student in enumerate(district.people.people_of("sch-1", "student")[:9]):
        district.people.edit(student.sourced_id, username=f"test{place}")
    district.run_sync()
    assert district.active() == there
    assert quality_of(held(district)["student", "archive"]) == ["no_test_accounts"]
    assert checks(district)["further_rules"] is False
    send_due(district.database, InstallationResource().mailer())
    assert "no_test_accounts" in body_of(mailbox.messages[-1][0])


@pytest.mark.parametrize(
    ("suite", "told"),
    [
        ('{"expectations": [{"type": "expect_no_such_thing", "meta": {"rule": "odd_rule"}}]}', "odd_rule"),
        ("not json", "cannot be used"),
    ],
)
def test_a_suite_that_cannot_be_evaluated_holds_archivals_and_fails_no_night(
    district: District, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mailbox: Mailbox, suite: str, told: str
) -> None:
    district.add_school(report_to=["it@example.org"])
    district.run_sync()
    there = district.active()
    path = tmp_path / "suite.json"
    path.write_text(suite, encoding="utf-8")
    monkeypatch.setenv(EXTRA_SUITE, str(path))
    district.run_sync()
    assert not district.problems
    assert checks(district)["further_rules"] is False
    send_due(district.database, InstallationResource().mailer())
    assert told in body_of(mailbox.messages[-1][0]), "told though nobody left"
    leave(district, "student", 1)
    district.people.add("student", "sch-1")
    district.run_sync()
    assert not district.problems
    assert district.active() == there + 1, "who is new is added"
    (finding,) = held(district)["student", "archive"].findings
    assert finding["guard"] == "no_quality"
    assert told in finding["message"]
    monkeypatch.delenv(EXTRA_SUITE)
    district.run_sync()
    assert district.active() == there


def test_a_library_that_crashes_or_cannot_be_loaded_holds_archivals_and_fails_no_night(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("a value of somebody")

    def held_by_no_quality() -> None:
        district.run_sync()
        assert not district.problems
        assert district.active() == there
        assert [one["guard"] for one in held(district)["student", "archive"].findings] == ["no_quality"]

    district.add_school()
    district.run_sync()
    there = district.active()
    leave(district, "student", 1)
    with monkeypatch.context() as crashing:
        crashing.setattr(f"{EXPECTATIONS}.PandasExecutionEngine.resolve_metrics", crash)
        held_by_no_quality()
    assert not any(checks(district)[name] for name in ("required_fields", "emails", "usable_records"))
    monkeypatch.setitem(sys.modules, EXPECTATIONS, None)
    held_by_no_quality()


CHANGED = (
    "delete from quality_result where snapshot_id = :snapshot",
    "update quality_result set passed = false, failed = tested, role = 'student' "
    "where snapshot_id = :snapshot and rule = 'email_unique' or rule = 'most_grades_known'",
    "delete from quality_result where snapshot_id = :snapshot and rule = 'email_valid'",
)
"""All results of a night are gone, some are worse, and one is gone."""


def test_results_that_changed_after_the_verdict_are_judged_again_before_the_plan_is_applied(district: District) -> None:
    district.add_school()
    district.run_sync()
    assert district.count("plan", "quality is not null") == district.count("plan") == 1
    assert district.count("quality_result", "snapshot_id = (select snapshot_id from plan)") > 0
    there = district.active()
    leave(district, "student", 1)
    for change in CHANGED:
        district.people.rename(district.people.people_of("sch-1", "student")[0].sourced_id)  # so it is cleaned again
        district.run_sync(steps=("fetch", "clean", "plan"))
        assert not held(district)
        district.execute(change, snapshot=district.value("select max(id) from snapshot"))
        district.run_sync(steps=("apply",))
        assert not district.problems
        assert district.active() == there
        assert held(district)["student", "archive"].rows == 1, change


def test_an_approval_of_results_that_changed_is_refused(district: District) -> None:
    district.add_school()
    district.run_sync()
    there = district.active()
    leave(district, "student", 1)
    for student in district.people.people_of("sch-1", "student"):
        district.people.edit(student.sourced_id, grades=("??",))
    district.run_sync()
    district.execute("update quality_result set failed = failed - 1 where rule = 'most_grades_known' and not passed")
    with pytest.raises(Exception, match="tested again"):
        decisions.approve(district.database, "lincoln", plan_id(district), who="it", reason="they did leave")
    assert district.active() == there
