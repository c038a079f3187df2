"""A school's history, its charts, the page of one sync, and its rollback: contents and order."""

import re
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest

from roster_pipeline.cli.output import print_report
from roster_pipeline.console.charts import HEIGHT, WIDTH, role_bars, trend_bars, trend_line, year_charts
from roster_pipeline.directory import alerts, audit, manual_edits, manual_runs, tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.school_history import Week, school_history
from roster_pipeline.directory.sync_summary import sync_summary
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.content import RoleCounts
from roster_pipeline.notifications.mail_page import render
from roster_pipeline.sync.alerts import settle_expiry
from roster_pipeline.sync.build_report import report_of
from roster_pipeline.sync.monitoring import settle
from roster_pipeline.sync.outbox_sender import put_reports
from roster_pipeline.vocabulary import ROLE_ORDER
from roster_pipeline_tests.console.conftest import OWNER, Browser
from roster_pipeline_tests.console.filling import changed, fields_of
from roster_pipeline_tests.console.held_plans import MANY, audited, held_creates, words_of
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.directory.builders import every, newcomer, one, person_of, row, sync_rows


def test_a_school_without_a_past_says_what_to_do(owner: Browser) -> None:
    text = words_of(owner.get("/schools/lincoln").text)
    for said in ("Nothing was synced yet.", "Nothing happened yet.", "not tested yet", "by hand", "nobody yet"):
        assert said in text


def test_the_history_tells_syncs_rollbacks_and_failures_newest_first(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    done = sync_rows(database, lincoln, newcomer("u1"), newcomer("u2"))
    put_reports(database)
    undone = builders.roll_back(database, done.sync_id, who="it@example.org", reason="by mistake")
    put_reports(database)
    database.call(alerts.record, "lincoln", "raw_users", "lincoln: the SIS did not answer.", "run-1")
    kinds = [one.kind for one in database.call(school_history, lincoln.id)]
    database.call(alerts.open_alert, "connection sis", "down", "The SIS is away.", connection=lincoln.connection.id)
    assert kinds == ["failure", "rollback", "sync"]
    text = words_of(owner.get("/schools/lincoln").text)
    assert "Failed The SIS did not answer." in text
    assert "2 created." in text
    assert f"Undone by rollback {undone.sync_id}" in text
    assert f"of sync {done.sync_id}" in text
    assert "Alert on connection sis: down The SIS is away." in text


def test_the_regions_of_a_syncs_page_have_names_of_their_own(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    for name in ("u1", "u2"):
        sync_rows(database, lincoln, newcomer(name))
    put_reports(database)
    page = owner.get(f"/schools/lincoln/syncs/{one(database, 'select max(id) from sync')}").text
    ids = re.findall(r'<section[^>]*aria-labelledby="([^"]+)"', page)
    headings = [words_of(re.findall(rf'id="{each}"[^>]*>(.*?)</h2>', page, re.S)[0]).strip() for each in ids]
    names = headings + re.findall(r'role="region" aria-label="([^"]+)"', page)
    assert len(names) == len(set(names)) > 2


def test_the_runs_of_the_engineers_are_not_in_the_way_of_owners(
    owner: Browser, operator: Browser, database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_UI_URL", "https://dagster.example")
    run_id = str(uuid.uuid4())
    database.call(alerts.record, "lincoln", "raw_users", "lincoln: the SIS did not answer.", "run-1")
    database.call(manual_runs.ask, run_id, lincoln.id, "lincoln", kind="sync", who=OWNER, host="here")
    assert "Dagster" not in owner.get("/schools/lincoln").text
    assert "https://dagster.example/runs/run-1" in operator.get("/schools/lincoln").text
    shown = owner.get(f"/schools/lincoln/runs/{run_id}").text
    assert shown.index('aria-label="Steps of the run"') < shown.index("Dagster run")


def test_the_people_to_check_are_on_the_page_of_the_sync(
    owner: Browser, database: Database, lincoln: SchoolRow, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (newcomer("u1", notes="number_of_another"), newcomer("u2", "Grace", notes="email_of_another"))
    sync_id = sync_rows(database, lincoln, *rows).sync_id
    put_reports(database)
    print_report(report_of(database.call(sync_summary, sync_id)))
    assert "1 student: Another person has this number too." in capsys.readouterr().out, "a command names them too"
    shown = words_of(owner.get(f"/schools/lincoln/syncs/{sync_id}").text)
    assert shown.count("Please check some people. Another person has this number too.") == 1
    for path in ("/", "/schools/lincoln"):
        assert "2 created. Please check some people. Another person has this number too." in words_of(
            owner.get(path).text
        ), path
    assert re.search("To check .*1 student: Another person has this number too.", shown)
    (link,) = re.findall(r'href="(\S+action=check)', owner.get(f"/schools/lincoln/syncs/{sync_id}").text)
    people = owner.get(link).text
    assert ("u1" in people, "u2" in people) == (True, False), "one click leads to them"


STATES = [
    ("credentials", "Test and settings", "/schools/lincoln/settings"),
    ("connection", "Sync again", "/schools/lincoln/runs"),
]


@pytest.mark.parametrize(("cause", "words", "leads_to"), STATES)
def test_a_failure_offers_its_next_step_and_no_command(
    owner: Browser, database: Database, lincoln: SchoolRow, cause: str, words: str, leads_to: str
) -> None:
    held_creates(database, lincoln)
    put_reports(database)
    message = "lincoln: the SIS refused the sign-in.\nThen run: roster test-connection lincoln"
    database.call(alerts.record, "lincoln", "raw_users", message, "run-1", cause=cause)
    database.call(alerts.open_alert, "connection sis", cause, message, connection=lincoln.connection.id)
    page = owner.get("/schools/lincoln").text
    assert f'<a class="button primary" href="{leads_to}">{words}</a>' in page
    assert page.count("button primary") == 1
    text = words_of(page)
    assert text.index("The SIS refused the sign-in.") < text.index("2 creations are held")
    assert "Then press Test Your Information" in text
    assert "It closes with the next sync that reads the schools of this SIS." in text
    assert "roster test-connection" not in page


def test_a_decision_is_seen_at_once_in_alerts(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    plan_id = held_creates(database, lincoln)
    database.call(settle, lincoln.id, datetime.now(UTC))
    page = owner.get("/schools/lincoln").text
    assert "Alert: held" in words_of(page)
    assert '<a class="button primary" href="/schools/lincoln/holds">Look and decide</a>' in page
    given = {"hash": str(one(database, "select hash from plan where id = :id", id=plan_id)), "reason": "not ours"}
    owner.send_form(f"/schools/lincoln/plans/{plan_id}/discard", given)
    assert "Alert" not in words_of(owner.get("/schools/lincoln").text)


def test_a_pause_is_ended_on_the_schools_page(
    owner: Browser, stranger: Browser, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    database.call(alerts.open_alert, "school lincoln", "paused", "It failed 7 nights.", school=lincoln.id)
    assert "Let it run by itself again" in owner.get("/schools/lincoln").text
    assert stranger.send_form("/schools/lincoln/resume").status_code == 404
    assert owner.send_form("/schools/lincoln/resume").headers["location"] == "/schools/lincoln"
    text = words_of(owner.get("/schools/lincoln").text)
    assert "The school runs by itself again" in text
    assert "Paused" not in text
    assert "People 1 student " in text


def test_the_end_of_a_secret_is_shown_until_a_later_day_is_saved(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    today, where = datetime.now(UTC).date(), "/schools/lincoln/settings/connection"
    with database.begin() as opened:
        ends = lincoln.connection.settings.model_copy(update={"secret_expires": today + timedelta(days=10)})
        tenant_changes.set_connection(opened, "sis", settings=ends)
        settle_expiry(opened, lincoln.connection.id, datetime.now(UTC))
    assert "It closes once a new Client Secret is saved." in words_of(owner.get("/schools/lincoln").text)
    later = changed(fields_of(owner.get(where).text), connection__secret_expires=str(today + timedelta(days=300)))
    assert owner.send_form(where, later).is_redirect
    assert "Client Secret" not in words_of(owner.get("/schools/lincoln").text)


def test_a_failed_run_says_who_started_it(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    with database.begin() as opened:
        audit.record_run(opened, "run-1", "sync", lincoln, who="ann@example.org")
        alerts.record(opened, "lincoln", "raw_users", "lincoln: no answer.", "run-1")
        alerts.record(opened, "lincoln", "raw_users", "lincoln: no answer.", "run-2", night="2026-11-03")
        found = [entry.who for entry in school_history(opened, lincoln.id)]
        listed = [failure.who for failure in alerts.recent(opened, school_id=lincoln.id)]
    assert sorted(found) == sorted(listed) == ["ann@example.org", "schedule"]
    assert "ann@example.org" in owner.get("/schools/lincoln").text


def test_a_long_history_is_turned_page_by_page_without_losing_a_line(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    with database.begin() as opened:  # one transaction: all of them at the same moment
        for number in range(45):
            alerts.record(opened, "lincoln", f"step_{number}", "lincoln: no answer.", None)
        seen, before = [], None
        while page := school_history(opened, lincoln.id, before=before, limit=7):
            seen += [one.id for one in page]
            before = page[-1].place
    assert len(seen) == len(set(seen)) == 45
    assert seen == sorted(seen, reverse=True)
    first = owner.get("/schools/lincoln").text
    older = first.split('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    second = words_of(owner.get(older).text)
    assert "Step: step 44." in words_of(first)
    assert "Step: step 0." in second
    for nonsense in ("x", "2026-01-01T00:00:00.q.1", "2026-01-01T00:00:00.s.x", "9.s.1"):
        assert owner.get("/schools/lincoln", params={"before": nonsense}).status_code == 404


def test_a_syncs_page_says_what_its_mail_said(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    held_creates(database, lincoln)
    put_reports(database)
    sync_id = one(database, "select max(id) from sync")
    page = owner.get(f"/schools/lincoln/syncs/{sync_id}")
    text = words_of(page.text)
    assert one(database, "select report ->> 'school_name' from sync") == "Lincoln"
    assert "2 creations are held until someone decides; nothing else had to change." in text
    assert str(MANY["message"]) in text
    assert "Look and decide" in text
    assert "by night" not in text
    assert '<title id="chart-title">Changes by role</title>' in page.text
    assert "Roll back" in text


def test_an_undone_sync_is_marked_and_cannot_be_undone_again(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    done = sync_rows(database, lincoln, newcomer("u1"))
    undone = builders.roll_back(database, done.sync_id, who="it@example.org", reason="by mistake")
    text = words_of(owner.get(f"/schools/lincoln/syncs/{done.sync_id}").text)
    assert f"This sync was undone by rollback {undone.sync_id}" in text
    assert "Roll back" not in text
    text = words_of(owner.get(f"/schools/lincoln/syncs/{undone.sync_id}").text)
    assert f"Undoes sync {done.sync_id}" in text
    assert "it@example.org" in text
    assert "Taken back" in text, "1 created would read as if the rollback had created somebody"


def test_a_chart_has_a_bar_per_role_and_says_its_numbers() -> None:
    drawn = role_bars([RoleCounts("student", created=90, held=10), RoleCounts("teacher", unchanged=12)])
    assert 'width="90.0%"' in drawn
    assert "students: 90 created and 10 held; teachers: no change" in drawn
    assert "style=" not in drawn
    assert role_bars([RoleCounts("student", unchanged=12)]) == ""
    assert "&lt;b&gt;" in role_bars([RoleCounts("<b>", created=1)])


def _page(sync_id: int, key: str = "lincoln") -> str:
    return f"/schools/{key}/syncs/{sync_id}/rollback"


def test_a_rollback_is_previewed_needs_a_reason_and_leads_to_its_sync(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    sync_id = sync_rows(database, lincoln, newcomer("u1"), newcomer("u2", "Grace")).sync_id
    database.call(
        manual_edits.edit, lincoln.district_id, person_of(database, "u2"), {"phone": "+49"}, who="ada", reason="called"
    )
    told = words_of(owner.get(_page(sync_id)).text)
    assert "created, would be removed again 1" in told
    assert "1 person was changed since this sync" in told
    assert "Grace Lovelace" in told
    assert "the next sync makes these changes again" in told
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


def week(place: int, people: int, changes: int, records: int = 0, rejected: int = 0) -> Week:
    monday = date(2026, 1, 5) + timedelta(weeks=place)
    return Week(monday, people, changes, 0, 0, 0, records, rejected)


LINES: dict[str, tuple[list[float | None], list[tuple[float, float]]]] = {
    "up": ([10, 20], [(0, HEIGHT - 6), (WIDTH, 6)]),
    "a gap is bridged": ([10, None, 20], [(0, HEIGHT - 6), (WIDTH, 6)]),
    "always the same": ([5, 5], [(0, HEIGHT - 6), (WIDTH, HEIGHT - 6)]),
    "one value is no line": ([5], []),
    "none": ([None, None], []),
}


@pytest.mark.parametrize(("points", "wanted"), LINES.values(), ids=LINES.keys())
def test_a_line_goes_from_the_least_to_the_most(points: list[float | None], wanted: list[tuple[float, float]]) -> None:
    drawn = re.findall(r"([\d.]+),([\d.]+)", str(trend_line(points, "words")))
    assert [(float(x), float(y)) for x, y in drawn] == wanted


def test_bars_are_as_high_as_their_share_of_the_most() -> None:
    drawn = str(trend_bars([0, 5, 10], '<"words">'))
    assert [float(height) for height in re.findall(r'height="([\d.]+)"', drawn)] == [HEIGHT / 2, HEIGHT]
    assert 'aria-label="&lt;&#34;words&#34;&gt;"' in drawn
    assert str(trend_bars([0, 0], "words")) == ""


def test_a_year_is_shown_in_words_from_the_second_week_on() -> None:
    weeks = [week(0, 900, 20, 1000, 100), week(1, 950, 5), week(2, 920, 30, 1000, 50)]
    charts = {title: words for title, words, _ in year_charts(weeks)}
    assert "920 now, 900 to 950 in a year" in charts.values()
    assert "30 this week, 55 in a year" in charts.values()
    assert any(words.startswith("95") for words in charts.values()), charts
    assert year_charts(weeks[:1]) == []


def order_in(text: str, after: str = "") -> list[str]:
    """The role groups of a text, by where each is named first behind some words."""
    _, _, text = text.partition(after) if after else ("", "", text)
    places = {role: re.search(rf"\b{role}s?\b", text, flags=re.IGNORECASE) for role in ROLE_ORDER}
    return sorted(ROLE_ORDER, key=lambda role: places[role].start())  # type: ignore[union-attr]


def test_page_table_and_mail_have_one_order_of_roles(
    owner: Browser, database: Database, lincoln: SchoolRow, capsys: pytest.CaptureFixture[str]
) -> None:
    roles = sorted(ROLE_ORDER)
    assert roles != list(ROLE_ORDER)
    rows = [newcomer(f"u-{role}", changes={"role": role}, role=role) for role in roles]
    result = sync_rows(database, lincoln, *rows)
    report = report_of(database.call(sync_summary, result.sync_id))
    print_report(report)
    of_people = words_of(owner.get("/schools/lincoln/people").text)
    assert "1 active student " in of_people, "not students"
    places = [
        order_in(of_people, "Upload a list"),
        order_in(words_of(owner.get("/schools/lincoln").text), "At a glance"),
    ]
    plan = one(database, "select max(id) from plan")
    for path in (f"/schools/lincoln/syncs/{result.sync_id}", f"/schools/lincoln/plans/{plan}"):
        places.append(order_in("\n".join(re.findall(r'<th scope="row">([^<]+)</th>', owner.get(path).text))))
    places += [order_in(capsys.readouterr().out), order_in(render(report).text, "PEOPLE")]
    assert places == [list(ROLE_ORDER)] * len(places)
