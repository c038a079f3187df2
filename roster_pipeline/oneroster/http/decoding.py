"""From bytes to JSON values: fast where the answer is what the standard says, patient where it is not."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import orjson

from roster_pipeline.oneroster.errors import Malformed, NotOneRoster, TooLarge
from roster_pipeline.oneroster.http.decoded_size import MOST_DECODED, values_size

if TYPE_CHECKING:
    from roster_pipeline.oneroster.http.response import Response

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CHARSET = re.compile(r"charset=[\"']?([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_JSON_STARTS = b'{["'
MOST_PATIENT = 32 * 1024 * 1024
"""Bytes that are read patiently: as text they can take four times as much."""


def decoded(reply: Response) -> Any:
    """The JSON value of a reply, whatever its content type says. Raises NotOneRoster where it is not even JSON.

    A strict parser first; then one that takes what sloppy servers write: lone surrogates, NaN, control characters in
    texts, Windows-1252, a byte order mark. An answer that starts as JSON and breaks off is `Malformed` (and retryable).
    An answer whose values would take too much memory is `TooLarge`, before anything of it is decoded.
    """
    if values_size(reply.body) > MOST_DECODED:
        raise too_many_values()
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return _patiently(reply)


def too_many_values() -> TooLarge:
    """The error for an answer that would not fit into memory."""
    return TooLarge(
        "An answer of the SIS holds far more values than a page of people does.",
        "Choose a smaller page size; if it is small already, ask the SIS's vendor.",
    )


def _patiently(reply: Response) -> Any:
    body = reply.body
    if len(body) > MOST_PATIENT:
        raise too_many_values()
    stated = _CHARSET.search(reply.headers.get("Content-Type", ""))
    encoding = stated[1] if stated else "utf-8"
    for mark, named in _BOMS:
        if body.startswith(mark):
            body, encoding = body[len(mark) :] if named == "utf-8" else body, named
    try:
        text = body.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        text = body.decode("windows-1252", errors="replace")
    start = text.lstrip()[:1]
    if start and start.encode("utf-8", errors="replace") not in _JSON_STARTS:
        raise NotOneRoster(
            "The address of the SIS answers with something other than JSON (a web page, perhaps).",
            "This is not a OneRoster API. Check the URL, and whether the SIS's OneRoster module is switched on.",
        )
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        raise Malformed(
            "The SIS sent an empty, broken or cut-off answer.",
            "It is tried again at the next sync; if it lasts, ask the SIS's administrator.",
        ) from None
