"""Nights on which a SIS mixes people up, is another SIS, or sends less than before: over REST and as CSV."""

from typing import Any

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline.services import decisions
from roster_pipeline_tests.sources.conftest import Record, School, Source, person, pupil, teacher

PUPILS, TEACHERS = 60, 12
POISON = ("wexbury.example", "Ada", "Arden", "st3")


@pytest.fixture
def school(database: Database, bundle: Source) -> School:
    """Guards see records of one shape, so most tests use either CSV or REST."""
    return School(database, bundle)


@pytest.fixture
def api(database: Database, rest: Source) -> School:
    """The same over REST, where the SIS is asked for single users."""
    return School(database, rest)


def admin(place: int, **members: Any) -> Record:
    """The n-th administrator."""
    return person(f"ad{place}", "s1", 200 + place, **{"role": "administrator"} | members)


def aide(place: int, **members: Any) -> Record:
    """The n-th aide."""
    return person(f"ai{place}", "s1", 300 + place, **{"role": "aide"} | members)


def parent(place: int) -> Record:
    """The parent of the n-th pupil, with a family name and an e-mail of their own."""
    return person(f"pa{place}", "s1", 400 + place, role="guardian", identifier="")


def everybody(**of_pupils: Any) -> list[Record]:
    """A school of some eighty people; every pupil has a parent."""
    users = [pupil(place, agentSourcedIds=[f"pa{place}"], **of_pupils) for place in range(PUPILS)]
    users += [parent(place) for place in range(PUPILS)]
    users += [teacher(place) for place in range(TEACHERS)]
    return [*users, *(aide(place) for place in range(5)), admin(0), admin(1)]


def strangers() -> list[Record]:
    """The same number of unknown people of another district."""
    users = []
    for one in everybody():
        other = f"x{one['sourcedId']}"
        told = {"sourcedId": other, "username": other, "email": f"{other}@else.example", "identifier": f"7{other}"}
        names = {"givenName": f"Zoe{one['givenName']}", "familyName": f"Zed{one['familyName']}"}
        agents = [f"x{agent}" for agent in one.get("agentSourcedIds", [])]
        users.append(one | told | names | {"agentSourcedIds": agents})
    return users


def slip(users: list[Record], name: str, people: int) -> None:
    """A column moves by a row for the first pupils, this many."""
    values = [one[name] for one in users[:people]]
    for one, value in zip(users, values[1:] + values[:1], strict=False):
        one[name] = value


def fields(school: School, name: str) -> dict[str, Any]:
    """A field of every person, by their sourcedId."""
    query = f"select l.sourced_id, p.{name} as value from link l join person p on p.id = l.person_id"
    return {row["sourced_id"]: row["value"] for row in school.rows(query)}


def contacts(school: School) -> dict[str, str]:
    """The contact's sourcedId of every student, by theirs."""
    query = "select l.sourced_id, c.sourced_id as value from contact c join link l using (person_id)"
    return {row["sourced_id"]: row["value"] for row in school.rows(query)}


def remove(school: School, *sourced_ids: str) -> None:
    """Records vanish."""
    school.source.users = [one for one in school.source.users if one["sourcedId"] not in sourced_ids]


def approve(school: School) -> None:
    """Approve the newest plan."""
    (plan,) = school.rows("select max(id) as id from plan")
    decisions.approve(school.database, "alder", plan["id"], who="owner", reason="looked at it")


def said(school: School) -> str:
    """All texts of findings and reports."""
    return str(school.rows("select findings from verdict") + school.rows("select report from sync"))


def test_another_district_under_our_school_id_changes_nobody_not_even_in_small_roles(
    database: Database, source: Source
) -> None:
    school = School(database, source)
    school.source.users = everybody()
    school.sync()
    before, people = school.present, school.rows("select count(*) from person")
    school.source.users = strangers()
    school.sync()
    assert school.present == before
    assert school.rows("select count(*) from person") == people
    assert {"people_missing", "strangers"} <= school.guards
    assert not [word for word in POISON if word in said(school)]


def test_admins_do_not_change_in_a_sync_in_which_a_third_of_the_students_do(school: School) -> None:
    school.source.users = everybody()
    school.sync()
    before = school.present
    others = {one["sourcedId"]: one for one in strangers()}
    new = {f"st{place}" for place in range(25)} | {"ad0", "ad1", "ai0"}
    school.source.users = [
        others[f"x{one['sourcedId']}"] if one["sourcedId"] in new else one for one in school.source.users
    ]
    school.sync()
    assert school.present == before
    assert {"archivals", "creations", "small_role"} <= school.guards


def test_one_new_admin_and_one_who_left_need_nobody_while_the_school_is_calm(api: School) -> None:
    api.source.users = everybody()
    api.sync()
    api.source.users = [*api.source.users[:-1], admin(7)]
    api.sync()
    assert "ad7" in api.present
    assert "ad1" not in api.present
    assert api.guards == set()


def test_last_years_file_changes_nobody(school: School) -> None:
    school.source.users = [one | ({"grades": "10"} if one["role"] == "student" else {}) for one in everybody()]
    school.sync()
    before = school.present
    gone, back = {f"st{place}" for place in range(5)}, [pupil(place) for place in range(70, 75)]
    school.source.users = [one for one in everybody(grades="09") if one["sourcedId"] not in gone] + back
    school.sync()
    assert school.present == before
    assert "lower_grades" in school.guards


def test_columns_that_moved_by_a_row_change_nobody_until_somebody_decides(school: School) -> None:
    school.source.users = everybody()
    school.sync()
    columns = {"identifier": "number", "email": "email", "username": "username"}
    before = {name: fields(school, name) for name in columns.values()}
    for place, column in enumerate(columns):
        slip(school.source.users[12 * place :], column, 12)
    school.source.users[40]["givenName"] = "Newly"
    school.sync()
    assert {name: fields(school, name) for name in columns.values()} == before
    assert fields(school, "given_name")["st40"] == "Newly" or "key_updates" in school.guards
    assert school.rows("select max(rows) as rows from verdict where guard = 'moved_keys'") == [{"rows": 36}]
    approve(school)
    for place, name in enumerate(columns.values()):
        assert fields(school, name)[f"st{12 * place}"] == before[name][f"st{12 * place + 1}"], name


@pytest.mark.parametrize("people", [4, 40])
def test_a_join_that_was_off_by_one_gives_no_student_another_familys_contact(school: School, people: int) -> None:
    school.source.users = everybody()
    school.sync()
    before = contacts(school)
    assert before["st0"] == "pa0"
    slip(school.source.users, "agentSourcedIds", people)
    school.sync()
    assert contacts(school) == before
    assert "moved_keys" in school.guards


def test_four_held_rows_wait_and_the_rest_of_the_sync_goes_on(api: School) -> None:
    api.source.users = everybody()
    api.sync()
    numbers = fields(api, "number")
    slip(api.source.users, "identifier", 4)
    # a fifth of the 60 would be held for itself, but not one other update, one leaver and one newcomer
    api.source.users[20]["givenName"] = "Newly"
    api.choose(guards={"update_key_share": 0.5})
    remove(api, "st30")
    api.source.users.append(pupil(90))
    api.sync()
    assert fields(api, "number") == numbers | {"st90": "9090"}
    assert fields(api, "given_name")["st20"] == "Newly"
    assert "st30" not in api.present
    assert "st90" in api.present
    held = api.rows(
        "select role, action, guard, rows from verdict where verdict = 'hold' and rows > 0 order by plan_id"
    )
    assert held == [{"role": "student", "action": "update", "guard": "moved_keys", "rows": 4}]
    sync = api.rows("select counts, held from sync order by id desc limit 1")[0]
    assert sync["held"] == {"student": {"update": 4}}
    assert sync["counts"]["student"]["update"] == 1
    approve(api)
    assert fields(api, "number")["st0"] == "9001"
    assert api.sync()["st0"] == "equal"


def test_three_people_with_their_neighbours_numbers_are_applied_and_the_report_says_so(school: School) -> None:
    school.source.users = everybody()
    school.sync()
    slip(school.source.users, "identifier", 3)
    school.sync()
    assert fields(school, "number")["st0"] == "9001"
    report = school.rows("select report from sync order by id desc limit 1")[0]["report"]
    assert ["3 people would get what another known person had" in one for one in report["noted"]] == [True]
    assert not [word for word in POISON if word in said(school)]


def test_two_siblings_whose_ids_changed_places_stay_who_they_are(school: School) -> None:
    school.source.users = everybody()
    pairs = []
    for place, numbers in ((0, ("1", "2")), (2, ("", ""))):
        family = {"familyName": f"Lopez{place}", "email": f"lopez{place}@wexbury.example"}
        pairs.append([
            family | {"givenName": given, "username": f"{given}{place}", "identifier": number}
            for given, number in zip(("Ada", "Ben"), numbers, strict=True)
        ])  # fmt: skip
    for turned in (False, True):
        for place, (one, other) in zip((0, 2), pairs, strict=True):
            school.source.users[place] |= other if turned else one
            school.source.users[place + 1] |= one if turned else other
        school.sync()
    names = fields(school, "given_name")
    assert [names[f"st{place}"] for place in range(4)] == ["Ada", "Ben"] * 2


@pytest.mark.parametrize("renamed", [False, True])
def test_an_id_that_took_the_name_of_a_leaver_waits_every_night(school: School, renamed: bool) -> None:
    """Of two twins, the SIS deleted one record and gave the other one her name; or it gave both another name."""
    school.source.users = everybody()
    school.source.users[1]["familyName"] = school.source.users[0]["familyName"]
    school.sync()
    before = fields(school, "given_name")
    if renamed:
        school.source.users[1]["givenName"] = school.source.users[0]["givenName"]
        school.source.users[0]["givenName"] = "Newly"
    else:
        remove(school, "st0")
        school.source.users[0]["givenName"] = before["st0"]
    for _ in range(3):
        school.sync()
        assert fields(school, "given_name") == before
        assert {"st0", "st1"} <= school.present
    approve(school)
    assert fields(school, "given_name")["st1"] == before["st0"]
    assert ("st0" in school.present) is renamed


def test_a_sis_without_single_users_archives_one_complete_sync_later(api: School) -> None:
    api.source.users, api.source.single = everybody(), []
    api.sync()
    remove(api, "st3")
    assert api.sync()["st3"] == "grace"
    assert "st3" in api.present
    assert api.sync()["st3"] == "left"
    assert "st3" not in api.present
    assert api.guards == set()


def test_a_copy_of_the_day_before_archives_nobody_who_came_on_that_day(api: School) -> None:
    def night(users: list[Record]) -> dict[str, str]:
        api.execute("update snapshot set taken_at = taken_at - interval '1 day'")
        api.source.users = users
        return api.sync()

    yesterday = everybody()
    away = [one for one in yesterday if one["sourcedId"] not in ("st3", "st5")]
    night(yesterday)
    night(away)
    today = [one for one in yesterday if one["sourcedId"] not in ("st5", "st7")]
    today += [pupil(PUPILS), person("te99", "s1", 999, role="teacher", status="")]
    assert night(today)["st7"] == "left", "who came earlier does not wait"
    late = {"st3", f"st{PUPILS}", "te99"}
    plan = night(away)
    assert {plan[who] for who in late} == {"came_lately"}
    assert late <= api.present
    assert api.guards == set()
    assert api.sync()["st3"] == "came_lately", "on the same day"
    plan = night(away)
    assert {plan[who] for who in late} == {"left"}, "a list of another day counts, even the same one"
    assert not late & api.present
    assert night(today)["st3"] == "returned"


def test_a_school_may_do_without_that_grace(api: School) -> None:
    api.choose(guards={"grace_without_witness": 0})
    api.source.users, api.source.single = everybody(), []
    api.sync()
    remove(api, "st3")
    api.sync()
    assert "st3" not in api.present


def test_a_sis_that_stops_answering_for_single_users_archives_nobody_until_somebody_decides(api: School) -> None:
    api.choose(guards={"grace_without_witness": 0})
    api.source.users = everybody()
    api.sync()
    remove(api, "st3")
    api.sync()
    assert "st3" not in api.present
    remove(api, "st5")
    api.source.single = []
    for _ in range(2):
        api.sync()
        assert "st5" in api.present
        assert api.guards == {"unlike_before"}
    approve(api)
    assert "st5" not in api.present
    remove(api, "st7")
    api.sync()
    assert "st7" not in api.present
    assert api.guards == set()


def test_a_connection_that_sends_less_than_half_archives_nobody(api: School) -> None:
    elsewhere = [pupil(place, "s2") for place in range(500, 800)]
    api.source.users = everybody() + elsewhere
    for _ in range(2):
        api.sync()
    api.source.users = everybody()
    remove(api, "st3")
    api.sync()
    assert "st3" in api.present
    assert api.guards == {"unlike_before"}
    approve(api)
    assert "st3" not in api.present
    remove(api, "st4")
    api.sync()
    assert api.guards == set()


@pytest.mark.parametrize("left", ["moved", "removed", "deleted"])
def test_a_school_in_which_nobody_is_left_waits_for_a_person_and_not_for_ever(api: School, left: str) -> None:
    elsewhere = [pupil(place, "s2") for place in range(500, 700)]
    api.source.users = [*everybody(), *elsewhere]
    api.sync()
    remove(api, "st3")
    api.sync()
    there = api.present
    closed = {"moved": {"orgSourcedIds": "s2"}, "deleted": {"status": "tobedeleted"}}
    rest = [one | closed[left] for one in api.source.users[: -len(elsewhere)]] if left in closed else []
    api.source.users = [*rest, *elsewhere]
    for _ in range(2):
        api.sync()
        assert api.present == there
        assert "empty_role" in api.guards
        assert "unlike_before" not in api.guards, "the SIS would answer for single people as before"
    approve(api)
    assert api.present == set()


def test_a_record_without_an_id_may_be_of_anybody_if_nobody_can_be_asked_for(database: Database, rest: Source) -> None:
    """It is one of two who are missing. The second witness would know which."""
    rest.single = []
    school = School.begun(database, rest, [*map(pupil, range(20)), *map(teacher, range(3))])
    rest.users[5] = rest.users[5] | {"sourcedId": ""}
    rest.users.pop(7)
    for _ in range(3):
        assert {school.sync()[one] for one in ("st5", "st7")} == {"grace"}
        assert school.guards == {"incomplete_snapshot"}
    rest.single = [*rest.users, pupil(5)]
    plan = school.sync()
    assert (plan["st5"], plan["st7"]) == ("sis_still_answers", "left")
    assert "st5" in school.present
    assert "st7" not in school.present


def test_dates_of_change_with_the_day_first_do_not_go_back_with_a_new_month(database: Database, bundle: Source) -> None:
    people = [pupil(number, dateLastModified="31/10/2026") for number in range(20)]
    school = School.begun(database, bundle, people)
    bundle.users = [one | {"givenName": "New", "dateLastModified": "01/11/2026"} for one in people[:4]] + people[4:]
    school.sync()
    assert school.proof["problems"] == []


def test_the_size_that_somebody_approved_is_the_usual_one_from_then_on(api: School) -> None:
    api.source.users = everybody()
    for _ in range(3):
        api.sync()
    remove(api, *(f"st{place}" for place in range(15)))
    api.sync()
    assert {"shrunk_role", "archivals"} <= api.guards
    approve(api)
    for phone in ("+13125550100", "+13125550101"):
        api.source.users[0] = api.source.users[0] | {"phone": phone}
        api.sync()
        assert api.guards == set()
    remove(api, *(f"st{place}" for place in range(15, 26)))
    api.sync()
    assert "shrunk_role" in api.guards, "it is compared with the new size"


def test_a_student_who_is_suddenly_an_administrator_waits_alone(api: School) -> None:
    api.source.users = everybody()
    api.sync()
    for user in api.source.users:
        user.update({"st3": {"role": "administrator"}, "st4": {"givenName": "Newly"}}.get(user["sourcedId"], {}))
    api.sync()
    admins = "select l.sourced_id from membership m join link l using (person_id) where m.role = 'admin' order by 1"
    assert {"sourced_id": "st3"} not in api.rows(admins)
    assert fields(api, "given_name")["st4"] == "Newly"
    assert "1 student would get a role of staff. Check their roles in the SIS." in said(api)
    approve(api)
    assert {"sourced_id": "st3"} in api.rows(admins)


def test_guardians_who_come_as_students_wait_until_somebody_decides(school: School) -> None:
    parents = [pupil(place, role="guardian", grades="") for place in range(60, 66)]
    school.source.users = [*everybody(), *parents]
    school.sync()
    before = school.present
    school.source.users = [*everybody(), pupil(70), *(one | {"role": "student"} for one in parents)]
    for _night in range(2):
        school.sync()
        assert school.present == before | {"st70"}
        assert school.guards == {"student_or_staff"}
    approve(school)
    assert school.present == before | {"st70"} | {str(one["sourcedId"]) for one in parents}
    assert school.sync()


def test_a_new_school_year_waits_for_nobody(school: School) -> None:
    school.source.users = everybody(grades="03")
    school.sync()
    school.source.users = everybody(grades="04")
    reasons = school.sync()
    assert (school.guards, reasons["st0"]) == (set(), "changed")
