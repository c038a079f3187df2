"""The body of an answer, received and decompressed in small steps, so that no server decides how much memory we use.

Bounded are the bytes that come and the bytes they become. Of large bodies, one at a time is in memory, over all
requests of the process. A body that is refused is freed before the refusal is raised, because an exception keeps
everything alive that its frames name.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from types import TracebackType

from roster_pipeline.oneroster.errors import Malformed, TooLarge, TooSlow

STEP = 256 * 1024
"""Bytes that one step of decompression may give; a kilobyte that is sent can stand for a megabyte."""
LARGE = 6 * 1024 * 1024
"""Bodies beyond this wait for each other. A page of 1,000 users is about 1 MB."""
_ANY_HEADER, _RAW = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS

_large_bodies = threading.Lock()


class LargeBody:
    """The right to hold a large body, for as long as it is received and decoded. `with` gives it back."""

    def __init__(self) -> None:
        self._held = False

    def __enter__(self) -> LargeBody:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held:
            self._held = False
            _large_bodies.release()

    def claim(self, until: float) -> bool:
        """Wait for the right until that moment of time.monotonic(); False where it did not come."""
        if not self._held:
            self._held = _large_bodies.acquire(timeout=max(0.0, min(until - time.monotonic(), threading.TIMEOUT_MAX)))
        return self._held


def read_body(
    parts: Iterable[bytes], encoding: str, label: str, most: int, *, until: float, large: LargeBody, cut: bool = False
) -> bytearray:
    """Everything that `parts` hold, decompressed. encoding: the answer's Content-Encoding.

    most: bytes, sent and decompressed. until: a moment of time.monotonic(). cut: give the first `most` bytes of a body
    that is larger, for answers of which only a code is read. Raises TooLarge, Malformed, TooSlow.
    """
    body, sent = bytearray(), 0
    for part in parts if not encoding else _decompressed(parts, encoding, label):
        body += part
        sent += len(part)
        if len(body) > most:
            if cut:
                del body[most:]
                return body
            body.clear()
            raise TooLarge(
                f"The answer to {label} is larger than {most / 1_000_000:.0f} MB.",
                "Choose a smaller page size; if it is small already, ask the SIS's vendor.",
            )
        if time.monotonic() > until:
            body.clear()
            raise TooSlow("", "")
        if len(body) > LARGE and not large.claim(until):
            body.clear()
            raise TooLarge(
                f"The answer to {label} is large, and other large answers filled the memory for too long.",
                "It is tried again at the next sync; a smaller page size helps.",
            )
    return body


def _decompressed(parts: Iterable[bytes], encoding: str, label: str) -> Iterator[bytes]:
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise _broken(label)
    unpacker: zlib._Decompress | None = None
    for part in parts:
        rest = part
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
            if unpacker.eof:  # gzip may be several in a row
                rest, unpacker = unpacker.unused_data, None
    if unpacker is not None:
        while piece := _pending(unpacker):
            yield piece
        if not unpacker.eof:
            raise _broken(label)


def _pending(unpacker: zlib._Decompress) -> bytes:
    """What is ready inside although no more input is left: one step at a time."""
    try:
        return unpacker.decompress(b"", STEP)
    except zlib.error:
        return b""


def _has_no_header(first: bytes, encoding: str) -> bool:
    """Whether a "deflate" body is raw, as some servers send it: no zlib header is a multiple of 31."""
    return encoding == "deflate" and (
        len(first) < 2 or first[0] & 15 != 8 or int.from_bytes(first[:2], "big") % 31 != 0
    )


def _broken(label: str) -> Malformed:
    return Malformed(
        f"The compression of the answer to {label} is broken.", "Ask the SIS's administrator about its web server."
    )
