"""UTF-8 with and without its mark, Windows-1252 with a note, and damage that must not garble a whole district."""

from __future__ import annotations

from pathlib import Path

import pytest

from roster_pipeline.oneroster.bundle import WrongEncoding
from roster_pipeline_tests.oneroster_bundle.writing import STUDENT, USERS_11, bundle_11, read, table

ZOE = STUDENT | {"givenName": "Zoë", "familyName": "Müller-Straße"}


def users(*rows: dict[str, str]) -> bytes:
    return table(USERS_11, rows)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_utf_8_is_read_with_and_without_its_mark(tmp_path: Path, mark: bytes) -> None:
    found = read(tmp_path, bundle_11() | {"users.csv": mark + users(ZOE)})
    assert (found.user("stu-1")["givenName"], found.user("stu-1")["familyName"]) == ("Zoë", "Müller-Straße")
    assert not any(note.startswith("encoding") for note in found.proof.notes)


def test_windows_1252_is_read_with_a_note(tmp_path: Path) -> None:
    found = read(tmp_path, bundle_11() | {"users.csv": users(ZOE).decode().encode("cp1252")})
    assert found.user("stu-1")["familyName"] == "Müller-Straße"
    assert "encoding:users:windows-1252" in found.proof.notes
    assert found.proof.complete


def test_capitals_beside_a_curly_apostrophe_do_not_make_windows_1252_look_like_utf_8(tmp_path: Path) -> None:
    rows = [ZOE | {"familyName": "D’ANDRÉ’S"}, ZOE | {"sourcedId": "stu-2", "familyName": "Çelik"}]
    found = read(tmp_path, bundle_11() | {"users.csv": users(*rows).decode().encode("cp1252")})
    assert [user["familyName"] for user in found.users] == ["D’ANDRÉ’S", "Çelik"]


def test_a_damaged_letter_rejects_its_row_and_garbles_no_other(tmp_path: Path) -> None:
    rows = [ZOE | {"sourcedId": f"stu-{n}"} for n in range(20)]
    content = users(*rows).replace(
        b"stu-7,,,true,sch-1,student,mira,{SIS:1042},Zo\xc3\xab", b"stu-7,,,true,sch-1,student,mira,{SIS:1042},Zo\xc3"
    )
    found = read(tmp_path, bundle_11() | {"users.csv": content})
    assert {user["familyName"] for user in found.users} == {"Müller-Straße"}
    assert [(one["sourcedId"], one["rule"]) for one in found.rejects] == [("stu-7", "letters-unreadable")]
    assert len(found.users) == 19
    assert found.proof.complete


def test_a_file_that_ends_inside_a_letter_is_damaged(tmp_path: Path) -> None:
    content = users(ZOE, ZOE | {"sourcedId": "stu-2"})
    found = read(tmp_path, bundle_11() | {"users.csv": content[: content.rindex(b"\xc3") + 1]})
    assert "ends-inside-a-row:users" in found.proof.problems


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_by_name(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(WrongEncoding, match=r"users\.csv is written in UTF-16"):
        read(tmp_path, bundle_11() | {"users.csv": users(ZOE).decode().encode(encoding)})


@pytest.mark.parametrize("breaks", [b"\n", b"\r\n", b"\r"])
def test_all_kinds_of_line_breaks_are_read(tmp_path: Path, breaks: bytes) -> None:
    content = users(ZOE, ZOE | {"sourcedId": "stu-2"}).replace(b"\r\n", breaks)
    assert len(read(tmp_path, bundle_11() | {"users.csv": content}).users) == 2
