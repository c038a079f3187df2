"""The bounds on modules (`docs/decisions/0019-size.md`)."""

from collections import Counter
from pathlib import Path

import roster_pipeline

MODULES = sorted(Path(roster_pipeline.__file__).parent.rglob("*.py"))


def test_no_module_is_longer_than_300_lines() -> None:
    lengths = {str(module): len(module.read_text().splitlines()) for module in MODULES}
    assert not {module: length for module, length in lengths.items() if length > 300}


def test_no_name_of_a_module_stands_for_more_than_two() -> None:
    names = Counter(module.name for module in MODULES if module.name != "__init__.py")
    assert not {name: times for name, times in names.items() if times > 2}
