"""COPY: what fails where the rows are made is told to the caller, and never to the database server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.pg_copy import copy_lines
from roster_pipeline_tests.directory.builders import one


class SourceGone(Exception):
    """As a client's error: its text may quote people."""


@pytest.mark.parametrize("problem", [SourceGone("Zyxpoison"), KeyboardInterrupt("Zyxpoison"), ValueError("Zyxpoison")])
def test_what_fails_inside_a_copy_is_told_to_the_caller_and_not_to_the_server(
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
