"""The guards on the snapshot: failed or missing quality results, and a connection that shows less than before."""

from typing import Any

import pandas as pd
import pytest

from roster_pipeline.cleaning.quality import RESULT_COLUMNS, not_tested, run_suite
from roster_pipeline.cleaning.quality_suite import Rule, installed_suite
from roster_pipeline.planning import snapshot_guards
from roster_pipeline.planning.findings import Finding
from roster_pipeline.settings.school import QualityRule
from roster_pipeline.vocabulary import CHANGING, Role
from roster_pipeline_tests.planning.builders import cleaned, school, user

SNAPSHOT = 7
MAILS = Rule("mails", "emails", "error", "E-mail addresses are valid", "x", {"mostly": 0.8})
NAMES = Rule("names", "required_fields", "warning", "People have a name", "x", {"mostly": 0.9})
TOTAL = Rule("total", "further_rules", "error", "The numbers add up", "x", {}, ("teacher", "staff"))
RULES = (MAILS, NAMES, TOTAL)
GOOD: dict[str, tuple[Any, ...]] = {
    "mails": ("", "emails", "error", True, 50, 0),
    "names": ("", "required_fields", "warning", True, 50, 0),
    "total": ("", "further_rules", "error", True, 50, 0),
}


def results(*lines: tuple[Any, ...], snapshot: int = SNAPSHOT, **instead: tuple[Any, ...] | None) -> pd.DataFrame:
    """Good results, with one rule's line replaced or removed, and further lines."""
    rows = [(name, *line) for name, line in (GOOD | instead).items() if line is not None]
    frame = pd.DataFrame([*rows, *lines], columns=list(RESULT_COLUMNS))
    frame = frame.astype({"passed": "boolean", "tested": "Int64", "failed": "Int64"})
    return frame.assign(snapshot_id=snapshot)


def held(found: list[Finding]) -> set[tuple[str, str]]:
    """The held (role, action) pairs of the findings."""
    return {(role.value, action) for role in Role for action in CHANGING for one in found if one.concerns(role, action)}


def found_in(frame: pd.DataFrame, rules: tuple[Rule, ...] = RULES) -> list[Finding]:
    return list(snapshot_guards.quality_findings(frame, rules, SNAPSHOT))


ALL = {(role.value, "archive") for role in Role}


def test_good_results_hold_nothing() -> None:
    assert found_in(results()) == []


def test_a_failed_error_holds_the_archivals_of_its_role_and_names_rule_tested_and_failed() -> None:
    found = found_in(results(mails=("student", "emails", "error", False, 40, 20)))
    assert held(found) == {("student", "archive")}
    assert [(one.guard, one.value, one.limit, one.overridable) for one in found] == [("quality", 0.5, 0.2, True)]
    assert found[0].message == ("Quality rule mails (e-mail addresses are valid): 20 of 40 student records fail, 50 %.")


def test_a_failed_warning_holds_nothing() -> None:
    assert found_in(results(names=("student", "required_fields", "warning", False, 40, 20))) == []


def test_each_role_is_held_for_itself() -> None:
    more = ("mails", "teacher", "emails", "error", True, 10, 1), ("mails", "admin", "emails", "error", False, 4, 4)
    found = found_in(results(*more, mails=("student", "emails", "error", False, 40, 20)))
    assert held(found) == {("student", "archive"), ("admin", "archive")}


def test_records_of_an_unknown_role_hold_every_role_and_are_weighed_against_all() -> None:
    more = ("mails", "student", "emails", "error", True, 40, 0)
    found = found_in(results(more, mails=("", "emails", "error", False, 20, 20)))
    assert held(found) == ALL
    assert found[0].message.endswith("20 of 60 records fail, 33 %.")


def test_a_rule_about_the_whole_roster_holds_the_roles_it_names() -> None:
    found = found_in(results(total=("", "further_rules", "error", False, 50, 50)))
    assert held(found) == {("teacher", "archive"), ("staff", "archive")}


def test_a_rule_that_names_its_roles_holds_no_other() -> None:
    of_student = ("student", "further_rules", "error", False, 50, 50)
    assert found_in(results(total=of_student)) == []
    assert held(found_in(results(("total", "staff", *of_student[1:])))) == {("staff", "archive")}


@pytest.mark.parametrize(
    "frame",
    [
        results().head(0),
        results(snapshot=SNAPSHOT - 1),
        not_tested().assign(snapshot_id=SNAPSHOT),
        results(names=None),
        results(names=("", "required_fields", "warning", False, None, None)),
        results(mails=("", "emails", "error", False, None, None)),
    ],
    ids=["none", "another snapshot's", "no suite", "a rule is missing", "a warning crashed", "an error crashed"],
)
def test_results_that_are_missing_or_of_another_snapshot_or_crashed_hold_all_archivals(frame: pd.DataFrame) -> None:
    found = found_in(frame)
    assert held(found) == ALL
    assert [(one.guard, one.overridable) for one in found] == [("no_quality", True)]


def test_rules_that_could_not_be_evaluated_are_named() -> None:
    (found,) = found_in(results(names=None, mails=("", "emails", "error", False, None, None)))
    assert found.message == (
        "Quality rules that could not be evaluated: names, mails. An untested roster has not passed."
    )


def test_a_school_without_rules_needs_no_results() -> None:
    assert found_in(results().head(0), ()) == []


def test_a_stored_result_of_a_removed_rule_still_holds() -> None:
    found = found_in(results(mails=("student", "emails", "error", False, 40, 20)), (NAMES, TOTAL))
    assert held(found) == {("student", "archive")}
    assert found[0].message == "Quality rule mails: 20 of 40 student records fail, 50 %."


def test_a_suite_that_cannot_be_read_holds_all_archivals() -> None:
    assert held([snapshot_guards.untested("The quality suite cannot be used")]) == ALL


def test_an_empty_roster_holds_all_archivals() -> None:
    told = cleaned([])
    rules = installed_suite().tuned({})
    frame = run_suite(installed_suite(), told.roster, told.rejected, school()).assign(snapshot_id=SNAPSHOT)
    found = found_in(frame, rules)
    assert held(found) == ALL
    assert found[0].message.endswith("nobody came who could be tested.")


def test_half_of_the_emails_and_all_grades_hold_archivals_by_default() -> None:
    people = [user(f"p{i}", email="not an address" if i % 2 else f"p{i}@w.org", grades=["??"]) for i in range(97)]
    told, settings = cleaned(people), school()
    rules = installed_suite().tuned(settings.quality)
    frame = run_suite(installed_suite(), told.roster, told.rejected, settings).assign(snapshot_id=SNAPSHOT)
    found = found_in(frame, rules)
    assert [one.message.split(" ")[2] for one in found] == ["most_emails_valid", "most_grades_known"]
    assert held(found) == {("student", "archive")}
    mild = school(quality=dict.fromkeys(("most_emails_valid", "most_grades_known"), QualityRule(severity="warning")))
    frame = run_suite(installed_suite(), told.roster, told.rejected, mild).assign(snapshot_id=SNAPSHOT)
    assert found_in(frame, installed_suite().tuned(mild.quality)) == []


def proof(records: int, mode: str = "full", **more: Any) -> dict[str, Any]:
    return {"records": records, "mode": mode, **more}


@pytest.mark.parametrize(
    ("proof_now", "good", "expected"),
    [
        (proof(50), [proof(100)] * 3, snapshot_guards.UnlikeBefore()),
        (proof(49), [proof(100)] * 3, snapshot_guards.UnlikeBefore(49, 100)),
        (proof(0), [proof(100)], snapshot_guards.UnlikeBefore(0, 100)),
        (proof(49), [], snapshot_guards.UnlikeBefore()),
        (proof(49), [proof(60), proof(60), proof(900)], snapshot_guards.UnlikeBefore()),
        (proof(49), [proof(60), proof(900), proof(900)], snapshot_guards.UnlikeBefore()),
        (proof(49), [proof(900), proof(60), proof(60)], snapshot_guards.UnlikeBefore()),
        (proof(49, "delta"), [proof(100)], snapshot_guards.UnlikeBefore()),
        (proof(49, "school"), [proof(100)], snapshot_guards.UnlikeBefore()),
        (proof(49), [*[proof(60)] * 7, *[proof(900)] * 20], snapshot_guards.UnlikeBefore()),
    ],
)
def test_a_connection_is_held_against_the_median_of_its_good_snapshots_of_the_same_kind(
    proof_now: dict[str, Any], good: list[dict[str, Any]], expected: snapshot_guards.UnlikeBefore
) -> None:
    assert snapshot_guards.smaller(proof_now, good) == expected


@pytest.mark.parametrize("served_before", [True, False])
def test_the_newest_good_snapshot_for_which_somebody_was_asked_for_says_whether_single_users_are_missed(
    served_before: bool,
) -> None:
    answered, gone = proof(9, single_users=True), proof(9, single_users=False)
    assert snapshot_guards.misses_single_users([proof(9), answered, gone], served_before=served_before)
    assert not snapshot_guards.misses_single_users([proof(9), gone, answered], served_before=served_before)
    assert snapshot_guards.misses_single_users([proof(9)], served_before=served_before) is served_before
