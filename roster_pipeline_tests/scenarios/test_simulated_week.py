"""A week of five schools with a running daemon, two SISs and a mail server: directory, mails and alerts of each
day."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from roster_pipeline.defs.resources import close_databases
from roster_pipeline.directory.database import Database
from roster_pipeline_tests.scenarios.mailbox import mail_server
from roster_pipeline_tests.scenarios.simulated_week import day_record, installation
from roster_pipeline_tests.scenarios.simulated_week.remote_sis import AWAY, NOBODY, SECRET, simulated
from roster_pipeline_tests.scenarios.watcher import SECRET_PATH, watcher

POISON = ("zyxpoison", "qqleak", "99887766")
OPERATORS_ALONE = (installation.OPERATORS,)
WRONG_SECRET = "yesterdays-secret"
AN_HOUR_LATER = timedelta(minutes=80)
"""Long enough for the second try of a night, whenever the schedule ticks."""
MANY = 6
"""Leavers of one school: more than five, and more than a tenth of its students."""


@pytest.fixture
def heartbeats(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The heartbeat calls of the daemon."""
    with watcher() as (address, called):
        monkeypatch.setenv("ROSTER_HEARTBEAT_URL", address)
        yield called


@pytest.fixture
def week(
    database: Database,
    database_url: str,
    dagster_url: str,
    heartbeats: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[installation.Week]:
    """The installation, with the environment that its processes and the operator's commands share."""
    home = tmp_path / "home"
    environment = {
        "DAGSTER_HOME": str(home),
        "ROSTER_HOME": str(home),
        "ROSTER_DATABASE_URL": database_url,
        "ROSTER_DAGSTER_DATABASE_URL": dagster_url,
        "ROSTER_SECRET_KEY": Fernet.generate_key().decode(),
        "ROSTER_ALERTS_TO": installation.OPERATORS,
        "ROSTER_WHO": "office",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with (
        mail_server(monkeypatch) as mailbox,
        simulated(installation.SCHOOLS, installation.STUDENTS) as sis,
        installation.running_installation(database, mailbox, sis, home) as found,
    ):
        yield found
    close_databases()


def poison(week: installation.Week) -> None:
    """Give some students of every school names, addresses and numbers that can be searched for."""
    number = 0
    for sis, school in week.schools.values():
        for sourced_id in sis.students(school)[:3]:
            number += 1
            sis.does("edit", sourced_id, **poisoned(number))


def poisoned(number: int) -> dict[str, str]:
    """Fields of a person that may appear only in the directory."""
    return {
        "given_name": f"Zyxpoison{number}",
        "family_name": f"Zyxpoison-{number}'\"%s",
        "email": f"qqleak{number}@zyxpoison.example",
        "identifier": f"99887766{number:03}",
        "username": f"qqleak{number}",
    }


def own_students(week: installation.Week, key: str) -> list[str]:
    """Students who are in this school alone."""
    sis, school = week.schools[key]
    return [one for one in sis.students(school) if len(sis.twin.person(one).roles) == 1]


def subjects(week: installation.Week, **changed: str) -> day_record.Mails:
    """One report for each school, by default "no changes". changed: north_2="1 archived"."""
    named = {key.replace("_", "-"): said for key, said in changed.items()}
    return {(f"{key}@week.example",): [f"{title(key)}: {named.get(key, 'no changes')}"] for key in week.schools}


def of(mails: day_record.Mails, connection: str) -> day_record.Mails:
    """The mails that only one owner of a connection's schools got."""
    return {to: subjects for to, subjects in mails.items() if len(to) == 1 and to[0].startswith(connection)}


def title(key: str) -> str:
    """A school's name."""
    return key.replace("-", " ").title()


@pytest.mark.timeout(1200)
def test_a_week(week: installation.Week, dagster_url: str, heartbeats: list[str]) -> None:
    north, south = week.sis["north"], week.sis["south"]
    both, southern, northern = (
        set(week.schools),
        set(day_record.roster(week, "south")),
        set(day_record.roster(week, "north")),
    )
    diary = day_record.Diary(week)
    poison(week)

    # Monday: the first night of everybody.
    week.run_sync()
    monday = diary.day()
    people = dict(week.rows("select s.key, count(*) from membership m join school s on s.id = m.school_id group by 1"))
    assert monday.syncs == dict.fromkeys(both, "applied")
    assert monday.mails == subjects(week, **{key: f"{people[key]} created" for key in both})
    assert day_record.directory(week) == (day_record.roster(week), {key: set() for key in both})
    assert week.count("person", "given_name like 'Zyxpoison%'") == 3 * len(both)

    # Tuesday: people come and go everywhere, and one of the two SISs is away, also in the second try.
    before = day_record.roster(week, "north")
    south.joins("sch-1", **poisoned(901))
    gone_south = own_students(week, "south-2")[0]
    south.does("remove", gone_south, how="mark")
    south.does("rename", own_students(week, "south-1")[0], given_name="Zyxpoison-renamed")
    north.joins("sch-1", **poisoned(902))
    north.fails(AWAY)
    week.run_sync()
    tuesday = diary.day()
    assert tuesday.syncs == dict.fromkeys(southern, "applied")
    reports = of(subjects(week, south_1="1 created, 1 updated", south_2="1 archived"), "south")
    everybody_north = day_record.owners(week, "north", installation.OPERATORS)
    assert tuesday.mails == reports | {everybody_north: ["Connection north: roster sync failed: The SIS failed"]}
    assert "All 3 schools of the connection north share this one alert" in tuesday.bodies[everybody_north]
    assert "roster test-connection north-" in tuesday.bodies[everybody_north]
    active, archived = day_record.directory(week)
    assert active == before | day_record.roster(week, "south")
    assert archived == {key: {gone_south} if key == "south-2" else set() for key in both}
    week.calendar.later(AN_HOUR_LATER)
    week.await_runs(attempt=2, schools=len(northern))
    week.settle()
    again = diary.day()
    assert (again.syncs, again.mails) == ({}, {})
    assert week.count("failure") == 2 * len(northern)

    # Wednesday: it answers again, with nobody in it. Nothing is changed, everything waits; the alert is over.
    north.recovers()
    north.fails(NOBODY)
    week.run_sync()
    wednesday = diary.day()
    assert wednesday.syncs == dict.fromkeys(northern, "held") | dict.fromkeys(southern, "unchanged")
    assert wednesday.mails.pop(everybody_north) == ["Connection north: the SIS can be read again"]
    told = wednesday.mails.pop(OPERATORS_ALONE)
    assert [subject.split(":")[0] for subject in told] == [title(key) for key in sorted(northern)]
    held = of(wednesday.mails, "north")
    assert len(held) == len(northern)
    assert all("held" in subject for mails in [told, *held.values()] for subject in mails)
    assert wednesday.mails == of(subjects(week), "south") | held
    assert day_record.directory(week) == (active, archived)

    # Thursday: all is well again. One school loses many at once; a person looks, and approves.
    leavers = own_students(week, "north-2")[:MANY]
    for sourced_id in leavers:
        north.does("remove", sourced_id, how="vanish")
    gone_north = own_students(week, "north-3")[1]
    north.does("remove", gone_north, how="mark")
    north.does("rename", own_students(week, "north-1")[0], family_name="Zyxpoison-renamed")
    north.recovers()
    week.run_sync()
    thursday = diary.day()
    changed = dict.fromkeys(("north-1", "north-3"), "applied") | {"north-2": "held"}
    assert thursday.syncs == dict.fromkeys(both, "unchanged") | changed
    said = {
        "north_1": "1 created, 1 updated",
        "north_2": f"{MANY} archivals held, please decide",
        "north_3": "1 archived",
    }
    decided = [f"{title(key)}: nothing is held any more" for key in sorted(northern - {"north-2"})]
    assert thursday.mails == subjects(week, **said) | {OPERATORS_ALONE: decided}
    active, archived = day_record.directory(week)
    assert active == day_record.roster(week) | {"north-2": day_record.roster(week)["north-2"] | set(leavers)}
    (hold,) = week.roster("hold", "list", "--json").data
    assert (hold["school"], hold["role"], hold["action"], hold["rows"]) == ("north-2", "student", "archive", MANY)
    decision = ("hold", "approve", "north-2", "--plan", hold["plan_id"], "--reason", "a class moved away")
    assert week.roster(*decision).code == 0
    active, archived = day_record.directory(week)
    assert active == day_record.roster(week)
    assert archived == {key: set() for key in both} | {
        "south-2": {gone_south},
        "north-2": set(leavers),
        "north-3": {gone_north},
    }
    changes = week.count("change_log")
    assert week.roster(*decision).code != 0, "what was approved is applied once"
    assert week.count("change_log") == changes
    week.settle()
    assert diary.day().mails == {
        ("north-2@week.example",): [f"North 2: approved plan applied: {MANY} archived"],
        OPERATORS_ALONE: ["North 2: nothing is held any more"],
    }

    # Friday: somebody entered a wrong secret. One alert says where, and what to do; the other SIS works.
    assert week.roster("connection", "set", "south", "--client-secret", "-", stdin=WRONG_SECRET).code == 0
    north.does("restore", gone_north)
    week.run_sync()
    friday = diary.day()
    assert friday.syncs == dict.fromkeys(northern, "unchanged") | {"north-3": "applied"}
    everybody_south = day_record.owners(week, "south", installation.OPERATORS)
    (alert,) = friday.mails.pop(everybody_south)
    assert alert.startswith("Connection south: roster sync failed: ")
    assert friday.mails == of(subjects(week, north_3="1 restored"), "north")
    for words in ("refused the sign-in", "Client Secret", "roster test-connection south-"):
        assert words in friday.bodies[everybody_south]
    archived["north-3"] = set()
    assert day_record.directory(week) == (day_record.roster(week), archived)
    doctor = week.roster("doctor", "--sis", "--json")
    assert doctor.code == 1
    assert [item["name"] for item in doctor.data if item["ok"] is False] == ["SIS south"]

    # Saturday: the right secret. All clear, and everything of the missed night arrives.
    assert week.roster("connection", "set", "south", "--client-secret", "-", stdin=SECRET).code == 0
    south.does("restore", gone_south)
    week.run_sync()
    saturday = diary.day()
    assert saturday.syncs == dict.fromkeys(both, "unchanged") | {"south-2": "applied"}
    cleared = {everybody_south: ["Connection south: the SIS can be read again"]}
    assert saturday.mails == subjects(week, south_2="1 restored") | cleared
    archived["south-2"] = set()
    assert day_record.directory(week) == (day_record.roster(week), archived)
    doctor = week.roster("doctor", "--sis", "--json")
    assert (doctor.code, [item["detail"] for item in doctor.data if item["name"] == "daemon"]) == (0, ["ticks"])

    # Sunday: nothing happens, and five mails say so.
    week.run_sync()
    sunday = diary.day()
    assert (sunday.syncs, sunday.mails) == (dict.fromkeys(both, "unchanged"), subjects(week))
    assert day_record.directory(week) == (day_record.roster(week), archived)

    runs = [run.tags for run in week.instance.get_runs() if "dagster/run_key" in run.tags]
    started = Counter((tags["dagster/partition"], tags["dagster/run_key"].rsplit(":", 1)[-1]) for tags in runs)
    assert started == {(key, "1"): 7 for key in both} | {(key, "2"): 1 for key in northern}
    assert week.count("alert", "cleared_at is null") == 0
    assert set(heartbeats) == {SECRET_PATH}
    said_anywhere = day_record.everything_said(week, dagster_url)
    assert not [word for word in (*POISON, WRONG_SECRET, SECRET, SECRET_PATH) if word in said_anywhere]
