"""The standard's semantics of collections, single objects, envelopes and payloads, in both versions."""

import pytest

from roster_pipeline.simulator import Sis
from roster_pipeline_tests.simulator.conftest import Api

VERSIONS = ("1.1", "1.2")
COLLECTIONS = {
    "/orgs": "orgs", "/schools": "orgs", "/users": "users", "/students": "users", "/teachers": "users",
    "/enrollments": "enrollments", "/schools/sch-1/students": "users", "/schools/sch-1/teachers": "users",
    "/schools/sch-1/enrollments": "enrollments",
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("path", "envelope"), COLLECTIONS.items())
def test_every_collection_answers_under_its_envelope(api: Api, version: str, path: str, envelope: str) -> None:
    answer = api.get(path, version, limit=1000)
    assert answer.status_code == 200
    assert list(answer.json()) == [envelope]
    assert int(answer.headers["X-Total-Count"]) == len(answer.json()[envelope]) > 0
    for record in answer.json()[envelope]:
        assert {"sourcedId", "status", "dateLastModified"} <= record.keys()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("path", "envelope"),
    [
        ("/orgs/dis-1", "org"), ("/schools/sch-2", "org"), ("/users/u-1000", "user"), ("/students/u-1003", "user"),
        ("/enrollments/enr-3-0", "enrollment"),
    ],
)  # fmt: skip
def test_a_single_object_answers_under_its_envelope(api: Api, version: str, path: str, envelope: str) -> None:
    body = api.get(path, version).json()
    assert list(body) == [envelope]
    assert body[envelope]["sourcedId"] == path.rsplit("/", 1)[1]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "path",
    [
        "/users/nobody", "/students/u-1000", "/teachers/u-1003", "/schools/dis-1", "/orgs/sch-9",
        "/schools/sch-9/students", "/schools/dis-1/students", "/classes", "/guardians", "/orgs/sch-1/users",
        "/schools/sch-1/students/u-1003",
    ],
)  # fmt: skip
def test_what_does_not_exist_is_404(api: Api, version: str, path: str) -> None:
    assert api.get(path, version).status_code == 404


def test_lists_and_single_objects_hold_the_same_record(api: Api) -> None:
    for version in VERSIONS:
        for record in api.users("/schools/sch-1/students", version)[:20]:
            assert api.get(f"/users/{record['sourcedId']}", version).json()["user"] == record


def test_students_and_teachers_are_views_of_users(api: Api, sis: Sis) -> None:
    for version in VERSIONS:
        everybody = {record["sourcedId"]: record for record in api.users("/users", version)}
        assert len(everybody) == len(sis.district)
        for path, role in (("/students", "student"), ("/teachers", "teacher")):
            part = {record["sourcedId"]: record for record in api.users(path, version)}
            assert part.items() <= everybody.items()
            held = {
                key for key, r in everybody.items() if role in (r.get("role"), *(e["role"] for e in r.get("roles", ())))
            }
            assert part.keys() == held


def test_members_of_a_school_follow_from_orgs_and_roles(api: Api) -> None:
    for version in VERSIONS:
        students = api.users("/students", version)
        for school in ("sch-1", "sch-2", "sch-3"):
            listed = {record["sourcedId"] for record in api.users(f"/schools/{school}/students", version)}
            if version == "1.1":
                belong = {r["sourcedId"] for r in students if school in [org["sourcedId"] for org in r["orgs"]]}
            else:
                belong = {r["sourcedId"] for r in students if school in [e["org"]["sourcedId"] for e in r["roles"]]}
            assert listed == belong


def test_1_1_says_role_and_orgs_and_1_2_says_roles(api: Api) -> None:
    legacy, modern = (api.get("/users/u-1003", version).json()["user"] for version in VERSIONS)
    assert legacy["role"] == "student"
    assert [org["type"] for org in legacy["orgs"]] == ["org"]
    assert "roles" not in legacy
    assert modern["roles"][0].keys() == {"roleType", "role", "org"}
    assert not {"role", "orgs"} & modern.keys()
    assert legacy["enabledUser"] in ("true", "false")


def test_1_1_knows_none_of_the_newer_roles(api: Api) -> None:
    roles = {record["role"] for record in api.users("/users", "1.1")}
    assert roles == {"administrator", "aide", "guardian", "parent", "proctor", "relative", "student", "teacher"}


def test_references_are_absolute_and_lead_to_their_object(api: Api) -> None:
    for version in VERSIONS:
        record = next(r for r in api.users("/students", version) if r.get("agents"))
        for ref in record["agents"]:
            answer = api.http.get(ref["href"], headers={"Authorization": f"Bearer {api.token}"})
            assert answer.json()["user"]["sourcedId"] == ref["sourcedId"]


def test_a_school_without_students_is_an_empty_list(api: Api, sis: Sis) -> None:
    for person in sis.district.people_of("sch-3", "student"):
        sis.district.remove(person.sourced_id)
    answer = api.get("/schools/sch-3/students")
    assert (answer.status_code, answer.json()) == (200, {"users": []})


def test_leavers_are_marked_gone_or_without_org(api: Api, sis: Sis) -> None:
    marked, vanished, orgless, ended = (p.sourced_id for p in sis.district.people_of("sch-1", "student")[:4])
    for sourced_id, how in ((marked, "mark"), (vanished, "vanish"), (orgless, "lose_org"), (ended, "end_date")):
        sis.district.remove(sourced_id, how=how)
    for version in VERSIONS:
        listed = {record["sourcedId"]: record for record in api.users("/users", version)}
        assert listed[marked]["status"] == "tobedeleted"
        assert vanished not in listed
        assert api.get(f"/users/{vanished}", version).status_code == 404
        assert listed[orgless]["status"] == "active"
        assert listed[orgless]["orgs" if version == "1.1" else "roles"] == []
        in_school = api.walk("/schools/sch-1/students", version)
        assert marked in in_school
        assert orgless not in in_school
    assert listed[ended]["roles"][0]["endDate"] == "2026-09-14"
    assert "endDate" in api.get(f"/enrollments/enr-{sis.district.person(ended).row}-0").json()["enrollment"]


def test_people_who_join_move_and_change_role_show_up_where_they_are(api: Api, sis: Sis) -> None:
    joined = sis.district.add("student", "sch-2").sourced_id
    moved = sis.district.people_of("sch-1", "student")[0].sourced_id
    sis.district.move(moved, "sch-2")
    promoted = sis.district.people_of("sch-2", "teacher")[0].sourced_id
    sis.district.set_role(promoted, "principal")
    for version in VERSIONS:
        assert {joined, moved} <= set(api.walk("/schools/sch-2/students", version))
        assert moved not in api.walk("/schools/sch-1/students", version)
        assert promoted not in api.walk("/teachers", version)
        assert promoted in api.walk("/users", version)


def test_1_2_says_without_sign_in_where_everything_stands(api: Api) -> None:
    api.token = "none"
    document = api.get("/discovery/imsorv1p2_rostering_openapi3_v1p0.json").json()
    flow = document["components"]["securitySchemes"]["OAuth2CC"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == f"{str(api.http.base_url).rstrip('/')}/oauth/token"
    assert document["servers"][0]["url"].endswith("/ims/oneroster/rostering/v1p2")
    assert {"/users", "/users/{sourcedId}", "/schools/{id}/students", "/schools/{id}/enrollments"} <= set(
        document["paths"]
    )
    assert api.get("/discovery/imsorv1p2_rostering_openapi3_v1p0.json", "1.1").status_code == 404


def test_rostering_is_read_only(api: Api) -> None:
    assert api.http.post("/ims/oneroster/v1p1/users", json={}).status_code == 405


def test_an_id_with_odd_characters_is_one_segment_of_the_path(api: Api, sis: Sis) -> None:
    for sourced_id in ("x/y z", "50%", "a+b|c", "é#?"):
        sis.district.add("teacher", "sch-1", sourced_id=sourced_id)
        from urllib.parse import quote

        assert api.get(f"/users/{quote(sourced_id, safe='')}").json()["user"]["sourcedId"] == sourced_id
