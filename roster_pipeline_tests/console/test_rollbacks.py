"""Rolling back on a page: first the numbers, then a reason; what moved since is named and left alone."""

from __future__ import annotations

from roster_pipeline.directory import manual_edits
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.console.conftest import OWNER, Browser
from roster_pipeline_tests.console.held_plans import audited, words_of
from roster_pipeline_tests.directory.builders import every, newcomer, one, person_of, row, sync_rows


def _page(sync_id: int, key: str = "lincoln") -> str:
    return f"/schools/{key}/syncs/{sync_id}/rollback"


def test_a_rollback_is_previewed_needs_a_reason_and_leads_to_its_sync(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    sync_id = sync_rows(database, lincoln, newcomer("u1"), newcomer("u2", "Grace")).sync_id
    with database.begin() as conn:
        manual_edits.edit(
            conn, lincoln.district_id, person_of(database, "u2"), {"phone": "+49"}, who="ada", reason="called"
        )
    told = words_of(owner.get(_page(sync_id)).text)
    assert "created, would be removed again 1" in told
    assert "1 person was changed since this sync" in told
    assert "Grace Lovelace" in told
    assert "The next sync makes the same changes again" in told
    assert one(database, "select count(*) from person") == 2, "a preview changes nothing"
    assert owner.send_form(_page(sync_id), {"reason": " "}).status_code == 400
    answer = owner.send_form(_page(sync_id), {"reason": "wrong term"})
    done = one(database, "select max(id) from sync")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/schools/lincoln/syncs/{done}")
    assert every(database, "select given_name from person") == [("Grace",)]
    assert audited(database)[-1] == (OWNER, "sync rolled back", "wrong term")
    assert "1 person was changed later and is not touched." in owner.get(answer.headers["location"]).text
    again = owner.send_form(_page(sync_id), {"reason": "wrong term"})
    assert (again.status_code, again.headers["location"]) == (303, f"/schools/lincoln/syncs/{done}")
    assert one(database, "select count(*) from sync where kind = 'rollback'") == 1
    assert one(database, "select report ->> 'kind' from sync where id = :id", id=done) == "rollback"


def test_only_the_archivals_can_be_taken_back(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("old"))
    sync_id = sync_rows(database, lincoln, row("archive", person_of(database, "old")), newcomer("new")).sync_id
    assert "Look at its archivals only" in owner.get(_page(sync_id)).text
    told = words_of(owner.get(f"{_page(sync_id)}?only=archived").text)
    assert "archived, would be active again 1" in told
    assert "created, would be removed" not in told
    assert owner.send_form(_page(sync_id), {"reason": "on a trip", "only": "archived"}).status_code == 303
    assert every(database, "select status, count(*) from membership group by 1") == [("active", 2)]
    assert "Nothing to roll back" in owner.get(f"{_page(sync_id)}?only=archived").text


def test_what_has_nothing_to_undo_says_so(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    sync_id = sync_rows(database, lincoln).sync_id
    assert "This sync changed nobody" in owner.get(_page(sync_id)).text
    refused = owner.send_form(_page(sync_id), {"reason": "x"})
    assert refused.status_code == 409
    assert "Nothing to roll back" in refused.text
