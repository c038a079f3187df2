"""Great Expectations itself: a suite's expectations, evaluated on one frame, as counts by role.

It takes seconds to import this module, so only code that tests a roster imports it.

An expectation is made once per process, with the metrics that its verdict needs. An engine resolves them. It holds the
one frame and lasts as long as the call. No context, data source, store or rendered result is made, so nothing of a
roster stays in memory.

Half of the time of a small school was spent in `DataFrame.query`, which parses the text of a condition and makes every
column of the frame a variable. So the conditions of a suite become masks here, with the same meaning.
"""

from __future__ import annotations

import logging
import operator
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, Literal

import numpy as np
import pandas as pd

from roster_pipeline.cleaning.quality_suite import Rule, Suite
from roster_pipeline.frames import Ints
from roster_pipeline.loaded_later import loaded_later

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
# Charts and distributions take 40 % of the time that the library takes to load, and no rule here uses them.
with warnings.catch_warnings(), loaded_later({"altair", "scipy.stats"}.__contains__):
    warnings.simplefilter("ignore", DeprecationWarning)
    from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.metrics.map_metric_provider.multicolumn_condition_partial import (
        multicolumn_condition_partial,
    )
    from great_expectations.expectations.metrics.map_metric_provider.multicolumn_map_metric_provider import (
        MulticolumnMapMetricProvider,
    )
    from great_expectations.expectations.registry import get_metric_kwargs
    from great_expectations.expectations.row_conditions import (
        AndCondition,
        ComparisonCondition,
        NullityCondition,
        OrCondition,
        PassThroughCondition,
        deserialize_row_condition,
    )
    from great_expectations.validator.metric_configuration import MetricConfiguration
    from great_expectations.validator.validation_graph import ValidationGraph
logging.getLogger("great_expectations").setLevel(logging.CRITICAL + 1)
"""A logger of the library. Its lines quote values of the frame if a metric fails."""

_BATCH = "roster"
_ASK = {"result_format": {"result_format": "BOOLEAN_ONLY"}, "catch_exceptions": True}
"""We take the counts from the metrics, so that no result contains a value."""
_OF_COLUMNS = ("table.columns", "table.column_types")
"""Metrics on which most others depend. They do not depend on conditions on rows, so they are computed once."""
_COMPARISONS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt}
_COMPARISONS |= {">=": operator.ge}
_OF_ROWS = [
    each.get_validation_dependencies
    for each in (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
]
"""The methods of expectations that judge single rows, unless an expectation asks for metrics of its own."""
_SMALL = 50_000
"""If a condition chooses at most this many rows, they are kept for the next expectation with the same condition."""


@dataclass(frozen=True)
class Outcome:
    """The result of one expectation. tested, failed: rows by role code, or None if it judges the frame as a whole."""

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
        *keys, last = (pd.factorize(column_list[name])[0] for name in column_list.columns)
        order = np.lexsort((last, *keys))
        begins = np.append(True, reduce(operator.or_, [np.diff(key[order]) != 0 for key in keys]))[: len(order)]
        group = np.cumsum(begins)
        shared = group[1:][~begins[1:] & (np.diff(last[order]) != 0)]
        good = np.ones(len(order), dtype=bool)
        good[order] = ~np.isin(group, shared)
        return pd.Series(good, column_list.index, dtype=bool)


class ExpectColumnsToDetermine(MulticolumnMapExpectation):
    """All columns of `column_list` except the last determine the last: one e-mail is one person, in any number of rows.

    The library can only test for unique values, but a person may have several records.
    """

    map_metric = "columns.determine"
    ignore_row_if: Literal["all_values_are_missing", "any_value_is_missing", "never"] = "any_value_is_missing"


class _Engine(PandasExecutionEngine):
    """One frame, for one evaluation. It looks for the rows of a condition once, not for each metric."""

    def __init__(self, frame: pd.DataFrame) -> None:
        super().__init__(batch_data_dict={_BATCH: frame})
        self._chosen: dict[str, pd.DataFrame] = {}

    def _apply_row_condition_filter(
        self, data: pd.DataFrame, row_condition: Any, domain_kwargs: dict[str, Any]
    ) -> pd.DataFrame:
        key = repr(row_condition)
        chosen = self._chosen.get(key)
        if chosen is None:
            condition = deserialize_row_condition(row_condition)
            if isinstance(condition, str):  # a text with a parser of its own, as older suites have
                chosen = super()._apply_row_condition_filter(data, condition, domain_kwargs)
            else:
                chosen = data[_mask(data, condition)]
            if len(data) <= _SMALL:
                self._chosen[key] = chosen
        return chosen


def _mask(data: pd.DataFrame, condition: Any) -> Any:
    """Which rows a condition chooses: what `data.query` finds for the text that the library makes of it."""
    if isinstance(condition, AndCondition | OrCondition):
        masks = [_mask(data, each) for each in condition.conditions]
        return reduce(operator.and_ if isinstance(condition, AndCondition) else operator.or_, masks)
    if isinstance(condition, NullityCondition):
        column = data[condition.column.name]
        return column.isna() if condition.is_null else column.notna()
    if isinstance(condition, ComparisonCondition):
        column, named = data[condition.column.name], str(condition.operator)
        if named in _COMPARISONS:
            return _COMPARISONS[named](column, condition.parameter)
        listed = column.isin(list(condition.parameter))
        return listed if named == "IN" else ~listed
    if isinstance(condition, PassThroughCondition):
        words = set(re.findall(r"\w+", condition.pass_through_filter))
        named_columns = [name for name in data.columns if name in words]
        return (data[named_columns] if named_columns else data).eval(condition.pass_through_filter)
    raise TypeError(f"a condition of type {type(condition).__name__}")


@dataclass(frozen=True)
class _Prepared:
    """An expectation with the metrics that it needs. Each metric comes after those on which it depends.

    condition: the metric that says which rows fail, if there is one. Then no other metric is needed.
    """

    expectation: Any
    metrics: tuple[Any, ...]
    condition: Any = None


def evaluate(suite: Suite, frame: pd.DataFrame, role_codes: Ints, roles: int) -> list[Outcome | None]:
    """Evaluate every rule of a suite, in its order; None if a rule could not be evaluated.

    frame: index 0, 1, 2, ... role_codes: for each row a number below `roles`. A rule never makes it raise.
    """
    engine, known = _Engine(frame), dict[Any, Any]()
    return [_tried(expectation, engine, known, role_codes, roles) for expectation in _prepared(suite)]


def _tried(
    prepared: _Prepared | None, engine: _Engine, known: dict[Any, Any], role_codes: Ints, roles: int
) -> Outcome | None:
    """The outcome of one expectation. known: the metrics of the frame so far. New metrics are added to it."""
    if prepared is None:
        return None
    try:
        for metric in prepared.metrics:
            if metric.id not in known:
                key = metric.metric_name if metric.metric_name in _OF_COLUMNS else metric.id
                if key not in known:
                    known |= engine.resolve_metrics([metric], known, dict(_ASK))
                    known[key] = known[metric.id]
                known[metric.id] = known[key]
        return _outcome(prepared, known, role_codes, roles)
    except Exception:  # its text may hold values; a rule without an outcome was not evaluated
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
        wanted = _wanted(made, engine)
        for metric in wanted:
            graph.build_metric_dependency_graph(metric, _ASK)
    except Exception:  # as above: a suite file may be wrong in any way
        return None
    name = f"{getattr(made, 'map_metric', None)}.condition"
    conditions = [edge.right for edge in graph.edges if edge.right is not None and edge.right.metric_name == name]
    needed: dict[Any, Any] = {}
    for metric in conditions[:1] or wanted:
        _add(metric, needed)
    return _Prepared(made, tuple(needed.values()), conditions[0].id if conditions else None)


def _wanted(made: Any, engine: _Engine) -> list[Any]:
    """The metrics of an expectation. If it judges single rows, only the number of rows that fail: we use no other
    metric, and they take half of the time."""
    if type(made).get_validation_dependencies in _OF_ROWS:
        count = f"{made.map_metric}.unexpected_count"
        given = get_metric_kwargs(count, configuration=made.configuration, runtime_configuration=dict(_ASK))
        return [MetricConfiguration(count, given["metric_domain_kwargs"], given["metric_value_kwargs"])]
    dependencies = made.get_validation_dependencies(execution_engine=engine, runtime_configuration=dict(_ASK))
    return list(dependencies.get_metric_configurations())


def _add(metric: Any, needed: dict[Any, Any]) -> None:
    """Add a metric after those on which it depends."""
    if metric.id not in needed:
        for dependency in (metric.metric_dependencies or {}).values():
            _add(dependency, needed)
        needed[metric.id] = metric
