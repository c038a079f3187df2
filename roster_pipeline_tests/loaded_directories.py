"""Compares the two ways to load the people of a plan."""

from dataclasses import fields

import pandas as pd
from sqlalchemy import Connection

from roster_pipeline.directory import planning_input
from roster_pipeline.directory.plan_reuse import Unsettled
from roster_pipeline.directory.planning_input import LoadedDirectory
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.kept_frames import assert_same_frame

SMALL, LARGE = -1, 10**8
"""A number of records that counts as small in any database, and one that counts as large."""
_load = planning_input.load_directory


def load_both_ways(
    conn: Connection, school: SchoolRow, snapshot_id: int, records: int = LARGE, some: Unsettled | None = None
) -> LoadedDirectory:
    """`planning_input.load_directory`, which gives the same frames for a small and for a large school."""
    if some:
        return _load(conn, school, snapshot_id, records, some)
    small, large = (_load(conn, school, snapshot_id, size) for size in (SMALL, LARGE))
    for field in fields(LoadedDirectory):
        one, other = getattr(small, field.name), getattr(large, field.name)
        if isinstance(one, pd.DataFrame):
            assert_same_frame(one, other)
        else:
            assert one == other
    return large
