"""The standard's status object, in every shape in which servers send it, reduced to its codes.

Only codes of the standard's vocabulary are ever shown: the free text beside them may quote a name from a filter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

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
