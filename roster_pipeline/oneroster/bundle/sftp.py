"""Fetching a bundle over SFTP. The host key of the server has to prove that it is the intended one. Size and time are
limited, and a file that is still being written is refused."""

import asyncio
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import asyncssh
import httpcore

from roster_pipeline.oneroster.bundle.bundle_discovery import (
    UNPACKED,
    FoundBundle,
    FoundFile,
    SftpPlace,
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
    HostKeyRefused,
    too_large,
)
from roster_pipeline.oneroster.errors import OneRosterError, Refused, ServerFailed, SignInRefused, TooSlow, Unreachable
from roster_pipeline.oneroster.http.addresses import allowed_addresses

READ_BYTES = 4 * 1024 * 1024
_NEXT_SYNC = "The next sync tries again; if it keeps failing, ask the SFTP server's operator."
_FINGERPRINT = re.compile(r"^SHA256:[A-Za-z0-9+/]{43}=?$")
_KEY_KINDS = ("ssh-", "ecdsa-", "sk-")
_KEY_ALGORITHMS: tuple[tuple[str, ...] | None, ...] = (
    None,
    ("ssh-ed25519",),
    ("rsa-sha2-512", "rsa-sha2-256"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
)
"""A server has several keys and shows one. If that is not the expected one, we request each other kind in turn."""
_HOW = (
    "Give its fingerprint (SHA256:...) as the SFTP server's operator published it, its public key, or its line of a "
    "known_hosts file."
)


@dataclass(frozen=True)
class Fetched:
    """path: the local zip or folder. bundle: what was fetched. bundles: everything that is in the place."""

    path: Path
    bundle: FoundBundle
    bundles: tuple[FoundBundle, ...]


async def download(
    source: SftpPlace, into: Path, wanted: FoundBundle | None = None, *, enrollments: bool = False
) -> Fetched:
    """Fetch one bundle into a folder: the wanted one, or the newest by its own time. enrollments: with enrollments.csv,
    if it is unpacked. Raises OneRosterError."""
    into.mkdir(exist_ok=True)
    seconds = source.limits.download_seconds
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            session = await signed_in(source)
            # Without this, a server that answers nothing keeps us waiting for its answer to the end of the session.
            asyncio.get_running_loop().call_at(limit.when() or 0.0, session.abort)
            async with session, session.start_sftp_client(path_errors="surrogateescape") as sftp:
                fetched = await _fetch(sftp, source, into, wanted, enrollments)
        return fetched
    except (asyncssh.Error, OSError) as problem:
        if limit.expired():
            raise TooSlow(f"The bundle was not fetched within {seconds:.0f} s.", _NEXT_SYNC) from None
        raise _failure(problem) from None


def _failure(problem: asyncssh.Error | OSError) -> OneRosterError:
    """The error for an exception of the SFTP client."""
    if isinstance(problem, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
        return BundleNotFound(
            "The SFTP server has no file or folder at this path.", "Check the path, and whether the export ran."
        )
    if isinstance(problem, asyncssh.SFTPPermissionDenied):
        return Refused("The SFTP server does not let us read this path.", "Give our user there the right to read it.")
    if isinstance(problem, asyncssh.SFTPError):
        return ServerFailed(f"The SFTP server failed ({type(problem).__name__}).", _NEXT_SYNC)
    return unreachable(type(problem).__name__)


async def _fetch(
    sftp: asyncssh.SFTPClient, source: SftpPlace, into: Path, wanted: FoundBundle | None, with_enrollments: bool
) -> Fetched:
    path, pattern = split_pattern(source.path)
    folder, bundles, enrollments = await _bundles(sftp, path, pattern, source.limits)
    bundle = wanted or max(bundles, key=lambda each: (each.stated, each.name))
    unpacked = bundle.name == UNPACKED
    target = into if unpacked else into / "bundle.zip"
    names = {into / file.name.strip().lower() if unpacked else target: file.name for file in bundle.files}
    if unpacked and with_enrollments and enrollments is not None:
        names[into / ENROLLMENTS_NAME] = enrollments
    await _copy(sftp, {local: f"{folder}/{name}" for local, name in names.items()}, source.limits)
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
        kind = stat.S_IFMT(attributes.permissions or 0)  # 0: some servers do not say what an entry is
        if kind in (0, stat.S_IFREG) and "/" not in name:
            files.append(FoundFile(name, attributes.size or 0, float(attributes.mtime or 0)))
    return files


async def _size_and_time(sftp: asyncssh.SFTPClient, path: str) -> tuple[int, int] | None:
    """Bytes and time of writing (seconds since 1970) of a file; None for a folder."""
    attributes = await sftp.stat(path)
    if attributes.permissions is not None and stat.S_ISDIR(attributes.permissions):
        return None
    return attributes.size or 0, attributes.mtime or 0


async def _copy(sftp: asyncssh.SFTPClient, files: dict[Path, str], limits: BundleLimits) -> None:
    """Copy files, each local path from its remote one. Size and time are checked twice before and once afterwards."""
    if not files:
        return
    before = [await _size_and_time(sftp, path) for path in files.values()]
    if sum(status[0] for status in before if status) > limits.archive_bytes:
        raise too_large("The bundle", limits.archive_bytes)
    await asyncio.sleep(limits.settle_seconds)
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


async def signed_in(source: SftpPlace) -> asyncssh.SSHClientConnection:
    """An open session. Raises HostKeyRefused, SignInRefused, Unreachable, AddressNotAllowed or errors of asyncssh."""
    trusted = trusted_fingerprints(source.host_key, source.host, source.port)
    try:
        addresses = await asyncio.to_thread(allowed_addresses, source.host, source.port, source.allow_private)
    except httpcore.ConnectError:
        raise unreachable("the name is unknown") from None
    failure: OneRosterError = unreachable("no address")
    for address in addresses:
        shown: list[str] = []
        for algorithms in _KEY_ALGORITHMS:
            try:
                return await _try(source, address, trusted, algorithms, shown)
            except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost):
                # After we refuse a key, or a kind of key, asyncssh may report that the connection was lost.
                if not shown or shown[-1] in trusted:
                    raise
                failure = HostKeyRefused(
                    f"The SFTP server's host key is not the one that was given (it shows {shown[0]}).",
                    "Ask its operator whether the key was replaced. Enter this fingerprint only after they confirm it.",
                )
            except asyncssh.PermissionDenied:
                raise SignInRefused(
                    "The SFTP server refused the sign-in.",
                    "Check user name and password, or private key; they may have been replaced or may have expired.",
                ) from None
            except ValueError:  # of SASLprep (RFC 4013)
                raise SignInRefused(
                    "User name or password holds characters that an SFTP sign-in cannot carry.",
                    "Copy both again; if they are right, ask the SFTP server's operator for a plainer password.",
                ) from None
            except OSError as problem:
                failure = failure if shown else unreachable(type(problem).__name__)
                break
    raise failure


async def _try(
    source: SftpPlace, address: str, trusted: frozenset[str], algorithms: tuple[str, ...] | None, shown: list[str]
) -> asyncssh.SSHClientConnection:
    """Sign in at one address. Adds the fingerprint that the server shows to `shown`."""

    class Client(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            shown.append(key.get_fingerprint())
            return shown[-1] in trusted

    keys = [_private_key(source.secret)] if source.secret.lstrip().startswith("-----BEGIN") else []
    more: dict[str, Any] = {} if algorithms is None else {"server_host_key_algs": list(algorithms)}
    return await asyncssh.connect(
        address,
        source.port,
        username=source.user,
        password=None if keys else source.secret,
        client_keys=keys or None,
        preferred_auth="publickey" if keys else "password,keyboard-interactive",
        known_hosts=b"",
        client_factory=Client,
        config=None,
        agent_path=None,
        connect_timeout=source.limits.connect_seconds,
        login_timeout=source.limits.connect_seconds,
        keepalive_interval=15,
        **more,
    )


def _private_key(secret: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(secret.strip() + "\n")
    except (asyncssh.KeyImportError, ValueError):
        raise SignInRefused(
            "The private key for the SFTP server cannot be read.",
            "Enter the whole key, in PEM or OpenSSH form, without a passphrase. We store it encrypted.",
        ) from None


def unreachable(why: str) -> Unreachable:
    """The error for a server that does not answer, or stopped answering."""
    return Unreachable(
        f"The SFTP server cannot be reached, or broke off ({why}).",
        "Check host and port, and whether its firewall allows this machine.",
    )


def trusted_fingerprints(stated: str | None, host: str, port: int) -> frozenset[str]:
    """The host keys that are accepted from this server, as fingerprints. No key is trusted because it is the first one.

    stated: lines, each a fingerprint, a public key, or an entry of known_hosts; entries of other hosts do not count.
    Raises HostKeyRefused if there is none for this host, or if one cannot be read.
    """
    trusted: set[str] = set()
    known_hosts: list[str] = []
    try:
        for text in (line.strip() for line in (stated or "").splitlines()):
            if not text or text.startswith("#"):
                continue
            if _FINGERPRINT.match(text):
                trusted.add(text.rstrip("="))
            elif text.startswith(_KEY_KINDS):
                trusted.add(asyncssh.import_public_key(text).get_fingerprint())
            else:
                known_hosts.append(text)
        if known_hosts:
            entries = asyncssh.import_known_hosts("\n".join([*known_hosts, ""]))
            matches = asyncssh.match_known_hosts(entries, host, "", None if port == 22 else port)
            trusted |= {key.get_fingerprint() for key in matches[0] if key not in matches[2]}  # 2: revoked keys
    except (asyncssh.KeyImportError, ValueError):
        raise HostKeyRefused("The given host key cannot be read.", _HOW) from None
    if not trusted:
        raise HostKeyRefused("Enter the host key of the SFTP server. It proves that the server is the right one.", _HOW)
    return frozenset(trusted)
