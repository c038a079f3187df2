"""Single values of a payload, read with forgiveness: the value where its meaning is certain, `UNREADABLE` where not.

Absent, null, blank and the texts that databases write for null are all None.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

UNREADABLE: Final = object()
"""Something was there, but not anything that could mean a value of this kind."""

NULL_TEXTS = frozenset(("NULL", "null", "Null", "NONE", "None", "none", "N/A", "n/a", "NA", "(null)", "undefined", "-"))
"""Texts that stand for nothing in an e-mail, a number or a phone. In a name they may be a name."""

ID_NULLS = frozenset(("NULL", "null", "undefined"))
"""Texts that are no id. Ids are opaque, so a short odd one may well be one."""

NOT_IDS = ID_NULLS | {""}

NO_TEXTS: frozenset[str] = frozenset()

_TRUE = frozenset(("true", "1", "yes", "y", "t", "on"))
_FALSE = frozenset(("false", "0", "no", "n", "f", "off"))
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_BREAKS = re.compile(r"[\t\r\n\x85\u2028\u2029]+")
_ISO_DATE = re.compile(r"^(\d{4})-?(\d{2})-?(\d{2})(?:$|[T ])")
_AROUND_IDS = " \t\"'[]{}()"
_REFERENCE_NAMES = ("sourcedId", "sourcedid", "sourcedID", "SourcedId", "sourced_id", "id")
_ADDRESS = re.compile(r"(?:://|^~?/).*/(?:orgs|schools|users|students|teachers|classes)/([^/?#]+)/?(?:[?#].*)?$", re.I)
"""The address of a single object of the standard; its last part is the object's id."""


def text(value: Any, nulls: frozenset[str] = NULL_TEXTS) -> Any:
    """A text without outer blanks, or None, or UNREADABLE. Numbers become text; a list of one stands for its item."""
    if type(value) is str:
        if not value.isprintable():
            value = _BREAKS.sub(" ", _UNSTORABLE.sub("", value))
        value = value.strip()
        return None if not value or value in nulls else value
    if value is None or value == [] or value == {}:
        return None
    if isinstance(value, bool):
        return UNREADABLE
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else UNREADABLE
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], list):
        return text(value[0], nulls)
    return UNREADABLE


def boolean(value: Any) -> Any:
    """True, False, None for unknown or absent; UNREADABLE for what is there and no boolean. Unknown is not false."""
    if value is True or value is False or value is None:
        return value
    if isinstance(value, int | float):
        return {1: True, 0: False}.get(int(value), UNREADABLE) if value in (0, 1) else UNREADABLE
    read = text(value)
    if not isinstance(read, str):
        return read
    lowered = read.lower()
    if lowered in _TRUE:
        return True
    return False if lowered in _FALSE else UNREADABLE


def day(value: Any) -> Any:
    """A calendar date as YYYY-MM-DD; a time behind it is dropped. Other spellings are UNREADABLE, not guessed."""
    return _day(value) if type(value) is str else _other_day(value)


def _other_day(value: Any) -> Any:
    read = text(value)
    return _day(read) if isinstance(read, str) else read


@lru_cache(maxsize=4096)
def _day(written: str) -> Any:
    """The few dates of a school year come back for every person."""
    read = text(written)
    if read is None:
        return None
    match = _ISO_DATE.match(read)
    if not match:
        return UNREADABLE
    try:
        return date(int(match[1]), int(match[2]), int(match[3])).isoformat()
    except ValueError:
        return UNREADABLE


def reference(value: Any) -> Any:
    """The sourcedId of a reference: an object, a bare text or number, or a list of one.

    An `href`, or an address in place of the id, is never fetched; its last part is the id where nothing else is.
    """
    if type(value) is dict:
        for name in _REFERENCE_NAMES:
            if value.get(name) is not None:
                return text(value[name], ID_NULLS)
        for name, member in value.items():
            if member is not None and str(name).lower().endswith("sourcedid"):
                return text(member, ID_NULLS)
        href = value.get("href")
        return (_addressed(href) or UNREADABLE) if href else None
    if isinstance(value, list):
        if not value:
            return None
        return reference(value[0]) if len(value) == 1 else UNREADABLE
    return _addressed(value) or text(value, ID_NULLS)


def references(value: Any, separators: str = "") -> tuple[list[str], bool]:
    """The sourcedIds of a list of references, each once; and whether everything in it could be read.

    separators: what separates the ids where one text holds several. Without any, such a text stays whole, for a caller
    who knows which ids there are.
    """
    found: dict[str, None] = {}
    whole = True
    for item in listed(value):
        read = reference(item)
        if read is UNREADABLE:
            whole = False
        elif read is not None:
            several = separators and type(item) is str and any(one in read for one in separators + _AROUND_IDS)
            found.update(dict.fromkeys(split_ids(read, separators) if several else [read]))
    return list(found), whole


def split_ids(written: str, separators: str = ",;|") -> list[str]:
    """The ids in one text that may list several: without separators, brackets, quotes and blanks around each."""
    parts = re.split(f"[{separators}]", written)
    return list(dict.fromkeys(part for part in (one.strip(_AROUND_IDS) for one in parts) if part not in NOT_IDS))


def _addressed(value: Any) -> str | None:
    """The id at the end of an address; None for a text that is none."""
    match = _ADDRESS.search(value.strip()) if isinstance(value, str) and "/" in value else None
    return (unquote(match[1]).strip() or None) if match else None


def listed(value: Any) -> list[Any]:
    """A list, where a server may send one object, one value, null, or an object of numbered entries."""
    if type(value) is list:
        return value
    if value is None or value == "" or value == {}:
        return []
    if isinstance(value, dict) and value and all(isinstance(key, str) and key.isdecimal() for key in value):
        return list(value.values())
    return [value]


def texts(value: Any) -> tuple[list[str], bool]:
    """A list of texts, also from a comma-separated one; and whether everything in it could be read."""
    whole = True
    found: list[str] = []
    for entry in listed(value):
        parts = entry.split(",") if isinstance(entry, str) else [entry]
        for part in parts:
            read = text(part)
            if read is UNREADABLE:
                whole = False
            elif read is not None and read not in found:
                found.append(read)
    return found, whole
