"""The glossary names what is in the code, and each word once; the page of the documentation is made of it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from roster_pipeline.console.glossary import glossary, markdown

PAGE = Path(__file__).parents[1] / "docs" / "glossary.md"
WORDS = [word for words in glossary().values() for word in words]


def test_every_word_has_one_line() -> None:
    assert len(WORDS) > 50
    assert len({word.anchor for word in WORDS}) == len(WORDS)


def test_the_page_is_made_of_the_words() -> None:
    made = "python -m roster_pipeline.console.glossary > docs/glossary.md"
    assert PAGE.read_text(encoding="utf-8") == markdown(), made


@pytest.mark.parametrize("name", [word.code for word in WORDS if word.code])
def test_a_name_of_the_glossary_is_in_the_code(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(import_module(f"roster_pipeline.{module}"), attribute)
