"""Sign-ins under way: one-time links, and attempts at an identity provider. Both work once and not for long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from roster_pipeline.directory.sessions import hashed, new_token
from roster_pipeline.directory.tables import oidc_attempt, sign_in_link

LINK_LASTS = timedelta(hours=1)
"""As long as a mail may be held back by a server that does not know ours yet."""
ATTEMPT_LASTS = timedelta(minutes=10)
"""For the way to the identity provider and back, a second factor included."""
LINKS_KEPT = timedelta(days=1)


@dataclass(frozen=True)
class Attempt:
    """What has to be the same when the browser comes back."""

    nonce: str
    verifier: str
    next_path: str


def new_link(conn: Connection, account_id: int) -> str:
    """The token of a link that signs this account in, once, within `LINK_LASTS`."""
    conn.execute(delete(sign_in_link).where(sign_in_link.c.expires_at < func.now() - LINKS_KEPT))
    token = new_token()
    row = insert(sign_in_link).values(
        token_hash=hashed(token), account_id=account_id, expires_at=func.now() + LINK_LASTS
    )
    conn.execute(row)
    return token


def account_of_link(conn: Connection, token: str) -> int | None:
    """Whom the link would still sign in; None where it is no good. Looking changes nothing: mail scanners look."""
    return conn.scalar(select(sign_in_link.c.account_id).where(*_good(token)))


def use_link(conn: Connection, token: str) -> int | None:
    """The account of a link, which is used up by this, as are the account's other links; None where it is no good."""
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
    """Remember an attempt of this browser (visit: its token). Returns the state that has to come back."""
    conn.execute(delete(oidc_attempt).where(oidc_attempt.c.expires_at < func.now()))
    state = new_token()
    row = insert(oidc_attempt).values(
        state_hash=hashed(state),
        visit_hash=hashed(visit),
        nonce=attempt.nonce,
        verifier=attempt.verifier,
        next_path=attempt.next_path,
        expires_at=func.now() + ATTEMPT_LASTS,
    )
    conn.execute(row)
    return state


def take_attempt(conn: Connection, visit: str, state: str) -> Attempt | None:
    """The attempt that came back, once, and only to the browser that began it."""
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
