"""Great Expectations over the cleaned roster: a few named checks, each of a few rules, counts only.

The suite is data (`SUITE`); a school tunes a rule's `mostly` and `severity`, or switches it off. Great Expectations
is imported when it is needed, for that takes seconds. Which records fail is worked out here, beside it, so that
nothing but counts is ever in a result that others may show or store.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from roster_pipeline.roster.directory_frames import flags_of
from roster_pipeline.roster.frames import Flags
from roster_pipeline.settings import QualityRule, Role, SchoolSettings

COUNTS_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0}
_TESTED_STANDINGS = ("member", "rejected", "unmapped", "no_org")


@dataclass(frozen=True)
class Rule:
    """One expectation. kind: not_null, unique or in_set, over one derived column of `tested_frame`."""

    rule: str
    check_name: str
    kind: Literal["not_null", "unique", "in_set", "some_rows"]
    column: str = ""
    mostly: float = 1.0
    severity: Literal["error", "warning"] = "warning"


SUITE = (
    Rule("has_people", "required_fields", "some_rows", severity="error"),
    Rule("given_name_present", "required_fields", "not_null", "given_name", 0.98),
    Rule("family_name_present", "required_fields", "not_null", "family_name", 0.98),
    Rule("sourced_id_unique", "unique_ids", "unique", "sourced_id", severity="error"),
    Rule("sourced_id_once", "unique_ids", "in_set", "sent_once", 0.99),
    Rule("number_unique", "unique_ids", "unique", "number_of_human", 0.99, "error"),
    Rule("email_valid", "emails", "in_set", "email_valid", 0.95),
    Rule("email_unique", "emails", "unique", "email_of_human", 0.95),
    Rule("role_known", "known_values", "in_set", "role_known", 0.95),
    Rule("grade_known", "known_values", "in_set", "grade_known", 0.95),
    Rule("org_present", "school_membership", "in_set", "org_present", 0.90),
    Rule("contact_resolves", "contact_references", "in_set", "contact_resolves", 0.95),
    Rule("record_usable", "usable_records", "in_set", "usable", 0.95, "error"),
)
_YES = "yes"
_NO = "no"


@dataclass(frozen=True)
class QualityReport:
    """results: rule, check_name, severity, passed, tested, failed. failing: rule, sourced_id."""

    results: pd.DataFrame
    failing: pd.DataFrame


class SuiteFailedError(RuntimeError):
    """Great Expectations could not evaluate a rule. Its own text may quote values, so only the rule is named."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"the quality rule {rule} could not be evaluated; the roster was not tested")


def run_suite(roster: pd.DataFrame, rejected: pd.DataFrame, settings: SchoolSettings) -> QualityReport:
    """Test a roster (`ROSTER_COLUMNS`) and its rejected records by the school's suite.

    A rule that no record concerns passes, but on an empty roster nothing passes.
    """
    rules = tuned(settings.quality)
    frame = tested_frame(roster, rejected)
    outcomes = _validated(frame, rules)
    lines, failing = [], []
    for rule, outcome in zip(rules, outcomes, strict=True):
        tested, failed, success = outcome
        passed = success and len(frame) > 0
        lines.append((rule.rule, rule.check_name, rule.severity, passed, tested, failed))
        ids = frame.loc[failing_rows(frame, rule), ["sourced_id"]]
        failing.append(ids.drop_duplicates().assign(rule=rule.rule)[["rule", "sourced_id"]])
    columns = ["rule", "check_name", "severity", "passed", "tested", "failed"]
    empty = pd.DataFrame({"rule": pd.Series([], dtype="str"), "sourced_id": pd.Series([], dtype="str")})
    ids = pd.concat([empty, *failing], ignore_index=True)
    return QualityReport(pd.DataFrame(lines, columns=columns), ids)


def tuned(wishes: dict[str, QualityRule]) -> tuple[Rule, ...]:
    """The suite as a school wants it."""
    rules = []
    for rule in SUITE:
        wish = wishes.get(rule.rule, QualityRule())
        if wish.severity == "off":
            continue
        rules.append(
            Rule(
                rule.rule,
                rule.check_name,
                rule.kind,
                rule.column,
                rule.mostly if wish.mostly is None else wish.mostly,
                wish.severity or rule.severity,
            )
        )
    return tuple(rules)


def tested_frame(roster: pd.DataFrame, rejected: pd.DataFrame) -> pd.DataFrame:
    """One row per record that is, or should have been, of this school; what a rule does not concern is missing.

    Values of people come in only where their uniqueness is tested; else a yes or a no.
    """
    some = roster[roster["standing"].isin(_TESTED_STANDINGS)].reset_index(drop=True)
    member = some["standing"] == "member"
    once = ~some["human"].duplicated() & member
    students = member & (some["role"] == Role.STUDENT)

    def hit(*rules: str) -> pd.Series[bool]:
        return some["sourced_id"].isin(set(rejected.loc[rejected["rule"].isin(rules), "sourced_id"].dropna()))

    number = some["number_kind"].str.cat(some["number"], sep=" ")
    return pd.DataFrame(
        {
            "sourced_id": some["sourced_id"],
            "given_name": _present(some, "given_name"),
            "family_name": _present(some, "family_name"),
            "sent_once": _said(~hit("duplicate_sourced_id")),
            "number_of_human": number.where(once),
            "email_valid": _said(~hit("invalid_email"), member & (some["email"].notna() | hit("invalid_email"))),
            "email_of_human": some["email"].where(once),
            "role_known": _said(some["standing"] != "unmapped", some["standing"] != "no_org"),
            "grade_known": _said(some["grade"].notna(), students & some["source_grade"].notna()),
            "org_present": _said(some["standing"] != "no_org"),
            "contact_resolves": _said(~hit("unresolved_agent"), students & some["contact_sourced_id"].notna()),
            "usable": _said(~some["standing"].isin(["rejected", "unmapped"]), some["standing"] != "no_org"),
        }
    )


def failing_rows(frame: pd.DataFrame, rule: Rule) -> Flags:
    """The rows of `tested_frame` that fail a rule."""
    if rule.kind == "some_rows":
        return np.zeros(len(frame), dtype=bool)
    column = frame[rule.column]
    if rule.kind == "not_null":
        return flags_of(column.isna())
    if rule.kind == "unique":
        return flags_of(column.notna() & column.duplicated(keep=False))
    return flags_of(column == _NO)


def _present(some: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Missing where a value is missing that should be there; a record of no school needs none."""
    words = _said(some[name].notna() | (some["standing"] == "no_org"))
    return words.where(words == _YES)


def _said(yes: pd.Series[bool], concerned: pd.Series[bool] | None = None) -> pd.Series[Any]:
    words = pd.Series(np.where(yes, _YES, _NO), index=yes.index, dtype="str")
    return words if concerned is None else words.where(concerned)


def _validated(frame: pd.DataFrame, rules: tuple[Rule, ...]) -> list[tuple[int, int, bool]]:
    """(tested, failed, success) of each rule, by Great Expectations: one batch, one run."""
    if not rules:
        return []
    expectations, batch = _batch(frame)
    suite = expectations.ExpectationSuite(
        "roster", expectations=[_expectation(expectations, place, rule) for place, rule in enumerate(rules)]
    )
    found: dict[int, tuple[int, int, bool]] = {}
    for result in batch.validate(suite, result_format=COUNTS_ONLY).results:
        place = int(result.expectation_config.meta["place"])
        if not result.result:
            raise SuiteFailedError(rules[place].rule)
        if rules[place].kind == "some_rows":
            rows = int(result.result["observed_value"])
            found[place] = (rows, 0 if result.success else 1, bool(result.success))
        else:
            tested = int(result.result["element_count"]) - int(result.result.get("missing_count", 0))
            found[place] = (tested, int(result.result["unexpected_count"]), bool(result.success))
    return [found[place] for place in range(len(rules))]


def load_expectations() -> Any:
    """Great Expectations itself. It takes seconds and only this step needs it, so it is not loaded with the module."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations as gx
    return gx


def _batch(frame: pd.DataFrame) -> tuple[Any, Any]:
    gx = load_expectations()
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("roster").add_dataframe_asset("records")
    return gx, asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})


def _expectation(gx: Any, place: int, rule: Rule) -> Any:
    meta = {"place": place}
    kinds = gx.expectations
    if rule.kind == "some_rows":
        return kinds.ExpectTableRowCountToBeBetween(min_value=1, meta=meta)
    if rule.kind == "not_null":
        return kinds.ExpectColumnValuesToNotBeNull(column=rule.column, mostly=rule.mostly, meta=meta)
    if rule.kind == "unique":
        return kinds.ExpectColumnValuesToBeUnique(column=rule.column, mostly=rule.mostly, meta=meta)
    return kinds.ExpectColumnValuesToBeInSet(column=rule.column, value_set=[_YES], mostly=rule.mostly, meta=meta)
