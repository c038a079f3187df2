"""Plans, their verdicts, and what people decided about the held parts."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
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

from roster_pipeline.directory.tables.tenants import flag, identity, mapping, metadata, now, number, words

plan = Table(
    "plan",
    metadata,
    identity(),
    number("district_id"),
    number("school_id"),
    number("snapshot_id"),
    now("made_at"),
    words("hash", comment="of the rows that change something; approvals are bound to it"),
    number("position", comment="the change log's position when the directory was read for the plan"),
    Column("first_sync", Boolean, nullable=False),
    mapping("counts"),
    words("quality", comment="digest of the snapshot's quality results as the verdict read them", optional=True),
    Column(
        "state",
        Text,
        nullable=False,
        server_default=text("'planned'::text"),
        comment="planned, replaced (by a newer plan or a relink) or discarded",
    ),
    flag("dry_run"),
    words("run_id", optional=True),
    number("person_id", comment="whom alone the plan is about; null: the whole school", optional=True),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("district_id", "school_id", "id"),
    ForeignKeyConstraint(
        ["district_id", "school_id", "snapshot_id"],
        ["snapshot.district_id", "snapshot.school_id", "snapshot.id"],
        ondelete="CASCADE",
    ),
    Index("ix_plan_school_id_id", "school_id", "id"),
    CheckConstraint("state in ('planned', 'replaced', 'discarded')", name="state"),
)


def _of_plan() -> Column[int]:
    return Column("plan_id", BigInteger, ForeignKey("plan.id", ondelete="CASCADE"), nullable=False)


def _guard() -> Column[str]:
    return Column(
        "guard",
        Text,
        nullable=False,
        server_default=text("''::text"),
        comment="the guard that judges these rows apart from the rest of their role and action; empty for the rest",
    )


plan_row = Table(
    "plan_row",
    metadata,
    number("plan_id", comment="without foreign keys, as pull_record"),
    Column("row", Integer, nullable=False),
    words("action", comment="create, update, restore, archive, unchanged, skip or conflict"),
    words("reason"),
    words("role"),
    number("person_id", optional=True),
    Column("sourced_ids", ARRAY(Text), nullable=False, comment="the identity's records, the primary record first"),
    Column("new_links", ARRAY(Text), nullable=False),
    words("matched_by", comment="link, number, email or null", optional=True),
    words("notes", comment="joins, matches without a link, keys of another person; blanks between", optional=True),
    Column("changes", JSONB, nullable=False, comment='{"field": [from, to]}'),
    words("number_kind", optional=True),
    Column("absent_syncs", Integer, comment="what membership.absent_syncs becomes; null leaves it"),
    number("person_revision", optional=True),
    number("membership_revision", optional=True),
    words("witness", comment="of an archival: gone, elsewhere, here, unclear or unanswered", optional=True),
    _guard(),
    flag("exempted", comment="somebody took the row out of what is held; it is never applied"),
    PrimaryKeyConstraint("plan_id", "row"),
    Index(
        "ix_plan_row_other_connection",
        "person_id",
        "plan_id",
        postgresql_where=text("(reason = 'other_connection'::text)"),
    ),
    CheckConstraint(
        "action in ('create', 'update', 'restore', 'archive', 'unchanged', 'skip', 'conflict')", name="action"
    ),
)

verdict = Table(
    "verdict",
    metadata,
    _of_plan(),
    words("role"),
    words("action", comment="create, update, restore or archive"),
    _guard(),
    words("verdict", comment="pass or hold"),
    Column("rows", Integer, nullable=False),
    Column(
        "findings",
        JSONB,
        nullable=False,
        comment='[{"guard", "message", "value", "limit", "overridable", "approver", "about", "repeats"}]',
    ),
    number("sync_id", comment="the sync that applied these rows, set in its transaction", optional=True),
    PrimaryKeyConstraint("plan_id", "role", "action", "guard"),
    CheckConstraint("verdict in ('pass', 'hold')", name="verdict"),
)

approval = Table(
    "approval",
    metadata,
    identity(),
    _of_plan(),
    words("plan_hash"),
    words("decision", comment="approve or discard"),
    words("who"),
    words("reason"),
    flag("by_manager"),
    Column("parts", JSONB, comment="[[role, action]] that were approved; null: all that can be"),
    now("at"),
    Column("lapses_at", DateTime(timezone=True), nullable=False),
    number("used_by", comment="the sync that applied held rows because of it; it serves once", optional=True),
    PrimaryKeyConstraint("id"),
    Index("ix_approval_plan_id", "plan_id"),
    CheckConstraint("decision in ('approve', 'discard')", name="decision"),
)

exemption = Table(
    "exemption",
    metadata,
    identity(),
    number("district_id"),
    number("school_id"),
    number("connection_id"),
    words("action", comment="create, update, restore or archive: the change that is not made"),
    words("role"),
    number("person_id", comment="null: somebody whom the directory does not know", optional=True),
    Column("sourced_ids", ARRAY(Text), nullable=False),
    Column("changes", JSONB, comment="of an update, as in plan_row: only this update is exempted"),
    words("who"),
    words("reason"),
    now("at"),
    PrimaryKeyConstraint("district_id", "id"),
    ForeignKeyConstraint(["district_id", "school_id"], ["school.district_id", "school.id"]),
    ForeignKeyConstraint(["district_id", "connection_id"], ["connection.district_id", "connection.id"]),
    ForeignKeyConstraint(["district_id", "person_id"], ["person.district_id", "person.id"], ondelete="CASCADE"),
    Index("ix_exemption_school_id", "school_id"),
    Index("ix_exemption_person_id", "person_id"),
)
