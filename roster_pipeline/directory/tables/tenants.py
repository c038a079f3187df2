"""Districts, connections and schools, with the settings that their owners choose."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from roster_pipeline.directory.tables.base import identity, mapping, metadata, now, number, words


def revision() -> Column[object]:
    """How often the row's settings were changed: a form that was filled in before is told so."""
    return Column("revision", Integer, nullable=False, server_default=text("1"))


def paused_until() -> Column[object]:
    """The first day on which the schedule starts syncs again, in the school's own calendar; null: not paused."""
    return Column("paused_until", Date, comment="the first day with scheduled syncs again; null: not paused")


district = Table(
    "district",
    metadata,
    identity(),
    words("key"),
    words("name"),
    mapping("settings"),
    paused_until(),
    now("created_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("key"),
)

connection = Table(
    "connection",
    metadata,
    identity(),
    number("district_id"),
    words("key"),
    Column("settings", JSONB, nullable=False),
    words("secret", comment="Fernet token, or env:NAME; never plain", optional=True),
    mapping("learned", comment="what the SIS taught us: version, strategy, ..."),
    revision(),
    now("created_at"),
    now("updated_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("key"),
    UniqueConstraint("district_id", "id"),
    ForeignKeyConstraint(["district_id"], ["district.id"]),
)

application = Table(
    "application",
    metadata,
    words("login", comment="of the database; sees roster_application as far as this row lets it"),
    number("district_id"),
    Column("schools", ARRAY(BigInteger), comment="null: all of the district"),
    Column("roles", ARRAY(Text), comment="null: all"),
    Column("fields", ARRAY(Text), comment="null: all"),
    now("created_at"),
    PrimaryKeyConstraint("login", "district_id"),
    ForeignKeyConstraint(["district_id"], ["district.id"]),
)

school = Table(
    "school",
    metadata,
    identity(),
    number("district_id"),
    number("connection_id"),
    words("key", comment="the Dagster partition key"),
    words("name"),
    Column("settings", JSONB, nullable=False),
    paused_until(),
    mapping("raised_limits", comment="{guard setting: {value, until, who, reason}}; counts until that day"),
    Column("test", JSONB, comment="the last Test Your Information: items, at, and of what"),
    revision(),
    now("created_at"),
    now("updated_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("key"),
    UniqueConstraint("district_id", "id"),
    ForeignKeyConstraint(["district_id", "connection_id"], ["connection.district_id", "connection.id"]),
)
