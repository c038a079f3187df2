"""A roster sync engine for schools: from OneRoster to a people directory, behind data-quality gates."""

from functools import cache
from hashlib import sha256
from pathlib import Path

PACKAGE = Path(__file__).parent
RULES = (".py", ".json", ".toml")
"""Files that rules are written in."""
VERSION_DIGITS = 12


@cache
def code_version(*parts: str) -> str:
    """A digest of packages and modules of ours, such as "cleaning", or "." for all: it changes when their rules do."""
    digest = sha256()
    for part in parts:
        place = PACKAGE / part
        for file in sorted(each for each in (place.rglob("*") if place.is_dir() else [place]) if each.suffix in RULES):
            digest.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:VERSION_DIGITS]
