"""Every command and every option is documented, has a help line, and the help loads nothing slow.

JSON is safe to print.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer.main

from roster_pipeline.cleaning.quality_suite import installed_suite
from roster_pipeline.cli import app, output
from roster_pipeline.settings.fields import GUARDS

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
OF_EVERY_COMMAND = {"--help", "-h"}
SLOW = ("dagster", "pandas", "great_expectations", "sqlalchemy", "pydantic", "httpx")
PRINT_DATA = {"init", "test-connection", "sync", "history", "people", "audit"}
PRINTING_WORDS = ("list", "show")


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below `roster`, with the words that call it."""
    command = command or typer.main.get_command(app)
    below = getattr(command, "commands", {})
    if path:
        yield path, command
    for name, child in below.items():
        yield from commands(child, (*path, name))


COMMANDS = list(commands())
LEAVES = [(path, command) for path, command in COMMANDS if not getattr(command, "commands", {})]


def section_of(path: tuple[str, ...]) -> str:
    """The section of the page that speaks of a command. A heading may name several: `roster hold list`, `show`."""
    for part in PAGE.split("\n### ")[1:]:
        first, *more = part.splitlines()[0].split("`")[1::2]
        names = {first, *(f"{first.rsplit(maxsplit=1)[0]} {name.removeprefix('roster ')}" for name in more), *more}
        if " ".join(("roster", *path)) in names:
            return part
    raise AssertionError(f"docs/cli.md has no section on roster {' '.join(path)}")


def test_every_command_and_option_is_documented() -> None:
    for path, command in LEAVES:
        section = section_of(path)
        flags = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts) if flag.startswith("-")}
        missing = {flag for flag in flags - OF_EVERY_COMMAND if f"{flag}`" not in section and f"{flag} " not in section}
        missing -= {flag for flag in missing if flag in ("--who", "--json") and f"`{flag}`" in PAGE}
        assert not missing, f"docs/cli.md says nothing of {', '.join(sorted(missing))} of roster {' '.join(path)}"


def test_every_command_of_the_page_exists() -> None:
    known = {" ".join(("roster", *path)) for path, _ in COMMANDS}
    for title in PAGE.split("\n### ")[1:]:
        called = title.split("`")[1]
        assert called in known, f"{called} is documented, but there is no such command"


def test_every_guard_and_quality_rule_is_documented() -> None:
    names = [*(guard.name for guard in GUARDS), *(rule.name for rule in installed_suite().rules)]
    assert [name for name in names if f"| `{name}` |" not in PAGE] == []


def test_every_command_has_a_help_line_and_every_option_too() -> None:
    for path, command in COMMANDS:
        assert command.help, path
        assert len(command.help.splitlines()[0]) < 120, path
        for one in command.params:
            if one.opts[0].startswith("--"):
                assert one.help, f"{one.opts[0]} of roster {' '.join(path)} has no help"


def test_every_command_that_prints_data_prints_json_too() -> None:
    for path, command in LEAVES:
        if path[0] in PRINT_DATA or path[-1] in PRINTING_WORDS:
            assert any("--json" in one.opts for one in command.params), path


def test_help_imports_nothing_slow() -> None:
    code = f"import sys; import roster_pipeline.cli; print([name for name in {SLOW!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_json_for_programs_steers_no_terminal_and_keeps_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    name = "Zoë \x1b[2J \x9b31m \x7f \u202e \u2028 end"
    output.print_json({"name": name})
    printed = capsys.readouterr().out
    assert orjson.loads(printed) == {"name": name}
    assert output.safe(printed) == printed
