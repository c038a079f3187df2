"""From a reply to bytes on the wire, and the ways in which bytes get lost, late, too many or misspelled."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from roster_pipeline.simulator.call import Answer, Call
from roster_pipeline.simulator.sis import Sis

MEGABYTE = 1 << 20
TICK = 0.05
"""Seconds between two pieces of a slow body."""
DEPTH = 100_000
PADDING = b" " * (64 * 1024)
CONTENT_TYPES = {"text": "text/plain", "html": "text/html", "none": None}


def delay_seconds(sis: Sis, call: Call, at_once: int) -> float:
    """How long this server makes one wait before it answers."""
    faults = sis.faults
    milliseconds = float(faults.number("latency"))
    if faults.on("latency_per_record"):
        limit = dict(call.parameters()).get("limit", "100")
        milliseconds += int(limit) * faults.number("latency_per_record") / 1000 if limit.isdecimal() else 0
    milliseconds += (at_once - 1) * faults.number("latency_parallel")
    return milliseconds / 1000


def respond(sis: Sis, call: Call, reply: Answer) -> Response:
    """The response that is sent for a reply of the API, with the faults of its bytes."""
    faults = sis.faults
    content, headers, media_type = reply.content(), dict(reply.headers), reply.media_type
    if faults.on("fault_paths") and call.resource not in faults.names("fault_paths"):
        return Response(content, reply.status, headers, media_type)
    if faults.on("content_type"):
        kind = CONTENT_TYPES[faults.text("content_type")]
        return Response(content, reply.status, headers, kind)
    if faults.on("empty_body"):
        content = b""
    if faults.on("deep_json"):
        content = b'{"users":' + b"[" * DEPTH + b"]" * DEPTH + b"}"
    if faults.on("charset"):
        content = content.decode().encode("latin-1", "replace")
    if faults.on("bom"):
        content = b"\xef\xbb\xbf" + content
    if faults.on("truncated_json"):
        content = content[: len(content) * 2 // 3]
    if faults.on("gzip"):
        content, headers = gzip.compress(content, 1), headers | {"Content-Encoding": "gzip"}
    if faults.on("gzip_bomb"):
        headers |= {"Content-Encoding": "gzip"}
        return Response(_bomb(content, faults.number("gzip_bomb")), reply.status, headers, media_type)
    if faults.on("connection_cut"):
        half = content[: len(content) // 2]
        headers["Content-Length"] = str(len(content))
        return StreamingResponse(_cut(half), reply.status, headers, media_type)
    if faults.on("huge_body"):
        return StreamingResponse(_padded(content, faults.number("huge_body")), reply.status, headers, media_type)
    if faults.on("slow_bytes"):
        return StreamingResponse(_slow(content, faults.number("slow_bytes")), reply.status, headers, media_type)
    if faults.on("hangs"):
        return StreamingResponse(_hanging(content, faults.number("hangs")), reply.status, headers, media_type)
    return Response(content, reply.status, headers, media_type)


async def _slow(content: bytes, per_second: int) -> AsyncIterator[bytes]:
    size = max(1, int(per_second * TICK))
    for start in range(0, len(content), size):
        yield content[start : start + size]
        await asyncio.sleep(size / per_second)


async def _hanging(content: bytes, seconds: int) -> AsyncIterator[bytes]:
    yield content[:1]
    await asyncio.sleep(seconds)
    yield content[1:]


async def _padded(content: bytes, megabytes: int) -> AsyncIterator[bytes]:
    """Blanks between the first byte and the rest: valid JSON of any size."""
    yield content[:1]
    for _ in range(megabytes * MEGABYTE // len(PADDING)):
        yield PADDING
    yield content[1:]


async def _cut(half: bytes) -> AsyncIterator[bytes]:
    yield half
    await asyncio.sleep(0)
    raise ConnectionAbortedError


def _bomb(content: bytes, megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    blanks = b" " * MEGABYTE
    packed = [packer.compress(content[:1])]
    packed.extend(packer.compress(blanks) for _ in range(megabytes))
    return b"".join([*packed, packer.compress(content[1:]), packer.flush()])
