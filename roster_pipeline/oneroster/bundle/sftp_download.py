"""Fetching a bundle over SFTP. Size and time are limited, and a file that is still being written is refused."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import asyncssh

from roster_pipeline.oneroster.bundle.bundle_discovery import (
    UNPACKED,
    FoundBundle,
    FoundFile,
    bundles_among,
    split_pattern,
    too_many_files,
    unpacked_files,
)
from roster_pipeline.oneroster.bundle.bundle_files import (
    ENROLLMENTS_NAME,
    BundleLimits,
    BundleMoving,
    BundleNotFound,
    too_large,
)
from roster_pipeline.oneroster.bundle.sftp_sign_in import SftpAccess, signed_in, unreachable
from roster_pipeline.oneroster.errors import Refused, ServerFailed, TooSlow

Sleep = Callable[[float], Awaitable[None]]

READ_BYTES = 4 * 1024 * 1024
_NEXT_SYNC = "The next sync tries again; if it keeps failing, ask the SFTP server's operator."


@dataclass(frozen=True)
class Fetched:
    """path: the local zip or folder. bundle: what was fetched. bundles: everything that is in the place."""

    path: Path
    bundle: FoundBundle
    bundles: tuple[FoundBundle, ...]


async def download(
    access: SftpAccess, into: Path, wanted: FoundBundle | None = None, sleep: Sleep = asyncio.sleep
) -> Fetched:
    """Fetch one bundle into a folder: the wanted one, or the newest by its own time. Raises OneRosterError."""
    into.mkdir(exist_ok=True)
    try:
        async with asyncio.timeout(access.limits.download_seconds):
            session = await signed_in(access)
            async with session, session.start_sftp_client(path_errors="surrogateescape") as sftp:
                fetched = await _fetch(sftp, access, into, wanted, sleep)
        return fetched
    except TimeoutError:
        raise TooSlow(
            f"The bundle was not fetched within {access.limits.download_seconds:.0f} s.", _NEXT_SYNC
        ) from None
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        raise BundleNotFound(
            "The SFTP server has no file or folder at this path.", "Check the path, and whether the export ran."
        ) from None
    except asyncssh.SFTPPermissionDenied:
        raise Refused(
            "The SFTP server does not let us read this path.", "Give our user there the right to read it."
        ) from None
    except asyncssh.SFTPError as problem:
        raise ServerFailed(f"The SFTP server failed ({type(problem).__name__}).", _NEXT_SYNC) from None
    except (asyncssh.Error, OSError) as problem:
        raise unreachable(type(problem).__name__) from None


async def _fetch(
    sftp: asyncssh.SFTPClient, access: SftpAccess, into: Path, wanted: FoundBundle | None, sleep: Sleep
) -> Fetched:
    path, pattern = split_pattern(access.path)
    folder, bundles, enrollments = await _bundles(sftp, path, pattern, access.limits)
    bundle = wanted or max(bundles, key=lambda each: (each.stated, each.name))
    unpacked = bundle.name == UNPACKED
    target = into if unpacked else into / "bundle.zip"
    names = {into / file.name.strip().lower() if unpacked else target: file.name for file in bundle.files}
    if unpacked and access.enrollments and enrollments is not None:
        names[into / ENROLLMENTS_NAME] = enrollments
    await _copy(sftp, {local: f"{folder}/{name}" for local, name in names.items()}, access.limits, sleep)
    return Fetched(target, bundle, tuple(bundles))


async def _bundles(
    sftp: asyncssh.SFTPClient, path: str, pattern: str | None, limits: BundleLimits
) -> tuple[str, list[FoundBundle], str | None]:
    """The folder, the bundles in it, and the name of an unpacked enrollments.csv."""
    status = await _size_and_time(sftp, path)
    if status is not None:
        folder, slash, name = path.rpartition("/")
        return folder if slash else ".", [FoundBundle(name, (FoundFile(name, status[0], float(status[1])),))], None
    files = await _plain_files(sftp, path, limits)
    enrollments = next((file.name for file in files if file.name.strip().lower() == ENROLLMENTS_NAME), None)
    return path, bundles_among(files, pattern, unpacked_files(files) if pattern is None else ()), enrollments


async def _plain_files(sftp: asyncssh.SFTPClient, folder: str, limits: BundleLimits) -> list[FoundFile]:
    """The ordinary files of a folder, without links and folders."""
    files: list[FoundFile] = []
    number = 0
    async for entry in sftp.scandir(folder):
        number += 1
        if number > limits.listing:
            raise too_many_files(limits)
        attributes, name = entry.attrs, str(entry.filename)
        if attributes.permissions is not None and stat.S_ISREG(attributes.permissions) and "/" not in name:
            files.append(FoundFile(name, attributes.size or 0, float(attributes.mtime or 0)))
    return files


async def _size_and_time(sftp: asyncssh.SFTPClient, path: str) -> tuple[int, int] | None:
    """Bytes and time of writing (seconds since 1970) of a file; None for a folder."""
    attributes = await sftp.stat(path)
    if attributes.permissions is not None and stat.S_ISDIR(attributes.permissions):
        return None
    return attributes.size or 0, attributes.mtime or 0


async def _copy(sftp: asyncssh.SFTPClient, files: dict[Path, str], limits: BundleLimits, sleep: Sleep) -> None:
    """Copy files, each local path from its remote one. Size and time are checked twice before and once afterwards."""
    if not files:
        return
    before = [await _size_and_time(sftp, path) for path in files.values()]
    if sum(status[0] for status in before if status) > limits.archive_bytes:
        raise too_large("The bundle", limits.archive_bytes)
    await sleep(limits.settle_seconds)
    if [await _size_and_time(sftp, path) for path in files.values()] != before:
        raise _being_written()
    for (local, path), status in zip(files.items(), before, strict=True):
        if status is None:
            raise BundleNotFound("A folder has the name of a file of the bundle.", "Check the folder on the server.")
        await _copy_file(sftp, path, local, status[0])
        os.utime(local, (status[1], status[1]))
    if [await _size_and_time(sftp, path) for path in files.values()] != before:
        raise _being_written()


async def _copy_file(sftp: asyncssh.SFTPClient, path: str, local: Path, size: int) -> None:
    """Copy exactly `size` bytes, or raise BundleMoving."""
    left = size
    async with sftp.open(path, "rb") as remote:
        with local.open("xb") as file:
            while left > 0 and (chunk := await remote.read(min(READ_BYTES, left))):
                left -= len(chunk)
                await asyncio.to_thread(file.write, cast(bytes, chunk))
    if left != 0:
        raise _being_written()


def _being_written() -> BundleMoving:
    return BundleMoving(
        "The bundle on the SFTP server is still being written.",
        "The next sync tries again. Let the export write under another name and rename at the end.",
    )
