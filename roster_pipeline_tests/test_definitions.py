"""What loading the definitions brings with it: the code server, the daemon and every run start by it."""

from __future__ import annotations

import subprocess
import sys

ONLY_FOR_RUNS = (
    "alembic",
    "asyncssh",
    "great_expectations",
    "httpx",
    "jinja2",
    "pandas",
    "phonenumbers",
    "psycopg",
    "pyarrow",
    "rich",
    "uvicorn",
)


def test_listing_the_definitions_loads_nothing_that_only_a_run_needs() -> None:
    code = "import roster_pipeline.definitions, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(ONLY_FOR_RUNS) & set(done.stdout.split())


def test_the_night_loads_neither_ssh_nor_great_expectations_before_they_are_needed() -> None:
    code = "import roster_pipeline.sync, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"asyncssh", "great_expectations"} & set(done.stdout.split())
