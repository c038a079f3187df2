"""COPY in both directions: whole frames into tables and out of queries, the fastest way PostgreSQL has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from struct import pack
from typing import Any, Literal, cast

import msgspec
import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from psycopg import sql
from sqlalchemy import ARRAY, BigInteger, Boolean, Connection, Integer, Table
from sqlalchemy.dialects.postgresql import JSONB

from roster_pipeline.named_frames import framed

Kind = Literal["text", "int", "bool", "json"]

TOGETHER = 4096
"""How many documents or rows are sent as one value. A value may have at most 1 GB."""
DOCUMENTS = """
copy (
    select string_agg(payload::text, E'\\n'), string_agg(int8send(id), ''::bytea)
    from ({inner}) d group by id / {together}
) to stdout (format binary)
"""
ROWS = """
copy (
    select string_agg(line, E'\\n' order by place) from (
        select row_number() over () as place, row(null, q.*, null)::text as line from ({inner}) q
    ) listed group by place / {together} order by place / {together}
) to stdout (format binary)
"""
"""PostgreSQL writes a row almost like CSV, but in parentheses, which the two empty values keep away."""

TEXT = 25
"""PostgreSQL's number of the type text."""
_NO_TEXTS = pack(">4i", 12, 0, 0, TEXT)
_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"

_ARROW = {"text": pa.large_string(), "int": pa.int64(), "bool": pa.bool_(), "json": pa.large_string()}
_STR = pd.StringDtype(na_value=np.nan)
_TEXT_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": None})


def driver(conn: Connection) -> psycopg.Connection[Any]:
    """The driver's connection that SQLAlchemy uses: the same session and the same transaction."""
    return cast("psycopg.Connection[Any]", conn.connection.driver_connection)


def escaped(value: str) -> str:
    """A value for COPY's text format. NUL is left out, because PostgreSQL cannot store it."""
    return value if value.isprintable() and "\\" not in value else value.translate(_TEXT_ESCAPES)


def array_literal(values: Iterable[str]) -> str:
    """A text[] in the format of PostgreSQL."""
    listed = list(values)
    whole = "".join(listed)
    if not whole.isprintable() or '"' in whole or "\\" in whole:
        listed = [value.replace("\0", "").replace("\\", "\\\\").replace('"', '\\"') for value in listed]
    return '{"' + '","'.join(listed) + '"}' if listed else "{}"


def number_literal(numbers: Iterable[int]) -> str:
    """Whole numbers as an int[] or bigint[] of PostgreSQL: one text for the driver, in place of a value for each."""
    return "{" + ",".join(map(str, numbers)) + "}"


def text_array(values: Iterable[str]) -> bytes:
    """A text[] with its length, for `copy_rows`. NUL is left out, because PostgreSQL cannot store it."""
    listed = [value.replace("\0", "").encode() for value in values]
    if not listed:
        return _NO_TEXTS
    parts = [part for value in listed for part in (pack(">i", len(value)), value)]
    size = 20 + sum(map(len, parts))
    return b"".join((pack(">6i", size, 1, 0, TEXT, len(listed), 1), *parts))


def json_bytes(value: object) -> bytes:
    """JSON for a jsonb column. NUL characters are left out, because jsonb refuses them."""
    dumped = _to_json(value)
    return _to_json(_without_nul(orjson.loads(dumped))) if b"\\u0000" in dumped else dumped


class _SourceFailed(Exception):
    """The chunks of a COPY failed. Its text goes to the server, which logs it, so it has none of the cause."""

    def __init__(self, problem: BaseException) -> None:
        super().__init__("the source of the rows failed")
        self.problem = problem


def copy_lines(conn: Connection, table: str, columns: Sequence[str], chunks: Iterable[bytes]) -> None:
    """COPY chunks of lines, already in the text format, into a table. If iterating over `chunks` raises, the caller
    gets that exception, but the server does not see it. The text of an exception may quote people, and the driver would
    end the COPY with this text."""
    with driver(conn).cursor() as cursor:
        try:
            with cursor.copy(_copy_into(table, columns, "text")) as copy:
                for chunk in _made(chunks):
                    copy.write(chunk)
        except _SourceFailed as failed:
            raise failed.problem from failed.problem.__cause__


def copy_rows(conn: Connection, table: str, columns: Sequence[str], rows: Sequence[bytes]) -> None:
    """COPY rows in PostgreSQL's binary format into a table. A row begins with the number of columns."""
    with driver(conn).cursor() as cursor, cursor.copy(_copy_into(table, columns, "binary")) as copy:
        copy.write(b"".join((_BEGIN, *rows, _END)))


def _copy_into(table: str, columns: Sequence[str], form: Literal["text", "csv", "binary"]) -> sql.Composed:
    names = sql.SQL(",").join(map(sql.Identifier, columns))
    return sql.SQL("copy {} ({}) from stdin (format {})").format(sql.Identifier(table), names, sql.SQL(form))


def _made(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks. An error while they are made is raised as `_SourceFailed`."""
    made = iter(chunks)
    while True:
        try:
            chunk = next(made)
        except StopIteration:
            return
        except BaseException as problem:
            raise _SourceFailed(problem) from None
        yield chunk


def copy_frame(conn: Connection, table: Table, frame: pd.DataFrame, fixed: Mapping[str, object]) -> None:
    """COPY a frame into a table: every column that both have, and the `fixed` values in each row."""
    if frame.empty:
        return
    names = [column.name for column in table.columns if column.name in frame.columns and column.name not in fixed]
    arrays = [_arrow(frame[name], table.columns[name].type) for name in names]
    for name, value in fixed.items():
        names.append(name)
        arrays.append(pa.repeat(pa.scalar(value), len(frame)))
    buffer = BytesIO()
    options = pa.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    pa.csv.write_csv(pa.table(arrays, names=names), buffer, options)
    with driver(conn).cursor() as cursor, cursor.copy(_copy_into(table.name, names, "csv")) as copy:
        copy.write(buffer.getbuffer())


def read_frame(conn: Connection, query: str, columns: Mapping[str, Kind], **numbers: int) -> pd.DataFrame:
    """The rows of a query as a frame with exactly `columns`; a `json` column holds Python values, and rows with the
    same text share one. COPY takes no parameters, so `numbers` replace `{name}` in the query. They may only be whole
    numbers."""
    inner = sql.SQL(query).format(**{name: sql.Literal(int(value)) for name, value in numbers.items()})
    data = b"\n".join(lines for (lines,) in _joined(conn, ROWS, inner))
    if not data:
        return framed({name: values_of(pa.array([], _ARROW[kind]), kind) for name, kind in columns.items()})
    table = pa.csv.read_csv(
        BytesIO(data),
        read_options=pa.csv.ReadOptions(column_names=["(", *columns, ")"], block_size=max(1 << 20, len(data) + 1)),
        parse_options=pa.csv.ParseOptions(escape_char="\\", newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: _ARROW[kind] for name, kind in columns.items()},
            include_columns=list(columns),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )
    return framed({name: values_of(one_array(table[name]), kind) for name, kind in columns.items()})


def read_documents(conn: Connection, query: str, **values: int | str) -> tuple[npt.NDArray[np.int64], bytes]:
    """Ids and JSON documents of a query, one a line, in any order. query: gives `id`, `payload`; takes `values`."""
    inner = sql.SQL(query).format(**{name: sql.Literal(one) for name, one in values.items()})
    found = [*_joined(conn, DOCUMENTS, inner)]
    ids = np.frombuffer(b"".join(ids for _, ids in found), ">i8").astype(np.int64)
    return ids, b"\n".join(lines for lines, _ in found)


def _joined(conn: Connection, statement: str, inner: sql.Composed) -> Iterator[tuple[bytes, ...]]:
    """The lines of a query, some thousands in a message: a message for each takes most of the time."""
    joined = sql.SQL(statement).format(inner=inner, together=sql.Literal(TOGETHER))
    with driver(conn).cursor() as cursor, cursor.copy(joined) as copy:
        copy.set_types(["bytea"] * (2 if statement is DOCUMENTS else 1))
        yield from copy.rows()


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The chunks of a column as one. `combine_chunks` always copies."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def values_of(array: pa.Array, kind: Kind) -> Any:
    """An Arrow array as a pandas array of the same values. Text is not copied."""
    if kind == "text":
        return pd.arrays.ArrowStringArray(array, dtype=_STR)  # type: ignore[call-arg]  # the stubs lag behind
    if kind == "json":
        texts = array.dictionary_encode()
        different = np.empty(len(texts.dictionary) + 1, dtype=object)
        different[:-1] = [orjson.loads(text) for text in texts.dictionary.to_pylist()]
        return different[texts.indices.fill_null(-1).to_numpy()]
    missing = array.is_null().to_numpy(zero_copy_only=False)
    plain = pc.fill_null(array, 0 if kind == "int" else False).to_numpy(zero_copy_only=False)
    made = pd.arrays.IntegerArray if kind == "int" else pd.arrays.BooleanArray
    return made(plain.copy(), missing.copy())


def _arrow(values: pd.Series[Any], kind: object) -> pa.Array:
    if isinstance(kind, ARRAY) and isinstance(kind.item_type, BigInteger):
        return _array_literals(pa.array(values, pa.list_(pa.int64())).cast(pa.list_(pa.string())))
    if isinstance(kind, ARRAY):
        return _array_literals(pa.array(values.tolist(), pa.list_(pa.string())))
    if isinstance(kind, JSONB):
        different = {id(each): each for each in values}  # most rows of a plan share one empty object
        dumped = {key: json_bytes(each).decode() for key, each in different.items()}
        return pa.array([dumped[id(each)] for each in values], type=pa.string())
    number = isinstance(kind, (BigInteger, Integer))
    plain = pa.int64() if number else pa.bool_() if isinstance(kind, Boolean) else pa.string()
    return pa.array(values, type=plain, from_pandas=True)


def _array_literals(lists: pa.Array) -> pa.Array:
    """As `array_literal`, for a whole column; one by one only if a text has to be quoted."""
    if pc.any(pc.match_substring_regex(lists.flatten(), r'["\\\x00]')).as_py() or lists.flatten().null_count:
        return pa.array(map(array_literal, lists.to_pylist()), type=pa.string())
    listed = pc.binary_join_element_wise('{"', pc.binary_join(lists, '","'), '"}', "")
    return pc.if_else(pc.equal(pc.list_value_length(lists), 0), "{}", listed)


def _plain(value: object) -> object:
    if value is pd.NA or value is pd.NaT:
        return None
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


_to_json = msgspec.json.Encoder(enc_hook=_plain).encode
"""For many small values, this takes a seventh of the time of orjson."""


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(each) for each in value]
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(each) for name, each in value.items()}
    return value
