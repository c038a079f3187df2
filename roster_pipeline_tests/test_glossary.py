"""The glossary names what is in the code, and each word once."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "glossary.md").read_text(encoding="utf-8")
ROWS = [row for row in re.findall(r"^\| (.+?) \| .+ \|(.*)\|$", PAGE, flags=re.MULTILINE) if row[0] != "Word"]
NAMES = [name.strip().strip("`") for _, name in ROWS if name.strip()]


def test_every_word_has_one_line() -> None:
    words = [word for word, _ in ROWS]
    assert len(words) > 50
    assert len(words) == len(set(words))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_glossary_is_in_the_code(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(import_module(f"roster_pipeline.{module}"), attribute)
