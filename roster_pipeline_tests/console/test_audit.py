"""The audit and the rejected records on pages: who may see which, filtered, paged, and as a file."""

import csv
import io
import json
import logging
import re

import pandas as pd
import pytest
from sqlalchemy import text

from roster_pipeline.console.page import ROWS
from roster_pipeline.directory import audit, rosters
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.console.conftest import MANAGER, OPERATOR, OWNER, STRANGER, Browser, SignedIn
from roster_pipeline_tests.console.held_plans import SCRIPT, words_of
from roster_pipeline_tests.directory import builders

POISONED = "Zyxpoison"
STORED = """
with record as (
    insert into sis_record (connection_id, kind, sourced_id, content_hash, student, orgs, agents, payload)
    values (:connection, 'user', 'u1', gen_random_uuid(), true, '{}', '{}', cast(:payload as json)) returning id
)
insert into snapshot_record (snapshot_id, part, block, bits)
select :snapshot, 'user', id >> 9, set_bit(decode(repeat('00', 64), 'hex'), id & 511, 1) from record
"""
COLUMNS = ["collection", "sourced_id", "field", "rule", "severity", "role"]


@pytest.fixture
def entries(database: Database, lincoln: SchoolRow, foreign: SchoolRow) -> None:
    """One entry about lincoln, one about the foreign school, one about nothing in particular."""
    with database.begin() as conn:
        for school, reason in ((lincoln, f"for lincoln {SCRIPT}"), (foreign, "for foreign")):
            audit.record(
                conn, who="ada", what="settings changed", school=school,
                reason=reason, details={"fields": ["sync_time", "time_zone"]},
            )  # fmt: skip
        audit.record(conn, who="bob", what="settings changed", district_id=lincoln.district_id)
        audit.record(conn, who="root", what="key rotated", reason="every year")


def test_operators_see_all_of_it_managers_their_district_owners_their_school(
    signed_in: SignedIn, entries: None
) -> None:
    everything = signed_in(OPERATOR).get("/audit")
    assert SCRIPT not in everything.text
    assert all(word in words_of(everything.text) for word in ("for lincoln", "for foreign", "every year", "sync_time"))
    managed = signed_in(MANAGER).get("/audit").text
    assert managed.count('<a href="/districts/springfield">') == 1, "an entry about no school names its district"
    manager = words_of(managed)
    assert "for lincoln" in manager
    assert "for foreign" not in manager
    assert "every year" not in manager
    owner = signed_in(OWNER)
    assert owner.get("/audit").status_code == 404
    own = words_of(owner.get("/schools/lincoln/audit").text)
    assert "for lincoln" in own
    assert "for foreign" not in own
    assert owner.get("/schools/foreign/audit").status_code == 404
    assert signed_in(STRANGER).get("/schools/lincoln/audit").status_code == 404


def test_the_audit_is_searched_and_paged(
    operator: Browser, database: Database, lincoln: SchoolRow, entries: None
) -> None:
    found = words_of(operator.send_form("/audit", {"q": "foreign"}).text)
    assert "for foreign" in found
    assert "for lincoln" not in found
    assert "every year" in operator.get("/audit?what=key+rotated").text
    with database.begin() as conn:
        for number in range(ROWS + 3):
            audit.record(conn, who="bob", what="hold approved", school_id=lincoln.id, reason=f"reason {number}.")
    first, second = (words_of(operator.get(f"/audit?what=hold+approved&page={page}").text) for page in (1, 2))
    assert f"reason {ROWS + 2}." in first
    assert "reason 2." not in first
    assert all(f"reason {number}." in second for number in range(3))


def test_rejected_records_are_listed_with_the_rule_in_words(
    owner: Browser, stranger: Browser, database: Database, lincoln: SchoolRow, foreign: SchoolRow
) -> None:
    snapshot_id, other = builders.snapshot_of(database, lincoln), builders.snapshot_of(database, foreign)
    frame = pd.DataFrame(
        [("users", f"u{number}", "email", "invalid_email", "warning", "student") for number in range(ROWS + 5)]
        + [("users", "=cmd", "role", "unmapped_role", "error", None), ("users", SCRIPT, "x", "y", "error", None)],
        columns=COLUMNS,
    )
    database.call(rosters.write, snapshot_id, builders.NOBODY, frame)
    page = f"/schools/lincoln/rejected/{snapshot_id}"
    answer = owner.get(page)
    told = words_of(answer.text)
    assert SCRIPT not in answer.text
    assert "has no role that this school maps" in told
    assert f"1 to {ROWS} of {ROWS + 7}" in told
    assert f"{ROWS + 5} records." in words_of(owner.get(f"{page}?rule=invalid_email").text)
    assert "1 record." in words_of(owner.send_form(page, {"q": "U12"}).text)
    file = owner.get(f"{page}/rows.csv?severity=error")
    rows = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"))))
    assert {row["sourcedId"] for row in rows} == {"'=cmd", SCRIPT}
    assert file.headers["content-disposition"] == f'attachment; filename="lincoln-rejected-{snapshot_id}.csv"'
    for path in (f"/schools/lincoln/rejected/{other}", f"/schools/foreign/rejected/{other}", f"{page}9"):
        assert owner.get(path).status_code == owner.get(f"{path}/rows.csv").status_code == 404
    assert "Every record could be used" in stranger.get(f"/schools/foreign/rejected/{other}").text


def test_owners_see_whose_record_was_rejected_and_what_the_sis_said(
    owner: Browser, stranger: Browser, database: Database, lincoln: SchoolRow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    snapshot_id = builders.snapshot_of(database, lincoln)
    sent = {"givenName": POISONED, "familyName": SCRIPT, "email": "ana@@example", "roles": [{"role": "ext:coach"}]}
    frame = pd.DataFrame(
        [("users", "u1", "email", "invalid_email", "warning", "student"),
         ("users", "u1", "role", "unmapped_role", "error", None),
         ("users", "u2", "email", "invalid_email", "warning", "student")],
        columns=COLUMNS,
    )  # fmt: skip
    with database.begin() as conn:
        conn.execute(
            text(STORED), {"snapshot": snapshot_id, "connection": lincoln.connection.id, "payload": json.dumps(sent)}
        )
        rosters.write(conn, snapshot_id, builders.NOBODY, frame)
    page = f"/schools/lincoln/rejected/{snapshot_id}"
    answer = owner.get(page)
    assert SCRIPT not in answer.text
    shown = words_of(answer.text)
    assert all(word in shown for word in (POISONED, "ana@@example", "ext:coach", "nothing"))
    rows = list(csv.DictReader(io.StringIO(owner.get(f"{page}/rows.csv").content.decode("utf-8-sig"))))
    assert [(row["name"], row["value"]) for row in rows] == [
        (f"{POISONED} {SCRIPT}", "ext:coach"),
        (f"{POISONED} {SCRIPT}", "ana@@example"),
        ("", ""),
    ]
    assert stranger.get(page).status_code == 404
    assert POISONED not in caplog.text
    assert not builders.one(database, "select count(*) from audit where audit::text like :name", name=f"%{POISONED}%")


def test_the_name_of_a_rejected_record_leads_to_its_person_for_those_who_may_see_them(
    owner: Browser, manager: Browser, database: Database, lincoln: SchoolRow
) -> None:
    oak = database.call(builders.add_school, "oak")
    builders.sync_rows(database, lincoln, builders.newcomer("u1", "Ada"))
    builders.sync_rows(database, oak, builders.newcomer("u2", "Beth"))
    ada, beth = builders.person_of(database, "u1"), builders.person_of(database, "u2")
    snapshot_id = builders.snapshot_of(database, lincoln)
    rows = [("users", record, "email", "invalid_email", "warning", "student") for record in ("u1", "u2", "u3")]
    with database.begin() as conn:
        given = {"snapshot": snapshot_id, "connection": lincoln.connection.id}
        conn.execute(text(STORED), given | {"payload": json.dumps({"givenName": "Ada", "familyName": "Lovelace"})})
        rosters.write(conn, snapshot_id, builders.NOBODY, pd.DataFrame(rows, columns=COLUMNS))
    page = f"/schools/lincoln/rejected/{snapshot_id}"
    leads = re.compile(r'href="(/people/\d+)"><bdi>([^<]*)<')
    assert leads.findall(owner.get(page).text) == [(f"/people/{ada}", "Ada Lovelace")]
    assert owner.get(f"/people/{ada}").status_code == 200
    everybody = [(f"/people/{ada}", "Ada Lovelace"), (f"/people/{beth}", "No name")]
    assert leads.findall(manager.get(page).text) == everybody


def test_the_filter_offers_only_what_it_can_find(
    owner: Browser, manager: Browser, operator: Browser, entries: None
) -> None:
    def offered(page: str) -> list[str]:
        return re.findall('<option value="([^"]+)"', page)

    assert offered(operator.get("/audit").text) == ["key rotated", "settings changed"]
    assert offered(manager.get("/audit").text) == ["settings changed"]
    assert offered(owner.get("/schools/lincoln/audit").text) == ["settings changed"]
