"""At most so many requests to one host at a time, counted over all processes of this machine.

A slot is a file lock, so a process that dies gives its slots back. Every request competes with the SIS's own users; a
night of fifty schools must not become fifty times four requests at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from roster_pipeline.oneroster.errors import Unreachable

POLL_SECONDS = 0.01
LONGEST_POLL_SECONDS = 0.2


class HostSemaphore:
    """The slots of one host. `count` of them; `patience` seconds until waiting for one is given up."""

    def __init__(self, host: str, count: int, patience: float) -> None:
        name = hashlib.blake2b(host.encode(), digest_size=12).hexdigest()
        folder = _own_folder()
        self._files = [folder / f"{name}-{number}" for number in range(max(1, count))]
        self._patience = patience

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold one slot."""
        descriptor = self._take()
        try:
            yield
        finally:
            os.close(descriptor)

    def _take(self) -> int:
        until = time.monotonic() + self._patience
        pause = POLL_SECONDS
        while True:
            for file in self._files:
                descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(descriptor)
                else:
                    return descriptor
            if time.monotonic() > until:
                raise Unreachable(
                    "Other runs on this machine kept the SIS busy for too long.",
                    "Run fewer schools of this SIS at a time, or raise the connection's limit of parallel requests.",
                )
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL_SECONDS)


def _own_folder() -> Path:
    """Below `ROSTER_HOME`, which all services of a machine share; each of them may have a /tmp of its own."""
    shared = os.environ.get("ROSTER_HOME")
    folder = Path(shared) / "slots" if shared else Path(tempfile.gettempdir()) / f"roster-oneroster-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.is_symlink():
        return Path(tempfile.mkdtemp(prefix="roster-oneroster-"))
    return folder
