"""The files of a bundle: which are read, their limits, the first reading, and the errors.

The first reading proves that a file can be read in full (a zip's checksums included), finds its encoding, and takes its
fingerprint. Rows are used only afterwards, so a damaged bundle fails before anything is passed on. Messages of errors
name files, columns and line numbers, never a cell.
"""

import codecs
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, BinaryIO, cast

from roster_pipeline.oneroster.errors import OneRosterError, TooLarge
from roster_pipeline.oneroster.http.json_decoding import REPLACEMENT, count_not_ascii

_MIB = 1024 * 1024

MANIFEST = "manifest"
READ_FILES = ("orgs", "users", "roles")
"""The files that describe people."""
ENROLLMENTS = "enrollments"
"""Read only on request. A problem in it never makes the bundle unreadable. All other files are never opened."""
KNOWN_NAMES = {f"{name}.csv": name for name in (MANIFEST, *READ_FILES)}
ENROLLMENTS_NAME = f"{ENROLLMENTS}.csv"
BUFFER_BYTES = 256 * 1024
SEND_AGAIN = "Export or send the bundle again, and compare its size with the original."
_EXPORT_AGAIN = "Export the bundle again: one zip, with its CSV files side by side, and nothing else in it."
_JUNK_FOLDERS = frozenset(("__MACOSX", ".DS_Store"))
_READ_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
UTF_8 = "utf-8-sig"
WINDOWS_1252 = "cp1252"
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UNUSED_IN_1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
LETTER_OF_1252 = re.compile(rb"[\x9a\x9c\x9e\xc0-\xd6\xd8-\xf6\xf8-\xff]")
STRANGE_IN_1252 = re.compile(
    rb"(?<=[a-z])[\x82-\x84\x86-\x8e\x95\x98\x9b\x9f\xa1-\xa9\xab\xac\xaf\xb1-\xb3\xb5\xb6\xb8\xb9\xbb-\xbf]|[\xc0-\xff]{3}"
)
"""Signs of another encoding (Mac Roman, DOS code pages, Eastern Europe, other alphabets): symbols or capitals after a
small letter (but not the ring of `n°`), or three accented letters together."""
_HOLE = bytes(256)
"""Zeros in place of a part of the file, which was never written. Shorter runs may fill up a cell."""


@dataclass(frozen=True)
class BundleLimits:
    """Limits in bytes, counts and seconds, so that a bad bundle fills neither memory nor disk, and ends in time.

    A million users are about 200 MB of CSV and 40 MB of zip, so the sizes leave room for ten times that. CSV packs 5 to
    40 times smaller; a file of mostly empty columns may reach 100.
    """

    archive_bytes: int = 1024 * _MIB
    file_bytes: int = 2048 * _MIB
    total_bytes: int = 4096 * _MIB
    """Bytes of all files that are read together, unpacked."""
    ratio: int = 250
    """The largest ratio of the unpacked to the packed size of one file."""
    ratio_from: int = 16 * _MIB
    """Below this unpacked size, the ratio does not matter."""
    directory_bytes: int = 2 * _MIB
    """Bytes of the zip's own table of contents."""
    members: int = 1000
    """How many entries a zip or a folder may have."""
    depth: int = 3
    """How many folders deep a file may be inside the bundle."""
    listing: int = 10_000
    """How many entries a folder may have in which the newest zip is searched."""
    line_chars: int = 128 * 1024
    columns: int = 1000
    manifest_rows: int = 1000
    batch: int = 1000
    """Records in one batch; memory use grows with it."""
    connect_seconds: float = 20.0
    download_seconds: float = 1800.0
    settle_seconds: float = 3.0
    """Seconds between two checks of a file on a server; and how long an unpacked file on this machine must be
    unchanged. Shows whether a file is still growing."""


@dataclass(frozen=True)
class Member:
    """One file of a bundle. name: its own spelling. open: returns a new stream of its bytes."""

    name: str
    open: Callable[[], BinaryIO]
    limits: BundleLimits


@dataclass(frozen=True)
class OpenedBundle:
    """files: by the standard's name without `.csv`. csv_names: all CSV files, to suggest a name for a missing one.

    check_unchanged: raises BundleMoving if the bundle changed since it was opened. requests: sent to a server for it.
    """

    files: Mapping[str, Member]
    csv_names: tuple[str, ...]
    check_unchanged: Callable[[], None]
    requests: int = 0


def check_name(name: str) -> None:
    """Raise BundleUnsafe for a name that is absolute or leads out of the bundle. Backslashes count as slashes."""
    path = name.replace("\\", "/")
    steps = path.split("/")
    if path.startswith("/") or ":" in steps[0] or ".." in steps or "\0" in path:
        raise BundleUnsafe("The bundle holds a file whose path leads out of it.", _EXPORT_AGAIN)


def pick_files(names: Iterable[str], deepest: int) -> tuple[dict[str, str], tuple[str, ...]]:
    """Pick the files among all names. Returns {standard name: name in the bundle}, and the base names of all CSV files.

    Names are compared without case. Files more than `deepest` folders down are ignored. enrollments.csv is picked only
    if there is one next to the others. Raises BundleUnsafe if a file exists twice, or if the files are in different
    folders, because then it is not known which belong together.
    """
    picked: dict[str, str] = {}
    folders: set[str] = set()
    csv_names: list[str] = []
    enrollments: list[tuple[str, str]] = []
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        junk = path.name.startswith(".") or _JUNK_FOLDERS.intersection(path.parts)
        if len(path.parts) - 1 > deepest or junk or path.suffix.lower() != ".csv":
            continue
        csv_names.append(path.name)
        lowered = path.name.strip().lower()
        if lowered == ENROLLMENTS_NAME:
            enrollments.append((str(path.parent), name))
        standard = KNOWN_NAMES.get(lowered)
        if standard is None:
            continue
        if standard in picked:
            raise BundleUnsafe(
                f"The bundle holds {standard}.csv more than once.",
                "Export one bundle per connection: one zip or folder, with each file once.",
            )
        picked[standard] = name
        folders.add(str(path.parent))
    if len(folders) > 1:
        raise BundleUnsafe("The files of the bundle are in different folders.", _EXPORT_AGAIN)
    if len(enrollments) == 1 and enrollments[0][0] in folders:
        picked[ENROLLMENTS] = enrollments[0][1]
    return picked, tuple(csv_names)


def too_large(what: str, most: int) -> "BundleTooLarge":
    """The error for anything above its limit in bytes."""
    return BundleTooLarge(
        f"{what} is larger than the {most // _MIB} MB allowed.",
        "Export only what rostering needs (orgs, users, roles), or ask the operator to raise the limit.",
    )


class _LimitedStream(io.RawIOBase):
    def __init__(self, stream: IO[bytes], name: str, most: int) -> None:
        self._stream = stream
        self._name = name
        self._left = most
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            chunk = self._stream.read(len(buffer))
        except _READ_ERRORS as problem:
            raise BundleBroken(
                f"{self._name} is damaged or cut short ({type(problem).__name__}).", SEND_AGAIN
            ) from None
        self._left -= len(chunk)
        if self._left < 0:
            raise too_large(self._name, self._most)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def limited_stream(stream: IO[bytes], name: str, most: int) -> BinaryIO:
    """The stream, buffered. It raises BundleTooLarge beyond `most` bytes, and BundleBroken if reading fails."""
    return cast(BinaryIO, io.BufferedReader(_LimitedStream(stream, name, most), BUFFER_BYTES))


class BundleError(OneRosterError):
    """The bundle, or one of its files, cannot be used."""


class BundleNotFound(BundleError):
    """There is no bundle at the path, or none that fits the pattern."""


class BundleBroken(BundleError):
    """The zip, or a file in it, is damaged, cut short, or packed in a way we do not read."""


class BundleUnsafe(BundleError):
    """The bundle has something that no export has: links, paths that lead out of it, one file twice, encryption."""


class BundleTooLarge(TooLarge):
    """The bundle is larger, or unpacks to more, than allowed."""


class BundleMoving(BundleError):
    """The bundle changed while it was read: the export is still writing."""

    retryable = True


class MissingFile(BundleError):
    """A file that every bundle needs, or that the manifest announces, is missing."""


class WrongHeader(BundleError):
    """The first line of a file does not name the columns that are needed."""


class WrongManifest(BundleError):
    """The manifest cannot be read, or says something that the standard does not define."""


class WrongEncoding(BundleError):
    """A file is written in an encoding other than UTF-8 or Windows-1252."""


class HostKeyRefused(OneRosterError):
    """The SFTP server's host key is not a trusted one."""


@dataclass(frozen=True)
class Preflight:
    """bytes: read. encoding: Python's name. damaged: some characters are unknown; they become U+FFFD.
    ends_with_break: the last line is complete. digest: SHA-256 of the bytes.
    """

    bytes: int
    encoding: str
    damaged: bool
    ends_with_break: bool
    digest: str


def preflight(member: Member) -> Preflight:
    """Read a file to its end. Raises BundleBroken, BundleTooLarge or WrongEncoding.

    A file that is not valid UTF-8 is Windows-1252, unless most of its non-ASCII characters are valid UTF-8: then it is
    UTF-8 with damage, and reading it as Windows-1252 would garble every accented name of the district.
    """
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    total = valid = invalid = unused = letters = strange = 0
    last = b""
    with member.open() as stream:
        while chunk := stream.read(BUFFER_BYTES):
            if total == 0 and (chunk.startswith(_UTF_16_MARKS) or b"\0" in chunk[:64]):
                raise WrongEncoding(
                    f"{member.name} is written in UTF-16, or is not a text file.", "Export it as CSV in UTF-8."
                )
            if _HOLE in chunk:
                raise BundleBroken(f"{member.name} has a hole: a part of it was never written.", SEND_AGAIN)
            total += len(chunk)
            last = chunk[-1:]
            digest.update(chunk)
            try:
                valid += 0 if (text := decoder.decode(chunk)).isascii() else count_not_ascii(text)
            except UnicodeDecodeError:
                decoder.reset()
                text = chunk.decode("utf-8", "replace")
                bad = text.count(REPLACEMENT)
                valid, invalid = valid + count_not_ascii(text) - bad, invalid + bad
                letters += len(LETTER_OF_1252.findall(chunk))
                strange += len(STRANGE_IN_1252.findall(chunk))
            unused += 0 if chunk.isascii() else len(_UNUSED_IN_1252.findall(chunk))
    if decoder.getstate()[0]:  # the file ends inside a character
        invalid += 1
    windows = invalid > 0 and valid <= invalid
    if windows and strange > max(1, letters / 10):
        raise WrongEncoding(
            f"{member.name} is written neither in UTF-8 nor in Windows-1252.",
            "Export it as CSV in UTF-8; a spreadsheet program may have saved it in another encoding.",
        )
    damaged = unused > 0 if windows else invalid > 0
    encoding = WINDOWS_1252 if windows else UTF_8
    return Preflight(total, encoding, damaged, last in (b"\n", b"\r", b""), digest.hexdigest())
