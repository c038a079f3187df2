"""A process that pulls from a hostile server and prints its peak memory."""

import faulthandler
from pathlib import Path

from roster_pipeline.oneroster import Client, Endpoint, Limits, OneRosterError, Wanted, pull

HANGS_AFTER = 120
"""Seconds; the slowest pull takes eight on a busy machine."""


def main(base_url: str, file: str) -> int:
    """Print the error that ended the pull, or the number of records, and the peak in MB. A pull that hangs ends with
    the stacks of its threads."""
    limits = Limits(first_wait=0.01, longest_wait=0.05)
    with Path(file).open("w", encoding="ascii") as told:
        faulthandler.dump_traceback_later(HANGS_AFTER, exit=True, file=told)
        told.write(f"{_pulled(base_url, limits)} {peak()}")
        faulthandler.cancel_dump_traceback_later()
    return 0


def _pulled(base_url: str, limits: Limits) -> str:
    with Client(Endpoint(base_url, allow_private=True, parallel=4, limits=limits)) as client:
        try:
            people = pull(client, Wanted(contacts=True))
            return f"{sum(len(batch.records) for batch in people)} records"
        except OneRosterError as problem:
            return type(problem).__name__


def peak() -> int:
    """The peak memory of this process in MB; getrusage would count its parent's memory at the start."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
