"""The first look at a file: read once from end to end, before a single row of it is believed.

It proves that the file can be read in full (a zip's checksums included), tells the alphabet it is written in, and takes
its fingerprint. Rows are streamed only afterwards, so a damaged bundle fails before anything is handed on.
"""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass

from roster_pipeline.oneroster.bundle.bundle_errors import WrongEncoding
from roster_pipeline.oneroster.bundle.limited_stream import BUFFER_BYTES
from roster_pipeline.oneroster.bundle.opened_bundle import Member

UTF_8 = "utf-8-sig"
WINDOWS_1252 = "cp1252"
REPLACEMENT = "�"
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Preflight:
    """bytes: read. encoding: Python's name. damaged: some characters cannot be told; they come as U+FFFD.

    ends_with_break: the last line is a whole one. digest: SHA-256 of the bytes.
    """

    bytes: int
    encoding: str
    damaged: bool
    ends_with_break: bool
    digest: str


def preflight(member: Member) -> Preflight:
    """Read a file to its end. Raises BundleBroken, BundleTooLarge or WrongEncoding.

    What is not valid UTF-8 is Windows-1252, unless most of its non-ASCII characters are valid UTF-8: then it is UTF-8
    with damage, and reading it as Windows-1252 would garble every accented name of the district.
    """
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    total = valid = invalid = unknown_1252 = 0
    last = b""
    with member.open() as stream:
        while chunk := stream.read(BUFFER_BYTES):
            if total == 0 and (chunk.startswith(_UTF_16_MARKS) or b"\0" in chunk[:64]):
                raise WrongEncoding(f"{member.name} is written in UTF-16.", "Export it in UTF-8.")
            total += len(chunk)
            last = chunk[-1:]
            digest.update(chunk)
            try:
                valid += 0 if (text := decoder.decode(chunk)).isascii() else _not_ascii(text)
            except UnicodeDecodeError:
                decoder.reset()
                good, bad = _weighed(chunk)
                valid, invalid = valid + good, invalid + bad
            unknown_1252 += sum(map(chunk.count, (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")))
    if _is_open(decoder):
        invalid += 1
    if invalid == 0:
        return Preflight(total, UTF_8, False, last in (b"\n", b"\r", b""), digest.hexdigest())
    encoding = UTF_8 if valid > invalid else WINDOWS_1252
    damaged = encoding == UTF_8 or unknown_1252 > 0
    return Preflight(total, encoding, damaged, last in (b"\n", b"\r"), digest.hexdigest())


def _not_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


def _weighed(chunk: bytes) -> tuple[int, int]:
    """Characters beyond ASCII that are valid UTF-8, and places that are not."""
    text = chunk.decode("utf-8", "replace")
    bad = text.count(REPLACEMENT)
    return _not_ascii(text) - bad, bad


def _is_open(decoder: codecs.IncrementalDecoder) -> bool:
    """Whether the file ends inside a character."""
    return bool(decoder.getstate()[0])
