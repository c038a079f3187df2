"""The name and the meaning of each setting, from `fields.toml`: one table for the form, the options, the audit and
`docs/cli.md`.

The models (`school.py`) hold types, bounds and defaults. A test compares the two, so neither has a setting that the
other lacks. This module has only plain data, so that the help of a command does not load the models.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

Choices = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Setting:
    """One setting.

    name: its place in the model, as in `students.archive`. title: its label. help: one sentence, or a few, without the
    default. default: the default of the model. option: its flags for the `roster` command, if its name does not say
    them; no_option: it has none. choices: the value and the words of each choice. shown_default: how the default is
    written if its value alone would not be clear. metavar: the form of a value. advanced: whether the form shows it
    behind a click.
    """

    name: str
    title: str
    help: str
    default: Any = None
    option: str = ""
    no_option: bool = False
    choices: Choices = ()
    shown_default: str = ""
    metavar: str = ""
    advanced: bool = False

    @property
    def flags(self) -> str:
        """Its flags for the `roster` command: `--page-size`, `--delta/--no-delta`; empty if it has none."""
        name = re.sub("[._]", "-", self.name)
        derived = f"--{name}/--no-{name}" if isinstance(self.default, bool) else f"--{name}"
        return "" if self.no_option else self.option or derived

    @property
    def parameter(self) -> str:
        """The name of its flag in Python."""
        return self.flags.partition("/")[0].removeprefix("--").replace("-", "_")

    @property
    def kind(self) -> Any:
        """The type of its option."""
        return list[str] if self.several else str if self.default is None else type(self.default)

    @property
    def default_words(self) -> str:
        """The default as help and documentation write it; empty if there is none."""
        if self.shown_default or isinstance(self.default, bool):
            return self.shown_default or ("yes" if self.default else "no")
        return "" if self.default in (None, "", ()) else str(self.default)

    @property
    def hint(self) -> str:
        """The help with what an empty field means, for a form."""
        empty = self.default is None and self.shown_default not in ("", "required")
        return f"{self.help} Empty: {self.shown_default}." if empty else self.help

    @property
    def several(self) -> bool:
        return isinstance(self.default, tuple)

    @property
    def described(self) -> str:
        """The help with the values that can be chosen, and how an option for a list is used."""
        texts = [self.help]
        if self.choices:
            texts.append("; ".join(f"{value} = {words}" for value, words in self.choices) + ".")
        if self.several and self.metavar != "CONNECTIONS":
            texts.append('Repeat for more; replaces the list, "" empties it.')
        return " ".join(texts)


@dataclass(frozen=True)
class Section:
    """One page of a school's settings. key: the key in its address. names: its settings, without nested settings."""

    key: str
    title: str
    help: str
    names: frozenset[str]


_TABLES: Mapping[str, list[dict[str, Any]]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def _setting(row: Mapping[str, Any]) -> Setting:
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return Setting(**plain | {"choices": tuple((value, words) for value, words in row.get("choices", ()))})


def _settings(table: str) -> tuple[Setting, ...]:
    return tuple(map(_setting, _TABLES[table]))


def _of_role(setting: Setting, **words: str) -> Setting:
    texts = {name: getattr(setting, name).format(**words) for name in ("name", "title", "help", "option")}
    return replace(setting, **texts)


ROLES = {"students": "Students", "teachers": "Teachers", "staff": "Staff", "admins": "Admins"}
"""The name of each role group in the settings, and its title."""
_PEOPLE = {"staff": "staff (aides, proctors, counselors)", "admins": "administrators"}
WINDOW_KINDS: Choices = (("blackout", "Nothing is changed"), ("add_only", "People are only added"))
SEVERITIES: Choices = (("", "As usual"), ("error", "Error"), ("warning", "Warning"), ("off", "Off"))
DISTRICT, CONNECTION, GUARDS = _settings("district"), _settings("connection"), _settings("guard")
CLIENT_SECRET, NAME = _settings("more")
PAIRS = _settings("pair")
"""Options of the `roster` command that change a part of a setting."""
_SCHOOL_ID, *_OTHERS = _settings("school")
SCHOOL = (
    _SCHOOL_ID,
    *(
        _of_role(setting, name=name, title=title, people=_PEOPLE.get(name, name))
        for name, title in ROLES.items()
        for setting in _settings("role")
    ),
    *_OTHERS,
)
_OF_CONNECTION = {"connection": frozenset(setting.name for setting in CONNECTION)}
SECTIONS = tuple(
    Section(row["key"], row["title"], row["help"], _OF_CONNECTION.get(row["key"], frozenset()).union(row["names"]))
    for row in _TABLES["section"]
)
"""The pages of a school's settings, in the order in which a new school needs them."""
TITLES = {setting.name: setting.title for setting in (*DISTRICT, *CONNECTION, *SCHOOL, NAME, CLIENT_SECRET)} | {
    f"guards.{guard.name}": guard.title for guard in GUARDS
}


def title_of(name: str) -> str:
    """The title of a setting that an audit entry names, or of the setting that contains it."""
    return TITLES.get(name) or TITLES.get(name.partition(".")[0], name)
