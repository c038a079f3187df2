"""Quirks 24 to 28, 41 to 46, 88: the people of a school with every kind of server; filters are checked."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.responses import Response

from roster_pipeline.oneroster import Refused, Wanted
from roster_pipeline_tests.oneroster.client_helpers import Pulled, Served, Start, pulled_by
from roster_pipeline_tests.oneroster.odd_server import SCHOOL, odd, page, person

ONE_SCHOOL = Wanted(("sch-1",), contacts=True)
PUPILS = Wanted(("sch-1",), roles=frozenset({"student", "teacher"}))
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


def in_school(served: Served) -> set[str]:
    """The people of school 1 by a whole pull."""
    pulled = served.pull(Wanted())
    return {user["sourcedId"] for user in pulled.users if any(entry["org"] == "sch-1" for entry in user["roles"])}


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_per_school_lists_say_the_same_as_the_whole(sis: Start, version: str) -> None:
    served = sis(versions=(version,))
    pulled = served.pull(Wanted(("sch-1",)))
    assert pulled.complete
    assert pulled.proof.mode == "school"
    assert pulled.ids == in_school(served)


@pytest.mark.parametrize(("fault", "mode"), [((), "school"), (("nested=off",), "full")])
def test_a_school_that_is_known_by_its_identifier_has_the_same_people(
    sis: Start, fault: tuple[str, ...], mode: str
) -> None:
    served = sis(*fault)
    pulled = served.pull(Wanted((served.sis.district.schools[0].identifier,)))
    assert (pulled.complete, pulled.proof.mode, pulled.ids) == (True, mode, in_school(served))


def test_guardians_of_one_school_are_fetched_through_its_students(sis: Start) -> None:
    pulled = sis().pull(ONE_SCHOOL)
    assert pulled.complete
    named = {agent for user in pulled.of("student") for agent in user["agents"]}
    assert named == {user["sourcedId"] for user in pulled.of("guardian", "parent", "relative")} & named
    assert named


@pytest.mark.parametrize(
    "fault", ["nested=off", "not_found=/schools/{id}/students", "forbidden=/schools/{id}/teachers"]
)
def test_q24_without_per_school_lists_the_whole_is_read_and_split(sis: Start, fault: str) -> None:
    served = sis(fault)
    pulled = served.pull(PUPILS)
    assert pulled.complete
    assert pulled.proof.mode == "full"
    assert pulled.proof.notes == ("per-school-lists-not-offered",)
    assert pulled.ids == in_school(served)


def test_q25_a_single_org_under_the_key_school(sis: Start) -> None:
    with sis("envelope=school").client() as client:
        found = client.find_org("sch-1")
    assert found is not None
    assert found["foundBy"] == "sourcedId"


def test_q26_collections_under_their_own_name(sis: Start) -> None:
    served = sis("envelope=own_name", "forbidden=/users")
    pulled = served.pull(Wanted(roles=frozenset({"student", "teacher"})))
    assert pulled.complete
    assert pulled.proof.strategy == "students+teachers"


@pytest.mark.parametrize("broken", ["/orgs", "/users"])
def test_a_collection_whose_very_code_breaks_is_replaced_by_others(sis: Start, broken: str) -> None:
    served = sis("server_error=500", f"fault_paths={broken}")
    pulled = served.pull(Wanted(roles=PUPILS_AND_TEACHERS))
    assert pulled.complete
    assert pulled.of("student", org="sch-1")
    assert pulled.of("teacher", org="sch-2")


PUPILS_AND_TEACHERS = frozenset({"student", "teacher"})


@pytest.mark.parametrize("refused", ["/users,/students,/teachers", "/users,/teachers"])
def test_q27_where_only_the_schools_have_lists_those_of_the_rostered_schools_are_read(sis: Start, refused: str) -> None:
    served = sis()
    everybody = served.pull()
    served.sis.faults.set(f"forbidden={refused}")
    pulled = served.pull(Wanted(roles=PUPILS_AND_TEACHERS, of_schools=("sch-1",)))
    assert pulled.complete
    for role in PUPILS_AND_TEACHERS:
        assert {u["sourcedId"] for u in pulled.of(role, org="sch-1")} == {
            u["sourcedId"] for u in everybody.of(role, org="sch-1")
        }
    assert "sch-2" not in str([entry.path for entry in served.requests_for("/schools/{id}/teachers")])


def test_q70_members_in_another_case_are_no_users_without_orgs(sis: Start) -> None:
    served = sis("member_case")
    pulled = served.pull()
    assert pulled.complete
    assert pulled.proof.strategy == "users"


@pytest.mark.parametrize("roles", [("aide", "principal"), ("principal",), ()])
@pytest.mark.parametrize("none", [404, 200])
@pytest.mark.parametrize("works", [True, False])
def test_q88_nobody_of_a_role_counts_if_the_filter_is_proved(roles: tuple[str, ...], none: int, *, works: bool) -> None:
    """A filter that finds no teacher, whom every school has, finds nobody at all."""
    people = [person(f"p-{role}", role) for role in ("teacher", *roles)] if works else []

    def answers(path: str, query: Mapping[str, str]) -> Any:
        if path in ("/students", "/teachers"):
            return page([person(path[1:], path[1:-1])], query)
        if path != "/users" or "filter" not in query:
            return Response(status_code=403) if path == "/users" else None
        found = [one for one in people if f"'{one['roles'][0]['role']}'" in query["filter"]]
        return page(found, query) if found or none == 200 else Response(status_code=404)

    with odd(answers) as client:
        pulled = pulled_by(client, Wanted())
    assert {"unread:staff", "unread:admin"}.isdisjoint(pulled.problems) is works
    assert all(pulled.of(role, org="sch-1") for role in roles) is (works or not roles)


def test_q27_an_identifier_names_the_school_whose_lists_are_read(sis: Start) -> None:
    served = sis()
    identifier = next(org["identifier"] for org in served.pull().orgs if org["sourcedId"] == "sch-1")
    served.sis.faults.set("forbidden=/users,/students,/teachers")
    pulled = served.pull(Wanted(roles=PUPILS_AND_TEACHERS, of_schools=(identifier,)))
    assert pulled.complete
    assert pulled.of("student", org="sch-1")
    assert "sch-2" not in str([entry.path for entry in served.requests_for("/schools/{id}/students")])


def in_two_schools(path: str, query: Mapping[str, str]) -> Any:
    """People without orgs, one of them in the lists of two schools; the SIS lists people only by school."""
    orgs = [SCHOOL, SCHOOL | {"sourcedId": "sch-2", "identifier": "0301"}]
    teachers = {"sch-1": ["t-1", "t-both"], "sch-2": ["t-2", "t-both"]}
    if path == "/orgs":
        return page(orgs, query, "orgs")
    for school, people in teachers.items():
        if path == f"/schools/{school}/teachers":
            return page([person(one, roles=[{"role": "teacher"}]) for one in people], query)
    return None


def test_somebody_in_the_lists_of_two_schools_belongs_to_both() -> None:
    with odd(in_two_schools) as client:
        pulled = pulled_by(client, Wanted(roles=frozenset({"teacher"})))
    assert pulled.complete
    assert {user["sourcedId"]: [entry["org"] for entry in user["roles"]] for user in pulled.users} == {
        "t-1": ["sch-1"],
        "t-2": ["sch-2"],
        "t-both": ["sch-1", "sch-2"],
    }


def test_users_without_orgs_belong_where_a_school_lists_them() -> None:
    everybody = [person(one, roles=[{"role": "teacher"}]) for one in ("t-1", "t-2", "t-both")]

    def answers(path: str, query: Mapping[str, str]) -> Any:
        return page(everybody, query) if path == "/users" else in_two_schools(path, query)

    with odd(answers) as client:
        pulled = pulled_by(client, Wanted(roles=frozenset({"teacher"}), of_schools=("sch-1",)))
    assert pulled.proof.strategy == "users+school-lists"
    assert {user["sourcedId"] for user in pulled.of("teacher", org="sch-1")} == {"t-1", "t-both"}


@pytest.mark.parametrize("single", [True, False])
def test_a_school_that_the_orgs_lack_is_looked_for_where_the_test_of_the_connection_finds_it(single: bool) -> None:
    def answers(path: str, query: Mapping[str, str]) -> Any:
        if path == "/orgs":
            return page([{"sourcedId": "dis-1", "name": "District", "type": "district"}], query, "orgs")
        if path == "/schools" and not single:
            return page([SCHOOL], query, "orgs")
        if path == "/schools/sch-1" and single:
            return {"org": SCHOOL}
        return page([person("p-1")], query) if path == "/users" else None

    with odd(answers) as client:
        pulled = pulled_by(client, Wanted(of_schools=("sch-1",)))
        assert client.find_org("sch-1") is not None
    assert pulled.complete
    assert [org["sourcedId"] for org in pulled.orgs] == ["dis-1", "sch-1"]


def test_q27_a_refused_collection_is_an_unread_role_and_never_an_empty_one(sis: Start) -> None:
    served = sis("forbidden=/users,/teachers,/schools/{id}/teachers")
    pulled = served.pull(Wanted(roles=frozenset({"student", "teacher"})))
    assert pulled.of("student")
    assert not pulled.complete
    assert pulled.proof.unread_roles == ("teacher",)
    assert pulled.problems == ("unread:teacher",)


def test_q27_nobody_readable_at_all_is_an_error(sis: Start) -> None:
    with sis("forbidden=/users,/students,/teachers", "nested=off").client() as client, pytest.raises(Refused):
        pulled_by(client)


def test_q27_staff_that_only_users_would_tell_are_unread_where_it_is_refused(sis: Start) -> None:
    pulled = sis("not_found=/users").pull(Wanted())
    assert set(pulled.problems) == {"unread:admin", "unread:staff"}


def test_q28_nothing_shared_is_never_complete(sis: Start) -> None:
    pulled = sis("no_share").pull()
    assert not pulled.users
    assert set(pulled.problems) == {"no-orgs", "no-people"}


def test_users_that_leave_out_the_students_are_completed_from_their_own_list() -> None:
    students, staff = [person("s-1"), person("s-2")], [person("t-1", "teacher"), person("a-1", "principal")]
    lists = {"/users": staff, "/students": students, "/teachers": staff[:1]}

    def answers(path: str, query: Mapping[str, str]) -> Any:
        return page(lists[path], query) if path in lists else None

    with odd(answers) as client:
        pulled = pulled_by(client, Wanted())
    assert pulled.complete
    assert pulled.ids == {"s-1", "s-2", "t-1", "a-1"}
    assert pulled.proof.strategy == "users+students"


def test_a_person_in_two_lists_comes_once(sis: Start) -> None:
    pulled = sis("forbidden=/users").pull(Wanted(roles=frozenset({"student", "teacher"})))
    assert len(pulled.ids) == len(pulled.users)


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_enrollments_give_the_school_if_users_name_none(sis: Start, version: str) -> None:
    served = sis(versions=(version,))
    truth = {(user["sourcedId"], "sch-1") for user in served.pull().of("student", org="sch-1")}
    served.sis.faults.set("orgs_empty=all")
    pulled = served.pull()
    assert pulled.proof.strategy == "users+enrollments"
    found = {(user["sourcedId"], "sch-1") for user in pulled.of("student", org="sch-1")}
    assert len(found & truth) >= 0.95 * len(truth)
    assert all(entry["role"] == "student" for one, _ in found for entry in pulled.user(one)["roles"] if entry["org"])


def test_the_only_school_is_the_school_of_users_that_name_none() -> None:
    people = [person(f"s-{n}", roles=[{"role": "student", "roleType": "primary"}]) for n in range(5)]
    with odd(lambda path, query: page(people, query) if path == "/users" else None) as client:
        pulled = pulled_by(client, Wanted())
    assert pulled.complete
    assert len(pulled.of("student", org="sch-1")) == 5


def test_users_without_any_school_prove_nothing() -> None:
    people = [person(f"s-{n}", roles=[{"role": "student", "roleType": "primary"}]) for n in range(5)]
    schools = [{"sourcedId": f"sch-{n}", "type": "school", "name": "x"} for n in range(2)]
    lists = {"/users": (people, "users"), "/orgs": (schools, "orgs")}

    def answers(path: str, query: Mapping[str, str]) -> Any:
        return page(lists[path][0], query, lists[path][1]) if path in lists else None

    with odd(answers) as client:
        assert pulled_by(client, Wanted()).problems == ("no-orgs:student",)


@pytest.mark.parametrize("fault", ["filter_ignored=all", "filter_ignored=nested", "filter_empty", "filter_refused=500"])
def test_q41_a_filter_that_does_not_work_loses_nobody(sis: Start, fault: str) -> None:
    served = sis(fault)
    pulled = served.pull(Wanted(("sch-1",)))
    assert pulled.complete
    assert pulled.ids == in_school(served)


def test_q42_only_parameters_of_the_standard_are_sent(sis: Start) -> None:
    served = sis("strict_query")
    assert served.pull().complete
    known = {"limit", "offset", "sort", "orderBy", "filter", "fields"}
    for entry in served.requests:
        if entry.method == "GET" and entry.query:
            assert {part.split("=")[0] for part in entry.query.split("&")} <= known


def test_q43_never_more_than_one_clause(sis: Start) -> None:
    served = sis()
    served.pull(Wanted(("sch-1",), since=YESTERDAY))
    assert not [entry for entry in served.requests if "%20AND%20" in entry.query or "%20OR%20" in entry.query]


def test_q44_a_delta_says_so_and_holds_only_what_changed(sis: Start) -> None:
    served = sis()
    everybody = len(served.sis.district)
    served.sis.district.rename("u-1050")
    pulled = served.pull(Wanted(since=datetime.now(UTC) - timedelta(minutes=5)))
    assert pulled.proof.mode == "delta"
    assert "u-1050" in pulled.ids
    assert len(pulled.ids) < everybody / 10


@pytest.mark.parametrize(
    "fault",
    ["filter_empty", "filter_unknown=empty", "filter_ignored=all", "filter_broken=everything", "filter_refused=400"],
)
def test_q45_q46_a_delta_is_only_used_where_its_filter_is_proved(sis: Start, fault: str) -> None:
    served = sis(fault)
    pulled = served.pull(Wanted(since=YESTERDAY, contacts=True))
    if fault in ("filter_unknown=empty", "filter_broken=everything"):
        assert pulled.proof.mode == "delta"
    else:
        assert pulled.proof.mode == "full"
        assert "delta-not-honoured" in pulled.proof.notes
        assert len(pulled.ids) == len(served.sis.district)


def test_q46_a_first_page_older_than_asked_for_gives_the_delta_away() -> None:
    people = [person(f"s-{n}", dateLastModified="2020-01-01T00:00:00.000Z") for n in range(5)]

    def answers(path: str, query: Mapping[str, str]) -> Any:
        if path != "/users":
            return None
        far = "203" in query.get("filter", "") and ">'203" in query["filter"]
        return page([] if far else people, query)

    with odd(answers) as client:
        pulled = pulled_by(client, Wanted(since=YESTERDAY))
    assert pulled.proof.mode == "full"


def test_q88_an_unknown_school_is_looked_for_in_the_orgs(sis: Start) -> None:
    for fault in ("unknown_school=empty", "unknown_school=403"):
        with sis(fault).client() as client:
            assert client.find_org("no-such-school") is None


def test_q88_an_empty_per_school_list_proves_nothing(sis: Start) -> None:
    served = sis("unknown_school=empty")
    pulled = served.pull(Wanted(("no-such-school",)))
    assert pulled.proof.mode == "full"
    assert "per-school-list-empty" in pulled.proof.notes


def test_q88_a_delta_works_where_no_match_is_404(sis: Start) -> None:
    pulled = sis("no_match=404").pull(Wanted(since=YESTERDAY))
    assert pulled.proof.mode == "delta"


def test_a_per_school_list_that_ignores_the_school_is_not_believed() -> None:
    people = [person(f"s-{n}") for n in range(3)] + [person("t-1", "teacher")]
    lists = {"/users": people, "/schools/sch-9/students": people[:3], "/schools/sch-9/teachers": people[3:]}

    def answers(path: str, query: Mapping[str, str]) -> Any:
        return page(lists[path], query) if path in lists else None

    with odd(answers) as client:
        pulled = pulled_by(client, Wanted(("sch-9",), roles=frozenset({"student", "teacher"})))
    assert not pulled.users
    assert "per-school-list-not-of-this-school" in pulled.proof.notes


def test_a_school_is_found_by_an_identifier_that_only_one_has(sis: Start) -> None:
    served = sis()
    identifier = served.sis.district.schools[0].identifier
    with served.client() as client:
        found = client.find_org(identifier)
    assert found is not None
    assert (found["sourcedId"], found["foundBy"]) == (served.sis.district.schools[0].sourced_id, "identifier")


def test_fifty_schools_of_a_connection_cost_one_pull(sis: Start) -> None:
    served = sis()
    with served.client() as client:
        pulled_by(client)
        learned = client.learned
    served.sis.log.clear()
    pulled = served.pull(learned=learned)
    pages = -(-len(pulled.users) // 50) + 1
    assert len(served.requests) <= 1.1 * pages + 1


def per_school(answers: Any, school: str = "sch-1") -> tuple[Pulled, int]:
    asked: list[str] = []

    def counted(path: str, query: Mapping[str, str]) -> Any:
        asked.append(path)
        return answers(path, query)

    with odd(counted, page_size=100) as client:
        client.connect()
        asked.clear()
        return pulled_by(client, Wanted((school,), contacts=True, roles=frozenset({"student"}))), len(asked)


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("others", [0, 300, 900])
def test_a_schools_lists_with_contacts_cost_no_more_than_the_whole_collection(others: int, single: bool) -> None:
    pupils = [person(f"s-{number}", agents=[{"sourcedId": f"g-{number}"}]) for number in range(200)]
    family = [person(f"g-{number}", "guardian") for number in range(200)]
    elsewhere = [{"role": "student", "roleType": "primary", "org": {"sourcedId": "sch-2"}}]
    strangers = [person(f"x-{number}", roles=elsewhere) for number in range(others)]
    everybody = [*pupils, *family, *strangers]

    def answers(path: str, query: Mapping[str, str]) -> Any:
        if path == "/schools/sch-1/students":
            return page(pupils, query)
        if path == "/users":
            return page(everybody, query)
        known = {one["sourcedId"]: one for one in everybody}
        return {"user": known[path.rpartition("/")[2]]} if single and path.rpartition("/")[2] in known else None

    pulled, requests = per_school(answers)
    assert {f"g-{number}" for number in range(200)} <= pulled.ids
    assert not {one["sourcedId"] for one in strangers} & pulled.ids
    assert requests <= len(everybody) // 100 + 12


def test_a_school_that_does_not_exist_costs_no_more_than_the_whole_collection() -> None:
    people = [person(f"s-{number}", agents=[{"sourcedId": f"g-{number}"}]) for number in range(900)]
    pulled, requests = per_school(lambda path, query: page(people, query) if path == "/users" else None, "sch-9")
    assert pulled.users == []
    assert requests <= 9 + 12


def test_a_list_that_is_redirected_to_a_web_page_is_not_offered() -> None:
    """This school has no teachers, and unknown paths lead to the start page of the portal."""
    students = [person(f"p-{number}") for number in range(3)]
    away = Response(status_code=302, headers={"Location": "https://portal.example.org/"})
    with odd(lambda path, query: {"/users": page(students, query), "/orgs": None}.get(path, away)) as client:
        assert pulled_by(client).complete
