"""Quirks 47 to 73: records with every kind of fault."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from roster_pipeline.oneroster import Wanted
from roster_pipeline.oneroster.collections.response_body import next_in_header
from roster_pipeline.oneroster.http.response import Response
from roster_pipeline.oneroster.records.coercion import reference
from roster_pipeline_tests.oneroster import odd_server
from roster_pipeline_tests.oneroster.client_helpers import Start, pulled_by

VERSIONS = pytest.mark.parametrize("version", ["1.1", "1.2"])


SPELLINGS = [
    *("envelope=wrapped", "envelope=entries", "envelope=each"),
    *("lone_object lists=object", "envelope=entries lists=named"),
    *("href=tilde", "href=internal", "href=empty"),
    *("references=bare", "references=without_id", "references=address"),
    "nulls",
    *("booleans=rotate", "booleans=json"),
    "member_case",
    *("roles_case=upper", "roles_case=title"),
]


@VERSIONS
@pytest.mark.parametrize("faults", SPELLINGS)
def test_q26_q47_q48_q59_q65_q70_another_spelling_says_the_same(sis: Start, faults: str, version: str) -> None:
    odd_server.same_people(sis(versions=(version,)), *faults.split())


def test_q47_one_org_as_an_object() -> None:
    people = [odd_server.person("s-1")]

    def answers(path: str, query: Mapping[str, str]) -> Any:
        return {"/orgs": {"orgs": odd_server.SCHOOL}, "/users": {"users": people[0]}}.get(path)

    with odd_server.odd(answers) as client:
        pulled = pulled_by(client)
    assert [org["sourcedId"] for org in pulled.orgs] == ["sch-1"]
    assert pulled.ids == {"s-1"}


@pytest.mark.parametrize("name", ["sourceId", "source_id", "SourcedID"])
def test_q70_the_id_is_read_under_another_spelling_of_its_name(name: str) -> None:
    def named(record: Mapping[str, Any]) -> dict[str, Any]:
        return {name if member == "sourcedId" else member: value for member, value in record.items()}

    def answers(path: str, query: Mapping[str, str]) -> Any:
        people = [named(odd_server.person(one)) for one in ("s-1", "s-2")]
        return {"/orgs": {"orgs": [named(odd_server.SCHOOL)]}, "/users": {"users": people}}.get(path)

    with odd_server.odd(answers) as client:
        pulled = pulled_by(client)
    assert (pulled.complete, pulled.ids) == (True, {"s-1", "s-2"}), pulled.problems
    assert [org["sourcedId"] for org in pulled.orgs] == ["sch-1"]


@pytest.mark.parametrize("empty", ["", None, " ", "NULL", [], [" "], {}])
def test_q48_an_empty_id_beside_an_address_is_no_id(empty: Any) -> None:
    org = {"sourcedId": empty, "href": "https://sis.example.org/ims/oneroster/v1p2/orgs/sch-1", "type": "org"}
    assert reference(org) == "sch-1"
    assert reference({"sourcedId": empty, "orgSourcedId": "sch-1"}) == "sch-1"
    assert reference({"sourcedId": empty}) is None


@pytest.mark.timeout(30)
def test_an_absurdly_long_address_takes_no_longer_than_its_letters() -> None:
    for long in ("://" * 100_000, "https://h" + "/orgs/a?" * 50_000, "/orgs/a\n" * 50_000, "/" + "/orgs" * 50_000):
        assert reference({"href": f"{long}/"})
        assert reference({"href": f"{long}/orgs/sch-1"}) == "sch-1"
    links = httpx.Headers({"Link": "<https://h/?a>; rel=" + " " * 100_000 + "prev"})
    assert next_in_header(Response(200, links, b"", "https://h/")) is None


def test_q48_references_that_name_nothing_reject_the_record_instead_of_losing_its_school() -> None:
    odd_role = {"role": "student", "org": {"href": "https://sis.example.org/portal", "type": "org"}}
    pulled = odd_server.of_people(*(odd_server.person(f"p-{number}", roles=[odd_role]) for number in range(3)))
    assert "org-unreadable" in pulled.rules
    assert not pulled.of("student")


SPELLED = ({"Role": "Student", "Org": {"SourcedId": "sch-1"}}, {"ROLE": "student", "ORG_SOURCED_ID": "sch-1"})


@pytest.mark.parametrize("role", SPELLED, ids=str)
def test_q70_the_members_of_a_role_are_read_in_any_spelling(role: dict[str, Any]) -> None:
    pulled = odd_server.of_people(odd_server.person("p-1", roles=[role | {"End_Date": "2026-07-31"}]))
    (entry,) = pulled.user("p-1")["roles"]
    assert (entry["role"], entry["org"], entry["endDate"]) == ("student", "sch-1", "2026-07-31")


@pytest.mark.parametrize("other", [{"ORG": {"sourcedId": "sch-1"}}, {"school_sourced_id": "sch-1", "org": None}])
def test_q70_a_role_in_the_standards_spelling_may_have_its_org_in_another(other: dict[str, Any]) -> None:
    pulled = odd_server.of_people(
        odd_server.person("p-1", roles=[{"role": "student", "EndDate": "2026-07-31"} | other])
    )
    (entry,) = pulled.user("p-1")["roles"]
    assert (entry["role"], entry["org"], entry["endDate"]) == ("student", "sch-1", "2026-07-31")


def test_lists_and_objects_may_come_as_json_in_a_text() -> None:
    """SQL servers make JSON of a table like that."""
    usual = odd_server.person("p-1", agents=[{"sourcedId": "g-1"}], userIds=[{"type": "a", "identifier": "b"}])
    usual |= {"grades": ["09", "10"]}
    lists = {name: orjson.dumps(usual[name]).decode() for name in ("roles", "agents", "userIds", "grades")}
    older = {
        "role": "student",
        "orgs": ' [{"sourcedId":"sch-1"}]',
        "agents": '["g-1"]',
        "userIds": '{"identifier":"b"}',
    }
    plain, as_text, first = (
        odd_server.of_people(user).user("p-1") for user in (usual, usual | lists, usual | older | {"roles": None})
    )
    assert as_text == plain
    assert (first["roles"][0]["org"], first["agents"]) == ("sch-1", ["g-1"])
    assert first["userIds"] == [{"type": None, "identifier": "b"}]


@pytest.mark.parametrize("roles", ['[{"role": "student", "org": ', "{student: sch-1}", "[student, sch-1]"])
def test_a_text_that_is_no_role_is_not_a_role_without_a_school(roles: str) -> None:
    pulled = odd_server.of_people(odd_server.person("p-0", roles=roles), odd_server.person("p-1"))
    assert pulled.ids == {"p-1"}
    assert [(one["sourcedId"], one["rule"]) for one in pulled.rejects] == [("p-0", "role-unreadable")]


@pytest.mark.parametrize("written", ["2026-7-31", "2026-07-31Z", "2026-07-31-05:00", "2026-07-31+02:00"])
def test_q61_a_day_with_a_zone_or_without_zeros_is_the_day_as_written(written: str) -> None:
    pulled = odd_server.of_people(odd_server.person("p-1", roles=[SPELLED[0] | {"endDate": written}]))
    assert pulled.user("p-1")["roles"][0]["endDate"] == "2026-07-31"


@pytest.mark.parametrize("roles", [{"primary": SPELLED[0]}, [{"student": ["sch-1"]}], [True], {"name": "student"}])
def test_a_role_that_nobody_can_read_rejects_the_record_instead_of_losing_its_school(roles: Any) -> None:
    readable = odd_server.person("p-1")
    both = [*readable["roles"], *(roles if isinstance(roles, list) else [roles])]
    pulled = odd_server.of_people(odd_server.person("p-0", roles=roles), readable, odd_server.person("p-2", roles=both))
    assert pulled.ids == {"p-1", "p-2"}
    assert [(one["sourcedId"], one["rule"], one["severity"]) for one in pulled.rejects] == [
        ("p-0", "role-unreadable", "error"),
        ("p-2", "role-unreadable", "warning"),
    ]


@pytest.mark.parametrize(
    "org", [{"org": {"sourcedId": "sch-1"}}, {"name": "Harbour", "type": "org"}, {"guid": "sch-1", "href": ""}]
)
def test_q48_a_reference_without_an_id_that_says_something_is_not_empty(org: dict[str, Any]) -> None:
    somebody = odd_server.person("p-1", agents=[org], roles=None, role="student", orgs=["sch-1"])
    pulled = odd_server.of_people(somebody, odd_server.person("p-2", roles=None, role="student", orgs=[org]))
    assert pulled.ids == {"p-1"}
    assert [(one["sourcedId"], one["rule"]) for one in pulled.rejects] == [
        ("p-1", "reference-unreadable"),
        ("p-2", "org-unreadable"),
    ]
    assert reference({"type": "org", "href": None}) is None


def test_q48_people_of_orgs_that_nobody_has_seen_make_it_incomplete() -> None:
    odd_role = {"role": "student", "org": {"sourcedId": "org:17"}}
    pulled = odd_server.of_people(*(odd_server.person(f"p-{number}", roles=[odd_role]) for number in range(3)))
    assert pulled.problems == ("no-orgs:student",)


@pytest.mark.parametrize("parent", ["empty", "null"])
def test_q49_an_unusable_parent_is_none_and_the_list_of_children_tells_it_still(sis: Start, parent: str) -> None:
    pulled = sis(f"org_parent={parent}").pull()
    assert sorted((org["type"], org["parent"]) for org in pulled.orgs) == [
        ("district", None),
        ("school", "dis-1"),
        ("school", "dis-1"),
    ]


def test_q50_records_of_one_human_stay_apart_and_a_single_user_may_be_a_list(sis: Start) -> None:
    served = sis("id_scheme=role_suffix", "user_single_as_list", versions=("1.1",))
    pulled = served.pull()
    assert pulled.complete
    with served.client() as client:
        sourced_id = pulled.users[0]["sourcedId"]
        assert client.user_answers([sourced_id])[sourced_id].user == pulled.users[0]


@pytest.mark.parametrize("fault", ["email=null_text", "email=empty", "email=absent"])
def test_q51_no_email_in_any_spelling(sis: Start, fault: str) -> None:
    pulled = odd_server.same_people(sis(), fault, but=("email",))
    assert any(user["email"] is None for user in pulled.users)
    assert not {"NULL", "null", ""} & {user["email"] for user in pulled.users}


def test_ids_that_are_numbers_with_a_point_are_ids_on_every_page() -> None:
    people = [one | {"sourcedId": float(place)} for place, one in enumerate(odd_server.PEOPLE)]
    pulled = odd_server.told_of(lambda query: odd_server.page(people, query, total=False))
    assert pulled.complete, pulled.problems
    assert len(pulled.ids) == len(odd_server.PEOPLE)


def test_q51_somebody_may_be_called_null() -> None:
    pulled = odd_server.of_people(odd_server.person("s-1", familyName="Null", givenName="None", email="none"))
    assert (pulled.users[0]["familyName"], pulled.users[0]["givenName"], pulled.users[0]["email"]) == (
        "Null",
        "None",
        None,
    )


def test_q56_schools_under_other_types_are_found(sis: Start) -> None:
    for fault in ("org_type=department", "org_type=departments", "org_type=mixed"):
        served = sis(fault)
        assert served.pull().complete
        with served.client() as client:
            assert client.find_org("sch-1") is not None


ODD_USERS = (
    *("service_accounts", "unknown_roles", "user_ids=untis", "passwords", "extra_members"),
    *("agents=dangling", "teacher_without_number", "nameless"),
)


def test_q52_q54_q57_q58_q67_q69_q71_odd_users_are_told_like_anybody_without_their_passwords(sis: Start) -> None:
    pulled = sis(*ODD_USERS).pull()
    assert pulled.complete
    roles = {entry["role"] for user in pulled.users for entry in user["roles"]}
    assert roles - {"student", "teacher", "principal", "guardian", "parent", "relative"}, "kept as they are"
    assert pulled.of("relative")
    assert max(len(user["userIds"]) for user in pulled.users) == 7
    assert b"password" not in orjson.dumps([pulled.users, pulled.rejects]).lower()
    assert any(user["familyName"] == "Account" for user in pulled.users)
    assert any(user["identifier"] is None for user in pulled.of("teacher"))
    assert any(user["familyName"] is None for user in pulled.users)


def test_q60_a_change_of_role_keeps_the_id(sis: Start) -> None:
    served = sis()
    teacher = served.pull().of("teacher", org="sch-1")[0]["sourcedId"]
    served.sis.district.set_role(teacher, "principal")
    assert teacher in {user["sourcedId"] for user in served.pull().of("principal")}


@pytest.mark.parametrize("dates", ["rotate", "empty", "garbage"])
def test_q61_no_date_ever_rejects_a_person(sis: Start, dates: str) -> None:
    pulled = odd_server.same_people(sis(), f"dates={dates}", but=("dateLastModified",))
    assert not [reject for reject in pulled.rejects if reject["severity"] == "error"]


def test_q61_a_delta_works_with_dates_in_any_spelling(sis: Start) -> None:
    pulled = sis("dates=rotate").pull(Wanted(since=datetime.now(UTC) - timedelta(days=3650)))
    assert pulled.proof.complete


def test_q62_one_record_per_school_is_told_as_it_comes(sis: Start) -> None:
    pulled = sis("id_scheme=per_school").pull()
    assert pulled.complete
    assert len(pulled.ids) == len(pulled.users)


@pytest.mark.parametrize("missing", ["empty", "null"])
@VERSIONS
def test_q63_a_user_without_a_role_is_told_without_one(sis: Start, missing: str, version: str) -> None:
    served = sis(f"role_missing={missing}", versions=(version,))
    pulled = served.pull()
    assert pulled.complete
    roleless = [user for user in pulled.users if not any(entry["role"] for entry in user["roles"])]
    assert roleless


@pytest.mark.parametrize("grades", ["empty", "text", "number", "null", "old_name"])
@VERSIONS
def test_q64_grades_in_every_form_are_a_list_of_texts(sis: Start, grades: str, version: str) -> None:
    pulled = odd_server.same_people(sis(versions=(version,)), f"grades={grades}", but=("grades",))
    assert all(isinstance(grade, str) and grade for user in pulled.users for grade in user["grades"])
    if grades in ("text", "old_name"):
        assert all(user["grades"] for user in pulled.of("student"))


def test_q65_an_unknown_boolean_is_not_false(sis: Start) -> None:
    for fault in ("booleans=absent", "booleans=garbage"):
        pulled = sis(fault).pull()
        assert pulled.complete
        assert {user["enabledUser"] for user in pulled.users} == {None}


@pytest.mark.parametrize("scheme", ["exotic", "case", "encoded"])
def test_q66_ids_are_opaque_and_found_again_one_by_one(sis: Start, scheme: str) -> None:
    served = sis(f"id_scheme={scheme}")
    pulled = served.pull()
    assert pulled.complete
    assert len(pulled.ids) == len(pulled.users)
    with served.client() as client:
        answers = client.user_answers(sorted(pulled.ids)[:60])
    assert {answer.state for answer in answers.values()} == {"found"}


def test_q68_blanks_around_ids_are_no_part_of_them_but_requests_spell_them(sis: Start) -> None:
    for fault in ("references=padded", "references=trimmed"):
        served = sis("id_scheme=padded", fault)
        with served.client() as client:
            pulled = pulled_by(client)
            assert pulled.complete
            assert all(one == one.strip() for one in pulled.ids)
            named = {agent for user in pulled.of("student") for agent in user["agents"]}
            assert named <= pulled.ids
            answers = client.user_answers(sorted(pulled.ids)[:20])
        assert {answer.state for answer in answers.values()} == {"found"}


def test_q68_an_unknown_padding_makes_a_404_mean_nothing(sis: Start) -> None:
    served = sis("id_scheme=padded")
    with served.client() as client:
        pulled = pulled_by(client)
        learned = client.learned
    with served.client(learned=learned) as client:
        states = {answer.state for answer in client.user_answers(sorted(pulled.ids)).values()}
    assert "missing" not in states


def test_q68_names_keep_quotes_and_lose_outer_blanks(sis: Start) -> None:
    pulled = sis("odd_names").pull()
    assert pulled.complete
    assert all(user["givenName"] == user["givenName"].strip() for user in pulled.users if user["givenName"])


def test_q72_wanted_metadata_are_kept_by_path_and_nothing_else(sis: Start) -> None:
    pulled = sis("japan").pull(metadata_keys=("jp.kanaGivenName",))
    assert pulled.complete
    kept = {key for user in pulled.users for key in user["metadata"]}
    assert kept == {"jp.kanaGivenName"}


@pytest.mark.parametrize("place", ["user_ids", "master", "metadata", "identifier"])
def test_q73_the_number_is_delivered_wherever_it_stands(sis: Start, place: str) -> None:
    assert sis(f"number_in={place}").pull(metadata_keys=("studentNumber",)).complete
