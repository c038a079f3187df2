"""The bounds on modules (`docs/decisions/0019-size.md`), and what a supported Python cannot do."""

import re
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


def test_no_pattern_has_a_possessive_group_of_patterns() -> None:
    """Python 3.11.0 to 3.11.4, such as that of Debian 12, lose their place in one whose last round fails half-way. The
    one that reads strings of JSON cannot: each of its rounds fails at its first character."""
    found = {module.name for module in MODULES if re.search(r"\)[*+?]\+", module.read_text())}
    assert found <= {"json_decoding.py"}
