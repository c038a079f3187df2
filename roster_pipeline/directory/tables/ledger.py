"""What was done, by whom, and what is still to be sent: syncs, the change log, failures, audit, outbox, decisions."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from roster_pipeline.directory.tables.base import flag, identity, mapping, metadata, moment, now, number, words

sync = Table(
    "sync",
    metadata,
    identity(),
    number("district_id"),
    number("school_id"),
    words("kind", comment="sync, approval, relink, rollback, person or upload"),
    Column("plan_id", BigInteger, ForeignKey("plan.id", ondelete="SET NULL")),
    number("snapshot_id", optional=True),
    number("undoes", comment="the sync that a rollback undid", optional=True),
    words("outcome", comment="applied, held (in part) or unchanged"),
    mapping("counts", comment="role to action to number of rows"),
    mapping("held", comment="role to action to number of rows that were not applied"),
    mapping("report"),
    words("who"),
    now("at"),
    words("run_id", optional=True),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("district_id", "school_id", "id"),
    ForeignKeyConstraint(["district_id", "school_id"], ["school.district_id", "school.id"]),
    Index("uq_sync_snapshot", "school_id", "snapshot_id", unique=True, postgresql_where=text("kind = 'sync'")),
    Index("ix_sync_school_id_id", "school_id", "id"),
    Index("ix_sync_plan_id", "plan_id"),
)

change_log = Table(
    "change_log",
    metadata,
    identity("position"),
    Column(
        "xid",
        BigInteger,
        nullable=False,
        comment="the transaction (64 bits, never wraps): bounds the change feed by the snapshot horizon",
    ),
    number("sync_id", comment="null: by hand", optional=True),
    number("district_id"),
    words("entity", comment="person, link, membership or contact"),
    words("operation", comment="insert, update or delete"),
    number("person_id"),
    number("school_id", optional=True),
    Column("before", JSONB),
    Column("after", JSONB),
    now("at"),
    PrimaryKeyConstraint("xid", "position"),
    Index("ix_change_log_sync_id", "sync_id", postgresql_using="brin"),
    Index("ix_change_log_person_id", "person_id"),
    Index(
        "ix_change_log_people_since",
        "district_id",
        "position",
        postgresql_where=text("(entity = 'person'::text)"),
    ),
)

outbox = Table(
    "outbox",
    metadata,
    identity(),
    words("message_id", comment="fixed, so that a resend is recognised"),
    words("kind", comment="report or alert"),
    number("school_id", optional=True),
    number("sync_id", optional=True),
    Column("recipients", ARRAY(Text), nullable=False),
    words("subject"),
    words("text"),
    words("html"),
    now("created_at"),
    now("due_at"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    words("error", optional=True),
    moment("sent_at"),
    moment("dead_at"),
    words("attachment", comment="CSV of row details, for owners who asked for it", optional=True),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("message_id"),
    Index("ix_outbox_due_at", "due_at", postgresql_where=text("((sent_at IS NULL) AND (dead_at IS NULL))")),
)

failure = Table(
    "failure",
    metadata,
    identity(),
    number("school_id"),
    now("at"),
    words("step"),
    words("message"),
    words("run_id", optional=True),
    Column("cause", Text, nullable=False, server_default=text("'step'::text")),
    words("night", comment="the evening that failed; null for a run by hand", optional=True),
    flag("retryable", comment="the same run may work later without anybody changing anything"),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["school_id"], ["school.id"]),
    Index("ix_failure_school_id_id", "school_id", "id"),
)

audit = Table(
    "audit",
    metadata,
    identity(),
    now("at"),
    words("who"),
    words("what"),
    number("district_id", optional=True),
    number("school_id", optional=True),
    number("person_id", optional=True),
    words("reason", optional=True),
    mapping("details"),
    PrimaryKeyConstraint("id"),
    Index("ix_audit_school_id_id", "school_id", "id"),
)

unreported_decision = Table(
    "unreported_decision",
    metadata,
    identity(),
    Column("school_id", BigInteger, ForeignKey("school.id", ondelete="CASCADE"), nullable=False),
    words("kind", comment="approval, discard, relink, rollback, one person, upload, archival, restore or addition"),
    words("decided_by", comment="a role, or the command line; never a person"),
    now("at"),
    number("sync_id", optional=True),
    number("plan_id", optional=True),
    PrimaryKeyConstraint("id"),
)

school_week = Table(
    "school_week",
    metadata,
    number("school_id"),
    Column("week", Date, nullable=False, comment="its Monday, in the school's own calendar"),
    *(
        Column(name, Integer, nullable=False, server_default=text("0"), comment=comment)
        for name, comment in (
            ("people", "in the roster of the week's last complete snapshot"),
            ("created", None),
            ("updated", None),
            ("restored", None),
            ("archived", None),
            ("records", "of users in that snapshot"),
            ("rejected", "of these, records that could not be used"),
        )
    ),
    PrimaryKeyConstraint("school_id", "week"),
    ForeignKeyConstraint(["school_id"], ["school.id"]),
)
