"""History, requests and mails to send: syncs, the change log, failures, audit, decisions, runs, uploads, outbox,
alerts."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
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

from roster_pipeline.directory.tables.tenants import flag, identity, mapping, metadata, moment, now, number, words

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
    Index("ix_change_log_people_since", "district_id", "position", postgresql_where=text("(entity = 'person'::text)")),
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
    words("night", comment="the night that failed; null for a run by hand", optional=True),
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
    words("night", comment="the local date of the night"),
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
