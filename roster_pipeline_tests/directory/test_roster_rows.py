"""Snapshots share the rows of their rosters, and each keeps its own roster, whatever happens later."""

import random
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import text

from roster_pipeline.directory import roster_rows, rosters, stored_frames
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.roster_rows import KEY, Earlier
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.frames import REJECTED_COLUMNS, ROSTER_COLUMNS
from roster_pipeline_tests.directory.builders import one, snapshot_of
from roster_pipeline_tests.kept_frames import assert_same_frame

NOT_NAMED = """
select count(*) from roster_row r where not exists (
    select from snapshot s
    where s.roster_id = r.roster_id and s.roster_version between r.first_version and r.last_version
)
"""
NOBODY = pd.DataFrame({name: pd.Series(dtype="str") for name in REJECTED_COLUMNS})


def random_roster(chosen: random.Random, before: pd.DataFrame | None) -> pd.DataFrame:
    """Some records, most of them unchanged; neighbours may be one identity."""
    rows = dict[str, dict[Any, Any]]()
    if before is not None:
        rows = {row["sourced_id"]: row for row in before.to_dict("records")}
    for number in range(40):
        name = f"r{number:02}"
        if name not in rows or chosen.random() < 0.1:
            row: dict[str, Any] = {column: chosen.choice((None, "a", "b\n,\"c'\\")) for column in ROSTER_COLUMNS}
            rows[name] = row | {"sourced_id": name, "record_status": "member", "enabled": chosen.choice((True, None))}
        if chosen.random() < 0.1:
            del rows[name]
    frame = pd.DataFrame([rows[name] for name in sorted(rows)], columns=list(ROSTER_COLUMNS)).astype("str")
    first = list(range(len(frame)))
    for place in range(1, len(first)):
        if chosen.random() < 0.2:
            first[place] = first[place - 1]
    enabled = pd.array([rows[name]["enabled"] for name in sorted(rows)], dtype="boolean")
    return frame.assign(identity=pd.array(first, dtype="Int64"), enabled=enabled)


@pytest.mark.parametrize("seed", range(3))
def test_each_snapshot_keeps_the_roster_that_was_written_for_it(
    database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(stored_frames, "LARGE", 0)
    monkeypatch.setattr(roster_rows, "MOST_DIFFERENT", 0.6)
    chosen, written = random.Random(seed), dict[int, pd.DataFrame]()
    continued = 0
    for _ in range(16):
        what = chosen.choice(("write", "write", "write", "again", "take over", "release")) if written else "write"
        snapshot_id = chosen.choice(list(written)) if what == "again" else snapshot_of(database, lincoln)
        with database.begin() as conn:
            if what == "release":
                gone = chosen.choice(list(written))
                roster_rows.release(conn, [gone])
                del written[gone]
            elif what == "take over":
                earlier = chosen.choice(list(written))
                assert roster_rows.take_over(conn, snapshot_id, Earlier("", earlier, {}, 0)) == 0
                written[snapshot_id] = written[earlier]
            else:
                last = roster_rows.last_roster(conn, snapshot_id, records=10**6)
                roster = random_roster(chosen, next(reversed(written.values()), None))
                last = chosen.choice((last, last, None))
                rosters.write(conn, snapshot_id, roster, NOBODY, counts={KEY: {}}, last=last)
                written[snapshot_id] = roster
            for number, expected in written.items():
                for records in (-1, 10**6):
                    found = roster_rows.load(conn, number, records=records)
                    assert_same_frame(found, expected[list(found.columns)])
        continued += int(one(database, "select count(*) from snapshot where roster_version > 0"))
    assert continued
    database.call(roster_rows.release, list(written)[:-1])
    assert one(database, "select count(*) from roster") == min(1, len(written))
    assert one(database, NOT_NAMED) == 0


def test_two_that_continue_one_roster_do_not_mix_their_rows(
    database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_frames, "LARGE", 0)
    monkeypatch.setattr(roster_rows, "MOST_DIFFERENT", 9)
    chosen = random.Random(0)
    first, *both = (snapshot_of(database, lincoln) for _ in range(3))
    with database.begin() as conn:
        rosters.write(conn, first, random_roster(chosen, None), NOBODY)
        last = roster_rows.last_roster(conn, first, records=10**6)
        expected = [random_roster(chosen, None) for _ in both]
        for snapshot_id, roster in zip(both, expected, strict=True):
            rosters.write(conn, snapshot_id, roster, NOBODY, last=last)
        for snapshot_id, roster in zip(both, expected, strict=True):
            found = roster_rows.load(conn, snapshot_id, records=-1)
            assert_same_frame(found, roster[list(found.columns)])
        versions = conn.execute(text("select roster_id, roster_version from snapshot order by id")).all()
    assert [tuple(row) for row in versions] == [(1, 0), (1, 1), (2, 0)]
