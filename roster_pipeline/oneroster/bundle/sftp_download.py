"""Fetching a bundle over SFTP: every size and time bounded, and the file seen to be at rest."""

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
    Found,
    FoundBundle,
    bundles_of,
    split_pattern,
    unpacked_files,
)
from roster_pipeline.oneroster.bundle.bundle_errors import BundleMoving, BundleNotFound
from roster_pipeline.oneroster.bundle.limited_stream import too_large
from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.bundle.opened_bundle import ENROLLMENTS_NAME
from roster_pipeline.oneroster.bundle.sftp_sign_in import Place, signed_in, unreachable
from roster_pipeline.oneroster.bundle.source import too_crowded
from roster_pipeline.oneroster.errors import Refused, ServerFailed, TooSlow

Sleep = Callable[[float], Awaitable[None]]

READ_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Fetched:
    """path: the zip, or the folder. lying: which of the place's bundles it is; bundles: all of them."""

    path: Path
    lying: FoundBundle
    bundles: tuple[FoundBundle, ...]


async def download(
    place: Place, into: Path, wanted: FoundBundle | None = None, sleep: Sleep = asyncio.sleep
) -> Fetched:
    """Fetch one bundle into the folder: the wanted one, or the newest by its own time."""
    into.mkdir(exist_ok=True)
    try:
        async with asyncio.timeout(place.limits.download_seconds):
            connection = await signed_in(place)
            async with connection, connection.start_sftp_client(path_errors="surrogateescape") as sftp:
                fetched = await _fetched(sftp, place, into, wanted, sleep)
        return fetched
    except TimeoutError:
        raise TooSlow(
            f"The bundle was not fetched within {place.limits.download_seconds:.0f} s.",
            "It is tried again at the next sync; if it lasts, ask the SFTP server's operator.",
        ) from None
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        raise BundleNotFound(
            "The SFTP server has no file or folder at this path.", "Check the path, and whether the export ran."
        ) from None
    except asyncssh.SFTPPermissionDenied:
        raise Refused("The SFTP server does not let us read this path.", "Grant reading to our user there.") from None
    except asyncssh.SFTPError as problem:
        raise ServerFailed(
            f"The SFTP server failed ({type(problem).__name__}).",
            "It is tried again at the next sync; if it lasts, ask the SFTP server's operator.",
        ) from None
    except (asyncssh.Error, OSError) as problem:
        raise unreachable(type(problem).__name__) from None


async def _fetched(
    sftp: asyncssh.SFTPClient, place: Place, into: Path, wanted: FoundBundle | None, sleep: Sleep
) -> Fetched:
    folder, pattern = split_pattern(place.path)
    folder, bundles, further = await _bundles(sftp, folder, pattern, place.limits)
    one = wanted or max(bundles, key=lambda lying: (lying.stated, lying.name))
    unpacked = one.name == UNPACKED
    path = into if unpacked else into / "bundle.zip"
    names = {into / file.name.strip().lower() if unpacked else path: file.name for file in one.files}
    if unpacked and place.enrollments and further is not None:
        names[into / ENROLLMENTS_NAME] = further
    await _copy(sftp, {local: f"{folder}/{name}" for local, name in names.items()}, place.limits, sleep)
    return Fetched(path, one, tuple(bundles))


async def _bundles(
    sftp: asyncssh.SFTPClient, path: str, pattern: str | None, limits: BundleLimits
) -> tuple[str, list[FoundBundle], str | None]:
    """The folder, the bundles that lie in it, and the name of an enrollments.csv that lies there unpacked."""
    at = await _look(sftp, path)
    if at is not None:
        folder, slash, name = path.rpartition("/")
        return folder if slash else ".", [FoundBundle(name, (Found(name, at[0], float(at[1])),))], None
    files = await _listed(sftp, path, limits)
    further = next((one.name for one in files if one.name.strip().lower() == ENROLLMENTS_NAME), None)
    return path, bundles_of(files, pattern, unpacked_files(files) if pattern is None else ()), further


async def _listed(sftp: asyncssh.SFTPClient, folder: str, limits: BundleLimits) -> list[Found]:
    """The plain files of a folder; links and folders in it are not looked into."""
    files: list[Found] = []
    number = 0
    async for entry in sftp.scandir(folder):
        number += 1
        if number > limits.listing:
            raise too_crowded(limits)
        attributes, name = entry.attrs, str(entry.filename)
        if attributes.permissions is not None and stat.S_ISREG(attributes.permissions) and "/" not in name:
            files.append(Found(name, attributes.size or 0, float(attributes.mtime or 0)))
    return files


async def _look(sftp: asyncssh.SFTPClient, path: str) -> tuple[int, int] | None:
    """Size and time of a file; None for a folder."""
    attributes = await sftp.stat(path)
    if attributes.permissions is not None and stat.S_ISDIR(attributes.permissions):
        return None
    return attributes.size or 0, attributes.mtime or 0


async def _copy(sftp: asyncssh.SFTPClient, files: dict[Path, str], limits: BundleLimits, sleep: Sleep) -> None:
    """Copy files that are at rest: looked at twice before, and again afterwards."""
    if len(files) == 0:
        return
    first = [await _look(sftp, path) for path in files.values()]
    if sum(look[0] for look in first if look) > limits.archive_bytes:
        raise too_large("The bundle", limits.archive_bytes)
    await sleep(limits.settle_seconds)
    if [await _look(sftp, path) for path in files.values()] != first:
        raise _moving()
    for (local, path), look in zip(files.items(), first, strict=True):
        if look is None:
            raise BundleNotFound("A folder has the name of a file of the bundle.", "Check the folder on the server.")
        await _copy_one(sftp, path, local, look[0])
        os.utime(local, (look[1], look[1]))
    if [await _look(sftp, path) for path in files.values()] != first:
        raise _moving()


async def _copy_one(sftp: asyncssh.SFTPClient, path: str, local: Path, size: int) -> None:
    """Exactly `size` bytes, or BundleMoving."""
    left = size
    async with sftp.open(path, "rb") as remote:
        with local.open("xb") as file:
            while left > 0 and (chunk := await remote.read(min(READ_BYTES, left))):
                left -= len(chunk)
                await asyncio.to_thread(file.write, cast(bytes, chunk))
    if left != 0:
        raise _moving()


def _moving() -> BundleMoving:
    return BundleMoving(
        "The bundle on the SFTP server is still being written.",
        "It is tried again at the next sync; let the export write under another name and rename at the end.",
    )
