"""The page for school IT staff names every reason, rule, guard and check there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from roster_pipeline.cleaning.quality_suite import CHECKS, installed_suite
from roster_pipeline.cleaning.rejections import RULES
from roster_pipeline.planning import good_nights, guards, moved_keys, quality_gate, role_guards, school_guards
from roster_pipeline.planning.reasons import REASONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
MODULES = (good_nights, guards, quality_gate, role_guards, school_guards)
JUDGING = "".join(Path(module.__file__).read_text(encoding="utf-8") for module in MODULES)
GUARDS = {moved_keys.GUARD, *re.findall(r'(?:Finding|_share)\(\s*"(\w+)"', JUDGING)}
RULES_OF_QUALITY = {rule.name: rule for rule in installed_suite().rules}


@pytest.mark.parametrize("word", sorted({*REASONS, *RULES, *GUARDS, *CHECKS, *RULES_OF_QUALITY}))
def test_the_page_of_rules_explains(word: str) -> None:
    assert f"`{word}`" in PAGE


@pytest.mark.parametrize("name", RULES_OF_QUALITY)
def test_the_page_of_rules_says_how_grave_a_quality_rule_is_and_which_share_must_hold(name: str) -> None:
    rule = RULES_OF_QUALITY[name]
    share = "all" if rule.mostly == 1 else f"{rule.mostly:.0%}".replace("%", " %")
    assert f"| `{name}` | `{rule.check}` | {rule.description} | {share} | {rule.severity} |" in PAGE
