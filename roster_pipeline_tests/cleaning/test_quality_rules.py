"""The quality rules: their rows, the calls of Great Expectations, and the result when it cannot answer."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from roster_pipeline.cleaning import quality_suite
from roster_pipeline.cleaning.quality import run_suite, suite_frame
from roster_pipeline.settings.school import QualityRule
from roster_pipeline_tests.cleaning.test_quality import by_role, outcome, results_of
from roster_pipeline_tests.planning.builders import cleaned, entry, school, user

FAMILY = school(primary_contacts=True)
EVERYONE = [
    user("a", email="a@example.org", grades=["9"], agents=["g"]),
    user("b", email="nope", grades=["blue"], agents=["lost"], familyName=None),
    user("c", identifier="7" * 601),
    user("d", "teacher", email="d@example.org", grades=["9"]),
    user("e", "ext:x"),
    user("f", roles=[], givenName=None, familyName=None, email="f@example.org"),
    user("g", "guardian", email="g@example.org", givenName="Gail", familyName="Ash"),
    user("h", status="odd", givenName=None, grades=["9"]),
    user("i", identifier="N-a", email="a@example.org", givenName="Givena", familyName="Familya"),
    user("j", dateLastModified="2026-01-01T00:00:00Z"),
    user("j", dateLastModified="2026-01-02T00:00:00Z", givenName="Newer"),
    user("k", roles=[entry(org="s2")]),
    user("l", email="d@example.org", identifier="N-a"),
]
TESTED = {
    "has_people": (10, 0),
    "given_name_present": (9, 1),
    "family_name_present": (9, 1),
    "most_given_names_present": (9, 1),
    "most_family_names_present": (9, 1),
    "sourced_id_unique": (10, 0),
    "sourced_id_once": (10, 1),
    "number_unique": (6, 3),
    "number_usable": (7, 1),
    "email_valid": (5, 1),
    "most_emails_valid": (5, 1),
    "email_unique": (4, 2),
    "role_known": (9, 1),
    "grade_known": (2, 1),
    "most_grades_known": (2, 1),
    "org_present": (10, 1),
    "contact_resolves": (2, 1),
    "record_usable": (9, 1),
}
"""How many records of `EVERYONE` each rule concerns, and how many fail."""


def test_each_rule_looks_at_the_records_it_concerns_and_fails_those_it_must() -> None:
    told = cleaned(EVERYONE, FAMILY)
    results = run_suite(quality_suite.installed_suite(), told.roster, told.rejected, FAMILY)
    assert {rule: outcome(results, rule)[1:] for rule in results["rule"]} == TESTED


def test_plain_great_expectations_reads_the_shipped_suite_and_counts_the_same() -> None:
    """The file is a suite that any engineer can load; our own code around it changes no count."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    told = cleaned(EVERYONE, FAMILY)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    document = json.loads(quality_suite.SHIPPED.read_text(encoding="utf-8"))
    suite = context.suites.add(gx.ExpectationSuite(name=document["name"], expectations=document["expectations"]))
    asset = context.data_sources.add_pandas("roster").add_dataframe_asset("records")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch(
        {"dataframe": suite_frame(told.roster, told.rejected)}
    )
    asked = {"result_format": "BASIC", "partial_unexpected_count": 0}
    counted = {}
    for result in batch.validate(suite, result_format=asked).results:
        if "unexpected_count" in result.result:
            tested = result.result["element_count"] - result.result.get("missing_count", 0)
            assert result.expectation_config is not None
            counted[result.expectation_config.meta["rule"]] = (tested, result.result["unexpected_count"])
    assert set(counted) == set(TESTED) - {"has_people"}
    for rule in quality_suite.installed_suite().rules:
        if rule.name in counted:
            assert counted[rule.name][1] == TESTED[rule.name][1]
            assert "column_list" in rule.kwargs or counted[rule.name] == TESTED[rule.name]


def test_one_person_is_a_roster_and_nobody_is_none() -> None:
    assert outcome(results_of([user("a")]), "has_people") == (True, 1, 0)
    assert results_of([user("a")])["passed"].all()
    assert outcome(results_of([]), "has_people") == (False, 0, 0)
    assert outcome(results_of([user("a", status="odd")]), "has_people") == (False, 1, 1)


def test_a_rule_that_is_off_leaves_the_others_and_all_off_leave_nothing() -> None:
    off = QualityRule(severity="off")
    names = [rule.name for rule in quality_suite.installed_suite().rules]
    rest = results_of([user("a")], given_name_present=off)
    assert list(rest["rule"]) == [name for name in names if name != "given_name_present"]
    assert results_of([user("a")], **dict.fromkeys(names, off)).empty


def test_every_rule_belongs_to_a_check_that_owners_see() -> None:
    suite = quality_suite.installed_suite()
    assert {rule.check for rule in suite.rules} == set(quality_suite.CHECKS) - {quality_suite.FURTHER}
    assert suite.tuned({}) == suite.rules


def added(monkeypatch: pytest.MonkeyPatch, folder: Path, *found: dict[str, Any]) -> None:
    """A suite file of the installation."""
    path = folder / "suite.json"
    path.write_text(json.dumps({"name": "ours", "expectations": list(found)}), encoding="utf-8")
    monkeypatch.setenv(quality_suite.EXTRA_SUITE, str(path))


def test_an_expectation_that_somebody_adds_is_checked_without_a_line_of_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    added(
        monkeypatch,
        tmp_path,
        {
            "type": "expect_column_values_to_match_regex",
            "kwargs": {"column": "username", "regex": "^[a-z]+$", "mostly": 0.9},
            "meta": {"rule": "username_plain", "check": "known_values", "severity": "error"},
        },
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "username"}, "severity": "warning"},
    )
    users = [user(f"p{i}", username="same" if i < 4 else "other") for i in range(5)]
    results = results_of([*users, *(user(f"t{i}", "teacher", username=f"T-{i}") for i in range(4))])
    assert by_role(results, "username_plain") == {"student": (True, 5, 0), "teacher": (False, 4, 4)}
    assert by_role(results, "column_values_to_be_unique_username") == {
        "student": (False, 5, 4),
        "teacher": (True, 4, 0),
    }
    lines = results.drop_duplicates("rule").set_index("rule")[["check_name", "severity"]]
    assert tuple(lines.loc["username_plain"]) == ("known_values", "error")
    assert tuple(lines.loc["column_values_to_be_unique_username"]) == (quality_suite.FURTHER, "warning")


def test_an_added_expectation_may_take_the_place_of_one_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "username"}}
    added(monkeypatch, tmp_path, {**ours, "meta": {"rule": "given_name_present", "severity": "warning"}})
    names = [rule.name for rule in quality_suite.installed_suite().rules]
    assert len(names) == len(set(names)) == len(TESTED)
    assert outcome(results_of([user("a")]), "given_name_present") == (False, 1, 1)


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "expect_no_such_thing", "kwargs": {}},
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "no_such_column"}},
        {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "given_name", "regex": "("}},
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "given_name", "min_value": 0}},
        {"type": "expect_columns_to_determine", "kwargs": {"column_list": ["given_name"]}},
    ],
)
def test_a_rule_that_cannot_be_evaluated_has_not_passed_and_the_others_are_evaluated(
    odd: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    added(monkeypatch, tmp_path, {**odd, "meta": {"rule": "odd_rule"}})
    with caplog.at_level(logging.DEBUG):
        results = results_of([user("a", givenName="Secret", username="secret")])
    line = results.set_index("rule").loc["odd_rule"]
    assert (bool(line["passed"]), list(line[["tested", "failed"]].isna())) == (False, [True, True])
    assert results.loc[results["rule"] != "odd_rule", "passed"].all()
    assert "secret" not in (results.to_json() + caplog.text + "".join(capfd.readouterr())).lower()


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("{", "not JSON"),
        ("[]", "not JSON with a list"),
        ('{"expectations": {}}', "not a list"),
        ('{"expectations": [1]}', "expectation 1 has no type"),
        ('{"expectations": [{"type": "x", "kwargs": 1}]}', "not a mapping"),
        ('{"expectations": [{"type": "x", "meta": {"severity": "grave"}}]}', "neither error nor warning"),
        ('{"expectations": [{"type": "x", "kwargs": {"mostly": 2}}]}', "from 0 to 1"),
        ('{"expectations": [{"type": "x", "meta": {"roles": ["pupil"]}}]}', "roles of x"),
        ('{"expectations": [{"type": "x"}, {"type": "x"}]}', "two rules of the name x"),
    ],
)
def test_a_suite_file_that_cannot_be_used_says_why(
    written: str, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "suite.json"
    path.write_text(written, encoding="utf-8")
    monkeypatch.setenv(quality_suite.EXTRA_SUITE, str(path))
    with pytest.raises(quality_suite.QualitySuiteError, match=why) as failed:
        quality_suite.installed_suite()
    assert quality_suite.EXTRA_SUITE in str(failed.value)
    monkeypatch.setenv(quality_suite.EXTRA_SUITE, str(tmp_path / "none.json"))
    with pytest.raises(quality_suite.QualitySuiteError, match="No such file"):
        quality_suite.installed_suite()


def test_great_expectations_is_silent_and_calls_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    results_of([user("a")])
    assert "roster_pipeline.cleaning.expectations" in sys.modules
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
    assert capfd.readouterr() == ("", "")


def test_nothing_of_a_roster_stays_behind_for_the_next() -> None:
    bad = results_of([user(f"p{i}", email="nope") for i in range(4)])
    good = results_of([user(f"p{i}", email=f"p{i}@example.org") for i in range(4)])
    assert (outcome(bad, "email_valid"), outcome(good, "email_valid")) == ((False, 4, 4), (True, 4, 0))
