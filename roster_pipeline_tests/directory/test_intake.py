"""From a pull to frames: storing, selecting one school's records, and reading back."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection

from roster_pipeline.directory import pulls, rosters, snapshots, sync_summary
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory.builders import (
    NOBODY,
    PROOF,
    Page,
    add_school,
    every,
    newcomer,
    one,
    org,
    person_of,
    pull_of,
    records,
    roll_back,
    row,
    snapshot_of,
    sync_rows,
    user,
)
from roster_pipeline_tests.loaded_directories import load_both_ways

AWKWARD = 'tab\t newline\n back\\slash "quote" {brace,comma} \\N é 漢 😀'


def _taken(database: Database, school: SchoolRow, pull_id: int, *, contacts: bool = True) -> snapshots.Raw:
    with database.begin() as conn:
        snapshot_id = snapshots.take(conn, school, school.settings.school_id, pull_id, contacts=contacts, run_id="run")
        return snapshots.load(conn, snapshot_id)


def _ids(records: list[dict[str, object]]) -> list[object]:
    return [record["sourcedId"] for record in records]


def test_text_comes_back_as_it_went_in_without_the_nul_characters_that_postgresql_cannot_hold(
    database: Database, lincoln: SchoolRow
) -> None:
    here = lincoln.settings.school_id
    record = user(AWKWARD, here, AWKWARD, familyName=AWKWARD, agents=[AWKWARD])
    cut = user("u\0one", here, familyName="Love\0lace", metadata={"a\0": "\\u0000"})
    raw = _taken(database, lincoln, pull_of(database, lincoln, Page("user", [record, cut])))
    kept, found = records(raw.users)
    assert kept == record
    assert (found["sourcedId"], found["familyName"]) == ("uone", "Lovelace")
    assert found["metadata"] == {"a": "\\u0000"}


def test_a_snapshot_holds_the_schools_users_and_its_members_wherever_they_are_now(
    database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("moved"), newcomer("archived"))
    sync_rows(database, lincoln, row("archive", person_of(database, "archived")))
    here = lincoln.settings.school_id
    page = [user("here", here), user("both", "org-x", here), user("moved", "org-x"), user("archived", "org-x")]
    raw = _taken(database, lincoln, pull_of(database, lincoln, Page("user", [*page, user("other", "org-x")])))
    assert _ids(records(raw.users)) == ["both", "here", "moved"]


def test_contacts_are_found_from_either_side_and_only_if_wanted(database: Database, lincoln: SchoolRow) -> None:
    here = lincoln.settings.school_id
    people = [
        user("pupil", here, agents=["mother"]),
        user("teacher", here, role="teacher", agents=["stranger"]),
        user("mother", role="parent"),
        user("father", role="parent", agents=["pupil"]),
        user("stranger", role="parent", agents=["teacher"]),
    ]
    pull_id = pull_of(database, lincoln, Page("user", people))
    assert _ids(records(_taken(database, lincoln, pull_id).contacts)) == ["father", "mother"]
    assert _taken(database, lincoln, pull_id, contacts=False).contacts == b""


def test_the_schools_org_comes_with_what_it_belongs_to(database: Database, lincoln: SchoolRow) -> None:
    orgs = [
        org(lincoln.settings.school_id, parent="area"),
        org("area", parent="district"),
        org("district", parent="area"),
        org("elsewhere"),
    ]
    _taken(database, lincoln, pull_of(database, lincoln, Page("org", orgs)))
    assert sorted(every(database, "select sourced_id from raw_org")) == [
        ("area",),
        ("district",),
        (lincoln.settings.school_id,),
    ]


def test_rejects_of_this_school_come_along_and_those_nobody_can_place(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("member"))
    sync_rows(database, roosevelt, newcomer("theirs"))

    def reject(sourced_id: str | None, severity: str = "error") -> dict[str, str | None]:
        return {
            "sourcedId": sourced_id,
            "collection": "users",
            "field": "status",
            "rule": "unknown",
            "severity": severity,
        }

    rejects = [reject("here", "warning"), reject("member"), reject("theirs"), reject(None), reject("x", "warning")]
    page = Page("user", [user("here", lincoln.settings.school_id)], rejects)
    raw = _taken(database, lincoln, pull_of(database, lincoln, page))
    assert sorted(raw.rejected["sourced_id"].fillna("-")) == ["-", "here", "member"]
    assert list(raw.rejected.columns) == ["collection", "sourced_id", "field", "rule", "severity", "role"]


def test_a_school_is_found_by_sourced_id_or_by_an_identifier_that_is_unique(
    database: Database, lincoln: SchoolRow
) -> None:
    orgs = [org("a", identifier="1"), org("b", identifier="2"), org("c", identifier="2"), org("2b", identifier="a")]
    pull_id = pull_of(database, lincoln, Page("org", orgs))
    with database.begin() as conn:
        found = {given: snapshots.find_schools(conn, pull_id, given) for given in ("a", " 1", "2", "nothing")}
    ids = {given: [org["sourcedId"] for org in orgs] for given, orgs in found.items()}
    assert ids == {"a": ["a"], " 1": ["a"], "2": ["b", "c"], "nothing": []}


def test_a_finished_pull_is_shared_and_an_unfinished_one_is_fetched_again(
    database: Database, lincoln: SchoolRow
) -> None:
    with database.begin() as conn:
        died, fresh = pulls.claim(conn, lincoln.connection, "monday")
        assert fresh
    with database.begin() as conn:
        second, fresh = pulls.claim(conn, lincoln.connection, "monday")
        assert fresh
        assert second != died
    pulls.store(database, second, [Page("user", [user("u", "x")])])
    database.call(pulls.finish, second, PROOF)
    assert database.call(pulls.claim, lincoln.connection, "monday") == (second, False)


def test_a_pull_that_breaks_off_leaves_no_page_behind(database: Database, lincoln: SchoolRow) -> None:
    def pages() -> Iterator[Page]:
        yield Page("user", [user("u", "x")])
        raise ConnectionResetError

    pull_id, _ = database.call(pulls.claim, lincoln.connection, "monday")
    with pytest.raises(ConnectionResetError):
        pulls.store(database, pull_id, pages())
    assert one(database, "select count(*) from sis_record") == 0
    with database.begin() as conn, pytest.raises(pulls.PullGone):
        snapshots.take(conn, lincoln, "org", pull_id, contacts=False, run_id=None)


def test_only_one_run_fetches_for_a_batch(database: Database, lincoln: SchoolRow) -> None:
    def run(_: int) -> bool:
        with pulls.pull_lock(database, lincoln.connection.id, "monday"):
            pull_id, fresh = database.call(pulls.claim, lincoln.connection, "monday")
            if fresh:
                pulls.store(database, pull_id, [Page("user", [user("u", "x")])])
                database.call(pulls.finish, pull_id, PROOF)
            return fresh

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(run, range(4))) == [False, False, False, True]
    assert one(database, "select count(*) from pull_record") == 1


def test_a_connections_older_pulls_are_dropped_and_its_snapshots_stay(database: Database, lincoln: SchoolRow) -> None:
    for _ in range(4):
        snapshot_of(database, lincoln, user("u", lincoln.settings.school_id))
    assert one(database, "select count(*) from pull") == 2
    assert one(database, "select count(*) from raw_user") == 4


def _roster(*rows: dict[str, object]) -> pd.DataFrame:
    plain = {"record_status": "member", "identity": 0, "number_kind": "student", "enabled": True, "role": "student"}
    return pd.DataFrame([plain | each for each in rows])


REJECTED = pd.DataFrame(
    [{"collection": "users", "sourced_id": None, "field": "f", "rule": "r", "severity": "error", "role": None}]
)


def test_a_roster_is_written_whole_and_read_back_the_same(database: Database, lincoln: SchoolRow) -> None:
    snapshot_id = snapshot_of(database, lincoln)
    roster = _roster(
        {"sourced_id": "a", "given_name": AWKWARD, "email": "", "enabled": None},
        {"sourced_id": "b", "given_name": None, "email": "b@example.org", "identity": 1},
    )
    for _ in range(2):
        database.call(rosters.write, snapshot_id, roster, REJECTED)
        found, rejected = database.call(rosters.load, snapshot_id)
    assert found["given_name"].tolist()[0] == AWKWARD
    assert found["given_name"].isna().tolist() == [False, True]
    assert found["email"].tolist() == ["", "b@example.org"]
    assert found["enabled"].isna().tolist() == [True, False]
    assert (str(found["identity"].dtype), str(found["enabled"].dtype), str(found["email"].dtype)) == (
        "Int64",
        "boolean",
        "str",
    )
    assert rejected.shape == (1, 6)


def test_an_empty_roster_is_a_frame_with_all_columns(database: Database, lincoln: SchoolRow) -> None:
    snapshot_id = snapshot_of(database, lincoln)
    database.call(rosters.write, snapshot_id, NOBODY, REJECTED.head(0))
    found, rejected = database.call(rosters.load, snapshot_id)
    assert found.empty
    assert "contact_email" in found.columns
    assert rejected.empty


def write(conn: Connection, /, snapshot_id: int, **what: Any) -> None:
    """Quality results, or counts, of a snapshot whose roster does not matter."""
    rosters.write(conn, snapshot_id, NOBODY, pd.DataFrame(), **what)


def test_quality_results_replace_those_of_an_earlier_run(database: Database, lincoln: SchoolRow) -> None:
    snapshot_id = snapshot_of(database, lincoln)
    results = pd.DataFrame(
        [
            ("email", "", "fields", "warning", False, pd.NA, pd.NA),
            ("grade", "student", "fields", "error", False, 9, 1),
            ("grade", "teacher", "fields", "error", True, 3, 0),
        ],
        columns=["rule", "role", "check_name", "severity", "passed", "tested", "failed"],
    ).astype({"passed": "boolean", "tested": "Int64", "failed": "Int64"})
    for _ in range(2):
        with database.begin() as conn:
            write(conn, snapshot_id, quality=results)
            found = rosters.load_quality(conn, snapshot_id)
            assert found.drop(columns="snapshot_id").to_dict("records") == results.to_dict("records")
            assert set(found["snapshot_id"]) == {snapshot_id}
    with database.begin() as conn:
        assert rosters.quality_digest(found) == rosters.quality_digest(rosters.load_quality(conn, snapshot_id))
        write(conn, snapshot_id, quality=results.assign(failed=2))
        assert rosters.quality_digest(found) != rosters.quality_digest(rosters.load_quality(conn, snapshot_id))
        write(conn, snapshot_id, quality=results.head(0))
        assert rosters.quality_digest(rosters.load_quality(conn, snapshot_id)) is None


def test_the_directory_frames_hold_everyone_the_roster_could_mean(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    foreign = database.call(add_school, "foreign", connection="foreign-sis", district="shelbyville")
    sync_rows(database, lincoln, newcomer("member", changes={"contact_phone": "+1"}))
    sync_rows(
        database,
        roosevelt,
        newcomer("linked"),
        newcomer("numbered", changes={"number": "17"}),
        newcomer("mailed", changes={"email": "Mail@example.org"}),
        newcomer("stranger", changes={"number": "18"}),
    )
    sync_rows(database, foreign, newcomer("linked", changes={"number": "17", "email": "mail@example.org"}))
    snapshot_id = snapshot_of(database, lincoln)
    roster = _roster(
        {"sourced_id": "linked"}, {"sourced_id": "x", "number": "17"}, {"sourced_id": "y", "email": "mail@example.org"}
    )
    database.call(rosters.write, snapshot_id, roster, REJECTED)
    loaded = database.call(load_both_ways, lincoln, snapshot_id)
    assert sorted(loaded.links["sourced_id"]) == ["linked", "mailed", "member", "numbered"]
    assert len(loaded.people) == 4
    assert loaded.people["locked_fields"].tolist() == [[], [], [], []]
    assert loaded.members["contact_phone"].tolist() == ["+1"]
    assert loaded.position == one(database, "select max(position) from change_log")


def test_frames_of_an_empty_directory_have_their_columns(database: Database, lincoln: SchoolRow) -> None:
    snapshot_id = snapshot_of(database, lincoln)
    loaded = database.call(load_both_ways, lincoln, snapshot_id)
    loaded = database.call(load_both_ways, lincoln, snapshot_id)
    assert loaded.people.empty
    assert "email" in loaded.people.columns
    assert loaded.position == 0


def test_the_history_of_roles_leaves_out_tonight_and_what_was_held(database: Database, lincoln: SchoolRow) -> None:
    for students in (10, 11, 12):
        snapshot_id = snapshot_of(database, lincoln)
        database.call(write, snapshot_id, counts={"roles": {"student": students}})
        if students < 12:
            sync_rows(database, lincoln, snapshot_id=snapshot_id)
    every(database, "update sync set outcome = 'held' where id = (select min(id) from sync) returning 1")
    with database.begin() as conn:
        history = sync_summary.history_of(conn, lincoln.id, snapshot_id)
        assert history.roles.to_dict("records") == [{"student": 11}]
        assert snapshots.facts(conn, snapshot_id)["counts"]["roles"] == {"student": 12}


@pytest.mark.parametrize(
    ("guard", "action", "approved", "usual"),
    [
        ("shrunk_role", "create", False, [10, 30]),
        ("empty_role", "create", False, [10, 30]),
        ("rejected", "create", False, [10, 30]),
        ("shrunk_role", "create", True, [20, 30]),
        ("rejected", "archive", False, [10, 20, 30]),
        ("shrunk_role", "archive", True, [20, 30]),
        ("archivals", "archive", True, [20, 30]),
        ("quality", "archive", True, [10, 20, 30]),
        ("creations", "create", False, [10, 20, 30]),
    ],
)
def test_a_night_that_looked_wrong_and_changed_nobody_does_not_become_usual(
    database: Database, lincoln: SchoolRow, guard: str, action: str, approved: bool, usual: list[int]
) -> None:
    for students in (10, 20, 30):
        snapshot_id = snapshot_of(database, lincoln)
        database.call(write, snapshot_id, counts={"roles": {"student": students}})
        synced = sync_rows(database, lincoln, snapshot_id=snapshot_id)
        if students == 20:
            every(
                database,
                "update verdict set verdict = 'hold', sync_id = cast(:sync as bigint), "
                "findings = jsonb_build_array(jsonb_build_object('guard', cast(:guard as text))) "
                "where plan_id = (select max(id) from plan) and action = :action returning 1",
                guard=guard,
                action=action,
                sync=synced.sync_id if approved else None,
            )
    assert database.call(sync_summary.history_of, lincoln.id, snapshot_id).roles["student"].tolist() == usual


def test_a_night_that_was_rolled_back_does_not_become_usual_even_if_it_was_approved(
    database: Database, lincoln: SchoolRow
) -> None:
    for students in (10, 20, 30):
        snapshot_id = snapshot_of(database, lincoln)
        database.call(write, snapshot_id, counts={"roles": {"student": students}})
        synced = sync_rows(database, lincoln, newcomer(f"u{students}"), snapshot_id=snapshot_id)
        if students == 20:
            found = """'[{"guard": "shrunk_role"}]'"""
            every(database, f"update verdict set sync_id = {synced.sync_id}, findings = {found} returning 1")
            roll_back(database, synced.sync_id, who="owner", reason="wrong file")
    assert database.call(sync_summary.history_of, lincoln.id, snapshot_id).roles["student"].tolist() == [10, 30]


def test_old_snapshots_lose_their_records_and_keep_their_counts(database: Database, lincoln: SchoolRow) -> None:
    for night in range(4):
        sync_rows(database, lincoln, newcomer(f"u{night}"), snapshot_id=snapshot_of(database, lincoln))
    assert database.call(snapshots.prune, lincoln.id, keep=2) == 2
    assert database.call(snapshots.prune, lincoln.id, keep=2) == 0
    assert one(database, "select count(*) from raw_org") == 2
    assert one(database, "select count(*) from plan_row") == 2
    assert one(database, "select count(*) from snapshot") == 4
    assert one(database, "select count(*) from sync") == 4
