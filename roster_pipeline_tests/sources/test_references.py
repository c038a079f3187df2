"""A membership refers to an org that the SIS lists, or it is unknown: unknown ones are counted and archive nobody."""

from typing import Any

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline.oneroster.errors import SchoolNotFound
from roster_pipeline_tests.sources.conftest import ALDER, BIRCH, DISTRICT, USERS, School, Source, pupil, table, teacher

SPELLINGS = ["s1;s2", "s1|s2", "[s1,s2]", '"s1"', "s1, s2", "s1 s2", "S1", "Alder School", "'s2','s1'"]


def test_an_org_in_another_spelling_is_read_in_the_first_sync(database: Database, source: Source) -> None:
    written = [pupil(9 + place, spelling) for place, spelling in enumerate(SPELLINGS)]
    school = School.begun(database, source, [*map(pupil, range(4)), *written])
    assert {f"st{9 + place}" for place in range(len(SPELLINGS))} <= school.present


def test_a_list_of_orgs_that_is_suddenly_written_in_another_way_archives_nobody(
    database: Database, source: Source
) -> None:
    school = School.begun(database, source, [*map(pupil, range(40)), *(pupil(n, "s1,s2") for n in range(40, 44))])
    written = ("s1;s2", "s9", "s1/s9", "101;s9")
    source.users[40:] = [pupil(40 + place, orgs) for place, orgs in enumerate(written)]
    reasons = school.sync()
    assert len(school.present) == 44
    for place, orgs in enumerate(written):
        assert reasons[f"st{40 + place}"] in ("equal", "unknown_org"), orgs


def test_an_identifier_is_read_only_if_no_listed_id_has_its_form(database: Database, source: Source) -> None:
    school = School.begun(database, source, [*map(pupil, range(4)), pupil(9, "101")])
    assert "st9" in school.present
    assert (school.proof["respelled_orgs"], school.proof["unlisted_orgs"]) == (1, 0)


def test_a_number_that_may_be_another_schools_id_is_not_taken_for_an_identifier(
    database: Database, source: Source
) -> None:
    source.orgs = (DISTRICT, {**ALDER, "sourcedId": "7", "identifier": "101"}, {**BIRCH, "sourcedId": "8"})
    source.users = [*(pupil(n, "7") for n in range(4)), pupil(9, "101")]
    school = School(database, source)
    school.choose(school_id="7")
    school.sync()
    assert "st9" not in school.present
    assert school.proof["unlisted_orgs"] == 1
    assert school.tested()["Orgs"] == (None, "1 person names an org that the SIS does not list")


def test_somebody_who_names_no_listed_school_stays_and_is_reported(database: Database, source: Source) -> None:
    school = School.begun(database, source, [*map(pupil, range(80)), *map(teacher, range(80))])
    for place, org in enumerate(("s9", "d1", "Cedar School", "s2,s9")):
        source.users[place], source.users[80 + place] = pupil(place, org), teacher(place, org)
    reasons = school.sync()
    told = {f"{kind}{place}" for kind in ("st", "te") for place in range(4)}
    assert {one for one, reason in reasons.items() if reason == "unknown_org"} == told
    assert told <= school.present
    assert "unknown_orgs" not in school.guards


def test_a_record_with_a_role_in_another_school_and_this_one_as_its_main_school_archives_and_creates_nobody(
    database: Database, source: Source
) -> None:
    school = School.begun(database, source, [*map(pupil, range(60)), teacher(1), teacher(2)])
    for place, main in enumerate(("s1", "101", "S1")):
        source.users[place] = pupil(place, "s2", primaryOrgSourcedId=main)
        source.users.append(pupil(70 + place, "s2", primaryOrgSourcedId=main))
    source.users.append(pupil(80, "s1", primaryOrgSourcedId="s2"))
    reasons = school.sync()
    assert [reasons[f"st{place}"] for place in range(3)] == ["unknown_org"] * 3
    assert not {f"st{70 + place}" for place in range(3)} & set(reasons)
    assert reasons["st80"] == "joined"
    assert school.present >= {"st0", "st1", "st2", "st80"}
    source.users[:3] = [pupil(place, "s2", primaryOrgSourcedId="s2") for place in range(3)]
    reasons = school.sync()
    assert [reasons[f"st{place}"] for place in range(3)] == ["moved_school"] * 3


ROLE = {"role": "student", "org": {"sourcedId": "s2"}}


NAMED: list[tuple[dict[str, Any], str]] = [
    ({"roles": [ROLE], "primaryOrgSourcedId": {"sourcedId": "s1"}}, "unknown_org"),
    ({"roles": [ROLE], "orgSourcedIds": [{"sourcedId": "s2"}, {"sourcedId": "s1"}]}, "unknown_org"),
    ({"roles": [ROLE], "orgSourcedIds": "s2;s1"}, "unknown_org"),
    ({"roles": [ROLE], "primaryOrgSourcedId": {"sourcedId": "s9"}}, "unknown_org"),
    ({"roles": [ROLE], "primaryOrgSourcedId": {"sourcedId": "d1"}}, "moved_school"),
    ({"roles": [ROLE], "primaryOrgSourcedId": {"sourcedId": "s2"}}, "moved_school"),
    ({"roles": [ROLE, {"role": "parent", "org": {"sourcedId": "s1"}}]}, "role_off"),
    ({"roles": [ROLE, {"role": "student", "org": {"sourcedId": "s1"}, "endDate": "2020-06-30"}]}, "role_ended"),
]


def test_what_a_record_names_beside_its_roles_counts(database: Database, rest: Source) -> None:
    school = School.begun(database, rest, list(map(pupil, range(60))))
    for place, (members, _) in enumerate(NAMED):
        rest.users[place] = pupil(place, **({"role": None, "orgs": None} | members))
    reasons = school.sync()
    assert [reasons[f"st{place}"] for place in range(len(NAMED))] == [reason for _, reason in NAMED]


def test_somebody_in_another_listed_school_has_moved(database: Database, source: Source) -> None:
    school = School.begun(database, source, list(map(pupil, range(30))))
    source.users[0], source.users[1] = pupil(0, "s2"), pupil(1, "d1,s2")
    reasons = school.sync()
    assert (reasons["st0"], reasons["st1"]) == ("moved_school", "moved_school")
    assert not {"st0", "st1"} & school.present


def test_many_unknown_hold_the_archivals_of_everybody_else(database: Database, source: Source) -> None:
    school = School.begun(database, source, [*map(pupil, range(40)), *map(teacher, range(5))])
    source.users = [*(pupil(n, "x9") for n in range(4)), *map(pupil, range(4, 39)), *map(teacher, range(4))]
    reasons = school.sync()
    assert (reasons["st39"], reasons["te4"]) == ("left", "left")
    assert len(school.present) == 45
    assert "unknown_orgs" in school.guards


CONFIRMING: list[tuple[dict[str, Any], str]] = [
    ({"orgs": "s1", "status": "tobedeleted"}, "left"),
    ({"orgs": "s2"}, "moved_school"),
]
CONTRADICTING: list[tuple[dict[str, Any], str]] = [
    ({"orgs": "s9"}, "not_confirmed"),
    ({"orgs": "d1"}, "not_confirmed"),
    ({"orgs": "s1;s2"}, "sis_still_answers"),
    ({"orgs": "s1", "primaryOrgSourcedId": "s2"}, "sis_still_answers"),
    ({"orgs": "s2", "primaryOrgSourcedId": "s1"}, "not_confirmed"),
    ({"orgs": "s1;s9"}, "not_confirmed"),
    ({"orgs": "s2,s9"}, "not_confirmed"),
]


def test_the_witness_confirms_by_a_listed_other_school_only(database: Database, rest: Source) -> None:
    everybody = list(map(pupil, range(80)))
    school = School.begun(database, rest, list(everybody))
    school.choose(guards={"contradictions": len(CONTRADICTING)})
    told = [*CONFIRMING, *CONTRADICTING]
    rest.users = everybody[len(told) + 1 :]
    rest.single = [*rest.users, *(pupil(place, **members) for place, (members, _) in enumerate(told))]
    reasons = school.sync()
    assert reasons[f"st{len(told)}"] == "left", "the SIS does not know them by their id either"
    assert [reasons[f"st{place}"] for place in range(len(told))] == [reason for _, reason in told]
    stay = {f"st{place}" for place in range(len(CONFIRMING), len(told))}
    assert school.present == {f"st{place}" for place in range(len(told) + 1, 80)} | stay


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"orgSourcedIds": "orgSourcedIds", "agentSourcedIds": "agentSourcedIds"},
        {"orgSourcedIds": "schoolSourcedIds", "agentSourcedIds": "AgentSourcedIDs"},
        {"orgSourcedIds": "org_sourced_id", "agentSourcedIds": "agent"},
    ],
)
def test_members_may_be_called_as_in_the_files(database: Database, rest: Source, names: dict[str, str]) -> None:
    rest.names = rest.names | names
    mother = teacher(7, "s1", role="parent")
    kinds: list[Any] = [
        "s1,s2", "s1;s2", ["s1"], [{"sourcedId": "s1"}], [{"href": "https://sis.example/ims/orgs/s1"}],
    ]  # fmt: skip
    pupils = [pupil(n, orgs, agentSourcedIds="te7;te8") for n, orgs in enumerate(kinds)]
    school = School.begun(database, rest, [*pupils, mother])
    assert school.present == {f"st{n}" for n in range(len(kinds))}
    assert len(school.rows("select 1 from contact")) == len(kinds)


CAMPUS = {
    "sourcedId": "c1",
    "name": "Alder Upper Campus",
    "type": "department",
    "identifier": "101U",
    "parentSourcedId": "s1",
}
HALL = {"sourcedId": "c2", "name": "Alder Hall", "type": "school", "identifier": "101H", "parentSourcedId": "c1"}


def test_orgs_below_the_school_are_counted_and_count_as_it_if_the_school_says_so(
    database: Database, source: Source
) -> None:
    source.orgs = (DISTRICT, ALDER, BIRCH, CAMPUS, HALL)
    source.users = [*map(pupil, range(6)), *(pupil(n, f"c{1 + n % 2}") for n in range(6, 12))]
    school = School(database, source)
    assert school.tested()["Orgs below"][1].startswith("6 people")
    school.sync()
    assert len(school.present) == 6
    assert school.rows("select counts -> 'org_below' as n from snapshot")[0]["n"] == 6
    school.choose(include_orgs_below=True, guards={"create_share": 1})
    assert "12 in this school" in school.tested()["Students"][1]
    school.sync()
    assert len(school.present) == 12


def test_somebody_who_goes_to_a_campus_stays_a_member_until_the_school_decides(
    database: Database, source: Source
) -> None:
    source.orgs = (DISTRICT, ALDER, BIRCH, CAMPUS)
    school = School.begun(database, source, list(map(pupil, range(12))))
    source.users[0] = pupil(0, "c1")
    assert school.sync()["st0"] == "org_below"
    assert "st0" in school.present
    school.choose(include_orgs_below=True)
    assert school.sync()["st0"] == "equal"


def test_the_role_is_stored_as_the_sis_spells_it(database: Database, source: Source) -> None:
    roles = ("districtAdministrator", "ext:Librarian", "siteAdministrator")
    source.users = [*map(pupil, range(4)), *(teacher(place, role=role) for place, role in enumerate(roles))]
    school = School(database, source)
    school.choose(role_map={"ext:librarian": "staff"})
    school.sync()
    stored = school.rows("select source_role from membership where role <> 'student' order by source_role")
    assert [row["source_role"] for row in stored] == list(roles)


@pytest.mark.parametrize(
    "names",
    [
        {"orgSourcedIds": "orgs", "agentSourcedIds": "agents"},
        {"orgSourcedIds": "schoolSourcedId", "agentSourcedIds": "agentSourcedId"},
        {"orgSourcedIds": "OrgSourceIds", "agentSourcedIds": "Agent Source Ids"},
        {"orgSourcedIds": "school", "agentSourcedIds": "AGENT", "grades": "grade", "userIds": "userId"},
    ],
)
def test_columns_may_be_called_as_in_the_api(database: Database, bundle: Source, names: dict[str, str]) -> None:
    people = [*(pupil(n, agentSourcedIds="te7") for n in range(4)), teacher(7, "s1", role="parent")]
    renamed = [{names.get(name, name): value for name, value in one.items()} for one in people]
    bundle.files["users.csv"] = table([names.get(column, column) for column in USERS], renamed)
    school = School.begun(database, bundle)
    assert school.present == {"st0", "st1", "st2", "st3"}
    assert len(school.rows("select 1 from contact")) == 4
    assert len(school.rows("select 1 from membership where grade = '09'")) == 4


def test_people_of_a_campus_stay_when_no_org_has_a_parent_any_more(database: Database, source: Source) -> None:
    campus = {"sourcedId": "c1", "name": "Campus", "type": "school", "parentSourcedId": "s1"}
    source.orgs = [DISTRICT, ALDER, BIRCH, campus]
    source.users = [*map(pupil, range(30)), *(pupil(place, "c1") for place in (30, 31)), teacher(1)]
    school = School(database, source)
    school.choose(include_orgs_below=True)
    school.sync()
    source.orgs = [one | {"parentSourcedId": ""} for one in source.orgs]
    for _ in range(2):
        assert set(school.sync().values()) == {"equal"}
    assert "orgs came without parent" in str(school.rows("select report from sync order by id desc limit 1"))
    source.orgs = [DISTRICT, ALDER, BIRCH, campus | {"parentSourcedId": "s2"}]
    assert sorted(school.sync().values())[-2:] == ["moved_school", "moved_school"]


def test_a_school_that_got_another_id_is_named(database: Database, source: Source) -> None:
    school = School.begun(database, source, [*map(pupil, range(4))])
    source.orgs = (DISTRICT, {**ALDER, "sourcedId": "S100", "name": "Alder Campus"}, BIRCH)
    source.users = [pupil(place, "S100") for place in range(4)]
    with pytest.raises(SchoolNotFound, match=r"no school s1 any more.*S100 \(Alder Campus\)"):
        school.sync()
    school.choose(school_id="S100")
    assert set(school.sync().values()) == {"equal"}
