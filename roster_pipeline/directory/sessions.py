"""Sessions of the console, attempts to sign in, and rate limits.

A session is a random token. The table has the hash of the token and two ends of the session: idle and absolute.
One-time links and attempts at an identity provider work once, for a short time. Rate limits are in the database, so
that all processes of the console count together.
"""

import hashlib
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Update, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from roster_pipeline.directory.accounts import Account, by_id
from roster_pipeline.directory.tables import account, console_session, oidc_attempt, rate_limit, sign_in_link

TOKEN_BYTES = 32
"""256 bits. Nobody can guess such a token, so a plain hash of it is enough."""
SEEN_EVERY = timedelta(minutes=1)
"""How exactly the last use is known. A write for every request would cost too much."""
LINK_LASTS = timedelta(hours=1)
"""A mail server that does not know ours yet may hold a mail back for this long."""
ATTEMPT_LASTS = timedelta(minutes=10)
"""Time for the way to the identity provider and back, including a second factor."""
LINKS_KEPT = timedelta(days=1)


@dataclass(frozen=True)
class Session:
    """A session that is in use. `message`: a message that the next page shows."""

    account: Account
    message: str | None


def new_token() -> str:
    """256 random bits, in a form that fits into a cookie or an address."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def hashed(token: str) -> str:
    """The hash of a token, or of the key of a rate limit. Only this is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def begin(conn: Connection, account_id: int, lifetime: timedelta) -> str:
    """Begin a session, and return its token, which only the caller knows. Removes ended ones."""
    conn.execute(delete(console_session).where(console_session.c.expires_at < func.now()))
    token = new_token()
    row = insert(console_session).values(
        token_hash=hashed(token), account_id=account_id, expires_at=func.now() + lifetime
    )
    conn.execute(row)
    conn.execute(update(account).where(account.c.id == account_id).values(signed_in_at=func.now()))
    return token


def find(conn: Connection, token: str, idle: timedelta) -> Session | None:
    """The session of a token, with today's rights; None if it has ended. It counts as used now."""
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
    if row.stale:
        conn.execute(_own(token).values(seen_at=func.now()))
    return Session(owner, row.message)


def open_of(conn: Connection, account_id: int, token: str, idle: timedelta) -> Sequence[Row[Any]]:
    """The sessions of an account that still count: created_at, seen_at, here (it is the session that asks). The one
    that was used last comes first."""
    here = (console_session.c.token_hash == hashed(token)).label("here")
    query = select(console_session.c.created_at, console_session.c.seen_at, here).where(
        console_session.c.account_id == account_id,
        console_session.c.expires_at > func.now(),
        console_session.c.seen_at > func.now() - idle,
    )
    return conn.execute(query.order_by(console_session.c.seen_at.desc())).all()


def end_all(conn: Connection, account_id: int) -> int:
    """End every session of an account. Returns how many."""
    return conn.execute(delete(console_session).where(console_session.c.account_id == account_id)).rowcount


def kept_of(conn: Connection, account_id: int) -> list[str]:
    """Hashes of the tokens of an account's sessions that nobody signed out of, also idle ones."""
    query = select(console_session.c.token_hash).where(
        console_session.c.account_id == account_id, console_session.c.expires_at > func.now()
    )
    return list(conn.scalars(query))


def set_message(conn: Connection, token: str, message: str | None) -> None:
    """Keep a message for the next page. None: the message has been shown."""
    conn.execute(_own(token).values(message=message))


def end(conn: Connection, token: str) -> None:
    """End the session, for everybody who has the token."""
    conn.execute(delete(console_session).where(console_session.c.token_hash == hashed(token)))


def _own(token: str) -> Update:
    return update(console_session).where(console_session.c.token_hash == hashed(token))


@dataclass(frozen=True)
class Attempt:
    """The values that have to be the same when the browser comes back."""

    nonce: str
    verifier: str
    next_path: str


def new_link(conn: Connection, account_id: int) -> str:
    """The token of a link that signs this account in. It works once, within `LINK_LASTS`."""
    conn.execute(delete(sign_in_link).where(sign_in_link.c.expires_at < func.now() - LINKS_KEPT))
    token = new_token()
    row = insert(sign_in_link).values(
        token_hash=hashed(token), account_id=account_id, expires_at=func.now() + LINK_LASTS
    )
    conn.execute(row)
    return token


def account_of_link(conn: Connection, token: str) -> int | None:
    """The account that a link would still sign in, if any; mail scanners look too, so nothing changes."""
    return conn.scalar(select(sign_in_link.c.account_id).where(*_good(token)))


def use_link(conn: Connection, token: str) -> int | None:
    """Use up a link and the account's other links, and return the account. None if the link does not work."""
    used = update(sign_in_link).where(*_good(token)).values(used_at=func.now())
    account_id = conn.scalar(used.returning(sign_in_link.c.account_id))
    if account_id is None:
        return None
    use_up(conn, int(account_id))
    return int(account_id)


def use_up(conn: Connection, account_id: int) -> None:
    """Make every open link of an account useless."""
    open_ = update(sign_in_link).where(sign_in_link.c.account_id == account_id, sign_in_link.c.used_at.is_(None))
    conn.execute(open_.values(used_at=func.now()))


def begin_attempt(conn: Connection, visit: str, attempt: Attempt) -> str:
    """Remember the attempt of a browser (visit: its token). Returns the state to bring back."""
    conn.execute(delete(oidc_attempt).where(oidc_attempt.c.expires_at < func.now()))
    state = new_token()
    row = insert(oidc_attempt).values(
        state_hash=hashed(state), visit_hash=hashed(visit), nonce=attempt.nonce, verifier=attempt.verifier,
        next_path=attempt.next_path, expires_at=func.now() + ATTEMPT_LASTS,
    )  # fmt: skip
    conn.execute(row)
    return state


def take_attempt(conn: Connection, visit: str, state: str) -> Attempt | None:
    """The attempt that came back. It works once, and only for the browser that began it."""
    taken = delete(oidc_attempt).where(
        oidc_attempt.c.state_hash == hashed(state),
        oidc_attempt.c.visit_hash == hashed(visit),
        oidc_attempt.c.expires_at > func.now(),
    )
    row = conn.execute(taken.returning(oidc_attempt.c.nonce, oidc_attempt.c.verifier, oidc_attempt.c.next_path)).first()
    return Attempt(*row) if row else None


def _good(token: str) -> tuple[ColumnElement[bool], ...]:
    return (
        sign_in_link.c.token_hash == hashed(token),
        sign_in_link.c.used_at.is_(None),
        sign_in_link.c.expires_at > func.now(),
    )


def count(conn: Connection, name: str, key: str, window: timedelta) -> tuple[int, int]:
    """Count a use of `name` by `key` (hashed). Returns the uses in this window, and seconds to its end."""
    row = insert(rate_limit).values(name=name, key_hash=hashed(key), until=func.now() + window, used=1)
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
    """Forget the uses of `name` by `key` so far. They do not count any more."""
    conn.execute(delete(rate_limit).where(rate_limit.c.name == name, rate_limit.c.key_hash == hashed(key)))


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
