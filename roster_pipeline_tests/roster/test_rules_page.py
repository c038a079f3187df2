"""The page for school IT staff names every reason, rule, guard and check there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from roster_pipeline.roster import guards
from roster_pipeline.roster.quality import SUITE
from roster_pipeline.roster.quality_checks import CHECKS
from roster_pipeline.roster.reasons import REASONS
from roster_pipeline.roster.rejections import RULES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
GUARDS = set(re.findall(r'(?:Finding|_share)\(\s*"(\w+)"', Path(guards.__file__).read_text(encoding="utf-8")))


@pytest.mark.parametrize("word", sorted({*REASONS, *RULES, *GUARDS, *CHECKS, *(rule.rule for rule in SUITE)}))
def test_the_page_of_rules_explains(word: str) -> None:
    assert f"`{word}`" in PAGE
