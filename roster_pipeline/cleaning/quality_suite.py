"""The quality suite as data: the rules of `quality_suite.json`, those of the installation's own file, and how a school
tunes them.

Nothing here loads pandas or Great Expectations, so settings can be checked and shown quickly. The files have the form
of a Great Expectations suite. Our own keys are in each expectation's `meta`: `rule` (its name), `check` (a name of
`CHECKS`), `severity` (error or warning) and `roles` (the roles a failure concerns, if not all).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from roster_pipeline.settings.installation import Syncs
from roster_pipeline.settings.school import QualityRule
from roster_pipeline.vocabulary import Role

FURTHER = "further_rules"
CHECKS: dict[str, str] = {
    "required_fields": "There are people, and each has names and a role.",
    "unique_ids": "A sourcedId is one record, a number is one person.",
    "emails": "E-mail addresses are valid, and nobody shares one.",
    "known_values": "Roles and grades are ones we know.",
    "school_membership": "Every record says which school it belongs to.",
    "contact_references": "The contacts that students name were delivered.",
    "usable_records": "Few records had to be rejected.",
    FURTHER: "The rules that this installation added.",
}
"""The checks, as an owner sees them. A rule without a check belongs to the last one."""

EXTRA_SUITE = "ROSTER_QUALITY_SUITE"
"""Environment variable: the path of a suite file whose expectations are added to ours. If one of them has the name of
one of ours, it replaces ours."""
SHIPPED = Path(__file__).with_name("quality_suite.json")
_SEVERITIES = {"error": "error", "warning": "warning", "critical": "error", "info": "warning"}
"""Our words, and the words of Great Expectations' own `severity`, which counts if `meta` says nothing."""


class QualitySuiteError(ValueError):
    """A suite file cannot be used."""

    def __init__(self, path: Path, why: str) -> None:
        self.message = f"The quality suite {path} cannot be used: {why}."
        self.remedy = f"Correct the file, or unset {EXTRA_SUITE}."
        super().__init__(f"{self.message} {self.remedy}")


@dataclass(frozen=True)
class Rule:
    """One expectation; type and kwargs as Great Expectations has them. roles: the roles that a failure concerns; empty:
    all."""

    name: str
    check: str
    severity: Literal["error", "warning"]
    description: str
    type: str
    kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    roles: tuple[str, ...] = ()

    @property
    def mostly(self) -> float:
        """The share of records that has to pass, from 0 to 1."""
        return float(self.kwargs.get("mostly", 1.0))


@dataclass(frozen=True, eq=False)
class Suite:
    """The rules of this installation, in the order of the files."""

    rules: tuple[Rule, ...]

    def tuned(self, wishes: Mapping[str, QualityRule]) -> tuple[Rule, ...]:
        """The rules as a school tuned them, without those it switched off."""
        wanted = []
        for rule in self.rules:
            wish = wishes.get(rule.name, QualityRule())
            if wish.severity == "off":
                continue
            kwargs = rule.kwargs if wish.mostly is None else {**rule.kwargs, "mostly": wish.mostly}
            wanted.append(replace(rule, kwargs=kwargs, severity=wish.severity or rule.severity))
        return tuple(wanted)


def installed_suite() -> Suite:
    """The suite of this installation: our rules, and the rules of `ROSTER_QUALITY_SUITE`. Raises QualitySuiteError.

    A changed file is read again, so a worker that runs for weeks needs no restart.
    """
    extra = Syncs.read().quality_suite
    if not extra:
        return _suite(None, 0)
    path = Path(extra)
    try:
        return _suite(path, path.stat().st_mtime_ns)
    except OSError as problem:
        raise QualitySuiteError(path, problem.strerror or "it cannot be read") from None


@lru_cache(maxsize=4)
def _suite(extra: Path | None, _modified: int) -> Suite:
    rules = {rule.name: rule for rule in read_suite(SHIPPED)}
    if extra is not None:
        rules |= {rule.name: rule for rule in read_suite(extra)}
    return Suite(tuple(rules.values()))


def read_suite(path: Path) -> list[Rule]:
    """The rules of one suite file. Raises QualitySuiteError."""
    try:
        expectations = json.loads(path.read_text(encoding="utf-8"))["expectations"]
    except OSError as problem:
        raise QualitySuiteError(path, problem.strerror or "it cannot be read") from None
    except (ValueError, KeyError, TypeError):
        raise QualitySuiteError(path, "it is not JSON with a list of expectations") from None
    if not isinstance(expectations, list):
        raise QualitySuiteError(path, "its expectations are not a list")
    rules: list[Rule] = []
    for place, expectation in enumerate(expectations, start=1):
        rule = _rule(path, place, expectation)
        if any(rule.name == other.name for other in rules):
            raise QualitySuiteError(path, f"it has two rules of the name {rule.name}; give each a rule in its meta")
        rules.append(rule)
    return rules


def _rule(path: Path, place: int, expectation: Any) -> Rule:
    kind = expectation.get("type") if isinstance(expectation, dict) else None
    if not isinstance(kind, str):
        raise QualitySuiteError(path, f"expectation {place} has no type")
    kwargs, meta = expectation.get("kwargs") or {}, expectation.get("meta") or {}
    if not isinstance(kwargs, dict) or not isinstance(meta, dict):
        raise QualitySuiteError(path, f"kwargs or meta of expectation {place} are not a mapping")
    name = str(meta.get("rule") or "_".join([kind.removeprefix("expect_"), str(kwargs.get("column", ""))]).strip("_"))
    severity = _SEVERITIES.get(str(meta.get("severity") or expectation.get("severity") or "error"))
    if severity is None:
        raise QualitySuiteError(path, f"the severity of {name} is neither error nor warning")
    mostly = kwargs.get("mostly", 1.0)
    if isinstance(mostly, bool) or not isinstance(mostly, int | float) or not 0 <= mostly <= 1:
        raise QualitySuiteError(path, f"mostly of {name} is not a number from 0 to 1")
    roles = meta.get("roles") or []
    if not isinstance(roles, list) or set(roles) - {role.value for role in Role}:
        raise QualitySuiteError(path, f"the roles of {name} are not among {', '.join(role.value for role in Role)}")
    check = str(meta.get("check"))
    return Rule(
        name=name,
        check=check if check in CHECKS else FURTHER,
        severity=cast("Literal['error', 'warning']", severity),
        description=str(expectation.get("description") or name.replace("_", " ").capitalize()),
        type=kind,
        kwargs=kwargs,
        roles=tuple(roles),
    )
