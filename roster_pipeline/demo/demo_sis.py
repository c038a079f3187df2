"""The demo's two SISs on one loopback address."""

from __future__ import annotations

import argparse
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from roster_pipeline.demo.story import CLIENT_ID, CLIENT_SECRET, CONNECTIONS, bring_to
from roster_pipeline.simulator import District, SimulatorThread, Sis, create_site

PORT = 8601
"""Preferred, so that the addresses in the settings are the same in `roster demo` and `roster dev`."""


@contextmanager
def simulated(people: dict[str, District], port: int = PORT) -> Iterator[tuple[str, dict[str, Sis]]]:
    """Serve both SISs, on any free port if `port` is taken. Yields the base URL and the SISs by connection key."""
    served = {
        key: Sis(
            people[key],
            prefix=CONNECTIONS[key][0],
            credentials={CLIENT_ID: CLIENT_SECRET},
            versions=(CONNECTIONS[key][1],),
        )
        for key in CONNECTIONS
    }
    server = SimulatorThread(create_site(list(served.values())), port=port if _is_free(port) else 0).start()
    try:
        yield server.base_url, served
    finally:
        server.stop()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def main() -> None:
    """Serve until a signal ends it: `python -m roster_pipeline.demo.demo_sis --night 3`."""
    parser = argparse.ArgumentParser(description="The demo's simulated SISs.")
    parser.add_argument("--night", type=int, default=3, help="the night of the story to start from (default 3)")
    parser.add_argument("--port", type=int, default=PORT)
    chosen = parser.parse_args()
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with simulated(bring_to(chosen.night), chosen.port) as (base_url, _):
        print(f"simulated SISs at {base_url}{', '.join(prefix for prefix, _ in CONNECTIONS.values())}", flush=True)  # noqa: T201
        stop.wait()


if __name__ == "__main__":
    main()
