"""The quality suite: Great Expectations on the roster, counts only, tuned per school."""

from __future__ import annotations

from typing import Any

import pytest

from roster_pipeline.roster.quality import SUITE, QualityReport, run_suite, tuned
from roster_pipeline.roster.quality_checks import CHECKS
from roster_pipeline.settings import QualityRule
from roster_pipeline_tests.roster.building import cleaned, entry, school, user


def report_of(users: list[dict[str, Any]], **quality: QualityRule) -> QualityReport:
    told = cleaned(users)
    return run_suite(told.roster, told.rejected, school(quality=quality))


def outcome(report: QualityReport, rule: str) -> tuple[bool, int, int]:
    line = report.results.set_index("rule").loc[rule]
    return bool(line["passed"]), int(line["tested"]), int(line["failed"])


def test_a_good_roster_passes_every_rule() -> None:
    report = report_of([user(f"p{i}", email=f"p{i}@example.org", grades=["9"]) for i in range(20)])
    assert report.results["passed"].all()
    assert report.failing.empty
    assert outcome(report, "email_valid") == (True, 20, 0)


def test_an_empty_roster_passes_nothing() -> None:
    report = report_of([])
    assert not report.results["passed"].any()
    assert set(report.results["check_name"]) == set(CHECKS)


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({"email": "nope"}, "email_valid"),
        ({"email": "same@example.org"}, "email_unique"),
        ({"identifier": "1"}, "number_unique"),
        ({"grades": ["blue"]}, "grade_known"),
        ({"roles": [entry("ext:x")]}, "role_known"),
        ({"roles": []}, "org_present"),
        ({"givenName": None}, "given_name_present"),
        ({"status": "odd"}, "record_usable"),
    ],
)
def test_bad_records_fail_their_rule_and_are_named_beside_the_counts(members: dict[str, Any], rule: str) -> None:
    bad = [user(f"bad{i}", **members) for i in range(3)]
    report = report_of([*(user(f"ok{i}") for i in range(3)), *bad])
    passed, _, failed = outcome(report, rule)
    assert not passed
    assert failed == 3
    ids = report.failing.loc[report.failing["rule"] == rule, "sourced_id"]
    assert set(ids) == {"bad0", "bad1", "bad2"}


def test_counts_of_the_suite_and_the_failing_ids_agree() -> None:
    users = [user(f"p{i}", email="x@example.org" if i % 2 else "bad", grades=["?"]) for i in range(12)]
    report = report_of(users)
    by_rule = report.failing["rule"].value_counts()
    for line in report.results.itertuples():
        assert by_rule.get(line.rule, 0) == line.failed


def test_a_school_tunes_a_rule_or_switches_it_off() -> None:
    users = [user("a", email="nope"), user("b", email="b@example.org")]
    assert not outcome(report_of(users), "email_valid")[0]
    assert outcome(report_of(users, email_valid=QualityRule(mostly=0.5)), "email_valid")[0]
    strict = report_of(users, email_valid=QualityRule(severity="error")).results.set_index("rule")
    assert strict.loc["email_valid", "severity"] == "error"
    assert "email_valid" not in set(report_of(users, email_valid=QualityRule(severity="off")).results["rule"])


def test_every_rule_belongs_to_a_check_that_owners_see() -> None:
    assert {rule.check_name for rule in SUITE} == set(CHECKS)
    assert len({rule.rule for rule in SUITE}) == len(SUITE)
    assert tuned({}) == SUITE


def test_results_hold_counts_and_no_value_of_a_record() -> None:
    report = report_of([user("a", email="secret@example.org"), user("b", email="secret@example.org")])
    assert "secret" not in report.results.to_json() + report.failing.to_json()
