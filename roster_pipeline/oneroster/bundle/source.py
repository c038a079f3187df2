"""Where a bundle comes from, as something that can be opened; here, places on this machine."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from roster_pipeline.oneroster.bundle.bundle_discovery import (
    UNPACKED,
    Found,
    FoundBundle,
    bundles_of,
    split_pattern,
    unpacked_files,
)
from roster_pipeline.oneroster.bundle.bundle_errors import BundleNotFound
from roster_pipeline.oneroster.bundle.folder import files_of, opened_folder
from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.bundle.opened_bundle import OpenedBundle
from roster_pipeline.oneroster.bundle.zip_file import opened_zip
from roster_pipeline.oneroster.errors import AddressNotAllowed, TooLarge
from roster_pipeline.oneroster.witness import WitnessReport

_ALLOW = "Check the path, and that the account of this service may read it."


@dataclass(frozen=True)
class BundleListing:
    """The bundles of a place, in no order, and how one of them is opened. `open` raises OneRosterError."""

    bundles: tuple[FoundBundle, ...]
    open: Callable[[FoundBundle], AbstractContextManager[OpenedBundle]]


@dataclass(frozen=True, kw_only=True)
class BundleSource(ABC):
    """A place that can be opened. metadata_keys: the `metadata.*` columns that are kept."""

    metadata_keys: tuple[str, ...] = ()
    limits: BundleLimits = field(default_factory=BundleLimits)

    @abstractmethod
    def shelf(self, *, enrollments: bool = False) -> AbstractContextManager[BundleListing]:
        """What lies there now; at least one bundle. enrollments: fetch enrollments.csv too. Raises OneRosterError."""

    @property
    @abstractmethod
    def shown(self) -> str:
        """The place as an owner may see it: no secret, no user name."""

    def witness(self, sourced_ids: Sequence[str]) -> WitnessReport:
        """Nobody: a bundle cannot be asked for a single person, so every answer is "unanswered"."""
        return WitnessReport(dict.fromkeys(sourced_ids, "unanswered"), False)


@dataclass(frozen=True, kw_only=True)
class LocalSource(BundleSource):
    """A folder of CSV files, a zip, a folder of zips, or a pattern such as /exports/roster-*.zip.

    within: the folder that the path must lie in, where the operator has set one.
    """

    path: str
    within: Path | None = None

    @property
    def shown(self) -> str:
        return f"file://{self.path}"

    def shelf(self, *, enrollments: bool = False) -> AbstractContextManager[BundleListing]:
        with _readable():
            folder, bundles = self._bundles()
        return nullcontext(BundleListing(tuple(bundles), lambda one: self._opened(folder / one.name)))

    @contextmanager
    def _opened(self, path: Path) -> Iterator[OpenedBundle]:
        with ExitStack() as stack:
            with _readable():
                package = stack.enter_context(opened_path(path, self.limits))
            yield package

    def _bundles(self) -> tuple[Path, list[FoundBundle]]:
        """The folder, and the bundles that lie in it; an unpacked one has no name of its own."""
        stated, pattern = split_pattern(self.path)
        path = Path(stated).resolve()
        if self.within is not None and not path.is_relative_to(self.within.resolve()):
            raise AddressNotAllowed(
                "The path of the bundle leads out of the folder that bundles may come from.",
                "Put the bundle into that folder, or ask the operator to allow another.",
            )
        if not path.exists():
            raise BundleNotFound("There is no file or folder at the path of the bundle.", _ALLOW)
        if not path.is_dir():
            found = path.stat()
            return path.parent, [FoundBundle(path.name, (Found(path.name, found.st_size, found.st_mtime),))]
        files = _plain_files(path, self.limits)
        zips = any(one.name.lower().endswith(".zip") for one in files)
        if pattern is None and not zips:
            return path, [FoundBundle(UNPACKED, tuple(files_of(path, self.limits)))]
        loose = files_of(path, self.limits) if pattern is None and unpacked_files(files) else []
        return path, bundles_of(files, pattern, loose)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise BundleNotFound(f"The bundle cannot be opened ({type(problem).__name__}).", _ALLOW) from None


def opened_path(path: Path, limits: BundleLimits) -> AbstractContextManager[OpenedBundle]:
    """A folder or a zip."""
    return opened_folder(path, limits) if path.is_dir() else opened_zip(path, limits)


def too_crowded(limits: BundleLimits) -> TooLarge:
    """The error for a folder in which the newest zip cannot be searched."""
    return TooLarge(
        f"The folder of the bundles holds more than {limits.listing} files.", "Clear away the bundles of old nights."
    )


def _plain_files(path: Path, limits: BundleLimits) -> list[Found]:
    files: list[Found] = []
    with os.scandir(path) as entries:
        for number, entry in enumerate(entries):
            if number >= limits.listing:
                raise too_crowded(limits)
            if entry.is_file(follow_symlinks=False):
                found = entry.stat(follow_symlinks=False)
                files.append(Found(entry.name, found.st_size, found.st_mtime))
    return files
