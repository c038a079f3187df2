"""Mails to send, and reports that wait for a digest; each is written in the transaction that it reports.

`due` locks what it hands out (SKIP LOCKED), so several senders never send one message twice, and a sender that dies
leaves its messages to the next one. Message-IDs are fixed, so a mail that was sent just before a crash is recognised.

One line per recipient and sync waits for the next digest.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, Row, Select, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from roster_pipeline.directory.tables import digest, outbox, school, sync

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
MOST_ATTEMPTS = 12
"""The waits double, so these attempts take about a day and a half, longer than most outages."""

REFUSED = """
insert into outbox (message_id, kind, school_id, sync_id, recipients, subject, text, html, attachment, attempts, error,
    dead_at)
select replace(message_id, '@', '.' || gen_random_uuid() || '@'), kind, school_id, sync_id, :recipients, subject, text,
    html, attachment, 1, 'The mail server refused this recipient for good; the others have the mail.', now()
from outbox where id = :id
"""


class Mail(Protocol):
    @property
    def subject(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def html(self) -> str: ...


def put(
    conn: Connection,
    *,
    message_id: str,
    kind: str,
    recipients: Sequence[str],
    mail: Mail,
    school_id: int | None = None,
    sync_id: int | None = None,
    attachment: str | None = None,
) -> bool:
    """Add a message. Returns False, and adds nothing, if there is already one with this Message-ID."""
    row = insert(outbox).values(
        message_id=message_id, kind=kind, school_id=school_id, sync_id=sync_id, recipients=list(recipients),
        subject=mail.subject, text=mail.text, html=mail.html, attachment=attachment,
    )  # fmt: skip
    added = row.on_conflict_do_nothing(index_elements=["message_id"]).returning(outbox.c.id)
    return conn.scalar(added) is not None


def due(conn: Connection, limit: int = 20, now: datetime | None = None) -> Sequence[Row[Any]]:
    """Messages to send now, oldest first, locked until the transaction ends. Within the transaction, send each and call
    `sent` or `failed`."""
    query = (
        _messages()
        .where(outbox.c.sent_at.is_(None), outbox.c.dead_at.is_(None), outbox.c.due_at <= (now or datetime.now(UTC)))
        .order_by(outbox.c.due_at, outbox.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=outbox)
    )
    return conn.execute(query).all()


def sent(conn: Connection, outbox_id: int) -> None:
    """Note that the message was sent, and delete its attachment, which may hold data of people."""
    conn.execute(
        update(outbox)
        .where(outbox.c.id == outbox_id)
        .values(sent_at=func.now(), attempts=outbox.c.attempts + 1, error=None, attachment=None)
    )


def refused(conn: Connection, outbox_id: int, recipients: Sequence[str]) -> None:
    """Give up a message for these of its recipients, while the others get it: they have a dead message of their own."""
    conn.execute(text(REFUSED), {"id": outbox_id, "recipients": list(recipients)})


def failed(
    conn: Connection,
    outbox_id: int,
    error: str,
    *,
    permanent: bool = False,
    away: bool = False,
    recipients: Sequence[str] | None = None,
    now: datetime | None = None,
) -> bool:
    """Note that the message was not delivered. It is tried again after a wait that doubles each time. Returns False if
    the message is now dead; then it stays until a person acts. away: the server takes no mail at all. This does not
    count as an attempt, so no mail is given up because of it. recipients: only these are tried again, because the
    others have the mail."""
    at = now or datetime.now(UTC)
    before = conn.scalar(select(outbox.c.attempts).where(outbox.c.id == outbox_id)) or 0
    attempts = before if away else before + 1
    dead = permanent or attempts >= MOST_ATTEMPTS
    wait = FIRST_WAIT if away else min(FIRST_WAIT * 2**before, LONGEST_WAIT)
    values = {"attempts": attempts, "error": error, "due_at": at + wait, "dead_at": at if dead else None}
    if recipients is not None:
        values["recipients"] = list(recipients)
    conn.execute(update(outbox).where(outbox.c.id == outbox_id).values(values))
    return not dead


def messages(conn: Connection, limit: int = 100, *, dead: bool = False) -> Sequence[Row[Any]]:
    """Messages of every state, or only those that were given up; newest first."""
    query = _messages().order_by(outbox.c.dead_at.desc() if dead else outbox.c.id.desc()).limit(limit)
    query = query.where(outbox.c.dead_at.is_not(None)) if dead else query
    return conn.execute(query).all()


def given_up(conn: Connection, since: datetime) -> int:
    """How many mails were given up since then and not tried again."""
    return conn.scalar(select(func.count()).select_from(outbox).where(outbox.c.dead_at >= since)) or 0


def not_leaving(conn: Connection, since: datetime) -> tuple[int, str | None]:
    """How many mails have waited since then without an attempt that counts, and why the last try failed. Either the
    server takes no mail at all, or nobody tried."""
    waits = (
        outbox.c.sent_at.is_(None),
        outbox.c.dead_at.is_(None),
        outbox.c.attempts == 0,
        outbox.c.created_at < since,
    )
    number, why = conn.execute(select(func.count(), func.max(outbox.c.error)).where(*waits)).one()
    return number, why


def _messages() -> Select[Any]:
    """Messages, and the key of the school: a header of the mail contains it, so that mail rules can sort by it."""
    key = select(school.c.key).where(school.c.id == outbox.c.school_id).scalar_subquery()
    return select(outbox, key.label("school"))


def retry(conn: Connection, outbox_id: int) -> bool:
    """Try a dead message again, from the start. False if it is not dead."""
    values = {"dead_at": None, "attempts": 0, "due_at": func.now()}
    query = update(outbox).where(outbox.c.id == outbox_id, outbox.c.dead_at.is_not(None))
    return bool(conn.execute(query.values(values)).rowcount)


def put_for_digest(conn: Connection, recipients: Sequence[str], sync_id: int) -> None:
    """Put a sync's report into the next digest of each recipient."""
    rows = [{"recipient": recipient, "sync_id": sync_id} for recipient in dict.fromkeys(recipients)]
    conn.execute(insert(digest).values(rows).on_conflict_do_nothing())


def waiting_for_digest(conn: Connection) -> Sequence[Row[Any]]:
    """The reports that wait, by recipient, oldest first: recipient, sync_id, put_at, time_zone, report (as stored)."""
    zone = func.coalesce(school.c.settings["time_zone"].astext, "UTC").label("time_zone")
    query: Select[Any] = (
        select(digest.c.recipient, digest.c.sync_id, digest.c.put_at, zone, sync.c.report)
        .join(sync, sync.c.id == digest.c.sync_id)
        .join(school, school.c.id == sync.c.school_id)
        .where(digest.c.message_id.is_(None))
        .order_by(digest.c.recipient, digest.c.put_at, digest.c.sync_id)
    )
    return conn.execute(query).all()


def sent_with_digest(conn: Connection, recipient: str, sync_ids: Sequence[int], message_id: str) -> None:
    """Note which mail contains these reports."""
    chosen = (digest.c.recipient == recipient, digest.c.sync_id.in_(sync_ids))
    conn.execute(update(digest).where(*chosen).values(message_id=message_id))
