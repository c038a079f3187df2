"""The settings as options: those of `roster connection` and `roster school`, made from the table of settings.

An option that is not given changes nothing. An empty text removes the value, if the setting may be empty; for a list it
removes all entries. An option for a list may be repeated; it replaces the list. Guards, windows, the role map and the
quality rules are pairs, NAME=VALUE. Nothing is validated here: the models do that with the result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
import typer

from roster_pipeline.cleaning import quality_suite
from roster_pipeline.directory import tenants
from roster_pipeline.settings import school
from roster_pipeline.settings.fields import GUARDS, PAIRS, SCHOOL, Setting

Command = TypeVar("Command", bound=Callable[..., Any])
BACK = "default"
SEVERITIES = ("error", "warning", "off")
WINDOWS = "windows"


def with_options(options: Sequence[Setting]) -> Callable[[Command], Command]:
    """Give a command that takes `**chosen` these options; those not given arrive as None."""

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        fixed = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        for option in options:
            words = option.default_words
            usual = f" Default: {words}." if words not in ("", "required") else ""
            text = option.help if option in PAIRS else option.described + usual
            choices = "|".join(value for value, _ in option.choices)
            metavar = f"[{choices}]" if choices else option.metavar or None
            default = typer.Option(None, option.flags, help=text, metavar=metavar, show_default=False)
            keyword = inspect.Parameter.KEYWORD_ONLY
            fixed.append(inspect.Parameter(option.parameter, keyword, default=default, annotation=option.kind | None))
        command.__signature__ = signature.replace(parameters=fixed)  # type: ignore[attr-defined]
        return command

    return decorate


def merged(settings: Mapping[str, Any], options: Sequence[Setting], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `settings` (as plain data) with the chosen options put in their places. Nothing is validated here."""
    result: dict[str, Any] = {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in settings.items()
    }
    for option in options:
        value = chosen.get(option.parameter)
        if value is None or value == []:
            continue
        place, (*outer, name) = result, option.name.split(".")
        for step in outer:
            place = place.setdefault(step, {})
        place[name] = None if value == "" else [] if value == [""] else value
    return result


SCHOOL_OPTIONS = (*(setting for setting in SCHOOL if setting.flags), *PAIRS)
OF_ONE_SCHOOL = ("school_id", "report_to", "automatic")
DEFAULT_OPTIONS = tuple(option for option in SCHOOL_OPTIONS if option.parameter not in OF_ONE_SCHOOL)
"""Options of the settings with which new schools of a district begin."""


def school_settings(plain: Mapping[str, Any], chosen: Mapping[str, Any]) -> school.SchoolSettings:
    """A school's settings, as plain data, with the chosen options. Raises BadParameter, ValidationError."""
    settings = merged(plain, SCHOOL, chosen)
    settings["guards"] = _guards(settings.get("guards", {}), chosen)
    settings["role_map"] = _role_map(settings.get("role_map", {}), chosen)
    settings["quality"] = _quality(settings.get("quality", {}), chosen.get("quality") or ())
    return school.SchoolSettings.model_validate(settings)


def new_school(conn: sa.Connection, connection: str) -> dict[str, Any]:
    """The settings with which a new school of a connection begins, as plain data."""
    try:
        owner = tenants.get_connection(conn, connection).district_key
    except tenants.UnknownKey:  # reported when the school is added
        return {}
    defaults = tenants.get_district(conn, owner).settings.school_defaults
    return defaults.model_dump(mode="json", exclude={"school_id"}) if defaults else {}


def _guards(guards: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    result, names = dict(guards), [guard.name for guard in GUARDS]
    for name, value in _split(chosen.get("guard") or (), "--guard"):
        if name not in names:
            raise typer.BadParameter(f"there is no guard {name}; the guards are {', '.join(names)}")
        if value == BACK:
            result.pop(name, None)
        else:
            result[name] = value
    windows = [] if chosen.get("no_windows") else list(result.get(WINDOWS, ()))
    for kind, option in (("blackout", "--blackout"), ("add_only", "--add-only")):
        for text in chosen.get(kind) or ():
            first, colon, last = text.partition(":")
            if not colon:
                raise typer.BadParameter(f"{option}: give two dates, for example 2027-06-20:2027-08-10")
            windows.append({"first": first.strip(), "last": last.strip(), "kind": kind})
    return result | {WINDOWS: windows}


def _role_map(role_map: Mapping[str, str], chosen: Mapping[str, Any]) -> dict[str, str]:
    gone = set(chosen.get("unmap") or ())
    unknown = gone - set(role_map)
    if unknown:
        raise typer.BadParameter(f"--unmap: {', '.join(sorted(unknown))} is not mapped")
    kept = {role: group for role, group in role_map.items() if role not in gone}
    return kept | dict(_split(chosen.get("map") or (), "--map"))


def _quality(rules: Mapping[str, Mapping[str, Any]], texts: Sequence[str]) -> dict[str, Any]:
    result: dict[str, Any] = {name: dict(rule) for name, rule in rules.items()}
    names = [rule.name for rule in quality_suite.installed_suite().rules] if texts else []
    for name, value in _split(texts, "--quality"):
        if name not in names:
            raise typer.BadParameter(f"there is no quality rule {name}; the rules are {', '.join(names)}")
        if value == BACK:
            result.pop(name, None)
        elif value in SEVERITIES:
            result.setdefault(name, {})["severity"] = value
        else:
            result.setdefault(name, {})["mostly"] = value
    return result


def _split(texts: Sequence[str], option: str) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name.strip() or not value.strip():
            raise typer.BadParameter(f"{option}: write NAME=VALUE, not {text}")
        pairs.append((name.strip(), value.strip()))
    return pairs


def as_data(row: tenants.SchoolRow) -> dict[str, Any]:
    return {
        "key": row.key, "name": row.name, "district": row.district_key, "connection": row.connection.key,
        "settings": row.settings.model_dump(mode="json"), "test": row.test,
    }  # fmt: skip


def switches(role: school.RoleSettings) -> str:
    """The switches of a role in words: `rostered, auto update, archive`."""
    if not role.rostered:
        return "not rostered"
    return ", ".join(["rostered"] + ["auto update"] * role.auto_update + ["archive"] * role.archive)
