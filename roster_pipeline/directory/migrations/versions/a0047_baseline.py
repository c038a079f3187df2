"""The whole schema. It replaces the migrations up to 0047: a database at 0047 is at this baseline. Older databases are
upgraded by an earlier version first (`schema.OldSchema`)."""

from pathlib import Path
from typing import Any

from alembic import op

from roster_pipeline.directory.pg_copy import driver

revision = "0047"
down_revision = None

FOLDER = Path(__file__).parents[1] / "baseline"


def upgrade() -> None:
    """Make tables, functions and triggers, views, and the role that reads the views."""
    opened: Any = driver(op.get_bind())  # runs SQL as it is written, so a `:` is not read as a parameter
    for part in ("tables", "functions", "views", "reader"):
        opened.execute((FOLDER / f"{part}.sql").read_text())
