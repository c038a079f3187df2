"""Great Expectations itself: a suite's expectations, evaluated on one frame, as counts by role.

Importing this module takes seconds, so it is done where a roster is tested and nowhere else.

An expectation is made once a process and asks for metrics. Those of all expectations are resolved together, on an
engine that holds the one frame and lasts as long as this call: no context, data source, store or rendered result is
made. For the same reason nothing of a roster stays behind.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd

from roster_pipeline.cleaning.quality_suite import Rule, Suite
from roster_pipeline.frames import Ints

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation import MulticolumnMapExpectation
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.metrics.map_metric_provider.multicolumn_condition_partial import (
        multicolumn_condition_partial,
    )
    from great_expectations.expectations.metrics.map_metric_provider.multicolumn_map_metric_provider import (
        MulticolumnMapMetricProvider,
    )
    from great_expectations.validator.validation_graph import ValidationGraph
logging.getLogger("great_expectations").setLevel(logging.CRITICAL + 1)
"""Its log lines quote values of the frame where a metric fails."""

_BATCH = "roster"
_ASK = {"result_format": {"result_format": "BOOLEAN_ONLY"}, "catch_exceptions": True}
"""Counts are taken from the metrics, so that no result holds a value."""
_SMALL = 50_000
"""Up to so many rows, rows that a condition chose are kept for the next expectation with the same condition."""


@dataclass(frozen=True)
class Outcome:
    """What one expectation found. tested, failed: rows by role code, or None where it judges the frame as a whole."""

    success: bool
    tested: Ints | None = None
    failed: Ints | None = None


class ColumnsDetermine(MulticolumnMapMetricProvider):
    """Rows whose values in all columns but the last come with one value of the last column only."""

    condition_metric_name = "columns.determine"
    condition_domain_keys = ("batch_id", "table", "column_list", "row_condition", "condition_parser", "ignore_row_if")
    condition_value_keys = ()

    @multicolumn_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column_list: pd.DataFrame, **_: Any) -> pd.Series[bool]:  # noqa: N805
        *keys, last = column_list.columns
        good = ~column_list.duplicated(keys, keep=False)
        several = column_list[~good]
        if len(several):
            good.loc[several.index] = several.groupby(keys)[last].transform("nunique") < 2
        return good


class ExpectColumnsToDetermine(MulticolumnMapExpectation):
    """All columns of `column_list` except the last determine the last: one e-mail is one person, in any number of rows.

    The library knows only unique values, and a person may have several records.
    """

    map_metric = "columns.determine"
    ignore_row_if: Literal["all_values_are_missing", "any_value_is_missing", "never"] = "any_value_is_missing"


class _Engine(PandasExecutionEngine):
    """One frame, for one evaluation. Rows that a condition chooses are looked for once, not for each metric."""

    def __init__(self, frame: pd.DataFrame) -> None:
        super().__init__(batch_data_dict={_BATCH: frame})
        self._chosen: dict[str, pd.DataFrame] = {}

    def _apply_row_condition_filter(
        self, data: pd.DataFrame, row_condition: Any, domain_kwargs: dict[str, Any]
    ) -> pd.DataFrame:
        key = repr(row_condition)
        chosen = self._chosen.get(key)
        if chosen is None:
            chosen = super()._apply_row_condition_filter(data, row_condition, domain_kwargs)
            if len(data) <= _SMALL:
                self._chosen[key] = chosen
        return chosen


@dataclass(frozen=True)
class _Prepared:
    """An expectation with the metrics it needs. condition: the metric that says which rows fail, where it has one."""

    expectation: Any
    edges: tuple[Any, ...]
    condition: Any = None


def evaluate(suite: Suite, frame: pd.DataFrame, role_codes: Ints, roles: int) -> list[Outcome | None]:
    """Evaluate every rule of a suite, in its order; None where a rule could not be evaluated.

    frame: index 0, 1, 2, ... role_codes: for each row a number below `roles`. Never raises for what a rule asks for.
    """
    prepared = _prepared(suite)
    engine = _Engine(frame)
    edges = [edge for expectation in prepared if expectation is not None for edge in expectation.edges]
    graph = ValidationGraph(execution_engine=engine)
    for edge in edges:
        graph.add(edge)
    try:
        metrics, _ = graph.resolve(runtime_configuration=_ASK, show_progress_bars=False)
    except Exception:  # its text may hold values; each rule says for itself that it was not evaluated
        metrics = {}
    return [_tried(expectation, metrics, role_codes, roles) for expectation in prepared]


def _tried(prepared: _Prepared | None, metrics: dict[Any, Any], role_codes: Ints, roles: int) -> Outcome | None:
    try:
        return None if prepared is None else _outcome(prepared, metrics, role_codes, roles)
    except Exception:  # as above: a metric that is missing, or of another kind than expected
        return None


def _outcome(prepared: _Prepared, metrics: dict[Any, Any], role_codes: Ints, roles: int) -> Outcome:
    if prepared.condition is not None:
        fails: pd.Series[bool] = metrics[prepared.condition][0]
        codes = role_codes[fails.index.to_numpy()]
        tested = np.bincount(codes, minlength=roles)
        failed = np.bincount(codes[fails.to_numpy(dtype=bool)], minlength=roles)
        return Outcome(not failed.any(), tested, failed)
    result = prepared.expectation.metrics_validate(metrics=metrics, runtime_configuration=dict(_ASK))
    return Outcome(bool(result.success))


@lru_cache(maxsize=4)
def _prepared(suite: Suite) -> Sequence[_Prepared | None]:
    return [_prepare(rule) for rule in suite.rules]


def _prepare(rule: Rule) -> _Prepared | None:
    """An expectation with its metrics; None for one that the library refuses, by its type or its arguments."""
    engine = _Engine(pd.DataFrame())
    graph = ValidationGraph(execution_engine=engine)
    try:
        made = ExpectationConfiguration(type=rule.type, kwargs={**rule.kwargs, "batch_id": _BATCH}).to_domain_obj()
        needed = made.get_validation_dependencies(execution_engine=engine, runtime_configuration=dict(_ASK))
        for metric in needed.get_metric_configurations():
            graph.build_metric_dependency_graph(metric, _ASK)
    except Exception:  # as above: a suite file may be wrong in any way
        return None
    name = f"{getattr(made, 'map_metric', None)}.condition"
    conditions = [edge.right.id for edge in graph.edges if edge.right is not None and edge.right.metric_name == name]
    return _Prepared(made, tuple(graph.edges), conditions[0] if conditions else None)
