"""Encodings, and unreadable rows: each is recorded, and if it may be about anybody, the bundle is incomplete."""

import csv
import io
from pathlib import Path

import pytest

from roster_pipeline.oneroster.bundle import BundleBroken, WrongEncoding
from roster_pipeline.oneroster.bundle.row_repair import RowRepair
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

ZOE = STUDENT | {"givenName": "Zoë", "familyName": "Müller-Straße"}
PEOPLE = [STUDENT | {"sourcedId": f"stu-{n}"} for n in range(1, 6)]
LINES = table(USERS_11, PEOPLE).split(b"\r\n")


def users(*rows: dict[str, str]) -> bytes:
    return table(USERS_11, rows)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_utf_8_is_read_with_and_without_its_mark(tmp_path: Path, mark: bytes) -> None:
    result = read(tmp_path, bundle_11() | {"users.csv": mark + users(ZOE)})
    assert (result.user("stu-1")["givenName"], result.user("stu-1")["familyName"]) == ("Zoë", "Müller-Straße")
    assert not any(note.startswith("encoding") for note in result.proof.notes)


def test_windows_1252_is_read_with_a_note(tmp_path: Path) -> None:
    result = read(tmp_path, bundle_11() | {"users.csv": users(ZOE).decode().encode("cp1252")})
    assert result.user("stu-1")["familyName"] == "Müller-Straße"
    assert "encoding:users:windows-1252" in result.proof.notes
    assert result.proof.complete


def test_capitals_beside_a_curly_apostrophe_do_not_make_windows_1252_look_like_utf_8(tmp_path: Path) -> None:
    rows = [ZOE | {"familyName": "D’ANDRÉ’S"}, ZOE | {"sourcedId": "stu-2", "familyName": "Çelik"}]
    result = read(tmp_path, bundle_11() | {"users.csv": users(*rows).decode().encode("cp1252")})
    assert [user["familyName"] for user in result.users] == ["D’ANDRÉ’S", "Çelik"]


def test_a_damaged_letter_rejects_its_row_and_garbles_no_other(tmp_path: Path) -> None:
    rows = [ZOE | {"sourcedId": f"stu-{n}"} for n in range(20)]
    content = users(*rows).replace(
        b"stu-7,,,true,sch-1,student,mira,{SIS:1042},Zo\xc3\xab", b"stu-7,,,true,sch-1,student,mira,{SIS:1042},Zo\xc3"
    )
    result = read(tmp_path, bundle_11() | {"users.csv": content})
    assert {user["familyName"] for user in result.users} == {"Müller-Straße"}
    assert [(one["sourcedId"], one["rule"]) for one in result.rejects] == [("stu-7", "letters-unreadable")]
    assert len(result.users) == 19
    assert result.proof.complete


def test_a_file_that_ends_inside_a_letter_is_damaged(tmp_path: Path) -> None:
    content = users(ZOE, ZOE | {"sourcedId": "stu-2"})
    result = read(tmp_path, bundle_11() | {"users.csv": content[: content.rindex(b"\xc3") + 1]})
    assert "ends-inside-a-row:users" in result.proof.problems


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_by_name(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(WrongEncoding, match=r"users\.csv is written in UTF-16"):
        read(tmp_path, bundle_11() | {"users.csv": users(ZOE).decode().encode(encoding)})


@pytest.mark.parametrize("breaks", [b"\n", b"\r\n", b"\r"])
def test_all_kinds_of_line_breaks_are_read(tmp_path: Path, breaks: bytes) -> None:
    content = users(ZOE, ZOE | {"sourcedId": "stu-2"}).replace(b"\r\n", breaks)
    assert len(read(tmp_path, bundle_11() | {"users.csv": content}).users) == 2


def users_with(number: int, line: bytes) -> dict[str, bytes]:
    lines = list(LINES)
    lines[number] = line
    return bundle_11() | {"users.csv": b"\r\n".join(lines)}


CUT = LINES[2][:35] + LINES[4][-30:]
"""The rest of one row and another row are missing, and the row between them."""
SPLIT = LINES[3].replace(b"Mira", b"Mi\r\nra")
"""A line break in a cell without quotes: two short rows."""
DROPPED = LINES[1].rstrip(b",")


@pytest.mark.parametrize(
    ("lines", "rejected", "complete"),
    [
        ([*LINES[:3], b"stu-3,,,true,sch-1", *LINES[4:]], ["stu-3"], False),
        ([*LINES[:2], CUT, *LINES[5:]], ["stu-2"], False),
        ([*LINES[:2], CUT.replace(b"mira", b"\xc3"), *LINES[5:]], ["stu-2"], False),
        ([*LINES[:2], LINES[2][:-20] + LINES[4][-70:], *LINES[5:]], ["stu-2"], False),
        ([*LINES[:2], LINES[2].replace(b"Mira", b"Mira, Ann, Jr."), *LINES[3:]], ["stu-2"], True),
        ([*LINES[:3], SPLIT, *LINES[4:]], ["ra", "stu-3"], True),
        ([*LINES[:3], SPLIT, CUT, *LINES[5:]], ["ra", "stu-2", "stu-3"], False),
        ([LINES[0], b"-----", *LINES[1:]], ["-----"], True),
        ([LINES[0], DROPPED, *LINES[2:3], b"stu-3,,,true,sch-1", *LINES[4:]], ["stu-3"], True),
    ],
)
def test_a_row_that_is_cut_shows_that_other_rows_may_be_missing(
    tmp_path: Path, lines: list[bytes], rejected: list[str], *, complete: bool
) -> None:
    """A row with an extra comma or line break is one row, and an export may always write short rows."""
    result = read(tmp_path, bundle_11() | {"users.csv": b"\r\n".join(lines)})
    assert sorted(one["sourcedId"] for one in result.rejects if one["severity"] == "error") == rejected
    assert result.proof.problems == (() if complete else ("unreadable-rows:users",))


def test_a_row_that_may_hold_two_people_is_anybodys(tmp_path: Path) -> None:
    content = b"\r\n".join([*LINES[:2], LINES[2] + LINES[3], *LINES[4:]])
    result = read(tmp_path, bundle_11() | {"users.csv": content})
    assert [user["sourcedId"] for user in result.users] == ["stu-1", "stu-4", "stu-5"]
    assert result.proof.problems == ("unreadable-rows:users",)


@pytest.mark.parametrize(
    ("cell", "name", "rules", "complete"),
    [
        (b"Mira, Jr.", None, ["too-many-cells"], True),
        (b'Mira "Mi"', 'Mira "Mi"', [], True),
        (b'"Mira\r\nLou"', "Mira Lou", [], True),
        (b'"Mira', None, ["quotes-broken"], False),
    ],
)
def test_a_cell_with_a_comma_a_quote_or_a_line_break(
    tmp_path: Path, cell: bytes, name: str | None, rules: list[str], complete: bool
) -> None:
    result = read(tmp_path, users_with(2, LINES[2].replace(b"Mira", cell)))
    assert next((one["givenName"] for one in result.users if one["sourcedId"] == "stu-2"), None) == name
    assert (sorted(set(result.rules)), result.proof.complete) == (rules, complete)


def test_a_blank_before_the_quotation_marks_is_no_part_of_a_cell(tmp_path: Path) -> None:
    usual = read(tmp_path / "usual", bundle_11(*PEOPLE))
    rows = csv.reader(io.StringIO(b"\n".join(LINES).decode()))
    blanks = "".join(", ".join(f'"{cell}"' for cell in row) + "\r\n" for row in rows)
    result = read(tmp_path / "blanks", bundle_11() | {"users.csv": blanks.encode()})
    assert result.proof.complete
    assert result.users == usual.users


@pytest.mark.timeout(30)
def test_an_absurdly_long_cell_at_the_end_of_a_short_row_takes_no_longer_than_its_letters() -> None:
    header = ["sourcedId", "familyName", "identifier", "email"]
    repair = RowRepair(header, {name: at for at, name in enumerate(header)})
    assert repair.fitted(["a", "Oduya", "1" * 120_000]) is not None
    assert repair.fitted(["a", "Oduya", "1" * 120_000 + "!"]) is None


def test_a_quote_out_of_place_rejects_its_row_and_makes_the_bundle_incomplete(tmp_path: Path) -> None:
    result = read(tmp_path, users_with(2, LINES[2].replace(b"Mira", b'"Mi"ra')))
    assert [user["sourcedId"] for user in result.users] == ["stu-1", "stu-3", "stu-4", "stu-5"]
    assert result.rejects[0]["rule"] == "quotes-broken"
    assert result.proof.problems == ("unreadable-rows:users",)


@pytest.mark.parametrize(("opened", "closed"), [("stu-2", "stu-3"), ("stu-2", "stu-5"), ("stu-1", "stu-5")])
@pytest.mark.parametrize("cell", ["Mira", "mira", "Oduya"])
def test_two_quotes_in_different_rows_swallow_nobody_silently(
    tmp_path: Path, opened: str, closed: str, cell: str
) -> None:
    """The rows between them become one cell, and the resulting row has the right length."""
    plain = [one | {"agentSourcedIds": "", "userIds": ""} for one in PEOPLE]
    lines = table(USERS_11, plain).split(b"\r\n")
    quoted = {opened.encode(): b'"' + cell.encode(), closed.encode(): cell.encode() + b'"'}
    for at, line in enumerate(lines):
        lines[at] = line.replace(cell.encode(), quoted.get(line.partition(b",")[0], cell.encode()), 1)
    result = read(tmp_path, bundle_11() | {"users.csv": b"\r\n".join(lines)})
    assert "quotes-broken" in result.rules
    assert "unreadable-rows:users" in result.proof.problems


def test_files_that_were_joined_with_their_headers_make_nobody_of_a_header(tmp_path: Path) -> None:
    again = [LINES[0], *LINES[1:3], b"\xef\xbb\xbf" + LINES[0], *LINES[3:]]
    result = read(tmp_path, bundle_11() | {"users.csv": b"\r\n".join(again)})
    assert (len(result.users), result.rejects, result.proof.complete) == (5, [], True)


def test_rows_that_were_joined_with_their_mark_are_of_the_same_people(tmp_path: Path) -> None:
    content = b"\r\n".join(b"\xef\xbb\xbf" + line for line in LINES)
    result = read(tmp_path, bundle_11() | {"users.csv": content})
    assert [user["sourcedId"] for user in result.users] == [one["sourcedId"] for one in PEOPLE]
    assert result.proof.complete


@pytest.mark.parametrize("written", ['="{}"', '"=""{}"""'])
def test_a_cell_that_was_written_as_a_formula_is_read(tmp_path: Path, written: str) -> None:
    cells = [written.format(cell) for cell in ("a", "Mira, S.", "0042", "")]
    content = "sourcedId,orgSourcedIds,role,givenName,familyName,identifier,email\r\n"
    content += ",".join([cells[0], "sch-1", "student", cells[1], "Oduya", *cells[2:]]) + "\r\n"
    user = read(tmp_path, bundle_11() | {"users.csv": content.encode()}).user("a")
    assert (user["givenName"], user["identifier"], user["email"]) == ("Mira, S.", "0042", None)


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("ERROR: ORA-01555: snapshot too old", False),
        ("<html><body>500</body></html>", False),
        ("Total: 40 rows", False),
        ("Total: 5 rows", True),
        ("(5 rows affected)", True),
        ("T,5", True),
        ("END", True),
        ("-- eof --", True),
        ("Timeout", False),
        ("T,40", False),
        ("stu-9", False),
        ("stu-9,,2026-01-0", False),
    ],
)
def test_a_text_after_the_last_row_is_not_a_person(tmp_path: Path, text: str, *, complete: bool) -> None:
    """An export that failed in the middle writes its error there, or half a row. The right number of rows says that it
    did not."""
    result = read(tmp_path, bundle_11() | {"users.csv": table(USERS_11, PEOPLE) + text.encode() + b"\r\n"})
    assert result.proof.problems == (() if complete else ("unreadable-rows:users",))
    assert (len(result.users), result.rules) == (5, ["too-few-cells"])


@pytest.mark.parametrize(("end", "complete"), [("\x1a", True), ("\0" * 20, False)])
def test_ctrl_z_ends_a_file_and_zeros_are_a_write_that_broke_off(tmp_path: Path, end: str, *, complete: bool) -> None:
    result = read(tmp_path, bundle_11() | {"users.csv": table(USERS_11, PEOPLE) + end.encode()})
    assert (result.proof.complete, len(result.users)) == (complete, 5)


def test_a_file_that_ends_inside_a_row_is_incomplete(tmp_path: Path) -> None:
    content = table(USERS_11, PEOPLE)
    result = read(tmp_path, bundle_11() | {"users.csv": content[:-60]})
    assert result.proof.problems == ("ends-inside-a-row:users",)
    assert result.rules == ["too-few-cells"]


def test_empty_lines_are_nobody(tmp_path: Path) -> None:
    content = table(USERS_11, PEOPLE) + b"\r\n" + b"," * (len(USERS_11) - 1) + b"\r\n\r\n"
    result = read(tmp_path, bundle_11() | {"users.csv": content})
    assert (len(result.users), result.rejects, result.proof.records) == (5, [], 5)


@pytest.mark.parametrize("no_id", ["", " ", "NULL", "x" * 601])
def test_somebody_without_an_id_may_be_anybody(tmp_path: Path, no_id: str) -> None:
    result = read(tmp_path, bundle_11(*PEOPLE, STUDENT | {"sourcedId": no_id}))
    assert result.rules[0] in ("sourced-id-missing", "sourced-id-unreadable")
    assert (len(result.users), result.proof.problems) == (5, ("unreadable-rows:users",))


def test_a_row_with_neither_id_nor_name_is_nobody(tmp_path: Path) -> None:
    nobody = {"grades": "07", "role": "student"}
    assert read(tmp_path, bundle_11(*PEOPLE, nobody)).proof.complete


@pytest.mark.parametrize("shortened", ["1.23457E+15", "1,2E+15", "#REF!", "#N/A", "#####"])
def test_an_id_that_a_spreadsheet_wrote_for_two_people_is_anybodys(tmp_path: Path, shortened: str) -> None:
    other = STUDENT | {"sourcedId": shortened, "givenName": "Dov", "familyName": "Penn"}
    assert read(tmp_path / "one", bundle_11(*PEOPLE, other)).proof.complete
    result = read(tmp_path / "two", bundle_11(*PEOPLE, other, STUDENT | {"sourcedId": shortened}))
    assert result.proof.problems == ("unreadable-rows:users",)


def test_a_role_of_an_id_that_only_roles_csv_shortens_is_anybodys(tmp_path: Path) -> None:
    roles = [ROLE, ROLE | {"userSourcedId": "1.23457E+15"}]
    assert read(tmp_path / "a", bundle_12(STUDENT, roles=roles)).proof.problems[0] == "unreadable-rows:roles"
    both = bundle_12(STUDENT, STUDENT | {"sourcedId": "1.23457E+15"}, roles=roles)
    assert read(tmp_path / "b", both).proof.complete


def test_an_unreadable_row_of_roles_makes_the_bundle_incomplete(tmp_path: Path) -> None:
    for line in (b"r-2,,,stu-2", b",,,,,student,,,sch-1", b'r-2,,,"stu-2"x,,student,,,sch-1'):
        files = bundle_12(*PEOPLE[:1]) | {"roles.csv": table(ROLES, [ROLE]) + line + b"\r\n"}
        assert read(tmp_path, files).proof.problems == ("unreadable-rows:roles",)


def test_an_org_that_cannot_be_read_or_comes_twice_is_recorded(tmp_path: Path) -> None:
    header, *orgs = table(ORGS, [SCHOOL, SCHOOL]).splitlines(keepends=True)
    result = read(tmp_path, bundle_11() | {"orgs.csv": b"".join([header, b"sch-3,\r\n", *orgs])})
    assert (len(result.orgs), result.proof.problems) == (1, ("unreadable-rows:orgs", "duplicates:orgs"))
    assert [(one["sourcedId"], one["collection"], one["rule"]) for one in result.rejects] == [
        ("sch-3", "orgs", "too-few-cells")
    ]


def test_a_file_with_a_hole_is_an_error(tmp_path: Path) -> None:
    """A server that stopped while it wrote leaves zeros. The row around them looks like one short row of one person."""
    content = users(*PEOPLE)
    with pytest.raises(BundleBroken, match=r"users\.csv has a hole"):
        read(tmp_path, bundle_11() | {"users.csv": content[:400] + bytes(512) + content[600:]})


FRENCH = ("Hélène D’Été-Šimek", "Zoë Mª O´Brien", "François l·lull", "Ægir Þórr Öğe", "Noël ß")


def test_windows_1252_of_western_names_is_read(tmp_path: Path) -> None:
    people = [STUDENT | {"sourcedId": str(place), "familyName": name} for place, name in enumerate(FRENCH)]
    content = users(*people).decode().encode("cp1252", "ignore")
    assert read(tmp_path, bundle_11() | {"users.csv": content}).users[0]["familyName"] == FRENCH[0]


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("mac_roman", ("José", "Müller", "Zoë", "Hélène", "André")),
        ("cp850", ("José", "Muñoz", "Núria", "Hélène", "Rodríguez")),
        ("cp1250", ("Paweł", "Michał", "Łukasz", "Małgorzata", "Świątek")),
        ("cp1251", ("Иван", "Мария", "Пётр")),
        ("cp1253", ("Γιώργος", "Μαρία")),
    ],
)
def test_other_encodings_are_refused_by_name(tmp_path: Path, encoding: str, names: tuple[str, ...]) -> None:
    people = [STUDENT | {"sourcedId": str(place), "familyName": name} for place, name in enumerate(names)]
    with pytest.raises(WrongEncoding, match=r"users\.csv is written neither in UTF-8"):
        read(tmp_path, bundle_11() | {"users.csv": users(*people).decode().encode(encoding)})
