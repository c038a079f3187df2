"""Plan rows for people: as a table, and as a file for a spreadsheet."""

import csv
import json
from pathlib import Path

from roster_pipeline.cli.holds import changes_text
from roster_pipeline.cli.output import safe, shown
from roster_pipeline.services.plan_rows import HEADER, Line, cells, write_csv


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


def test_lists_of_contacts_and_their_flags_are_read_as_sentences_not_as_json() -> None:
    ada = ["c1", "Ada", "Byron", "parent", "ada@example.org", "+13125550100", '{"lives_with": "yes"}']
    change = {"more_contacts": (None, json.dumps([ada, ["c2", None, "Klein", None, None, None, None], ["c3"]]))}
    said = "Ada Byron (parent), ada@example.org, +13125550100, lives_with: yes; Klein; c3"
    given = line(**change, contact_flags=('{"custody": "joint"}', None))
    assert changes_text(given) == f"more_contacts: - -> {said}\ncontact_flags: custody: joint -> -"
    assert [row[-3:] for row in cells([given])] == [
        ("more_contacts", None, said),
        ("contact_flags", "custody: joint", None),
    ]
    assert given.as_dict()["changes"]["more_contacts"]["to"] == change["more_contacts"][1], "programs read JSON"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert safe("a\x1b[31mb\x07") == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}"
    assert "\x9b" not in shown(["\x9b1m"])
