"""The frames of the core: their columns, and conversions between records, pandas columns and Arrow arrays.

Text is handled as Arrow's large strings, the storage that pandas uses for `str`, so no column is copied on the way.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from roster_pipeline.named_frames import framed
from roster_pipeline.vocabulary import MEMBERSHIP_FIELDS, PERSON_FIELDS, STUDENT_CONTACTS, UNREADABLE

Array = Any
"""An Arrow array; the library ships no types."""
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

TEXT = pa.large_string()
_STR = pd.StringDtype(na_value=np.nan)
_ROLE = pa.struct([(name, TEXT) for name in ("role", "roleType", "org", "beginDate", "endDate")])
_USER_ID = pa.struct([(name, TEXT) for name in ("type", "identifier")])

USER_TEXT = (
    "sourcedId", "status", "dateLastModified", "username", "identifier", "userMasterIdentifier", "givenName",
    "familyName", "middleName", "preferredFirstName", "preferredMiddleName", "preferredLastName", "email", "sms",
    "phone",
)  # fmt: skip
USER_LISTS: dict[str, Any] = {
    "userIds": pa.list_(_USER_ID), "roles": pa.list_(_ROLE), "agents": pa.list_(TEXT), "grades": pa.list_(TEXT),
    "notEnrolled": pa.list_(TEXT), "unreadable": pa.list_(TEXT),
}  # fmt: skip
USER_COLUMNS = (*USER_TEXT, "enabledUser", *USER_LISTS, "metadata")
"""The normalised user record, one column per member. `unreadable`: the names of members that came with a wrong type."""

_DOCUMENT = pa.schema([*((name, TEXT) for name in USER_TEXT), ("enabledUser", pa.bool_()), *USER_LISTS.items()])


class _WithMetadata(msgspec.Struct):
    """`metadata` of a document: its keys are not known in advance."""

    metadata: dict[str, Any] | None = None


_METADATA = msgspec.json.Decoder(_WithMetadata)

ROSTER_COLUMNS = (
    "sourced_id", "record_status", "identity", "conflict", "number_kind", "master_identifier", UNREADABLE,
    *PERSON_FIELDS, *MEMBERSHIP_FIELDS, *STUDENT_CONTACTS,
)  # fmt: skip
"""One row per user record of the snapshot, sorted by `sourced_id`."""

REJECTED_COLUMNS = ("collection", "sourced_id", "field", "rule", "severity", "role")

PLAN_COLUMNS = (
    "row", "action", "reason", "role", "person_id", "sourced_ids", "new_links", "matched_by", "notes", "changes",
    "number_kind", "absent_syncs", "person_revision", "membership_revision", "witness",
)  # fmt: skip
SELDOM = 50_000
"""New containers between two collections: about those of a few pages, so only a few requests' cycles wait."""


def frame_of(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Normalised user records as a frame of `USER_COLUMNS`; a member that a record lacks is missing.

    Lists are Arrow lists (a tenth of the memory of Python's), metadata stays a column of dicts. A plain value of a
    wrong type becomes text, any other is missing: an error of Arrow would quote the value.
    """
    columns: dict[str, Any] = {}
    for name in USER_TEXT:
        columns[name] = column_of(_array([record.get(name) for record in records], TEXT))
    enabled = [record.get("enabledUser") for record in records]
    columns["enabledUser"] = pd.array([flag if isinstance(flag, bool) else None for flag in enabled], dtype="boolean")
    for name, kind in USER_LISTS.items():
        array = _array([record.get(name) for record in records], kind)
        columns[name] = pd.arrays.ArrowExtensionArray(array)
    columns["metadata"] = objects([record.get("metadata") or {} for record in records])
    return framed({name: columns[name] for name in USER_COLUMNS})


def frame_of_documents(documents: bytes) -> pd.DataFrame:
    """As `frame_of`, for records as JSON, one on each line: they become columns without a Python object for each value.
    Documents of another shape than `frame_of` makes columns of go through it."""
    options = pa.json.ParseOptions(explicit_schema=_DOCUMENT, unexpected_field_behavior="ignore")
    blocks = pa.json.ReadOptions(use_threads=False, block_size=len(documents) + 1)
    try:
        table = pa.json.read_json(pa.BufferReader(documents), blocks, options) if documents else _DOCUMENT.empty_table()
        metadata: list[dict[str, Any]] = [{}] * len(table)
        if b'"metadata"' in documents:
            metadata = [_METADATA.decode(line).metadata or {} for line in documents.split(b"\n")]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, msgspec.DecodeError, RecursionError):
        return frame_of([orjson.loads(line) for line in documents.split(b"\n")])
    columns: dict[str, Any] = {name: column_of(one_array(table.column(name))) for name in USER_TEXT}
    columns |= {name: pd.arrays.ArrowExtensionArray(one_array(table.column(name))) for name in USER_LISTS}
    columns["enabledUser"] = table.column("enabledUser").to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
    columns["metadata"] = objects(metadata)
    return framed({name: columns[name] for name in USER_COLUMNS})


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a small frame as dicts, with pandas' values."""
    rows = zip(*(frame[name].tolist() for name in frame.columns), strict=True)
    return [dict(zip(frame.columns, row, strict=True)) for row in rows]


def tally(column: Iterable[Any]) -> Counter[str]:
    """How often each text occurs; missing ones do not count."""
    return Counter(strings(column).drop_null().to_pylist())


def objects(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    """Python values, including lists and dicts, as a column of objects."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def strings(column: Iterable[Any]) -> Array:
    """A column, a list or an Arrow array as one Arrow array of large strings; NaN and None are null."""
    if isinstance(column, pd.Series):
        column = column.array
    if isinstance(column, pd.arrays.ArrowStringArray):
        column = column.__arrow_array__()
    array = one_array(column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(column, from_pandas=True))
    return array if array.type == TEXT else array.cast(TEXT)


def lists(column: pd.Series[Any] | Array) -> Array:
    """A column of Arrow lists, or such an array, as one Arrow list array."""
    return one_array(pa.array(column.array) if isinstance(column, pd.Series) else column)


def one_array(array: Array) -> Array:
    """The chunks of an Arrow array as one. Copies nothing if there is only one; `combine_chunks` always copies."""
    if not isinstance(array, pa.ChunkedArray):
        return array
    return array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()


def column_of(array: Array) -> Any:
    """An Arrow array of strings as pandas' `str` array, without a copy. A frame that is made of arrays, and not of
    series, needs no time to align their indexes."""
    return pd.arrays.ArrowStringArray(array, dtype=_STR)  # type: ignore[call-arg]  # the stubs lag behind


def joined(one: Array, other: Array) -> Array:
    """Two texts as one; missing if either is missing."""
    return pc.binary_join_element_wise(one, other, pa.scalar("\x1f", TEXT))


def taken(array: Array, places: Ints) -> Array:
    """The values at these places; missing at -1. Copies nothing for places in order, or for a column without values."""
    if array.null_count == len(array):
        return pa.nulls(len(places), array.type)
    if not len(places) or (len(places) == len(array) and places[0] == 0 and (np.diff(places) == 1).all()):
        return array[: len(places)]
    return array.take(pa.array(places, mask=places < 0) if (places < 0).any() else pa.array(places))


@contextmanager
def uncollected() -> Iterator[None]:
    """Switches the garbage collector off: a million small lists start it again and again, and none is garbage."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def infrequent_collection() -> Iterator[None]:
    """Within the block, or the decorated function, Python looks for cycles less often. A setting of the whole process.

    Python looks after every 700 new containers, and each time walks through all objects that the libraries keep. This
    took half the time of a pull. A page of 1,000 users has ten thousand containers, and none is ever part of a cycle.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(SELDOM, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def blanks(length: int) -> Array:
    """An array with this many missing strings."""
    return pa.nulls(length, TEXT)


def persons_of(rows: pd.DataFrame) -> Ints:
    """The persons of the rows of a plan; -1 for a new person."""
    persons: Ints = rows["person_id"].to_numpy(dtype=np.int64, na_value=-1)
    return persons


def filled(array: Array) -> Flags:
    """Flags the places at which an Arrow array has a value."""
    return truth(pc.is_valid(array))


def truth(array: Array) -> Flags:
    """An Arrow array of booleans as numpy's; null is false."""
    array = one_array(pc.fill_null(array, False) if array.null_count else array)
    flags: Flags = array.to_numpy(zero_copy_only=False)
    return flags


def positions(wanted: Array, among: Array) -> Ints:
    """For each of `wanted`, its first place in `among`, or -1. Null has no place."""
    places_or_null = pc.index_in(wanted, value_set=among, skip_nulls=True)
    places: Ints = pc.fill_null(places_or_null, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return places


def on_distinct(array: Array, make: Callable[[Array], Array]) -> Array:
    """Apply a slow function of strings to the distinct values only."""
    coded = array.dictionary_encode()
    return make(coded.dictionary).take(coded.indices)


def codes(array: Array) -> tuple[Ints, int]:
    """Equal strings as equal numbers from 0, null as -1; and how many numbers there are."""
    coded = array.dictionary_encode()
    numbers: Ints = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers, len(coded.dictionary)


def repeated(array: Array) -> Flags:
    """Flags values that occur more than once. Null never does."""
    numbers, distinct = codes(array)
    often = np.append(np.bincount(numbers[numbers >= 0], minlength=distinct) > 1, False)
    flags: Flags = often[numbers]
    return flags


def sorted_by(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The frame in order of a text column's bytes; unchanged if it is in order already."""
    keys = strings(frame[name])
    if len(keys) < 2 or bool(pc.all(pc.less_equal(keys[:-1], keys[1:])).as_py()):
        return frame.reset_index(drop=True)
    order = pc.sort_indices(keys).to_numpy()
    return frame.take(order).reset_index(drop=True)


def _array(values: list[Any], kind: Any) -> Array:
    try:
        return pa.array(values, type=kind, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError, TypeError, ValueError):
        return pa.array([_as(kind, value) for value in values], type=kind)


def _as(kind: Any, value: Any) -> Any:
    """A value that did not fit, converted or dropped."""
    if pa.types.is_list(kind):
        return [_as(kind.value_type, item) for item in value] if isinstance(value, list | tuple) else None
    if pa.types.is_struct(kind):
        return {field.name: _as(TEXT, value.get(field.name)) for field in kind} if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) and value == value else None
