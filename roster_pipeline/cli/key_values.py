"""Options of the form NAME=VALUE: guards, windows, the role map and the quality rules of a school.

Pure functions from settings as plain data to settings as plain data; what the values mean is validated afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from roster_pipeline.cleaning.quality_suite import installed_suite
from roster_pipeline.settings.school import Guards

BACK = "default"
SEVERITIES = ("error", "warning", "off")
WINDOWS = "windows"


def guard_names() -> tuple[str, ...]:
    """The guards that have a single limit."""
    return tuple(name for name in Guards.model_fields if name != WINDOWS)


def rule_names() -> tuple[str, ...]:
    """The quality rules that a school can tune. Raises QualitySuiteError."""
    return tuple(rule.name for rule in installed_suite().rules)


def with_key_values(settings: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a school's settings with the chosen pairs put in. Raises BadParameter for a pair that is none."""
    return {
        **settings,
        "guards": _guards(settings.get("guards", {}), chosen),
        "role_map": _role_map(settings.get("role_map", {}), chosen),
        "quality": _quality(settings.get("quality", {}), chosen.get("quality") or ()),
    }


def _guards(guards: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(guards)
    for name, value in _split(chosen.get("guard") or (), "--guard"):
        if name not in guard_names():
            raise typer.BadParameter(f"there is no guard {name}; the guards are {', '.join(guard_names())}")
        if value == BACK:
            result.pop(name, None)
        else:
            result[name] = value
    windows = [] if chosen.get("no_windows") else list(result.get(WINDOWS, ()))
    for kind in ("blackout", "add_only"):
        windows += [_window(text, kind) for text in chosen.get(kind) or ()]
    return result | {WINDOWS: windows}


def _window(text: str, kind: str) -> dict[str, str]:
    first, colon, last = text.partition(":")
    if not colon:
        raise typer.BadParameter(f"--{kind.replace('_', '-')}: give two dates, for example 2027-06-20:2027-08-10")
    return {"first": first.strip(), "last": last.strip(), "kind": kind}


def _role_map(role_map: Mapping[str, str], chosen: Mapping[str, Any]) -> dict[str, str]:
    gone = set(chosen.get("unmap") or ())
    unknown = gone - set(role_map)
    if unknown:
        raise typer.BadParameter(f"--unmap: {', '.join(sorted(unknown))} is not mapped")
    kept = {role: group for role, group in role_map.items() if role not in gone}
    return kept | dict(_split(chosen.get("map") or (), "--map"))


def _quality(rules: Mapping[str, Mapping[str, Any]], texts: Sequence[str]) -> dict[str, Any]:
    result: dict[str, Any] = {name: dict(rule) for name, rule in rules.items()}
    for name, value in _split(texts, "--quality"):
        if name not in rule_names():
            raise typer.BadParameter(f"there is no quality rule {name}; the rules are {', '.join(rule_names())}")
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
