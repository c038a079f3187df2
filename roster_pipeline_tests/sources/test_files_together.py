"""Files of a bundle that do not fit together: a column that a file had before, rows of changes with a part of their
cells, orgs in part, roles of an earlier day. What they do not say stays as it was."""

from typing import Any

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline.oneroster import SchoolNotFound
from roster_pipeline_tests.sources.conftest import (
    ALDER,
    BIRCH,
    DISTRICT,
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
from roster_pipeline_tests.sources.test_guards import everybody, parent

CAMPUS = {"sourcedId": "c1", "name": "Campus", "type": "school", "parentSourcedId": "s1"}
LOST = ("email", "identifier", "username", "phone", "middleName", "grades", "agentSourcedIds", "enabledUser")
CHANGED = {"status": "active", "dateLastModified": "2026-10-01T00:00:00.000Z"}
STORED = (
    "select l.sourced_id, p.given_name, p.email, p.number, p.username, p.phone, p.middle_name, p.enabled, m.status,"
    " m.grade, m.source_grade, c.sourced_id as contact, c.email as contact_email from link l"
    " join person p on p.id = l.person_id join membership m using (person_id) left join contact c using (person_id)"
    " order by 1"
)


def begun(database: Database, bundle: Source, **settings: Any) -> School:
    """A school in which everybody has a value in each column; three students are of a campus."""
    bundle.orgs = [*ORGS, CAMPUS]
    bundle.users = everybody()
    for number, one in enumerate(bundle.users):
        one |= {"phone": f"+1415555{number:04d}", "middleName": f"M{number}"}
    for one in bundle.users[:3]:
        one["orgSourcedIds"] = "c1"
    school = School(database, bundle)
    school.choose(include_orgs_below=True, **settings)
    school.sync()
    return school


@pytest.mark.parametrize("mode", ["bulk", "delta"])
def test_a_column_that_a_file_no_longer_has_empties_nothing(database: Database, bundle: Source, mode: str) -> None:
    school = begun(database, bundle)
    before = school.rows(STORED)
    rows = [one | CHANGED for one in bundle.users] if mode == "bulk" else [one | CHANGED for one in bundle.users[:4]]
    stored: list[int] = []
    for _ in range(2):
        bundle.files = {
            "manifest.csv": manifest(users=mode, orgs=mode),
            "users.csv": table([name for name in USERS if name not in LOST], rows),
            "orgs.csv": table(ORG_COLUMNS[:5], bundle.orgs),  # without identifiers and parents
        }
        assert set(school.sync().values()) == {"equal"}
        assert school.rows(STORED) == before
        assert school.guards == set()
        stored.append(school.count("sis_record"))
    assert stored[0] == stored[1], "the second night stores nothing again"
    report = str(school.rows("select report from sync order by id desc limit 1"))
    assert "orgs came without identifier, parent" in report
    assert "users came without agents, email, enabledUser, grades, identifier, middleName, phone, username" in report
    bundle.files = {}
    bundle.users = [one | {"email": ""} if one["sourcedId"] == "te1" else one for one in bundle.users]
    assert [one for one, reason in school.sync().items() if reason == "changed"] == ["te1"]


def test_a_row_of_changes_without_its_required_cells_says_only_what_it_has(database: Database, bundle: Source) -> None:
    school = begun(database, bundle)
    before = {row["sourced_id"]: row for row in school.rows(STORED)}
    told = [{"sourcedId": f"st{n}", "orgSourcedIds": "s1", "role": "student"} | CHANGED for n in range(4, 8)]
    told[0]["email"] = "new@wexbury.example"
    told[1] |= pupil(5, agentSourcedIds=["pa5"])  # in full: its empty cells are empty
    bundle.files = {"manifest.csv": manifest(users="delta"), "users.csv": table(USERS, told)}
    school.sync()
    after = {row["sourced_id"]: row for row in school.rows(STORED)}
    assert {one for one in after if after[one] != before[one]} == {"st4", "st5"}
    assert after["st4"] == before["st4"] | {"email": "new@wexbury.example"}
    assert after["st5"] == before["st5"] | {"phone": None, "middle_name": None}


@pytest.mark.parametrize("mode", ["bulk", "delta"])
def test_the_values_of_before_are_no_evidence_for_somebody_else(database: Database, bundle: Source, mode: str) -> None:
    """The SIS gave the id of st4 to another student. Without number, e-mail and user name, only the id is the same."""
    school = begun(database, bundle)
    before = school.rows(STORED)
    other = {"givenName": "Zenobia", "familyName": "Quist"}
    rows = [one | CHANGED | (other if one["sourcedId"] == "st4" else {}) for one in bundle.users]
    columns = [name for name in USERS if name not in LOST]
    bundle.files = {"manifest.csv": manifest(users=mode), "users.csv": table(columns, rows)}
    assert school.sync()["st4"] == "id_reassigned"
    assert school.rows(STORED) == before


def test_a_contact_who_came_after_a_column_was_lost_is_not_called(database: Database, bundle: Source) -> None:
    """The values of before say nothing about somebody new, who may be restrained."""
    columns = (*USERS, "metadata.restrained")
    parents = [one for one in everybody() if one["role"] == "guardian"]
    bundle.files = {"users.csv": table(columns, everybody())}
    school = School(database, bundle)
    school.set_connection("sis", contact_rules=["metadata:restrained!=true"])
    school.sync()
    before = school.rows("select count(*) as n from contact")[0]["n"]
    assert before == len(parents)
    new = [pupil(300, agentSourcedIds=["pa300"]), parents[0] | {"sourcedId": "pa300"}]
    bundle.files = {"users.csv": table(USERS, [*everybody(), *new])}
    school.sync()
    assert school.rows("select count(*) as n from contact")[0]["n"] == before
    bundle.files = {"users.csv": table(columns, [*everybody(), *new])}
    school.sync()
    assert school.rows("select count(*) as n from contact")[0]["n"] == before + 1


def test_without_parents_of_orgs_enrollments_do_not_say_who_left(database: Database, bundle: Source) -> None:
    bundle.enrollments = [{"user": one["sourcedId"], "school": "c1", "role": "student"} for one in everybody()]
    school = begun(database, bundle)
    school.set_connection("sis", no_enrollment_means_gone=True)
    assert set(school.sync().values()) == {"equal"}
    bundle.files = {"orgs.csv": table(ORG_COLUMNS[:6], bundle.orgs)}
    school.sync()
    assert "enrollments-unread" in school.proof["problems"]
    assert school.active() == 60


def in_two_files(users: list[dict[str, Any]], with_role: list[dict[str, Any]]) -> dict[str, str | None]:
    """The files of a bundle of 1.2. with_role: the people of roles.csv."""
    roles = [
        {"sourcedId": one["sourcedId"], "userSourcedId": one["sourcedId"], "role": one["role"], "orgSourcedId": "s1"}
        for one in with_role
    ]
    return {
        "manifest.csv": manifest("1.2", roles="bulk"),
        "users.csv": table([name for name in USERS if name not in ("role", "orgSourcedIds")], users),
        "roles.csv": table(("sourcedId", "userSourcedId", "role", "orgSourcedId"), roles),
    }


@pytest.mark.parametrize("split", [True, False], ids=["one-row-per-school", "one-row"])
def test_a_changed_row_that_names_another_school_moves_nobody_until_a_bulk_bundle(
    database: Database, bundle: Source, *, split: bool
) -> None:
    both = [pupil(0, "s1"), pupil(0, "s2")] if split else [pupil(0, "s1,s2")]
    bundle.users = [*both, *map(pupil, range(1, 30))]
    school = School.begun(database, bundle)
    bundle.files = {
        "manifest.csv": manifest(users="delta"),
        "users.csv": table(USERS, [pupil(0, "s2") | CHANGED, pupil(1, "s2") | CHANGED]),
    }
    for _ in range(2):
        school.sync()
        assert (len(school.present), school.proof["split_records"]) == (30, split)


@pytest.mark.parametrize(("new", "old"), [(4, True), (1, False)])
def test_roles_of_an_earlier_day_archive_nobody_and_are_named(
    database: Database, bundle: Source, new: int, old: bool
) -> None:
    bundle.files = in_two_files(everybody(), everybody())
    school = School.begun(database, bundle)
    bundle.files = in_two_files([*everybody(), *(pupil(200 + place) for place in range(new))], everybody()[1:])
    school.sync()
    assert school.active() == (60 if old else 59)
    assert ("roles-lack-new-users" in school.proof["problems"]) is old
    report = str(school.rows("select report from sync order by id desc limit 1"))
    assert f"{new + 1} people have no role in the bundle" in report
    assert school.tested()["No role"][1].startswith(f"{new + 1} people")


def test_users_of_an_earlier_day_beside_roles_of_today_take_nothing_back(database: Database, bundle: Source) -> None:
    yesterday = [one | CHANGED for one in everybody()]
    today = [*yesterday, pupil(200, **CHANGED)]
    today[3] = today[3] | {"email": "new@wexbury.example", "dateLastModified": "2026-10-02T00:00:00.000Z"}
    bundle.files = in_two_files(yesterday, yesterday)
    school = School.begun(database, bundle)
    bundle.files = in_two_files(today, today)
    school.sync()
    stored = school.rows(STORED)
    bundle.files = in_two_files(yesterday, today)
    school.sync()
    assert (school.rows(STORED), "older_source" in school.guards) == (stored, True)
    bundle.files = in_two_files([*today, pupil(201, **CHANGED)], [*today, pupil(201)])
    assert school.sync()["st201"] == "joined"


def test_changed_orgs_beside_all_people_are_read_with_the_orgs_of_before(database: Database, bundle: Source) -> None:
    bundle.files = {"manifest.csv": manifest(orgs="delta")}
    school = School.begun(database, bundle, everybody())
    assert school.proof["complete"]  # a delta with all orgs
    bundle.files["orgs.csv"] = table(ORG_COLUMNS, [BIRCH])
    bundle.users.pop()
    rows = school.sync()
    assert (rows.pop("ad1"), set(rows.values())) == ("left", {"equal"})
    assert school.proof["problems"] == ["orgs-in-part"]
    assert school.active("admin") == 2
    assert school.tested()["School"] == (None, "not among the orgs of this bundle, which holds only changed ones")
    other = School(database, bundle, "2")
    with pytest.raises(SchoolNotFound, match=r"call file\.orgs bulk"):
        other.sync()


def test_the_org_of_a_school_id_is_the_same_in_the_test_and_in_a_sync(database: Database, source: Source) -> None:
    source.orgs = [DISTRICT | {"identifier": "101"}, ALDER, BIRCH]
    source.users = [*map(pupil, range(3)), teacher(1)]
    school = School(database, source)
    school.choose(school_id="101")
    assert school.tested()["School"][0] is True
    assert set(school.sync().values()) == {"joined"}
    source.orgs = [DISTRICT, ALDER | {"status": "tobedeleted"}, BIRCH]
    school.sync()
    assert "the SIS marks this school as deleted" in str(
        school.rows("select report from sync order by id desc limit 1")
    )
    assert school.tested()["School"] == (False, "marked as deleted in the SIS")
    source.orgs = [DISTRICT, ALDER, BIRCH | {"identifier": "101"}]
    several = "2 orgs of the SIS have this School ID as their identifier: s1 (Alder School) and s2 (Birch School)."
    assert school.tested()["School"] == (False, several)
    with pytest.raises(SchoolNotFound, match="2 orgs of the SIS"):
        school.sync()


@pytest.mark.parametrize("mode", ["bulk", "delta"])
def test_without_its_column_no_new_contact_is_chosen_and_numbers_stay(
    database: Database, bundle: Source, mode: str
) -> None:
    bundle.users = [one | {"metadata.nr": f"N{n}", "metadata.restrained": "false"} for n, one in enumerate(everybody())]
    bundle.users[4]["email"] = "four@w.example"  # one that is not made of the id
    extra = ("metadata.nr", "metadata.restrained")
    bundle.files = {"users.csv": table((*USERS, *extra), bundle.users)}
    school = School(database, bundle)
    school.set_connection("sis", student_number_from="metadata:nr", contact_rules=["metadata:restrained!=true"])
    school.sync()
    before = school.rows(STORED)
    assert {row["contact"] for row in before if row["number"] == "N3"} == {"pa3"}
    stranger = parent(3) | {"sourcedId": "px3", "givenName": "Xavier", "familyName": "Xander", "email": "x@w.example"}
    told = [one | CHANGED for one in (*bundle.users, stranger)]
    told[3] = told[3] | {"agentSourcedIds": ["px3"]}
    told[4] |= {"givenName": "Zenobia", "familyName": "Quist"}  # with the e-mail of before
    told = told if mode == "bulk" else [told[3], told[4], told[63], stranger | CHANGED]
    bundle.files = {"manifest.csv": manifest(users=mode), "users.csv": table(USERS, told)}
    renamed = [row | ({"given_name": "Zenobia"} if row["sourced_id"] == "st4" else {}) for row in before]
    for _ in range(2):
        school.sync()
        assert school.rows(STORED) == renamed
