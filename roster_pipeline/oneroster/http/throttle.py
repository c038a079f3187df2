"""Limits of a session: waits between attempts, parallel requests, slots for each host, and the size of bodies.

The slots of a host are file locks, so all processes of this machine share them, and a process that dies frees its own.
Who frees a slot removes its file.
Every request competes with the SIS's own users: fifty schools that sync at once must not send fifty times four requests
at once.

A body is received and decompressed in small steps, and both sizes are bounded, so no server decides how much memory we
use. Only one large body at a time is in memory, over all requests of the process. A refused body is freed before the
error is raised, because an exception keeps all variables of its frames alive.
"""

import fcntl
import hashlib
import os
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Self

from roster_pipeline.oneroster.errors import Malformed, OneRosterError, TooLarge, TooSlow, Unreachable
from roster_pipeline.oneroster.http.endpoint import Clock, Limits
from roster_pipeline.oneroster.http.error_mapping import QUOTA_STATUS, RETRY_STATUSES
from roster_pipeline.oneroster.http.response import Response
from roster_pipeline.settings.installation import Places, own_temporary_folder

STEP = 256 * 1024
"""Bytes that one step of decompression may produce. A received kilobyte can become a megabyte."""
LARGE = 6 * 1024 * 1024
"""Bytes. Larger bodies wait for each other. A page of 1,000 users is about 1 MB."""
_ANY_HEADER, _RAW = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS
_GZIP, _GZIP_MARK = ("gzip", "x-gzip"), b"\x1f\x8b"
_UNPACKED = frozenset((*_GZIP, "deflate"))
_COMPRESSIONS = _UNPACKED | {"br", "zstd", "compress", "x-compress"}
"""The encodings of HTTP. Servers also write character sets and other things into Content-Encoding; these count as
none.
"""

_large_bodies = threading.Lock()


@dataclass
class Counters:
    """Requests, retries, bytes received and seconds waited of one session."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    waited: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


class Backoff:
    """The waits of one session, and how many requests it may send at the same time (`parallel`)."""

    def __init__(self, limits: Limits, clock: Clock, parallel: int) -> None:
        self.counters = Counters()
        self.parallel = max(1, parallel)
        self._limits = limits
        self._clock = clock
        self._pause_until = 0.0
        self._lock = threading.Lock()

    def retry_after(self, response: Response) -> float | None:
        """Retry-After in seconds; the header holds a number or a date. None if absent or unreadable."""
        if response.status not in (*RETRY_STATUSES, QUOTA_STATUS):
            return None
        try:
            return max(0.0, float(response.headers.get("Retry-After", "")))
        except ValueError:
            moment = response.time_in("Retry-After")
        if moment is None:
            return None
        return max(0.0, (moment - (response.server_time or self._clock.now())).total_seconds())

    def slow_down(self, wait: float | None, *, fewer: bool) -> None:
        """Pause the whole session for the `wait` that the server named. fewer: halve the parallel requests as well."""
        with self._lock:
            if fewer:
                self.parallel = max(1, self.parallel // 2)
            if wait is not None and wait <= self._limits.longest_retry_after:
                self._pause_until = max(self._pause_until, self._clock.monotonic() + wait)

    def respect_pause(self) -> None:
        """Sleep until the pause of `slow_down` is over."""
        left = self._pause_until - self._clock.monotonic()
        if left > 0:
            self._clock.sleep(left)

    def wait(self, tried: int, retry_after: float | None, failure: OneRosterError) -> None:
        """Wait before the next attempt, with jitter.

        tried: attempts so far; the wait doubles with each. retry_after: seconds that the server wants. Raises `failure`
        if the wait is too long or the budget of all waits is used up.
        """
        limits = self._limits
        if retry_after is not None and retry_after > limits.longest_retry_after:
            raise failure
        doubled = min(limits.first_wait * 2 ** (tried - 1), limits.longest_wait) * (0.5 + self._clock.chance())
        wait = doubled if retry_after is None else retry_after + self._clock.chance() * limits.first_wait
        with self.counters.lock:
            if self.counters.waited + wait > limits.waiting_budget:
                raise failure
            self.counters.waited += wait
            self.counters.retries += 1
        self._clock.sleep(wait)


POLL_SECONDS = 0.01
LONGEST_POLL_SECONDS = 0.2


class HostSemaphore:
    """The slots of one host. count: how many. patience: seconds to wait for a free one."""

    def __init__(self, host: str, count: int, patience: float) -> None:
        name = hashlib.blake2b(host.encode(), digest_size=12).hexdigest()
        folder = _own_folder()
        self._files = [folder / f"{name}-{number}" for number in range(max(1, count))]
        self._patience = patience

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one slot. Raises Unreachable if none was free in time."""
        file, descriptor = self._take()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
            os.close(descriptor)

    def _take(self) -> tuple[Path, int]:
        """The file of a slot, locked. A file that its last holder has removed meanwhile is nobody's lock any more."""
        until = time.monotonic() + self._patience
        pause = POLL_SECONDS
        while True:
            for file in self._files:
                descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                with suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.fstat(descriptor).st_nlink:
                        return file, descriptor
                os.close(descriptor)
            if time.monotonic() > until:
                raise Unreachable(
                    "Other runs on this machine kept the SIS busy for too long.",
                    "Choose other sync times for some schools of this SIS.",
                )
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL_SECONDS)


def _own_folder() -> Path:
    """A folder below `ROSTER_HOME`, which all services of a machine share; each service may have its own /tmp."""
    places = Places.read()
    folder = (places.home if "home" in places.model_fields_set else own_temporary_folder()) / "slots"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


class LargeBody:
    """The right to hold a large body while it is received and decoded. The end of `with` releases it."""

    def __init__(self) -> None:
        self._held = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._held = False
            _large_bodies.release()

    def claim(self, until: float) -> bool:
        """Wait for the right until this moment of time.monotonic(). False if it was not free in time."""
        if not self._held:
            self._held = _large_bodies.acquire(timeout=max(0.0, min(until - time.monotonic(), threading.TIMEOUT_MAX)))
        return self._held


def read_body(
    parts: Iterable[bytes], encoding: str, label: str, most: int, *, until: float, large: LargeBody, cut: bool = False
) -> bytearray:
    """The content of `parts`, decompressed. encoding: the Content-Encoding of the response as it came.

    most: bytes after decompression. until: a moment of time.monotonic(). cut: return the first `most` bytes of a larger
    body, for responses where only an error code is read. Raises TooLarge, Malformed, TooSlow.
    """
    body = bytearray()
    compressions = [name for part in encoding.split(",") if (name := part.strip().lower()) in _COMPRESSIONS]
    for part in _decompressed(parts, compressions, label):
        body += part
        if len(body) > most:
            if cut:
                del body[most:]
                return body
            body.clear()
            raise TooLarge(
                f"The response to {label} is larger than {most / 1_000_000:.0f} MB.",
                "Choose a smaller page size; if it is small already, ask the SIS's vendor.",
            )
        if time.monotonic() > until:
            body.clear()
            raise TooSlow("", "")
        if len(body) > LARGE and not large.claim(until):
            body.clear()
            raise TooLarge(
                f"The response to {label} is large, and other large responses filled the memory for too long.",
                "It is tried again at the next sync; a smaller page size helps.",
            )
    return body


def _decompressed(parts: Iterable[bytes], compressions: list[str], label: str) -> Iterator[bytes]:
    parts, compressed = _looked_at(parts)
    if not compressed and "".join(compressions) in ("", *_GZIP):
        yield from parts
        return
    encoding = compressions[0] if compressions else "gzip"
    if len(compressions) > 1 or encoding not in _UNPACKED:
        raise _broken(label)
    unpacker: zlib._Decompress | None = None
    ended = False
    for part in parts:
        rest = part if not ended or part[:1] == _GZIP_MARK[:1] else b""
        while rest:
            if unpacker is None:
                unpacker = zlib.decompressobj(_RAW if _has_no_header(rest, encoding) else _ANY_HEADER)
            try:
                piece = unpacker.decompress(rest, STEP)
            except zlib.error:
                raise _broken(label) from None
            if piece:
                yield piece
            rest = unpacker.unconsumed_tail
            if unpacker.eof:  # several gzip streams may follow each other; other bytes are ignored
                rest, unpacker, ended = unpacker.unused_data, None, True
                rest = rest if rest[:1] == _GZIP_MARK[:1] else b""
    if unpacker is not None:
        while piece := _pending(unpacker):
            yield piece
        if not unpacker.eof:
            raise _broken(label)


def _looked_at(parts: Iterable[bytes]) -> tuple[Iterator[bytes], bool]:
    """The same parts, and whether they begin like gzip. The header of servers and proxies may be missing or wrong."""
    left = iter(parts)
    first = next(left, b"")
    if first == _GZIP_MARK[:1]:
        first += next(left, b"")
    return chain((first,), left), first.startswith(_GZIP_MARK)


def _pending(unpacker: "zlib._Decompress") -> bytes:
    """The next step of output that the decompressor still holds after the last input."""
    try:
        return unpacker.decompress(b"", STEP)
    except zlib.error:
        return b""


def _has_no_header(first: bytes, encoding: str) -> bool:
    """Whether a "deflate" body is raw, as some servers send it: a zlib header is a multiple of 31."""
    return encoding == "deflate" and (
        len(first) < 2 or first[0] & 15 != 8 or int.from_bytes(first[:2], "big") % 31 != 0
    )


def _broken(label: str) -> Malformed:
    return Malformed(
        f"The compression of the response to {label} is broken.", "Ask the SIS's administrator about its web server."
    )
