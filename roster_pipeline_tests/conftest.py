"""Fixtures for every test, and the message at the end of a run about tests that were left out."""

from __future__ import annotations

import gc
import math
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = [
    "roster_pipeline_tests.left_behind",
    "roster_pipeline_tests.postgres",
    "roster_pipeline_tests.console.browser",
]
LEFT_OUT = "were left out: "
gc.set_threshold(100_000, 50, 100)  # a process of the tests keeps millions of objects, and looks at them less often so
INVARIANTS = Path(__file__).parent / "invariants"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the lane of each test, for `-m`, and keep together what shares a browser or a server."""
    item.add_marker(lane(item))
    if shares_with_its_module(item):
        item.add_marker(pytest.mark.xdist_group(item.location[0]))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that were given the most time, so that no worker is alone with one at the end.

    A worker holds one test more than it runs. So a short test is between two long ones, because it can wait.
    """
    long = sorted(filter(seconds_given, items), key=seconds_given, reverse=True)
    short = [item for item in items if not seconds_given(item)]
    first = [item for pair in zip(long, short, strict=False) for item in pair]
    items[:] = [*first, *short[len(long) :], *long[len(short) :]]


def pytest_collection_finish() -> None:
    """What is loaded by now stays until the end, so no collection has to look at it."""
    gc.freeze()


def seconds_given(item: pytest.Item) -> float:
    """The time that the test or its module was given; 0 if it has to do with the usual one."""
    given = item.get_closest_marker("timeout")
    return (given.args[0] or math.inf) if given else 0.0


def lane(item: pytest.Item) -> str:
    """`browser`, `invariants`, `db`; `slow` for others that were given more time; `fast` for the rest."""
    needed = getattr(item, "fixturenames", ())
    if "chromium" in needed:
        return "browser"
    if INVARIANTS in item.path.parents:
        return "invariants"
    if "postgres_server" in needed:
        return "db"
    return "slow" if seconds_given(item) else "fast"


def shares_with_its_module(item: pytest.Item) -> bool:
    """Whether a fixture of the test lasts as long as its module. Each worker that runs one of these makes its own."""
    fixtures = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009 - private
    return any(one.scope == "module" for name in fixtures for one in fixtures[name])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Repeat, once each, why a whole kind of tests did not run: a row of `s` is easily overlooked."""
    reasons = [report.longrepr[-1] for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    for reason in dict.fromkeys(str(reason).removeprefix("Skipped: ") for reason in reasons):
        if LEFT_OUT in reason:
            terminalreporter.write_line(reason, yellow=True)
