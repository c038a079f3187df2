"""Rules for every page, also for new ones, because the test goes through the routes of the application."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import text
from starlette.routing import Route

from roster_pipeline.console import page
from roster_pipeline.console.app import all_routes
from roster_pipeline.console.middleware import POLICY
from roster_pipeline.console.pages.settings import MAIL_POLICY
from roster_pipeline.directory import accounts, connection_tests, manual_edits, manual_runs, tenant_changes, uploads
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services import decisions
from roster_pipeline_tests.console.conftest import MANAGER, OPERATOR, OWNER, Browser, SignedIn
from roster_pipeline_tests.console.held_plans import CREATES, MANY, SCRIPT, hash_of, held_creates
from roster_pipeline_tests.directory.builders import every, newcomer, one, person_of, row, sync_rows, write_plan

ROUTES = [
    (method, route.path)
    for route in all_routes()
    if isinstance(route, Route)
    for method in sorted((route.methods or set()) - {"HEAD"})
]
TEMPLATES = Path(page.__file__).with_name("templates")
OF_A_SCHOOL = [(method, path) for method, path in ROUTES if path.startswith("/schools/{key}")]
OF_A_PERSON = [(method, path) for method, path in ROUTES if "{person_id}" in path]
FIELDS = sorted(
    {
        name
        for template in TEMPLATES.glob("*.html")
        for name in re.findall(r'name="([a-z_]+)"', template.read_text(encoding="utf-8"))
    }
    - {"csrf"}
)
"""The fields of all forms that the templates name."""
OPEN = ("/sign-in", "/static", "/health")
MAIL = "/report/preview"
"""The only page with a style of its own: a mail as it is sent. It runs no script, in a sandbox."""
PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


def at(path: str, key: str, things: Mapping[str, str] | None = None) -> str:
    """The path with a school's key, and these things or 1 for everything else."""
    given = {"key": key, **(things or {})}
    return PARAMETER.sub(lambda found: given.get(found[1], "1"), path)


def things_of(database: Database, school: SchoolRow) -> dict[str, str]:
    """A plan, a sync, a snapshot, a run and a connection test of a school, for the addresses below it."""
    plan_id = held_creates(database, school)
    with database.begin() as opened:
        manual_runs.ask(opened, "run-1", school.id, school.key, kind="sync", who="test", host="here")
        connection_test = connection_tests.start(
            opened, school, who="test", form={}, settings=school.connection.settings, school_settings=school.settings
        )
        connection_tests.end(opened, connection_test)
        manual_runs.end(opened, "run-1")
        upload = uploads.keep(opened, school, ["Name"], [(2, ["Ada"])], [""], "", who=OWNER)
    return {
        "plan_id": str(plan_id),
        "sync_id": str(one(database, "select max(id) from sync")),
        "snapshot_id": str(one(database, "select snapshot_id from plan where id = :id", id=plan_id)),
        "run": "run-1",
        "test": connection_test,
        "upload_id": str(upload),
    }


def asked(browser: Browser, method: str, path: str) -> tuple[int, str]:
    """Status, and body without the parts that differ from request to request."""
    answer = browser.get(path) if method == "GET" else browser.send_form(path)
    return answer.status_code, answer.text.replace(path, "")


def test_the_owner_of_another_school_gets_404_as_if_there_were_no_such_school(
    stranger: Browser, lincoln: SchoolRow
) -> None:
    for method, path in OF_A_SCHOOL:
        status, body = asked(stranger, method, at(path, lincoln.key))
        assert status == 404, (method, path)
        assert lincoln.name not in body, (method, path)
        nowhere = asked(stranger, method, at(path, "no-such-school"))
        assert (status, body.replace(lincoln.key, "")) == nowhere, (method, path)


def test_every_address_below_a_school_is_walked_with_a_thing_of_its_own(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    things = things_of(database, lincoln)
    assert {name for _, path in OF_A_SCHOOL for name in PARAMETER.findall(path)} == {"key", *things}
    for method, path in OF_A_SCHOOL:
        if method == "GET":
            with owner.stream("GET", at(path, "lincoln", things)) as answer:
                assert answer.status_code == (303 if path.endswith("/settings") else 200), path


def test_things_of_another_school_are_not_found_below_this_school(
    stranger: Browser, database: Database, lincoln: SchoolRow
) -> None:
    things = things_of(database, lincoln)
    before = every(database, "select * from plan order by id")
    for method, path in OF_A_SCHOOL:
        if len(PARAMETER.findall(path)) > 1:
            where = at(path, "foreign", things)
            reason = {"reason": "mine", "hash": hash_of(database, int(things["plan_id"]))}
            answer = stranger.get(where) if method == "GET" else stranger.send_form(where, reason)
            assert answer.status_code == 404, (method, where)
    assert every(database, "select * from plan order by id") == before


def test_the_manager_of_another_district_sees_and_changes_nothing_of_this_one(
    signed_in: SignedIn, database: Database, lincoln: SchoolRow, foreign: SchoolRow
) -> None:
    database.call(accounts.grant, "far@example.org", Place(district_id=foreign.district_id), by="test")
    browser, things = signed_in("far@example.org"), things_of(database, lincoln)
    before = every(database, "select * from audit order by id") + every(database, "select key, settings from school")
    given = {"reason": "mine", "connection": "sis", "until": "2099-01-01", "pattern": "lincoln"}
    for method, path in ROUTES:
        if not path.startswith(("/districts/{key}", "/connections/", "/schools/{key}")):
            continue
        answers = []
        for key, connection in ((lincoln.district_key if "districts" in path else "lincoln", "sis"), ("zyx", "zyx")):
            where = at(path, key, things | {"connection": connection})
            answer = browser.get(where) if method == "GET" else browser.send_form(where, given)
            answers.append((answer.status_code, answer.text.replace(where, "").replace(f"“{key}”", "")))
        assert answers[0] == answers[1], path
        assert answers[0][0] == 404, path
    for key in ("lincoln", "foreign"):
        answer = browser.send_form("/districts/shelbyville/sync", given | {"pattern": key})
        assert answer.status_code == 404, "the connection is of another district"
    assert browser.send_form("/districts/shelbyville/defaults", {"pattern": "lincoln"}).status_code == 404
    now = every(database, "select * from audit order by id") + every(database, "select key, settings from school")
    assert now == before


def test_what_no_number_can_be_is_never_an_unexpected_error(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    things = things_of(database, lincoln)
    bound = {"reason": "mine", "hash": hash_of(database, int(things["plan_id"]))}
    for number in ("9" * 17, "9" * 40, "²", "٣", "-1", "1e3", ""):
        for path, fields in (
            (f"plans/{things['plan_id']}/exempt", {"row": number}),
            ("exemptions", {"exemption": number}),
            ("leavers/withdraw", {"person": number}),
            (f"people/upload/{things['upload_id']}/decide", {f"row-{number}": number}),
        ):
            status = owner.send_form(f"/schools/lincoln/{path}", bound | fields).status_code
            assert status < 500, (path, number)
        for path in (f"test/{things['test']}/progress", "runs/run-1/progress"):
            answer = owner.get(f"/schools/lincoln/{path}", params={"seen": number})
            assert answer.status_code == 200, repr(number)
            assert len(answer.text) < 20_000


@pytest.mark.parametrize("value", ["nan", "1e400", "9999-12-31", "http://[", "\0\x1b[1m\u2028\u202e", "9" * 2000])
def test_no_value_of_any_field_is_an_unexpected_error(
    operator: Browser, database: Database, lincoln: SchoolRow, value: str
) -> None:
    things = things_of(database, lincoln)
    fields = dict.fromkeys(FIELDS, value) | {"reason": "mine"}
    for method, path in ROUTES:
        where = at(path, "springfield" if path.startswith("/districts/") else "lincoln", things)
        if method != "GET" and path != "/sign-out":
            for given in (fields, fields | {"until": "2099-01-01", "limit": decisions.RAISABLE[0]}):
                assert operator.send_form(where, given).status_code < 500, path
        else:
            assert operator.get(where, params=dict.fromkeys(FIELDS, value[:50])).status_code < 500, path


def test_those_who_may_see_a_school_open_its_page(signed_in: SignedIn, lincoln: SchoolRow) -> None:
    for who in (OWNER, MANAGER, OPERATOR):
        assert signed_in(who).get(f"/schools/{lincoln.key}").status_code == 200, who


def test_without_a_session_every_page_sends_to_the_sign_in(visitor: Browser) -> None:
    for method, path in ROUTES:
        if path.startswith(OPEN):
            continue
        where = at(path, "lincoln")
        wanted = 302 if method == "GET" else 303 if path == "/sign-out" else 401
        assert asked(visitor, method, where)[0] == wanted, where


def test_no_form_is_taken_without_its_token(operator: Browser, lincoln: SchoolRow) -> None:
    for method, path in ROUTES:
        if method != "GET":
            where = at(path, lincoln.key)
            assert operator.post(where, data={"reason": "x"}).status_code == 403, where
            assert operator.post(where, headers={"x-csrf-token": "0" * 64}).status_code == 403, where


def test_strict_headers_and_no_script_or_style_of_its_own_on_every_page(operator: Browser, lincoln: SchoolRow) -> None:
    for _, path in {("GET", path) for method, path in ROUTES if method == "GET"} | {("GET", "/no-such-page")}:
        with operator.stream("GET", at(path, lincoln.key)) as answer:
            found, body = answer.headers, answer.read().decode(errors="replace")
        assert found["content-security-policy"] == (MAIL_POLICY if path.endswith(MAIL) else POLICY), path
        assert found["x-content-type-options"] == "nosniff", path
        assert found["x-frame-options"] == "DENY", path
        assert found["referrer-policy"] in ("same-origin", "no-referrer"), path
        assert "server" not in found, path
        if not path.startswith("/static"):
            assert "no-store" in found["cache-control"], path
            style = "" if path.endswith(MAIL) else r"|<style|\sstyle="
            assert not re.search(rf"<script(?![^>]*\bsrc=)|\son\w+=|javascript:{style}", body), path
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY
    assert "script" not in MAIL_POLICY
    assert "sandbox" in MAIL_POLICY


def test_markup_in_names_stays_text_on_every_page(operator: Browser, database: Database, lincoln: SchoolRow) -> None:
    things = things_of(database, lincoln)
    sync = sync_rows(database, lincoln, newcomer("u9", SCRIPT, changes={"family_name": SCRIPT})).sync_id
    person = person_of(database, "u9")
    with database.begin() as opened:
        manual_edits.edit(opened, lincoln.district_id, person, {"phone": "+49"}, who=SCRIPT, reason=SCRIPT)
        for table in ("school", "district", "account"):
            opened.execute(text(f"update {table} set name = :name"), {"name": SCRIPT})
        settings = lincoln.connection.settings.model_copy(update={"client_id": SCRIPT})
        tenant_changes.set_connection(opened, "sis", settings=settings)
    renamed = row("update", person, links=["u9"], changes={"family_name": SCRIPT})
    plan = write_plan(database, lincoln, [renamed, newcomer("u8", SCRIPT)], held={CREATES: [MANY]})
    things |= {"sync_id": str(sync), "plan_id": str(plan), "person_id": str(person), "connection": "sis"}
    shown = 0
    for method, path in ROUTES:
        if method == "GET" and not path.endswith(".csv"):
            body = operator.get(at(path, "springfield" if path.startswith("/districts/") else "lincoln", things)).text
            assert SCRIPT not in body, path
            shown += "&lt;script&gt;alert(" in body
    assert shown > 25, "every page of a school names it"


def test_addresses_of_nothing_are_not_found(owner: Browser) -> None:
    for path, status in {
        "/schools/%00": 404,
        "/schools/lincoln/syncs/99999999999999999999": 404,
        "/schools/lincoln/syncs/one": 404,
        "/schools/lincoln/syncs/999999999/rollback": 404,
        "/schools/lincoln/plans/x9": 404,
        "/schools/lincoln/plans/999999999": 404,
        "/schools/lincoln/rejected/999999999": 404,
        "/people/999999999": 404,
        "/sis/nowhere": 404,
        "/schools/lincoln/runs/nothing": 404,
        "/schools/lincoln/runs/nothing/progress": 404,
        "/schools/lincoln/settings/connection?test=%00": 200,
        "/schools/lincoln/audit?what=%00": 200,
        "/schools/lincoln/audit?what=%%0000": 200,
    }.items():
        assert owner.get(path).status_code == status, path


def test_nobody_is_sent_to_the_host_that_a_request_names(owner: Browser) -> None:
    for path in ("/sign-in/", "/health/", "/holds/", "/schools/lincoln/"):
        answer = owner.get(path, headers={"host": "evil.example"})
        assert answer.status_code == 404, path
        assert "evil" not in str(answer.headers), path


def test_a_script_gets_the_error_in_the_place_that_it_requested(stranger: Browser) -> None:
    answer = stranger.send_form("/schools/lincoln/test", headers={"hx-request": "true"})
    assert (answer.status_code, answer.headers["hx-reselect"], answer.headers["hx-reswap"]) == (
        404,
        ".notice",
        "innerHTML",
    )
    assert "Nothing here" in answer.text
    assert "<html" not in answer.text
