"""The answers of the SIS and our results: pulls, snapshots, cleaned rosters, rejections, witnesses; also connection
tests and lists of schools."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import BYTEA, JSON, JSONB, UUID

from roster_pipeline.directory.tables.tenants import (
    field_columns,
    flag,
    identity,
    mapping,
    metadata,
    moment,
    now,
    number,
    words,
)
from roster_pipeline.vocabulary import MEMBERSHIP_FIELDS, PERSON_FIELDS, STUDENT_CONTACTS

pull = Table(
    "pull",
    metadata,
    identity(),
    number("district_id"),
    number("connection_id"),
    words("batch", comment="runs with the same batch (a night) share one pull"),
    words("scope", comment="'' for the whole connection, else one School ID"),
    now("started_at"),
    moment("finished_at"),
    flag("complete"),
    Column("mode", Text, nullable=False, server_default=text("'full'::text"), comment="full, delta or school"),
    mapping("proof"),
    moment("written_at", comment="when the bundle that was read counts as written; null for an API"),
    moment("unchanged_since", comment="since when the source says the same"),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["district_id", "connection_id"], ["connection.district_id", "connection.id"]),
    Index("uq_pull_batch", "connection_id", "batch", "scope", unique=True),
)


def _of_pull() -> Column[int]:
    return Column("pull_id", BigInteger, ForeignKey("pull.id", ondelete="CASCADE"), nullable=False)


def _of_snapshot() -> Column[int]:
    return Column("snapshot_id", BigInteger, ForeignKey("snapshot.id", ondelete="CASCADE"), nullable=False)


sis_record = Table(
    "sis_record",
    metadata,
    identity(),
    number("connection_id"),
    words("kind", comment="org or user"),
    words("sourced_id"),
    Column("content_hash", UUID, nullable=False, comment="of the normalised record; equal records have equal hashes"),
    flag("student", comment="a role of it is student: its contacts are looked for"),
    Column("orgs", ARRAY(Text), nullable=False, comment="every org the record names"),
    Column("agents", ARRAY(Text), nullable=False),
    Column("payload", JSON, nullable=False, comment="the normalised record"),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["connection_id"], ["connection.id"]),
    CheckConstraint("kind in ('org', 'user')", name="kind"),
    Index("ix_sis_record_content_hash", "connection_id", "content_hash"),
    Index("ix_sis_record_sourced_id", "connection_id", "kind", "sourced_id"),
    Index("ix_sis_record_orgs", "orgs", postgresql_using="gin"),
    Index("ix_sis_record_agents", "agents", postgresql_using="gin"),
)

pull_record = Table(
    "pull_record",
    metadata,
    number("pull_id", comment="without foreign keys, which would be looked up for each row"),
    number("block", comment="of 512 ids of sis_record: id >> 9"),
    Column("bits", BYTEA, nullable=False, comment="512 bits: get_bit(bits, id & 511)"),
    PrimaryKeyConstraint("pull_id", "block"),
)


def _rejects(name: str, owner: Column[int]) -> Table:
    return Table(
        name,
        metadata,
        owner,
        words("sourced_id", optional=True),
        words("collection", comment="users, orgs or contacts"),
        words("field"),
        words("rule"),
        words("severity", comment="error: record not used; warning: value dropped"),
        Index(f"ix_{name}_{owner.name}", owner.name),
    )


pulled_reject = _rejects("pulled_reject", _of_pull())

snapshot = Table(
    "snapshot",
    metadata,
    identity(),
    number("district_id"),
    number("school_id"),
    number("connection_id"),
    Column("pull_id", BigInteger, ForeignKey("pull.id", ondelete="SET NULL")),
    words("school_sourced_id", comment="the org that the School ID meant that night"),
    now("taken_at"),
    Column("complete", Boolean, nullable=False),
    words("mode"),
    mapping("proof"),
    mapping("counts", comment="people per role of the cleaned roster, and what else is counted"),
    words("run_id", comment="the Dagster run", optional=True),
    moment("written_at", comment="of its pull"),
    moment("unchanged_since", comment="of its pull"),
    moment("pruned_at", comment="when its raw records were dropped; facts and counts stay"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("district_id", "school_id", "id"),
    ForeignKeyConstraint(["district_id", "school_id"], ["school.district_id", "school.id"]),
    ForeignKeyConstraint(["district_id", "connection_id"], ["connection.district_id", "connection.id"]),
    Index("ix_snapshot_school_id_id", "school_id", "id"),
    Index("ix_snapshot_pull_id", "pull_id"),
)


snapshot_record = Table(
    "snapshot_record",
    metadata,
    number("snapshot_id", comment="without foreign keys, as pull_record"),
    words("part", comment="org, user or contact: the views raw_org, raw_user and raw_contact"),
    number("block", comment="as in pull_record"),
    Column("bits", BYTEA, nullable=False, comment="as in pull_record"),
    PrimaryKeyConstraint("snapshot_id", "block", "part"),
)
RAW_VIEWS = {
    name: Table(
        name,
        MetaData(),
        number("snapshot_id"),
        words("sourced_id"),
        Column("payload", JSON, nullable=False, comment="the normalised record"),
    )
    for name in ("raw_org", "raw_user", "raw_contact")
}
"""Views of the records that a snapshot names, by part."""
raw_reject = _rejects("raw_reject", _of_snapshot())

cleaned_roster = Table(
    "cleaned_roster",
    metadata,
    number("snapshot_id", comment="without foreign keys, as pull_record"),
    words("sourced_id"),
    words(
        "record_status",
        comment="member, deleted, disabled, ended, not_begun, elsewhere, no_org, role_off, unmapped or rejected",
    ),
    Column("identity", Integer, comment="records of one human being share it, within the snapshot"),
    words("conflict", comment="why this identity is not certain, or null", optional=True),
    words("number_kind", comment="student or staff", optional=True),
    words("master_identifier", comment="userMasterIdentifier", optional=True),
    *field_columns(PERSON_FIELDS),
    *field_columns(MEMBERSHIP_FIELDS),
    *field_columns(STUDENT_CONTACTS),
    PrimaryKeyConstraint("snapshot_id", "sourced_id"),
)

excluded_contact = Table(
    "excluded_contact",
    metadata,
    _of_snapshot(),
    words("sourced_id", comment="of a contact that nobody may call"),
    words("student_id", comment="the student's record, where it is about one student alone", optional=True),
    Index("ix_excluded_contact_snapshot_id_sourced_id", "snapshot_id", "sourced_id"),
)

rejected_record = Table(
    "rejected_record",
    metadata,
    _of_snapshot(),
    words("collection", comment="users, orgs or contacts"),
    words("sourced_id", optional=True),
    words("field"),
    words("rule"),
    words("severity", comment="error: record not used; warning: value dropped"),
    words("role", comment="role group, where it is known", optional=True),
    Index("ix_rejected_record_snapshot_id", "snapshot_id"),
)

quality_result = Table(
    "quality_result",
    metadata,
    _of_snapshot(),
    words("rule"),
    words("role", comment="role group; empty: the school as a whole, and records whose role is not known"),
    words("check_name"),
    words("severity"),
    Column("passed", Boolean, nullable=False),
    Column("tested", Integer, comment="records; null: the rule could not be evaluated"),
    Column("failed", Integer),
    PrimaryKeyConstraint("snapshot_id", "rule", "role"),
)

witness = Table(
    "witness",
    metadata,
    _of_snapshot(),
    words("sourced_id"),
    words("answer", comment="gone, elsewhere, here, unclear or unanswered"),
    PrimaryKeyConstraint("snapshot_id", "sourced_id"),
)

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
