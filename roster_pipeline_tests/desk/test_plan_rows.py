"""Plan rows for people: as a table, and as a file for a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

from roster_pipeline.cli.plans import changes_text
from roster_pipeline.cli.printing import safe, shown
from roster_pipeline.desk.plan_rows import HEADER, Line, write_csv


def line(**changes: tuple[object, object]) -> Line:
    return Line(
        1, "update", "student", 7, "Zoë Müller", ("u-7",), "link", "changed", "The SIS has other values.", changes
    )


def test_the_csv_has_one_line_per_field_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "plan.csv"
    path.touch(mode=0o644)
    given = [line(given_name=("Zoe", "Zoë"), email=(None, "=x@example.org"), number=("0012", "1" * 20)), line()]
    assert write_csv(path, given) == 4
    assert path.stat().st_mode & 0o077 == 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == HEADER
    assert [(row["field"], row["from"], row["to"]) for row in rows] == [
        ("given_name", "Zoe", "Zoë"),
        ("email", "", "'=x@example.org"),
        ("number", "'0012", f"'{'1' * 20}"),
        ("", "", ""),
    ]


def test_changes_say_from_what_to_what() -> None:
    assert changes_text(line(given_name=("Zoe", "Zoë"), phone=("1", None))) == "given_name: Zoe -> Zoë\nphone: 1 -> -"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert safe("a\x1b[31mb\x07") == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}"
    assert "\x9b" not in shown(["\x9b1m"])
