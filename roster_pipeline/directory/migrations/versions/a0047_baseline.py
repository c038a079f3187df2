"""The whole schema. It replaces the migrations up to 0047: a database at 0047 is at this baseline. Older databases are
upgraded by an earlier version first (`schema.OldSchema`)."""

from pathlib import Path

from roster_pipeline.directory.migrations import run

revision = "0047"
down_revision = None

FOLDER = Path(__file__).parents[1] / "baseline"


def upgrade() -> None:
    """Make tables, functions and triggers, views, and the role that reads the views."""
    for part in ("tables", "functions", "views", "reader"):
        run((FOLDER / f"{part}.sql").read_text())
