"""Districts, connections and schools with the settings that their owners choose; accounts of the console and sessions.
Also what all tables share: the one `metadata`, the naming of constraints, and the usual kinds of columns.

The tables store only the SHA-256 of a token. A token has 256 random bits, so a reader of these tables cannot sign in.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def identity(name: str = "id") -> Column[int]:
    """A number that the database gives out."""
    return Column(name, BigInteger, Identity(), nullable=False)


def number(name: str, *, comment: str | None = None, optional: bool = False) -> Column[int]:
    """A 64-bit whole number, mostly the id of a row elsewhere."""
    return Column(name, BigInteger, nullable=optional, comment=comment)


def words(name: str, *, comment: str | None = None, optional: bool = False) -> Column[str]:
    """A text."""
    return Column(name, Text, nullable=optional, comment=comment)


def now(name: str) -> Column[object]:
    """A time that the database sets when the row is made."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def moment(name: str, *, comment: str | None = None) -> Column[object]:
    """A time, or null if it has not come yet."""
    return Column(name, DateTime(timezone=True), comment=comment)


def mapping(name: str, *, comment: str | None = None) -> Column[object]:
    """A JSON object, empty by default."""
    return Column(name, JSONB, nullable=False, server_default=text("'{}'::jsonb"), comment=comment)


def flag(name: str, *, comment: str | None = None) -> Column[bool]:
    """A switch, off by default."""
    return Column(name, Boolean, nullable=False, server_default=text("false"), comment=comment)


def field_columns(names: tuple[str, ...]) -> list[Column[object]]:
    """The columns of fields that the SIS fills: all optional, all text but `enabled`."""
    return [Column(name, Boolean if name == "enabled" else Text) for name in names]


account = Table(
    "account",
    metadata,
    identity(),
    words("email", comment="lower case; the name in the audit"),
    Column("name", Text, nullable=False, server_default=text("''::text")),
    words("issuer", comment="OpenID Connect: bound at the first sign-in", optional=True),
    words("subject", optional=True),
    now("created_at"),
    moment("signed_in_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("email"),
    UniqueConstraint("issuer", "subject"),
)

access_grant = Table(
    "access_grant",
    metadata,
    identity(),
    Column("account_id", BigInteger, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    words("role", comment="operator (everything), manager (of a district) or owner (of a school)"),
    Column("district_id", BigInteger, ForeignKey("district.id")),
    Column("school_id", BigInteger, ForeignKey("school.id")),
    words("granted_by"),
    now("granted_at"),
    PrimaryKeyConstraint("id"),
    CheckConstraint(
        "(role = 'operator' and district_id is null and school_id is null)"
        " or (role = 'manager' and district_id is not null and school_id is null)"
        " or (role = 'owner' and district_id is null and school_id is not null)",
        name="role",
    ),
    Index("uq_access_grant_operator", "account_id", unique=True, postgresql_where=text("(role = 'operator'::text)")),
    Index("uq_access_grant_manager", "account_id", "district_id", unique=True),
    Index("uq_access_grant_owner", "account_id", "school_id", unique=True),
)

console_session = Table(
    "console_session",
    metadata,
    words("token_hash"),
    Column("account_id", BigInteger, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    now("created_at"),
    now("seen_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False, comment="the end, however busy the session is"),
    words("message", comment="a message for the next page", optional=True),
    PrimaryKeyConstraint("token_hash"),
    Index("ix_console_session_account_id", "account_id"),
)

sign_in_link = Table(
    "sign_in_link",
    metadata,
    words("token_hash"),
    Column("account_id", BigInteger, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    now("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    moment("used_at"),
    PrimaryKeyConstraint("token_hash"),
)

oidc_attempt = Table(
    "oidc_attempt",
    metadata,
    words("state_hash"),
    words("visit_hash", comment="the browser that began it"),
    words("nonce"),
    words("verifier", comment="PKCE"),
    words("next_path"),
    now("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("state_hash"),
)

rate_limit = Table(
    "rate_limit",
    metadata,
    words("name", comment="what is counted"),
    words("key_hash", comment="for whom"),
    now("began_at"),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("used", Integer, nullable=False),
    PrimaryKeyConstraint("name", "key_hash"),
)


def revision() -> Column[object]:
    """How often the row's settings were changed. A form that was opened before the last change is refused."""
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
