"""Somebody who runs their own SIS tries to take over other people: by e-mail, number, username, and time.

`main` is the district's SIS. `east` and `west` belong to single schools, whose owners can write anything into them.
Their records may not change a field of a person whom the district's SIS has, earlier or later.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from roster_pipeline.directory import alerts, approvals, audit, held_plans, manual_edits, plan_rows, plans, tenants
from roster_pipeline.directory.plan_rows import RowFilter
from roster_pipeline.directory.sync_summary import sync_summary
from roster_pipeline.notifications.outcome import wants
from roster_pipeline.services import decisions, person_changes
from roster_pipeline.services.plan_rows import lines
from roster_pipeline.sync.build_report import report_of
from roster_pipeline.sync.monitoring import watch, watch_holds
from roster_pipeline_tests.cli.conftest import run
from roster_pipeline_tests.directory.builders import Decision
from roster_pipeline_tests.district import Begun
from roster_pipeline_tests.invariants.several_connections import KEYS, SeveralConnections, begun_once
from roster_pipeline_tests.scenarios.test_alerts import NOW

BY = Decision(who="manager", reason="looked at it")
ADA = {"given_name": "Ada", "family_name": "Byron", "email": "ada.byron@district.example", "phone": "+13125550100"}
TOM = {"given_name": "Tom", "family_name": "Hale", "email": "tom.hale@district.example"}
CONSOLE = "https://console.valley.example"
FORGED = ADA | {"phone": "+13125559999", "username": "forged"}


BOTH = pytest.mark.parametrize("begun", [frozenset(), frozenset(KEYS)], ids=["rest", "csv"], indirect=True)
"""Only REST can ask whom a SIS still has. Delivered records are judged in one shape."""


@pytest.fixture(scope="module")
def begun(
    request: pytest.FixtureRequest, postgres_template: URL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Begun[SeveralConnections]]:
    """The district; `main` and `east` have their own pupil and teacher, and had their first night."""
    csv: frozenset[str] = getattr(request, "param", frozenset())
    with begun_once(postgres_template, tmp_path_factory.mktemp("home"), csv) as made:
        yield made


@pytest.fixture
def district(begun: Begun[SeveralConnections]) -> Iterator[SeveralConnections]:
    with begun.copied() as made:
        yield made


def mains_own(person: dict[str, Any], **fields: Any) -> None:
    """Assert that every field has the value of the district's SIS."""
    wanted = ADA | {"username": "ada"} | fields
    assert {name: person[name] for name in wanted} == wanted, person
    assert person["links"][0] == f"m-{wanted['username']}"


def leaves_main(district: SeveralConnections, *names: str) -> None:
    """The district's SIS marks the records as deleted, by default Ada's, and they are archived there.

    Before that, somebody comes after them, because the end of a file may have been cut off. And somebody else changes
    too, because an identical bundle would count as an old one.
    """
    names = names or ("ada",)
    district.deliver("main", f"main-last{district.nights}", given_name="Lu", family_name="Last")
    district.night("main")
    for name in names:
        district.sises["main"].district.remove(f"m-{name}", how="mark")
    district.sises["main"].district.edit("main-own0", phone=f"+131255501{district.nights:02}")
    assert district.night("main").by_action["archive"] == len(names)


def test_who_delivers_somebody_before_their_own_school_does_never_owns_their_fields(
    district: SeveralConnections,
) -> None:
    kinds = {"ada": ("student", {}, "77"), "tom": ("teacher", TOM, "78")}
    for name, (role, own, _) in kinds.items():
        district.deliver("east", f"e-{name}", role, **FORGED | own | {"username": f"forged-{name}"})
    district.night("east")
    for name, (role, own, number) in kinds.items():
        district.deliver("main", f"m-{name}", role, **ADA | own, username=name, identifier=number)
    district.night("main")
    for name, (_, own, number) in kinds.items():
        mains_own(district.of(f"m-{name}"), **own, username=name, number=number)
        fields = {"phone": "+13125558888", "email": f"{name}@east.example", "username": f"evil-{name}"}
        district.sises["east"].district.edit(f"e-{name}", **fields)
    for key in ("east", "main", "east"):
        district.night(key)
        for name, (_, own, number) in kinds.items():
            mains_own(district.of(f"m-{name}"), **own, username=name, number=number)


def test_who_comes_after_them_with_name_and_e_mail_waits_and_both_schools_and_the_manager_are_told(
    district: SeveralConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_CONSOLE_URL", CONSOLE)
    district.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    district.night("main")
    district.deliver("east", "e-ada", **FORGED)
    applied = district.night("east")
    assert (applied.by_action["create"], district.reasons("east")) == (0, ["other_connection"])
    assert district.of("m-ada")["schools"] == ["main"]
    mains_own(district.of("m-ada"))
    with district.database.begin() as conn:
        plan = plans.latest(conn, tenants.get_school(conn, "east").id)
        assert plan is not None
        (waits,) = lines(conn, plan, RowFilter(actions=("conflict",)))
        assert (waits.name, waits.changes, waits.person_id) == ("", {}, district.of("m-ada")["id"])
        for words in ("ada", "district.example", "5550100", "77"):
            found = lines(conn, plan, RowFilter(actions=("conflict",), words=words))
            assert bool(found) == (words == "ada"), "the sourcedId e-ada alone is east's own"
    monkeypatch.setenv("ROSTER_DATABASE_URL", district.url)
    told = run("plan", "show", "east").out
    assert "roster person link PERSON RECORD --connection east" in " ".join(told.split())
    assert not any(word in told for word in ("Ada", "Byron", "district.example"))
    after = district.night("main")
    for sync_id in (applied.sync_id, after.sync_id):
        report = report_of(district.database.call(sync_summary, sync_id))
        assert wants(report, "problems")
    assert report.claimed == 1
    assert watch(district.database, NOW).opened == 0, "the sync of east has opened the alert on main"
    mails = district.rows("select recipients, text, subject from outbox where kind = 'alert' order by id")
    assert [mail["recipients"] for mail in mails] == [["main@valley.example"], ["manager@valley.example"]]
    for mail, button in zip(mails, (False, True), strict=True):
        said = " ".join((mail["text"] + mail["subject"]).split())
        assert "1 person of this school also comes from another connection" in said
        assert "The plan of East lists the records." in said
        assert (f"{CONSOLE}/schools/east/conflicts" in said) is button, "an owner of main may not open it"
        assert not any(word in said for word in ("Ada", "Byron", "district.example", "e-ada", "77", "5550100"))
    person, cleared = district.of("m-ada")["id"], "select id from alert where cleared_at is not null"
    district.database.call(person_changes.link, "east", person, "e-ada", **BY)
    assert len(district.rows(cleared)) == 1, "in the transaction of the decision"
    with district.database.begin() as conn:
        undone = conn.scalar(text("select max(id) from audit where person_id = :person"), {"person": person})
        person_changes.undo(conn, tenants.get_connection(conn, "east").district_id, person, undone, **BY)
    assert len(district.rows("select id from alert where cleared_at is null")) == 1, "they are claimed again"
    district.database.call(person_changes.unlink, "east", person, "e-ada", **BY)
    assert len(district.rows(cleared)) == 2
    assert watch(district.database, NOW).cleared == 0
    district.night("east")
    assert district.of("e-ada")["id"] != district.of("m-ada")["id"]
    district.night("main")
    mains_own(district.of("m-ada"))


@BOTH
def test_the_same_number_gives_a_membership_and_no_field(district: SeveralConnections) -> None:
    district.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    district.night("main")
    district.deliver("east", "e-ada", **FORGED, identifier="77")
    assert district.night("east").by_action["held"] == 1, "nobody of another connection is an exempt creation"
    assert district.of("m-ada")["schools"] == ["main"]
    with district.database.begin() as conn:
        (held,) = approvals.held(conn)
        with pytest.raises(approvals.ManagerDecides):
            approvals.approve(conn, held.plan_id, "owner", "they are here", datetime.now(UTC))
        assert "The district's manager decides" in held.findings[0]["message"]
        assert watch_holds(conn, NOW).opened == 0, "the sync itself has opened the alert"
        assert plan_rows.new_links(conn, held.plan_id) == 0
    with pytest.raises(approvals.NothingHeld):
        decisions.relink(district.database, "east", held.plan_id, who="owner", reason="new ids")
    assert district.of("m-ada")["links"] == ["m-ada"]
    (told,) = district.rows("select recipients, text from outbox where kind = 'alert'")
    assert "manager@valley.example" in told["recipients"]
    assert "held until the district's manager decides" in " ".join(told["text"].split())
    decisions.approve(district.database, "east", held.plan_id, who="manager", reason="they are here", manager=True)
    assert district.of("m-ada")["schools"] == ["east", "main"]
    mains_own(district.of("m-ada"), number="77")
    leaves_main(district)
    district.night("east")
    assert district.of("m-ada")["phone"] == FORGED["phone"], "for east alone has them now"
    district.sises["main"].district.restore("m-ada")
    district.night("main")
    mains_own(district.of("m-ada"), number="77")


def test_the_same_number_guessed_before_they_come_gives_no_field_either(district: SeveralConnections) -> None:
    district.deliver("east", "e-ada", **FORGED, identifier="77")
    district.night("east")
    district.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    for key in ("main", "east", "main"):
        district.night(key)
        mains_own(district.of("m-ada"), number="77")


def test_the_same_username_or_a_linked_record_renamed_into_somebody_changes_them_in_nothing(
    district: SeveralConnections,
) -> None:
    district.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    district.night("main")
    own = district.of("east-own0")["id"]
    district.deliver("east", "e-eve", given_name="Eve", family_name="East", username="ada", email="eve@east.example")
    district.sises["east"].district.edit("east-own0", **FORGED, identifier="77")
    for key in ("east", "main", "east"):
        district.night(key)
        assert district.of("east-own0")["id"] == own
        assert len({district.of(record)["id"] for record in ("m-ada", "e-eve", "east-own0")}) == 3
        mains_own(district.of("m-ada"), number="77")


@BOTH
def test_who_is_missing_for_one_night_is_not_taken_meanwhile(district: SeveralConnections) -> None:
    kinds = {"ada": ({}, "77", ""), "tom": (TOM, "78", "78")}
    for name, (own, number, _) in kinds.items():
        district.deliver("main", f"m-{name}", **ADA | own, username=name, identifier=number)
    district.night("main")
    leaves_main(district, *kinds)
    for name, (own, _, theirs) in kinds.items():
        district.deliver("east", f"e-{name}", **FORGED | own | {"username": f"forged-{name}"}, identifier=theirs)
    district.night("east")
    for name, (own, number, _) in kinds.items():
        mains_own(district.of(f"m-{name}"), **own, username=name, number=number)
        district.sises["main"].district.restore(f"m-{name}")
    assert district.night("main").by_action["restore"] == 2
    district.night("east")
    for name, (own, number, _) in kinds.items():
        mains_own(district.of(f"m-{name}"), **own, username=name, number=number)
        assert district.of(f"m-{name}")["schools"] == ["main"]


def test_of_two_attackers_neither_owns_them_and_the_second_waits(district: SeveralConnections) -> None:
    district.begin("west")
    for key in ("east", "west"):
        district.deliver(key, f"{key}-ada", **FORGED, identifier="77")
        district.night(key)
    assert district.reasons("west") == ["other_connection"]
    district.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    for key in ("main", "west", "east", "main"):
        district.night(key)
        mains_own(district.of("m-ada"), number="77")
    assert district.of("m-ada")["schools"] == ["east", "main"]


def test_a_connection_that_goes_from_the_district_to_a_school_gives_its_homes_back(
    district: SeveralConnections,
) -> None:
    district.control("east", "district")
    district.deliver("east", "e-ada", **FORGED)
    district.night("east")
    district.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    district.night("main")
    assert district.of("m-ada")["links"] == ["e-ada", "m-ada"], "of two connections of the district the older one"
    district.control("east", "school")
    district.sises["east"].district.edit("e-ada", phone="+13125557777")
    district.night("east")
    assert district.of("m-ada")["phone"] == FORGED["phone"], "from now on east writes nothing"
    district.night("main")
    mains_own(district.of("m-ada"), number="77")
    with district.database.begin() as conn:
        what = [entry.details for entry in audit.search(conn, limit=50) if entry.what == "connection changed"]
    assert {"controlled_by"} in [set(details["changed"]) for details in what]


def test_where_nobody_said_whose_a_connection_is_the_one_that_comes_second_waits_and_the_manager_decides(
    district: SeveralConnections,
) -> None:
    district.control("main", "school")
    district.deliver("east", "e-ada", **FORGED)
    district.night("east")
    district.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    district.night("main")
    assert district.reasons("main") == ["other_connection"]
    ada = district.of("e-ada")["id"]
    with district.database.begin() as conn:
        main = tenants.get_connection(conn, "main")
        person_changes.link(conn, "main", ada, "m-ada", **BY)
        manual_edits.set_primary_record(conn, main, ada, "m-ada", **BY)
        assert alerts.open_alerts(conn) == []
    for key in ("main", "east", "main"):
        district.night(key)
        mains_own(district.of("m-ada"), number="77")
    leaves_main(district)
    district.night("east")
    assert district.of("m-ada")["links"][0] == "e-ada", "the record that was chosen is gone"


def test_whoever_owns_the_school_that_has_them_may_decide_unless_the_district_controls_its_connection(
    district: SeveralConnections,
) -> None:
    district.begin("west")
    district.deliver("west", "w-ada", **ADA, identifier="77")
    district.control("west", "district")
    district.night("west")
    district.deliver("east", "e-ada", **FORGED, identifier="77")
    district.night("east")
    with district.database.begin() as conn:
        (held,) = approvals.held(conn)
        ids = {key: tenants.get_school(conn, key).id for key in ("main", "east", "west")}
        for owned in ([ids["main"]], [ids["east"]], list(ids.values())):
            assert not held_plans.has_all_of_them(conn, held.plan_id, owned), "they are the district's own people"
        assert not held_plans.has_all_of_them(conn, 0, list(ids.values())), "a plan that claims nobody"
    district.control("west", "school")
    with district.database.begin() as conn:
        for owns in ("main", "east"):
            assert not held_plans.has_all_of_them(conn, held.plan_id, [ids[owns]])
        assert held_plans.has_all_of_them(conn, held.plan_id, [ids["west"]])
