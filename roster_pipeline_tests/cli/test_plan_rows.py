"""Plan rows for people: nothing a SIS sends becomes a formula in a spreadsheet or steers a terminal."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from roster_pipeline.cli.plan_rows import HEADER, Line, changes_text, harmless, write_csv
from roster_pipeline.cli.printing import safe, shown


def line(**changes: tuple[object, object]) -> Line:
    return Line(
        1, "update", "student", 7, "Zoë Müller", ("u-7",), "link", "changed", "The SIS has other values.", changes
    )


@pytest.mark.parametrize("cell", ["=1+1", "+49123", "-2", "@cmd", "\t=1", "\r=1", " =1", "＝1+1"])
def test_a_cell_that_a_spreadsheet_would_run_is_quoted(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["Anne-Marie", "a=b", "", "O'Neil", 12])
def test_other_cells_stay(cell: object) -> None:
    assert harmless(cell) == str(cell)


def test_the_csv_has_one_line_per_field_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "plan.csv"
    written = write_csv(path, [line(given_name=("Zoe", "Zoë"), email=(None, "=x@example.org")), line()])
    assert written == 3
    assert path.stat().st_mode & 0o077 == 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == HEADER
    assert [(row["field"], row["from"], row["to"]) for row in rows] == [
        ("given_name", "Zoe", "Zoë"),
        ("email", "", "'=x@example.org"),
        ("", "", ""),
    ]


def test_changes_say_from_what_to_what() -> None:
    assert changes_text(line(given_name=("Zoe", "Zoë"), phone=("1", None))) == "given_name: Zoe -> Zoë\nphone: 1 -> -"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert safe("a\x1b[31mb\x07") == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}"
    assert "\x9b" not in shown(["\x9b1m"])
