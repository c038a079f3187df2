"""How often somebody did something lately. In the database, so that every process of the console counts together."""

from __future__ import annotations

import hashlib
import math
from datetime import timedelta

from sqlalchemy import Connection, case, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from roster_pipeline.directory.tables import rate_limit


def count(conn: Connection, name: str, key: str, window: timedelta) -> tuple[int, int]:
    """Count one more use of `name` by `key` (kept as a hash). Returns uses in this window, and seconds to its end."""
    row = insert(rate_limit).values(name=name, key_hash=_hash(key), until=func.now() + window, used=1)
    over = rate_limit.c.until <= func.now()
    counted = row.on_conflict_do_update(
        index_elements=["name", "key_hash"],
        set_={
            "used": case((over, 1), else_=rate_limit.c.used + 1),
            "began_at": case((over, func.now()), else_=rate_limit.c.began_at),
            "until": case((over, func.now() + window), else_=rate_limit.c.until),
        },
    )
    left = func.extract("epoch", rate_limit.c.until - func.now())
    used, seconds = conn.execute(counted.returning(rate_limit.c.used, left)).one()
    return int(used), max(1, math.ceil(seconds))


def forget(conn: Connection, name: str, key: str) -> None:
    """Begin anew: uses of `name` by `key` so far do not count any more."""
    conn.execute(delete(rate_limit).where(rate_limit.c.name == name, rate_limit.c.key_hash == _hash(key)))


def sweep(conn: Connection) -> int:
    """Forget windows that are over. Returns how many."""
    old = (
        select(rate_limit.c.name, rate_limit.c.key_hash)
        .where(rate_limit.c.until <= func.now())
        .with_for_update(skip_locked=True)
    )
    gone = old.cte("gone")
    swept = delete(rate_limit).where(rate_limit.c.name == gone.c.name, rate_limit.c.key_hash == gone.c.key_hash)
    return conn.execute(swept).rowcount


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
