"""The student or staff number: where this connection keeps it, and as which text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.null_values import without_null_words
from roster_pipeline.frames import TEXT, Array, blanks, lists, on_distinct, strings

STUDENT, STAFF = "student", "staff"
_USER_IDS, _METADATA = "userIds:", "metadata:"
_ZEROS = r"^0+$"
"""Zeros alone are a filled-in form. Otherwise leading zeros count: numbers are text."""


def numbers_from(users: pd.DataFrame, source: str) -> Array:
    """The numbers of the records by a connection's setting.

    source: identifier, sourcedId, username, userMasterIdentifier, userIds:TYPE (first of that type, any case) or
    metadata:KEY.
    """
    if source.startswith(_USER_IDS):
        raw = _of_type(users["userIds"], source.removeprefix(_USER_IDS))
    elif source.startswith(_METADATA):
        raw = metadata_text(users["metadata"], source.removeprefix(_METADATA))
    else:
        raw = strings(users[source])
    cleaned = without_null_words(raw)
    return on_distinct(cleaned, lambda some: pc.if_else(pc.match_substring_regex(some, pattern=_ZEROS), None, some))


def metadata_text(column: pd.Series[Any], key: str) -> Array:
    """One metadata key of each record as text; lists and objects are no values."""
    return pa.array([_plain(found, key) for found in column], TEXT)


def _plain(found: Any, key: str) -> str | None:
    value = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _of_type(column: pd.Series[Any], wanted: str) -> Array:
    ids = lists(column)
    owners = pc.list_parent_indices(ids)
    flat = pc.list_flatten(ids)
    kinds, identifiers = pc.struct_field(flat, "type"), pc.struct_field(flat, "identifier")
    right = pc.fill_null(pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(kinds)), wanted.strip().lower()), False)
    right = pc.and_(right, pc.is_valid(identifiers))
    owners, identifiers = owners.filter(right), identifiers.filter(right)
    if not len(owners):
        return blanks(len(ids))
    return identifiers.take(pc.index_in(pa.array(range(len(ids)), owners.type), value_set=owners)).cast(TEXT)
