"""CSV cells: nothing runs as a formula, nothing is rewritten, and every program gets the value back."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roster_pipeline.safe_csv import LINES_A_CHUNK, csv_chunks, plain_cell, safe_cell

TROUBLE = "'=+-@;\t\n\r\" 0123456789abcMARsep.,:/eE%＝"


@pytest.mark.parametrize("cell", ["=1+1", "+49123", "-2", "@cmd", "\t=1", "\r=1", " =1", "＝1+1"])
def test_a_cell_that_a_spreadsheet_would_run_is_marked(cell: str) -> None:
    assert safe_cell(cell).startswith("'")


@pytest.mark.parametrize(
    "cell",
    ["0012", "09", "00", "123456789012", "9" * 20, "12E3", "3-4", "1/2", "3.4", "10:30", "1,5", "2026-11-23", "MAR1",
     "7 PM", "5 Sep", "12-mai"],
)  # fmt: skip
def test_a_number_or_date_that_a_spreadsheet_would_rewrite_is_marked(cell: str) -> None:
    assert safe_cell(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell",
    ["Anne-Marie", "a=b", "", "O'Neil", "'t Hooft", 12, 0, 40000000000, "KG", "u-1003", "May", "April", "jan.miller"],
)
def test_other_cells_stay(cell: object) -> None:
    assert safe_cell(cell) == str(cell)


def test_no_second_cell_begins_inside_a_cell_if_lists_are_split_at_semicolons() -> None:
    assert safe_cell('Ada;=cmd|"/c calc"!A1') == 'Ada;\'=cmd|"/c calc"!A1'


@settings(deadline=None)
@given(st.text(alphabet=TROUBLE, max_size=12) | st.text())
def test_every_cell_comes_back_as_it_was(text: str) -> None:
    cell = safe_cell(text)
    assert plain_cell(cell) == text
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_a_long_file_comes_in_pieces_with_one_mark_at_its_beginning() -> None:
    rows = [(number, f"0{number}") for number in range(LINES_A_CHUNK * 2 + 1)]
    chunks = list(csv_chunks(("a", "b"), iter(rows)))
    assert len(chunks) == 3
    text = b"".join(chunks).decode("utf-8-sig")
    assert "\ufeff" not in text
    read = list(csv.reader(io.StringIO(text)))
    assert read[0] == ["a", "b"]
    assert [(int(a), plain_cell(b)) for a, b in read[1:]] == rows


@pytest.mark.timeout(30)
@pytest.mark.parametrize("cell", ["\n" * 100_000 + "!", "'1" + " " * 100_000 + "z", '\n"' * 50_000 + "'="])
def test_a_long_cell_takes_no_longer_than_its_letters(cell: str) -> None:
    assert plain_cell(cell)
    assert plain_cell(safe_cell(cell)) == cell
