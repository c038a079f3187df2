"""The tables, as SQLAlchemy Core sees them. The DDL that makes them, with triggers and views, is in `migrations/`.

Every table that holds people carries `district_id` in its key and in its foreign keys, so the database itself refuses
a row that reaches into another district.
"""

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
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from roster_pipeline.fields import CONTACT_FIELDS, MEMBERSHIP_FIELDS, PERSON_FIELDS

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(), nullable=False)


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def _when(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True))


def _json(name: str) -> Column[object]:
    return Column(name, JSONB, nullable=False, server_default=text("'{}'::jsonb"))


# Tenants and their settings ---------------------------------------------------------------------------------------

district = Table(
    "district",
    metadata,
    _id(),
    Column("key", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    _now("created_at"),
    PrimaryKeyConstraint("id"),
)

connection = Table(
    "connection",
    metadata,
    _id(),
    Column("district_id", BigInteger, ForeignKey("district.id"), nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("settings", JSONB, nullable=False),
    Column("secret", Text, comment="Fernet token, or env:NAME; never plain"),
    _json("learned"),
    _now("created_at"),
    _now("updated_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("district_id", "id"),
)

school = Table(
    "school",
    metadata,
    _id(),
    Column("district_id", BigInteger, nullable=False),
    Column("connection_id", BigInteger, nullable=False),
    Column("key", Text, nullable=False, unique=True, comment="the Dagster partition key"),
    Column("name", Text, nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("test", JSONB, comment="the last Test Your Information: items, ok, at"),
    _now("created_at"),
    _now("updated_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("district_id", "id"),
    ForeignKeyConstraint(["district_id", "connection_id"], ["connection.district_id", "connection.id"]),
)

# What the SIS returned ---------------------------------------------------------------------------------------------

pull = Table(
    "pull",
    metadata,
    _id(),
    Column("district_id", BigInteger, nullable=False),
    Column("connection_id", BigInteger, nullable=False),
    Column("batch", Text, nullable=False, comment="runs with the same batch (a night) share one pull"),
    Column("scope", Text, nullable=False, comment="'' for the whole connection, else one School ID"),
    _now("started_at"),
    _when("finished_at"),
    Column("complete", Boolean, nullable=False, server_default=text("false")),
    Column("mode", Text, nullable=False, server_default=text("'full'"), comment="full, delta or school"),
    _json("proof"),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["district_id", "connection_id"], ["connection.district_id", "connection.id"]),
    Index("uq_pull_batch", "connection_id", "batch", "scope", unique=True),
)

pulled_org = Table(
    "pulled_org",
    metadata,
    Column("pull_id", BigInteger, ForeignKey("pull.id", ondelete="CASCADE"), nullable=False),
    Column("sourced_id", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Index("ix_pulled_org_pull_id", "pull_id"),
)

pulled_user = Table(
    "pulled_user",
    metadata,
    Column("pull_id", BigInteger, ForeignKey("pull.id", ondelete="CASCADE"), nullable=False),
    Column("sourced_id", Text, nullable=False),
    Column("orgs", ARRAY(Text), nullable=False, comment="every org the record names"),
    Column("agents", ARRAY(Text), nullable=False),
    Column("payload", JSONB, nullable=False, comment="normalised record, see docs/oneroster.md"),
    Index("ix_pulled_user_pull_id_sourced_id", "pull_id", "sourced_id"),
)

pulled_reject = Table(
    "pulled_reject",
    metadata,
    Column("pull_id", BigInteger, ForeignKey("pull.id", ondelete="CASCADE"), nullable=False),
    Column("sourced_id", Text),
    Column("collection", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Index("ix_pulled_reject_pull_id", "pull_id"),
)

snapshot = Table(
    "snapshot",
    metadata,
    _id(),
    Column("district_id", BigInteger, nullable=False),
    Column("school_id", BigInteger, nullable=False),
    Column("connection_id", BigInteger, nullable=False),
    Column("pull_id", BigInteger, ForeignKey("pull.id", ondelete="SET NULL")),
    _now("taken_at"),
    Column("complete", Boolean, nullable=False),
    Column("mode", Text, nullable=False),
    _json("proof"),
    _json("counts"),
    Column("run_id", Text, comment="the Dagster run"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("district_id", "school_id", "id"),
    ForeignKeyConstraint(["district_id", "school_id"], ["school.district_id", "school.id"]),
    ForeignKeyConstraint(["district_id", "connection_id"], ["connection.district_id", "connection.id"]),
    Index("ix_snapshot_school_id_id", "school_id", "id"),
)


def _raw(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("snapshot_id", BigInteger, ForeignKey("snapshot.id", ondelete="CASCADE"), nullable=False),
        Column("sourced_id", Text, nullable=False),
        Column("payload", JSONB, nullable=False),
        Index(f"ix_{name}_snapshot_id", "snapshot_id"),
    )


raw_org = _raw("raw_org")
raw_user = _raw("raw_user")
raw_contact = _raw("raw_contact")

# What we made of it ------------------------------------------------------------------------------------------------

cleaned_roster = Table(
    "cleaned_roster",
    metadata,
    Column("snapshot_id", BigInteger, ForeignKey("snapshot.id", ondelete="CASCADE"), nullable=False),
    Column("sourced_id", Text, nullable=False),
    Column(
        "standing",
        Text,
        nullable=False,
        comment="member, deleted, disabled, ended, not_begun, elsewhere, no_org, role_off, unmapped or rejected",
    ),
    Column("human", Integer, comment="records of one human share it, within the snapshot"),
    Column("conflict", Text, comment="why this human cannot be told apart, or null"),
    Column("number_kind", Text, comment="student or staff"),
    *(Column(name, Boolean if name == "enabled" else Text) for name in PERSON_FIELDS),
    *(Column(name, Text) for name in MEMBERSHIP_FIELDS),
    *(Column(name, Text) for name in CONTACT_FIELDS),
    PrimaryKeyConstraint("snapshot_id", "sourced_id"),
)

rejected_record = Table(
    "rejected_record",
    metadata,
    Column("snapshot_id", BigInteger, ForeignKey("snapshot.id", ondelete="CASCADE"), nullable=False),
    Column("collection", Text, nullable=False, comment="users, orgs or contacts"),
    Column("sourced_id", Text),
    Column("field", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("severity", Text, nullable=False, comment="error: record not used; warning: value dropped"),
    Column("role", Text, comment="role group, where it is known"),
    Index("ix_rejected_record_snapshot_id", "snapshot_id"),
)

quality_result = Table(
    "quality_result",
    metadata,
    Column("snapshot_id", BigInteger, ForeignKey("snapshot.id", ondelete="CASCADE"), nullable=False),
    Column("rule", Text, nullable=False),
    Column("check_name", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("tested", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    PrimaryKeyConstraint("snapshot_id", "rule"),
)

witness = Table(
    "witness",
    metadata,
    Column("snapshot_id", BigInteger, ForeignKey("snapshot.id", ondelete="CASCADE"), nullable=False),
    Column("sourced_id", Text, nullable=False),
    Column("answer", Text, nullable=False, comment="gone, elsewhere, here or unanswered"),
    PrimaryKeyConstraint("snapshot_id", "sourced_id"),
)

# The plan and its verdict ------------------------------------------------------------------------------------------

plan = Table(
    "plan",
    metadata,
    _id(),
    Column("district_id", BigInteger, nullable=False),
    Column("school_id", BigInteger, nullable=False),
    Column("snapshot_id", BigInteger, nullable=False),
    _now("made_at"),
    Column("hash", Text, nullable=False, comment="of the rows that change something; approvals are bound to it"),
    Column("position", BigInteger, nullable=False, comment="the change log's position when the plan was made"),
    Column("first_sync", Boolean, nullable=False),
    _json("counts"),
    Column("state", Text, nullable=False, server_default=text("'planned'"), comment="planned, replaced or discarded"),
    Column("dry_run", Boolean, nullable=False, server_default=text("false")),
    Column("run_id", Text),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("district_id", "school_id", "id"),
    ForeignKeyConstraint(
        ["district_id", "school_id", "snapshot_id"],
        ["snapshot.district_id", "snapshot.school_id", "snapshot.id"],
        ondelete="CASCADE",
    ),
    Index("ix_plan_school_id_id", "school_id", "id"),
)

plan_row = Table(
    "plan_row",
    metadata,
    Column("plan_id", BigInteger, ForeignKey("plan.id", ondelete="CASCADE"), nullable=False),
    Column("row", Integer, nullable=False),
    Column("action", Text, nullable=False, comment="create, update, restore, archive, unchanged, skip or conflict"),
    Column("reason", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("person_id", BigInteger),
    Column("sourced_ids", ARRAY(Text), nullable=False, comment="the human's records, the home record first"),
    Column("new_links", ARRAY(Text), nullable=False),
    Column("matched_by", Text, comment="link, number, email or null"),
    Column("changes", JSONB, nullable=False, comment='{"field": [from, to]}'),
    Column("number_kind", Text),
    Column("absent_syncs", Integer, comment="what membership.absent_syncs becomes; null leaves it"),
    Column("person_revision", BigInteger),
    Column("membership_revision", BigInteger),
    Column("witness", Text, comment="of an archival: gone, elsewhere or unanswered"),
    Column("sync_id", BigInteger, comment="set in the transaction that applied the row"),
    PrimaryKeyConstraint("plan_id", "row"),
)

verdict = Table(
    "verdict",
    metadata,
    Column("plan_id", BigInteger, ForeignKey("plan.id", ondelete="CASCADE"), nullable=False),
    Column("role", Text, nullable=False),
    Column("action", Text, nullable=False, comment="create, update, restore or archive"),
    Column("verdict", Text, nullable=False, comment="pass or hold"),
    Column("rows", Integer, nullable=False),
    Column("findings", JSONB, nullable=False, comment='[{"guard", "message", "value", "limit", "overridable"}]'),
    PrimaryKeyConstraint("plan_id", "role", "action"),
    CheckConstraint("verdict in ('pass', 'hold')", name="verdict"),
)

approval = Table(
    "approval",
    metadata,
    _id(),
    Column("plan_id", BigInteger, ForeignKey("plan.id", ondelete="CASCADE"), nullable=False),
    Column("plan_hash", Text, nullable=False),
    Column("decision", Text, nullable=False, comment="approve or discard"),
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _now("at"),
    Column("lapses_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id"),
    Index("ix_approval_plan_id", "plan_id"),
)

# The directory ------------------------------------------------------------------------------------------------------

person = Table(
    "person",
    metadata,
    _id(),
    Column("district_id", BigInteger, ForeignKey("district.id"), nullable=False),
    *(Column(name, Boolean if name == "enabled" else Text) for name in PERSON_FIELDS),
    Column("number_kind", Text),
    Column("number_connection_id", BigInteger, comment="a number means something within one connection"),
    Column("excluded", Boolean, nullable=False, server_default=text("false")),
    Column("locked_fields", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("revision", BigInteger, nullable=False, server_default=text("1")),
    _now("created_at"),
    _now("updated_at"),
    PrimaryKeyConstraint("district_id", "id"),
    Index("ix_person_number", "district_id", "number_connection_id", "number_kind", "number"),
    Index("ix_person_email", "district_id", text("lower(email)")),
)

link = Table(
    "link",
    metadata,
    Column("district_id", BigInteger, nullable=False),
    Column("connection_id", BigInteger, nullable=False),
    Column("sourced_id", Text, nullable=False),
    Column("person_id", BigInteger, nullable=False),
    Column("home", Boolean, nullable=False, server_default=text("false"), comment="whose record the fields follow"),
    Column("version", Text, comment="of the standard, when the link was made"),
    _now("created_at"),
    PrimaryKeyConstraint("connection_id", "sourced_id"),
    ForeignKeyConstraint(["district_id", "connection_id"], ["connection.district_id", "connection.id"]),
    ForeignKeyConstraint(["district_id", "person_id"], ["person.district_id", "person.id"]),
    Index("ix_link_district_id_person_id", "district_id", "person_id"),
)

membership = Table(
    "membership",
    metadata,
    Column("district_id", BigInteger, nullable=False),
    Column("school_id", BigInteger, nullable=False),
    Column("person_id", BigInteger, nullable=False),
    *(Column(name, Text) for name in MEMBERSHIP_FIELDS),
    Column("status", Text, nullable=False, comment="active or archived"),
    Column("archived_by", Text, comment="sync or hand"),
    _when("archived_at"),
    Column("managed", Boolean, nullable=False, server_default=text("false"), comment="the sync may archive it"),
    Column("absent_syncs", Integer, nullable=False, server_default=text("0")),
    Column("revision", BigInteger, nullable=False, server_default=text("1")),
    _now("created_at"),
    _now("updated_at"),
    PrimaryKeyConstraint("district_id", "school_id", "person_id"),
    ForeignKeyConstraint(["district_id", "school_id"], ["school.district_id", "school.id"]),
    ForeignKeyConstraint(["district_id", "person_id"], ["person.district_id", "person.id"]),
    Index("ix_membership_district_id_person_id", "district_id", "person_id"),
    CheckConstraint("status in ('active', 'archived')", name="status"),
)

contact = Table(
    "contact",
    metadata,
    Column("district_id", BigInteger, nullable=False),
    Column("school_id", BigInteger, nullable=False),
    Column("person_id", BigInteger, nullable=False, comment="the student"),
    *(Column(name.removeprefix("contact_"), Text) for name in CONTACT_FIELDS),
    _now("updated_at"),
    PrimaryKeyConstraint("district_id", "school_id", "person_id"),
    ForeignKeyConstraint(
        ["district_id", "school_id", "person_id"],
        ["membership.district_id", "membership.school_id", "membership.person_id"],
        ondelete="CASCADE",
    ),
)

# The ledger ---------------------------------------------------------------------------------------------------------

sync = Table(
    "sync",
    metadata,
    _id(),
    Column("district_id", BigInteger, nullable=False),
    Column("school_id", BigInteger, nullable=False),
    Column("kind", Text, nullable=False, comment="sync, approval or rollback"),
    Column("plan_id", BigInteger, ForeignKey("plan.id", ondelete="SET NULL")),
    Column("snapshot_id", BigInteger),
    Column("undoes", BigInteger, comment="the sync that a rollback undid"),
    Column("outcome", Text, nullable=False, comment="applied, held (in part) or unchanged"),
    _json("counts"),
    _json("report"),
    Column("who", Text, nullable=False),
    _now("at"),
    Column("run_id", Text),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("district_id", "school_id", "id"),
    ForeignKeyConstraint(["district_id", "school_id"], ["school.district_id", "school.id"]),
    Index("uq_sync_snapshot", "school_id", "snapshot_id", unique=True, postgresql_where=text("kind = 'sync'")),
    Index("ix_sync_school_id_id", "school_id", "id"),
)

change_log = Table(
    "change_log",
    metadata,
    Column("position", BigInteger, Identity(), nullable=False),
    Column("xid", Text, nullable=False, comment="xid8: bounds the change feed by the snapshot horizon"),
    Column("sync_id", BigInteger, comment="null: by hand"),
    Column("district_id", BigInteger, nullable=False),
    Column("entity", Text, nullable=False, comment="person, link, membership or contact"),
    Column("operation", Text, nullable=False, comment="insert, update or delete"),
    Column("person_id", BigInteger, nullable=False),
    Column("school_id", BigInteger),
    Column("before", JSONB),
    Column("after", JSONB),
    _now("at"),
    PrimaryKeyConstraint("position"),
    Index("ix_change_log_sync_id", "sync_id"),
    Index("ix_change_log_district_id_person_id", "district_id", "person_id"),
)

outbox = Table(
    "outbox",
    metadata,
    _id(),
    Column("message_id", Text, nullable=False, unique=True, comment="fixed, so that a resend is recognised"),
    Column("kind", Text, nullable=False, comment="report or alert"),
    Column("school_id", BigInteger),
    Column("sync_id", BigInteger),
    Column("recipients", ARRAY(Text), nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("html", Text, nullable=False),
    _now("created_at"),
    _now("due_at"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("error", Text),
    _when("sent_at"),
    _when("dead_at"),
    PrimaryKeyConstraint("id"),
    Index("ix_outbox_due_at", "due_at", postgresql_where=text("sent_at is null and dead_at is null")),
)

failure = Table(
    "failure",
    metadata,
    _id(),
    Column("school_id", BigInteger, nullable=False),
    _now("at"),
    Column("step", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("run_id", Text),
    PrimaryKeyConstraint("id"),
    Index("ix_failure_school_id_id", "school_id", "id"),
)

audit = Table(
    "audit",
    metadata,
    _id(),
    _now("at"),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("district_id", BigInteger),
    Column("school_id", BigInteger),
    Column("person_id", BigInteger),
    Column("reason", Text),
    _json("details"),
    PrimaryKeyConstraint("id"),
    Index("ix_audit_school_id_id", "school_id", "id"),
)
