"""Compares the records of a snapshot with a selection from the beginning."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.directory import snapshots
from roster_pipeline.directory.record_sets import of_snapshot
from roster_pipeline.directory.school_records import ELSEWHERE
from roster_pipeline.directory.tenants import SchoolRow

PARTS = ("org", "user", "contact", ELSEWHERE)


def assert_chosen_again(conn: Connection, school: SchoolRow, facts: Mapping[str, Any]) -> None:
    """The newest snapshot of a school names the same records if it is taken again without an earlier one.

    facts: of the snapshot. Nothing is written. The links of the members must be as when it was taken.
    """
    with conn.begin_nested() as attempt:
        again = snapshots.take(
            conn, school, facts["school_sourced_id"], facts["pull_id"],
            contacts=school.settings.primary_contacts, run_id=None, from_base=False,
        )  # fmt: skip
        counts = snapshots.facts(conn, again)["counts"]
        found, expected = of_snapshot(conn, facts["id"]), of_snapshot(conn, again)
        for part in PARTS:
            assert found[part].ids.tolist() == expected[part].ids.tolist(), part
        assert counts == {name: facts["counts"].get(name) for name in counts}
        attempt.rollback()
