"""Which files of a folder are bundles, and when each was written."""

import fnmatch
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from roster_pipeline.oneroster.bundle.bundle_files import ENROLLMENTS, BundleLimits, BundleNotFound, pick_files
from roster_pipeline.oneroster.errors import TooLarge

ANY_ZIP = "*.zip"
PATTERN_LETTERS = frozenset("*?[")
DEFAULT_PORT = 22
UNPACKED = ""
"""The name of a bundle whose files are unpacked in the folder."""
PEOPLE_FILES = ("users.csv", "roles.csv")
"""The files that set the age of an unpacked bundle; orgs and manifest may be older or newer."""
AHEAD = timedelta(minutes=10)
"""Clocks differ by this much. A time further in the future is wrong: no file is written after it was first seen."""
_MARK_LETTERS = 16
_DIGITS = re.compile(r"(\d+)")
_DAY_IN_NAME = re.compile(r"(?<!\d)(20\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?=(?:\d{4}|\d{6})?(?!\d))")
"""A time of day may follow without a break: 20261103 or 202611031800."""


@dataclass(frozen=True, kw_only=True)
class SftpPlace:
    """A file or folder on an SFTP server, and how to sign in. secret: a password, or a private key in PEM or OpenSSH
    form. host_key: see `sftp.trusted_fingerprints`."""

    host: str
    path: str
    user: str
    secret: str = field(repr=False)
    port: int = DEFAULT_PORT
    host_key: str | None = None
    allow_private: bool = False
    limits: BundleLimits = field(default_factory=BundleLimits)


@dataclass(frozen=True)
class FoundFile:
    """One ordinary file of a folder. size: bytes. modified: seconds since 1970."""

    name: str
    size: int
    modified: float


@dataclass(frozen=True)
class FoundBundle:
    """One bundle in a place. name: of the zip, or UNPACKED. files: the ordinary files that it consists of."""

    name: str
    files: tuple[FoundFile, ...]

    @property
    def stated(self) -> float:
        """When it was written by its own time (seconds since 1970): the older of the files about people."""
        people = [file.modified for file in self.files if file.name.strip().lower() in PEOPLE_FILES]
        return min(people) if people else max((file.modified for file in self.files), default=0.0)

    @property
    def mark(self) -> str:
        """A hash of names, sizes and times of its files, which stays the same while the bundle does."""
        lines = sorted(f"{file.name}|{file.size}|{file.modified:.3f}" for file in self.files)
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:_MARK_LETTERS]

    @property
    def numbered_name(self) -> list[str | int]:
        """Its name in parts, with numbers as numbers, so that 10.zip comes after 9.zip."""
        return [int(part) if place % 2 else part for place, part in enumerate(_DIGITS.split(self.name))]

    @property
    def day(self) -> date | None:
        """The date in its name, such as 2026-11-03 or 20261103, if there is one."""
        match = _DAY_IN_NAME.search(self.name)
        if match is None:
            return None
        try:
            return date(int(match[1]), int(match[3]), int(match[4]))
        except ValueError:
            return None


@dataclass(frozen=True)
class DatedBundle:
    """A bundle with its time of writing as we use it (seconds since 1970).

    first_seen: when a sync saw it first. ahead: its own time is later than that, so first_seen is used. is_new: it was
    not there before.
    """

    bundle: FoundBundle
    written: float
    ahead: bool
    first_seen: float
    is_new: bool


def date_bundles(bundles: Iterable[FoundBundle], seen: Mapping[str, float], now: float) -> list[DatedBundle]:
    """The bundles of a place, newest first. seen: marks of earlier bundles, with the time when each was first seen."""
    dated = []
    for bundle in bundles:
        first_seen = seen.get(bundle.mark, now)
        ahead = bundle.stated > first_seen + AHEAD.total_seconds()
        written = first_seen if ahead else bundle.stated
        dated.append(DatedBundle(bundle, written, ahead, first_seen, bundle.mark not in seen))
    return sorted(dated, key=lambda each: (each.written, each.bundle.stated, each.bundle.numbered_name), reverse=True)


def split_pattern(path: str) -> tuple[str, str | None]:
    """Split a path whose last step is a pattern into (folder, pattern); any other path is (path, None)."""
    folder, _, last = path.rpartition("/")
    if PATTERN_LETTERS.intersection(last):
        return folder or ("/" if path.startswith("/") else "."), last
    return path, None


def bundles_among(
    files: Sequence[FoundFile], pattern: str | None, unpacked: Sequence[FoundFile] = ()
) -> list[FoundBundle]:
    """The zips of a folder, and its unpacked files as one more bundle. Raises BundleNotFound if there is none."""
    wanted = (pattern or ANY_ZIP).lower()
    zips = [file for file in files if not file.name.startswith(".") and fnmatch.fnmatchcase(file.name.lower(), wanted)]
    if not zips and not unpacked:
        raise BundleNotFound(
            f"The folder holds no file that fits {pattern or ANY_ZIP}.",
            "Check the path, and whether the export ran. The files of a bundle may also be unpacked in the folder.",
        )
    bundles = [FoundBundle(file.name, (file,)) for file in zips]
    return [*bundles, FoundBundle(UNPACKED, tuple(unpacked))] if unpacked else bundles


def unpacked_files(files: Iterable[FoundFile]) -> list[FoundFile]:
    """The files that belong to a bundle unpacked in the folder. Raises BundleUnsafe if one of them is there twice."""
    known = {file.name: file for file in files}
    picked, _ = pick_files(known, deepest=0)
    return [known[name] for standard, name in picked.items() if standard != ENROLLMENTS]


def too_many_files(limits: BundleLimits) -> TooLarge:
    """The error for a folder with too many files to search."""
    return TooLarge(f"The folder of the bundles holds more than {limits.listing} files.", "Delete old bundles from it.")
