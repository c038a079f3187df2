"""Nights of similar people: nobody is merged or taken over, over REST and from CSV files.

Most tests have many cases in one school. People of one case share nothing with those of another (`Case`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.sync_summary import latest_sync, sync_summary
from roster_pipeline.notifications.content import SyncReport
from roster_pipeline.notifications.mail_page import render
from roster_pipeline.notifications.outcome import tone, wants
from roster_pipeline.sync.build_report import report_of
from roster_pipeline_tests.csv_bundle import write_csv_bundle
from roster_pipeline_tests.invariants.rules import SchoolRules
from roster_pipeline_tests.invariants.sync_district import Place, running_site

HOME = "dorn@home.example"
CALM: dict[str, Any] = {"moved_keys": 99} | dict.fromkeys(
    ("rekeyed_share", "archive_share", "create_share", "update_share", "update_key_share"), 1
)
"""Limits that hold nobody, so that only the rule keeps somebody as they are."""
Row = tuple[str, str, str | None]
"""What happened, why, and the notes."""
SOURCE_ROLES = {"student": "student", "teacher": "teacher", "staff": "aide", "admin": "siteAdministrator"}
MADE = (
    "select id, given_name, family_name, email, number, username from person where district_id = :district order by id"
)
ROWS = """
select r.action, r.reason, r.role, r.person_id, r.sourced_ids, r.notes from plan_line r
where r.plan_id = (select max(p.id) from plan p where p.district_id = :district) order by r.row
"""
NOTED = """
select rule, sourced_id from rejected_record where snapshot_id = (
    select max(s.id) from snapshot s join school c on c.id = s.school_id where c.district_id = :district) order by 1, 2
"""


class Nights:
    """One school of one SIS, by REST or by CSV, with six further pupils."""

    def __init__(self, place: Place, csv: Path | None) -> None:
        self.place, self.csv = place, csv
        self.people = place.sis.district
        for row in range(len(self.people)):
            self.people.vanish(row)
        self.school = place.add(SchoolRules("sch-1"))
        place.set_school(self.school, guards=CALM)
        if csv is not None:
            place.set_connection(url=f"file://{csv}", token_url=None)
        for number in range(6):
            self.add(f"st{number}", f"Given{'abcdef'[number]}", f"Family{'abcdef'[number]}", number=str(9000 + number))

    def add(self, sourced_id: str, given: str, family: str, role: str = "student", **known: Any) -> None:
        """Add a record with this mail, number, grade, username, master and school."""
        school = known.pop("school", "sch-1")
        self.people.add(
            SOURCE_ROLES[role], school, sourced_id=sourced_id, agents=(), given_name=given, family_name=family,
            **_fields(sourced_id, **known),
        )  # fmt: skip

    def renumber(self, sourced_id: str, number: str) -> None:
        """Give a record another number."""
        self.people.edit(sourced_id, identifier=number)

    def gone(self, sourced_id: str) -> None:
        """Remove the record from all lists."""
        self.people.remove(sourced_id, how="vanish")

    def night(self) -> dict[tuple[str, ...], Row]:
        """One night: what happened to the records of each row; without the six others."""
        if self.csv is not None:
            write_csv_bundle(self.people, self.csv, version="1.1")
        self.place.sync_school(self.school)
        rows = self.place.rows(ROWS)
        return {
            tuple(sorted(row["sourced_ids"])): (row["action"], row["reason"], row["notes"])
            for row in rows
            if not row["sourced_ids"][0].startswith("st")
        }

    def persons(self) -> list[dict[str, Any]]:
        """Everybody but the six."""
        return [row for row in self.place.rows(MADE) if not (row["number"] or "").startswith("900")]

    def noted(self) -> set[tuple[str, str]]:
        """Rule and record of each note of cleaning."""
        return {(row["rule"], row["sourced_id"]) for row in self.place.rows(NOTED)}

    def report(self) -> SyncReport:
        """The report of the last night."""
        with self.place.database.begin() as conn:
            sync_id = latest_sync(conn, self.school)
            assert sync_id is not None
            return report_of(sync_summary(conn, sync_id))


class Case:
    """The people of one case. Every name and value of theirs carries the mark of the case."""

    def __init__(self, nights: Nights, place: int) -> None:
        self.nights, self.mark, self.letters = nights, str(10 + place), "abcdefgh"[place] * 2

    def add(self, sourced_id: str, given: str, family: str, role: str = "student", **known: Any) -> None:
        """Add a record, as `Nights.add`."""
        names = given + self.letters, family + self.letters
        self.nights.add(sourced_id + self.mark, *names, role, **self._own(known))

    def renumber(self, sourced_id: str, number: str) -> None:
        """Give a record another number."""
        self.nights.renumber(sourced_id + self.mark, number + self.mark)

    def gone(self, sourced_id: str) -> None:
        """Remove the record from all lists."""
        self.nights.gone(sourced_id + self.mark)

    def ids(self, *sourced_ids: str) -> set[str]:
        """The ids of these records."""
        return {one + self.mark for one in sourced_ids}

    def rows(self, night: dict[tuple[str, ...], Row]) -> dict[tuple[str, ...], Row]:
        """The rows of these people, by their records without the mark."""
        return {
            tuple(one.removesuffix(self.mark) for one in records): row
            for records, row in night.items()
            if records[0].endswith(self.mark)
        }

    def persons(self, everybody: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of the case."""
        return [row for row in everybody if row["family_name"].endswith(self.letters)]

    def _own(self, known: dict[str, Any]) -> dict[str, Any]:
        after = dict.fromkeys(("number", "username", "master"), self.mark)
        after |= dict.fromkeys(("given", "family"), self.letters)
        own = {name: value + after[name] if value and name in after else value for name, value in known.items()}
        return own | ({"mail": self.mark + own["mail"]} if own.get("mail") else {})


def cases_of(nights: Nights, names: Iterable[str]) -> dict[str, Case]:
    """The people of each case, by its name."""
    return {name: Case(nights, place) for place, name in enumerate(names)}


def what_happened(nights: Nights, cases: dict[str, Case]) -> dict[str, dict[tuple[str, ...], tuple[str, str]]]:
    """One night: action and reason of the rows of each case."""
    night = nights.night()
    return {name: {ids: row[:2] for ids, row in case.rows(night).items()} for name, case in cases.items()}


def _fields(
    sourced_id: str,
    mail: str | None = None,
    number: str = "",
    grade: str | None = None,
    username: str | None = None,
    master: str = "",
) -> dict[str, Any]:
    return {
        "email": f"{sourced_id}@wexbury.example" if mail is None else mail,
        "identifier": number,
        "grades": () if grade is None else (grade,),
        "username": f"user-{sourced_id}" if username is None else username,
        "state_id": master,
        "phone": "",
        "sms": "",
    }


BOTH = pytest.mark.parametrize("nights", ["rest", "csv"], indirect=True)
"""REST and CSV records have one shape before people are compared, so most tests use one of them."""


@pytest.fixture
def nights(
    request: pytest.FixtureRequest, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Nights]:
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("ROSTER_HOME", str(tmp_path))
    with running_site() as site:
        yield Nights(
            Place(database, site, 0), tmp_path / "bundle.zip" if getattr(request, "param", "") == "csv" else None
        )


JOHN = ("John", "Dorn")
ALIKE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another number": ({"number": "71"}, {"number": "72"}),
    "grades far apart": ({"grade": "09"}, {"grade": "02"}),
    "father and son": ({"role": "teacher"}, {"grade": "02"}),
    "mother and daughter with numbers": ({"role": "staff", "number": "T1"}, {"number": "71", "grade": "02"}),
}


def test_people_of_one_name_and_one_email_are_two_people_and_reported(nights: Nights) -> None:
    cases = cases_of(nights, ALIKE)
    for name, case in cases.items():
        for sourced_id, known in zip(("c1", "c2"), ALIKE[name], strict=True):
            case.add(sourced_id, *JOHN, mail=HOME, **known)
    made = {("c1",): ("create", "joined"), ("c2",): ("create", "joined")}
    assert what_happened(nights, cases) == dict.fromkeys(cases, made)
    alike = {one for case in cases.values() for one in case.ids("c1", "c2")}
    assert {one for rule, one in nights.noted() if rule == "same_name_and_email"} == alike
    assert {line.rule: line.rows for line in nights.report().rejected}["same_name_and_email"] == len(alike)
    before = nights.persons()
    assert len(before) == len(alike)
    nights.night()
    for case in cases.values():
        case.gone("c1")
    happened = what_happened(nights, cases)
    for name in cases:
        assert happened[name][("c1",)] in (("archive", "left"), ("skip", "in_conflict")), name
    assert nights.persons() == before


ONE_NUMBER: dict[str, tuple[tuple[str, str, dict[str, Any]], tuple[str, str, dict[str, Any]]]] = {
    "two Marias": (("Maria", "Lopez", {"grade": "09"}), ("Maria", "Chen", {"grade": "03"})),
    "two Marias of one grade": (("Maria", "Lopez", {"grade": "09"}), ("Maria", "Chen", {"grade": "09"})),
    "brother and sister": (("Ann", "Lee", {"mail": HOME}), ("Bo", "Lee", {"mail": HOME})),
    "twins without an e-mail": (
        ("Ann", "Lee", {"mail": "", "username": ""}),
        ("Bo", "Lee", {"mail": "", "username": ""}),
    ),
    "namesakes of other grades": (("Ann", "Lee", {"grade": "12"}), ("Ann", "Lee", {"grade": "03"})),
    "strangers": (("Ann", "Lee", {}), ("Zoe", "Zed", {})),
}


def test_one_number_typed_for_two_is_a_conflict_and_nobody_is_lost(nights: Nights) -> None:
    cases = cases_of(nights, ONE_NUMBER)
    for name, case in cases.items():
        given, family, known = ONE_NUMBER[name][0]
        case.add("m1", given, family, number="555", **known)
    nights.night()
    first = nights.persons()
    assert {name: len(case.persons(first)) for name, case in cases.items()} == dict.fromkeys(ONE_NUMBER, 1)
    for name, case in cases.items():
        given, family, known = ONE_NUMBER[name][1]
        case.add("m2", given, family, number="555", **known)
    for _ in range(2):
        happened = what_happened(nights, cases)
        for name, rows in happened.items():
            assert set(rows.values()) == {("conflict", "number_shared")}, name
    assert nights.persons() == first
    assert nights.report().total("conflicts") == 2 * len(cases)
    for case in cases.values():
        case.renumber("m2", "556")
    happened = what_happened(nights, cases)
    for name, rows in happened.items():
        assert rows[("m2",)] == ("create", "joined"), name


REUSED: dict[str, tuple[dict[str, Any], tuple[str, str, dict[str, Any]]]] = {
    "number, given name": ({"number": "555", "grade": "12"}, ("Maria", "Chen", {"number": "555", "grade": "03"})),
    "number, family name": ({"number": "555"}, ("Pablo", "Lopez", {"number": "555"})),
    "number, whole name, grade": (
        {"number": "555", "grade": "12"},
        ("Maria", "Lopez", {"number": "555", "grade": "03"}),
    ),
    "e-mail, whole name, number": (
        {"number": "555", "mail": HOME},
        ("Maria", "Lopez", {"number": "556", "mail": HOME}),
    ),
    "e-mail, whole name, grade": ({"grade": "12", "mail": HOME}, ("Maria", "Lopez", {"grade": "03", "mail": HOME})),
    "e-mail, whole name, staff": ({"mail": HOME}, ("Maria", "Lopez", {"role": "teacher", "mail": HOME})),
}


def test_who_comes_with_the_key_of_somebody_who_left_does_not_become_them(nights: Nights) -> None:
    cases = cases_of(nights, REUSED)
    for name, case in cases.items():
        case.add("m1", "Maria", "Lopez", **REUSED[name][0])
    nights.night()
    before = nights.persons()
    for name, case in cases.items():
        given, family, other = REUSED[name][1]
        case.gone("m1")
        case.add("m2", given, family, **other)
    for _ in range(2):
        happened = what_happened(nights, cases)
        for name, rows in happened.items():
            assert rows[("m2",)] == ("conflict", "match_contradicted"), name
        assert nights.persons() == before
    query = "select person_id from membership where status = 'active'"
    assert {row["id"] for row in before} <= {row["person_id"] for row in nights.place.rows(query)}
    report = nights.report()
    assert tone(report) != "good" or wants(report, "problems")


REKEYED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "by number": ({"number": "9"}, {"number": "9"}, "found_by_number"),
    "by number under a married name": (
        {"number": "9", "mail": HOME},
        {"number": "9", "mail": HOME, "family": "Ray", "username": "user-m1"},
        "found_by_number",
    ),
    "by e-mail": ({"mail": HOME}, {"mail": HOME}, "found_by_email"),
    "by a number that lost its zeros": (
        {"number": "009", "mail": HOME},
        {"number": "9", "mail": HOME},
        "found_by_number",
    ),
    "by e-mail, numbers being the ids": (
        {"number": "m1", "mail": HOME},
        {"number": "m2", "mail": HOME},
        "found_by_email",
    ),
}


def test_a_new_id_is_linked_noted_once_and_reported_as_a_problem(nights: Nights) -> None:
    cases = cases_of(nights, REKEYED)
    for name, case in cases.items():
        case.add("m1", "Maria", "Lopez", **REKEYED[name][0])
    nights.night()
    before = nights.persons()
    for name, case in cases.items():
        case.gone("m1")
        case.add("m2", "Maria", **{"family": "Lopez"} | REKEYED[name][1])
    night = nights.night()
    said = {name: [(row[0], row[2]) for row in case.rows(night).values()] for name, case in cases.items()}
    assert said == {name: [("update", note)] for name, (_, _, note) in REKEYED.items()}
    after = nights.persons()
    for name, case in cases.items():
        assert [row["id"] for row in case.persons(after)] == [row["id"] for row in case.persons(before)], name
    report = nights.report()
    times = Counter(note for _, _, note in REKEYED.values())
    assert {noted.note: (noted.rows, noted.to_check) for noted in report.row_notes} == {
        note: (rows, True) for note, rows in times.items()
    }
    assert tone(report) == "attention"
    assert wants(report, "problems")
    mail = render(report)
    assert "not by a link" in mail.text
    assert not any(secret in mail.text + mail.html for secret in ("Maria", "Lopez", HOME))
    nights.night()
    assert nights.report().row_notes == ()


@BOTH
def test_one_human_with_several_records_is_joined_noted_once_and_stays_one(nights: Nights) -> None:
    nights.add("t1", "Tia", "Ott", "teacher", number="T9", mail=HOME, username="tott")
    nights.add("t2", "Tia", "Ott", "admin", number="T9", mail=HOME, username="tott-admin")
    nights.add("p1", "Pia", "Orr", number="71", grade="05")
    nights.add("p2", "Pia", "Orr", number="71", grade="05", school="sch-2")
    said = nights.night()
    assert said[("t1", "t2")] == ("create", "joined", "records_joined")
    assert {noted.note: noted.rows for noted in nights.report().row_notes} == {"records_joined": 1}
    assert len(nights.persons()) == 2
    assert {said[2] for said in nights.night().values()} == {None}
    assert nights.report().row_notes == ()


USER_NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "three, capitals aside": (("peter", "Peter", "PETER"), ("a1", "a2", "a3")),
    "two": (("phale", "phale", "other"), ("a1", "a2")),
    "none": (("x", "y", "z"), ()),
}


def test_user_names_that_are_equal_are_noted_and_their_people_made(nights: Nights) -> None:
    cases = cases_of(nights, USER_NAMES)
    for name, case in cases.items():
        for place, (given, family) in enumerate((("Peter", "Hale"), ("Petra", "Hale"), ("Pete", "Orr"))):
            username = USER_NAMES[name][0][place]
            case.add(f"a{place + 1}", given, family, number=str(51 + place), username=username)
    made = {(f"a{place}",): ("create", "joined") for place in (1, 2, 3)}
    assert what_happened(nights, cases) == dict.fromkeys(cases, made)
    noted = {one for name, case in cases.items() for one in case.ids(*USER_NAMES[name][1])}
    assert {one for rule, one in nights.noted() if rule == "shared_username"} == noted
    assert {line.rule: line.rows for line in nights.report().rejected}["shared_username"] == len(noted)


@BOTH
def test_a_number_that_is_already_another_persons_is_noted(nights: Nights) -> None:
    nights.add("q1", "Quin", "Ode", number="81", username="quin")
    nights.add("q2", "Rita", "Poe", number="82", username="rita")
    nights.night()
    nights.gone("q1")
    nights.night()
    nights.renumber("q2", "81")
    nights.add("q3", "Sam", "Rye", number="83", username="QUIN")
    said = nights.night()
    assert said[("q2",)] == ("update", "changed", "number_of_another")
    assert said[("q3",)] == ("create", "joined", "username_of_another")
