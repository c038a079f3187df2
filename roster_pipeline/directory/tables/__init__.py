"""The tables, as SQLAlchemy Core sees them. The DDL that makes them, with triggers and views, is in `migrations/`.

Every table that holds people carries `district_id` in its key and in its foreign keys, so the database itself refuses
a row that reaches into another district.
"""

from roster_pipeline.directory.tables import intake, ledger, people, planning, tenants

metadata = tenants.metadata
"""All tables: to read it from here loads every module that adds some."""

__all__ = ["intake", "ledger", "metadata", "people", "planning", "tenants"]
