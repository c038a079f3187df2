"""Cells, manifest lines and dates that do not follow the standard: read if there is no doubt, else reported."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline_tests.sources.conftest import (
    ORG_COLUMNS,
    ORGS,
    USERS,
    School,
    Source,
    manifest,
    pupil,
    table,
    teacher,
)
from roster_pipeline_tests.sources.test_guards import contacts, parent

PEOPLE = [*map(pupil, range(6)), *map(teacher, range(3))]


def lines(rows: list[dict[str, Any]] = PEOPLE) -> list[str]:
    """The lines of users.csv, header first."""
    return table(USERS, rows).split("\r\n")[:-1]


def synced(database: Database, bundle: Source, changed: dict[int, str]) -> School:
    """A school after one sync of a users.csv with some changed lines."""
    written = [changed.get(place, line) for place, line in enumerate(lines())]
    bundle.files["users.csv"] = "\r\n".join([*written, ""])
    return School.begun(database, bundle)


def test_empty_surplus_cells_cost_nobody(database: Database, bundle: Source) -> None:
    school = synced(
        database, bundle, {place: lines()[place] + more for place, more in ((1, ","), (8, ",,"), (9, ", ,"))}
    )
    assert len(school.present) == 9
    assert school.proof["complete"]


def test_surplus_cells_in_every_row_are_a_habit_and_cost_nobody(database: Database, bundle: Source) -> None:
    bare = [pupil(n, email="", identifier="", grades="") for n in range(5)]
    bundle.files["users.csv"] = "\r\n".join([lines(bare)[0], *(line + "," for line in lines(bare)[1:]), ""])
    school = School.begun(database, bundle)
    assert len(school.present) == 5


def test_header_cells_without_a_name_cost_nobody(database: Database, bundle: Source) -> None:
    school = synced(database, bundle, {0: lines()[0] + ",,", 3: lines()[3] + ",,", 4: lines()[4] + ",note,"})
    assert len(school.present) >= 8
    assert school.proof["complete"]


def test_empty_cells_that_a_spreadsheet_dropped_cost_nobody(database: Database, bundle: Source) -> None:
    school = synced(database, bundle, {place: lines()[place].rstrip(",") for place in (1, 8, 9)})
    assert len(school.present) == 9


def test_a_teacher_without_an_email_whose_empty_cells_were_dropped_is_read(database: Database, bundle: Source) -> None:
    bare = ",".join(lines([teacher(1, email="", identifier="")])[1].split(",")[:10])
    school = synced(database, bundle, {8: bare})
    assert "te1" in school.present


MORE: dict[str, Callable[[str], str]] = {
    "a comma in the family name": lambda line: line.replace(",Ardenaa", ",Ardenaa, Jr"),
    "a comma in the given name": lambda line: line.replace(",Benba", ",M,Benba"),
    "agents without quotes": lambda line: line.replace(",,,,09,", ",,,m1,m2,09,"),
}
FEWER: dict[str, Callable[[str], str]] = {
    "a cell that is cut": lambda line: line[: line.index("@")],
    "a row that ends in its role": lambda line: line[: line.index(",st1,,")],
}


@pytest.mark.parametrize("faults", [MORE, FEWER], ids=["more cells", "fewer cells"])
def test_rows_that_may_have_been_moved_are_rejected_and_their_owners_spared(
    database: Database, bundle: Source, faults: dict[str, Callable[[str], str]]
) -> None:
    people = [*map(pupil, range(40)), *map(teacher, range(3))]
    school = School.begun(database, bundle, people)
    written = lines(people)
    for place, fault in enumerate(faults.values()):
        moved = fault(written[1 + place])
        assert moved != written[1 + place]
        written[1 + place] = moved
    bundle.files["users.csv"] = "\r\n".join([*written, ""])
    reasons = school.sync()
    assert [reasons[f"st{place}"] for place in range(len(faults))] == ["rejected_record"] * len(faults)
    assert len(school.present) == len(people)
    ok, detail = school.tested()["Cells"]
    assert ok is False
    assert f"{len(faults)} rows have" in detail


def without(line: str, cell: int, *, insert: bool) -> str:
    """A line whose cells a spreadsheet moved to the left or, with `insert`, to the right; its number of cells stays."""
    cells = line.split(",")
    return ",".join([*cells[:cell], "", *cells[cell:-1]] if insert else [*cells[:cell], *cells[cell + 1 :], ""])


def test_rows_whose_cells_stand_under_other_columns_change_nobody(database: Database, bundle: Source) -> None:
    people = [pupil(place, agentSourcedIds=[f"pa{place}"]) for place in range(60)] + [*map(teacher, range(9))]
    school = School.begun(database, bundle, [*people, *(parent(place) for place in range(60))])
    stored = school.rows("select given_name, family_name, middle_name, number, email from person order by id")
    called = contacts(school)
    written = lines(bundle.users)
    names, email = USERS.index("givenName"), USERS.index("email")
    faults = {1: (names, False), 2: (names, True), 3: (email - 1, False), 4: (email, True), 5: (names + 2, True)}
    for row, (cell, insert) in {**faults, 61: (names, False), 62: (names, True)}.items():
        written[row] = without(written[row], cell, insert=insert)
    bundle.files["users.csv"] = "\r\n".join([*written, ""])
    reasons = school.sync()
    moved = ("st0", "st1", "st2", "st3", "st4", "te0", "te1")
    assert {reasons[who] for who in moved} == {"rejected_record"}
    assert school.rows("select given_name, family_name, middle_name, number, email from person order by id") == stored
    assert contacts(school) == called
    assert "7 rows have cells under other columns" in school.tested()["Cells"][1]


def test_a_habit_of_the_export_is_no_sign_of_moved_cells(database: Database, bundle: Source) -> None:
    habits = [pupil(place, identifier=f"{place}@wexbury.example") for place in range(40)]
    habits += [pupil(place, email="", identifier=f"{place}@wexbury.example") for place in range(40, 43)]
    habits += [pupil(43, email="at home", grades="Form 3")]
    assert len(School.begun(database, bundle, habits).present) == 44


def test_a_line_break_inside_a_cell_makes_no_second_person(database: Database, bundle: Source) -> None:
    broken = lines()[3].replace("@wexbury", "@wex\r\nbury")
    school = synced(database, bundle, {3: broken})
    assert school.present == {"st0", "st1", "st3", "st4", "st5", "te0", "te1", "te2"}
    assert not school.rows("select 1 from person where email like '%@wex'")


UNREAD = ("file.scoreScales,", "file.userResources", "file.results,sometimes", "file.lineItems,bulk,x", "file.,")


def test_manifest_lines_about_unread_files_are_ignored(database: Database, bundle: Source) -> None:
    bundle.files["manifest.csv"] = manifest() + "\r\n".join([*UNREAD, ""])
    school = School.begun(database, bundle, list(PEOPLE))
    assert len(school.present) == 9
    assert school.proof["complete"]


ROLE_COLUMNS = (
    *("sourcedId", "status", "dateLastModified", "userSourcedId", "roleType", "role", "beginDate", "endDate"),
    "orgSourcedId",
)
LAST_YEAR = datetime.now(UTC).year - 1


def spans(*written: tuple[str, str]) -> str:
    """roles.csv of the first pupils, one with each pair of begin and end."""
    rows = [
        {"sourcedId": f"r{n}", "userSourcedId": f"st{n}", "roleType": "primary", "role": "student"}
        | {"orgSourcedId": "s1", "beginDate": begin, "endDate": end}
        for n, (begin, end) in enumerate(written)
    ]
    return table(ROLE_COLUMNS, rows)


def told_by(database: Database, source: Source, *written: tuple[str, str]) -> School:
    """A school after one sync of pupils whose role has these dates."""
    pupils = [{**pupil(n), "role": "", "orgSourcedIds": ""} for n in range(len(written))]
    if source.kind == "csv":
        source.users = pupils
        source.files["roles.csv"] = spans(*written)
        source.files["manifest.csv"] = manifest("1.2", roles="bulk")
    else:
        source.users = [
            one | {"roles": [{"role": "student", "org": {"sourcedId": "s1"}, "beginDate": begin, "endDate": end}]}
            for one, (begin, end) in zip(pupils, written, strict=True)
        ]
    return School.begun(database, source)


@pytest.mark.parametrize(
    ("settling", "ended", "running"),
    [
        ("8/15/{0}", "6/7/{0}", "6/7/{1}"),
        ("15/8/{0}", "7/6/{0}", "7/6/{1}"),
        ("15.08.{0}", "07.06.{0}", "07.06.{1}"),
        ("08-15-{0}", "06-07-{0}", "06-07-{1}"),
        ("", "{0}/6/7", "{1}/06/07"),
        ("", "7 June {0}", "June 7, {1}"),
    ],
)
def test_dates_in_another_notation_are_read_if_one_of_them_settles_it(
    database: Database, source: Source, settling: str, ended: str, running: str
) -> None:
    years = (LAST_YEAR, LAST_YEAR + 3)
    school = told_by(
        database,
        source,
        (settling.format(*years), ""),
        ("", ended.format(*years)),
        ("", running.format(*years)),
        ("", f"{LAST_YEAR}-06-07"),
    )
    assert school.present == {"st0", "st2"}
    assert school.proof["unclear_dates"] == 0


@pytest.mark.parametrize("others", [(), ("8/15/2020", "15/8/2020")])
def test_people_whose_role_may_have_ended_are_counted_and_stay(
    database: Database, source: Source, others: tuple[str, ...]
) -> None:
    school = told_by(database, source, *((one, "") for one in others), ("", f"6/7/{LAST_YEAR}"), ("", "next summer"))
    assert len(school.present) == 2 + len(others)
    assert school.proof["unclear_dates"] == 2
    assert school.tested()["Dates of roles"][1].startswith("2 people have a role with a date that cannot be read")


@pytest.mark.parametrize(
    "days",
    [("0001-01-01", "1900-01-01T00:00:00.000Z", "1/1/1753", "1970-01-01", "9999-12-31"), ("31.12.9999",)],
    ids=["no notation", "a notation"],
)
def test_a_day_that_stands_for_no_date_ends_and_begins_no_role(
    database: Database, source: Source, days: tuple[str, ...]
) -> None:
    roles = [role for day in days for role in (("", day), (day, ""), (f"{LAST_YEAR}-08-15", day))]
    school = told_by(database, source, *roles)
    assert school.present == {f"st{place}" for place in range(len(roles))}
    assert school.proof["unclear_dates"] == 0


def test_the_case_of_orgs_csv_is_as_that_of_users_csv(database: Database, bundle: Source) -> None:
    bundle.users = list(PEOPLE)
    orgs = table(ORG_COLUMNS, ORGS).split("\r\n")
    bundle.files["orgs.csv"] = "\r\n".join([orgs[0], orgs[1].rstrip(","), orgs[2] + ",", orgs[3], ""])
    school = School.begun(database, bundle)
    assert len(school.present) == 9
    assert school.proof["complete"]
