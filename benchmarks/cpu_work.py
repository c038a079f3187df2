"""CPU seconds of a measured side: its own and the database server's. Nothing but Python is needed.

Seconds by the clock grow with other work on the machine. CPU seconds hardly change, so both are printed.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path


class Work:
    """CPU seconds since it was made: `own` of this process, `server` of all processes of an embedded PostgreSQL.

    folder: the server's data folder. If it cannot be read (another machine, not Linux), `server` is NaN.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._own, self._server = time.process_time(), self._server_seconds()

    def so_far(self) -> dict[str, float]:
        """Both shares, and `all`."""
        own, server = time.process_time() - self._own, self._server_seconds() - self._server
        return {"own": own, "server": server, "all": own + server}

    def _server_seconds(self) -> float:
        try:
            postmaster = (Path(self._folder) / "postmaster.pid").read_text().split()[0]
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        except OSError:
            return math.nan
        return sum(_ticks(postmaster, 4)) + sum(sum(_ticks(child, 2)) for child in children)


def _ticks(process: str, fields: int) -> list[float]:
    """User and system seconds of a process, and with four fields those of its ended children."""
    try:
        told = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[11 : 11 + fields]
    except OSError:
        return []
    return [int(one) / os.sysconf("SC_CLK_TCK") for one in told]
