"""The page for school IT staff names every reason, rule, guard and check."""

import ast
from collections.abc import Iterator
from pathlib import Path

from roster_pipeline.cleaning.quality_suite import CHECKS, installed_suite
from roster_pipeline.cleaning.rejections import RULES
from roster_pipeline.services.hold_explanations import ADVICE, GUARD_TITLES
from roster_pipeline.vocabulary import REASONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
PLANNING = ROOT / "roster_pipeline" / "planning"


def guards_of(module: ast.Module) -> Iterator[str]:
    """The guards whose findings a module makes: the first argument of `Finding` and of `_share`, a text or a constant.

    A first argument that is a parameter names no guard: its caller does.
    """
    constants: dict[str, str] = {}
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(name)], value=ast.Constant(str(value))):
                constants[name] = value
            case ast.Assign(targets=[ast.Tuple(names)], value=ast.Tuple(values)):
                constants |= {
                    name.id: value.value
                    for name, value in zip(names, values, strict=True)
                    if isinstance(name, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str)
                }
    for each in ast.walk(module):
        match each:
            case ast.Call(func=ast.Name("Finding" | "_share"), args=[ast.Constant(str(guard)), *_]):
                yield guard
            case ast.Call(func=ast.Name("Finding" | "_share"), args=[ast.Name(name), *_]) if name.isupper():
                yield constants[name]


GUARDS = {
    guard for path in sorted(PLANNING.glob("*.py")) for guard in guards_of(ast.parse(path.read_text(encoding="utf-8")))
}
RULES_OF_QUALITY = {rule.name: rule for rule in installed_suite().rules}


def test_the_page_of_rules_explains_every_word() -> None:
    words = {*REASONS, *RULES, *GUARDS, *CHECKS, *RULES_OF_QUALITY}
    assert [word for word in sorted(words) if f"`{word}`" not in PAGE] == []


def test_every_guard_has_a_title_and_advice_and_nothing_else_has() -> None:
    assert set(ADVICE) == set(GUARD_TITLES) == GUARDS
    assert len(set(GUARD_TITLES.values())) == len(GUARD_TITLES)


def test_the_page_of_rules_says_how_grave_a_quality_rule_is_and_which_share_must_hold() -> None:
    for name, rule in RULES_OF_QUALITY.items():
        share = "all" if rule.mostly == 1 else f"{rule.mostly:.0%}".replace("%", " %")
        assert f"| `{name}` | `{rule.check}` | {rule.description} | {share} | {rule.severity} |" in PAGE
