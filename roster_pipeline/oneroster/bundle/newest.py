"""Which of the files of a folder are bundles, the newest first."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass

from roster_pipeline.oneroster.bundle.errors import BundleNotFound
from roster_pipeline.oneroster.bundle.package import KNOWN_NAMES

ANY_ZIP = "*.zip"
PATTERN_LETTERS = frozenset("*?[")


@dataclass(frozen=True)
class Found:
    """One plain file of a folder. modified: seconds since 1970."""

    name: str
    size: int
    modified: float


def split_pattern(path: str) -> tuple[str, str | None]:
    """A path whose last step may be a pattern, as (folder, pattern); (path, None) where it is none."""
    folder, _, last = path.rpartition("/")
    if PATTERN_LETTERS.intersection(last):
        return folder or ("/" if path.startswith("/") else "."), last
    return path, None


def newest_zips(files: Iterable[Found], pattern: str | None) -> list[Found]:
    """The zips, the one written last first; of two at the same time the one whose name sorts last.

    Raises BundleNotFound where there is none.
    """
    wanted = (pattern or ANY_ZIP).lower()
    fitting = [one for one in files if not one.name.startswith(".") and fnmatch.fnmatchcase(one.name.lower(), wanted)]
    if not fitting:
        raise BundleNotFound(
            f"The folder holds no file that fits {pattern or ANY_ZIP}.",
            "Check the path, and whether the export ran; the files of a bundle may also lie there unpacked.",
        )
    return sorted(fitting, key=lambda one: (one.modified, one.name), reverse=True)


def unpacked_files(files: Iterable[Found]) -> list[Found]:
    """The bundle's own CSV files, where they lie unpacked in the folder."""
    return [one for one in files if one.name.strip().lower() in KNOWN_NAMES]
