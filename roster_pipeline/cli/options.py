"""Settings as options: one table of options serves `add` and `set` alike, and a test holds it against the settings.

An option that is not given changes nothing. An empty text takes a value away where a setting may be empty, and all
entries of a list. An option for a list may be repeated; it replaces the list.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import typer

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class SettingOption:
    """One option and the setting it fills. `path` is the setting's place, for example ("students", "archive")."""

    flag: str
    path: tuple[str, ...]
    kind: Any
    help: str
    metavar: str | None = None

    @property
    def name(self) -> str:
        """The parameter's name in Python."""
        return self.flag.split("/")[0].removeprefix("--").replace("-", "_")


def with_options(options: Sequence[SettingOption]) -> Callable[[Command], Command]:
    """Give a command that takes `**chosen` these options; those not given arrive as None."""

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        fixed = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        added = [_parameter(option) for option in options]
        command.__signature__ = signature.replace(parameters=[*fixed, *added])  # type: ignore[attr-defined]
        return command

    return decorate


def _parameter(option: SettingOption) -> inspect.Parameter:
    default = typer.Option(None, option.flag, help=option.help, metavar=option.metavar, show_default=False)
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option.kind | None
    )


def merged(settings: Mapping[str, Any], options: Sequence[SettingOption], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `settings` (as plain data) with the chosen options put in their places. Nothing is validated here."""
    result: dict[str, Any] = {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in settings.items()
    }
    for option in options:
        value = chosen.get(option.name)
        if value is None or value == [] or not option.path:
            continue
        place = result
        for step in option.path[:-1]:
            place = place.setdefault(step, {})
        place[option.path[-1]] = None if value == "" else [] if value == [""] else value
    return result
