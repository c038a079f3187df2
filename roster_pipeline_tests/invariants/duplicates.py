"""Copies of a prepared database: every crash starts from the very same night."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

_numbers = count(1)


@contextmanager
def copy_of(url: str) -> Iterator[str]:
    """The URL of a copy of a database to which nobody is connected; dropped afterwards."""
    source = make_url(url)
    assert source.database is not None
    name = f"{source.database}_{next(_numbers)}"
    admin_url = source.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        made = sql.SQL("create database {} template {} strategy file_copy")
        admin.execute(made.format(sql.Identifier(name), sql.Identifier(source.database)))
        try:
            yield source.set(database=name).render_as_string(hide_password=False)
        finally:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
