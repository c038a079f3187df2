"""The meaning of absence from a bundle: the manifest decides. If it does not, absence means nothing."""

from pathlib import Path

import pytest

from roster_pipeline.oneroster.bundle import MissingFile, WrongHeader, WrongManifest
from roster_pipeline_tests.oneroster_bundle.writing import (
    ORGS,
    ROLE,
    ROLES,
    SCHOOL,
    STUDENT,
    USERS_12,
    Read,
    as_folder,
    as_zip,
    bundle_11,
    bundle_12,
    manifest,
    read,
    table,
)

ACTIVE = {"status": "active", "dateLastModified": "2026-09-14T10:00:00.000Z"}
GONE = ACTIVE | {"status": "tobedeleted"}


@pytest.mark.parametrize("files", [bundle_11(), bundle_12()])
def test_q97_a_bulk_bundle_is_the_whole_truth(tmp_path: Path, files: dict[str, bytes]) -> None:
    result = read(tmp_path, files)
    assert (result.proof.mode, result.proof.complete, result.proof.problems) == ("full", True, ())
    assert result.user("stu-1")["status"] is None
    assert "no-second-witness" in result.proof.notes


def test_q97_a_delta_says_who_is_gone_and_absence_means_nothing(tmp_path: Path) -> None:
    users = (STUDENT | ACTIVE, {"sourcedId": "stu-2", "givenName": "Bo", "familyName": "Lee", "role": "student"} | GONE)
    result = read(tmp_path, bundle_11(*users, mode="delta"))
    assert (result.proof.mode, result.proof.complete) == ("delta", True)
    assert result.user("stu-2")["status"] == "tobedeleted"


@pytest.mark.parametrize("files", [bundle_11(), bundle_12()])
def test_q97_without_a_manifest_absence_means_nothing(tmp_path: Path, files: dict[str, bytes]) -> None:
    del files["manifest.csv"]
    result = read(tmp_path, files)
    assert result.proof.mode == "delta"
    assert not result.proof.complete
    assert result.proof.problems == ("no-manifest",)
    assert result.user("stu-1")["roles"][0]["org"] == "sch-1"


TEACHER = {"sourcedId": "t-1", "givenName": "Kim", "familyName": "Ito", "role": "teacher", "orgSourcedIds": "sch-1"}
PUPILS = [STUDENT | {"sourcedId": f"stu-{n}"} for n in range(1, 26)]
TOO_MANY_ROLES = [ROLE | {"sourcedId": f"r-{n}", "userSourcedId": f"stu-{n}"} for n in range(1, 51)]


@pytest.mark.parametrize(
    ("files", "mode", "problem"),
    [
        (bundle_11() | {"manifest.csv": manifest(orgs="bulk", users="absent")}, "delta", "manifest-disagrees:users"),
        (bundle_11() | {"manifest.csv": manifest(orgs="bulk")}, "delta", "manifest-silent:users"),
        (bundle_12(*PUPILS, roles=TOO_MANY_ROLES), "full", "roles-name-absent-users"),
        (bundle_11(STUDENT | {"orgSourcedIds": ""}), "full", "no-orgs"),
        (bundle_11(STUDENT | {"orgSourcedIds": "sch-1;sch-2"}, TEACHER), "full", "no-orgs:student"),
    ],
)
def test_a_bundle_that_contradicts_itself_is_read_and_never_believed_whole(
    tmp_path: Path, files: dict[str, bytes], mode: str, problem: str
) -> None:
    result = read(tmp_path, files)
    assert result.user("stu-1")["givenName"] == "Mira"
    assert (result.proof.mode, result.proof.complete, result.proof.problems) == (mode, False, (problem,))


def test_bulk_users_with_changed_roles_only_are_a_delta(tmp_path: Path) -> None:
    result = read(
        tmp_path, bundle_12(STUDENT, STUDENT | {"sourcedId": "stu-2"}, roles=[ROLE | ACTIVE], roles_mode="delta")
    )
    assert result.proof.mode == "delta"
    assert {"roles-are-delta", "roles-in-part"} <= set(result.proof.notes)
    assert [user["sourcedId"] for user in result.users] == ["stu-1"]
    assert [(one["sourcedId"], one["rule"]) for one in result.rejects] == [("stu-2", "roles-not-in-delta")]


def test_changed_users_with_all_roles_keep_their_roles(tmp_path: Path) -> None:
    files = bundle_12(STUDENT | ACTIVE, mode="delta", roles_mode="bulk")
    result = read(tmp_path, files)
    assert (result.proof.mode, result.proof.complete) == ("delta", True)
    assert result.user("stu-1")["roles"][0]["role"] == "student"
    assert "roles-name-absent-users" not in result.proof.notes


def test_people_without_a_role_in_a_delta_are_rejected_unless_they_are_gone(tmp_path: Path) -> None:
    files = bundle_12(STUDENT | ACTIVE, STUDENT | GONE | {"sourcedId": "stu-2"}, mode="delta")
    files["manifest.csv"] = manifest("1.2", orgs="delta", users="delta", roles="absent")
    del files["roles.csv"]
    result = read(tmp_path, files)
    assert [user["sourcedId"] for user in result.users] == ["stu-2"]
    assert result.rules == ["roles-not-in-delta"]


def test_a_role_marked_as_deleted_does_not_count(tmp_path: Path) -> None:
    roles = [ROLE | ACTIVE, ROLE | GONE | {"sourcedId": "r-2", "orgSourcedId": "sch-2"}]
    result = read(tmp_path, bundle_12(STUDENT | ACTIVE, roles=roles, mode="delta", roles_mode="bulk"))
    assert [entry["org"] for entry in result.user("stu-1")["roles"]] == ["sch-1"]


def test_a_manifest_alone_says_that_nothing_has_changed(tmp_path: Path) -> None:
    result = read(tmp_path, {"manifest.csv": manifest("1.2", orgs="absent", users="absent", roles="absent")})
    assert (result.users, result.orgs, result.proof.mode) == ([], [], "delta")
    assert "no-changes-of-people" in result.proof.notes


def test_a_delta_without_orgs_leaves_them_as_they_are(tmp_path: Path) -> None:
    files = bundle_11(STUDENT | ACTIVE, mode="delta") | {"manifest.csv": manifest("1.1", orgs="absent", users="delta")}
    del files["orgs.csv"]
    assert "orgs-unchanged" in read(tmp_path, files).proof.notes


@pytest.mark.parametrize(
    ("name", "modes"),
    [
        ("users", {"orgs": "bulk", "users": "bulk"}),
        ("users", {"orgs": "bulk", "users": "delta"}),
        ("users", {"orgs": "bulk", "users": "absent"}),
        ("orgs", {"orgs": "bulk", "users": "bulk"}),
        ("orgs", {"orgs": "absent", "users": "bulk"}),
        ("roles", {"orgs": "bulk", "users": "bulk", "roles": "bulk"}),
        ("users", {}),
    ],
)
def test_a_file_that_is_announced_or_needed_and_not_there_is_an_error(
    tmp_path: Path, name: str, modes: dict[str, str]
) -> None:
    files = bundle_12() | {"manifest.csv": manifest("1.2", **modes)}
    del files[f"{name}.csv"]
    with pytest.raises(MissingFile, match=rf"{name}\.csv"):
        read(tmp_path, files)


@pytest.mark.parametrize("name", ["orgs", "users"])
def test_without_a_manifest_orgs_and_users_must_be_there(tmp_path: Path, name: str) -> None:
    files = bundle_11()
    del files["manifest.csv"], files[f"{name}.csv"]
    with pytest.raises(MissingFile, match=rf"{name}\.csv"):
        read(tmp_path, files)


def test_a_renamed_file_is_an_error_that_names_the_likely_one(tmp_path: Path) -> None:
    files = bundle_11()
    files["user.csv"] = files.pop("users.csv")
    with pytest.raises(MissingFile, match=r"There is user\.csv: rename it"):
        read(tmp_path, files)


@pytest.mark.parametrize("name", ["users", "roles", "orgs"])
@pytest.mark.parametrize("other", ["courses", "classes", "enrollments", "userProfiles", "results"])
def test_another_file_of_the_standard_is_not_the_missing_one(tmp_path: Path, name: str, other: str) -> None:
    files = bundle_12() | {f"{other}.csv": b"sourcedId\r\n"}
    del files[f"{name}.csv"]
    with pytest.raises(MissingFile) as missing:
        read(tmp_path, files)
    assert "Let the export include it" in missing.value.remedy


@pytest.mark.parametrize("inside", ["xl/workbook.xml", "content.xml", "roster.zip"])
def test_a_spreadsheet_or_a_zip_in_a_zip_is_said_to_be_none(tmp_path: Path, inside: str) -> None:
    with pytest.raises(MissingFile, match=r"holds no CSV file. It may be a spreadsheet"):
        Read(as_zip(tmp_path / "roster.zip", {inside: b"x"}))


def test_a_bulk_file_without_rows_is_a_failed_export(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"users\.csv has a header and no rows"):
        read(tmp_path, bundle_12() | {"users.csv": table(USERS_12, [])})
    with pytest.raises(MissingFile, match=r"roles\.csv"):
        read(tmp_path, bundle_12() | {"roles.csv": table(ROLES, [])})


@pytest.mark.parametrize("row", [{}, {"givenName": "Mira", "familyName": "Oduya"}])
def test_a_bulk_file_in_which_nobody_can_be_used_proves_no_absence(tmp_path: Path, row: dict[str, str]) -> None:
    result = read(tmp_path, bundle_11(row))
    assert result.users == []
    assert result.proof.problems[-1] == "no-people"


def test_q98_a_bulk_bundle_that_says_nowhere_who_has_which_role_is_an_error(tmp_path: Path) -> None:
    files = bundle_12() | {"manifest.csv": manifest("1.2", orgs="bulk", users="bulk", roles="absent")}
    del files["roles.csv"]
    with pytest.raises(MissingFile, match=r"roles\.csv is missing, and users\.csv lacks"):
        read(tmp_path, files)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (manifest("1.1", users="full", orgs="bulk"), WrongManifest),
        (b"propertyName,value\r\nfile.users,bulk\r\nfile.users,delta\r\n", WrongManifest),
        (b"propertyName,value\r\nfile.users\r\n", WrongManifest),
        (b'propertyName,value\r\n"file.users,bulk\r\n', WrongManifest),
        (b"propertyName,value\r\n" + b"a,b\r\n" * 2000, WrongManifest),
        (b"name,value\r\nfile.users,bulk\r\n", WrongHeader),
        (b"", WrongHeader),
    ],
)
def test_a_manifest_that_cannot_be_read_is_an_error(tmp_path: Path, content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"manifest\.csv"):
        read(tmp_path, bundle_11() | {"manifest.csv": content})


@pytest.mark.parametrize(
    ("stated", "version"),
    [("1.2", "1.2"), ("1.2.1", "1.2"), ("1.2_JP", "1.2"), ("1.1", "1.1"), ("9", "1.1"), ("", "1.1")],
)
def test_the_version_is_the_manifests(tmp_path: Path, stated: str, version: str) -> None:
    result = read(tmp_path, bundle_11() | {"manifest.csv": manifest(stated, orgs="bulk", users="BULK")})
    assert result.proof.version == version
    assert ("version-unknown" in result.proof.notes) == (not stated.startswith("1."))


def test_the_revision_tells_the_same_bundle_from_another(tmp_path: Path) -> None:
    first, again = read(tmp_path / "1", bundle_11()).proof, read(tmp_path / "2", bundle_11()).proof
    other = read(tmp_path / "3", bundle_11(STUDENT | {"familyName": "Odu"})).proof
    assert first.revision == again.revision != other.revision


def test_the_proof_can_be_stored_like_any_other(tmp_path: Path) -> None:
    files = bundle_12() | {"orgs.csv": table(ORGS, [SCHOOL, SCHOOL | {"sourcedId": "sch-2"}])}
    proof = Read(as_folder(tmp_path, files)).proof.as_dict()
    assert (proof["strategy"], proof["records"], proof["pages"], proof["requests"]) == ("csv+roles", 1, 1, 0)
    assert proof["bytes"] == sum(map(len, files.values()))
