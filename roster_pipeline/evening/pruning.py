"""Pruning our own tables; how long things are kept is chosen by environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

from roster_pipeline.directory import snapshots, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.errors import DirectoryError
from roster_pipeline.directory.retention import drop_old

KEEP_SYNCS = "ROSTER_KEEP_SYNCS"
KEEP_DAYS = "ROSTER_KEEP_DAYS"
KEEP_RUN_DAYS = "ROSTER_KEEP_RUN_DAYS"
LEAST_SYNCS = 7
"""The guards compare a role with its last seven good snapshots."""


class RetentionNotUsable(DirectoryError):
    """A setting is no whole number, or too small."""


@dataclass(frozen=True)
class Retention:
    """syncs: whose raw records are kept, per school. days: of mails and notes. run_days: of Dagster's runs."""

    syncs: int = snapshots.KEPT_SNAPSHOTS
    days: int = 90
    run_days: int = 90

    @classmethod
    def from_environment(cls) -> Retention:
        """Raises RetentionNotUsable."""
        return cls(
            _number(KEEP_SYNCS, cls.syncs, LEAST_SYNCS), _number(KEEP_DAYS, cls.days, 7), _number(KEEP_RUN_DAYS, 90, 7)
        )


def prune(database: Database, retention: Retention) -> dict[str, int]:
    """Drop what is old from our tables, one school a transaction; what was dropped, by name."""
    with database.begin() as connection:
        schools = [school.id for school in tenants.list_schools(connection)]
    dropped = 0
    for school_id in schools:
        with database.begin() as connection:
            dropped += snapshots.prune(connection, school_id, retention.syncs)
    with database.begin() as connection:
        return {"snapshots": dropped} | drop_old(connection, timedelta(days=retention.days))


def _number(name: str, default: int, least: int) -> int:
    given = os.environ.get(name, "").strip()
    if not given:
        return default
    if not given.isdigit() or int(given) < least:
        raise RetentionNotUsable(f"{name} is no whole number of at least {least}.", f"Correct {name}, or unset it.")
    return int(given)
