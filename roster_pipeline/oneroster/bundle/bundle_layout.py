"""The plan for reading a bundle: manifest, files and headers are compared before any row is used.

The manifest says of each file whether it is complete ("bulk") or holds changes ("delta"). A file that is missing,
renamed, announced but absent, or without rows is an error here, and never an empty list later.
"""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from roster_pipeline.errors import ORGS_ARE_DELTA
from roster_pipeline.oneroster.bundle.bundle_files import (
    ENROLLMENTS,
    KNOWN_NAMES,
    MANIFEST,
    READ_FILES,
    WINDOWS_1252,
    Member,
    MissingFile,
    OpenedBundle,
    Preflight,
    WrongHeader,
    WrongManifest,
    preflight,
)
from roster_pipeline.oneroster.bundle.columns import BY_FILE, ColumnLayout, column_layout, wrong_separator
from roster_pipeline.oneroster.bundle.csv_table import Table, Unreadable
from roster_pipeline.oneroster.http.response import folded

Mode = Literal["absent", "bulk", "delta"]
_MODES: dict[str, Mode] = {"absent": "absent", "bulk": "bulk", "delta": "delta"}
_FILE = "file."
_VERSION = "oneroster.version"
_MANIFEST_REMEDY = "Let the SIS write the manifest again; it must follow the OneRoster CSV standard."
_FINGERPRINT_LETTERS = 32
_SIMILAR = 0.6
_OF_RECORDS = frozenset(("sourcedId", "status", "dateLastModified", "role", "orgs", "primaryOrg"))
"""Columns about a record as a whole. A file without them is an error, or each row is rejected."""
_MOST_NAMES = 3
_OTHER_FILES = (
    "academicSessions categories classes classResources courses courseResources demographics enrollments lineItems "
    "lineItemLearningObjectiveIds lineItemScoreScales resources results resultLearningObjectiveIds resultScoreScales "
    "scoreScales userProfiles userResources"
)
"""The other files of the standard. Their names are right, also if they look like the one that is missing."""
_STANDARD = {*KNOWN_NAMES, *(f"{name}.csv" for name in _OTHER_FILES.lower().split())}


@dataclass(frozen=True)
class Manifest:
    """modes: for each lower-cased file name without `.csv`, what the manifest says. version: None if not stated.

    bytes, digest: of the file, for the proof.
    """

    modes: Mapping[str, Mode]
    version: str | None
    bytes: int
    digest: str


@dataclass(frozen=True)
class BundleFile:
    """One file to be read. mode: "bulk" is complete, "delta" holds changes."""

    member: Member
    seen: Preflight
    mode: Mode
    columns: ColumnLayout


@dataclass(frozen=True)
class BundleLayout:
    """How one opened bundle is read.

    files: those of orgs, users and roles that exist. whole: somebody who is not in this bundle has left.

    problems, notes: slugs for the proof. bytes: of all files read. revision: fingerprint of all of them. enrollments:
    what the manifest says of enrollments.csv, None if nothing.
    """

    bundle: OpenedBundle
    files: Mapping[str, BundleFile]
    version: str
    whole: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    bytes: int
    revision: str
    enrollments: Mode | None = None


def columns_of(layouts: Sequence[BundleLayout]) -> dict[str, list[str]]:
    """For orgs.csv and users.csv, if they are there, the members and metadata keys that have a column in all of these
    bundles."""
    found = {}
    for name in ("orgs", "users"):
        files = [layout.files[name].columns for layout in layouts if name in layout.files]
        columns = [{*file.positions, *(f"metadata:{key}" for key in file.metadata)} for file in files]
        if columns:
            found[name] = sorted(set.intersection(*columns) - _OF_RECORDS)
    return found


@dataclass
class _Findings:
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def bundle_layout_of(opened: OpenedBundle, metadata_keys: Sequence[str] = ()) -> BundleLayout:
    """Read every file once to its end, and check manifest and headers. Raises the errors of this package."""
    manifest = read_manifest(opened)
    findings = _Findings()
    modes = _modes(opened, manifest, findings)
    preflights = {name: preflight(opened.files[name]) for name in modes}
    files: dict[str, BundleFile] = {}
    for name, mode in modes.items():
        also = _also_needed(name, modes, manifest)
        files[name] = _checked_file(name, opened.files[name], preflights[name], mode, also, metadata_keys)
    for name, file in files.items():
        findings.notes += [f"column-missing:{name}.{column}" for column in file.columns.missing]
        if file.seen.encoding == WINDOWS_1252:
            findings.notes.append(f"encoding:{name}:windows-1252")
        if file.seen.damaged:
            findings.notes.append(f"letters-unreadable:{name}")
    whole = modes.get("users") == "bulk" and modes.get("roles", "bulk") == "bulk"
    if modes.get("users") == "bulk" and not whole:
        findings.notes.append("roles-are-delta")
    if manifest is not None and manifest.modes.get("orgs") == "delta":
        findings.notes.append(ORGS_ARE_DELTA)
    version = _version(manifest, files, findings)
    digests = [seen.digest for seen in preflights.values()] + ([manifest.digest] if manifest else [])
    return BundleLayout(
        bundle=opened,
        files=files,
        version=version,
        whole=whole,
        problems=tuple(findings.problems),
        notes=tuple(findings.notes),
        bytes=sum(seen.bytes for seen in preflights.values()) + (manifest.bytes if manifest else 0),
        revision=hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:_FINGERPRINT_LETTERS],
        enrollments=manifest.modes.get(ENROLLMENTS) if manifest else None,
    )


def read_manifest(opened: OpenedBundle) -> Manifest | None:
    """The bundle's manifest, None if it has none. Raises WrongManifest or WrongHeader."""
    member = opened.files.get(MANIFEST)
    if member is None:
        return None
    seen = preflight(member)
    modes: dict[str, Mode] = {}
    version: str | None = None
    with Table(member, seen) as table:
        separator_error = wrong_separator(member.name, table.header)
        if separator_error is not None:
            raise separator_error
        if [folded(name) for name in table.header[:2]] != ["propertyname", "value"]:
            raise WrongHeader(
                f"The first line of {member.name} must be propertyName,value.",
                f"A column is missing. {_MANIFEST_REMEDY}",
            )
        rows = 0
        for page in table.pages():
            rows += len(page)
            if rows > member.limits.manifest_rows or any(_may_matter(row) for row in page.unreadable):
                raise WrongManifest(f"{member.name} cannot be read as a manifest.", _MANIFEST_REMEDY)
            for row in page.rows:
                name, value = row[0].strip().lower(), row[1].strip()
                if name == _VERSION:
                    version = value or None
                elif (file := _file_named(name)) in READ_FILES and value:
                    modes[file] = _stated_mode(member.name, file, value, modes)
                elif file and value.lower() in _MODES:
                    modes.setdefault(file, _MODES[value.lower()])
    return Manifest(modes, version, seen.bytes, seen.digest)


def _may_matter(row: Unreadable) -> bool:
    """Whether a line that cannot be read may be about the version, or about a file that we read."""
    name = (row.first or "").strip().lower()
    return row.rule == "quotes-broken" or name == _VERSION or _file_named(name) in READ_FILES


def _file_named(name: str) -> str:
    """The file that a property is about, lower-cased and without `.csv`; empty for another property."""
    return name.removeprefix(_FILE).removesuffix(".csv") if name.startswith(_FILE) else ""


def _stated_mode(manifest: str, file: str, value: str, modes: Mapping[str, Mode]) -> Mode:
    mode = _MODES.get(value.lower())
    if mode is None:
        raise WrongManifest(f"{manifest} must say absent, bulk or delta for {file}.", _MANIFEST_REMEDY)
    if modes.get(file, mode) != mode:
        raise WrongManifest(f"{manifest} contradicts itself about {file}.", _MANIFEST_REMEDY)
    return mode


def _modes(opened: OpenedBundle, manifest: Manifest | None, findings: _Findings) -> dict[str, Mode]:
    """For each file to be read: bulk or delta."""
    existing = [name for name in READ_FILES if name in opened.files]
    if manifest is None:
        findings.problems.append("no-manifest")
        for name in ("orgs", "users"):
            if name not in existing:
                raise _missing(opened, name, "The bundle holds no")
        return dict.fromkeys(existing, "delta")
    modes: dict[str, Mode] = {}
    for name in READ_FILES:
        stated = manifest.modes.get(name)
        if name not in existing:
            if stated in ("bulk", "delta"):
                raise _missing(opened, name, f"The manifest announces {stated} data, but there is no")
            continue
        if stated is None or stated == "absent":
            findings.problems.append(f"manifest-{'silent' if stated is None else 'disagrees'}:{name}")
            stated = "delta"
        modes[name] = stated
    if "users" not in existing:
        if "bulk" in manifest.modes.values() or not manifest.modes:
            raise _missing(opened, "users", "The bundle holds no")
        findings.notes.append("no-changes-of-people")
    elif "orgs" not in existing:
        if modes["users"] == "bulk":
            raise _missing(opened, "orgs", "The bundle holds no")
        findings.notes.append("orgs-unchanged")
    return modes


def _also_needed(name: str, modes: Mapping[str, Mode], manifest: Manifest | None) -> list[str]:
    """Columns that this bundle needs beyond those that are always needed.

    Roles are in roles.csv, or else in users.csv. Only a delta may lack both, if the manifest says that no role changed.
    A file that the manifest calls a delta needs the status, which marks who has left.
    """
    also: list[str] = []
    if name == "users" and "roles" not in modes:
        unchanged = modes[name] == "delta" and manifest is not None and manifest.modes.get("roles") == "absent"
        also += [] if unchanged else ["role", "orgSourcedIds"]
    if manifest is not None and manifest.modes.get(name) == "delta":
        also.append("status")
    return also


def _checked_file(
    name: str, member: Member, seen: Preflight, mode: Mode, also: Sequence[str], metadata_keys: Sequence[str]
) -> BundleFile:
    """Check header and first rows. Raises WrongHeader or MissingFile."""
    with Table(member, seen) as table:
        if "role" in also and len(table.header) > 1 and not {"role", "orgsourcedids"} & set(map(folded, table.header)):
            raise MissingFile(
                f"The bundle does not say who has which role: roles.csv is missing, and {member.name} lacks the "
                "columns role and orgSourcedIds.",
                "Let the export include roles.csv (OneRoster 1.2), or these columns (1.1).",
            )
        columns = column_layout(member.name, table.header, BY_FILE[name], metadata_keys, also)
        has_rows = next(table.pages(), None) is not None
    if not has_rows and mode == "bulk":
        raise MissingFile(
            f"{member.name} has a header and no rows.",
            "The export found nobody, so it failed. Check what it is allowed to see, and export again.",
        )
    return BundleFile(member, seen, mode, columns)


def _version(manifest: Manifest | None, files: Mapping[str, BundleFile], findings: _Findings) -> str:
    """The version: "1.1" or "1.2", from the manifest or else from the files. Both are read by their columns."""
    stated = (manifest.version or "") if manifest is not None else ""
    for version in ("1.1", "1.2"):
        if stated.startswith(version):
            return version
    if manifest is not None:
        findings.notes.append("version-unknown")
    return "1.2" if "roles" in files else "1.1"


def _missing(opened: OpenedBundle, name: str, message: str) -> MissingFile:
    if not opened.csv_names:
        return MissingFile(
            "The bundle holds no CSV file. It may be a spreadsheet (XLSX, ODS), or a zip inside another one.",
            "Export it as OneRoster CSV: one zip or folder, with manifest.csv, orgs.csv and users.csv side by side.",
        )
    others = [other for other in map(str.lower, opened.csv_names) if other not in _STANDARD and other.isprintable()]
    similar = difflib.get_close_matches(f"{name}.csv", others, _MOST_NAMES, _SIMILAR)
    shown = list(dict.fromkeys([*similar, *(other for other in others if name in other)]))[:_MOST_NAMES]
    remedy = (
        f"There is {', '.join(shown)}: rename it, the standard requires the name {name}.csv."
        if shown
        else "Let the export include it; the standard's names are manifest.csv, orgs.csv, users.csv and roles.csv."
    )
    return MissingFile(f"{message} {name}.csv.", remedy)
