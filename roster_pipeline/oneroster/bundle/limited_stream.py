"""A stream that ends in a clear error: when it gives more bytes than allowed, or when what feeds it breaks."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import IO, BinaryIO, cast

from roster_pipeline.oneroster.bundle.bundle_errors import BundleBroken, BundleTooLarge

BUFFER_BYTES = 256 * 1024
_BREAKS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
SEND_AGAIN = "Export or send the bundle again, and compare its size with the original."


def too_large(what: str, most: int) -> BundleTooLarge:
    """The error for anything beyond its bound in bytes."""
    return BundleTooLarge(
        f"{what} is larger than the {most // (1024 * 1024)} MB allowed.",
        "Export only what rostering needs (orgs, users, roles), or ask the operator to raise the bound.",
    )


class _LimitedStream(io.RawIOBase):
    def __init__(self, stream: IO[bytes], name: str, most: int) -> None:
        self._stream = stream
        self._name = name
        self._left = most
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            chunk = self._stream.read(len(buffer))
        except _BREAKS as problem:
            raise BundleBroken(
                f"{self._name} is damaged or cut short ({type(problem).__name__}).", SEND_AGAIN
            ) from None
        self._left -= len(chunk)
        if self._left < 0:
            raise too_large(self._name, self._most)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def limited_stream(stream: IO[bytes], name: str, most: int) -> BinaryIO:
    """The stream, buffered; raises BundleTooLarge beyond `most` bytes and BundleBroken where reading fails."""
    return cast(BinaryIO, io.BufferedReader(_LimitedStream(stream, name, most), BUFFER_BYTES))
