"""Dagster's daemon with shorter pauses: `python -m roster_pipeline_tests.scenarios.simulated_week.brisk_daemon run -w
FILE`.

Its loops, threads, storage, queue and code server are Dagster's own. It waits seconds instead of up to a minute between
two ticks, and reads the last tick from storage each time, because the test makes stored data older (`calendar.py`). It
does not start a new code server each minute, which takes four CPU seconds.
"""

from collections.abc import Iterator
from typing import Any

import dagster._daemon.cli as cli
import dagster._daemon.controller as controller
import dagster._daemon.sensor as sensors
import dagster._scheduler.scheduler as schedules

PAUSE = 1.0
"""Seconds. Shorter pauses would take a core from the runs."""
A_WEEK = 3600.0
"""Seconds that the code server is kept: longer than the test."""


def _looked_at_just_now(state: Any, *_: object, **__: object) -> bool:
    elapsed = sensors.get_elapsed(state)
    return elapsed is not None and elapsed < PAUSE


def _forgetful(launch: Any) -> Any:
    def launched(*arguments: object, iteration_times: dict[str, object], **options: object) -> Iterator[object]:
        iteration_times.clear()
        yield from launch(*arguments, iteration_times=iteration_times, **options)

    return launched


def hurry() -> None:
    """Shorten the pauses of this process's daemons."""
    schedules._get_next_scheduler_iteration_time = lambda start_time: start_time + PAUSE
    schedules.launch_scheduled_runs = _forgetful(schedules.launch_scheduled_runs)
    sensors.MIN_INTERVAL_LOOP_TIME = PAUSE  # type: ignore[assignment]  # seconds, of which there may be parts
    sensors.is_under_min_interval = _looked_at_just_now
    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = PAUSE  # type: ignore[assignment]
    controller.RELOAD_WORKSPACE_INTERVAL = A_WEEK  # type: ignore[assignment]


if __name__ == "__main__":
    hurry()
    cli.main()
