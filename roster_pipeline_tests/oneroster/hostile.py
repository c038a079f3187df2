"""A process that pulls from a hostile server and prints its peak memory."""

from pathlib import Path

from roster_pipeline.oneroster import Client, Endpoint, Limits, OneRosterError, Wanted, pull


def main(base_url: str, file: str) -> int:
    """Print the error that ended the pull, or the number of records, and the peak in MB."""
    limits = Limits(first_wait=0.01, longest_wait=0.05)
    with Client(Endpoint(base_url, allow_private=True, parallel=4, limits=limits)) as client:
        said = "nothing"
        try:
            people = pull(client, Wanted(contacts=True))
            said = f"{sum(len(batch.records) for batch in people)} records"
        except OneRosterError as problem:
            said = type(problem).__name__
    Path(file).write_text(f"{said} {peak()}", "ascii")
    return 0


def peak() -> int:
    """The peak memory of this process in MB; getrusage would count its parent's memory at the start."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
