"""Shared by all tables: the one `metadata`, the naming of constraints, and the usual kinds of columns."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, MetaData, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB

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
