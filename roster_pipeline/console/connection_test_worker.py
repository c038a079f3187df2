"""Carries out one test of a connection in its own process. Its arguments are a school and a test.

With `--schools CONNECTION LIST`, it lists the schools of the connection's SIS instead; with `--together NUMBER`, it
carries out the test of several schools that has this number.

A SIS that sends far too much can end only this process: its memory is limited, and a machine without free memory ends
it first. The row of the test says what to test and how far the test is.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

import psutil

from roster_pipeline.directory.database import Database
from roster_pipeline.runtime.embedded import DATABASE_URL
from roster_pipeline.services import sis_schools
from roster_pipeline.services.connection_test import carry_out, carry_out_together

MOST_MEMORY = 1024 * 1024 * 1024
"""How many bytes of memory a test may take in addition to the loaded code. Our own limits keep a pull below this,
whatever the server sends: this is the second protection."""
FIRST_TO_END = "1000"


def main(*arguments: str) -> int:
    """Run the test, or read the list. Its row says how it ended."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    loaded = getattr(psutil.Process().memory_info(), "data", 0)  # only Linux counts what the limit counts
    most = loaded + MOST_MEMORY
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_END, "ascii")
    database = Database(os.environ[DATABASE_URL])
    if arguments[0] == "--schools":
        sis_schools.carry_out(database, *arguments[1:3])
    elif arguments[0] == "--together":
        carry_out_together(database, arguments[1])
    else:
        carry_out(database, *arguments[:2])
    return 0
