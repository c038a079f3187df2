"""A zip as a bundle: its table of contents is judged before anything is unpacked; nothing is written to disk."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from roster_pipeline.oneroster.bundle.bundle_errors import BundleBroken, BundleMoving, BundleTooLarge, BundleUnsafe
from roster_pipeline.oneroster.bundle.limited_stream import SEND_AGAIN, limited_stream, too_large
from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.bundle.member_names import check_name, pick_files
from roster_pipeline.oneroster.bundle.opened_bundle import ENROLLMENTS, Member, OpenedBundle

_PACKED_AS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_END = b"PK\x05\x06"
_END_BYTES = 22
_END_64 = b"PK\x06\x06"
_LONGEST_COMMENT = 65_535
_STARTS = (b"PK\x03\x04", b"PK\x05\x06")


@contextmanager
def opened_zip(path: Path, limits: BundleLimits) -> Iterator[OpenedBundle]:
    """The zip at `path` as a package. Raises BundleBroken, BundleUnsafe or BundleTooLarge."""
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
            further = picked.pop(ENROLLMENTS, None)
            members = {known: _member(archive, entries[name], limits) for known, name in picked.items()}
            _check_sizes([entries[name] for name in picked.values()], limits)
            if further is not None:
                members[ENROLLMENTS] = _judged_when_opened(archive, entries[further], limits)
            yield OpenedBundle(members, csv_names, lambda: _check_same(file, before))


def _check_directory(file: BinaryIO, size: int, limits: BundleLimits) -> None:
    """Refuse a table of contents beyond its bound before `zipfile` reads it as a whole."""
    start = file.read(4)
    if start not in _STARTS:
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
    """Every entry's name and kind judged, also of those that are never read."""
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
                "The zip holds a link or another special file.", "Export the bundle again, with plain files only."
            )
        if info.is_dir():
            continue
        if info.flag_bits & _ENCRYPTED:
            raise BundleUnsafe(
                "The zip is encrypted.", "Export it without a password; send it over SFTP, which encrypts the way."
            )
        if info.filename in entries:
            raise BundleUnsafe("The zip holds one name twice.", "Export the bundle again, with each file once.")
        entries[info.filename] = info
    return entries


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: BundleLimits) -> Member:
    if info.compress_type not in _PACKED_AS:
        raise BundleBroken(
            f"{_shown(info)} is packed by a method other than deflate.", "Export the bundle as an ordinary zip."
        )

    def open_member() -> BinaryIO:
        try:
            stream = archive.open(info)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError):
            raise _broken() from None
        return limited_stream(stream, _shown(info), limits.file_bytes)

    return Member(_shown(info), info.file_size, open_member)


def _judged_when_opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: BundleLimits) -> Member:
    """A file that few bundles are read for: its size and packing matter only where it is opened."""

    def open_member() -> BinaryIO:
        _check_sizes([info], limits)
        return _member(archive, info, limits).open()

    return Member(_shown(info), info.file_size, open_member)


def _check_sizes(infos: list[zipfile.ZipInfo], limits: BundleLimits) -> None:
    """The sizes the zip states; `limited_stream` holds it to them."""
    for info in infos:
        if info.file_size > limits.file_bytes:
            raise too_large(_shown(info), limits.file_bytes)
        if info.file_size > limits.ratio_from and info.file_size > limits.ratio * max(1, info.compress_size):
            raise BundleTooLarge(
                f"{_shown(info)} unpacks to more than {limits.ratio} times its packed size, as no real export does.",
                "Check where the zip comes from, and export the bundle again.",
            )
    if sum(info.file_size for info in infos) > limits.total_bytes:
        raise too_large("The unpacked bundle", limits.total_bytes)


def _check_same(file: BinaryIO, before: os.stat_result) -> None:
    now = os.fstat(file.fileno())
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise BundleMoving(
            "The zip was written to while it was read.",
            "It is tried again at the next sync; let the export write under another name and rename at the end.",
        )


def _shown(info: zipfile.ZipInfo) -> str:
    return info.filename.replace("\\", "/").rsplit("/", 1)[-1]


def _broken() -> BundleBroken:
    return BundleBroken("The zip is damaged or cut short.", SEND_AGAIN)


def _too_many(limits: BundleLimits) -> BundleTooLarge:
    return BundleTooLarge(
        f"The bundle holds more than {limits.members} files.", "Export only the CSV files of one bundle."
    )
