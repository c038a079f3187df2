"""The overview: who sees which school, the order, the search, and the counts on top."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from roster_pipeline.console.middleware import STATIC, static_url
from roster_pipeline.console.page import ago
from roster_pipeline.directory import alerts, approvals, tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.school_overview import Overview, overview
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services import decisions
from roster_pipeline.sync.outbox_sender import put_reports
from roster_pipeline.sync.schedule_due import next_night
from roster_pipeline.vocabulary import moment
from roster_pipeline_tests.console.conftest import MANAGER, OPERATOR, OWNER, STRANGER, Browser, Console, SignedIn
from roster_pipeline_tests.console.held_plans import held_creates, words_of
from roster_pipeline_tests.directory.builders import add_school, newcomer, sync_rows, write_plan
from roster_pipeline_tests.district import change_school

NOW = datetime(2026, 11, 3, 18, 0, tzinfo=UTC)


def _asked(database: Database, **more: object) -> Overview:
    return database.call(overview, **({"everyone": True} | more))  # type: ignore[arg-type]


def _keys(found: Overview) -> list[str]:
    return [school.key for school in found.page]


def test_everybody_sees_their_own_schools(signed_in: SignedIn, database: Database) -> None:
    database.call(add_school, "roosevelt")
    seen, named = {}, {}
    for email in (OPERATOR, MANAGER, OWNER, STRANGER):
        text = words_of(signed_in(email).get("/").text)
        named[email] = text.count("Springfield")
        seen[email] = {name for name in ("Lincoln", "Roosevelt", "Foreign") if name in text}
    assert seen == {
        OPERATOR: {"Lincoln", "Roosevelt", "Foreign"},
        MANAGER: {"Lincoln", "Roosevelt"},
        OWNER: {"Lincoln"},
        STRANGER: {"Foreign"},
    }
    assert named[MANAGER] == 1, "the name of the only district is not in each line too"
    assert named[OPERATOR] == 3


def test_operators_see_the_problems_of_the_installation_which_may_keep_mails_from_them(
    signed_in: SignedIn, database: Database, lincoln: SchoolRow
) -> None:
    message = "Waiting mails: 3 mails have waited for more than an hour"
    database.call(alerts.open_alert, "installation", "waiting mails", message)
    database.call(alerts.open_alert, "school lincoln", "fetch", "The SIS is away", school=lincoln.id)
    said = words_of(signed_in(OPERATOR).get("/").text)
    assert f"Problems of the installation {message}, since " in said
    assert "The SIS is away, since" not in said
    assert "Problems of the installation" not in words_of(signed_in(MANAGER).get("/").text)


def test_counts_are_of_what_one_may_see(database: Database, lincoln: SchoolRow, foreign: SchoolRow) -> None:
    held_creates(database, foreign, "f1")
    assert _asked(database).held == 1
    mine = _asked(database, everyone=False, schools=[lincoln.id])
    assert (mine.schools, mine.held, mine.found) == (1, 0, 1)
    nobody = _asked(database, everyone=False)
    assert (nobody.schools, nobody.page) == (0, [])


def test_what_needs_attention_comes_first(database: Database) -> None:
    with database.begin() as opened:
        schools = {name: add_school(opened, name) for name in ("a-off", "b-fine", "c-silent", "d-held", "e-failing")}
        alerts.open_alert(opened, "school c-silent", alerts.STALE, "silent", school=schools["c-silent"].id)
        alerts.record(opened, "e-failing", "raw_users", "e-failing: the SIS did not answer.", None)
    for name in ("b-fine", "c-silent"):
        change_school(database, name, automatic=True)
    held_creates(database, schools["d-held"])
    found = _asked(database)
    assert [(school.key, school.state) for school in found.page] == [
        ("e-failing", "failing"),
        ("d-held", "held"),
        ("c-silent", "stale"),
        ("b-fine", "fine"),
        ("a-off", "off"),
    ]
    assert (found.schools, found.held, found.failing, found.silent, found.off) == (5, 1, 1, 1, 3)
    assert _keys(_asked(database, state="attention")) == ["e-failing", "d-held", "c-silent"]
    assert _keys(_asked(database, state="held")) == ["d-held"]


def test_a_sync_after_a_failure_ends_the_failing(database: Database, lincoln: SchoolRow) -> None:
    database.call(alerts.record, "lincoln", "raw_users", "lincoln: the SIS did not answer.", None)
    assert _asked(database).page[0].failure == "lincoln: the SIS did not answer."
    sync_rows(database, lincoln, newcomer("u1"))
    assert (_asked(database).page[0].state, _asked(database).failing) == ("off", 0)


def test_an_alert_on_a_connection_counts_for_each_of_its_schools(database: Database, lincoln: SchoolRow) -> None:
    database.call(add_school, "roosevelt")
    database.call(alerts.open_alert, "connection sis", "unreachable", "down", connection=lincoln.connection.id)
    assert {school.key: school.alerts for school in _asked(database).page} == {"lincoln": 1, "roosevelt": 1}


def test_a_discarded_plan_no_longer_counts_as_held(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    plan_id = held_creates(database, lincoln)
    put_reports(database)
    text = words_of(owner.get("/").text)
    assert "Held 2 creations are held until someone decides" in text
    database.call(approvals.discard, plan_id, "me", "no", datetime.now(UTC))
    assert _asked(database).page[0].held == 0
    text = words_of(owner.get("/").text)
    assert "Discarded The held changes were discarded. The next sync makes a new plan." in text
    assert "until someone decides" not in text


def test_changes_that_are_left_out_are_not_shown_as_held(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    plan_id = held_creates(database, lincoln, "u1", "u2", "u3")
    put_reports(database)
    why = {"who": "me", "reason": "guests"}
    decisions.exempt(database, "lincoln", plan_id, [0], **why)
    assert "Held 2 changes are held." in words_of(owner.get("/").text)
    decisions.exempt(database, "lincoln", plan_id, [1, 2], **why)
    assert "Left out The held changes were left out. Later syncs leave them out too." in words_of(owner.get("/").text)
    held_creates(database, lincoln, "u4", night=False)
    assert "Held 1 change is held." in words_of(owner.get("/").text)
    write_plan(database, lincoln, [newcomer("u5")])
    assert "Replaced A newer plan replaced the held changes." in words_of(owner.get("/schools/lincoln").text)


def test_search_is_by_name_key_or_district(database: Database, lincoln: SchoolRow, foreign: SchoolRow) -> None:
    for search, found in (
        *((one, ["lincoln"]) for one in ("linc", "LINCOLN", "spring")),
        *((one, []) for one in ("%", "_", "zzz")),
    ):
        assert _keys(_asked(database, search=search)) == found, search


def test_many_schools_come_page_by_page(manager: Browser, database: Database) -> None:
    with database.begin() as opened:
        for number in range(60):
            add_school(opened, f"school-{number:02}")
    first, second = (words_of(manager.get(f"/?page={number}").text) for number in (1, 2))
    assert "1 to 50 of 61" in first
    assert "51 to 61 of 61" in second
    assert "school-00" in first
    assert "school-59" in second
    assert "No school fits" in words_of(manager.get("/?q=nowhere").text)
    assert manager.get("/?page=999999999999999&state=nonsense&q=%00").status_code == 200


def test_times_are_shown_by_the_clock_of_the_school() -> None:
    assert moment(NOW, "America/Chicago") == "Tue 3 Nov 2026, 12:00 CST"
    said = [ago(NOW - passed, "UTC", NOW) for passed in (timedelta(0), timedelta(minutes=1), timedelta(hours=3))]
    assert said == ["just now", "1 minute ago", "3 hours ago"]
    assert ago(NOW - timedelta(days=40), "UTC", NOW) == "Thu 24 Sep 2026"
    at = datetime(2026, 11, 4, 2, 4, tzinfo=UTC)  # the evening before in Chicago
    assert ago(at, "America/Chicago", at + timedelta(days=20)) == "Tue 3 Nov 2026"
    assert moment(at, "America/Chicago").startswith("Tue 3 Nov 2026")


def test_the_next_night_is_the_first_after_now() -> None:
    zone = ZoneInfo("America/Chicago")
    eight = datetime(2026, 11, 3, 20, 0, tzinfo=zone)
    assert next_night(eight.time(), zone, eight - timedelta(seconds=1)) == eight
    assert next_night(eight.time(), zone, eight) == eight + timedelta(days=1)
    spring = datetime(2026, 3, 8, 1, 0, tzinfo=zone)  # 02:30 does not exist that night
    assert next_night(datetime(2026, 1, 1, 2, 30).time(), zone, spring).astimezone(zone).hour == 3  # noqa: DTZ001


def test_static_files_may_be_kept_as_long_as_their_address_names_them(visitor: Browser, console: Console) -> None:
    answer = visitor.get(static_url("console.css"))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    assert visitor.get("/static/console.css?v=other").headers["cache-control"] == "no-cache"
    again = visitor.get("/static/console.css", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert visitor.get("/static/..%2f__init__.py").status_code == 404
    assert {"console.css", "htmx.min.js", "htmx.LICENSE.txt", "icon.svg"} <= {file.name for file in STATIC.iterdir()}


def test_the_tiles_open_what_they_count(database: Database) -> None:
    with database.begin() as opened:
        schools = {name: add_school(opened, name) for name in ("a-silent", "b-failing", "c-failing", "d-fine")}
        for name in ("a-silent", "b-failing"):
            alerts.open_alert(opened, f"school {name}", alerts.STALE, "silent", school=schools[name].id)
    held_creates(database, schools["c-failing"])
    with database.begin() as opened:
        tenant_changes.pause(opened, datetime.now(UTC).date() + timedelta(days=9), school_id=schools["d-fine"].id)
        for name in ("b-failing", "c-failing"):
            alerts.record(opened, name, "raw_users", f"{name}: no answer.", None)
    found = _asked(database)
    assert (found.held, found.failing, found.silent) == (1, 2, 2)
    for state, keys in (("held", ["c-failing"]), ("failing", ["b-failing", "c-failing"])):
        assert _keys(_asked(database, state=state)) == keys
    assert sorted(_keys(_asked(database, state="quiet"))) == ["a-silent", "b-failing"]
