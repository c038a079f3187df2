"""Many schools from one CSV file: all are added, or none, and the error names every wrong line."""

from pathlib import Path

from roster_pipeline.cli.school_file import ALL, COLUMNS
from roster_pipeline.cli.setting_options import SCHOOL_OPTIONS
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline_tests.cli.conftest import Roster

HEADER = "school,name,connection,school-id"


def written(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    """A file of these lines."""
    path = folder / "schools.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def test_each_line_is_a_school_with_the_settings_of_its_columns(school: Roster, tmp_path: Path) -> None:
    file = written(
        tmp_path,
        f"{HEADER},students,Students Archive,teachers_auto_update,report-to,sync-time,guard,map,contacts-most",
        "elm,Elm Elementary,sis,sch-2,yes,yes,no,it@example.org; office@example.org,18:15,archive_share=0.3,,2",
        "",
        'fir,"Fir, Street",sis,\'000417,no,,TRUE,,,,ext:officeStaff=staff,',
        encoding="utf-8-sig",
    )
    answer = school("school", "add", "--file", file)
    assert answer.code == 0, answer.err
    assert "2 schools added" in answer.err
    elm = school("school", "show", "elm", "--json").data["settings"]
    expected = SchoolSettings.model_validate(
        {
            "school_id": "sch-2",
            "students": {"rostered": True, "archive": True},
            "report_to": ["it@example.org", "office@example.org"],
            "sync_time": "18:15",
            "guards": {"archive_share": 0.3},
            "contacts_most": 2,
        }
    )
    assert elm == expected.model_dump(mode="json")
    fir = school("school", "show", "fir", "--json").data
    assert (fir["name"], fir["settings"]["school_id"]) == ("Fir, Street", "000417"), "as a spreadsheet keeps the zeros"
    assert fir["settings"]["teachers"]["auto_update"] is True
    assert fir["settings"]["role_map"] == {"ext:officeStaff": "staff"}


def test_options_hold_for_every_line_whose_cell_is_empty(school: Roster, tmp_path: Path) -> None:
    file = written(tmp_path, "school;name;school-id;time-zone", "elm;Elm;sch-2;Europe/Berlin", "fir;Fir;sch-3;")
    options = ("--connection", "sis", "--students", "--time-zone", "America/Chicago")
    assert school("school", "add", "--file", file, *options).code == 0
    zones = {}
    for key in ("elm", "fir"):
        settings = school("school", "show", key, "--json").data["settings"]
        zones[key] = settings["time_zone"]
        assert settings["students"]["rostered"] is True
    assert zones == {"elm": "Europe/Berlin", "fir": "America/Chicago"}


def test_one_wrong_line_adds_nothing_and_every_wrong_line_is_named(school: Roster, tmp_path: Path) -> None:
    file = written(
        tmp_path,
        f"{HEADER},students,time-zone,guard,report-to",
        "elm,Elm,sis,sch-2,yes,,,",
        "fir,Fir,sis,sch-3,perhaps,Mars/Olympus,,",
        "oak,Oak Again,sis,sch-4,,,,",
        "Ash Street,Ash,sis,,,,nonsense=1,",
        "elm,Elm Twice,sis,sch-5,,,,",
        "yew,Yew,elsewhere,sch-6,,,,nobody",
        "box,Box,elsewhere,sch-6,,,,",
        "ivy,Ivy,sis,sch-2,,,,",
        "bay,Bay,sis,sch-7,,,,,,",
    )
    answer = school("school", "add", "--file", file)
    assert answer.code == 2
    lines = answer.err.splitlines()
    assert lines[0].endswith("schools.csv: no school was added.")
    for line, said in (
        (3, "students: write yes or no"),
        (3, "not a time zone"),
        (4, "There is already a school oak"),
        (5, "school: a key has lower-case letters"),
        (5, "school-id: fill this in"),
        (5, "no guard nonsense"),
        (6, "elm is on line 2 already"),
        (7, "e-mail address"),
        (8, "There is no connection elsewhere. See which there are: roster connection list"),
        (9, "school-id: This is the School ID of Elm"),
        (10, "10 cells, but there are 8 columns"),
    ):
        assert any(one.startswith(f"line {line}, ") and said in one for one in lines), (line, said, answer.err)
    assert not any(one.startswith("line 2, ") for one in lines)
    assert [row["key"] for row in school("school", "list", "--json").data] == ["oak"]
    assert "Traceback" not in answer.err


def test_a_file_without_schools_is_refused(school: Roster, tmp_path: Path) -> None:
    for lines, said in (
        (("school,name,school-id", "elm,Elm,sch-2"), "the column connection is missing"),
        ((f"{HEADER},student", "elm,Elm,sis,sch-2,yes"), "there is no column student; do you mean students?"),
        ((f"{HEADER},students,students", "elm,Elm,sis,sch-2,yes,no"), "the column students is there twice"),
        ((HEADER,), "no school below the line"),
        (("",), "the column school is missing"),
        ((HEADER, 'elm,"Elm,sis,sch-2'), "line 2 is not CSV"),
    ):
        answer = school("school", "add", "--file", written(tmp_path, *lines))
        assert (answer.code, said in answer.err) == (2, True), answer.err
        assert len(school("school", "list", "--json").data) == 1, lines


def test_a_file_in_another_encoding_is_refused_with_the_remedy(school: Roster, tmp_path: Path) -> None:
    file = written(tmp_path, HEADER, "elm,Schule Süd,sis,sch-2", encoding="cp1252")
    answer = school("school", "add", "--file", file)
    assert (answer.code, "Save it as CSV UTF-8" in answer.err) == (2, True)


def test_a_school_is_named_by_the_file_or_by_options_and_not_by_both(school: Roster, tmp_path: Path) -> None:
    assert school("school", "add", "elm", "--file", written(tmp_path, HEADER, "elm,Elm,sis,sch-2")).code == 2
    assert school("school", "add", "elm").code == 2
    assert len(school("school", "list", "--json").data) == 1


def test_every_option_that_a_new_school_can_have_is_a_column() -> None:
    assert {option.flags for option in COLUMNS.values()} == {option.flags for option in SCHOOL_OPTIONS} - {
        "--unmap",
        "--no-windows",
    }
    assert len(ALL) == len(COLUMNS) + 3


def test_sixty_schools_are_added_by_one_command(school: Roster, tmp_path: Path) -> None:
    rows = [f"school-{number},School {number},sis,sch-{number + 1},yes" for number in range(1, 61)]
    answer = school("school", "add", "--file", written(tmp_path, f"{HEADER},students", *rows))
    assert answer.code == 0, answer.err
    assert len(school("school", "list", "--json").data) == 61
    added = [entry for entry in school("audit", "--limit", 100, "--json").data if entry["what"] == "school added"]
    assert len(added) == 61
