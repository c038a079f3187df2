"""From rows to users: roles and schools, lists, metadata, order and case of columns."""

import re
from pathlib import Path

import pytest

from roster_pipeline.oneroster import Wanted
from roster_pipeline.oneroster.bundle import WrongHeader
from roster_pipeline_tests.oneroster_bundle.writing import (
    ORGS,
    ROLE,
    ROLES,
    SCHOOL,
    SCHOOL_TOO,
    STUDENT,
    USERS_11,
    USERS_12,
    bundle_11,
    bundle_12,
    manifest,
    read,
    table,
)

PARENT = {
    "sourcedId": "gdn-1",
    "givenName": "Ines",
    "familyName": "Oduya",
    "role": "guardian",
    "agentSourcedIds": "stu-1",
}


def test_a_student_of_1_1(tmp_path: Path) -> None:
    result = read(tmp_path, bundle_11())
    assert result.users == [
        {
            "sourcedId": "stu-1",
            "status": None,
            "dateLastModified": None,
            "enabledUser": True,
            "username": "mira",
            "identifier": "1042",
            "userMasterIdentifier": None,
            "givenName": "Mira",
            "familyName": "Oduya",
            "middleName": None,
            "preferredFirstName": None,
            "preferredMiddleName": None,
            "preferredLastName": None,
            "email": "mira@pupils.example.org",
            "sms": None,
            "phone": None,
            "userIds": [{"type": "SIS", "identifier": "1042"}],
            "roles": [{"role": "student", "roleType": None, "org": "sch-1", "beginDate": None, "endDate": None}],
            "agents": ["gdn-1", "gdn-2"],
            "grades": ["07"],
            "metadata": {},
        }
    ]
    [org] = result.orgs
    assert (org["sourcedId"], org["name"], org["identifier"]) == ("sch-1", "Harbour Middle School", "0300")


def test_a_student_of_1_2_has_the_roles_of_roles_csv(tmp_path: Path) -> None:
    roles = [
        ROLE | {"beginDate": "2026-08-17"},
        ROLE | {"sourcedId": "r-2", "orgSourcedId": "sch-2", "roleType": "secondary", "endDate": "2027-01-31"},
        ROLE | {"sourcedId": "r-3", "beginDate": "2026-08-17"},
    ]
    user = read(tmp_path, bundle_12(roles=roles)).user("stu-1")
    assert user["roles"] == [
        {"role": "student", "roleType": "primary", "org": "sch-1", "beginDate": "2026-08-17", "endDate": None},
        {"role": "student", "roleType": "secondary", "org": "sch-2", "beginDate": None, "endDate": "2027-01-31"},
    ]


def test_roles_may_come_in_any_order(tmp_path: Path) -> None:
    users = [STUDENT | {"sourcedId": f"stu-{n}"} for n in range(2500)]
    roles = [
        ROLE | {"sourcedId": f"r-{n}-{org}", "userSourcedId": f"stu-{n}", "orgSourcedId": f"sch-{org}"}
        for org in (1, 2)
        for n in reversed(range(2500))
        if org == 1 or n % 2
    ]
    result = read(tmp_path, bundle_12(*users, roles=roles))
    assert {user["sourcedId"]: [entry["org"] for entry in user["roles"]] for user in result.users} == {
        f"stu-{n}": ["sch-1", "sch-2"] if n % 2 else ["sch-1"] for n in range(2500)
    }
    assert result.proof.pages == 3
    assert result.proof.problems == ()


def test_somebody_without_a_row_in_roles_csv_has_no_role(tmp_path: Path) -> None:
    result = read(tmp_path, bundle_12(STUDENT, STUDENT | {"sourcedId": "stu-2"}))
    assert result.user("stu-2")["roles"] == []


def test_q98_roles_in_users_csv_are_read_where_there_is_no_roles_csv(tmp_path: Path) -> None:
    columns = (*USERS_12, "role", "orgSourcedIds")
    files = bundle_12() | {
        "manifest.csv": manifest("1.2", orgs="bulk", users="bulk", roles="absent"),
        "users.csv": table(columns, [STUDENT | {"orgSourcedIds": "sch-1,sch-2"}]),
    }
    del files["roles.csv"]
    result = read(tmp_path, files)
    assert [entry["org"] for entry in result.user("stu-1")["roles"]] == ["sch-1", "sch-2"]
    assert (result.proof.version, result.proof.mode) == ("1.2", "full")


def test_q98_roles_csv_wins_over_roles_in_users_csv(tmp_path: Path) -> None:
    files = bundle_12() | {"users.csv": table(USERS_11, [STUDENT | {"role": "teacher", "orgSourcedIds": "sch-9"}])}
    [entry] = read(tmp_path, files).user("stu-1")["roles"]
    assert (entry["role"], entry["org"]) == ("student", "sch-1")


def test_q98_one_row_per_role_stays_two_records(tmp_path: Path) -> None:
    teacher = STUDENT | {"sourcedId": "t-1", "role": "teacher"}
    result = read(tmp_path, bundle_11(teacher, teacher | {"sourcedId": "a-1", "role": "administrator"}))
    assert [user["sourcedId"] for user in result.users] == ["t-1", "a-1"]


def test_the_same_id_twice_makes_the_bundle_incomplete(tmp_path: Path) -> None:
    result = read(tmp_path, bundle_11(STUDENT, STUDENT | {"email": "other@pupils.example.org"}))
    assert len(result.users) == 1
    assert (result.rules, result.proof.duplicates, result.proof.problems) == (["repeated"], 1, ("duplicates",))


def test_q96_header_case_blanks_order_and_extra_columns_do_not_matter(tmp_path: Path) -> None:
    columns = [*reversed(USERS_11)]
    header = [f" {name[0].upper()}{name[1:].replace('Id', 'ID')} " for name in columns]
    body = table(
        columns, [STUDENT | {"orgSourcedIds": "sch-1, sch-2 ,sch-3", "email": " ", "agentSourcedIds": " a , b"}]
    )
    users = b"\xef\xbb\xbf" + ",".join([*header, "metadata.vendorNote", ""]).encode() + b"\r\n"
    users += body.split(b"\r\n", 1)[1].replace(b"\r\n", b",x,\r\n")
    result = read(tmp_path, bundle_11() | {"users.csv": users})
    user = result.user("stu-1")
    assert [entry["org"] for entry in user["roles"]] == ["sch-1", "sch-2", "sch-3"]
    assert (user["email"], user["agents"], user["givenName"]) == (None, ["a", "b"], "Mira")
    assert result.proof.complete


def test_q72_metadata_that_is_wanted_is_kept(tmp_path: Path) -> None:
    columns = (*USERS_12, "metadata.jp.kanaGivenName", "Metadata.JP.homeClass", "metadata.other")
    row = STUDENT | {"metadata.jp.kanaGivenName": "ミラ", "Metadata.JP.homeClass": "7B", "metadata.other": "x"}
    files = bundle_12() | {
        "manifest.csv": manifest("1.2_JP", orgs="bulk", users="bulk", roles="bulk"),
        "users.csv": b"\xef\xbb\xbf" + table(columns, [row]),
    }
    result = read(tmp_path, files, metadata_keys=("jp.kanaGivenName", "jp.homeClass", "studentNumber"))
    assert result.user("stu-1")["metadata"] == {"jp.kanaGivenName": "ミラ", "jp.homeClass": "7B"}
    assert read(tmp_path, files).user("stu-1")["metadata"] == {}


def test_preferred_names_of_1_2_are_read(tmp_path: Path) -> None:
    columns = (*USERS_12, "preferredGivenName", "preferredMiddleName", "preferredFamilyName", "userMasterIdentifier")
    row = STUDENT | dict(zip(columns[-4:], ("Mimi", "M.", "Odu", "urn:1"), strict=True))
    user = read(tmp_path, bundle_12() | {"users.csv": table(columns, [row])}).user("stu-1")
    names = ("preferredFirstName", "preferredMiddleName", "preferredLastName", "userMasterIdentifier")
    assert [user[name] for name in names] == ["Mimi", "M.", "Odu", "urn:1"]


def test_several_user_ids_in_one_cell_are_taken_apart(tmp_path: Path) -> None:
    user = read(tmp_path, bundle_11(STUDENT | {"userIds": "{LDAP:cn=x,ou=y},{SIS:4711}"})).user("stu-1")
    assert user["userIds"] == [{"type": "LDAP", "identifier": "cn=x,ou=y"}, {"type": "SIS", "identifier": "4711"}]


def test_a_password_never_leaves_the_file(tmp_path: Path) -> None:
    assert "hunter2" not in str(read(tmp_path, bundle_11(STUDENT | {"password": "hunter2"})).users)


def test_guardians_come_only_if_they_are_wanted(tmp_path: Path) -> None:
    files = bundle_11(STUDENT, PARENT)
    assert len(read(tmp_path, files).users) == 2
    result = read(tmp_path, files, wanted=Wanted())
    assert [user["sourcedId"] for user in result.users] == ["stu-1"]
    assert result.proof.left_out == 1


def test_a_pull_for_some_schools_brings_their_people_and_all_guardians(tmp_path: Path) -> None:
    elsewhere = STUDENT | {"sourcedId": "stu-9", "orgSourcedIds": "sch-2"}
    files = bundle_11(STUDENT, PARENT, elsewhere) | {"orgs.csv": table(ORGS, [SCHOOL, SCHOOL_TOO])}
    result = read(tmp_path, files, wanted=Wanted(school_ids=("sch-1",), contacts=True))
    assert [user["sourcedId"] for user in result.users] == ["stu-1", "gdn-1"]


def without(columns: tuple[str, ...], name: str) -> bytes:
    return table([column for column in columns if column != name], [STUDENT | ROLE])


@pytest.mark.parametrize(
    ("files", "name", "content", "said"),
    [
        (bundle_11(), "users.csv", without(USERS_11, "sourcedId"), "lacks the column sourcedId"),
        (bundle_11(), "users.csv", without(USERS_11, "familyName"), "lacks the column familyName"),
        (bundle_11(), "users.csv", without(USERS_11, "orgSourcedIds"), "lacks the column orgSourcedIds"),
        (bundle_11(mode="delta"), "users.csv", without(USERS_11, "status"), "lacks the column status"),
        (bundle_11(), "orgs.csv", without(ORGS, "name"), "lacks the column name"),
        (bundle_12(), "roles.csv", without(ROLES, "orgSourcedId"), "lacks the column orgSourcedId"),
        (bundle_11(), "users.csv", table((*USERS_11, "Email"), [STUDENT]), "names the column email twice"),
        (bundle_11(), "users.csv", table(USERS_11, [STUDENT]).replace(b",", b";"), "are not separated by commas"),
        (bundle_11(), "manifest.csv", manifest().replace(b",", b";"), "are not separated by commas"),
    ],
)
def test_a_wrong_header_names_the_file_and_the_column(
    tmp_path: Path, files: dict[str, bytes], name: str, content: bytes, said: str
) -> None:
    with pytest.raises(WrongHeader, match=rf"{re.escape(name)} {said}\b"):
        read(tmp_path, files | {name: content})


def test_columns_we_can_do_without_are_noted(tmp_path: Path) -> None:
    columns = [name for name in USERS_11 if name not in ("enabledUser", "username", "phone")]
    notes = read(tmp_path, bundle_11() | {"users.csv": table(columns, [STUDENT])}).proof.notes
    assert {"column-missing:users.enabledUser", "column-missing:users.username"} <= set(notes)


def test_a_note_to_spreadsheets_before_the_header_is_passed_over(tmp_path: Path) -> None:
    files = bundle_11()
    result = read(tmp_path, files | {"users.csv": b"sep=,\r\n" + files["users.csv"]})
    assert result.proof.complete
    assert [user["sourcedId"] for user in result.users] == ["stu-1"]
