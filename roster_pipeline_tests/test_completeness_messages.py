"""Why a snapshot is not complete is told in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from roster_pipeline.errors import WORDS, in_words

DOCS = Path(__file__).resolve().parents[1] / "docs"
TABLES = {
    "oneroster.md": "## When a snapshot is complete",
    "csv.md": "## Proof of completeness",
}


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
        ("total-not-reached", "fewer records came than the SIS announced"),
        ("unread:teachers", "people could not be read (teachers)"),
        ("no-orgs", "no person came with a school"),
        ("no-orgs:students", "all of one role came without a school (students)"),
        ("page seven never came", "page seven never came"),
    ],
)
def test_a_problem_in_words(problem: str, words: str) -> None:
    assert in_words(problem) == words
