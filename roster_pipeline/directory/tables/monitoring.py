"""What the nights note for themselves: nights asked for, alerts that are open, reports that wait for a digest."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    text,
)

from roster_pipeline.directory.tables.base import identity, metadata, moment, now, number, words

scheduled_run = Table(
    "scheduled_run",
    metadata,
    number("school_id"),
    words("night", comment="the local date of the evening"),
    Column("attempt", Integer, nullable=False),
    Column(
        "requested_at", DateTime(timezone=True), nullable=False, comment="the schedule's tick that asked for the run"
    ),
    moment("slow_at", comment="when the run gave way because its SIS was slow"),
    PrimaryKeyConstraint("school_id", "night", "attempt"),
    ForeignKeyConstraint(["school_id"], ["school.id"]),
)

alert = Table(
    "alert",
    metadata,
    identity(),
    words("subject", comment="school KEY, connection KEY or installation"),
    words("cause", comment="the failed step, or a word of docs/operations.md"),
    Column("school_id", BigInteger, ForeignKey("school.id")),
    Column("connection_id", BigInteger, ForeignKey("connection.id")),
    words("message"),
    now("opened_at"),
    now("notified_at"),
    moment("cleared_at"),
    PrimaryKeyConstraint("id"),
    Index("uq_alert_open", "subject", "cause", unique=True, postgresql_where=text("(cleared_at IS NULL)")),
)

digest = Table(
    "digest",
    metadata,
    words("recipient"),
    Column("sync_id", BigInteger, ForeignKey("sync.id"), nullable=False),
    now("put_at"),
    words("message_id", comment="of the mail it went into; null while it waits", optional=True),
    PrimaryKeyConstraint("recipient", "sync_id"),
    Index("ix_digest_waiting", "recipient", postgresql_where=text("(message_id IS NULL)")),
)
