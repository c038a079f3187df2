"""Holds on pages: shown with their reasons, approved, discarded or relinked once, and refused when something moved."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from roster_pipeline.directory import approvals, manual_edits
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.sync_summary import sync_summary
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.mail_page import render
from roster_pipeline.sync.build_report import report_of
from roster_pipeline_tests.console.conftest import MANAGER, OWNER, Browser, SignedIn
from roster_pipeline_tests.console.held_plans import (
    INCOMPLETE,
    MANY,
    REKEYED,
    audited,
    hash_of,
    held_archive,
    held_creates,
    words_of,
)
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.directory.builders import (
    add_school,
    every,
    newcomer,
    one,
    person_of,
    row,
    sync_rows,
    write_plan,
)

PEOPLE = "select count(*) from person"


def _decide(browser: Browser, database: Database, plan_id: int, decision: str, **fields: str) -> tuple[int, str, str]:
    """Status, where it leads, and what the page (or the next one) says."""
    given = {"hash": hash_of(database, plan_id), "reason": "the office confirmed"} | fields
    answer = browser.send_form(f"/schools/lincoln/plans/{plan_id}/{decision}", given)
    place = answer.headers.get("location", "")
    return answer.status_code, place, words_of(browser.get(place).text if "/plans/" in place else answer.text)


def test_the_holds_of_all_schools_of_a_viewer_are_on_one_page(
    signed_in: SignedIn, manager: Browser, operator: Browser, database: Database, lincoln: SchoolRow, foreign: SchoolRow
) -> None:
    held_creates(database, lincoln)
    held_creates(database, foreign, "f1")
    assert {"Lincoln", "Foreign"} <= set(words_of(operator.get("/holds").text).split())
    for email in (OWNER, MANAGER):
        text = words_of(signed_in(email).get("/holds").text)
        assert "Lincoln" in text
        assert "Foreign" not in text
        assert "1 school waits, 2 changes" in text
        assert MANY["message"] in text
    searched = operator.send_form("/holds", {"q": "FOREI"})
    assert "Foreign" in searched.text
    assert "Lincoln" not in words_of(searched.text)
    assert "Nothing held fits" in operator.get("/holds?guard=witness").text
    assert '<option value="moved_keys">People get values of somebody else</option>' in operator.get("/holds").text
    of_one = words_of(operator.get("/holds?district=springfield").text)
    assert "1 school waits, 2 changes" in of_one
    assert "Lincoln" in of_one
    assert 'name="district"' not in manager.get("/holds").text, "of a single district there is no choice"
    assert "Foreign" not in words_of(manager.get("/holds?district=shelbyville").text)


def test_a_held_plan_is_shown_with_its_reasons_and_rows_and_an_approval_applies_it_at_once(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    assert "Nothing is held" in owner.get("/schools/lincoln/holds").text
    plan_id = held_creates(database, lincoln)
    page = owner.get("/schools/lincoln/holds")
    text = words_of(page.text)
    assert "2 changes wait for a decision" in text
    assert str(MANY["message"]) in text
    assert "can be approved" in text
    assert "Check whether these people are new" in text
    assert "You can take that back. Approve the rest after that." in text
    assert "Ada Lovelace" in text
    assert "New in the SIS." in text
    assert page.headers["cache-control"] == "no-store"
    assert "1 row." in words_of(owner.send_form("/schools/lincoln/holds", {"q": "u2@zyx"}).text)
    status, _, text = _decide(owner, database, plan_id, "approve", reason="  ")
    assert (status, one(database, PEOPLE)) == (400, 0)
    assert "Say why" in text
    status, place, _ = _decide(owner, database, plan_id, "approve")
    sync_id = one(database, "select max(id) from sync")
    assert (status, place) == (303, f"/schools/lincoln/syncs/{sync_id}")
    assert one(database, PEOPLE) == 2
    assert every(database, "select kind, who from sync where id = :id", id=sync_id) == [("approval", OWNER)]
    assert audited(database) == [(OWNER, "hold approved", "the office confirmed")]
    assert _decide(owner, database, plan_id, "approve")[:2] == (303, place), "a second click does nothing"
    assert one(database, "select count(*) from approval") == 1
    told = words_of(owner.get(f"/schools/lincoln/plans/{plan_id}").text)
    assert f"{OWNER} approved it: “the office confirmed”" in told
    assert f"applied by sync {sync_id}" in told


def test_two_clicks_at_once_are_one_decision(signed_in: SignedIn, database: Database, lincoln: SchoolRow) -> None:
    plan_id = held_creates(database, lincoln)
    browsers = [signed_in(OWNER) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda browser: _decide(browser, database, plan_id, "approve")[:2], browsers))
    assert len(set(answers)) == 1
    assert answers[0][0] == 303
    assert one(database, "select count(*) from sync where kind = 'approval'") == 1
    assert len(audited(database)) == 1


def test_a_discarded_plan_is_never_applied(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    plan_id = held_creates(database, lincoln)
    status, place, text = _decide(owner, database, plan_id, "discard", reason="the SIS was half empty")
    assert (status, place) == (303, f"/schools/lincoln/plans/{plan_id}")
    assert "was discarded. None of its held changes is applied" in text
    assert audited(database) == [(OWNER, "hold discarded", "the SIS was half empty")]
    assert "was discarded already" in _decide(owner, database, plan_id, "discard")[2]
    assert _decide(owner, database, plan_id, "approve")[0] == 409
    assert "Nothing is held" in owner.get("/schools/lincoln/holds").text
    assert one(database, PEOPLE) == 0


def test_a_plan_that_changed_meanwhile_is_refused_with_the_way_to_the_new_one(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    old = held_creates(database, lincoln)
    new = held_creates(database, lincoln, "u1", "u2", "u3")
    for decision in ("approve", "discard", "relink"):
        status, _, text = _decide(owner, database, old, decision)
        assert status == 409
        assert f"Look at the new plan, {new}" in text
    assert _decide(owner, database, new, "approve", hash="of another plan")[0] == 409
    assert _decide(owner, database, new, "approve", hash="")[0] == 409, "a form without a hash is none of ours"
    assert (one(database, PEOPLE), audited(database)) == (0, [])


def test_a_plan_whose_people_moved_is_refused_and_leaves_no_approval(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    plan_id = held_archive(database, lincoln, MANY)
    database.call(
        manual_edits.edit, lincoln.district_id, person_of(database, "old"), {"phone": "+49"}, who="x", reason="y"
    )
    status, _, text = _decide(owner, database, plan_id, "approve")
    assert status == 409
    assert "people or settings were changed since this plan was made" in text
    assert one(database, "select count(*) from approval") == 0
    assert one(database, "select status from membership") == "active"


def test_what_an_incomplete_answer_cannot_prove_cannot_be_approved(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    plan_id = held_archive(database, lincoln, MANY, INCOMPLETE)
    page = owner.get("/schools/lincoln/holds")
    text = words_of(page.text)
    assert str(INCOMPLETE["message"]) in text
    assert "Approve the rest" not in text, "nothing can be approved"
    assert "1 change is held and cannot be approved; everything else went on." in text
    assert "decision" not in text[: text.index("Why")]
    assert '<a class="button primary" href="/schools/lincoln/runs">Sync again</a>' in page.text
    sync_id = one(database, "select max(id) from sync")
    said = words_of(owner.get(f"/schools/lincoln/syncs/{sync_id}").text)
    assert "1 student to archive Cannot be approved" in said
    assert "It cannot be approved. Correct the cause, then sync again." in said
    assert "It waits for" not in said
    assert f"/plans/{plan_id}/approve" not in page.text
    assert f"/plans/{plan_id}/discard" not in page.text, "discarding is no help where nobody can decide"
    assert "Sync again" in said
    assert "Look and decide" not in said
    for decision in ("approve", "discard"):
        status, _, refused = _decide(owner, database, plan_id, decision)
        assert (status, "Nobody can approve or discard these changes" in refused) == (409, True)
    assert one(database, "select state from plan where id = :id", id=plan_id) == "planned"
    assert one(database, "select status from membership") == "active"


def test_an_approval_that_was_never_used_is_shown(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    plan_id = held_creates(database, lincoln)
    database.call(approvals.approve, plan_id, "ada", "too early", datetime.now(UTC) - timedelta(hours=100))
    assert "ada approved it: “too early” lapsed unused" in words_of(owner.get("/schools/lincoln/holds").text)
    assert _decide(owner, database, plan_id, "approve")[0] == 303, "it can be approved anew"


def test_new_ids_of_known_people_can_be_linked_and_nothing_else(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("a1"))
    home = {
        "changes": {"primary_record": "new-a1"},
        "links": ["new-a1"],
        "new_links": ["new-a1"],
        "matched_by": "number",
    }
    rows = [row("update", person_of(database, "a1"), reason="relinked", **home), newcomer("a2")]
    plan_id = write_plan(
        database, lincoln, rows, held={("student", "update"): [REKEYED], ("student", "create"): [REKEYED]}
    )
    assert "1 person gets their new ids" in words_of(owner.get("/schools/lincoln/holds").text)
    status, place, _ = _decide(owner, database, plan_id, "relink")
    sync_id = one(database, "select max(id) from sync")
    assert (status, place) == (303, f"/schools/lincoln/syncs/{sync_id}")
    assert every(database, "select sourced_id, is_primary from link order by 1") == [("a1", False), ("new-a1", True)]
    assert one(database, PEOPLE) == 1
    assert _decide(owner, database, plan_id, "relink")[:2] == (303, place)
    assert one(database, "select count(*) from sync where kind = 'relink'") == 1


ERROR = '<span class="hidden">Error: </span>'
CLAIMED = MANY | {"guard": "claimed_people", "message": "2 people of another connection.", "approver": "manager"}


def test_people_of_another_connection_are_the_managers_to_decide_and_the_rest_is_the_owners(
    owner: Browser, manager: Browser, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("old", "Grace"))
    rows = [
        newcomer("u1"),
        newcomer("u2"),
        row("archive", person_of(database, "old"), links=["old"], reason="left"),
    ]
    held = {("student", "create"): [CLAIMED, MANY], ("student", "archive"): [MANY | {"guard": "archivals"}]}
    plan_id = write_plan(database, lincoln, rows, held=held)
    text = words_of(owner.get("/schools/lincoln/holds").text)
    assert "2 of the 3 changes concern people of another connection" in text
    assert "Approving lets 1 of the 3 changes through" in text
    assert "2 of the 3 changes concern" not in words_of(manager.get("/schools/lincoln/holds").text)
    status, _, _ = _decide(owner, database, plan_id, "approve")
    assert status == 303
    assert one(database, PEOPLE) == 1, "the archival alone"
    assert one(database, "select count(*) from membership where status = 'archived'") == 1
    text = words_of(owner.get("/schools/lincoln/holds").text)
    assert "Approve and apply" not in text
    status, _, text = _decide(owner, database, plan_id, "approve")
    assert status == 409
    assert "manager can decide about the held changes" in text
    assert one(database, PEOPLE) == 1
    status, _, _ = _decide(manager, database, plan_id, "approve")
    assert (status, one(database, PEOPLE)) == (303, 3)


EMPTY = MANY | {"guard": "empty_role", "message": "The directory has 1 student, and none came.", "repeats": ""}
SHRUNK = MANY | {"guard": "shrunk_role", "message": "0 students came, 1 is usual.", "repeats": "empty_role"}


def test_a_repeated_finding_is_shown_only_where_people_decide(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    plan_id = held_archive(database, lincoln, EMPTY, SHRUNK)
    with database.begin() as conn:
        sync_id = one(database, "select max(id) from sync")
        report = report_of(sync_summary(conn, sync_id))
    assert [found.guard for held in report.held for found in held.findings] == ["empty_role"]
    for page in ("/holds", f"/schools/lincoln/syncs/{sync_id}"):
        text = words_of(owner.get(page).text)
        assert SHRUNK["message"] not in text
    text = words_of(owner.get("/schools/lincoln/holds").text)
    assert text.index(EMPTY["message"]) < text.index("Other guards found the same") < text.index(SHRUNK["message"])
    assert _decide(owner, database, plan_id, "approve")[0] == 303
    details = one(database, "select details from audit where what = 'hold approved'")
    assert details["guards"] == ["empty_role", "shrunk_role"], "the approval names both"
    assert "Nobody came for a role; A role is smaller than usual" in words_of(owner.get("/schools/lincoln/audit").text)


def test_many_archivals_are_approved_with_their_number_typed(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    names = [f"u{number}" for number in range(51)]
    sync_rows(database, lincoln, *(newcomer(name, f"Given{name}") for name in names))
    leaving = [row("archive", person_of(database, name), links=[name], reason="left") for name in names]
    more = newcomer("new", "Newcomer")
    plan_id = write_plan(
        database, lincoln, [more, *leaving], held={("student", "archive"): [MANY], ("student", "create"): [MANY]}
    )
    page = words_of(owner.get("/schools/lincoln/holds").text)
    assert page.index("archivals") < page.index("creations"), "archivals come first"
    assert "Type 51: so many people would be archived." in page
    assert "Newcomer" not in page, "fifty archivals fill the first page"
    for typed in ({}, {"archivals": "50"}):
        given = {"hash": hash_of(database, plan_id), "reason": "the year ended"} | typed
        answer = owner.send_form(f"/schools/lincoln/plans/{plan_id}/approve", given)
        assert answer.status_code == 400
        assert f'id="archivals-error">{ERROR}Type 51, the number of people to archive.' in answer.text
        assert answer.text.count('value="the year ended"') == 1, "what was typed is not typed again"
    assert one(database, "select count(*) from membership where status = 'archived'") == 0
    assert _decide(owner, database, plan_id, "approve", archivals="51")[0] == 303
    assert one(database, "select count(*) from membership where status = 'archived'") == 51


def _rows_of(database: Database, plan_id: int) -> dict[str, int]:
    found = every(database, "select sourced_ids[1], row from plan_row where plan_id = :id", id=plan_id)
    return {str(name): int(number) for name, number in found}


def _archives_and_creations(database: Database, lincoln: SchoolRow) -> int:
    """A held plan of two archivals and two creations."""
    sync_rows(database, lincoln, newcomer("old", "Grace"), newcomer("older", "Alan"))
    leaving = [row("archive", person_of(database, name), links=[name], reason="left") for name in ("old", "older")]
    held = {("student", "create"): [MANY], ("student", "archive"): [MANY | {"guard": "archivals"}]}
    plan_id = write_plan(database, lincoln, [newcomer("u1"), newcomer("u2"), *leaving], held=held)
    builders.apply_plan(database, plan_id, who="night")
    return plan_id


def test_one_role_and_kind_is_approved_and_the_rest_waits(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    plan_id = _archives_and_creations(database, lincoln)
    page = words_of(owner.get("/schools/lincoln/holds").text)
    assert "What to approve 2 archivals of students 2 creations of students" in page
    sync_id = int(one(database, "select max(id) from sync"))
    assert [hold.action for hold in database.call(approvals.held, plan_id=plan_id)] == ["archive", "create"]
    report = report_of(database.call(sync_summary, sync_id))
    assert [(held.role, held.action) for held in report.held] == [("student", "archive"), ("student", "create")]
    assert report.comparison is not None
    mail = render(report).text
    assert mail.index("2 archivals of students") < mail.index("2 creations of students")
    status, _, text = _decide(owner, database, plan_id, "approve", parts="chosen")
    assert (status, "Choose what to approve." in text) == (400, True)
    status, place, _ = _decide(owner, database, plan_id, "approve", parts="chosen", part="student create")
    assert (status, one(database, PEOPLE)) == (303, 4)
    assert "2 rows stay held." in words_of(owner.get(place).text)
    approved = report_of(database.call(sync_summary, int(place.rpartition("/")[2])))
    assert approved.comparison is None, "it would be compared with itself"
    assert one(database, "select count(*) from membership where status = 'archived'") == 0
    assert "2 changes wait for a decision" in words_of(owner.get("/schools/lincoln/holds").text)
    assert _decide(owner, database, plan_id, "approve")[0] == 303
    assert one(database, "select count(*) from membership where status = 'archived'") == 2


def test_single_rows_are_left_out_by_this_plan_and_the_next(
    owner: Browser, stranger: Browser, database: Database, lincoln: SchoolRow
) -> None:
    plan_id = _archives_and_creations(database, lincoln)
    rows = _rows_of(database, plan_id)
    status, _, text = _decide(owner, database, plan_id, "exempt")
    assert (status, "Choose the rows to leave out" in text) == (400, True)
    assert _decide(owner, database, plan_id, "exempt", row=str(rows["old"]), hash="another")[0] == 409
    status, place, _ = _decide(owner, database, plan_id, "exempt", row=str(rows["old"]), reason="on a journey")
    assert (status, place) == (303, "/schools/lincoln/holds")
    page = words_of(owner.get(place).text)
    assert "1 row is left out, in this plan and in later ones." in page
    assert "3 changes wait for a decision" in page
    assert "on a journey" in page
    assert _decide(owner, database, plan_id, "approve")[0] == 303
    assert every(
        database,
        "select p.given_name from membership m join person p on p.id = m.person_id where m.status = 'archived'",
    ) == [("Alan",)]
    assert "left out" in words_of(owner.get(f"/schools/lincoln/plans/{plan_id}").text)
    number = one(database, "select id from exemption")
    assert stranger.send_form("/schools/lincoln/exemptions", {"exemption": number}).status_code == 404
    answer = owner.send_form("/schools/lincoln/exemptions", {"exemption": str(number), "reason": "left after all"})
    assert answer.status_code == 303
    assert one(database, "select count(*) from exemption") == 0
    assert [what for _, what, _ in audited(database)] == ["rows exempted", "hold approved", "exemptions taken back"]


def test_rows_can_be_sorted(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    held_creates(database, lincoln, "b", "c", "a")
    with database.begin() as opened:
        for place, name in enumerate(("Bea", "Cleo", "Amy")):
            opened.execute(
                text("update plan_row set changes = jsonb_set(changes, '{given_name}', :v) where row = :row"),
                {"v": json.dumps([None, name]), "row": place},
            )
    usual = words_of(owner.get("/schools/lincoln/holds").text)
    assert usual.index("Bea") < usual.index("Cleo") < usual.index("Amy")
    page = owner.send_form("/schools/lincoln/holds", {"sort": "name"})
    assert 'aria-sort="ascending"' in page.text
    by_name = words_of(page.text)
    assert by_name.index("Amy") < by_name.index("Bea") < by_name.index("Cleo")
    assert owner.send_form("/schools/lincoln/holds", {"sort": "drop table"}).status_code == 200


def test_several_schools_are_decided_at_once_each_bound_to_its_plan(
    manager: Browser, database: Database, lincoln: SchoolRow, foreign: SchoolRow
) -> None:
    east = database.call(add_school, "east")
    plans = {"lincoln": held_creates(database, lincoln, "l1"), "east": held_creates(database, east, "e1")}
    foreign_plan = held_creates(database, foreign, "f1")
    sent = [f"{plan} {hash_of(database, plan)}" for plan in (*plans.values(), foreign_plan)]
    assert "Decide about the chosen schools" in manager.get("/holds").text
    given = {"plan": sent, "decision": "approve", "reason": "the office confirmed"}
    assert "Say why" in words_of(manager.send_form("/holds/decide", given | {"reason": " "}).text)
    assert "Choose the schools" in words_of(manager.send_form("/holds/decide", given | {"plan": []}).text)
    held_creates(database, east, "e1", "e2")  # a newer plan, after the page was shown
    page = words_of(manager.send_form("/holds/decide", given).text)
    assert "1 of 2 schools" in page, "the school of another district is not the manager's"
    assert "was replaced by a newer one" in page
    assert every(database, "select school_id from sync where kind = 'approval'") == [(lincoln.id,)]
    newest = one(database, "select max(id) from plan where school_id = :id", id=east.id)
    again = {"plan": [f"{newest} {hash_of(database, newest)}"], "decision": "discard", "reason": "the SIS was wrong"}
    assert "Discarded" in words_of(manager.send_form("/holds/decide", again).text)
    assert one(database, "select state from plan where id = :id", id=newest) == "discarded"


def test_all_schools_of_a_page_are_decided_at_once_each_bound_to_its_plan(
    manager: Browser, database: Database, lincoln: SchoolRow
) -> None:
    with database.begin() as opened:
        east, west = add_school(opened, "east"), add_school(opened, "west")
    plans = [held_creates(database, school, f"{school.key}-1") for school in (lincoln, east)]
    held_archive(database, west, INCOMPLETE)
    page = manager.get("/holds").text
    assert "All 2 schools of this page that can be decided" in page
    shown = re.findall(r'name="shown" value="([^"]+)"', page)
    assert sorted(shown) == sorted(f"{plan} {hash_of(database, plan)}" for plan in plans)
    given = {"all": "on", "shown": shown, "page": "1", "q": "a", "guard": "", "district": "", "decision": "discard"}
    again = manager.send_form("/holds/decide", given)
    assert "Say why" in words_of(again.text)
    assert 'name="q" type="search" value="a"' in again.text, "the same list is shown again"
    assert len(re.findall(r'name="plan"[^>]* checked', again.text)) == 1, "of those that it shows"
    held_creates(database, east, "east-1", "east-2")  # a newer plan, after the page was shown
    done = words_of(manager.send_form("/holds/decide", given | {"reason": "the SIS was wrong"}).text)
    assert "1 of 2 schools" in done
    states = every(database, "select school_id, state from plan where state <> 'replaced' order by id")
    assert states == [(lincoln.id, "discarded"), (west.id, "planned"), (east.id, "planned")]


def test_the_archivals_of_several_schools_are_typed_together(
    manager: Browser, database: Database, lincoln: SchoolRow
) -> None:
    schools = [lincoln, database.call(add_school, "east")]
    sent = []
    for school in schools:
        names = [f"{school.key}-{number}" for number in range(26)]
        sync_rows(database, school, *(newcomer(name, f"Given{name}") for name in names))
        leaving = [row("archive", person_of(database, name), links=[name], reason="left") for name in names]
        plan_id = write_plan(database, school, leaving, held={("student", "archive"): [MANY]})
        sent.append(f"{plan_id} {hash_of(database, plan_id)}")
    given = {"plan": sent, "reason": "the year ended"}
    answer = manager.send_form("/holds/decide", given)
    assert f'id="archivals-error">{ERROR}Type 52, the number of people to archive' in answer.text
    assert 'value="the year ended"' in answer.text, "what was typed is not typed again"
    assert one(database, "select count(*) from membership where status = 'archived'") == 0
    assert "2 of 2 schools" in words_of(manager.send_form("/holds/decide", given | {"archivals": "52"}).text)
    assert one(database, "select count(*) from membership where status = 'archived'") == 52
