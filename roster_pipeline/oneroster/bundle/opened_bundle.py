"""A bundle that has been opened: the files of it we read, wherever they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

MANIFEST = "manifest"
READ_FILES = ("orgs", "users", "roles")
"""The files people are made of."""
ENROLLMENTS = "enrollments"
"""Read where it is there and asked for; what is wrong with it never makes the bundle unreadable. All other files
(classes, results, ...) are never opened."""
KNOWN_NAMES = {f"{name}.csv": name for name in (MANIFEST, *READ_FILES)}
ENROLLMENTS_NAME = f"{ENROLLMENTS}.csv"


@dataclass(frozen=True)
class Member:
    """One file of a bundle. name: as it is spelled there. size: unpacked bytes. open: a fresh stream of its bytes."""

    name: str
    size: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True)
class OpenedBundle:
    """files: by the standard's name without `.csv`. csv_names: all CSV files there, to say what a missing one may be.

    requests: how often a server was asked for it.
    check_unchanged: raises BundleMoving if the bundle is no longer the one that was opened.
    """

    files: Mapping[str, Member]
    csv_names: tuple[str, ...]
    check_unchanged: Callable[[], None]
    requests: int = 0
