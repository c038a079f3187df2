"""Receives and decompresses the body of a response in small steps, so that no server decides how much memory we use.

Both the received and the decompressed bytes are bounded. Only one large body at a time is in memory, over all requests
of the process. A refused body is freed before the error is raised, because an exception keeps all variables of its
frames alive.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from types import TracebackType

from roster_pipeline.oneroster.errors import Malformed, TooLarge, TooSlow

STEP = 256 * 1024
"""Bytes that one step of decompression may produce. A received kilobyte can become a megabyte."""
LARGE = 6 * 1024 * 1024
"""Bytes. Larger bodies wait for each other. A page of 1,000 users is about 1 MB."""
_ANY_HEADER, _RAW = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS

_large_bodies = threading.Lock()


class LargeBody:
    """The right to hold a large body while it is received and decoded. The end of `with` releases it."""

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
        """Wait for the right until this moment of time.monotonic(). False if it was not free in time."""
        if not self._held:
            self._held = _large_bodies.acquire(timeout=max(0.0, min(until - time.monotonic(), threading.TIMEOUT_MAX)))
        return self._held


def read_body(
    parts: Iterable[bytes], encoding: str, label: str, most: int, *, until: float, large: LargeBody, cut: bool = False
) -> bytearray:
    """The content of `parts`, decompressed. encoding: the Content-Encoding of the response, "" for none.

    most: bytes after decompression. until: a moment of time.monotonic(). cut: return the first `most` bytes of a larger
    body, for responses of which only an error code is read. Raises TooLarge, Malformed, TooSlow.
    """
    body = bytearray()
    for part in parts if not encoding else _decompressed(parts, encoding, label):
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
