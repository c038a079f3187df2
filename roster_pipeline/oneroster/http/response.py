"""A response of the SIS: its bytes decoded to JSON within a bound of memory, and the standard's status object in it.

Decoding is fast where the response follows the standard, and lenient where it does not. Two characters of JSON can
become an object of a hundred bytes (48 MB of `{},` are 1.2 GB), so the number of values is estimated first by counting
punctuation, which costs far less than decoding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

import httpx
import orjson

from roster_pipeline.oneroster.errors import Malformed, NotOneRoster, TooLarge


@dataclass(frozen=True)
class Response:
    """A complete answer. `body` is decoded from any transfer compression, but otherwise as it came."""

    status: int
    headers: httpx.Headers
    body: bytes | bytearray
    url: str

    @property
    def server_time(self) -> datetime | None:
        """The server's own clock, from the Date header."""
        try:
            return parsedate_to_datetime(self.headers["Date"])
        except (KeyError, ValueError, TypeError):
            return None


MOST_DECODED = 256 * 1024 * 1024
"""Bytes that the values of one answer may take: about 30,000 unusual users of 1 KB each."""
MOST_STRUCTS = 320 * 1024 * 1024
"""The same for usual users, which are read into a form of fixed size: all that fit into an answer."""
MOST_RECORDS = 100_000
"""Records of one answer: the largest page size that can be chosen."""
MOST_AHEAD = 64 * 1024 * 1024
"""What an answer may take that waits for its turn while others are read: 10,000 usual users."""
USUAL_USER = 3_000
"""Bytes that a usual user takes once it is read, about."""
UNCOUNTED = 2 * 1024 * 1024
"""Texts up to this are not counted: the worst of them takes some 50 MB."""
MOST_PARTS = 2_000
"""Roles, orgs or agents of one person. A teacher of all classes of a large district has some hundreds."""
_USUAL_GROWTH = 8
_OBJECT, _ARRAY, _VALUE, _MEMBER = 184, 72, 56, 60
_STRUCT = 170


def values_size(body: bytes | bytearray) -> int:
    """Bytes that the text takes as dicts, lists and texts, at most by and large; of a small one a rough guess."""
    if len(body) <= UNCOUNTED:
        return len(body) * _USUAL_GROWTH
    structure = _OBJECT * body.count(b"{") + _ARRAY * body.count(b"[")
    return len(body) + structure + _VALUE * body.count(b",") + _MEMBER * body.count(b":")


def structs_size(body: bytes | bytearray) -> int:
    """Bytes that the text takes as a page of usual users."""
    if len(body) <= UNCOUNTED:
        return len(body) * _USUAL_GROWTH
    return len(body) + _STRUCT * body.count(b"{") + _VALUE * body.count(b",")


def overgrown(records: list[Any]) -> bool:
    """Whether a record has a list of more members than any person has; what is made of them takes memory, too."""
    return any(
        isinstance(value, list | dict) and len(value) > MOST_PARTS
        for record in records
        if isinstance(record, dict)
        for value in record.values()
    )


_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CHARSET = re.compile(r"charset=[\"']?([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_JSON_STARTS = b'{["'
MOST_PATIENT = 32 * 1024 * 1024
"""Bytes that are read patiently: as text they can take four times as much."""


def decoded(response: Response) -> Any:
    """The JSON value of a response, whatever its content type says. Raises NotOneRoster where it is not even JSON.

    A strict parser first; then one that takes what sloppy servers write: lone surrogates, NaN, control characters in
    texts, Windows-1252, a byte order mark. An answer that starts as JSON and breaks off is `Malformed` (and retryable).
    An answer whose values would take too much memory is `TooLarge`, before anything of it is decoded.
    """
    if values_size(response.body) > MOST_DECODED:
        raise too_many_values()
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return _patiently(response)


def too_many_values() -> TooLarge:
    """The error for an answer that would not fit into memory."""
    return TooLarge(
        "An answer of the SIS holds far more values than a page of people does.",
        "Choose a smaller page size; if it is small already, ask the SIS's vendor.",
    )


def _patiently(response: Response) -> Any:
    body = response.body
    if len(body) > MOST_PATIENT:
        raise too_many_values()
    stated = _CHARSET.search(response.headers.get("Content-Type", ""))
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


MINOR_CODES = {
    "fullsuccess": "fullsuccess",
    "invalidsortfield": "invalid_sort_field",
    "invalidselectionfield": "invalid_selection_field",
    "invalidblankselectionfield": "invalid_blank_selection_field",
    "invalidfilterfield": "invalid_filter_field",
    "invaliddata": "invaliddata",
    "unauthorisedrequest": "unauthorisedrequest",
    "unauthorizedrequest": "unauthorisedrequest",
    "unauthorized": "unauthorisedrequest",
    "unauthorised": "unauthorisedrequest",
    "forbidden": "forbidden",
    "serverbusy": "server_busy",
    "unknownobject": "unknownobject",
    "internalservererror": "internal_server_error",
    "linkfailure": "linkfailure",
    "unsupportedoperation": "unsupportedoperation",
    "deletefailure": "deletefailure",
    "targetreadfailure": "targetreadfailure",
}
"""Code minor without blanks, underscores and case, to the spelling we show."""

_WRAPPERS = frozenset({"statusinfo", "statusinfoset", "errors", "error", "codeminor", "codeminorfield", "warnings"})
_DEEPEST = 5
HARMLESS = frozenset(("invalid_sort_field", "fullsuccess"))
"""Codes of warnings that say nothing about whether everybody came: an unknown sort field gives the default order."""
_PARTIAL = {
    **dict.fromkeys(("partial", "ispartial", "truncated", "istruncated", "incomplete", "isincomplete"), True),
    **dict.fromkeys(("complete", "iscomplete"), False),
}
"""Members that servers put beside a list, to the value with which they say that it is not all."""


@dataclass(frozen=True)
class StatusInfo:
    """failure: the body reports one. warning: it carries one that is not harmless. unfinished: it calls itself a part.
    code: code minor in the standard's spelling, None if absent or unknown."""

    failure: bool
    code: str | None
    warning: bool = False
    unfinished: bool = False


def folded(name: object) -> str:
    """A member name or code without `imsx_`, case, blanks and punctuation."""
    text = str(name).lower().removeprefix("imsx_")
    return "".join(letter for letter in text if letter.isalnum())


def read_status(body: Any) -> StatusInfo:
    """Look for a status object in a decoded body; a body without one is not a failure."""
    failure = unfinished = False
    severe = listed = harmless = 0
    code: str | None = None
    for name, value in _members(body, 0):
        if name in ("codemajor", "severity") and isinstance(value, str):
            said = folded(value)
            failure = failure or said in ("failure", "unsupported", "error")
            severe += said == "warning"
            unfinished = unfinished or said == "processing"
        elif name in ("codeminor", "codeminorfieldvalue") and isinstance(value, str):
            known = MINOR_CODES.get(folded(value))
            code = code or known
            harmless += known in HARMLESS
        elif name == "error" and isinstance(value, str | dict) and value:
            failure = True
        elif name in ("warning", "warnings") and value:
            listed += len(value) if isinstance(value, list) else 1
        elif isinstance(value, bool) and _PARTIAL.get(name) is value:
            unfinished = True
    return StatusInfo(failure, code, max(severe, listed) > harmless, unfinished)


def _members(body: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _DEEPEST:
        return
    if isinstance(body, list):
        for entry in body[:10]:
            yield from _members(entry, depth + 1)
    elif isinstance(body, dict):
        for key, value in islice(body.items(), 50):
            name = folded(key)
            yield name, value
            if name in _WRAPPERS and isinstance(value, dict | list):
                yield from _members(value, depth + 1)
