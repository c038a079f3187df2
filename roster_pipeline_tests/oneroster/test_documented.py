"""Every deviation has its row, and a test with its number, or a sentence that says where it is handled."""

import re
from pathlib import Path

from roster_pipeline.simulator import FAULTS

HERE = Path(__file__).parent
ROWS = dict(
    re.findall(r"^\| Q(\d+) \| (.*) \|$", (HERE.parents[1] / "docs/oneroster.md").read_text(), flags=re.MULTILINE)
)
ELSEWHERE = re.compile(r"`planning/`|CSV source|excluded by hand|mapped per school")


def test_every_deviation_has_a_row() -> None:
    assert sorted(map(int, ROWS)) == list(range(1, 100))


def test_every_row_has_a_test_or_says_who_handles_it() -> None:
    names = " ".join(re.findall(r"def (test_q\w+)", "".join(path.read_text() for path in HERE.glob("test_*.py"))))
    tested = set(re.findall(r"q(\d\d)", names))
    assert [number for number, row in ROWS.items() if number.zfill(2) not in tested and not ELSEWHERE.search(row)] == []


def test_every_fault_of_the_simulator_imitates_a_row() -> None:
    assert {str(number) for fault in FAULTS.values() for number in fault.quirks} <= set(ROWS)


def test_every_error_and_problem_is_explained() -> None:
    text = (HERE.parents[1] / "docs/oneroster.md").read_text()
    source = "".join(path.read_text() for path in (HERE.parents[1] / "roster_pipeline/oneroster").rglob("*.py"))
    noted = set(re.findall(r'(?:note|_changed|own_problems\.append)\(f?"([a-z-]+)', source))
    assert [slug for slug in noted if f"`{slug}" not in text] == []
