"""The manifest: what a bundle says it holds, and whether each file is the whole truth or only what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from roster_pipeline.oneroster.bundle.columns import separated_otherwise
from roster_pipeline.oneroster.bundle.errors import WrongHeader, WrongManifest
from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.bundle.package import MANIFEST, Package
from roster_pipeline.oneroster.bundle.survey import survey
from roster_pipeline.oneroster.bundle.table import Table
from roster_pipeline.oneroster.status_info import folded

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


def read_manifest(package: Package, limits: BundleLimits) -> Manifest | None:
    """The bundle's manifest, None where it has none. Raises WrongManifest or WrongHeader."""
    member = package.files.get(MANIFEST)
    if member is None:
        return None
    seen = survey(member)
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
            if rows > limits.manifest_rows or page.unreadable:
                raise WrongManifest(f"{member.name} cannot be read as a manifest.", _REMEDY)
            for row in page.rows:
                name, value = row[0].strip().lower(), row[1].strip()
                if name == _VERSION:
                    version = value or None
                elif name.startswith(_FILE):
                    file = name.removeprefix(_FILE).removesuffix(".csv")
                    modes[file] = _mode(member.name, file, value, modes)
    return Manifest(modes, version, seen.bytes, seen.digest)


def _mode(manifest: str, file: str, value: str, modes: Mapping[str, Mode]) -> Mode:
    mode = _MODES.get(value.lower())
    named = file if file.isalnum() and len(file) <= 40 else "a file"
    if mode is None:
        raise WrongManifest(f"{manifest} says neither absent, bulk nor delta of {named}.", _REMEDY)
    if modes.get(file, mode) != mode:
        raise WrongManifest(f"{manifest} says two different things of {named}.", _REMEDY)
    return mode
