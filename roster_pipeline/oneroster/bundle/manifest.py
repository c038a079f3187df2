"""The manifest: what a bundle says it holds, and whether each file is the whole truth or only what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from roster_pipeline.oneroster.bundle.bundle_errors import WrongHeader, WrongManifest
from roster_pipeline.oneroster.bundle.columns import separated_otherwise
from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.bundle.opened_bundle import MANIFEST, READ_FILES, OpenedBundle
from roster_pipeline.oneroster.bundle.preflight import preflight
from roster_pipeline.oneroster.bundle.table import Table, Unreadable
from roster_pipeline.oneroster.http.response import folded

Mode = Literal["absent", "bulk", "delta"]
_MODES: dict[str, Mode] = {"absent": "absent", "bulk": "bulk", "delta": "delta"}
_FILE = "file."
_VERSION = "oneroster.version"
_REMEDY = "Let the SIS write the manifest anew; it must follow the OneRoster CSV standard."


@dataclass(frozen=True)
class Manifest:
    """modes: lower-cased file name without `.csv` to what is said of it. version: as stated, None if it is not.

    bytes, digest: of the file, for the proof.
    """

    modes: Mapping[str, Mode]
    version: str | None
    bytes: int
    digest: str

    def mode_of(self, file: str) -> Mode | None:
        """What is said of a file; None where nothing is."""
        return self.modes.get(file.lower())

    @property
    def has_bulk(self) -> bool:
        return "bulk" in self.modes.values()


def read_manifest(package: OpenedBundle, limits: BundleLimits) -> Manifest | None:
    """The bundle's manifest, None where it has none. Raises WrongManifest or WrongHeader."""
    member = package.files.get(MANIFEST)
    if member is None:
        return None
    seen = preflight(member)
    modes: dict[str, Mode] = {}
    version: str | None = None
    with Table(member, seen, limits) as table:
        names = [folded(name) for name in table.header[:2]]
        wrong = separated_otherwise(member.name, table.header)
        if wrong is not None:
            raise wrong
        if names != ["propertyname", "value"]:
            raise WrongHeader(
                f"The first line of {member.name} must be propertyName,value.", f"A column is missing. {_REMEDY}"
            )
        rows = 0
        for page in table.pages():
            rows += len(page)
            if rows > limits.manifest_rows or any(_concerns_us(one) for one in page.unreadable):
                raise WrongManifest(f"{member.name} cannot be read as a manifest.", _REMEDY)
            for row in page.rows:
                name, value = row[0].strip().lower(), row[1].strip()
                if name == _VERSION:
                    version = value or None
                elif (file := _file_named(name)) in READ_FILES and value:
                    modes[file] = _mode(member.name, file, value, modes)
                elif name.startswith(_FILE) and value.lower() in _MODES:
                    modes.setdefault(file, _MODES[value.lower()])
    return Manifest(modes, version, seen.bytes, seen.digest)


def _concerns_us(row: Unreadable) -> bool:
    """Whether a line that cannot be read may be about the version, or about a file that we read."""
    name = (row.first or "").strip().lower()
    return row.rule == "quotes-broken" or name == _VERSION or _file_named(name) in READ_FILES


def _file_named(name: str) -> str:
    """The file that a property is about, lower-cased and without `.csv`; empty for another property."""
    return name.removeprefix(_FILE).removesuffix(".csv") if name.startswith(_FILE) else ""


def _mode(manifest: str, file: str, value: str, modes: Mapping[str, Mode]) -> Mode:
    mode = _MODES.get(value.lower())
    named = file if file.isalnum() and len(file) <= 40 else "a file"
    if mode is None:
        raise WrongManifest(f"{manifest} says neither absent, bulk nor delta of {named}.", _REMEDY)
    if modes.get(file, mode) != mode:
        raise WrongManifest(f"{manifest} says two different things of {named}.", _REMEDY)
    return mode
