"""Readers of pages see no commands: every remedy of the package names pages instead."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import roster_pipeline
from roster_pipeline.errors import with_keys
from roster_pipeline.notifications.blocks import in_console

COMMAND_LINE = ("cli", "demo.py", "demo_sis.py", "simulator")
PLACEHOLDER = re.compile(r"roster [a-z -]*(\b(SCHOOL|CONNECTION|DISTRICT)\b|<[a-z]+>)")
FILLED = {"oneroster/connection_test_items.py", "sync/connection_checks.py"}
"""Items of Test Your Information: `item_as_data` puts the keys in place of the placeholders."""
COMMAND = re.compile(r"[:(`] ?`?roster [a-z][a-z-]*\b")


@pytest.fixture(scope="module")
def texts() -> list[tuple[str, str]]:
    return list(_texts())


def _texts() -> Iterator[tuple[str, str]]:
    """Module and sentence of the package, f-strings with their values as `oak`; neither docstrings nor commands."""
    package = Path(roster_pipeline.__file__).parent
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package).as_posix()
        if path.relative_to(package).parts[0] in COMMAND_LINE:
            continue
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        documented = (ast.Module, ast.FunctionDef, ast.ClassDef)
        apart = {id(value) for node in nodes if isinstance(node, ast.JoinedStr) for value in node.values}
        apart |= {
            id(node.body[0].value)
            for node in nodes
            if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
        }
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                yield (
                    module,
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "oak" for part in node.values),
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
                yield module, node.value


def test_every_remedy_of_the_package_has_words_without_a_command(texts: list[tuple[str, str]]) -> None:
    plain = (text.replace("roster oak", "roster school") for _, text in texts)  # `roster {kind} list`
    told = [text for text in plain if COMMAND.search(text) and "`roster init` and" not in text and "\n" not in text]
    assert len(told) > 20, "the search finds the remedies"
    assert [text for text in told if COMMAND.search(in_console(text))] == []


def test_commands_of_remedies_name_keys(texts: list[tuple[str, str]]) -> None:
    found = [(module, text) for module, text in texts if PLACEHOLDER.search(text)]
    assert {module for module, _ in found} == FILLED
    assert all(not PLACEHOLDER.search(with_keys(text, school="oak", connection="sis")) for _, text in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Then run: roster test-connection oak", "Then press Test Your Information."),
        ("Then run: roster test-connection oak\nDone", "Then press Test Your Information.\nDone"),
        ("Run: roster sync oak, then approve that", "Press Sync now, then approve that"),
        ("Test it: roster test-connection oak", "Test it: press Test Your Information."),
        ("See what is held: roster hold list oak", "See what is held, on the page Holds."),
        ("Then run: roster hold list oak", "Then open the page Holds."),
        ("See: roster person show 42", "Open the page of the person."),
        ("Search for the person: roster person find Ada", "Search for the person, on the page People."),
        ("Two are held (roster hold list oak)", "Two are held (on the page Holds)"),
        ("Run: roster init", "An operator has the command."),
        ("Unlink it first: roster person unlink 42 u.1003", "Unlink it first, on the page of the person."),
        ("A key (make one with: roster secrets new-key).", "A key (make one with: a command that an operator has)."),
        ("The roster sync failed in 7 nights", "The roster sync failed in 7 nights"),
        ("oak: the roster was tested again", "oak: the roster was tested again"),
    ],
)
def test_a_command_becomes_a_page_or_a_button(text: str, said: str) -> None:
    assert in_console(text) == said


@pytest.mark.parametrize(
    "text", ["<script>: roster</script>", "Zyxpoison'\"%s {0} {{1}}", "x: roster " + "a" * 10_000, "`" * 50]
)
def test_odd_texts_come_through_as_they_are(text: str) -> None:
    assert in_console(text) == text
