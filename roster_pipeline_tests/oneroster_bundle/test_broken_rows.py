"""Rows that are none: recorded, and the bundle no whole truth where they might be somebody."""

from __future__ import annotations

from pathlib import Path

from roster_pipeline_tests.oneroster_bundle.writing import (
    ORGS,
    ROLE,
    ROLES,
    SCHOOL,
    STUDENT,
    USERS_11,
    bundle_11,
    bundle_12,
    read,
    table,
)

PEOPLE = [STUDENT | {"sourcedId": f"stu-{n}"} for n in range(1, 6)]
LINES = table(USERS_11, PEOPLE).split(b"\r\n")


def users_with(number: int, line: bytes) -> dict[str, bytes]:
    lines = list(LINES)
    lines[number] = line
    return bundle_11() | {"users.csv": b"\r\n".join(lines)}


def test_a_row_that_is_cut_is_rejected_and_spares_its_owner(tmp_path: Path) -> None:
    found = read(tmp_path, users_with(3, b"stu-3,,,true,sch-1"))
    assert [user["sourcedId"] for user in found.users] == ["stu-1", "stu-2", "stu-4", "stu-5"]
    assert [(one["sourcedId"], one["rule"], one["severity"]) for one in found.rejects] == [
        ("stu-3", "too-few-cells", "error")
    ]
    assert found.proof.complete
    assert (found.proof.records, found.proof.rejected) == (5, 1)


def test_a_comma_without_quotes_shifts_a_row_and_rejects_it(tmp_path: Path) -> None:
    found = read(tmp_path, users_with(2, LINES[2].replace(b"Oduya", b"Oduya, Jr.")))
    assert (found.rules, found.proof.complete) == (["too-many-cells"], True)


def test_a_quote_out_of_place_rejects_its_row_and_makes_the_bundle_incomplete(tmp_path: Path) -> None:
    found = read(tmp_path, users_with(2, LINES[2].replace(b"Mira", b'"Mi"ra')))
    assert [user["sourcedId"] for user in found.users] == ["stu-1", "stu-3", "stu-4", "stu-5"]
    assert found.rejects[0]["rule"] == "quotes-broken"
    assert found.proof.problems == ("unreadable-rows:users",)


def test_a_quote_that_never_ends_swallows_nobody_silently(tmp_path: Path) -> None:
    found = read(tmp_path, users_with(2, LINES[2].replace(b"Mira", b'"Mira')))
    assert "quotes-broken" in found.rules
    assert not found.proof.complete


def test_a_quote_inside_a_name_is_part_of_it(tmp_path: Path) -> None:
    found = read(tmp_path, users_with(2, LINES[2].replace(b"Mira", b'Mira "Mi"')))
    assert found.user("stu-2")["givenName"] == 'Mira "Mi"'


def test_a_line_break_inside_quotes_is_a_blank(tmp_path: Path) -> None:
    found = read(tmp_path, users_with(2, LINES[2].replace(b"Mira", b'"Mira\r\nLou"')))
    assert found.user("stu-2")["givenName"] == "Mira Lou"
    assert found.proof.complete


def test_a_file_that_ends_inside_a_row_is_incomplete(tmp_path: Path) -> None:
    content = table(USERS_11, PEOPLE)
    found = read(tmp_path, bundle_11() | {"users.csv": content[:-60]})
    assert found.proof.problems == ("ends-inside-a-row:users",)
    assert found.rules == ["too-few-cells"]


def test_empty_lines_are_nobody(tmp_path: Path) -> None:
    content = table(USERS_11, PEOPLE) + b"\r\n" + b"," * (len(USERS_11) - 1) + b"\r\n\r\n"
    found = read(tmp_path, bundle_11() | {"users.csv": content})
    assert (len(found.users), found.rejects, found.proof.records) == (5, [], 5)


def test_somebody_without_an_id_is_rejected(tmp_path: Path) -> None:
    found = read(tmp_path, bundle_11(*PEOPLE, STUDENT | {"sourcedId": ""}, STUDENT | {"sourcedId": " "}))
    assert found.rules == ["sourced-id-missing", "sourced-id-missing"]
    assert len(found.users) == 5


def test_an_unreadable_row_of_roles_makes_the_bundle_incomplete(tmp_path: Path) -> None:
    for line in (b"r-2,,,stu-2", b",,,,,student,,,sch-1", b'r-2,,,"stu-2"x,,student,,,sch-1'):
        files = bundle_12(*PEOPLE[:1]) | {"roles.csv": table(ROLES, [ROLE]) + line + b"\r\n"}
        assert read(tmp_path, files).proof.problems == ("unreadable-rows:roles",)


def test_an_org_that_cannot_be_read_is_recorded(tmp_path: Path) -> None:
    files = bundle_11()
    found = read(tmp_path, files | {"orgs.csv": files["orgs.csv"] + b"sch-3,\r\n"})
    assert [(one["sourcedId"], one["collection"], one["rule"]) for one in found.rejects] == [
        ("sch-3", "orgs", "too-few-cells")
    ]


def test_an_org_that_comes_twice_makes_the_bundle_incomplete(tmp_path: Path) -> None:
    found = read(tmp_path, bundle_11() | {"orgs.csv": table(ORGS, [SCHOOL, SCHOOL])})
    assert (len(found.orgs), found.proof.problems) == (1, ("duplicates:orgs",))
