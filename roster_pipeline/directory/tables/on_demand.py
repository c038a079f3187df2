"""What pages and nights note for themselves.

Pages: tests of values not saved yet, manual runs, uploaded lists of people. Nights: scheduled runs, open alerts,
reports that wait for a digest.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
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
from sqlalchemy.dialects.postgresql import JSONB

from roster_pipeline.directory.tables.base import flag, identity, mapping, metadata, moment, now, number, words

connection_test = Table(
    "connection_test",
    metadata,
    words("id"),
    Column("school_id", BigInteger, ForeignKey("school.id", ondelete="CASCADE"), nullable=False),
    words("who"),
    mapping("form", comment="the form as it was filled in; never the Client Secret"),
    Column("settings", JSONB, nullable=False, comment="the connection's settings that are tried"),
    Column("school_settings", JSONB, nullable=False, comment="the school's settings that are tried"),
    words("secret", comment="typed for this test: a Fernet token, never a copy of the stored one", optional=True),
    flag("typed", comment="the secret was typed into the form, and is not the stored one"),
    number("connection_revision"),
    Column("items", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    mapping("learned", comment="what the server taught us: version, form of the sign-in, ...; no secret"),
    words("problem", optional=True),
    now("started_at"),
    moment("ended_at"),
    PrimaryKeyConstraint("id"),
    CheckConstraint("typed or secret is null", name="secret"),
    Index("ix_connection_test_school_id_started_at", "school_id", "started_at"),
)

sis_school_list = Table(
    "sis_school_list",
    metadata,
    Column("connection_id", BigInteger, ForeignKey("connection.id", ondelete="CASCADE"), nullable=False),
    words("id", comment="of this reading; a connection keeps its newest one"),
    number("connection_revision"),
    words("who"),
    Column(
        "schools",
        JSONB,
        nullable=False,
        server_default=text("'[]'::jsonb"),
        comment='[{"id", "identifier", "name", "people": {role: count} or null}]',
    ),
    words("problem", comment="why it could not be read to its end, for people", optional=True),
    now("started_at"),
    moment("ended_at"),
    PrimaryKeyConstraint("connection_id"),
)

manual_run = Table(
    "manual_run",
    metadata,
    words("id", comment="the Dagster run"),
    Column("school_id", BigInteger, ForeignKey("school.id", ondelete="CASCADE"), nullable=False),
    words("kind"),
    words("who"),
    words("host", comment="the machine it runs on"),
    words("step", comment="what it does now, in words", optional=True),
    words("problem", comment="what failed, for people", optional=True),
    words("canceled_by", comment="who canceled it", optional=True),
    now("requested_at"),
    moment("started_at", comment="when its turn came; null while it waits"),
    now("alive_at"),
    moment("ended_at"),
    PrimaryKeyConstraint("id"),
    CheckConstraint("kind in ('sync', 'dry_run')", name="kind"),
    Index("uq_manual_run_going", "school_id", unique=True, postgresql_where=text("(ended_at IS NULL)")),
    Index("ix_manual_run_school_id_requested_at", "school_id", "requested_at"),
)

people_upload = Table(
    "people_upload",
    metadata,
    identity(),
    number("district_id"),
    number("school_id"),
    words("who"),
    mapping(
        "content", comment="header, rows, columns and role of an uploaded list; deleted when applied, or after a day"
    ),
    now("at"),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["district_id", "school_id"], ["school.district_id", "school.id"], ondelete="CASCADE"),
)
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
