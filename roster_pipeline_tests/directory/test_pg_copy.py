"""COPY: every value comes back as it was written, and errors while the rows are made reach only the caller."""

from collections.abc import Callable, Iterator

import pandas as pd
import pytest
from sqlalchemy import ARRAY, BigInteger, Boolean, Column, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.pg_copy import TOGETHER, Kind, copy_frame, copy_lines, read_frame
from roster_pipeline_tests.directory.builders import one

AWKWARD = [
    "",
    "()",
    "(",
    "a, b",
    'said "no"',
    "back\\slash",
    "\\",
    "two\nlines",
    "\r\n",
    "NULL",
    " blank ",
    "ü漢",
    "t",
    "{}",
]


@pytest.mark.parametrize("length", [1, 2 * TOGETHER + 1])
def test_a_frame_comes_back_as_it_was_written(database: Database, length: int) -> None:
    texts = [*AWKWARD, None] * (length // len(AWKWARD) + 1)
    lists = [[], ["plain"], ["plain", "two"], AWKWARD] if length > 1 else [["plain", ""]]
    same: dict[str, list[str]] = {}
    frame = pd.DataFrame(
        {
            "number": pd.array([None if place % 3 == 2 else place for place in range(length)], dtype="Int64"),
            "words": pd.array(texts[:length], dtype="str"),
            "flag": pd.array([(True, False, None)[place % 3] for place in range(length)], dtype="boolean"),
            "lists": [lists[place % len(lists)] for place in range(length)],
            "changes": [same if place % 2 else {"field": AWKWARD} for place in range(length)],
            "last": pd.array(texts[:length], dtype="str"),
        }
    )
    table = Table(
        "sample", MetaData(), Column("place", BigInteger), Column("number", BigInteger), Column("words", Text),
        Column("flag", Boolean), Column("lists", ARRAY(Text)), Column("changes", JSONB), Column("last", Text),
    )  # fmt: skip
    kinds: dict[str, Kind] = {
        "number": "int", "words": "text", "flag": "bool", "lists": "json", "changes": "json", "last": "text"
    }  # fmt: skip
    query = "select number, words, flag, array_to_json(lists), changes, last from sample order by place"
    with database.begin() as conn:
        table.create(conn)
        assert read_frame(conn, query, kinds).empty
        copy_frame(conn, table, frame.assign(place=range(length)), {})
        found = read_frame(conn, query, kinds)
    pd.testing.assert_frame_equal(found, frame)


class SourceGone(Exception):
    """Like a client's error: its text may quote people."""


@pytest.mark.parametrize("problem", [SourceGone("Zyxpoison"), KeyboardInterrupt("Zyxpoison"), ValueError("Zyxpoison")])
def test_errors_inside_a_copy_reach_the_caller_and_not_the_server(
    database: Database, postgres_log: Callable[[], str], problem: BaseException
) -> None:
    def lines() -> Iterator[bytes]:
        yield b"one\n"
        raise problem

    with database.begin() as conn:
        conn.execute(text("create table word (it text)"))
    with pytest.raises(type(problem)) as caught, database.begin() as conn:
        copy_lines(conn, "word", ["it"], lines())
    assert caught.value is problem
    assert one(database, "select 1") == 1, "the connection is fit for use"
    assert "the source of the rows failed" in postgres_log() or not postgres_log()
    assert "zyxpoison" not in postgres_log().lower()
