"""The quality of a cleaned roster: Great Expectations tests it by the suite; the results are counts by role.

Only this module judges the result of a rule. The Dagster check, the hold, the mail and the pages show its rows.
"""

import re
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from roster_pipeline.cleaning.quality_suite import FURTHER, Rule, Suite
from roster_pipeline.frames import Ints, column_of, filled, positions, strings, taken, truth
from roster_pipeline.named_frames import framed, part
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.vocabulary import Role

TOO_FEW = 2
"""One or two people are never a share: a third administrator must not need an approval."""
TESTED_STATUSES = ("member", "rejected", "unmapped", "no_org")
"""Records that belong to this school, or should."""
RESULT_COLUMNS = ("rule", "role", "check_name", "severity", "passed", "tested", "failed")
_OF_TABLE = ("expect_table_", "expect_column_to_exist")
"""Expectations that look at all columns of a frame, or at their places."""
_ALWAYS = frozenset({"sourced_id", "record_status", "role", "email"})
_ROLES = tuple(role.value for role in Role)
_NO_ROLE = len(_ROLES)
_Counted = tuple[str, bool, int | None, int | None]
"""role, passed, tested, failed."""
_CRASHED: _Counted = ("", False, None, None)


def run_suite(suite: Suite, roster: pd.DataFrame, rejected: pd.DataFrame, settings: SchoolSettings) -> pd.DataFrame:
    """Test a roster (`ROSTER_COLUMNS`) and its rejected records by the suite as the school tuned it.

    Returns `RESULT_COLUMNS`: a row per rule and role. If no record fails, and for records whose role is not known, the
    role is empty, which means the whole school. tested, failed: the number of records. They are missing if the rule
    could not be evaluated. For a rule about the roster as a whole, they are all records or none. On an empty roster, no
    rule passes.
    """
    from roster_pipeline.cleaning.expectations import Outcome, evaluate

    frame = suite_frame(part(roster, _read(suite, list(roster.columns))), rejected)
    codes = positions(strings(frame["role"]), strings(_ROLES))
    codes[codes < 0] = _NO_ROLE
    outcomes = dict(zip((rule.name for rule in suite.rules), evaluate(suite, frame, codes, _NO_ROLE + 1), strict=True))
    lines: list[tuple[object, ...]] = []
    for rule in suite.tuned(settings.quality):
        outcome: Outcome | None = outcomes[rule.name]
        if outcome is None:
            counted = [_CRASHED]
        elif outcome.tested is None or outcome.failed is None:
            counted = [("", outcome.success, len(frame), 0 if outcome.success else len(frame))]
        else:
            counted = _by_role(rule, outcome.tested, outcome.failed)
        lines += [
            (rule.name, role, rule.check, rule.severity, passed and not frame.empty, tested, failed)
            for role, passed, tested, failed in counted
        ]
    return _frame(lines)


def not_tested() -> pd.DataFrame:
    """The results if the suite itself could not be read: one row, which says that nothing was tested."""
    role, passed, tested, failed = _CRASHED
    return _frame([("quality_suite", role, FURTHER, "error", passed, tested, failed)])


def suite_frame(roster: pd.DataFrame, rejected: pd.DataFrame) -> pd.DataFrame:
    """The frame that the suite tests: the roster's records that belong, or should belong, to this school, with two more
    columns.

    rejections: the rules of `rejected` that the record broke, each once, separated by blanks; empty for most.
    email_given: whether the record came with an e-mail address, valid or not.
    """
    tested = truth(pc.is_in(strings(roster["record_status"]), value_set=strings(TESTED_STATUSES)))
    some = part(roster, roster.columns, None if tested.all() else tested)
    broken: dict[str, set[str]] = {}
    for record, rule in zip(
        strings(rejected["sourced_id"]).to_pylist(), strings(rejected["rule"]).to_pylist(), strict=True
    ):
        if record is not None and rule is not None:
            broken.setdefault(record, set()).add(rule)
    noted = strings([" ".join(sorted(rules)) for rules in broken.values()])
    rules = pc.fill_null(taken(noted, positions(strings(some["sourced_id"]), strings(list(broken)))), "")
    given = filled(strings(some["email"])) | truth(pc.match_substring(rules, "invalid_email"))
    columns: dict[str, Any] = {str(name): some[name].array for name in some}
    return framed({**columns, "rejections": column_of(rules), "email_given": given})


def _read(suite: Suite, columns: list[str]) -> list[str]:
    """The roster columns that the rules read, so that conditions do not copy the others; all columns if a rule reads
    the whole table."""
    if any(rule.type.startswith(_OF_TABLE) for rule in suite.rules):
        return columns
    named = _words(suite)
    return [name for name in columns if name in named]


@lru_cache(maxsize=4)
def _words(suite: Suite) -> frozenset[str]:
    return _ALWAYS | set(re.findall(r"\w+", repr([rule.kwargs for rule in suite.rules])))


def passes(tested: int, failed: int, mostly: float) -> bool:
    """Whether a rule holds. One or two records are never a share; if all must pass, even one is too many."""
    return failed == 0 or (mostly < 1 and (failed <= TOO_FEW or tested - failed >= mostly * tested))


def _frame(lines: list[tuple[object, ...]]) -> pd.DataFrame:
    kinds = {"passed": "bool", "tested": "Int64", "failed": "Int64"}
    columns = zip(*lines, strict=True) if lines else [()] * len(RESULT_COLUMNS)
    named = zip(RESULT_COLUMNS, columns, strict=True)
    return pd.DataFrame(
        {
            name: pd.Series(list(values), dtype=kinds[name]).array
            if name in kinds
            else column_of(strings(list(values)))
            for name, values in named
        }
    )


def _by_role(rule: Rule, tested: Ints, failed: Ints) -> list[_Counted]:
    """Records whose role is not known are compared with the school as a whole."""
    if not failed.any():
        return [("", True, int(tested.sum()), 0)]
    counted: list[_Counted] = []
    for code in np.flatnonzero(tested).tolist():
        of, bad = int(tested[code]), int(failed[code])
        role = "" if code == _NO_ROLE else _ROLES[code]
        counted.append((role, passes(of if role else int(tested.sum()), bad, rule.mostly), of, bad))
    return counted
