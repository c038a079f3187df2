"""The directory itself: people, the SIS records that are theirs and that are not, memberships, contacts, and people who
were merged, or who are two people although they look like one.

Every table carries `district_id` in its key and in its foreign keys, so the database itself refuses a row that
reaches into another district.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)

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
from roster_pipeline.vocabulary import CONTACT_FIELDS, MEMBERSHIP_FIELDS, PERSON_FIELDS

person = Table(
    "person",
    metadata,
    identity(),
    number("district_id"),
    *field_columns(PERSON_FIELDS),
    words("number_kind", comment="student or staff", optional=True),
    number("number_connection_id", comment="a number means something within one connection", optional=True),
    flag("excluded"),
    Column("locked_fields", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    Column("revision", Integer, nullable=False, server_default=text("1")),
    now("created_at"),
    now("updated_at"),
    PrimaryKeyConstraint("id", "district_id"),
    ForeignKeyConstraint(["district_id"], ["district.id"]),
    Index("ix_person_number", "district_id", "number_connection_id", "number_kind", "number"),
    Index("ix_person_email", "district_id", text("lower(email)")),
)

link = Table(
    "link",
    metadata,
    number("district_id"),
    number("connection_id"),
    words("sourced_id"),
    number("person_id"),
    flag("is_primary", comment="whose record the fields follow"),
    words("version", comment="of the standard, when the link was made", optional=True),
    words("master_identifier", comment="userMasterIdentifier of the record, when the link was made", optional=True),
    flag("confirmed", comment="by hand: never doubted"),
    flag("primary_by_hand", comment="a person made this the primary record; no ranking moves it"),
    now("created_at"),
    PrimaryKeyConstraint("connection_id", "sourced_id"),
    ForeignKeyConstraint(["district_id", "connection_id"], ["connection.district_id", "connection.id"]),
    ForeignKeyConstraint(["district_id", "person_id"], ["person.district_id", "person.id"]),
    Index("ix_link_person_id", "person_id"),
)

link_exclusion = Table(
    "link_exclusion",
    metadata,
    number("district_id"),
    number("connection_id"),
    words("sourced_id", comment="a record that somebody said is not this person"),
    number("person_id"),
    now("created_at"),
    PrimaryKeyConstraint("connection_id", "sourced_id", "person_id"),
    ForeignKeyConstraint(["district_id", "connection_id"], ["connection.district_id", "connection.id"]),
    ForeignKeyConstraint(["district_id", "person_id"], ["person.district_id", "person.id"]),
    Index("ix_link_exclusion_person_id", "person_id"),
)

membership = Table(
    "membership",
    metadata,
    number("district_id"),
    number("school_id"),
    number("person_id"),
    *field_columns(MEMBERSHIP_FIELDS),
    words("status", comment="active or archived"),
    words("archived_by", comment="sync or hand", optional=True),
    moment("archived_at"),
    flag("managed", comment="the sync may archive it"),
    Column("absent_syncs", Integer, nullable=False, server_default=text("0")),
    Column("revision", Integer, nullable=False, server_default=text("1")),
    now("created_at"),
    now("updated_at"),
    PrimaryKeyConstraint("district_id", "school_id", "person_id"),
    ForeignKeyConstraint(["district_id", "school_id"], ["school.district_id", "school.id"]),
    ForeignKeyConstraint(["district_id", "person_id"], ["person.district_id", "person.id"]),
    Index("ix_membership_person_id", "person_id"),
    CheckConstraint("status in ('active', 'archived')", name="status"),
    CheckConstraint("(status = 'active') = (archived_by is null)", name="archived_by"),
)

contact = Table(
    "contact",
    metadata,
    number("district_id"),
    number("school_id"),
    number("person_id", comment="the student"),
    Column("place", SmallInteger, nullable=False, server_default=text("1"), comment="1: the primary contact"),
    *field_columns(tuple(name.removeprefix("contact_") for name in CONTACT_FIELDS)),
    now("updated_at"),
    PrimaryKeyConstraint("district_id", "school_id", "person_id", "place"),
    ForeignKeyConstraint(
        ["district_id", "school_id", "person_id"],
        ["membership.district_id", "membership.school_id", "membership.person_id"],
        ondelete="CASCADE",
    ),
)

person_merge = Table(
    "person_merge",
    metadata,
    identity(),
    number("district_id"),
    number("kept_id", comment="the person who stayed"),
    number("gone_id", comment="the person whose rows the kept one got; the number is never given out again"),
    words("who"),
    now("at"),
    mapping("before", comment="both people, row by row, as they were"),
    mapping("after", comment="the rows of the kept person as the merge left them"),
    moment("undone_at"),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["district_id"], ["district.id"]),
    Index("ix_person_merge_kept_id", "kept_id"),
    Index("ix_person_merge_gone_id", "gone_id"),
)

not_duplicate = Table(
    "not_duplicate",
    metadata,
    number("district_id"),
    number("person_id", comment="somebody said that these two are two people"),
    number("other_id"),
    now("created_at"),
    PrimaryKeyConstraint("person_id", "other_id"),
    ForeignKeyConstraint(["district_id", "person_id"], ["person.district_id", "person.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["district_id", "other_id"], ["person.district_id", "person.id"], ondelete="CASCADE"),
    Index("ix_not_duplicate_other_id", "other_id"),
    CheckConstraint("person_id < other_id", name="ordered"),
)

announced_leaver = Table(
    "announced_leaver",
    metadata,
    number("district_id"),
    number("school_id"),
    number("person_id"),
    Column("day", Date, nullable=False, comment="from this day on, for some weeks, nobody wonders that they are gone"),
    words("who"),
    words("reason"),
    now("at"),
    PrimaryKeyConstraint("district_id", "school_id", "person_id"),
    ForeignKeyConstraint(
        ["district_id", "school_id", "person_id"],
        ["membership.district_id", "membership.school_id", "membership.person_id"],
        ondelete="CASCADE",
    ),
)
