"""Every fault does what its line in the table says."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from roster_pipeline.simulator import FAULTS, District, Faults, Sis, UnknownFaultError, create_site
from roster_pipeline_tests.simulator.conftest import ROOTS, Api


def student(api: Api, version: str = "1.2") -> dict[str, Any]:
    """A student with contacts, by the list."""
    return next(record for record in api.users("/students", version) if record["sourcedId"] == "u-1003")


def roles(record: dict[str, Any]) -> list[Any]:
    return [entry["role"] for entry in record["roles"]]


def test_every_fault_is_tested_by_name() -> None:
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in FAULTS if not re.search(rf"\b{name}\b", here)] == []


def test_names_and_values_are_checked() -> None:
    faults = Faults("page_cap=10", "nulls", "link_next", "link=off")
    assert faults.active() == {"page_cap": 10, "nulls": True, "link_next": "always", "link": "off"}
    faults.set("nulls=off", page_cap=False, forbidden="/teachers")
    assert faults.active() == {"link_next": "always", "link": "off", "forbidden": "/teachers"}
    for wrong in ("page_kap=10", "page_cap=ten", "link_next=sideways", "nulls=3"):
        with pytest.raises(UnknownFaultError):
            faults.set(wrong)
    with pytest.raises(UnknownFaultError, match="page_cap"):
        faults.set("page_kap=10")
    faults.clear()
    assert faults.active() == {}


RECORDS: list[tuple[str, Callable[[Api], object]]] = [
    ("passwords", lambda api: "password" in student(api)),
    ("service_accounts", lambda api: sum(r["familyName"] == "Account" for r in api.users()) == 6),
    ("nameless", lambda api: sum("givenName" not in r for r in api.users()) == 6),
    ("odd_names", lambda api: student(api)["familyName"].startswith(" ")),
    ("email=null_text", lambda api: {"NULL", "n/a"} <= {r["email"] for r in api.users()}),
    ("email=absent", lambda api: not any("email" in r for r in api.users())),
    ("teacher_without_number", lambda api: sum("identifier" not in r for r in api.users("/teachers")) == 3),
    ("number_in=user_ids", lambda api: {"type": "localID", "identifier": "000001"} in student(api)["userIds"]),
    ("number_in=master", lambda api: student(api)["userMasterIdentifier"] == "000001"),
    ("number_in=metadata", lambda api: student(api)["metadata"]["localNumber"] == "000001"),
    ("user_ids=untis", lambda api: len(student(api)["userIds"]) == 7),
    ("agents=off", lambda api: not any("agents" in r for r in api.users())),
    ("agents=one_sided", lambda api: "agents" in student(api) and "agents" not in api.users()[-1]),
    ("agents=reverse", lambda api: "agents" not in student(api) and "agents" in api.users()[-1]),
    ("agents=dangling", lambda api: student(api)["agents"][0]["sourcedId"].startswith("nobody")),
    ("staff_as=administrator", lambda api: not any("aide" in roles(r) for r in api.users())),
    ("staff_as=absent", lambda api: not any("proctor" in roles(r) for r in api.users())),
    ("role_missing=empty", lambda api: sum(r["roles"] == [] for r in api.users()) == 3),
    ("role_missing=null", lambda api: sum(roles(r) == [None] for r in api.users()) == 3),
    ("unknown_roles", lambda api: any(roles(r) == ["ext:officeStaff"] for r in api.users())),
    ("roles_case=upper", lambda api: roles(student(api)) == [" STUDENT "]),
    ("role_dates=rotate", lambda api: any("endDate" in r["roles"][0] for r in api.users())),
    ("orgs_empty=all", lambda api: not any(r["orgs"] for r in api.users(version="1.1"))),
    ("orgs_empty=student", lambda api: student(api)["roles"] == [] and any(r["roles"] for r in api.users())),
    ("enabled=students_off", lambda api: {r["enabledUser"] for r in api.users("/students")} == {"false"}),
    ("enabled=always", lambda api: {r["enabledUser"] for r in api.users()} == {"true"}),
    ("graduates=drop", lambda api: not any(r["grades"] == ["12"] for r in api.users("/students"))),
    ("japan", lambda api: "kanaGivenName" in student(api)["metadata"]["jp"] and "agents" not in student(api)),
    ("status=unknown", lambda api: student(api)["status"] == "archived"),
    ("dates=rotate", lambda api: len({len(r["dateLastModified"]) for r in api.users()}) > 4),
    ("dates=set_back", lambda api: {r["dateLastModified"][:4] for r in api.users()} == {"2000"}),
    ("dates=garbage", lambda api: "Uhr" in student(api)["dateLastModified"]),
    ("booleans=rotate", lambda api: {True, "True"} <= {r["enabledUser"] for r in api.users()}),
    ("booleans=json", lambda api: isinstance(student(api)["enabledUser"], bool)),
    ("grades=text", lambda api: isinstance(student(api)["grades"], str)),
    ("grades=number", lambda api: isinstance(student(api)["grades"], int)),
    ("grades=null", lambda api: student(api)["grades"] is None),
    ("grades=old_name", lambda api: "grade" in student(api) and "grades" not in student(api)),
    ("href=tilde", lambda api: student(api)["agents"][0]["href"].startswith("~/ims")),
    ("href=empty", lambda api: student(api)["roles"][0]["org"]["href"] == ""),
    ("references=bare", lambda api: student(api)["roles"][0]["org"] == "sch-1"),
    ("references=without_id", lambda api: "sourcedId" not in student(api)["agents"][0]),
    (
        "references=address",
        lambda api: "/users/" in str(student(api)["agents"][0]) and "http" in student(api)["agents"][0],
    ),
    ("references=padded", lambda api: student(api)["agents"][0]["sourcedId"].startswith(" ")),
    ("lists=object", lambda api: isinstance(student(api)["roles"], dict)),
    ("lists=named", lambda api: "role" in student(api)["roles"]),
    ("types", lambda api: student(api)["identifier"] == 1),
    ("nulls", lambda api: student(api)["primaryOrg"] is None),
    ("both_generations", lambda api: {"role", "orgs", "roles"} <= student(api).keys()),
    ("extra_members", lambda api: student(api)["Role"] == "wizard"),
    ("member_case", lambda api: "sourcedid" in api.users()[0]),
    ("org_type=departments", lambda api: api.get("/schools").json()["orgs"] == []),
    ("org_type=mixed", lambda api: len({r["orgs"][0]["type"] for r in api.users(version="1.1")}) == 4),
    ("org_parent=null", lambda api: api.get("/orgs/sch-1").json()["org"]["parent"] is None),
    ("org_parent=empty", lambda api: api.get("/orgs/sch-1").json()["org"]["parent"] == {}),
    ("org_identifier=doubled", lambda api: len({o["identifier"] for o in api.get("/schools").json()["orgs"]}) == 1),
    ("junk_entries=10", lambda api: api.users()[0] is None),
    ("lone_object", lambda api: isinstance(api.get("/users", limit=1).json()["users"], dict)),
    ("envelope=own_name", lambda api: "students" in api.get("/students").json()),
    ("envelope=school", lambda api: "school" in api.get("/orgs/sch-1").json()),
    ("envelope=missing", lambda api: "users" not in api.get("/users").json()),
    ("envelope=wrapped", lambda api: "users" in api.get("/users").json()["response"]),
    ("envelope=entries", lambda api: "user" in api.get("/users").json()["users"]),
    ("envelope=each", lambda api: "sourcedId" in api.users()[0]["user"]),
    ("user_single_as_list", lambda api: len(api.get("/users/u-1003").json()["users"]) == 1),
]


@pytest.mark.parametrize(("fault", "shows"), RECORDS)
def test_records(api: Api, sis: Sis, fault: str, shows: Callable[[Api], object]) -> None:
    with contextlib.suppress(KeyError):
        assert not shows(api)
    sis.faults.set(fault)
    assert shows(api)


@pytest.mark.parametrize("version", ROOTS)
def test_faults_of_records_can_be_combined(api: Api, sis: Sis, version: str) -> None:
    sis.faults.set("nulls", "references=bare", "agents=dangling", "id_scheme=per_school", "member_case")
    record = api.users("/students", version)[0]
    assert "nobody-3" in record["agents"]
    assert record["password"] is None


def test_control_answers_this_machine_only(sis: Sis) -> None:
    async def status(caller: str) -> int:
        transport = httpx.ASGITransport(create_site([sis]), client=(caller, 4000))
        async with httpx.AsyncClient(transport=transport, base_url="http://sis.example") as http:
            return (await http.post("/simulator/day", json={})).status_code

    assert asyncio.run(status("192.0.2.7")) == 403
    assert sis.district.day == 0
    assert asyncio.run(status("127.0.0.1")) == 200


SHARES: list[tuple[str, Callable[[Api, District], object]]] = [
    ("hide_school=sch-2", lambda api, _: "sch-2" not in [o["sourcedId"] for o in api.get("/orgs").json()["orgs"]]),
    ("hide_school=sch-2", lambda api, d: len(api.users("/students")) == 121),
    ("no_share", lambda api, _: api.get("/orgs").json() == {"orgs": []} and api.users() == []),
    ("cold_cache=600", lambda api, _: api.get("/enrollments").json() == {"enrollments": []}),
    ("role_absent=teacher", lambda api, _: api.users("/teachers") == [] and api.users("/students")),
    ("half_school=sch-1", lambda api, _: 25 < len(api.users("/schools/sch-1/students")) < 35),
    ("list_omits=30", lambda api, d: 60 < len(api.users("/students")) < 160 and api.get("/users/u-1010").is_success),
    ("guardians=off", lambda api, _: len(api.users()) < 250 and api.get("/users/u-1080").status_code == 404),
    ("between_terms", lambda api, _: api.users("/students") == [] and api.users("/teachers")),
    ("grade_hidden=09,10", lambda api, _: not {"09", "10"} & {r["grades"][0] for r in api.users("/students")}),
    ("single_users=off", lambda api, _: api.get("/users/u-1003").status_code == 404 and api.users("/students")),
    (
        "single_users=students",
        lambda api, _: api.get(f"/users/{api.users('/teachers')[0]['sourcedId']}").status_code == 404,
    ),
]


@pytest.mark.parametrize(("fault", "shows"), SHARES)
def test_sharing(api: Api, sis: Sis, fault: str, shows: Callable[[Api, District], object]) -> None:
    sis.faults.set(fault)
    assert shows(api, sis.district)
    assert api.get("/users").headers["X-Total-Count"] == str(len(api.users()))


def test_people_without_account_are_hidden(api: Api, sis: Sis) -> None:
    assert any(not record.get("username") for record in api.users())
    sis.faults.set("accountless_hidden")
    assert all(record["username"] for record in api.users())


def test_the_gone_may_still_be_answered_one_by_one(api: Api, sis: Sis) -> None:
    sis.district.remove("u-1003")
    assert api.get("/users/u-1003").status_code == 404
    sis.faults.set("single_users=linger")
    assert api.get("/users/u-1003").json()["user"]["status"] == "active"
    assert "u-1003" not in api.walk("/students")


@pytest.mark.parametrize("scheme", ["role_prefix", "role_suffix", "per_school", "exotic", "case", "padded", "encoded"])
def test_id_schemes_hold_together(api: Api, sis: Sis, scheme: str) -> None:
    from urllib.parse import quote

    sis.faults.set(f"id_scheme={scheme}")
    for version in ("1.1", "1.2"):
        records = {record["sourcedId"]: record for record in api.users(version=version)}
        assert int(api.get("/users", version).headers["X-Total-Count"]) == len(records)
        for sourced_id, record in list(records.items())[:40]:
            assert api.get(f"/users/{quote(sourced_id, safe='')}", version).json()["user"] == record
            assert {agent["sourcedId"] for agent in record.get("agents", ())} <= records.keys()
        for path in ("/students", "/teachers", "/schools/sch-1/students"):
            assert {record["sourcedId"] for record in api.users(path, version)} <= records.keys()


def test_splitting_schemes_make_several_records_of_one_person(api: Api, sis: Sis) -> None:
    people = len(sis.district)
    sis.faults.set("id_scheme=role_prefix")
    ids = {record["sourcedId"] for record in api.users(version="1.1")}
    assert {"t1065", "a1065"} <= ids
    assert len(ids) > people == len(api.users())
    assert api.get("/users/u-1065").json()["user"]["metadata"]["ic.legacySourcedId"] == "t1065"
    sis.faults.set("id_scheme=per_school")
    two = [r for r in api.users("/teachers") if r["sourcedId"].startswith("u-1064.")]
    assert [[e["org"]["sourcedId"] for e in r["roles"]] for r in two] == [["sch-1"], ["sch-2"]]
    assert [r["sourcedId"] for r in api.users("/schools/sch-2/teachers") if "1064" in r["sourcedId"]] == [
        "u-1064.sch-2"
    ]


def test_another_field_as_id_renames_everybody(api: Api, sis: Sis) -> None:
    sis.faults.set("id_field=number")
    assert {"000001", "TCH_000004"} <= {record["sourcedId"] for record in api.users()}
    sis.faults.set("id_field=state_id")
    assert "9000000003" in {record["sourcedId"] for record in api.users("/students")}
    assert api.get("/students/9000000003").is_success


def test_a_district_may_move_while_it_is_read(api: Api, sis: Sis) -> None:
    sis.faults.set("data_moves=2")
    totals = [api.get("/users", limit=50, offset=offset).headers["X-Total-Count"] for offset in (0, 50, 100, 150)]
    assert totals[0] == totals[1] != totals[2] == totals[3]


def test_faults_of_addresses(api: Api, sis: Sis, served: Callable[[Sis], Api]) -> None:
    sis.faults.set("root_suffix=/school")
    assert (api.get("/users").status_code, api.get("/school/users").status_code) == (404, 200)
    sis.faults.clear()
    headers = {"Authorization": f"Bearer {api.token}"}
    sis.faults.set("plain_v1p2=only")
    assert "roles" in api.http.get("/ims/oneroster/v1p2/users", headers=headers).json()["users"][0]
    assert api.get("/users").status_code == 404
    sis.faults.clear()
    sis.faults.set("foreign_api")
    assert "SchoolId" in api.get("/users").json()[0]
    sis.faults.clear()
    sis.faults.set("nested=off", "not_found=/teachers", "forbidden=/students,/users/{id}")
    found = [
        api.get(p).status_code for p in ("/schools/sch-1/students", "/teachers", "/students", "/users/u-1003", "/users")
    ]
    assert found == [404, 404, 403, 403, 200]
    sis.faults.clear()
    sis.faults.set("unknown_school=empty")
    assert api.get("/schools/nowhere/students").json() == {"users": []}
    sis.faults.set("unknown_school=403")
    assert api.get("/schools/nowhere/students").status_code == 403
    sis.faults.set("redirect=https://elsewhere.example/")
    assert api.get("/users").headers["Location"] == "https://elsewhere.example/"
    below = served(Sis(sis.district, prefix="/campus/api"))
    assert below.http.get(f"/campus/api{ROOTS['1.2']}/users").status_code == 401


def test_control_over_http(api: Api, sis: Sis) -> None:
    def post(action: str, body: object) -> httpx.Response:
        return api.http.post(f"/simulator/{action}", json=body)

    assert post("faults", ["page_cap=3", "nulls"]).json() == {"on": {"page_cap": 3, "nulls": True}}
    assert post("faults", {"clear": True, "link": "off"}).json() == {"on": {"link": "off"}}
    assert "page_cap" in api.http.get("/simulator/faults").json()["known"]
    assert post("faults", ["page_kap=3"]).status_code == 400
    report = post("day", {"joiners": 2, "leavers": 1, "how": "mark"}).json()
    assert (report["day"], len(report["joined"]), len(report["left"])) == (1, 2, 1)
    moved = post("edit", {"verb": "move", "sourced_id": "u-1003", "to": "sch-3"}).json()
    assert moved["roles"][0]["org"] == "sch-3"
    renamed = post("edit", {"sourced_id": "u-1003", "family_name": "Oak", "roles": [{"role": "aide", "org": "sch-1"}]})
    assert renamed.json()["family_name"] == "Oak"
    assert post("edit", {"verb": "reset"}).status_code == 400
    api.get("/users", limit=2)
    counted = api.http.get("/simulator/requests").json()
    assert counted["by_resource"]["/users"] == 1
    assert counted["requests"][-1] == {
        "method": "GET", "resource": "/users", "path": f"{ROOTS['1.2']}/users", "query": "limit=2", "status": 200,
    }  # fmt: skip
    post("reset", {})
    assert api.http.get("/simulator/district").json()["day"] == 0
    assert sis.faults.active() == {}
