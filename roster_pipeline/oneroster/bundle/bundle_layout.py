"""What will be read of a bundle, and as what: manifest, files and headers held against each other before any row.

A file that is missing, renamed, announced and not there, or without rows is an error here, never an empty list later.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from roster_pipeline.oneroster.bundle.bundle_errors import MissingFile
from roster_pipeline.oneroster.bundle.columns import BY_FILE, Layout, layout_of
from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.bundle.manifest import Manifest, Mode, read_manifest
from roster_pipeline.oneroster.bundle.opened_bundle import ENROLLMENTS, KNOWN_NAMES, READ_FILES, Member, OpenedBundle
from roster_pipeline.oneroster.bundle.preflight import WINDOWS_1252, Preflight, preflight
from roster_pipeline.oneroster.bundle.table import Table
from roster_pipeline.oneroster.http.response import folded

_FINGERPRINT_LETTERS = 32
_NEAR = 0.6
_MOST_NAMES = 3


@dataclass(frozen=True)
class File:
    """One file to be read. mode: "bulk" is the whole truth, "delta" what changed."""

    member: Member
    seen: Preflight
    mode: Mode
    layout: Layout

    def table(self, limits: BundleLimits) -> Table:
        return Table(self.member, self.seen, limits)


@dataclass(frozen=True)
class BundleLayout:
    """files: of orgs, users and roles, those that are there. whole: absence from this bundle means something.

    problems, notes: slugs for the proof. bytes: of all files read. revision: fingerprint of all of them. enrollments:
    what the manifest says of enrollments.csv, None for nothing.
    """

    files: Mapping[str, File]
    version: str
    whole: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    bytes: int
    revision: str
    enrollments: Mode | None = None


@dataclass
class _Findings:
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def bundle_layout_of(package: OpenedBundle, limits: BundleLimits, metadata_keys: Sequence[str] = ()) -> BundleLayout:
    """Look at everything once. Raises the errors of this package."""
    manifest = read_manifest(package, limits)
    found = _Findings()
    modes = _modes(package, manifest, found)
    surveys = {name: preflight(package.files[name]) for name in modes}
    files = {
        name: _file(
            name,
            package.files[name],
            surveys[name],
            modes,
            _also_needed(name, modes, manifest),
            metadata_keys,
            limits,
        )
        for name in modes
    }
    for name, file in files.items():
        found.notes += [f"column-missing:{name}.{column}" for column in file.layout.missing]
        if file.seen.encoding == WINDOWS_1252:
            found.notes.append(f"encoding:{name}:windows-1252")
        if file.seen.damaged:
            found.notes.append(f"letters-unreadable:{name}")
    whole = modes.get("users") == "bulk" and modes.get("roles", "bulk") == "bulk"
    if modes.get("users") == "bulk" and not whole:
        found.notes.append("roles-are-delta")
    digests = [seen.digest for seen in surveys.values()]
    size = sum(seen.bytes for seen in surveys.values())
    if manifest is not None:
        digests.append(manifest.digest)
        size += manifest.bytes
    revision = hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:_FINGERPRINT_LETTERS]
    version = _version(manifest, files, found)
    of_enrollments = manifest.mode_of(ENROLLMENTS) if manifest is not None else None
    return BundleLayout(
        files, version, whole, tuple(found.problems), tuple(found.notes), size, revision, of_enrollments
    )


def _modes(package: OpenedBundle, manifest: Manifest | None, found: _Findings) -> dict[str, Mode]:
    """For each file to be read: bulk or delta."""
    there = [name for name in READ_FILES if name in package.files]
    if manifest is None:
        found.problems.append("no-manifest")
        for name in ("orgs", "users"):
            if name not in there:
                raise _missing(package, name, "The bundle holds no")
        return dict.fromkeys(there, "delta")
    modes: dict[str, Mode] = {}
    for name in there:
        said = manifest.mode_of(name)
        if said is None or said == "absent":
            found.problems.append(f"manifest-{'silent' if said is None else 'disagrees'}:{name}")
        modes[name] = said if said in ("bulk", "delta") else "delta"
    for name in READ_FILES:
        if name not in there and manifest.mode_of(name) in ("bulk", "delta"):
            raise _missing(package, name, f"The manifest announces {manifest.mode_of(name)} data, but there is no")
    if "users" not in there:
        if manifest.has_bulk or not manifest.modes:
            raise _missing(package, "users", "The bundle holds no")
        found.notes.append("no-changes-of-people")
    elif "orgs" not in there:
        if modes["users"] == "bulk":
            raise _missing(package, "orgs", "The bundle holds no")
        found.notes.append("orgs-unchanged")
    return modes


def _also_needed(name: str, modes: Mapping[str, Mode], manifest: Manifest | None) -> list[str]:
    """Columns needed in this bundle, beyond those that are always needed.

    Roles are in roles.csv, or else in users.csv; only changes may come without, where the manifest says that no role
    has changed. What has gone is told by the status, in a file of changes that a manifest calls one.
    """
    also: list[str] = []
    if name == "users" and "roles" not in modes:
        unchanged = modes[name] == "delta" and manifest is not None and manifest.mode_of("roles") == "absent"
        also += [] if unchanged else ["role", "orgSourcedIds"]
    if modes[name] == "delta" and manifest is not None and manifest.mode_of(name) == "delta":
        also.append("status")
    return also


def _file(
    name: str,
    member: Member,
    seen: Preflight,
    modes: Mapping[str, Mode],
    also: Sequence[str],
    metadata_keys: Sequence[str],
    limits: BundleLimits,
) -> File:
    """Header and first rows judged."""
    with Table(member, seen, limits) as table:
        if "role" in also and len(table.header) > 1 and not {"role", "orgsourcedids"} & set(map(folded, table.header)):
            raise MissingFile(
                f"The bundle says nowhere who has which role: there is no roles.csv, and {member.name} lacks the "
                "columns role and orgSourcedIds.",
                "Let the export include roles.csv (OneRoster 1.2), or these columns (1.1).",
            )
        layout = layout_of(member.name, table.header, BY_FILE[name], metadata_keys, also)
        has_rows = next(table.pages(), None) is not None
    if not has_rows and modes[name] == "bulk":
        raise MissingFile(
            f"{member.name} has a header and no rows.",
            "An export that found nobody is a failed one: check what it is allowed to see, and export again.",
        )
    return File(member, seen, modes[name], layout)


def _version(manifest: Manifest | None, files: Mapping[str, File], found: _Findings) -> str:
    """ "1.1" or "1.2": as the manifest says, else as the files look. The payload is read by its columns either way."""
    stated = (manifest.version or "") if manifest is not None else ""
    for version in ("1.1", "1.2"):
        if stated.startswith(version):
            return version
    if manifest is not None:
        found.notes.append("version-unknown")
    return "1.2" if "roles" in files else "1.1"


def _missing(package: OpenedBundle, name: str, what: str) -> MissingFile:
    others = [one for one in map(str.lower, package.csv_names) if one not in KNOWN_NAMES and one.isprintable()]
    near = difflib.get_close_matches(f"{name}.csv", others, _MOST_NAMES, _NEAR)
    shown = list(dict.fromkeys([*near, *(one for one in others if name in one)]))[:_MOST_NAMES]
    remedy = (
        f"There is {', '.join(shown)}: rename it, the standard wants exactly {name}.csv."
        if shown
        else "Let the export include it; the standard's names are manifest.csv, orgs.csv, users.csv and roles.csv."
    )
    return MissingFile(f"{what} {name}.csv.", remedy)
