"""One test of a connection, in a process of its own: of a school and a test.

With `--schools CONNECTION LIST`, it lists the schools of the connection's SIS instead; with `--together NUMBER`, it
carries out the test of several schools that has this number.

A SIS that sends far too much can end this process, and nothing else: its memory is limited, and it is the first that a
machine without memory ends. The test's row says what to test and how far it is.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

from roster_pipeline.directory.database import Database
from roster_pipeline.runtime.embedded import DATABASE_URL
from roster_pipeline.services import sis_schools
from roster_pipeline.services.connection_test import carry_out, carry_out_together

MOST_MEMORY = 1024 * 1024 * 1024
"""Bytes of memory that a test may take beyond what is loaded. A pull of ours stays under it whatever is sent: this is
the second wall."""
FIRST_TO_END = "1000"


def main(*arguments: str) -> int:
    """Run the test, or read the list; its row says how it ended."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _loaded() + MOST_MEMORY
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


def _loaded() -> int:
    """Bytes of memory that this process has, as its limit counts them; 0 where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
    except OSError:
        return 0
    return int(status.partition("VmData:")[2].split()[0]) * 1024
