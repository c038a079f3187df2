"""Records or rows of one sourcedId that differ in school or role are one person with all of them."""

from typing import Any

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline.sync import SyncError, one_person
from roster_pipeline_tests.sources.conftest import School, Source, person, pupil, teacher

EARLY, LATE = "2026-01-02T00:00:00Z", "2026-03-04T00:00:00Z"
PUPILS = [*map(pupil, range(30)), *map(teacher, range(2, 6))]


def test_one_record_per_school_is_one_person_in_both(database: Database, source: Source) -> None:
    """The records of one stand together in the list, those of the other apart."""
    together, apart = ([teacher(number), teacher(number, "s2")] for number in (1, 9))
    school = School.begun(database, source, [apart[1], *together, *PUPILS[:9], apart[0], *PUPILS[9:]])
    assert {"te1", "te9"} <= school.present
    assert (school.proof["complete"], school.proof["problems"]) == (True, [])
    source.users = [one for one in source.users if one["sourcedId"] != "st29"]
    assert school.sync()["st29"] == "left"
    assert len(school.present) == 35
    source.users = [one for one in source.users if one is not together[0] and one is not apart[0]]
    reasons = school.sync()
    assert (reasons["te1"], reasons["te9"]) == ("moved_school", "moved_school")
    assert not {"te1", "te9"} & school.present


def test_one_record_per_role_is_one_person_with_the_strongest_role(database: Database, source: Source) -> None:
    school = School.begun(database, source, [*PUPILS, teacher(1), teacher(1, role="administrator")])
    assert school.rows("select role from membership where role not in ('student', 'teacher')") == [{"role": "admin"}]
    assert len(school.rows("select 1 from person")) == 35


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_primary_record_that_is_only_a_parents_now_is_left_unless_another_school_has_it(
    database: Database, bundle: Source, elsewhere: bool
) -> None:
    birch = [*(pupil(place, "s2") for place in range(50, 60)), *([teacher(1, "s2")] if elsewhere else [])]
    second = teacher(1, sourcedId="zz1", email="second@wexbury.example")
    school = School.begun(database, bundle, [*PUPILS, *birch, teacher(1), teacher(1) | {"sourcedId": "zz1"}])
    school.add_school("birch", "s2")
    bundle.users = [*PUPILS, *birch, teacher(1, role="parent"), second]
    for _ in range(2):
        school.sync_school("birch")
        school.sync()
    query = "select p.email, l.sourced_id from person p join link l on l.person_id = p.id and l.is_primary"
    (kept,) = school.rows(f"{query} where p.family_name = '{second['familyName']}'")
    assert kept["sourced_id"] == ("te1" if elsewhere else "zz1")
    assert kept["email"] == ("te1@wexbury.example" if elsewhere else "second@wexbury.example")


def test_a_whole_page_of_second_records_does_not_end_the_list(database: Database, rest: Source) -> None:
    here, there = [pupil(n, "s2") for n in range(60)], [pupil(n) for n in range(60)]
    rest.users = [*here, *there]
    school = School(database, rest)
    for _ in range(2):
        school.sync()
        assert len(school.present) == 60
        assert school.proof["complete"]


def test_a_person_of_several_records_is_not_synced_alone(database: Database, rest: Source) -> None:
    school = School.begun(database, rest, [*PUPILS, teacher(1, "s2"), teacher(1)])
    people = {row["sourced_id"]: row["person_id"] for row in school.rows("select sourced_id, person_id from link")}
    one_person.make_plan(database, school.school, people["te2"])
    with pytest.raises(SyncError, match="several records") as refused:
        one_person.make_plan(database, school.school, people["te1"])
    assert "te1" not in str(refused.value), "the answer for te1 alone is the record of the other school"
    assert refused.value.remedy == "Sync the whole school."


def test_a_person_alone_is_in_the_school_that_a_whole_sync_reads(database: Database, rest: Source) -> None:
    named = {"te11": "s2", "te12": "S2", "te13": "Birch School", "te14": "s1", "te15": "Alder School"}
    school = School.begun(database, rest, [*PUPILS, *map(teacher, range(11, 16))])
    people = {row["sourced_id"]: row["person_id"] for row in school.rows("select sourced_id, person_id from link")}
    rest.users[-5:] = [teacher(int(one[2:]), org, familyName=f"New{one}") for one, org in named.items()]
    alone = {}
    for one in named:
        made = one_person.make_plan(database, school.school, people[one])
        rows = school.rows("select reason from plan_row where plan_id = :plan", plan=made.plan_id)
        alone[one] = [row["reason"] for row in rows]
    reasons = school.sync()
    assert [reasons[one] for one in named] == ["moved_school"] * 3 + ["changed"] * 2
    assert alone == {one: [reasons[one]] for one in named}


def test_the_last_modified_decides_the_fields_and_only_them(database: Database, source: Source) -> None:
    newer = teacher(1, "s2", dateLastModified=LATE, email="new@wexbury.example")
    school = School.begun(database, source, [*PUPILS, newer, teacher(1, dateLastModified=EARLY)])
    school.sync()
    assert "te1" in school.present
    assert school.rows("select 1 from person where email = 'new@wexbury.example'")


GONE = {"s2": True, "s1": False, "": False}
"""The school that a deleted record names, and whether the person stays."""


def test_a_deleted_record_ends_the_school_it_names_and_one_that_names_none_ends_all(
    database: Database, source: Source
) -> None:
    rows = {
        org: [teacher(11 + place, school, dateLastModified=EARLY) for school in ("s1", "s2")]
        for place, org in enumerate(GONE)
    }
    source.users = [*PUPILS, *(row for both in rows.values() for row in both)]
    source.single = PUPILS
    school = School.begun(database, source)
    source.users = list(PUPILS)
    for org, both in rows.items():
        source.users += [one for one in both if one["orgSourcedIds"] != org]
        source.users.append(both[0] | {"orgSourcedIds": org, "dateLastModified": LATE, "status": "tobedeleted"})
    school.sync()
    assert {org: both[0]["sourcedId"] in school.present for org, both in rows.items()} == GONE


def test_a_record_that_comes_twice_unchanged_counts_once(database: Database, bundle: Source) -> None:
    school = School.begun(database, bundle, [*PUPILS, teacher(1), teacher(1)])
    assert school.proof["problems"] == ["duplicates"]


OTHER = {"givenName": "Zoe", "familyName": "Zed"}
ELSE = {"givenName": "Zoe{1}", "familyName": "Zed{1}"}
TWO_OF_ONE_ID: list[tuple[dict[str, Any], bool]] = [
    (ELSE, True),
    ({**ELSE, "username": "zzed{0}", "identifier": "1{0}", "email": "z{0}@x.example"}, True),
    ({"givenName": "Zoe{1}"}, False),
    ({"familyName": "Zed{1}"}, False),
    ({"givenName": "Zoe{1}", "familyName": ""}, False),
    ({"givenName": "MIN{1}", "familyName": "Járl{1}"}, False),
    ({**ELSE, "status": "tobedeleted"}, False),
    ({"givenName": "Zoe{1}", "grades": "05"}, True),
    ({"familyName": "Zed{1}", "grades": "12"}, True),
    ({"familyName": "Zed{1}", "role": "teacher", "grades": ""}, True),
    ({"grades": "05"}, False),
    ({"familyName": "Zed{1}", "grades": "10"}, False),
    ({"givenName": "Zoe{1}", "familyName": "", "grades": "05"}, False),
    ({"givenName": "Jarl{1}", "familyName": "Min{1}"}, False),
    ({"givenName": "Zoe{1}", "grades": "05", "status": "tobedeleted"}, False),
]
"""Cases: another record of the same sourcedId, and whether it is somebody else's. {0}: the place, {1}: the end of both
names."""
CASES = [
    *((*case, org, True) for case in TWO_OF_ONE_ID for org in ("s1", "s2")),
    *((*case, "s2", False) for case in (TWO_OF_ONE_ID[0], TWO_OF_ONE_ID[6], TWO_OF_ONE_ID[7])),
]
"""The same with the school of the other record, and whether that is the newer one."""


def test_two_pupils_with_one_id_are_not_one_person(database: Database, source: Source) -> None:
    """One pupil for each case, so few that the list does not look spoiled."""
    bare = {"identifier": "", "email": ""}
    mine, others = [], []
    for place, (other, _, org, newer) in enumerate(CASES, 200):
        own = pupil(place, dateLastModified=EARLY if newer else LATE, **bare)
        own["givenName"], own["familyName"] = (f"{name}{own['givenName'][-2:]}" for name in ("Min", "Jarl"))
        said = {name: value.format(place, own["givenName"][-2:]) for name, value in other.items()}
        said = {name: value.upper() if value.startswith("MIN") else value for name, value in said.items()}
        names = {name: own[name] for name in ("givenName", "familyName")}
        mine.append(own)
        others.append(pupil(place, org, dateLastModified=LATE if newer else EARLY, **(names | bare | said)))
    school = School.begun(database, source, [*map(pupil, range(160)), *mine])
    query = "select username, given_name, family_name from person where username is not null"
    before = {row["username"]: row for row in school.rows(query)}
    source.users += others
    reasons = school.sync()
    query_of_two = "select sourced_id from rejected_record where rule = 'sourced_id_of_two'"
    of_two = {row["sourced_id"] for row in school.rows(query_of_two)}
    after = {row["username"]: row for row in school.rows(query)}
    for own, case in zip(mine, CASES, strict=True):
        one, two = own["sourcedId"], case[1]
        assert one in school.present, case
        assert (reasons[one] == "rejected_record") == two, case
        assert (one in of_two) == two, case
        if two:
            assert after[one] == before[one], case
    source.users = [user for user in source.users if user not in mine]
    reasons = school.sync()
    for own, case in zip(mine, CASES, strict=True):
        reason = reasons[own["sourcedId"]]
        assert case[2] == "s1" or reason in ("moved_school", "tobedeleted", "id_reassigned"), case


def test_a_pupil_stays_whose_record_comes_only_under_the_new_id_of_somebody_else(
    database: Database, source: Source
) -> None:
    """The record is newer than that of the somebody else, or older."""
    newer, older = pupil(40), pupil(42)
    school = School.begun(database, source, [newer, older, *PUPILS])
    new = [pupil(41, sourcedId="s-new", dateLastModified=EARLY, **OTHER)]
    new += [pupil(43, sourcedId="s-other", dateLastModified=LATE, givenName="Yul", familyName="Yew")]
    again = [newer | {"sourcedId": "s-new", "dateLastModified": LATE}]
    again += [older | {"sourcedId": "s-other", "dateLastModified": EARLY}]
    source.users = [*PUPILS, *new, *again]
    for _ in range(3):
        reasons = school.sync()
        assert (reasons["s-new"], reasons["st42"]) == ("rejected_record", "in_conflict")
    assert {"st40", "st42"} <= school.present
    source.users = [*PUPILS, *new]
    for _ in range(2):
        school.sync()
    assert not {"st40", "st42"} & school.present


def test_a_pupil_stays_whose_record_comes_only_under_the_id_of_a_brother(database: Database, source: Source) -> None:
    """One name differs and nothing else can be compared, so these may be versions of one record."""
    school = School.begun(database, source, [pupil(40), *PUPILS])
    family = pupil(40)["familyName"]
    brother = pupil(41, sourcedId="s-new", familyName=family, identifier="", dateLastModified=LATE)
    source.users = [*PUPILS, brother, pupil(40, sourcedId="s-new", dateLastModified=EARLY)]
    assert [school.sync()["st40"] for _ in range(3)] == ["in_conflict"] * 3
    assert {"rule": "duplicate_sourced_id"} in school.rows("select rule from rejected_record")


@pytest.mark.parametrize("known", [True, False])
def test_two_pupils_with_one_id_are_two_people_for_the_school_of_each(
    database: Database, bundle: Source, known: bool
) -> None:
    bare = {"identifier": "", "email": ""}
    mine, theirs = pupil(40, **bare), pupil(40, "s2", **bare | OTHER)
    bundle.users = [*PUPILS, *(pupil(n, "s2") for n in range(50, 80)), mine, *([] if known else [theirs])]
    school = School(database, bundle)
    school.add_school("birch", "s2")
    school.sync()
    bundle.users = [*bundle.users, *([theirs] if known else [])]
    bundle.write()
    for key in ("birch", school.school, "birch"):
        school.sync_school(key)
    names = school.rows("select given_name from person where username = 'st40'")
    assert names == ([{"given_name": mine["givenName"]}] if known else [])
    assert school.rows("select 1 from rejected_record where rule = 'sourced_id_of_two' and sourced_id = 'st40'")


def test_a_contact_whose_id_two_people_have_is_nobodys_contact(database: Database, source: Source) -> None:
    guardian = person("g1", "s1", 60, role="guardian", identifier="")
    stranger = person("g1", "s2", 61, role="guardian", identifier="", dateLastModified=LATE)
    school = School.begun(database, source, [*PUPILS, pupil(40, agentSourcedIds="g1"), guardian, stranger])
    assert "st40" in school.present
    assert school.rows("select 1 from contact") == []
    assert {"rule": "sourced_id_of_two"} in school.rows("select rule from rejected_record")
    source.users.remove(stranger)
    school.sync()
    assert school.rows("select given_name from contact") == [{"given_name": guardian["givenName"]}]


def test_who_was_archived_and_comes_under_other_keys_some_days_later_waits_for_two_weeks(
    database: Database, rest: Source
) -> None:
    school = School.begun(database, rest, [pupil(place) for place in range(1, 9)])
    names = {name: rest.users[0][name] for name in ("givenName", "familyName")}
    rest.users = rest.users[1:]
    assert school.sync()["st1"] == "left"
    rest.users = [*rest.users, pupil(20, **names)]
    for days in (0, 13, 14):
        school.execute("update membership set archived_at = now() - make_interval(days => :days) "
                       "where status = 'archived'", days=days)  # fmt: skip
        assert school.sync()["st20"] == ("match_contradicted" if days < 14 else "joined"), days
