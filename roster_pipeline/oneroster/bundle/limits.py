"""Bounds that keep a bad bundle from filling memory, disk or the night."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True)
class BundleLimits:
    """Bytes, counts and seconds.

    A million users are about 200 MB of CSV and 40 MB of zip, so the sizes leave room for ten times that. CSV packs 5 to
    40 times smaller; a file of mostly empty columns may reach 100.
    """

    archive_bytes: int = 1024 * _MIB
    file_bytes: int = 2048 * _MIB
    total_bytes: int = 4096 * _MIB
    """Unpacked, of all files that are read."""
    ratio: int = 250
    """Unpacked to packed size of one file."""
    ratio_from: int = 16 * _MIB
    """Unpacked size below which the ratio does not matter."""
    directory_bytes: int = 2 * _MIB
    """Of the zip's own table of contents."""
    members: int = 1000
    """Entries of a zip or of a folder."""
    depth: int = 3
    """Folders above a file, inside the bundle."""
    listing: int = 10_000
    """Entries looked at where the newest zip of a folder is searched."""
    line_chars: int = 128 * 1024
    columns: int = 1000
    manifest_rows: int = 1000
    batch: int = 1000
    """Records of one batch, the measure of memory."""
    connect_seconds: float = 20.0
    download_seconds: float = 1800.0
    settle_seconds: float = 3.0
    """Between the two looks at a file on a server that tell whether it is still growing."""
