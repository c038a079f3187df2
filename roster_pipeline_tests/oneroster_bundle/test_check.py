"""Test Your Information for a bundle, item by item."""

import os
import time
from pathlib import Path

import pytest

from roster_pipeline.oneroster.bundle import check_bundle_schools, source_of
from roster_pipeline.oneroster.connection_test_items import CheckItem, TestedSchool
from roster_pipeline_tests.oneroster_bundle.writing import STUDENT, USERS_11, as_folder, bundle_11, bundle_12, table

TEACHER = {"sourcedId": "t-1", "givenName": "Kim", "familyName": "Ito", "role": "teacher", "orgSourcedIds": "sch-1"}
PARENT = {"sourcedId": "gdn-1", "givenName": "Ines", "familyName": "Oduya", "role": "guardian"}


def checked(
    path: Path, school: str = "sch-1", roles: tuple[str, ...] = ("student",), contacts: bool = True
) -> dict[str, CheckItem]:
    source = source_of(f"file://{path}", allow_private=True)
    tested = TestedSchool(school, frozenset(roles), contacts)
    return {item.name: item for _, item in check_bundle_schools(source, [tested])}


def test_a_good_bundle_is_green_throughout(tmp_path: Path) -> None:
    files = bundle_11(STUDENT, TEACHER, PARENT, PARENT | {"sourcedId": "gdn-2"})
    items = checked(as_folder(tmp_path, files), roles=("student", "teacher"))
    assert [name for name, item in items.items() if item.ok is False] == []
    assert items["Students"].detail == "1 in this school"
    assert items["Teachers"].ok is True
    assert "2 of 2 named by 1 student are delivered" in items["Guardians"].detail
    assert items["Bulk or delta"].ok is True
    assert (items["Second witness"].ok, items["Completeness"].ok) == (None, True)


def test_guardians_that_name_their_students_themselves_are_green(tmp_path: Path) -> None:
    lonely = STUDENT | {"agentSourcedIds": ""}
    items = checked(as_folder(tmp_path, bundle_11(lonely, PARENT | {"agentSourcedIds": "stu-1"})))
    assert items["Guardians"].ok
    assert items["Guardians"].detail == "1 student is named by guardians"


def test_the_school_may_be_named_by_its_identifier(tmp_path: Path) -> None:
    items = checked(as_folder(tmp_path, bundle_12()), school="0300")
    assert "Harbour Middle School, found by identifier" in items["School"].detail
    assert items["Students"].ok is True


def test_a_rostered_role_without_people_is_red(tmp_path: Path) -> None:
    assert checked(as_folder(tmp_path, bundle_12()), roles=("teacher",))["Teachers"].ok is False


def test_a_bundle_without_manifest_is_yellow_and_incomplete(tmp_path: Path) -> None:
    files = bundle_11()
    del files["manifest.csv"]
    items = checked(as_folder(tmp_path, files))
    assert (items["Bulk or delta"].ok, items["Completeness"].ok) == (None, False)


def test_a_bundle_of_last_week_is_red(tmp_path: Path) -> None:
    folder = as_folder(tmp_path, bundle_11())
    long_ago = time.time() - 10 * 86_400
    for file in folder.iterdir():
        os.utime(file, (long_ago, long_ago))
    assert (checked(folder)["Age"].ok, checked(folder)["Age"].detail) == (False, "written 10 days ago")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"users.csv": table(USERS_11[1:], [STUDENT])}, "Columns"),
        ({"manifest.csv": b"propertyName,value\r\nfile.users,some\r\n"}, "Manifest"),
        ({"a/users.csv": b""}, "Bundle"),
    ],
)
def test_a_bad_bundle_is_one_red_item_with_a_remedy(tmp_path: Path, change: dict[str, bytes], name: str) -> None:
    items = checked(as_folder(tmp_path, bundle_11() | change))
    assert [(item.name, item.ok) for item in items.values()] == [(name, False)]
    assert items[name].remedy


def test_a_school_id_that_is_there_under_another_id_is_named(tmp_path: Path) -> None:
    items = checked(as_folder(tmp_path, bundle_12()), school="SCH-1")
    assert items["School"].ok is False
    assert "Harbour Middle School has the sourcedId sch-1" in items["School"].detail
    assert "Students" not in items


def test_what_the_bundle_does_not_have_is_not_offered_and_not_zero(tmp_path: Path) -> None:
    lacking = ("enabledUser", "username", "userIds", "identifier", "email", "grades", "agentSourcedIds")
    bare = dict.fromkeys(lacking, "")
    items = checked(as_folder(tmp_path, bundle_11(STUDENT | bare)))
    assert items["Disabled accounts"].detail == "not offered by the SIS"
    assert items["Student number"].detail == "not offered by the SIS"
    assert items["Fields"].detail == "not offered by the SIS: e-mail, user name, grades"
    assert items["Enrollments"].detail.startswith("not offered")
    assert items["Guardians"].detail.startswith("not offered")
