"""The views for applications: the page describes every column, the role sees nothing else, the feed misses nothing."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from roster_pipeline.directory import manual_edits
from roster_pipeline.directory.database import Database, StatementFailed
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.directory.builders import every, newcomer, one, person_of, row, sync_rows

PAGE = Path(__file__).parents[2] / "docs" / "directory.md"
TYPES = {"timestamp with time zone": "timestamptz", "ARRAY": "text[]"}
FOLLOW = """
select transaction, position, entity, operation, changed, sync_id from roster_public.directory_change
where (transaction, position) > (:transaction, :position) order by transaction, position
"""


def _described() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        name = section.split("\n", 1)[0].strip()
        columns = re.findall(r"^\| `(\w+)` \| ([\w\[\]]+) \| \S", section, flags=re.M)
        if columns:
            found[name] = columns
    return found


def test_the_page_describes_every_view_and_every_column_in_order(database: Database) -> None:
    shown: dict[str, list[tuple[str, str]]] = {}
    for view, column, kind in every(
        database,
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_schema = 'roster_public' order by table_name, ordinal_position",
    ):
        shown.setdefault(view, []).append((column, TYPES.get(kind, kind)))
    assert shown == _described()


def test_a_person_is_active_while_any_membership_is(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1", changes={"contact_email": "p@example.org"}))
    person = person_of(database, "u1")
    sync_rows(database, roosevelt, row("create", person, changes={"role": "student"}))
    active = "select active from roster_public.directory_person"
    sync_rows(database, lincoln, row("archive", person))
    assert one(database, active) is True
    sync_rows(database, roosevelt, row("archive", person))
    assert one(database, active) is False
    assert every(database, "select school, status from roster_public.directory_membership order by 1") == [
        ("lincoln", "archived"),
        ("roosevelt", "archived"),
    ]
    assert every(database, "select school, email, status from roster_public.directory_contact") == [
        ("lincoln", "p@example.org", "archived")
    ]


def test_the_reader_sees_the_views_alone(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    with database.begin() as conn:
        conn.execute(text("set local role roster_reader"))
        for view in _described():
            assert conn.scalar(text(f"select count(*) from roster_public.{view}")) is not None
    for table in ("person", "membership", "change_log", "connection", "audit"):
        with pytest.raises(StatementFailed), database.begin() as conn:
            conn.execute(text(f"set local role roster_reader; select * from public.{table}"))


def _read(conn: Connection, place: tuple[int, int]) -> list[Any]:
    return list(conn.execute(text(FOLLOW), {"transaction": place[0], "position": place[1]}))


def test_the_feed_names_what_changed_and_who_did_it(database: Database, lincoln: SchoolRow) -> None:
    sync_id = sync_rows(database, lincoln, newcomer("u1")).sync_id
    database.call(
        manual_edits.edit, lincoln.district_id, person_of(database, "u1"), {"phone": "+1"}, who="owner", reason="x"
    )
    rows = database.call(_read, (0, 0))
    assert [(each.entity, each.operation, each.sync_id) for each in rows[:3]] == [
        ("person", "insert", sync_id),
        ("link", "insert", sync_id),
        ("membership", "insert", sync_id),
    ]
    assert (rows[3].changed, rows[3].sync_id) == (["locked_fields", "phone"], None)


def test_a_row_that_commits_late_is_not_missed(database: Database, lincoln: SchoolRow) -> None:
    insert = text("insert into person (district_id) values (:district)")
    district = {"district": lincoln.district_id}
    with database.begin() as late:
        late.execute(insert, district)
        with database.begin() as early:
            early.execute(insert, district)
        assert database.call(_read, (0, 0)) == []
    with database.begin() as reader:
        rows = _read(reader, (0, 0))
        assert len(rows) == 2
        assert _read(reader, (rows[-1].transaction, rows[-1].position)) == []


def test_a_reader_that_follows_ends_with_what_the_views_show(database: Database, lincoln: SchoolRow) -> None:
    place = (0, 0)
    known: set[int] = set()
    for night in range(4):
        sync_id = sync_rows(database, lincoln, *[newcomer(f"n{night}-{n}") for n in range(3)]).sync_id
        if night % 2:
            builders.roll_back(database, sync_id, who="owner", reason="wrong file")
        with database.begin() as conn:
            query = text(FOLLOW.replace("entity,", "person_id, entity,", 1))
            for each in conn.execute(query, {"transaction": place[0], "position": place[1]}):
                place = (each.transaction, each.position)
                if each.entity == "person":
                    (known.discard if each.operation == "delete" else known.add)(each.person_id)
    assert known == {found for (found,) in every(database, "select person_id from roster_public.directory_person")}
