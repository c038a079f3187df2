"""A plan's page: every row with a filter, a page at a time however long it is; the rows as a file; nothing leaks."""

import csv
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from roster_pipeline.console.page import ROWS
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.plan_rows import AT_ONCE
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.safe_csv import plain_cell
from roster_pipeline_tests.console import held_plans
from roster_pipeline_tests.console.conftest import OWNER, Browser
from roster_pipeline_tests.directory.builders import every, newcomer, one, person_of, row, sync_rows, write_plan

LONG = 50_000
FEW_STATEMENTS = 25
FEW_ROWS = ROWS + 150
FILL = """
insert into plan_row (plan_id, row, action, reason, role, sourced_ids, new_links, changes)
select :plan, n, case when n % 10 = 0 then 'create' else 'unchanged' end, 'joined', 'student', array['u-' || n], '{}',
       jsonb_build_object('given_name', jsonb_build_array(null, 'Given' || n),
                          'family_name', jsonb_build_array(null, 'Zyxpoison'))
from generate_series(1, :rows) n
"""


@dataclass
class Asked:
    """The queries of the database: statements, rows of all of them, and the most rows of one."""

    statements: int = 0
    rows: int = 0
    most: int = 0


@contextmanager
def counted() -> Iterator[Asked]:
    """Counts in every engine of this process, so the console's queries too."""
    asked = Asked()

    def after(_: Any, cursor: Any, *__: Any) -> None:
        asked.statements += 1
        asked.rows += max(cursor.rowcount, 0)
        asked.most = max(asked.most, cursor.rowcount)

    event.listen(Engine, "after_cursor_execute", after)
    try:
        yield asked
    finally:
        event.remove(Engine, "after_cursor_execute", after)


@pytest.fixture
def long_plan(database: Database, lincoln: SchoolRow) -> str:
    """The page of a plan of 50,000 rows, each tenth of which creates somebody."""
    plan_id = write_plan(database, lincoln, [newcomer("u0")])
    with database.begin() as conn:
        conn.execute(text(FILL), {"plan": plan_id, "rows": LONG})
        conn.execute(text("analyze plan_row"))
    return f"/schools/lincoln/plans/{plan_id}"


def test_a_plan_of_fifty_thousand_rows_is_shown_without_loading_it(owner: Browser, long_plan: str) -> None:
    for page, first in (("", "Ada"), ("?page=3", "Given1000"), (f"?action=all&page={LONG // ROWS}", "Given49950")):
        with counted() as asked:
            answer = owner.get(long_plan + page)
        assert answer.status_code == 200
        assert first in answer.text
        assert answer.text.count('<th scope="row">Given') <= ROWS
        assert asked.statements < FEW_STATEMENTS
        assert asked.rows < FEW_ROWS
    with counted() as asked:
        found = owner.send_form(long_plan, {"q": "given777 zyx", "action": "all"})
    assert "Given777 Zyxpoison" in found.text
    assert asked.rows < FEW_ROWS
    assert "10 rows" not in held_plans.words_of(found.text)
    assert "11 rows." in held_plans.words_of(found.text), "777 and 7770 to 7779"


def test_pages_of_a_search_keep_the_words_out_of_addresses(owner: Browser, long_plan: str) -> None:
    found = owner.send_form(long_plan, {"q": "given77", "action": "all"})
    assert "?q=" not in found.text
    assert 'name="page" value="2"' in found.text
    assert "51 to 100 of" in owner.send_form(long_plan, {"q": "given77", "action": "all", "page": "2"}).text
    assert "Zyxpoison" not in owner.get(f"{long_plan}?q=given77&action=conflict").text, "words come by form only"


def test_a_long_plan_is_downloaded_in_pieces(owner: Browser, database: Database, long_plan: str) -> None:
    with counted() as asked:
        answer = owner.get(f"{long_plan}/rows.csv?action=all")
    assert asked.most <= AT_ONCE
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len({row["row"] for row in rows}) == LONG + 1
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert held_plans.audited(database)[-1][:2] == (OWNER, "plan rows downloaded")
    (details,) = every(database, "select details from audit where what = 'plan rows downloaded'")[0]
    assert details["rows"] == LONG + 1


def test_the_file_is_safe_to_open_and_holds_what_the_filter_chose(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    evil = newcomer("u1", '=HYPERLINK("https://x")', changes={"grade": "09", "number": "0012"})
    plan_id = write_plan(database, lincoln, [evil, newcomer("u2", "Grace")])
    answer = owner.send_form(f"/schools/lincoln/plans/{plan_id}/rows.csv", {"q": "u1"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert {row["row"] for row in rows} == {"0"}
    cells = {row["field"]: row["to"] for row in rows}
    assert (cells["grade"], cells["number"]) == ("'09", "'0012")
    assert cells["given_name"].startswith("'=")
    assert plain_cell(cells["given_name"]) == '=HYPERLINK("https://x")'
    assert not any(cell.startswith("=") for row in rows for cell in row.values())
    details = one(database, "select details from audit where what = 'plan rows downloaded'")
    assert details == {"plan": plan_id, "rows": 1, "searched": True}, "what was searched for is nobody's business"


def test_a_dry_run_says_so_and_offers_no_decision(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    plan_id = held_plans.held_creates(database, lincoln, night=False, dry_run=True)
    text_ = held_plans.words_of(owner.get(f"/schools/lincoln/plans/{plan_id}").text)
    assert "A dry run" in text_
    assert "None of it was applied" in text_
    assert "What a sync would hold" in text_
    assert "Look and decide" not in text_
    assert "Nothing is held" in owner.get("/schools/lincoln/holds").text
    fields = {"reason": "x", "hash": held_plans.hash_of(database, plan_id)}
    assert owner.send_form(f"/schools/lincoln/plans/{plan_id}/approve", fields).status_code == 409
    assert one(database, "select count(*) from person") == 0


@pytest.mark.parametrize(
    ("finding", "link"), [(held_plans.MANY, "Look and decide"), (held_plans.INCOMPLETE, "Look at what is held")]
)
def test_a_plan_offers_a_decision_only_if_one_is_possible(
    owner: Browser, database: Database, lincoln: SchoolRow, finding: dict[str, Any], link: str
) -> None:
    plan_id = held_plans.held_archive(database, lincoln, finding)
    page = owner.get(f"/schools/lincoln/plans/{plan_id}").text
    assert f'<a href="/schools/lincoln/holds">{link}</a>' in page


def test_rows_say_who_what_from_to_and_why_and_can_be_filtered(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    plan_id = held_plans.held_archive(database, lincoln)
    told = held_plans.words_of(owner.get(f"/schools/lincoln/plans/{plan_id}").text)
    assert "Grace Lovelace" in told
    assert "No longer in this school's roster." in told.replace("&#39;", "'")
    for query, shown in (("?action=archive", True), ("?action=create", False), ("?role=teacher", False)):
        assert ("Grace Lovelace" in owner.get(f"/schools/lincoln/plans/{plan_id}{query}").text) is shown
    assert owner.get(f"/schools/lincoln/plans/{plan_id}?action=%27&role=x&page=-1").status_code == 200
    assert owner.get(f"/schools/lincoln/plans/{plan_id}?page=999999").status_code == 200


def test_names_stay_on_the_page_and_are_text_there(
    owner: Browser, database: Database, lincoln: SchoolRow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    evil = newcomer("u1", held_plans.SCRIPT, changes={"email": "qqleak@zyxpoison.example"})
    plan_id = held_plans.held_creates(database, lincoln, "u2")
    plan_id = write_plan(database, lincoln, [evil], held={("student", "create"): [{"guard": "x", "message": "m"}]})
    page = f"/schools/lincoln/plans/{plan_id}"
    pages = [owner.get(page), owner.get("/schools/lincoln/holds"), owner.send_form(page, {"q": held_plans.SCRIPT[:20]})]
    for answer in pages:
        assert held_plans.SCRIPT not in answer.text
        assert "&lt;script&gt;alert(" in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    with database.begin() as conn:
        refuse = "alter table person add constraint refuse check (email not like '%zyxpoison%') not valid"
        conn.execute(text(refuse))
        conn.execute(
            text("update verdict set findings = jsonb_set(findings, '{0,overridable}', 'true') where verdict = 'hold'")
        )
    broken = owner.send_form(f"{page}/approve", {"reason": "fine", "hash": held_plans.hash_of(database, plan_id)})
    assert broken.status_code == 500
    assert "refused a row" in broken.text
    assert one(database, "select count(*) from approval") == 0, "nothing is half decided"
    said = broken.text + "\n".join(record.getMessage() + str(record.exc_text or "") for record in caplog.records)
    said += str(every(database, "select to_jsonb(a) from audit a")) + str(
        every(database, "select to_jsonb(s) from sync s")
    )
    assert not [word for word in ("zyxpoison", "qqleak", "alert(") if word in said.lower()]


def test_a_doubted_id_shows_the_person_and_the_record_that_the_answer_needs(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u-77"))
    person = person_of(database, "u-77")
    plan_id = write_plan(database, lincoln, [row("conflict", person, reason="id_reassigned", links=["u-77"])])
    words = held_plans.words_of(owner.get(f"/schools/lincoln/plans/{plan_id}").text)
    assert f"u-77 person {person}" in words
    assert "unlink the record" in words
    assert "roster person" not in words
