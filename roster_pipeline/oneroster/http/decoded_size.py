"""How much memory a JSON text may take once it is decoded, told before it is decoded.

A value of two characters can become an object of a hundred bytes: 48 MB of `{},` are 1.2 GB. Counting the punctuation
of the text bounds the number of values, and costs far less than decoding them.
"""

from __future__ import annotations

from typing import Any

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
