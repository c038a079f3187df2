"""The standard's status object, in every shape in which servers send it, reduced to its codes.

Only codes of the standard's vocabulary are ever shown: the free text beside them may quote a name from a filter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class StatusInfo:
    """failure: the body reports one. code: code minor in the standard's spelling, None if absent or unknown."""

    failure: bool
    code: str | None


def folded(name: object) -> str:
    """A member name or code without `imsx_`, case, blanks and punctuation."""
    text = str(name).lower().removeprefix("imsx_")
    return "".join(letter for letter in text if letter.isalnum())


def read_status(body: Any) -> StatusInfo:
    """Look for a status object in a decoded body; a body without one is not a failure."""
    failure = False
    code: str | None = None
    for name, value in _members(body, 0):
        if name in ("codemajor", "severity") and isinstance(value, str):
            failure = failure or folded(value) in ("failure", "unsupported", "error")
        elif name in ("codeminor", "codeminorfieldvalue") and isinstance(value, str):
            code = code or MINOR_CODES.get(folded(value))
        elif name == "error" and isinstance(value, str | dict) and value:
            failure = True
    return StatusInfo(failure, code)


def _members(body: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _DEEPEST:
        return
    if isinstance(body, list):
        for entry in body[:10]:
            yield from _members(entry, depth + 1)
    elif isinstance(body, dict):
        for key, value in list(body.items())[:50]:
            name = folded(key)
            yield name, value
            if name in _WRAPPERS and isinstance(value, dict | list):
                yield from _members(value, depth + 1)
