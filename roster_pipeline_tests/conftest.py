"""Fixtures for every test, and the message at the end of a run about tests that were left out."""

import gc
import signal
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = [
    "roster_pipeline_tests.left_behind",
    "roster_pipeline_tests.postgres",
    "roster_pipeline_tests.console.browser",
]
LEFT_OUT = "were left out: "
gc.set_threshold(100_000, 50, 100)  # a test process keeps millions of objects; it collects garbage less often
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell; children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
INVARIANTS = Path(__file__).parent / "invariants"
UNBOUNDED = 1000.0
"""Assumed seconds of a test without a limit. Random nights have no limit, because they may run for hours."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the lane of each test, for `-m`."""
    item.add_marker(lane(item))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that may take longest and end with the quickest, so that the workers end together.

    All tests of a file run in one worker (`--dist loadfile`): they share a browser or a server. A worker holds one file
    more than it runs, so a quick file comes between two with long limits.
    """
    grouped: dict[Path, list[pytest.Item]] = {}
    for item in items:
        grouped.setdefault(item.path, []).append(item)
    files = sorted(grouped.values(), key=expected, reverse=True)
    long = sum(bool(expected(file)[0]) for file in files)
    between = files[max(long, len(files) - long) :]
    pairs = chain.from_iterable(zip_longest(files[:long], reversed(between), fillvalue=[]))
    items[:] = chain.from_iterable([*pairs, *files[long : len(files) - len(between)]])


def expected(file: list[pytest.Item]) -> tuple[float, float]:
    """The longest limit of a test of this file, and the seconds that its tests usually take."""
    return max(map(seconds_given, file)), sum(0.03 if item.get_closest_marker("fast") else 0.6 for item in file)


def pytest_collection_finish() -> None:
    """Everything loaded by now stays until the end, so garbage collections skip it."""
    gc.freeze()


def seconds_given(item: pytest.Item) -> float:
    """The limit of the test or its module; 0 for the usual one."""
    given = item.get_closest_marker("timeout")
    return (given.args[0] or UNBOUNDED) if given else 0.0


def lane(item: pytest.Item) -> str:
    """`browser`, `invariants`, `db`; otherwise `slow` for random data and longer limits, else `fast`."""
    needed = getattr(item, "fixturenames", ())
    if "chromium" in needed:
        return "browser"
    if INVARIANTS in item.path.parents:
        return "invariants"
    if "postgres_server" in needed or "open_folder" in needed:
        return "db"
    return "slow" if seconds_given(item) or getattr(getattr(item, "obj", None), "is_hypothesis_test", False) else "fast"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print once why a kind of tests did not run, because a row of `s` is easily overlooked."""
    reasons = [report.longrepr[-1] for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    for reason in dict.fromkeys(str(reason).removeprefix("Skipped: ") for reason in reasons):
        if LEFT_OUT in reason:
            terminalreporter.write_line(reason, yellow=True)
