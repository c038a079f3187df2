"""Somebody who runs a SIS of their own tries to own the people of others: by e-mail, number, username, and time.

`main` is the district's SIS. `east` and `west` belong to single schools, whose owners write into them what they want.
Nothing that they deliver may change a field of a person whom the district's SIS has, be it before or after them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from roster_pipeline import evening
from roster_pipeline.desk.connection_changes import change_connection
from roster_pipeline.desk.plan_rows import lines
from roster_pipeline.directory import accounts, alerts, approvals, audit, people, plans, tenants
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.briefing import brief
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.plan_rows import RowFilter
from roster_pipeline.directory.secrets import seal
from roster_pipeline.evening.applying import Applied, apply_approved
from roster_pipeline.evening.reporting import report_of
from roster_pipeline.evening.watching import watch
from roster_pipeline.report import wants
from roster_pipeline.settings import ConnectionSettings, RoleSettings, SchoolSettings
from roster_pipeline.simulator import SimulatorThread, Sis, create_site, generate_district
from roster_pipeline.simulator.csv_bundle import write_csv_bundle
from roster_pipeline_tests.cli.conftest import run
from roster_pipeline_tests.proof.town import CLIENT, ROOT, SECRET
from roster_pipeline_tests.scenarios.test_alerts import NOW

EVERYTHING = RoleSettings(rostered=True, auto_update=True, archive=True)
KEYS = ("main", "east", "west")
BY = {"who": "manager", "reason": "looked at it"}
ADA = {"given_name": "Ada", "family_name": "Byron", "email": "ada.byron@district.example", "phone": "+13125550100"}
FORGED = ADA | {"phone": "+13125559999", "username": "forged"}


@dataclass
class Villages:
    """One district of three schools, each with a SIS of its own; `csv`: those that are read as files."""

    database: Database
    folder: Path
    sises: dict[str, Sis]
    csv: frozenset[str]
    nights: int = 0

    def deliver(self, key: str, sourced_id: str, role: str = "student", **fields: Any) -> None:
        """A SIS has a record from now on; nothing that is not given is filled in."""
        empty = {"email": "", "phone": "", "username": "", "identifier": "", "state_id": "", "grades": (), "agents": ()}
        self.sises[key].district.add(role, "sch-1", sourced_id=sourced_id, **empty | fields)

    def night(self, key: str) -> Applied:
        """One evening of a school."""
        if key in self.csv:
            write_csv_bundle(self.sises[key].district, self.folder / key)
        self.nights += 1
        evening.fetch(self.database, key, batch=f"night {self.nights}", run_id=None)
        evening.clean_latest(self.database, key, run_id=None)
        evening.plan_latest(self.database, key, run_id=None)
        return evening.apply_latest(self.database, key, run_id=None, who="test")

    def control(self, key: str, whose: str) -> None:
        """A manager says who may change a connection."""
        with self.database.begin() as conn:
            settings = tenants.get_connection(conn, key).settings.model_copy(update={"controlled_by": whose})
            change_connection(conn, key, who="manager", settings=settings)

    def rows(self, query: str, **given: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        with self.database.begin() as conn:
            return [dict(row) for row in conn.execute(text(query), given).mappings()]

    def people(self) -> list[dict[str, Any]]:
        """Everybody: fields, records with the home first, and the schools where they are active."""
        return self.rows(
            "select p.id, p.given_name, p.family_name, p.email, p.phone, p.username, p.number, "
            "(select array_agg(l.sourced_id order by l.home desc, l.sourced_id) from link l where l.person_id = p.id) "
            "as links, (select array_agg(s.key order by s.key) from membership m join school s on s.id = m.school_id "
            "where m.person_id = p.id and m.status = 'active') as schools from person p order by p.id"
        )

    def of(self, sourced_id: str) -> dict[str, Any]:
        """The person of a record."""
        (found,) = [one for one in self.people() if sourced_id in (one["links"] or ())]
        return found

    def reasons(self, key: str) -> list[str]:
        """What the newest plan of a school says of those it does not simply change or leave as they are."""
        rows = self.rows(
            "select r.reason from plan_row r join plan p on p.id = r.plan_id join school s on s.id = p.school_id "
            "where s.key = :key and p.state = 'planned' and r.action in ('conflict', 'skip') order by r.row",
            key=key,
        )
        return [row["reason"] for row in rows]


@pytest.fixture(params=[frozenset(), frozenset(KEYS)], ids=["rest", "csv"])
def town(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Villages]:
    """The district; each school has a pupil and a teacher of its own, and had its first nights."""
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("ROSTER_HOME", str(tmp_path))
    sises = {}
    for key in KEYS:
        people_of = generate_district(1, schools=1, students_per_school=0, contacts=False)
        sises[key] = Sis(people_of, prefix=f"/{key}", credentials={CLIENT: SECRET}, versions=("1.2",))
        for row in range(len(people_of)):
            people_of.vanish(row)
    server = SimulatorThread(create_site(list(sises.values()))).start()
    made = Villages(database, tmp_path, sises, request.param)
    with database.begin() as conn:
        tenants.add_district(conn, "valley", "Valley")
        for key in KEYS:
            url = f"file://{tmp_path / key}" if key in made.csv else f"{server.base_url}/{key}{ROOT}"
            token = None if key in made.csv else f"{server.base_url}/{key}/oauth/token"
            settings = ConnectionSettings(
                url=url, client_id=CLIENT, token_url=token, allow_private_addresses=True, page_size=2
            )
            tenants.add_connection(conn, "valley", key, settings, seal(SECRET))
            roles = dict.fromkeys(("students", "teachers", "staff", "admins"), EVERYTHING)
            report = {"report_to": [f"{key}@valley.example"], "report_when": "problems"}
            chosen = SchoolSettings(school_id="sch-1", first_sync="apply", **roles, **report)
            tenants.add_school(conn, key, key, key.title(), chosen)
        accounts.grant(conn, "manager@valley.example", Place(district_id=1), by="test")
    made.control("main", "district")
    try:
        for key in KEYS:
            for number in range(2):
                own = {"given_name": f"{key}{number}".title(), "family_name": key.title(), "identifier": f"1{number}"}
                made.deliver(key, f"{key}-own{number}", "teacher" if number else "student", **own)
            made.night(key)
        yield made
    finally:
        server.stop()


def mains_own(person: dict[str, Any], **fields: Any) -> None:
    """Every field is what the district's SIS says."""
    wanted = ADA | {"username": "ada"} | fields
    assert {name: person[name] for name in wanted} == wanted, person
    assert person["links"][0] == "m-ada"


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_who_delivers_somebody_before_their_own_school_does_never_owns_their_fields(town: Villages, role: str) -> None:
    town.deliver("east", "e-ada", role, **FORGED)
    town.night("east")
    town.deliver("main", "m-ada", role, **ADA, username="ada", identifier="77")
    town.night("main")
    mains_own(town.of("m-ada"), number="77")
    town.sises["east"].district.edit("e-ada", phone="+13125558888", email="evil@east.example", username="evil")
    for key in ("east", "main", "east"):
        town.night(key)
        mains_own(town.of("m-ada"), number="77")


def test_who_comes_after_them_with_name_and_e_mail_waits_and_both_schools_and_the_manager_are_told(
    town: Villages, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    town.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    town.night("main")
    town.deliver("east", "e-ada", **FORGED)
    applied = town.night("east")
    assert (applied.by_action["create"], town.reasons("east")) == (0, ["other_connection"])
    assert town.of("m-ada")["schools"] == ["main"]
    mains_own(town.of("m-ada"))
    with town.database.begin() as conn:
        plan = plans.latest(conn, tenants.get_school(conn, "east").id)
        assert plan is not None
        (waits,) = lines(conn, plan, RowFilter(actions=("conflict",)))
        assert (waits.name, waits.changes, waits.person_id) == ("", {}, town.of("m-ada")["id"])
        for words in ("ada", "district.example", "5550100", "77"):
            found = lines(conn, plan, RowFilter(actions=("conflict",), words=words))
            assert bool(found) == (words == "ada"), "the sourcedId e-ada alone is east's own"
    monkeypatch.setenv("ROSTER_DATABASE_URL", database_url)
    told = run("plan", "show", "east").out
    assert "roster person link PERSON RECORD --connection east" in " ".join(told.split())
    assert not any(word in told for word in ("Ada", "Byron", "district.example"))
    after = town.night("main")
    for sync_id in (applied.sync_id, after.sync_id):
        with town.database.begin() as conn:
            report = report_of(brief(conn, sync_id))
        assert wants(report, "problems")
    assert report.claimed == 1
    assert watch(town.database, NOW).opened == 1
    (mail,) = town.rows("select recipients, text, subject from outbox where kind = 'alert'")
    assert mail["recipients"] == ["main@valley.example", "manager@valley.example"]
    said = " ".join((mail["text"] + mail["subject"]).split())
    assert "1 person of this school also comes from another connection" in said
    assert not any(word in said for word in ("Ada", "Byron", "district.example", "e-ada", "77", "5550100"))
    with town.database.begin() as conn:
        east = tenants.get_connection(conn, "east")
        people.unlink(conn, east, town.of("m-ada")["id"], "e-ada", **BY)
    assert watch(town.database, NOW).cleared == 1
    town.night("east")
    assert town.of("e-ada")["id"] != town.of("m-ada")["id"]
    town.night("main")
    mains_own(town.of("m-ada"))


def test_the_same_number_gives_a_membership_and_no_field(town: Villages) -> None:
    town.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    town.night("main")
    town.deliver("east", "e-ada", **FORGED, identifier="77")
    applied = town.night("east")
    assert applied.by_action["held"] == 1, "nobody of another connection is an exempt creation"
    assert town.of("m-ada")["schools"] == ["main"]
    with town.database.begin() as conn:
        (held,) = approvals.held(conn)
        approvals.approve(conn, held.plan_id, "owner", "they are here", datetime.now(UTC))
    apply_approved(town.database, "east", held.plan_id, run_id=None, who="owner")
    assert town.of("m-ada")["schools"] == ["east", "main"]
    mains_own(town.of("m-ada"), number="77")
    town.sises["main"].district.remove("m-ada", how="mark")
    town.night("main")
    town.night("east")
    assert town.of("m-ada")["phone"] == FORGED["phone"], "for east alone has them now"
    town.sises["main"].district.restore("m-ada")
    town.night("main")
    mains_own(town.of("m-ada"), number="77")


def test_the_same_number_guessed_before_they_come_gives_no_field_either(town: Villages) -> None:
    town.deliver("east", "e-ada", **FORGED, identifier="77")
    town.night("east")
    town.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    for key in ("main", "east", "main"):
        town.night(key)
        mains_own(town.of("m-ada"), number="77")


def test_the_same_username_is_nobody_elses_person(town: Villages) -> None:
    town.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    town.night("main")
    town.deliver("east", "e-eve", given_name="Eve", family_name="East", username="ada", email="eve@east.example")
    for key in ("east", "main"):
        town.night(key)
    assert town.of("e-eve")["id"] != town.of("m-ada")["id"]
    mains_own(town.of("m-ada"), number="77")


def test_a_record_renamed_into_somebody_after_it_was_linked_changes_them_in_nothing(town: Villages) -> None:
    town.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    town.night("main")
    own = town.of("east-own0")["id"]
    town.sises["east"].district.edit("east-own0", **FORGED, identifier="77")
    for key in ("east", "main", "east"):
        town.night(key)
        assert town.of("east-own0")["id"] == own
        assert town.of("m-ada")["id"] != own
        mains_own(town.of("m-ada"), number="77")


@pytest.mark.parametrize("number", ["", "77"])
def test_who_is_missing_for_one_night_is_not_taken_meanwhile(town: Villages, number: str) -> None:
    town.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    town.night("main")
    town.sises["main"].district.remove("m-ada", how="mark")
    assert town.night("main").by_action["archive"] == 1
    town.deliver("east", "e-ada", **FORGED, identifier=number)
    town.night("east")
    mains_own(town.of("m-ada"), number="77")
    town.sises["main"].district.restore("m-ada")
    assert town.night("main").by_action["restore"] == 1
    town.night("east")
    mains_own(town.of("m-ada"), number="77")
    assert town.of("m-ada")["schools"] == ["main"]


def test_of_two_attackers_neither_owns_them_and_the_second_waits(town: Villages) -> None:
    for key in ("east", "west"):
        town.deliver(key, f"{key}-ada", **FORGED, identifier="77")
        town.night(key)
    assert town.reasons("west") == ["other_connection"]
    town.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    for key in ("main", "west", "east", "main"):
        town.night(key)
        mains_own(town.of("m-ada"), number="77")
    assert town.of("m-ada")["schools"] == ["east", "main"]


def test_a_connection_that_goes_from_the_district_to_a_school_gives_its_homes_back(town: Villages) -> None:
    town.control("east", "district")
    town.deliver("east", "e-ada", **FORGED)
    town.night("east")
    town.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    town.night("main")
    assert town.of("m-ada")["links"] == ["e-ada", "m-ada"], "of two connections of the district the older one"
    town.control("east", "school")
    town.sises["east"].district.edit("e-ada", phone="+13125557777")
    town.night("east")
    assert town.of("m-ada")["phone"] == FORGED["phone"], "from now on east writes nothing"
    town.night("main")
    mains_own(town.of("m-ada"), number="77")
    with town.database.begin() as conn:
        what = [entry.details for entry in audit.entries(conn, limit=50) if entry.what == "connection changed"]
    assert {"controlled_by"} in [set(details["changed"]) for details in what]


def test_where_nobody_said_whose_a_connection_is_the_one_that_comes_second_waits_and_the_manager_decides(
    town: Villages,
) -> None:
    town.control("main", "school")
    town.deliver("east", "e-ada", **FORGED)
    town.night("east")
    town.deliver("main", "m-ada", **ADA, username="ada", identifier="77")
    town.night("main")
    assert town.reasons("main") == ["other_connection"]
    ada = town.of("e-ada")["id"]
    with town.database.begin() as conn:
        main = tenants.get_connection(conn, "main")
        people.link(conn, main, ada, "m-ada", **BY)
        people.choose_home(conn, main, ada, "m-ada", **BY)
        assert alerts.open_alerts(conn) == []
    for key in ("main", "east", "main"):
        town.night(key)
        mains_own(town.of("m-ada"), number="77")
    town.sises["main"].district.remove("m-ada", how="mark")
    town.night("main")
    town.night("east")
    assert town.of("m-ada")["links"][0] == "e-ada", "the record that was chosen is gone"
