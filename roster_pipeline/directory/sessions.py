"""Sessions of the console. A session is a random token; kept is only its hash, with two ends: idle, and absolute."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Update, delete, func, insert, select, update

from roster_pipeline.directory.accounts import Account, by_id
from roster_pipeline.directory.tables import account, console_session

TOKEN_BYTES = 32
"""256 bits: nobody guesses one, so a plain hash of it is enough."""
SEEN_EVERY = timedelta(minutes=1)
"""How exactly the last use is known; a write for every request would cost more than it tells."""


@dataclass(frozen=True)
class Session:
    """A session that is in use. `message`: what that the next page shows."""

    account: Account
    message: str | None


def new_token() -> str:
    """256 random bits, fit for a cookie or an address."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def hashed(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def begin(conn: Connection, account_id: int, lifetime: timedelta) -> str:
    """A new session; its token is known to the caller alone. Sessions that ended are removed on the way."""
    conn.execute(delete(console_session).where(console_session.c.expires_at < func.now()))
    token = new_token()
    row = insert(console_session).values(
        token_hash=hashed(token), account_id=account_id, expires_at=func.now() + lifetime
    )
    conn.execute(row)
    conn.execute(update(account).where(account.c.id == account_id).values(signed_in_at=func.now()))
    return token


def find(conn: Connection, token: str, idle: timedelta, *, used: bool = True) -> Session | None:
    """The session of a token, with what its account may see at this moment; None where it has ended.

    used: it counts as a use, which keeps the session from becoming idle.
    """
    query = select(
        console_session.c.account_id,
        console_session.c.message,
        (console_session.c.seen_at < func.now() - SEEN_EVERY).label("stale"),
    ).where(
        console_session.c.token_hash == hashed(token),
        console_session.c.expires_at > func.now(),
        console_session.c.seen_at > func.now() - idle,
    )
    row = conn.execute(query).first()
    owner = by_id(conn, row.account_id) if row else None
    if row is None or owner is None:
        return None
    if row.stale and used:
        conn.execute(_own(token).values(seen_at=func.now()))
    return Session(owner, row.message)


@dataclass(frozen=True)
class Open:
    """One session of an account, for its own eyes. here: the one that asks."""

    began_at: datetime
    seen_at: datetime
    here: bool


def open_of(conn: Connection, account_id: int, token: str, idle: timedelta) -> list[Open]:
    """The sessions of an account that are still good, the last used first."""
    query = select(console_session.c.created_at, console_session.c.seen_at, console_session.c.token_hash).where(
        console_session.c.account_id == account_id,
        console_session.c.expires_at > func.now(),
        console_session.c.seen_at > func.now() - idle,
    )
    rows = conn.execute(query.order_by(console_session.c.seen_at.desc())).all()
    return [Open(row.created_at, row.seen_at, row.token_hash == hashed(token)) for row in rows]


def end_all(conn: Connection, account_id: int) -> int:
    """End every session of an account. Returns how many."""
    return conn.execute(delete(console_session).where(console_session.c.account_id == account_id)).rowcount


def kept_of(conn: Connection, account_id: int) -> list[str]:
    """What is kept of the tokens of an account's sessions: the one in use, and idle ones that nobody signed out of."""
    query = select(console_session.c.token_hash).where(
        console_session.c.account_id == account_id, console_session.c.expires_at > func.now()
    )
    return list(conn.scalars(query))


def tell(conn: Connection, token: str, message: str | None) -> None:
    """Keep a message for the next page; None once it has been shown."""
    conn.execute(_own(token).values(message=message))


def end(conn: Connection, token: str) -> None:
    """The session is over, for whoever has the token."""
    conn.execute(delete(console_session).where(console_session.c.token_hash == hashed(token)))


def _own(token: str) -> Update:
    return update(console_session).where(console_session.c.token_hash == hashed(token))
