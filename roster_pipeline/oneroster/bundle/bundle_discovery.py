"""Which of the files of a folder are bundles, and when each was written, as far as its time can be believed."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from roster_pipeline.oneroster.bundle.bundle_errors import BundleNotFound
from roster_pipeline.oneroster.bundle.opened_bundle import KNOWN_NAMES

ANY_ZIP = "*.zip"
PATTERN_LETTERS = frozenset("*?[")
UNPACKED = ""
"""The name of a bundle whose files lie unpacked in the folder."""
PEOPLE_FILES = ("users.csv", "roles.csv")
"""The files whose age is the age of what a bundle says of people; orgs and manifest may be older or newer."""
AHEAD = timedelta(minutes=10)
"""Clocks differ by so much. A time further ahead is wrong: nothing is written after it was seen."""
_MARK_LETTERS = 16
_DAY_IN_NAME = re.compile(r"(?<!\d)(20\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?=(?:\d{4}|\d{6})?(?!\d))")
"""A time of day may follow without a break: 20261103 or 202611031800."""


@dataclass(frozen=True)
class Found:
    """One plain file of a folder. modified: seconds since 1970."""

    name: str
    size: int
    modified: float


@dataclass(frozen=True)
class FoundBundle:
    """One bundle that lies in a place. name: of the zip, or UNPACKED. files: the plain files that it is made of."""

    name: str
    files: tuple[Found, ...]

    @property
    def stated(self) -> float:
        """When it was written, by its own time (seconds since 1970): the older of the files about people."""
        people = [one.modified for one in self.files if one.name.strip().lower() in PEOPLE_FILES]
        return min(people) if people else max((one.modified for one in self.files), default=0.0)

    @property
    def mark(self) -> str:
        """The same for the same bundle each night: names, sizes and times of its files, hashed."""
        told = "\n".join(
            f"{one.name}|{one.size}|{one.modified:.3f}" for one in sorted(self.files, key=lambda f: f.name)
        )
        return hashlib.sha256(told.encode()).hexdigest()[:_MARK_LETTERS]

    @property
    def day(self) -> date | None:
        """The date that its name has, such as 2026-11-03 or 20261103; None for none."""
        found = _DAY_IN_NAME.search(self.name)
        if found is None:
            return None
        try:
            return date(int(found[1]), int(found[3]), int(found[4]))
        except ValueError:
            return None


@dataclass(frozen=True)
class Dated:
    """A bundle with the time it counts as written at (seconds since 1970).

    ahead: its own time lies after the moment at which it was first seen, so it counts as written at that moment.
    first_seen: that moment. news: it was not there at an earlier look.
    """

    lying: FoundBundle
    written: float
    ahead: bool
    first_seen: float
    news: bool


def dated(lying: Iterable[FoundBundle], seen: Mapping[str, float], now: float) -> list[Dated]:
    """The bundles of a place, the newest first. seen: marks of earlier looks, with when each was seen first."""
    found = []
    for one in lying:
        first = seen.get(one.mark, now)
        ahead = one.stated > first + AHEAD.total_seconds()
        found.append(Dated(one, first if ahead else one.stated, ahead, first, one.mark not in seen))
    return sorted(found, key=lambda one: (one.written, one.lying.stated, one.lying.name), reverse=True)


def split_pattern(path: str) -> tuple[str, str | None]:
    """A path whose last step may be a pattern, as (folder, pattern); (path, None) where it is none."""
    folder, _, last = path.rpartition("/")
    if PATTERN_LETTERS.intersection(last):
        return folder or ("/" if path.startswith("/") else "."), last
    return path, None


def bundles_of(files: Sequence[Found], pattern: str | None, unpacked: Sequence[Found] = ()) -> list[FoundBundle]:
    """The zips of a folder, and its unpacked files as one bundle more. Raises BundleNotFound where there is none."""
    wanted = (pattern or ANY_ZIP).lower()
    fitting = [one for one in files if not one.name.startswith(".") and fnmatch.fnmatchcase(one.name.lower(), wanted)]
    if not fitting and not unpacked:
        raise BundleNotFound(
            f"The folder holds no file that fits {pattern or ANY_ZIP}.",
            "Check the path, and whether the export ran; the files of a bundle may also lie there unpacked.",
        )
    loose = [FoundBundle(UNPACKED, tuple(unpacked))] if unpacked else []
    return [*(FoundBundle(one.name, (one,)) for one in fitting), *loose]


def unpacked_files(files: Iterable[Found]) -> list[Found]:
    """The bundle's own CSV files, where they lie unpacked in the folder."""
    return [one for one in files if one.name.strip().lower() in KNOWN_NAMES]
