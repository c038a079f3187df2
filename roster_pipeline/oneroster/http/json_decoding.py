"""Decodes the JSON of a response: fast if it follows the standard, leniently if it does not."""

import json
import re
from contextlib import suppress
from typing import Any

import orjson

from roster_pipeline.oneroster.errors import Malformed, NotOneRoster
from roster_pipeline.oneroster.http.response import MOST_DECODED, Response, too_many_values, values_size

REPLACEMENT = "\ufffd"
"""Stands for a letter that nobody can read, as in Unicode."""
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CHARSET = re.compile(r"charset=[\"']?((?:utf|iso|latin|windows|cp|us-ascii|shift|euc|gb|big5)[\w.:-]*)", re.IGNORECASE)
"""Character sets of web servers. Other codecs of Python fail in ways of their own, or take too long on a long text:
`undefined`, `idna`, `punycode`."""
_OFTEN_WRONG = ("utf-8", "utf8", "iso-8859", "latin", "windows-125", "cp125", "us-ascii")
"""Beginnings of character sets that web servers state by default. They count only if a body is not in UTF-8."""
_JSON_STARTS = b'{["'
DEEPEST_VALUE = 100
"""Lists and objects inside each other; a user of the standard has four."""
_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
LONG_NUMBER = 4_000
"""Digits. Python refuses to read a longer integer, which would cost the whole page."""
MOST_LENIENT = 32 * 1024 * 1024
"""Bytes of a body that is decoded leniently: as text it can take four times as much."""


def decoded(response: Response, *, exact: bool = False) -> Any:
    """The JSON value of a response, with any content type. exact: also integers above 64 bits, which are floats
    otherwise.

    Tries a strict parser first, then a lenient one that accepts what faulty servers write: lone surrogates, NaN,
    control characters in texts, very deep values, Windows-1252, a byte order mark. Raises NotOneRoster if the body is
    not JSON, Malformed (retryable) if it starts as JSON and breaks off, and TooLarge, before decoding, if its values
    would take too much memory.
    """
    if values_size(response.body) > MOST_DECODED:
        raise too_many_values()
    try:
        return _leniently(response) if exact else orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return _leniently(response)


def _leniently(response: Response) -> Any:
    body = response.body
    if len(body) > MOST_LENIENT:
        raise too_many_values()
    text = _as_text(body, _CHARSET.search(response.headers.get("Content-Type", "")))
    start = text.lstrip()[:1]
    if start and start.encode("utf-8", errors="replace") not in _JSON_STARTS:
        raise NotOneRoster(
            "The address of the SIS answers with something other than JSON (perhaps a web page).",
            "This is not a OneRoster API. Check the URL, and whether the SIS's OneRoster module is switched on.",
        )
    try:
        try:
            return json.loads(text, strict=False, parse_int=_whole_number)
        except RecursionError:
            return json.loads(_flatter(text), strict=False, parse_int=_whole_number)
    except (ValueError, RecursionError):
        raise Malformed(
            f"The SIS sent an empty, broken or cut-off response to {response.label}.",
            "It is tried again at the next sync; if it lasts, ask the SIS's administrator.",
        ) from None


def _as_text(body: bytes | bytearray, stated: re.Match[str] | None) -> str:
    """A body as text. stated: its character set.

    If most letters outside ASCII are UTF-8, the others are unknown (U+FFFD): one damaged name must not garble all other
    names and ids of its page. Otherwise the body is in the stated character set, or in Windows-1252. CSV files are read
    in the same way.
    """
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body.decode(name, errors="replace")
    encoding = stated[1] if stated else "utf-8"
    if not encoding.lower().startswith(_OFTEN_WRONG):
        with suppress(UnicodeError, LookupError):
            return body.decode(encoding)
    text = body.decode("utf-8", errors="replace")
    lost = text.count(REPLACEMENT)
    if lost and count_not_ascii(text) <= 2 * lost:
        with suppress(UnicodeError, LookupError):
            return body.decode(encoding)
        return body.decode("windows-1252", errors="replace")
    return text


def count_not_ascii(text: str) -> int:
    """How many characters of a text are outside ASCII."""
    return len(text) - len(text.encode("ascii", "ignore"))


def _whole_number(digits: str) -> int | float:
    """An integer, or a float if it is too long."""
    return int(digits) if len(digits) < LONG_NUMBER else float(digits)


def _flatter(text: str) -> str:
    """JSON with an empty list for each value deeper than DEEPEST_VALUE, so that one absurd record does not cost the
    whole page."""
    parts: list[str] = []
    depth = end = 0
    for token in _STRUCTURE.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            if depth == DEEPEST_VALUE + 1:
                parts += (text[end : token.start()], "[]")
        elif token[0] in ("]", "}"):
            depth -= 1
            if depth == DEEPEST_VALUE:
                end = token.end()
    return "".join(parts) + text[end:]
