"""Which held changes a person may approve, and the words for reasons, notes and incomplete snapshots."""

import re
from pathlib import Path
from typing import Any

import pytest

from roster_pipeline import vocabulary
from roster_pipeline.errors import WORDS, in_words

YES = {"overridable": True}
NO = {"overridable": False}


@pytest.mark.parametrize(
    ("findings", "allowed"),
    [([], False), ([YES], True), ([YES, YES], True), ([YES, NO], False), ([{}], False), ([YES, {}], False)],
)
def test_a_held_line_can_be_approved_if_it_has_findings_and_each_allows_it(
    findings: list[dict[str, Any]], allowed: bool
) -> None:
    assert vocabulary.approvable(findings) is allowed


@pytest.mark.parametrize(
    ("findings", "manager"),
    [([], False), ([YES], False), ([{"approver": ""}], False), ([YES, {"approver": vocabulary.MANAGER}], True)],
)
def test_one_finding_is_enough_to_leave_the_decision_to_the_manager(
    findings: list[dict[str, Any]], manager: bool
) -> None:
    assert vocabulary.needs_manager(findings) is manager


def test_findings_that_repeat_another_one_are_left_out_of_reports() -> None:
    findings = [
        {"guard": "shrunk_role", "repeats": "empty_role"},
        {"guard": "empty_role", "repeats": ""},
        {"guard": "x"},
    ]
    assert [finding["guard"] for finding in vocabulary.without_repeats(findings)] == ["empty_role", "x"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (vocabulary.counted(1, "page", "pages"), "1 page"),
        (vocabulary.counted(0, "page", "pages"), "0 pages"),
        (vocabulary.counted(1_200, "page", "pages"), "1,200 pages"),
        (vocabulary.people_of("student", 1), "1 student"),
        (vocabulary.people_of("staff", 1), "1 staff member"),
        (vocabulary.people_of("staff", 1_200), "1,200 staff"),
        (f"61 of {vocabulary.people_of('student', 121)}", "61 of 121 students"),
        (vocabulary.people_of("janitor", 2), "2 janitor"),
    ],
)
def test_one_is_one_and_many_are_counted_in_words(said: str, words: str) -> None:
    assert said == words


def test_the_notes_of_a_row_follow_its_reason() -> None:
    assert vocabulary.why_of("linked", "found_by_email records_joined") == " ".join(
        (vocabulary.REASONS["linked"], vocabulary.NOTES["found_by_email"], vocabulary.NOTES["records_joined"])
    )
    assert vocabulary.why_of("of_a_later_version", None) == "of_a_later_version"


@pytest.mark.parametrize(
    ("reason", "problem"),
    [
        ("the holidays, « à bientôt »", ""),
        (f" {'x' * vocabulary.LONGEST_REASON} ", ""),
        (" \n", vocabulary.NO_REASON),
        ("x" * (vocabulary.LONGEST_REASON + 1), "more than 500"),
        ("two\nlines", "one line"),
        ("rings\x07", "one line"),
        ("turns \u202eround", "one line"),
        ("hidden\u200b", "one line"),
    ],
)
def test_a_reason_is_one_line_of_at_most_500_visible_characters(reason: str, problem: str) -> None:
    assert (problem in vocabulary.reason_problem(reason)) if problem else vocabulary.reason_problem(reason) == ""


DOCS = Path(__file__).resolve().parents[1] / "docs"
TABLES = {"oneroster.md": "## When a snapshot is complete", "csv.md": "## Proof of completeness"}


def documented(page: str) -> set[str]:
    """The slugs in the table of problems of a page, without what follows their colon."""
    section = (DOCS / page).read_text("utf-8").split(TABLES[page])[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {slug.partition(":")[0] for row in rows for slug in re.findall(r"`([^`]+)`", row)}


@pytest.mark.parametrize("page", TABLES)
def test_every_documented_problem_has_words(page: str) -> None:
    assert documented(page) <= WORDS.keys()


def test_every_problem_with_words_is_documented() -> None:
    assert WORDS.keys() <= set.union(*map(documented, TABLES))


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("total-disagrees", "more records came than the SIS announced"),
        ("unread:teachers", "people could not be read (teachers)"),
        ("no-orgs", "nobody came with a school"),
        ("no-orgs:students", "all of one role came without a school (students)"),
        ("page seven never came", "page seven never came"),
    ],
)
def test_a_problem_in_words(problem: str, words: str) -> None:
    assert in_words(problem) == words
