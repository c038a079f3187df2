"""What each quality rule looks at, how Great Expectations is asked, and what is said when it cannot answer."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.roster import quality
from roster_pipeline.roster.quality import SUITE, Rule, SuiteFailedError, load_expectations, run_suite
from roster_pipeline.settings import QualityRule
from roster_pipeline_tests.roster.building import cleaned, entry, school, user
from roster_pipeline_tests.roster.test_quality import outcome, report_of

FAMILY = school(primary_contacts=True)
EVERYONE = [
    user("a", email="a@example.org", grades=["9"], agents=["g"]),
    user("b", email="nope", grades=["blue"], agents=["lost"], familyName=None),
    user("c"),
    user("d", "teacher", email="d@example.org", grades=["9"]),
    user("e", "ext:x"),
    user("f", roles=[], givenName=None, familyName=None, email="f@example.org"),
    user("g", "guardian", email="g@example.org", givenName="Gail", familyName="Ash"),
    user("h", status="odd", givenName=None, grades=["9"]),
    user("i", identifier="N-a", email="a@example.org", givenName="Givena", familyName="Familya"),
    user("j", dateLastModified="2026-01-01T00:00:00Z"),
    user("j", dateLastModified="2026-01-02T00:00:00Z", givenName="Newer"),
    user("k", roles=[entry(org="s2")]),
]


def columns_of(users: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Of each column what it says, by record; what a rule does not concern is left out."""
    told = cleaned(users, FAMILY)
    frame = quality.tested_frame(told.roster, told.rejected).set_index("sourced_id")
    assert list(frame.index) == sorted({record["sourcedId"] for record in users} - {"g", "k"})
    return {str(name): column.dropna().to_dict() for name, column in frame.items()}


def test_each_rule_looks_at_the_records_it_concerns_and_says_no_where_it_must() -> None:
    said = columns_of(EVERYONE)

    def no(name: str) -> list[str]:
        return [one for one, word in said[name].items() if word == "no"]

    def concerned(name: str) -> str:
        return "".join(said[name])

    assert concerned("given_name") == "abcdefij"
    assert concerned("family_name") == "acdefhij"
    assert (concerned("sent_once"), no("sent_once")) == ("abcdefhij", ["j"])
    assert said["number_of_human"] == {
        "a": "student N-a", "b": "student N-b", "c": "student N-c", "d": "staff N-d", "j": "student N-j",
    }  # fmt: skip
    assert (concerned("email_valid"), no("email_valid")) == ("abdi", ["b"])
    assert said["email_of_human"] == {"a": "a@example.org", "d": "d@example.org"}
    assert (concerned("role_known"), no("role_known")) == ("abcdehij", ["e"])
    assert (concerned("grade_known"), no("grade_known")) == ("ab", ["b"])
    assert (concerned("org_present"), no("org_present")) == ("abcdefhij", ["f"])
    assert (concerned("contact_resolves"), no("contact_resolves")) == ("ab", ["b"])
    assert (concerned("usable"), no("usable")) == ("abcdehij", ["e", "h"])


def test_one_person_is_a_roster_and_nobody_is_none() -> None:
    assert outcome(report_of([user("a")]), "has_people") == (True, 1, 0)
    assert report_of([user("a")]).results["passed"].all()
    assert outcome(report_of([]), "has_people") == (False, 0, 1)


def test_a_rule_counts_the_records_it_concerns() -> None:
    users = [user("a", email="a@example.org"), user("b"), user("c", email="nope"), user("d", givenName=None)]
    report = report_of(users)
    assert outcome(report, "email_valid") == (False, 2, 1)
    assert outcome(report, "given_name_present") == (False, 4, 1)
    assert outcome(report, "email_unique") == (True, 1, 0)


@pytest.mark.parametrize(
    ("rule", "users"),
    [
        ("given_name_present", [user("a"), user("b", givenName=None)]),
        ("email_unique", [*(user(n, email="x@example.org") for n in "ab"), user("c", email="c@example.org")]),
        ("org_present", [user("a"), user("b", roles=[])]),
    ],
)
def test_a_share_that_a_school_puts_up_with_holds_for_every_kind_of_rule(
    rule: str, users: list[dict[str, Any]]
) -> None:
    assert not outcome(report_of(users), rule)[0]
    assert outcome(report_of(users, **{rule: QualityRule(mostly=0.3)}), rule)[0]


def test_a_rule_that_is_off_leaves_the_others_and_all_off_leave_nothing() -> None:
    off = QualityRule(severity="off")
    rest = report_of([user("a")], given_name_present=off)
    assert list(rest.results["rule"]) == [rule.rule for rule in SUITE if rule.rule != "given_name_present"]
    nothing = report_of([user("a")], **{rule.rule: off for rule in SUITE})
    assert nothing.results.empty
    assert list(nothing.failing.columns) == ["rule", "sourced_id"]


def test_a_rule_that_cannot_be_evaluated_is_named_and_no_record_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "SUITE", (Rule("odd_rule", "emails", "in_set", "no_such_column"),))
    told = cleaned([user("a", givenName="Secret")])
    with pytest.raises(SuiteFailedError) as failed:
        run_suite(told.roster, told.rejected, school())
    assert str(failed.value) == "the quality rule odd_rule could not be evaluated; the roster was not tested"


def test_great_expectations_is_silent_and_calls_nobody(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GX_ANALYTICS_ENABLED", raising=False)
    load_expectations()
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
    report_of([user("a")])
    assert capfd.readouterr() == ("", "")


def test_failing_records_are_numbered_through() -> None:
    failing = report_of([user("a", email="nope"), user("b", email="nope", givenName=None)]).failing
    assert list(failing.index) == list(range(len(failing)))
    assert isinstance(failing, pd.DataFrame)
