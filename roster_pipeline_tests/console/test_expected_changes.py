"""Announcements: a pause until a day, a limit that is higher until a day, and leavers."""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text

from roster_pipeline.directory import lasting_decisions, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.sync.schedule_due import due_schools
from roster_pipeline.vocabulary import day
from roster_pipeline_tests.console.conftest import OWNER, Browser
from roster_pipeline_tests.console.held_plans import audited, words_of
from roster_pipeline_tests.directory.builders import every, newcomer, one, person_of, sync_rows
from roster_pipeline_tests.district import change_school

TODAY = datetime.now(UTC).date()
SOON = TODAY + timedelta(days=20)
WHY = {"reason": "the summer holidays"}
UNUSABLE = (" ", "x" * 501, "rings\x07", "turns \u202eround")


def _automatic(database: Database, school: SchoolRow) -> None:
    change_school(database, school.key, automatic=True)
    with database.begin() as opened:
        opened.execute(text("delete from scheduled_run"))


def _due(database: Database, on: date) -> list[str]:
    return [school.key for school in due_schools(database, datetime(on.year, on.month, on.day, 20, 5, tzinfo=UTC))[0]]


def test_a_school_is_paused_until_a_day_and_then_runs_again(
    owner: Browser, stranger: Browser, database: Database, lincoln: SchoolRow
) -> None:
    _automatic(database, lincoln)
    assert "Pause until a day" in owner.get("/schools/lincoln").text
    for wrong in ("", "soon", TODAY.isoformat(), (TODAY + timedelta(days=500)).isoformat()):
        place = owner.send_form("/schools/lincoln/pause", {"until": wrong} | WHY).headers["location"]
        assert "Not paused." in words_of(owner.get(place).text)
    for reason in UNUSABLE:
        place = owner.send_form("/schools/lincoln/pause", {"until": SOON.isoformat(), "reason": reason}).headers[
            "location"
        ]
        assert "Not paused." in words_of(owner.get(place).text)
    owner.send_form("/schools/lincoln/pause", {"until": SOON.isoformat()} | WHY)
    page = words_of(owner.get("/schools/lincoln").text)
    assert f"Paused until {day(SOON)}. A sync by hand still works." in page
    assert "Let it run by itself again" in page
    assert "Paused" in words_of(owner.get("/?state=resting").text)
    assert _due(database, SOON - timedelta(days=1)) == []
    assert _due(database, SOON) == ["lincoln"]
    assert audited(database)[-1] == (OWNER, "school paused", WHY["reason"])
    owner.send_form("/schools/lincoln/resume")
    assert one(database, "select paused_until from school") is None
    assert "Let it run by itself again" not in owner.get("/schools/lincoln").text
    assert stranger.send_form("/schools/lincoln/pause", {"until": SOON.isoformat()} | WHY).status_code == 404


def test_a_limit_is_higher_until_a_day_and_goes_back_by_itself(owner: Browser, database: Database) -> None:
    given = {"limit": "archive_share", "value": "40 %", "until": SOON.isoformat()} | WHY
    for wrong, field, said in (
        ({"value": "5"}, "value", "The limit is 10 % now. Give a higher one."),
        ({"value": "much"}, "value", "Give the new limit as a number."),
        ({"value": "400"}, "value", "Give a share from 0 to 1, that is 0 to 100 %."),
        (
            {"limit": "contradictions"},
            "limit",
            "contradictions cannot be raised for a time. These limits can: Archived people (archive_share), ",
        ),
        ({"until": (TODAY + timedelta(days=200)).isoformat()}, "limit-until", "Give a day from today on"),
        *(({"reason": reason}, "limit-reason", "") for reason in UNUSABLE),
    ):
        answer = owner.send_form("/schools/lincoln/limits", given | wrong)
        assert answer.status_code == 400, wrong
        assert f'id="{field}-error"><span class="hidden">Error: </span>{said}' in answer.text
        assert f'value="{(given | wrong)["value"]}"' in answer.text, "what was typed is not typed again"
    assert owner.send_form("/schools/lincoln/limits", given).status_code == 303
    page = words_of(owner.get("/schools/lincoln/holds").text)
    assert f"40 % until {day(SOON)}, by {OWNER}: “{WHY['reason']}”" in page
    school = database.call(tenants.get_school, "lincoln")
    assert school.guards_on(SOON).archive_share == 0.4
    assert school.guards_on(SOON + timedelta(days=1)).archive_share == 0.1
    assert school.guards_on(SOON).create_share == 0.25
    assert f"limit Archived people, until {day(SOON)}, value 40 %" in words_of(owner.get("/schools/lincoln/audit").text)
    owner.send_form("/schools/lincoln/limits/end")
    assert database.call(tenants.get_school, "lincoln").guards_on(TODAY).archive_share == 0.1
    assert [what for _, what, _ in audited(database)] == ["limit raised", "raised limits ended"]


def test_leavers_are_announced_by_number_or_id(
    owner: Browser, manager: Browser, stranger: Browser, database: Database, lincoln: SchoolRow, foreign: SchoolRow
) -> None:
    sync_rows(
        database,
        lincoln,
        newcomer("u1", "Ada", changes={"number": "77", "email": "Ada@Zyxpoison.example"}),
        newcomer("u2", "Grace", changes={"username": "grace"}),
        newcomer("u3", "Alan", changes={"email": "family@zyxpoison.example"}),
        newcomer("u4", "Joan", changes={"email": "family@zyxpoison.example"}),
    )
    sync_rows(database, foreign, newcomer("f1", "Stranger", changes={"number": "99"}))
    leaves = {"day": SOON.isoformat(), "reason": "the last class"}
    for wrong in (
        {"people": " "},
        {"people": "PK\3\4\x14 77 grace"},
        *({"people": "77", "reason": reason} for reason in UNUSABLE),
    ):
        assert owner.send_form("/schools/lincoln/leavers", leaves | wrong).status_code == 400
    page = owner.send_form("/schools/lincoln/leavers", leaves | {"people": "077, grace\n99 family@zyxpoison.example"})
    said = words_of(page.text)
    assert "2 people were announced" in said
    assert "Nobody in this school has: 99" in said
    assert "Several people have: family@zyxpoison.example" in said
    answer = owner.send_form("/schools/lincoln/leavers", leaves | {"people": '\ufeff"u3";u4\r\n'})
    assert answer.status_code == 303
    shown = words_of(owner.get("/schools/lincoln/leavers").text)
    assert all(name in shown for name in ("Ada", "Grace", "Alan", "Joan"))
    assert day(SOON) in shown
    assert every(database, "select distinct day, who from announced_leaver") == [(SOON, OWNER)]
    assert "4 announced" in words_of(owner.get("/schools/lincoln").text)
    entries = every(database, "select details::text from audit where what = 'leavers announced'")
    assert not any("zyxpoison" in details.lower() or "77" in details for (details,) in entries)
    with database.begin() as opened:
        assert lasting_decisions.leavers_in_force(opened, lincoln.id, TODAY) == frozenset()
        assert len(lasting_decisions.leavers_in_force(opened, lincoln.id, SOON)) == 4
        assert len(lasting_decisions.leavers_in_force(opened, lincoln.id, SOON + timedelta(days=30))) == 4
        assert lasting_decisions.leavers_in_force(opened, lincoln.id, SOON + timedelta(days=31)) == frozenset()
    assert stranger.get("/schools/lincoln/leavers").status_code == 404
    ada = str(person_of(database, "u1"))
    assert stranger.send_form("/schools/foreign/leavers/withdraw", {"person": ada}).status_code == 303
    assert one(database, "select count(*) from announced_leaver") == 4, "of another school's"
    manager.send_form("/schools/lincoln/leavers/withdraw", {"person": ada})
    assert one(database, "select count(*) from announced_leaver") == 3
