"""A folder of CSV files as a bundle. Links in it are refused, and a file that changes under our eyes is noticed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from roster_pipeline.oneroster.bundle.bundle_discovery import Found
from roster_pipeline.oneroster.bundle.bundle_errors import BundleMoving, BundleTooLarge, BundleUnsafe
from roster_pipeline.oneroster.bundle.limited_stream import limited_stream, too_large
from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.bundle.member_names import pick_files
from roster_pipeline.oneroster.bundle.opened_bundle import ENROLLMENTS, Member, OpenedBundle

Look = tuple[int, int]
"""Size and time of writing (ns) of a file."""


@contextmanager
def opened_folder(path: Path, limits: BundleLimits) -> Iterator[OpenedBundle]:
    """The folder at `path` as a package. Raises BundleUnsafe, BundleTooLarge or BundleMoving."""
    picked, csv_names = pick_files(list(_names(path, limits)), limits.depth)
    looks: dict[Path, Look] = {}
    members: dict[str, Member] = {}
    for known, name in picked.items():
        file = path / name
        if known == ENROLLMENTS:
            members[known] = _looked_at_when_opened(file, looks, limits)
            continue
        looks[file] = _look(file)
        if looks[file][0] > limits.file_bytes:
            raise too_large(file.name, limits.file_bytes)
        members[known] = _member(file, looks[file][0], limits)
    if sum(size for size, _ in looks.values()) > limits.total_bytes:
        raise too_large("The bundle", limits.total_bytes)

    def check_unchanged() -> None:
        if any(_look(file) != look for file, look in looks.items()):
            raise _moving()

    yield OpenedBundle(members, csv_names, check_unchanged)


def files_of(path: Path, limits: BundleLimits) -> list[Found]:
    """The files of the bundle in the folder at `path`, by their own names. Raises BundleUnsafe or BundleTooLarge."""
    picked, _ = pick_files(list(_names(path, limits)), limits.depth)
    files = [(path / name, *_look(path / name)) for known, name in picked.items() if known != ENROLLMENTS]
    return [Found(file.name, size, written / 1e9) for file, size, written in files]


def _names(path: Path, limits: BundleLimits) -> Iterator[str]:
    """Relative names of all files, no deeper and no more than allowed."""
    seen = 0
    waiting: list[tuple[Path, str, int]] = [(path, "", 0)]
    while waiting:
        folder, prefix, depth = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                seen += 1
                if seen > limits.members:
                    raise BundleTooLarge(
                        f"The folder holds more than {limits.members} files.",
                        "Let the address lead to a folder that holds one bundle only.",
                    )
                if entry.is_symlink():
                    raise BundleUnsafe("The folder holds a symbolic link.", "Replace it by the file itself.")
                name = f"{prefix}{entry.name}"
                if entry.is_file(follow_symlinks=False):
                    yield name
                elif entry.is_dir(follow_symlinks=False) and depth < limits.depth:
                    waiting.append((folder / entry.name, f"{name}/", depth + 1))


def _look(file: Path) -> Look:
    try:
        found = file.lstat()
    except OSError:
        raise _moving() from None
    return found.st_size, found.st_mtime_ns


def _member(file: Path, size: int, limits: BundleLimits) -> Member:
    def open_member() -> BinaryIO:
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            raise _moving() from None
        stream = os.fdopen(descriptor, "rb", buffering=0)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            stream.close()
            raise BundleUnsafe(f"{file.name} is no plain file.", "Replace it by the file itself.")
        return limited_stream(stream, file.name, limits.file_bytes)

    return Member(file.name, size, open_member)


def _looked_at_when_opened(file: Path, looks: dict[Path, Look], limits: BundleLimits) -> Member:
    """A file that few bundles are read for: its size and its changes matter only where it is opened."""
    member = _member(file, _look(file)[0], limits)

    def open_member() -> BinaryIO:
        looks.setdefault(file, _look(file))
        return member.open()

    return Member(member.name, member.size, open_member)


def _moving() -> BundleMoving:
    return BundleMoving(
        "The files of the bundle changed while they were read.",
        "It is tried again at the next sync; let the export write elsewhere and move the files in at the end.",
    )
