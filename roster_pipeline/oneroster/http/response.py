"""A response of the SIS within a bound of memory, and the standard's status object in it.

Two characters of JSON can become an object of a hundred bytes (48 MB of `{},` are 1.2 GB), so the number of values is
estimated before decoding by counting punctuation, which costs far less.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

import httpx

from roster_pipeline.oneroster.errors import TooLarge

_THIS_AGE = range(1990, 2200)
"""Years that a clock can have. Other years would raise errors in calculations and end the sync."""


@dataclass(frozen=True)
class Response:
    """A complete response. body: decompressed, and otherwise as it came. label: what it answers, for messages."""

    status: int
    headers: httpx.Headers
    body: bytes | bytearray
    url: str
    label: str = "our request"

    @property
    def server_time(self) -> datetime | None:
        """The server's clock, from the Date header; None if absent, unreadable, or not of this age."""
        return self.time_in("Date")

    def time_in(self, header: str) -> datetime | None:
        """The time in a header; None if absent, unreadable, without a time zone, or not of this age."""
        try:
            moment = parsedate_to_datetime(self.headers[header])
        except (KeyError, ValueError, TypeError, OverflowError):
            return None
        return moment if moment.tzinfo is not None and moment.year in _THIS_AGE else None

    def is_of_today(self, now: datetime) -> bool:
        """Whether this response is less than a day from our clock, by its Date, and by its Age in a cache."""
        theirs, age = self.server_time, self.headers.get("Age", "")
        cached = float(age) if age.isascii() and age.isdecimal() and len(age) < LONGEST_AGE else 0.0
        return max(cached, 0.0 if theirs is None else abs((theirs - now).total_seconds())) <= MOST_APART


MOST_APART = 86_400.0
"""Seconds. Further from our clock, either a cache answered, or one of the clocks is wrong: then we do not know which
roles have ended."""
LONGEST_AGE = 12
"""Digits of an Age in seconds."""
MOST_DECODED = 256 * 1024 * 1024
"""Bytes that the values of one response may take: about 30,000 unusual users of 1 KB each."""
MOST_STRUCTS = 320 * 1024 * 1024
"""The same for usual users, which are read into a form of fixed size: all that fit into a response."""
MOST_RECORDS = 100_000
"""Records of one response: the largest page size that can be chosen."""
MOST_AHEAD = 64 * 1024 * 1024
"""Bytes of a response that is fetched before its turn: 10,000 usual users."""
UNCOUNTED = 2 * 1024 * 1024
"""Bytes. Values are not counted in bodies up to this size: the worst of them takes about 50 MB."""
MOST_PARTS = 2_000
"""Roles, orgs or agents of one person. A teacher of all classes of a large district has a few hundred."""
_USUAL_GROWTH = 8
_OBJECT, _ARRAY, _VALUE, _MEMBER = 184, 72, 56, 60
_STRUCT = 170


def values_size(body: bytes | bytearray) -> int:
    """Upper estimate of the bytes that a body takes as dicts, lists and strings; a rough guess for a small body."""
    if len(body) <= UNCOUNTED:
        return len(body) * _USUAL_GROWTH
    structure = _OBJECT * body.count(b"{") + _ARRAY * body.count(b"[")
    return len(body) + structure + _VALUE * body.count(b",") + _MEMBER * body.count(b":")


def structs_size(body: bytes | bytearray) -> int:
    """Estimate of the bytes that a body takes as a page of usual users."""
    if len(body) <= UNCOUNTED:
        return len(body) * _USUAL_GROWTH
    return len(body) + _STRUCT * body.count(b"{") + _VALUE * body.count(b",")


def overgrown(records: list[Any]) -> bool:
    """Whether a record has a list with more members than a person can have, which would later take memory again."""
    return any(
        isinstance(value, list | dict) and len(value) > MOST_PARTS
        for record in records
        if isinstance(record, dict)
        for value in record.values()
    )


def too_many_values() -> TooLarge:
    """The error for a response whose values would not fit into memory."""
    return TooLarge(
        "A response of the SIS holds far more values than a page of people does.",
        "Choose a smaller page size; if it is small already, ask the SIS's vendor.",
    )


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
"""Code minor in lower case, without blanks and underscores, to the spelling that we show. Only these are ever shown:
the free text next to a code may quote a person's name from a filter."""

_WRAPPERS = frozenset({"statusinfo", "statusinfoset", "errors", "error", "codeminor", "codeminorfield", "warnings"})
_DEEPEST = 5
HARMLESS = frozenset(("invalid_sort_field", "fullsuccess"))
"""Codes of warnings that do not affect completeness: an unknown sort field gives the default order."""
_PARTIAL = {
    **dict.fromkeys(("partial", "ispartial", "truncated", "istruncated", "incomplete", "isincomplete"), "true"),
    **dict.fromkeys(("complete", "iscomplete", "success", "issuccess", "successful", "ok"), "false"),
}
"""Members that servers put next to a list, each with the truth value that means that the list is not complete."""
_FAILED = frozenset(("error", "failure", "failed", "partial", "incomplete", "timeout"))
"""Texts of a member "status" next to a list that mean the same."""


@dataclass(frozen=True)
class StatusInfo:
    """The standard's status object. failure: the body reports one. warning: it has one that is not harmless.
    unfinished: it says that it is not complete. code: code minor in the standard's spelling, None if absent or unknown.
    """

    failure: bool
    code: str | None
    warning: bool = False
    unfinished: bool = False


def folded(name: object) -> str:
    """A member name or code in lower case, without `imsx_`, blanks and punctuation."""
    text = str(name).lower().removeprefix("imsx_")
    return "".join(letter for letter in text if letter.isalnum())


def read_status(body: Any) -> StatusInfo:
    """The status object in a decoded body, in any shape in which servers send it. Without one it is not a failure."""
    failure = unfinished = False
    severe = listed = harmless = 0
    code: str | None = None
    for name, value in _members(body, 0):
        if name in ("codemajor", "severity") and isinstance(value, str):
            severity = folded(value)
            failure = failure or severity in ("failure", "unsupported", "error")
            severe += severity == "warning"
            unfinished = unfinished or severity == "processing"
        elif name in ("codeminor", "codeminorfieldvalue") and isinstance(value, str):
            minor = MINOR_CODES.get(folded(value))
            code = code or minor
            harmless += minor in HARMLESS
        elif name == "error" and isinstance(value, str | dict) and value:
            failure = True
        elif name in ("warning", "warnings", "errors") and value:
            listed += len(value) if isinstance(value, list) else 1
        elif name in _PARTIAL and isinstance(value, bool | str) and str(value).lower() == _PARTIAL[name]:
            unfinished = True
        elif name == "status" and isinstance(value, str):
            unfinished = unfinished or folded(value) in _FAILED
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
