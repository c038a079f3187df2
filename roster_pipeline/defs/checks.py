"""The one place that builds asset-check specs and results.

The checks show verdicts to people; they gate nothing. The gate is the stored verdict, read again by the apply step.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from roster_pipeline.cleaning.quality_suite import CHECKS as QUALITY_CHECKS
from roster_pipeline.defs.asset_helpers import schools
from roster_pipeline.vocabulary import without_repeats

COMPLETENESS = "complete_snapshot"
ARCHIVAL = "archival_verdict"
PLAN = "plan_verdict"


class _Result(dg.AssetCheckResult):
    """The result of a check. Dagster looks for the materialization that it is about once a step, not for each check."""

    def _get_partitioned_target_materialization_data(self, step_context: Any, *about: Any) -> Any:
        found = vars(step_context).setdefault("roster_checked", {})
        if about not in found:
            found[about] = super()._get_partitioned_target_materialization_data(step_context, *about)
        return found[about]


def _spec(name: str, asset: str, description: str) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # checks per partition
        return dg.AssetCheckSpec(name, asset=asset, description=description, partitions_def=schools)


def completeness_specs() -> list[dg.AssetCheckSpec]:
    """On `raw_users`: was everything fetched that the SIS has?"""
    return [_spec(COMPLETENESS, "raw_users", "Every page came and the totals agree. Otherwise nobody is archived.")]


def quality_specs() -> list[dg.AssetCheckSpec]:
    """On `cleaned_roster`: one check per group of quality rules."""
    return [_spec(name, "cleaned_roster", text) for name, text in QUALITY_CHECKS.items()]


def verdict_specs() -> list[dg.AssetCheckSpec]:
    """On `roster_diff`: may people be archived, may the rest be changed?"""
    return [
        _spec(ARCHIVAL, "roster_diff", "May the planned archivals be applied, or do they wait for a person?"),
        _spec(PLAN, "roster_diff", "May the planned creations, updates and restores be applied?"),
    ]


def completeness_result(complete: bool, problems: Sequence[str], proof: Mapping[str, Any]) -> dg.AssetCheckResult:
    """The proof of completeness as a check: numbers only."""
    return _Result(
        check_name=COMPLETENESS,
        asset_key="raw_users",
        passed=complete,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"problems": list(problems), "proof": {k: v for k, v in proof.items() if k != "problems"}},
    )


def quality_results(rules: Iterable[Mapping[str, Any]]) -> list[dg.AssetCheckResult]:
    """One result per check; its rules as counts, by role where records fail.

    rules: mappings with rule, role, check_name, severity, passed, tested, failed.
    """
    grouped: dict[str, list[Mapping[str, Any]]] = {name: [] for name in QUALITY_CHECKS}
    for rule in rules:
        grouped[str(rule["check_name"])].append(rule)
    return [
        _Result(
            check_name=name,
            asset_key="cleaned_roster",
            passed=all(bool(rule["passed"]) for rule in members),
            severity=_severity(members),
            metadata={" ".join(filter(None, (rule["rule"], rule["role"]))): _counted(rule) for rule in members},
        )
        for name, members in grouped.items()
    ]


def _counted(rule: Mapping[str, Any]) -> str:
    if rule["tested"] is None:
        return "could not be evaluated"
    if not rule["tested"]:
        return "there was no record to test"
    return f"{rule['failed']} of {rule['tested']} {'fails' if rule['failed'] == 1 else 'fail'}"


def _severity(rules: Iterable[Mapping[str, Any]]) -> dg.AssetCheckSeverity:
    failed = [rule for rule in rules if not rule["passed"]]
    grave = any(rule["severity"] == "error" for rule in failed)
    return dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN


def verdict_results(verdict: Iterable[Mapping[str, Any]]) -> list[dg.AssetCheckResult]:
    """The stored verdict as two checks. verdict: mappings with role, action, verdict, rows, findings."""
    lines = list(verdict)
    return [
        _verdict_result(ARCHIVAL, [line for line in lines if line["action"] == "archive"]),
        _verdict_result(PLAN, [line for line in lines if line["action"] != "archive"]),
    ]


def _verdict_result(name: str, lines: Sequence[Mapping[str, Any]]) -> dg.AssetCheckResult:
    held = [line for line in lines if line["verdict"] == "hold" and line["rows"]]
    return _Result(
        check_name=name,
        asset_key="roster_diff",
        passed=not held,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            f"{line['role']} {line['action']}": dg.MetadataValue.text(
                f"{line['rows']} held: " + " ".join(finding["message"] for finding in without_repeats(line["findings"]))
            )
            for line in held
        },
    )
