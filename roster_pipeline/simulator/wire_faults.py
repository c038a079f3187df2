"""Faults around the data: refusals, limits, outages, delays and damaged bytes."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from time import monotonic, time

from starlette.responses import Response, StreamingResponse

from roster_pipeline.simulator.authorization import Tokens
from roster_pipeline.simulator.days import pass_day
from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.messages import Answer, Call, RequestError, error_payload

PROXY_PAGE = b"<html><head><title>Error</title></head><body><h1>The server is unavailable</h1></body></html>"
LOGIN_PAGE = b"<!DOCTYPE html><html><body><form action='/login'><input name='user'/></form></body></html>"
HTML = "text/html; charset=utf-8"
FOREIGN = [{"SchoolId": "1", "NameId": "77", "DisplayId": "A77"}, {"SchoolId": "1", "NameId": "78", "DisplayId": "A78"}]
JOINERS, LEAVERS = 5, 2
"""How many people join and leave with `data_moves`."""

MEGABYTE = 1 << 20
TICK = 0.05
"""Seconds between two pieces of a slow body."""
DEPTH = 100_000
PADDING = b" " * (64 * 1024)
BODIES: dict[str, Callable[[bytes], bytes]] = {
    "empty_body": lambda _: b"",
    "deep_json": lambda _: b'{"users":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "charset": lambda content: content.decode().encode("latin-1", "replace"),
    "bom": lambda content: b"\xef\xbb\xbf" + content,
    "truncated_json": lambda content: content[: len(content) * 2 // 3],
}
CONTENT_TYPES = {"text": "text/plain", "html": "text/html", "none": None}


def early_answer(faults: Faults, call: Call, at_once: int, tokens: Tokens, district: District) -> Answer | None:
    """An answer instead of the data, if any. at_once: requests in progress, with this one. Some faults end the tokens
    or change the district. Raises RequestError."""
    if faults.on("redirect"):
        return Answer(302, b"", {"Location": faults.text("redirect")})
    if faults.on("foreign_api"):
        return Answer(200, FOREIGN)
    if call.resource in faults.names("not_found") or (faults.on("nested", "off") and len(call.names) > 1):
        raise RequestError(404, "no such path")
    if call.resource in faults.names("forbidden"):
        raise RequestError(403, "not allowed for this application")
    if faults.on("fault_paths") and call.resource not in faults.names("fault_paths"):
        return None
    _throttle(faults, at_once)
    return _outage(faults, call, tokens, district) or _failure(faults)


def _throttle(faults: Faults, at_once: int) -> None:
    too_many = faults.within_first("too_many")
    if faults.on("rate_limit") and not too_many:
        now = monotonic()
        faults.recent = [moment for moment in faults.recent if now - moment < 1]
        too_many = len(faults.recent) >= faults.number("rate_limit")
        if not too_many:
            faults.recent.append(now)
    if too_many or (faults.on("parallel_limit") and at_once > faults.number("parallel_limit")):
        raise RequestError(429, "too many requests", headers=_retry_after(faults))


def _retry_after(faults: Faults) -> dict[str, str]:
    match faults.value("retry_after"):
        case None:
            return {"Retry-After": "1"}
        case "off":
            return {}
        case "date":
            return {"Retry-After": formatdate(time() + 2, usegmt=True)}
        case seconds:
            return {"Retry-After": str(seconds)}


def _outage(faults: Faults, call: Call, tokens: Tokens, district: District) -> Answer | None:
    parameters = dict(call.parameters())
    offset = _whole(parameters.get("offset"), 0)
    if faults.on("server_error"):
        return Answer(faults.number("server_error", 500), PROXY_PAGE, media_type=HTML)
    if faults.within_first("fails_first"):
        return Answer(503, PROXY_PAGE, _retry_after(faults) if faults.on("retry_after") else {}, HTML)
    if faults.on("timeout_above") and _whole(parameters.get("limit"), 100) > faults.number("timeout_above"):
        return Answer(504, PROXY_PAGE, media_type=HTML)
    if faults.on("unauthorized_midway") and faults.count("unauthorized_midway") == faults.number("unauthorized_midway"):
        tokens.revoke_all()
        raise RequestError(401, "token ended")
    if faults.on("unauthorized_after") and faults.count("unauthorized_after") >= faults.number("unauthorized_after"):
        raise RequestError(401, "token ended")
    if faults.on("data_moves") and offset and faults.count("data_moves") == faults.number("data_moves"):
        pass_day(district, joiners=JOINERS, leavers=LEAVERS)
    return None


def _failure(faults: Faults) -> Answer | None:
    if faults.on("negotiate"):
        return Answer(401, b"", {"WWW-Authenticate": "Negotiate"}, HTML)
    if faults.on("html_between") and faults.count("html_between") % faults.number("html_between") == 0:
        return Answer(200, PROXY_PAGE, media_type=HTML)
    if faults.on("html_with_200"):
        return Answer(200, LOGIN_PAGE, media_type=HTML)
    if faults.on("failure_with_200", "status_zero"):
        return Answer(200, {"status": 0, "message": "failed"})
    if faults.on("failure_with_200"):
        return Answer(200, error_payload("1.2", "internal_server_error", "something went wrong"))
    return None


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else default


# bytes


def delay_seconds(faults: Faults, call: Call) -> float:
    """How long this server waits before it answers."""
    milliseconds = float(faults.number("latency"))
    if per_record := faults.number("latency_per_record"):
        milliseconds += _whole(dict(call.parameters()).get("limit"), 100) * per_record / 1000
    return milliseconds / 1000


def respond(faults: Faults, call: Call, answer: Answer) -> Response:
    """The response to send for an answer of the API, with the faults of its bytes."""
    content, headers, media_type = answer.content(), dict(answer.headers), answer.media_type
    if faults.on("fault_paths") and call.resource not in faults.names("fault_paths"):
        return Response(content, answer.status, headers, media_type)
    if faults.on("content_type"):
        return Response(content, answer.status, headers, CONTENT_TYPES[faults.text("content_type")])
    for name, change in BODIES.items():
        content = change(content) if faults.on(name) else content
    if faults.on("gzip"):
        content, headers = gzip.compress(content, 1), headers | {"Content-Encoding": "gzip"}
    body: AsyncIterator[bytes]
    if faults.on("gzip_bomb"):
        headers |= {"Content-Encoding": "gzip"}
        return Response(_bomb(content, faults.number("gzip_bomb")), answer.status, headers, media_type)
    if faults.on("connection_cut"):
        headers["Content-Length"] = str(len(content))
        body = _cut(content[: len(content) // 2])
    elif faults.on("huge_body"):
        body = _padded(content, faults.number("huge_body"))
    elif faults.on("slow_bytes"):
        body = _slow(content, faults.number("slow_bytes"))
    elif faults.on("hangs"):
        body = _hanging(content, faults.number("hangs"))
    else:
        return Response(content, answer.status, headers, media_type)
    return StreamingResponse(body, answer.status, headers, media_type)


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
