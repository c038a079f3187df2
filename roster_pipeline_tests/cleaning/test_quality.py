"""The quality suite: Great Expectations on the roster, counts by role only, tuned per school."""

from typing import Any

import pandas as pd
import pytest

from roster_pipeline.cleaning.quality import passes, run_suite, suite_frame
from roster_pipeline.cleaning.quality_suite import CHECKS, FURTHER, installed_suite
from roster_pipeline.settings.school import QualityRule
from roster_pipeline_tests.planning.builders import cleaned, entry, school, user


def results_of(users: list[dict[str, Any]], **quality: QualityRule) -> pd.DataFrame:
    told = cleaned(users)
    return run_suite(installed_suite(), told.roster, told.rejected, school(quality=quality))


def outcome(results: pd.DataFrame, rule: str) -> tuple[bool, int, int]:
    """Whether a rule passed for everybody, and how many records of all roles were tested and failed."""
    lines = results[results["rule"] == rule]
    assert len(lines)
    return bool(lines["passed"].all()), int(lines["tested"].sum()), int(lines["failed"].sum())


def by_role(results: pd.DataFrame, rule: str) -> dict[str, tuple[bool, int, int]]:
    lines = results.loc[results["rule"] == rule, ["role", "passed", "tested", "failed"]]
    return {str(role): (bool(ok), int(of), int(bad)) for role, ok, of, bad in lines.itertuples(index=False)}


def test_a_good_roster_passes_every_rule() -> None:
    results = results_of([user(f"p{i}", email=f"p{i}@example.org", grades=["9"]) for i in range(20)])
    assert results["passed"].all()
    assert set(results["role"]) == {""}
    assert outcome(results, "email_valid") == (True, 20, 0)


def test_an_empty_roster_passes_nothing() -> None:
    results = results_of([])
    assert not results["passed"].any()
    assert set(results["check_name"]) == set(CHECKS) - {FURTHER}


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({"email": "nope"}, "email_valid"),
        ({"email": "nope"}, "most_emails_valid"),
        ({"email": "same@example.org"}, "email_unique"),
        ({"identifier": "1"}, "number_unique"),
        ({"identifier": "1" * 601}, "number_usable"),
        ({"grades": ["blue"]}, "grade_known"),
        ({"grades": ["blue"]}, "most_grades_known"),
        ({"roles": [entry("ext:x")]}, "role_known"),
        ({"roles": []}, "org_present"),
        ({"givenName": None}, "given_name_present"),
        ({"familyName": None}, "family_name_present"),
        ({"givenName": None}, "most_given_names_present"),
        ({"familyName": None}, "most_family_names_present"),
        ({"status": "odd"}, "record_usable"),
    ],
)
def test_bad_records_fail_their_rule(members: dict[str, Any], rule: str) -> None:
    bad = [user(f"bad{i}", **members) for i in range(3)]
    passed, _, failed = outcome(results_of([*(user(f"ok{i}") for i in range(3)), *bad]), rule)
    assert not passed
    assert failed == 3


def test_results_are_counted_by_role_and_only_the_roles_that_fail_fail() -> None:
    students = [user(f"s{i}", email=f"s{i}@example.org") for i in range(10)]
    teachers = [user(f"t{i}", "teacher", email="nope" if i < 4 else f"t{i}@example.org") for i in range(8)]
    results = results_of([*students, *teachers])
    assert by_role(results, "email_valid") == {"student": (True, 10, 0), "teacher": (False, 8, 4)}
    assert by_role(results, "number_unique") == {"": (True, 18, 0)}


def test_a_value_that_people_of_two_roles_share_fails_in_both() -> None:
    shared = [user("s", email="x@example.org"), user("t", "teacher", email="x@example.org")]
    results = results_of([*shared, *(user(f"o{i}", email=f"o{i}@example.org") for i in range(4))])
    assert by_role(results, "email_unique") == {"student": (True, 5, 1), "teacher": (True, 1, 1)}


def test_records_whose_role_is_not_known_are_weighed_against_the_whole_school() -> None:
    vendor = [user(f"x{i}", "ext:x") for i in range(4)]
    many = results_of([*(user(f"p{i}") for i in range(96)), *vendor])
    assert by_role(many, "role_known") == {"student": (True, 96, 0), "": (True, 4, 4)}
    few = results_of([*(user(f"p{i}") for i in range(6)), *vendor])
    assert by_role(few, "role_known") == {"student": (True, 6, 0), "": (False, 4, 4)}


def test_vendor_roles_that_nobody_maps_are_usable_records() -> None:
    results = results_of([*(user(f"p{i}") for i in range(6)), *(user(f"x{i}", "ext:x") for i in range(4))])
    assert outcome(results, "record_usable") == (True, 10, 0)


@pytest.mark.parametrize(
    ("tested", "failed", "mostly", "passed"),
    [
        (3, 2, 0.95, True),
        (3, 3, 0.95, False),
        (100, 5, 0.95, True),
        (100, 6, 0.95, False),
        (5, 1, 1.0, False),
        (5, 0, 1.0, True),
        (0, 0, 0.95, True),
    ],
)
def test_one_or_two_records_are_never_a_share_unless_all_must_pass(
    tested: int, failed: int, mostly: float, *, passed: bool
) -> None:
    assert passes(tested, failed, mostly) is passed


def test_a_school_tunes_a_rule_or_switches_it_off() -> None:
    users = [*(user(f"b{i}", email="nope") for i in range(4)), *(user(f"g{i}", email=f"g{i}@x.org") for i in range(4))]
    assert not outcome(results_of(users), "email_valid")[0]
    assert outcome(results_of(users, email_valid=QualityRule(mostly=0.5)), "email_valid")[0]
    strict = results_of(users, email_valid=QualityRule(severity="error")).set_index("rule")
    assert strict.loc["email_valid", "severity"] == "error"
    assert "email_valid" not in set(results_of(users, email_valid=QualityRule(severity="off"))["rule"])


def test_results_hold_counts_and_no_value_of_a_record() -> None:
    users = [user(f"secret{i}", email="secret@example.org", givenName="Secret") for i in range(4)]
    assert "secret" not in results_of(users).to_json().lower()


def test_the_frame_says_which_rules_a_record_broke_and_has_the_roster_as_it_is() -> None:
    told = cleaned(
        [user("a", email="nope", familyName=None), user("b", email=None), user("c", roles=[entry(org="s2")])]
    )
    frame = suite_frame(told.roster, told.rejected).set_index("sourced_id", drop=False)
    assert frame["rejections"].to_dict() == {"a": "invalid_email single_name", "b": ""}
    assert frame["email_given"].to_dict() == {"a": True, "b": False}
    assert list(frame.columns) == [*told.roster.columns, "rejections", "email_given"]
