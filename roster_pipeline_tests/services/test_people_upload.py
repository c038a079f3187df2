"""Uploaded lists of people: reading files, matching rows, entering and undoing."""

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.worksheet.formula import ArrayFormula, DataTableFormula

from roster_pipeline.directory import ledger, manual_edits, members, uploads
from roster_pipeline.directory.accounts import COMMAND_LINE, Account
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.directory.uploads import Upload
from roster_pipeline.services import people_file, people_upload, workbook
from roster_pipeline.services.people_file import PeopleFile, fields_of_columns, read_people_file
from roster_pipeline.services.people_upload import Preview, UploadChanged
from roster_pipeline.services.workbook import FileUnusable
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.directory.builders import BY, by_hand, every, newcomer, one, person_of, sync_rows
from roster_pipeline_tests.hostile_strings import leaked

NAMES = ("given_name", "family_name", "email", "number", "role", "grade")


def csv_of(*rows: list[str], separator: str = ",", encoding: str = "utf-8") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows(rows)
    return out.getvalue().encode(encoding)


def xlsx_of(*rows: list[Any]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def listed(*rows: tuple[str, ...], header: tuple[str, ...] = NAMES) -> PeopleFile:
    filled = [[*row, *[""] * (len(header) - len(row))] for row in rows]
    return PeopleFile(list(header), list(enumerate(filled, 2)))


def seen(
    database: Database,
    school: SchoolRow,
    file: PeopleFile,
    *,
    role: str = "student",
    reader: Account = COMMAND_LINE,
    choices: dict[int, str] | None = None,
) -> Preview:
    with database.begin() as conn:
        columns = fields_of_columns(file.header)
        return people_upload.preview(conn, school, file, columns, role=role, reader=reader, choices=choices)


def entered(
    database: Database,
    school: SchoolRow,
    file: PeopleFile,
    digest: str | None = None,
    choices: dict[int, str] | None = None,
) -> int:
    digest = digest or seen(database, school, file).digest
    upload = Upload(1, file.header, file.rows, fields_of_columns(file.header), "student", choices or {})
    return database.call(people_upload.apply, school, upload, digest, reader=COMMAND_LINE, **BY)


@pytest.fixture
def kim(database: Database, oak: SchoolRow) -> int:
    """Somebody of another school."""
    sync_rows(database, oak, newcomer("u3", "Kim", changes={"family_name": "Roe", "email": "kim@example.org"}))
    return person_of(database, "u3")


HEADER, ADA = ["First name", "Last name"], ["Ada", "Lovelace"]


@pytest.mark.parametrize(
    "data",
    [
        csv_of(HEADER, ADA),
        csv_of([], HEADER, [], ADA),
        csv_of(HEADER, ADA, separator=";"),
        csv_of(HEADER, ADA, separator="\t"),
        csv_of(HEADER, ADA, encoding="utf-8-sig"),
        csv_of(HEADER, ADA, encoding="utf-16"),
        xlsx_of(HEADER, ADA),
        xlsx_of(HEADER, [" Ada ", "Lovelace", None]),
    ],
)
def test_a_list_is_read_from_csv_and_xlsx(data: bytes) -> None:
    read = read_people_file(data)
    assert read.header == HEADER
    assert [cells for _, cells in read.rows] == [ADA]


def test_cells_become_text() -> None:
    values = ["x", 4711, 9.0, 1.5, True, date(2026, 3, 2), None, "\u00c4da"]
    read = read_people_file(xlsx_of([f"c{place}" for place in range(8)], values))
    assert read.rows[0][1] == ["x", "4711", "9", "1.5", "yes", "2026-03-02", "", "\u00c4da"]
    assert read_people_file(csv_of(["n"], ["\u00c4da"], encoding="cp1252")).rows[0][1] == ["\u00c4da"]
    assert read_people_file(csv_of(["n"], ["'09"])).rows[0][1] == ["09"], "as our own files write it"


def book_of(*sheets: tuple[str, list[list[Any]]]) -> bytes:
    """A workbook with these sheets; each has a state and rows."""
    book = Workbook()
    book.remove(book.active)
    for state, rows in sheets:
        sheet = book.create_sheet()
        sheet.sheet_state = state
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


TITLE = ["Class list 9A, Lincoln High, 3 November"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(csv_of(TITLE, [], HEADER, ADA, separator=";"), id="title, other separator"),
        pytest.param(xlsx_of(TITLE, HEADER, ADA), id="title in a sheet"),
        pytest.param(b"sep=;\r\n" + csv_of(HEADER, ADA, separator=";"), id="note of the separator"),
        pytest.param(csv_of(HEADER, ADA, separator="|"), id="bars"),
        pytest.param(book_of(("hidden", [["Grades"], ["09"]]), ("visible", [HEADER, ADA])), id="hidden sheet first"),
        pytest.param(book_of(("visible", [TITLE]), ("visible", [HEADER, ADA])), id="cover sheet first"),
        pytest.param(
            book_of(("visible", [HEADER, ADA]), ("hidden", [HEADER, ["Old", "List"]])), id="old list in a hidden sheet"
        ),
    ],
)
def test_a_list_is_found_below_a_title_and_beside_other_sheets(data: bytes) -> None:
    read = read_people_file(data)
    assert (read.header, [cells for _, cells in read.rows]) == (HEADER, [ADA])


@pytest.mark.parametrize(
    "title", [pytest.param([], id="no title"), pytest.param(TITLE, id="title"), pytest.param(["sep=", ""], id="note")]
)
def test_columns_with_names_in_another_language_are_found_although_some_lines_have_commas(title: list[str]) -> None:
    header, people = ["Vorname", "Nachname"], [["Ada", "Lovelace, Dr."], ["Kim", "Lee"], ["Alan", "Turing"]]
    data = "\n".join(";".join(cells) for cells in (title, header, *people))
    read = read_people_file(data.encode())
    assert (read.header, [cells for _, cells in read.rows]) == (header, people)


def test_a_list_in_two_sheets_is_refused_because_one_of_them_would_be_left_out() -> None:
    with pytest.raises(FileUnusable, match="Several sheets"):
        read_people_file(book_of(("visible", [HEADER, ADA]), ("visible", [HEADER, ["Alan", "Turing"]])))


@pytest.mark.parametrize(("encoding", "name"), [("mac_roman", "Amélie"), ("cp850", "Amélie"), ("cp1251", "Иван")])
def test_a_list_whose_letters_show_an_unknown_encoding_is_refused(encoding: str, name: str) -> None:
    with pytest.raises(FileUnusable, match="neither in UTF-8"):
        read_people_file(csv_of(HEADER, [name, "Lovelace"], encoding=encoding))


def test_a_list_of_classes_with_a_number_sign_is_in_windows_1252() -> None:
    rows = [["Zo\u00e9", "Dupr\u00e9", f"n\u00b0{place}"] for place in range(9)]
    read = read_people_file(csv_of([*HEADER, "Classe"], *rows, encoding="cp1252"))
    assert [cells for _, cells in read.rows] == rows


def test_zeros_and_texts_that_a_format_shows_belong_to_the_number() -> None:
    shown: dict[tuple[str | float, str], str] = {
        (7, "00000"): "00007", (8.0, "00000"): "00008", (9, "General"): "9", (123456, "0000"): "123456",
        (12, '"S-"0000'): "S-0012", (13, "\\S\\-0000"): "S-0013", (14, '0000"@x"'): "0014@x", (15, '"S-"0;0'): "S-15",
        (1016, "000-000"): "001-016", (1234567, "(000) 000\\-0"): "(123) 456-7", (-5, "000"): "-5", (18, "0.00"): "18",
        (19, "#,##0"): "19", ("a-20", '"S-"@'): "S-a-20", ("21", "@"): "21", ("22", "0000"): "22", (23, "@"): "23",
    }  # fmt: skip
    book = load_workbook(io.BytesIO(xlsx_of(["Number", "First name"], *([value, "Ada"] for value, _ in shown))))
    for row, (_, number_format) in enumerate(shown, 2):
        book.active.cell(row, 1).number_format = number_format
    out = io.BytesIO()
    book.save(out)
    assert [cells[0] for _, cells in read_people_file(out.getvalue()).rows] == list(shown.values())


def test_what_a_spreadsheet_cut_or_could_not_compute_is_refused(database: Database, lincoln: SchoolRow) -> None:
    cells = (("1.23E+15", "x"), ("#REF!", "x"), ("4711", "#NAME?"), ("4711", "x**"))
    rows = [("Ada", "Lovelace", *both) for both in cells]
    found = seen(database, lincoln, listed(*rows, header=("First name", "Last name", "Number", "User name")))
    assert {row.what for row in found.rows} == {people_file.UNREADABLE}


def test_a_formula_of_any_kind_is_refused(lincoln: SchoolRow) -> None:
    array, table = ArrayFormula("A2", "=LEFT(B2,2)"), DataTableFormula("A3")
    read = read_people_file(xlsx_of(HEADER, [array, "Lovelace"], [table, "Turing"], ["=B4", "Roe"]))
    columns = fields_of_columns(read.header)
    rows = [people_file.read_row(number, cells, columns, "student", lincoln) for number, cells in read.rows]
    assert [row.why for row in rows] == ["The cell of given name has a formula."] * 3


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"0" * (workbook.LARGEST_UNPACKED + 1))
    return out.getvalue()


def changed_sheet(*changes: tuple[bytes, bytes]) -> bytes:
    """A workbook whose sheet has each first text replaced by the second."""
    out, book = io.BytesIO(), zipfile.ZipFile(io.BytesIO(xlsx_of(HEADER, ADA)))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for part in book.infolist():
            content = book.read(part)
            for before, after in changes if part.filename == "xl/worksheets/sheet1.xml" else ():
                assert before in content
                content = content.replace(before, after)
            packed.writestr(part.filename, content)
    return out.getvalue()


def entities() -> bytes:
    """A workbook whose XML names entities of entities."""
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + place, b"&%c;" % (97 + place) * 50) for place in range(9)
    )
    return changed_sheet((b"<worksheet", laughs + b"]><worksheet"), (b"Ada", b"&j;"))


def one_entity() -> bytes:
    """A workbook whose XML has one long entity, and uses it a few times. The parser's own limit is far away."""
    text = b'<!DOCTYPE x [<!ENTITY a "%b">]><worksheet' % (b"A" * people_file.LONGEST_CELL)
    return changed_sheet((b"<worksheet", text), (b"Ada", b"&a;"))


def long_piece(before: bytes, after: bytes) -> bytes:
    return changed_sheet((b"<sheetData>", before + b"x" * workbook.LARGEST_PIECE + after))


def packed_by(kind: int) -> bytes:
    """A workbook, packed by one of the methods of zip."""
    out, book = io.BytesIO(), zipfile.ZipFile(io.BytesIO(xlsx_of(HEADER, ADA)))
    with zipfile.ZipFile(out, "w", kind) as packed:
        for part in book.infolist():
            packed.writestr(part.filename, book.read(part))
    return out.getvalue()


def damaged(kind: int) -> bytes:
    """The same, with damage in its first packed part."""
    data = bytearray(packed_by(kind))
    first = zipfile.ZipFile(io.BytesIO(data)).infolist()[0].filename
    begin = 30 + len(first) + 9  # behind the header of the part, and of its compression
    data[begin : begin + 40] = b"\xff" * 40
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"  \n",
        csv_of([], []),
        csv_of(HEADER),
        b"\x89PNG\r\n\x1a\n\0\0",
        csv_of([f"c{place}" for place in range(workbook.MOST_COLUMNS + 1)], ADA),
        lambda: csv_of(HEADER, *[ADA] * (workbook.MOST_ROWS + 1)),
        b"x" * (people_file.LARGEST_FILE + 1),
        b"PK\x03\x04 and then nothing",
        lambda: xlsx_of(HEADER, ADA)[:-200],
        bomb,
        entities,
        one_entity,
        lambda: changed_sheet((b"</sheetData>", b"<row/>" * workbook.MOST_ELEMENTS + b"</sheetData>")),
        lambda: long_piece(b"<!-- ", b" --><sheetData>"),
        lambda: long_piece(b"<?x ", b"?><sheetData>"),
        lambda: long_piece(b'<sheetData x="', b'">'),
        *(partial(damaged, kind) for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)),
        *(partial(packed_by, kind) for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)),
        csv_of(["a" * 200_000]),
        csv_of(HEADER, ADA) + b'"Alan,Turing\r\nKim,Roe\r\n',
        b"\xef\xbb\xbf\r\n<html><table>\n<tr><td>First name, last name</td></tr>\n<tr><td>Ada, Lovelace</td></tr>\n",
        b"%PDF-1.7\n1 0 obj\n",
    ],
)
def test_what_is_no_list_is_refused_and_not_repeated(data: bytes | Callable[[], bytes]) -> None:
    """A large one is made only when it is read."""
    with pytest.raises(FileUnusable) as refused:
        read_people_file(data() if callable(data) else data)
    assert refused.value.remedy
    assert len(str(refused.value)) < 300


def test_a_workbook_with_a_cell_in_the_last_row_and_column_is_read_like_any_other() -> None:
    far = b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row></sheetData>'
    assert read_people_file(changed_sheet((b"</sheetData>", far))).rows[0][1] == ADA


def test_columns_are_known_by_their_names() -> None:
    names = ["First Name", "SURNAME", "E-Mail", "Student ID", "grade_level", "Shoe size", "forename"]
    assert fields_of_columns(names) == ["given_name", "family_name", "email", "number", "grade", "", ""]


def test_what_each_row_would_do(database: Database, lincoln: SchoolRow, kim: int) -> None:
    known = {"family_name": "Lee", "email": "ann@example.org", "number": "7"}
    sync_rows(
        database, lincoln, newcomer("u1", "Ann", changes=known), newcomer("u2", "Ann", changes={"family_name": "Ray"})
    )
    hand = by_hand(database, lincoln, "Bo", "Poe", email="bo@example.org", role="teacher")
    gone = by_hand(database, lincoln, "Cy", "Doe", email="cy@example.org")
    database.call(manual_edits.set_archived, lincoln, gone, True, **BY)
    file = listed(
        ("New", "Person", "new@example.org", "0042", "", "9"),
        ("ANN", "Lee", "Ann@Example.org"),
        ("Annie", "Leigh", "ann@example.org"),
        ("Ann", "Ray"),
        ("Kim", "Roe", "kim@example.org"),
        ("Bo", "Poe", "bo@example.org", "", "teacher"),
        ("Bo", "Poe", "bo@example.org", "99", "teacher"),
        ("Cy", "Doe", "cy@example.org"),
        ("Ann", "Chen", "ann@example.org"),
        ("New", "Person", "new@example.org"),
        ("=1+1", "Person"),
        ("", ""),
        ("No", "Mail", "nothing"),
        ("No", "Role", "", "", "janitor"),
        ("No", "Grade", "", "", "", "99"),
        ("x" * 600, "Long"),
    )
    found = seen(database, lincoln, file)
    whats = [row.what for row in found.rows]
    assert whats == [
        "create", "nothing", "create", "look", "join", "nothing", "look", "look", "look", "look",
        "unreadable", "unreadable", "unreadable", "unreadable", "unreadable", "unreadable",
    ]  # fmt: skip
    ids = [row.person_id for row in found.rows]
    assert ids[1] == person_of(database, "u1")
    assert ids[3] == person_of(database, "u2"), "a name alone matches nobody"
    assert ids[4] == kim
    assert ids[5] == hand
    assert "row 7" in found.rows[6].why
    assert "Archived in this school" in found.rows[7].why
    assert "row 2" in found.rows[9].why
    assert "formula" in found.rows[10].why
    assert found.counts["create"] == 2


def test_a_row_that_needs_a_look_is_decided_and_nothing_else_is(
    database: Database, lincoln: SchoolRow, kim: int
) -> None:
    sync_rows(database, lincoln, newcomer("u2", "Ann", changes={"family_name": "Ray"}), newcomer("u4", "Kit"))
    ann, kit = (str(person_of(database, record)) for record in ("u2", "u4"))
    file = listed(
        ("Ann", "Ray", "ray@example.org"),
        ("Ann", "Ray", "other@example.org"),
        ("Kim", "Poe", "kim@example.org"),
        ("Di", "Fox", "di@example.org"),
        ("Di", "Fox", "di@example.org"),
    )
    plain = seen(database, lincoln, file)
    assert [row.what for row in plain.rows] == ["look", "look", "look", "create", "look"]
    assert [str(number) for number, _ in plain.rows[0].candidates] == [ann]
    for wrong in ({2: kit}, {2: str(kim)}, {2: "everything"}, {5: "out"}, {99: "new"}):
        assert seen(database, lincoln, file, choices=wrong).digest == plain.digest, wrong
    decided = seen(database, lincoln, file, choices={2: ann, 3: "new", 4: "new", 6: "out"})
    assert [row.what for row in decided.rows] == ["nothing", "create", "create", "create", "left"]
    assert decided.counts["left"] == 1
    both = seen(database, lincoln, file, choices={2: ann, 3: ann})
    assert [row.what for row in both.rows[:2]] == ["nothing", "look"]
    assert "same person as row 2" in both.rows[1].why
    with pytest.raises(UploadChanged):
        entered(database, lincoln, file, plain.digest, choices={3: "new"})
    entered(database, lincoln, file, decided.digest, choices={2: ann, 3: "new", 4: "new", 6: "out"})
    names = "select count(*) from person where given_name = :name"
    assert [one(database, names, name=name) for name in ("Ann", "Kim", "Di")] == [2, 2, 1]


def test_a_sister_whom_the_middle_name_alone_tells_apart_is_not_taken_for_the_other(
    database: Database, lincoln: SchoolRow
) -> None:
    names = {"family_name": "Roe", "middle_name": "Ann", "email": "roe@example.org"}
    sync_rows(database, lincoln, newcomer("u1", "Mary", changes=names))
    file = listed(
        ("Mary", "Ann", "Roe", "roe@example.org"),
        ("Mary", "Rose", "Roe", "roe@example.org"),
        header=("given_name", "middle_name", "family_name", "email"),
    )
    assert [row.what for row in seen(database, lincoln, file).rows] == ["nothing", "look"]


@pytest.mark.parametrize(
    "names", [("Jose", "Alvarez"), ("\u00c1LVAREZ", "Jos\u00e9"), ("", "Alvarez, Jose"), ("Jo Se", "alvarez")]
)
def test_a_name_in_another_spelling_or_order_is_looked_at(
    database: Database, lincoln: SchoolRow, names: tuple[str, str]
) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Jos\u00e9", changes={"family_name": "\u00c1lvarez"}))
    file = listed(names, ("Jose", "Perez"), header=("given_name", "family_name"))
    assert [row.what for row in seen(database, lincoln, file).rows] == ["look", "create"]


def test_decisions_count_for_the_file_and_its_columns_alone(database: Database, lincoln: SchoolRow) -> None:
    with database.begin() as conn:
        number = uploads.keep(conn, lincoln, ["a"], [(2, ["b"]), (3, ["c"])], ["given_name"], "student", who="ann")
        for choices in ({2: "new"}, {3: "out"}, {2: ""}):
            kept = uploads.kept(conn, lincoln, number, who="ann")
            assert kept is not None
            uploads.choose(conn, kept, choices)
        kept = uploads.kept(conn, lincoln, number, who="ann")
        assert kept is not None
        assert kept.choices == {3: "out"}
        uploads.choose_columns(conn, number, ["family_name"])
        other = uploads.kept(conn, lincoln, number, who="ann")
    assert other is not None
    assert (other.choices, other.hash == kept.hash) == ({}, False)


def test_only_the_manager_decides_about_somebody_of_another_school(
    database: Database, lincoln: SchoolRow, kim: int
) -> None:
    for name in ("Roe", "Poe"):
        file = listed(("Kim", name, "kim@example.org"))
        owner = replace(COMMAND_LINE, operator=False, schools=frozenset({lincoln.id}))
        for choices, what in (({}, "look"), ({2: "new"}, "look"), ({2: str(kim)}, "look"), ({2: "out"}, "left")):
            (row,) = seen(database, lincoln, file, choices=choices, reader=owner).rows
            assert (row.what, row.candidates, row.person_id) == (what, (), None)
            assert what == "left" or "A manager of the district decides" in row.why


def test_people_are_entered_in_one_sync_that_can_be_rolled_back(
    database: Database, lincoln: SchoolRow, kim: int
) -> None:
    hand = by_hand(database, lincoln, "Bo", "Poe", email="bo@example.org", role="teacher")
    database.call(manual_edits.set_lock, lincoln.district_id, hand, "username", True, **BY)
    before = every(database, "select to_jsonb(p) - 'revision' - 'updated_at' from person p order by id")
    file = listed(
        ("Ada", "Byron", "ada@example.org", "0042", "", "9", ""),
        ("Kim", "Roe", "kim@example.org", "", "", "10", ""),
        ("Bo", "Poe", "bo@example.org", "17", "teacher", "", "bopo"),
        header=(*NAMES, "username"),
    )
    sync = entered(database, lincoln, file)
    made = database.call(ledger.get_sync, sync)
    rows = database.call(members.list_members, lincoln.district_id, lincoln.id)
    assert not database.call(ledger.has_synced, lincoln.id), "the first sync still waits for approval"
    assert (made.kind, made.counts) == ("upload", {"student": {"create": 2}, "teacher": {"update": 1}})
    by_name = {row["given_name"]: row for row in rows}
    assert (by_name["Ada"]["number"], by_name["Ada"]["grade"], by_name["Ada"]["number_kind"]) == (
        "0042",
        "09",
        "student",
    )
    assert by_name["Kim"]["grade"] == "10"
    assert (by_name["Bo"]["number"], by_name["Bo"]["username"]) == ("17", None), "a locked field stays"
    assert all(not row["managed"] for row in rows)
    assert one(database, "select details->>'sync' from audit where what = 'people uploaded'") == str(sync)
    (decision,) = database.call(ledger.unreported_decisions, 10)
    assert (decision.kind, decision.sync_id, decision.counts) == ("upload", sync, {"create": 2, "update": 1})
    assert seen(database, lincoln, file).doing == 0, "a second time it changes nothing"
    with pytest.raises(UploadChanged):
        entered(database, lincoln, file)
    builders.roll_back(database, sync, who="owner", reason="the wrong list")
    assert every(database, "select to_jsonb(p) - 'revision' - 'updated_at' from person p order by id") == before
    assert one(database, "select count(*) from membership where school_id = :school", school=lincoln.id) == 1


def test_nothing_is_done_if_the_directory_changed_since_the_preview(database: Database, lincoln: SchoolRow) -> None:
    file = listed(("Ada", "Byron", "ada@example.org"))
    digest = seen(database, lincoln, file).digest
    by_hand(database, lincoln, "Ada", "Byron", email="ada@example.org")
    with pytest.raises(UploadChanged):
        entered(database, lincoln, file, digest)
    assert one(database, "select count(*) from person") == 1


def test_a_list_without_names_says_so(database: Database, lincoln: SchoolRow) -> None:
    found = seen(database, lincoln, PeopleFile(["Shoe size"], [(2, ["42"])]))
    assert found.problem
    assert found.unknown == ["Shoe size"]


def test_lists_are_kept_for_their_owner_and_for_a_day(database: Database, lincoln: SchoolRow) -> None:
    with database.begin() as conn:
        number = uploads.keep(conn, lincoln, ["a"], [(2, ["b"])], [""], "student", who="ann")
        assert uploads.kept(conn, lincoln, number, who="ann") == Upload(number, ["a"], [(2, ["b"])], [""], "student")
        assert uploads.kept(conn, lincoln, number, who="bob") is None
        uploads.choose_columns(conn, number, ["given_name"])
        kept = uploads.kept(conn, lincoln, number, who="ann")
        assert kept is not None
        assert kept.columns == ["given_name"]
    every(database, "update people_upload set at = now() - interval '25 hours' returning 1")
    assert database.call(uploads.kept, lincoln, number, who="ann") is None
    database.call(uploads.keep, lincoln, ["a"], [(2, ["b"])], [""], "", who="ann")
    assert one(database, "select count(*) from people_upload") == 1


def test_nothing_of_a_list_is_in_errors_or_in_the_audit(database: Database, lincoln: SchoolRow) -> None:
    file = listed(
        ("Zyxpoison", "Qqleak", "qqleak@zyxpoison.example", "99887766"), ("Zyxpoison", "Qqleak", "5550199777")
    )
    entered(database, lincoln, file)
    with pytest.raises(UploadChanged) as refused:
        entered(database, lincoln, file)
    said = [str(refused.value), *(row.why for row in seen(database, lincoln, file).rows)]
    said += [str(row) for row in every(database, "select * from audit")]
    said += [str(row) for row in every(database, "select * from sync")]
    assert leaked("\n".join(said)) == []


def test_the_school_of_a_connection_counts_for_numbers(database: Database, lincoln: SchoolRow) -> None:
    ann = by_hand(database, lincoln, "Ann", "Lee", number="7")
    found = seen(
        database, lincoln, listed(("Ann", "Leigh", "", "007"), ("Ann", "Lee", "", "007"), ("Bo", "Ray", "", "7"))
    )
    assert [(row.what, row.person_id) for row in found.rows] == [("look", ann)] * 3
    (alone,) = seen(database, lincoln, listed(("Bo", "Ray", "", "7"))).rows
    assert (alone.what, alone.person_id, alone.why) == ("look", ann, "Somebody else here has this number.")
