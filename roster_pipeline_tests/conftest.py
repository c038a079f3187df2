"""What every test may ask for, and what the end of a run says about tests that were left out."""

from __future__ import annotations

from typing import Any

pytest_plugins = ["roster_pipeline_tests.postgres", "roster_pipeline_tests.console.browser"]
LEFT_OUT = "were left out: "


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Repeat, once each, why a whole kind of tests did not run: a row of `s` is easily overlooked."""
    reasons = [report.longrepr[-1] for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    for reason in dict.fromkeys(str(reason).removeprefix("Skipped: ") for reason in reasons):
        if LEFT_OUT in reason:
            terminalreporter.write_line(reason, yellow=True)
