"""Who may use the console: accounts, what they may see, their sessions, and what a sign-in under way must remember.

Tokens are kept as SHA-256 of 256 random bits: who reads these tables cannot sign in with what they hold.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from roster_pipeline.directory.tables.base import identity, metadata, moment, now, words

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
