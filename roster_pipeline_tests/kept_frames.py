"""Compares the stored frames of a large school with the rows from which they were made."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection

from roster_pipeline.directory import rosters, snapshots, stored_frames
from roster_pipeline.frames import frame_of_documents
from roster_pipeline.sync import clean_snapshot
from roster_pipeline.sync.clean_snapshot import Records

SMALL, LARGE = -1, 10**8
_load, _read = rosters.load, clean_snapshot.read_records


def assert_same_frame(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Fail as pandas does, which takes twenty times as long as `equals` to find that nothing differs."""
    if not (one.equals(other) and one.index.dtype == other.index.dtype):
        pd.testing.assert_frame_equal(one, other)


def keep_and_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every school as a large one, and compare its stored frames with the rows."""
    monkeypatch.setattr(stored_frames, "LARGE", 0)
    monkeypatch.setattr(rosters, "load", _load_both_ways)
    monkeypatch.setattr(clean_snapshot, "read_records", _read_both_ways)


def _load_both_ways(conn: Connection, snapshot_id: int, *, records: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    kept, rows = (_load(conn, snapshot_id, records=some) for some in (LARGE, SMALL))
    for one, other in zip(kept, rows, strict=True):
        assert_same_frame(one, other)
    return kept


def _read_both_ways(conn: Connection, facts: Mapping[str, Any]) -> Records:
    records, raw = _read(conn, facts), snapshots.load(conn, facts["id"])
    for frame, documents in ((records.users, raw.users), (records.contacts, raw.contacts)):
        whole = frame_of_documents(documents)
        pd.testing.assert_series_equal(frame.dtypes, whole.dtypes)
        assert sorted(map(repr, frame.to_dict("records"))) == sorted(map(repr, whole.to_dict("records")))
    return records
