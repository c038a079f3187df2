"""Opening a zip, or a folder of CSV files, as a bundle. Nothing is written to disk.

A zip's table of contents is checked before anything is unpacked. Links are refused, and a bundle that changes while it
is read is noticed.
"""

import os
import stat
import struct
import time
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from roster_pipeline.oneroster.bundle.bundle_discovery import FoundFile
from roster_pipeline.oneroster.bundle.bundle_files import (
    ENROLLMENTS,
    SEND_AGAIN,
    BundleBroken,
    BundleLimits,
    BundleMoving,
    BundleTooLarge,
    BundleUnsafe,
    Member,
    OpenedBundle,
    check_name,
    limited_stream,
    pick_files,
    too_large,
)

SizeAndTime = tuple[int, int]
"""Size in bytes and time of writing in nanoseconds."""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_END = b"PK\x05\x06"
_END_BYTES = 22
_END_64 = b"PK\x06\x06"
_LONGEST_COMMENT = 65_535
_STARTS = (b"PK\x03\x04", b"PK\x05\x06")


def opened_path(path: Path, limits: BundleLimits) -> AbstractContextManager[OpenedBundle]:
    """A folder or a zip as a bundle. Raises BundleBroken, BundleUnsafe, BundleTooLarge or BundleMoving."""
    return _opened_folder(path, limits) if path.is_dir() else _opened_zip(path, limits)


@contextmanager
def _opened_folder(path: Path, limits: BundleLimits) -> Iterator[OpenedBundle]:
    picked, csv_names = pick_files(_file_names(path, limits), limits.depth)
    before: dict[Path, SizeAndTime] = {}
    members: dict[str, Member] = {}
    for standard, name in picked.items():
        file = path / name
        members[standard] = _file_member(file, before, limits)
        if standard != ENROLLMENTS:  # few pulls read it, so its size and changes matter only when it is opened
            before[file] = _size_and_time(file)
            if before[file][0] > limits.file_bytes:
                raise too_large(file.name, limits.file_bytes)
    if sum(size for size, _ in before.values()) > limits.total_bytes:
        raise too_large("The bundle", limits.total_bytes)

    def check_unchanged() -> None:
        newest = max(written for _, written in before.values()) / 1e9
        still_fresh = newest + limits.settle_seconds - time.time()
        if still_fresh > 0:  # somebody may be writing, with pauses longer than our reading takes
            time.sleep(min(still_fresh, limits.settle_seconds))
        if any(_size_and_time(file) != noted for file, noted in before.items()):
            raise _files_changed()

    yield OpenedBundle(members, csv_names, check_unchanged)


def bundle_files_in(path: Path, limits: BundleLimits) -> list[FoundFile]:
    """The bundle's files in the folder at `path`, with their own names. Raises BundleUnsafe or BundleTooLarge."""
    picked, _ = pick_files(_file_names(path, limits), limits.depth)
    files = [
        (path / name, *_size_and_time(path / name)) for standard, name in picked.items() if standard != ENROLLMENTS
    ]
    return [FoundFile(file.name, size, written / 1e9) for file, size, written in files]


def _file_names(path: Path, limits: BundleLimits) -> Iterator[str]:
    """Relative names of all files, down to the allowed depth. Raises BundleTooLarge if there are too many."""
    count = 0
    waiting: list[tuple[Path, str, int]] = [(path, "", 0)]
    while waiting:
        folder, prefix, depth = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                count += 1
                if count > limits.members:
                    raise BundleTooLarge(
                        f"The folder holds more than {limits.members} files.",
                        "Set the address to a folder that holds one bundle only.",
                    )
                if entry.is_symlink():
                    raise BundleUnsafe("The folder holds a symbolic link.", "Replace it with the file itself.")
                name = f"{prefix}{entry.name}"
                if entry.is_file(follow_symlinks=False):
                    yield name
                elif entry.is_dir(follow_symlinks=False) and depth < limits.depth:
                    waiting.append((folder / entry.name, f"{name}/", depth + 1))


def _size_and_time(file: Path) -> SizeAndTime:
    try:
        status = file.lstat()
    except OSError:
        raise _files_changed() from None
    return status.st_size, status.st_mtime_ns


def _file_member(file: Path, before: dict[Path, SizeAndTime], limits: BundleLimits) -> Member:
    def open_member() -> BinaryIO:
        before.setdefault(file, _size_and_time(file))
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            raise _files_changed() from None
        stream = os.fdopen(descriptor, "rb", buffering=0)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            stream.close()
            raise BundleUnsafe(f"{file.name} is not an ordinary file.", "Replace it with the file itself.")
        return limited_stream(stream, file.name, limits.file_bytes)

    return Member(file.name, open_member, limits)


def _files_changed() -> BundleMoving:
    return BundleMoving(
        "The files of the bundle changed while they were read.",
        "The next sync tries again. Let the export write elsewhere and move the files in at the end.",
    )


@contextmanager
def _opened_zip(path: Path, limits: BundleLimits) -> Iterator[OpenedBundle]:
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        if before.st_size > limits.archive_bytes:
            raise too_large("The zip", limits.archive_bytes)
        _check_directory(file, before.st_size, limits)
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError):
            raise _broken() from None
        with archive:
            entries = _checked_entries(archive, limits)
            picked, csv_names = pick_files(entries, limits.depth)
            members = {standard: _zip_member(archive, entries[name], limits) for standard, name in picked.items()}
            picked.pop(ENROLLMENTS, None)  # few pulls read it, so its size matters only when it is opened
            _check_sizes([entries[name] for name in picked.values()], limits)
            yield OpenedBundle(members, csv_names, lambda: _check_same(file, before))


def _check_directory(file: BinaryIO, size: int, limits: BundleLimits) -> None:
    """Refuse a table of contents that is too large, before `zipfile` reads all of it."""
    if file.read(4) not in _STARTS:
        raise BundleBroken("The file is not a zip.", "Export the bundle again as a .zip file.")
    tail_bytes = min(size, _LONGEST_COMMENT + _END_BYTES + 76)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise _broken()
    entries, directory_bytes = struct.unpack("<HL", tail[at + 10 : at + 16])
    if entries == 0xFFFF or directory_bytes == 0xFFFFFFFF:
        at_64 = tail.rfind(_END_64, 0, at)
        if at_64 < 0 or at - at_64 < 56:
            raise _broken()
        entries, directory_bytes = struct.unpack("<QQ", tail[at_64 + 32 : at_64 + 48])
    if entries > limits.members or directory_bytes > limits.directory_bytes:
        raise _too_many(limits)
    file.seek(0)


def _checked_entries(archive: zipfile.ZipFile, limits: BundleLimits) -> dict[str, zipfile.ZipInfo]:
    """All files of the zip by name. Checks name and kind of every entry, also of those that are never read."""
    infos = archive.infolist()
    if len(infos) > limits.members:
        raise _too_many(limits)
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        check_name(info.orig_filename)
        check_name(info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BundleUnsafe(
                "The zip holds a link or another special file.", "Export the bundle again, with ordinary files only."
            )
        if info.is_dir():
            continue
        if info.flag_bits & _ENCRYPTED:
            raise BundleUnsafe(
                "The zip is encrypted.", "Export it without a password; send it over SFTP, which encrypts the transfer."
            )
        if info.filename in entries:
            raise BundleUnsafe("The zip holds one name twice.", "Export the bundle again, with each file once.")
        entries[info.filename] = info
    return entries


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: BundleLimits) -> Member:
    def open_member() -> BinaryIO:
        if info.compress_type not in _COMPRESSIONS:
            raise BundleBroken(
                f"{_base_name(info)} is packed by a method other than deflate.", "Export the bundle as an ordinary zip."
            )
        _check_sizes([info], limits)
        try:
            stream = archive.open(info)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError):
            raise _broken() from None
        return limited_stream(stream, _base_name(info), limits.file_bytes)

    return Member(_base_name(info), open_member, limits)


def _check_sizes(infos: list[zipfile.ZipInfo], limits: BundleLimits) -> None:
    """Check the sizes that the zip states; `limited_stream` makes sure that they are true."""
    for info in infos:
        if info.file_size > limits.file_bytes:
            raise too_large(_base_name(info), limits.file_bytes)
        if info.file_size > limits.ratio_from and info.file_size > limits.ratio * max(1, info.compress_size):
            raise BundleTooLarge(
                f"{_base_name(info)} unpacks to more than {limits.ratio} times its packed size; no real export does.",
                "Check where the zip comes from, and export the bundle again.",
            )
    if sum(info.file_size for info in infos) > limits.total_bytes:
        raise too_large("The unpacked bundle", limits.total_bytes)


def _check_same(file: BinaryIO, before: os.stat_result) -> None:
    now = os.fstat(file.fileno())
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise BundleMoving(
            "The zip was written to while it was read.",
            "The next sync tries again. Let the export write under another name and rename at the end.",
        )


def _base_name(info: zipfile.ZipInfo) -> str:
    return info.filename.replace("\\", "/").rsplit("/", 1)[-1]


def _broken() -> BundleBroken:
    return BundleBroken("The zip is damaged or cut short.", SEND_AGAIN)


def _too_many(limits: BundleLimits) -> BundleTooLarge:
    return BundleTooLarge(
        f"The bundle holds more than {limits.members} files.", "Export only the CSV files of one bundle."
    )
