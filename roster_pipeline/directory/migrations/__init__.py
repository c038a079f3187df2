"""The migrations of the schema. Each runs its SQL as it is written, so a `:` is not read as a parameter."""

from typing import Any

from alembic import op


def run(statements: str) -> None:
    """Run plain DDL through the driver, in the migration's transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(statements)
