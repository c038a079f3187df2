"""enrollments.csv decides only if that is wanted, and no fault in it makes a bundle unreadable."""

import zipfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from roster_pipeline.oneroster import Wanted
from roster_pipeline.oneroster.bundle import BundleLimits, pull_bundle
from roster_pipeline.oneroster.records.orgs import Memberships, OrgReferences
from roster_pipeline_tests.oneroster_bundle import writing
from roster_pipeline_tests.oneroster_bundle.sftp_server import SftpServer

COLUMNS = ("sourcedId", "schoolSourcedId", "userSourcedId", "role", "beginDate", "endDate")
ENROLLED = {"sourcedId": "e1", "schoolSourcedId": "sch-1", "userSourcedId": "stu-1", "role": "student"}
LEAVER = writing.STUDENT | {
    "sourcedId": "stu-2",
    "identifier": "1043",
    "username": "dov",
    "email": "dov@pupils.example.org",
}
DECIDING = Wanted(contacts=True, enrollments=True)


def bundle(rows: bytes | None = None, name: str = "enrollments.csv") -> dict[str, bytes]:
    """Two students, the first of them enrolled."""
    files = writing.bundle_11(writing.STUDENT, LEAVER)
    return files | {
        "manifest.csv": writing.manifest("1.1", orgs="bulk", users="bulk", enrollments="bulk"),
        name: writing.table(COLUMNS, [ENROLLED]) if rows is None else rows,
    }


def people(count: int, enrolled: int, **members: str) -> tuple[list[dict[str, str]], bytes]:
    """Students, and the enrollments of the first of them."""
    ids = [f"stu-{number}" for number in range(count)]
    rows = [ENROLLED | {"sourcedId": f"e-{one}", "userSourcedId": one} | members for one in ids[:enrolled]]
    return [writing.STUDENT | {"sourcedId": one} for one in ids], writing.table((*COLUMNS, "status"), rows)


@pytest.mark.parametrize("wanted", [Wanted(), DECIDING])
def test_who_is_enrolled_and_has_no_row_is_named(tmp_path: Path, wanted: Wanted) -> None:
    users, rows = people(300, 300)
    files = bundle(rows) | {"users.csv": writing.table(writing.USERS_11, users[:250])}
    for path in (writing.as_zip(tmp_path / "a.zip", files), writing.as_folder(tmp_path / "a", files)):
        read = writing.Read(path, wanted)
        assert sorted(read.lost) == sorted(f"stu-{number}" for number in range(250, 300))
        assert read.proof.complete, "whether they are too many is for those to say who know the directory"


def test_an_export_of_students_alone_lacks_no_teachers_who_are_enrolled(tmp_path: Path) -> None:
    users, _ = people(20, 0)
    pupils = [ENROLLED | {"userSourcedId": one["sourcedId"]} for one in users]
    teachers = [ENROLLED | {"userSourcedId": f"tea-{number}", "role": "Teacher"} for number in range(50)]
    files = bundle(writing.table(COLUMNS, [*pupils, *teachers])) | {"users.csv": writing.table(writing.USERS_11, users)}
    assert writing.Read(writing.as_zip(tmp_path / "a.zip", files)).lost == []


def test_who_is_enrolled_and_has_no_role_is_named(tmp_path: Path) -> None:
    users, rows = people(30, 30)
    roles = [writing.ROLE | {"sourcedId": f"r-{one['sourcedId']}", "userSourcedId": one["sourcedId"]} for one in users]
    files = writing.bundle_12(*users, roles=roles[:29])
    files |= {"manifest.csv": writing.manifest("1.2", orgs="bulk", users="bulk", roles="bulk", enrollments="bulk")}
    assert writing.Read(writing.as_zip(tmp_path / "a.zip", files | {"enrollments.csv": rows})).lost == ["stu-29"]


def test_of_several_bundles_of_one_export_each_may_have_the_row(tmp_path: Path) -> None:
    users, rows = people(4, 4)
    manifests = {"manifest.csv": writing.manifest("1.1", orgs="bulk", users="bulk", enrollments="bulk")}
    for place, own in enumerate((users[:1], users[1:3])):
        school = writing.SCHOOL | {"sourcedId": f"sch-{place}"}
        own = [user | {"orgSourcedIds": f"sch-{place}"} for user in own]
        files = (
            bundle(rows)
            | manifests
            | {
                "orgs.csv": writing.table(writing.ORGS, [writing.SCHOOL, school]),
                "users.csv": writing.table(writing.USERS_11, own),
            }
        )
        writing.as_zip(tmp_path / f"{place}.zip", files)
    read = writing.Read(tmp_path)
    assert "bundles-of-one-night:2" in read.proof.notes
    assert read.lost == ["stu-3"]


@pytest.mark.parametrize(
    ("members", "mode"),
    [
        ({"status": "tobedeleted"}, "bulk"),
        ({"endDate": "2020-06-30"}, "bulk"),
        ({"endDate": "30.6.2020"}, "bulk"),
        ({"schoolSourcedId": "elsewhere"}, "bulk"),
        ({"userSourcedId": ""}, "bulk"),
        ({}, "delta"),
    ],
)
def test_enrollments_that_say_nothing_about_today_name_nobody(
    tmp_path: Path, members: dict[str, str], mode: str
) -> None:
    users, rows = people(300, 300, **members)
    files = bundle(rows) | {"users.csv": writing.table(writing.USERS_11, users[:200])}
    files |= {"manifest.csv": writing.manifest("1.1", orgs="bulk", users="bulk", enrollments=mode)}
    assert writing.Read(writing.as_zip(tmp_path / "a.zip", files)).lost == []


def left(users: list[dict[str, object]]) -> set[object]:
    return {user["sourcedId"] for user in users if user.get("notEnrolled")}


@pytest.mark.parametrize("packed", [True, False])
def test_who_has_no_enrollment_is_marked_where_that_is_wanted(tmp_path: Path, packed: bool) -> None:
    path = writing.as_zip(tmp_path / "a.zip", bundle()) if packed else writing.as_folder(tmp_path / "a", bundle())
    result = writing.Read(path, DECIDING)
    assert (left(result.users), result.proof.problems) == ({"stu-2"}, ())
    assert left(writing.Read(path).users) == set()


@pytest.mark.parametrize(
    ("ends", "marked"), [("2026-03-01", True), ("2026-03-01T09:00:00Z", True), ("2026-03-01T23:00:00Z", False)]
)
def test_an_enrollment_that_ends_at_a_time_lasts_until_that_day_is_over_everywhere(ends: str, marked: bool) -> None:
    memberships, orgs = Memberships(), OrgReferences()
    memberships.page([{"user": {"sourcedId": "a"}, "school": {"sourcedId": "s1"}, "role": "student", "endDate": ends}])
    users: list[dict[str, object]] = [{"sourcedId": "a", "roles": [{"role": "student", "org": "s1"}]}]
    memberships.mark(users, date(2026, 3, 2), orgs)
    assert left(users) == ({"a"} if marked else set())


SPOILT: list[tuple[Mapping[str, bytes], str]] = [
    (bundle(name="more/enrollments.csv"), "enrollments-unread"),
    (bundle() | {"more/enrollments.csv": b"x"}, "enrollments-unread"),
    (bundle(b"\xff\xfea\x00"), "enrollments-unread"),
    (bundle(b""), "enrollments-unread"),
    (bundle(b"x" * 200_000), "enrollments-unread"),
    (bundle(writing.table(COLUMNS, [ENROLLED]) + b'"e2,sch-1\r\n'), "unreadable-rows:enrollments"),
]


@pytest.mark.parametrize(("files", "problem"), SPOILT)
def test_a_damaged_file_is_a_problem_only_if_it_decides(
    tmp_path: Path, files: Mapping[str, bytes], problem: str
) -> None:
    limits = BundleLimits(file_bytes=100_000, total_bytes=100_000)
    for path in (writing.as_folder(tmp_path / "a", files), writing.as_zip(tmp_path / "a.zip", files)):
        result = writing.Read(path, DECIDING, limits)
        assert (len(result.users), result.proof.problems, left(result.users)) == (2, (problem,), set())
        assert writing.Read(path, limits=limits).proof.complete


def test_a_packed_file_that_unpacks_to_far_too_much_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in bundle(b"e" * 20_000_000).items():
            archive.writestr(name, content)
    assert writing.Read(path).proof.complete
    assert writing.Read(path, DECIDING).proof.problems == ("enrollments-unread",)


@pytest.mark.parametrize(("wanted", "requests", "gone"), [(Wanted(), 3, set()), (DECIDING, 3, {"stu-2"})])
def test_an_unpacked_enrollments_file_is_fetched_only_if_it_decides(
    tmp_path: Path, wanted: Wanted, requests: int, gone: set[str]
) -> None:
    writing.as_folder(tmp_path / "served" / "csv", bundle())
    with SftpServer(tmp_path / "served") as server:
        pulled = pull_bundle(server.source("/csv"), wanted)
        users = [user for batch in pulled if batch.kind == "user" for user in batch.records]
    assert left(users) == gone
    assert (pulled.proof.complete, pulled.proof.requests) == (True, requests)
