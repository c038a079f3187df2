"""Signing in to an SFTP server, after its host key has proved that it is the intended one.

Runs in an event loop and a thread of its own, so that it can be called from anywhere.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncssh
import httpcore

from roster_pipeline.oneroster.bundle.bundle_files import BundleLimits, HostKeyRefused
from roster_pipeline.oneroster.errors import OneRosterError, SignInRefused, Unreachable
from roster_pipeline.oneroster.http.network import allowed_addresses

Result = TypeVar("Result")

_PRIVATE_KEY = "-----BEGIN"
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
class SftpAccess:
    """What to fetch and how to sign in. secret: a password, or a private key in PEM or OpenSSH form.

    host_key: see `trusted_fingerprints`. enrollments: fetch enrollments.csv as well, if a bundle is unpacked.
    """

    host: str
    port: int
    path: str
    user: str
    secret: str = field(repr=False)
    host_key: str | None
    allow_private: bool
    limits: BundleLimits
    enrollments: bool = False


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end from synchronous code, even inside another event loop."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sftp") as thread:
        return thread.submit(asyncio.run, work).result()


async def signed_in(access: SftpAccess) -> asyncssh.SSHClientConnection:
    """An open session. Raises HostKeyRefused, SignInRefused, Unreachable, AddressNotAllowed or errors of asyncssh."""
    trusted = trusted_fingerprints(access.host_key, access.host, access.port)
    try:
        addresses = await asyncio.to_thread(allowed_addresses, access.host, access.port, access.allow_private)
    except httpcore.ConnectError:
        raise unreachable("the name is unknown") from None
    failure: OneRosterError = unreachable("no address")
    for address in addresses:
        shown: list[str] = []
        for algorithms in _KEY_ALGORITHMS:
            try:
                return await _try(access, address, trusted, algorithms, shown)
            except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost):
                # After we refuse a key, or a kind of key, asyncssh may report that the connection was lost.
                if not shown or shown[-1] in trusted:
                    raise
                failure = _wrong_key(shown[0])
            except asyncssh.PermissionDenied:
                raise SignInRefused(
                    "The SFTP server refused the sign-in.",
                    "Check user name and password, or private key; they may have been replaced or may have expired.",
                ) from None
            except OSError as problem:
                failure = failure if shown else unreachable(type(problem).__name__)
                break
    raise failure


async def _try(
    access: SftpAccess, address: str, trusted: frozenset[str], algorithms: tuple[str, ...] | None, shown: list[str]
) -> asyncssh.SSHClientConnection:
    """Sign in at one address. Adds the fingerprint that the server shows to `shown`."""

    class Client(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            shown.append(key.get_fingerprint())
            return shown[-1] in trusted

    keys = [_private_key(access.secret)] if access.secret.lstrip().startswith(_PRIVATE_KEY) else []
    more: dict[str, Any] = {} if algorithms is None else {"server_host_key_algs": list(algorithms)}
    return await asyncssh.connect(
        address,
        access.port,
        username=access.user,
        password=None if keys else access.secret,
        client_keys=keys or None,
        preferred_auth="publickey" if keys else "password,keyboard-interactive",
        known_hosts=b"",
        client_factory=Client,
        config=None,
        agent_path=None,
        connect_timeout=access.limits.connect_seconds,
        login_timeout=access.limits.connect_seconds,
        keepalive_interval=15,
        **more,
    )


def _private_key(secret: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(secret.strip() + "\n")
    except (asyncssh.KeyImportError, ValueError):
        raise SignInRefused(
            "The private key for the SFTP server cannot be read.",
            "Give it whole, in PEM or OpenSSH form, and without a passphrase: it is encrypted where we keep it.",
        ) from None


def unreachable(why: str) -> Unreachable:
    """The error for a server that does not answer, or stopped answering."""
    return Unreachable(
        f"The SFTP server cannot be reached, or broke off ({why}).",
        "Check host and port, and whether its firewall lets us in.",
    )


def trusted_fingerprints(stated: str | None, host: str, port: int) -> frozenset[str]:
    """The host keys that are accepted from this server, as fingerprints.

    We never trust a key only because it is the first one.

    stated: lines, each a fingerprint, a public key, or an entry of known_hosts; entries of other hosts do not count.
    Raises HostKeyRefused if there is none for this host, or if one cannot be read.
    """
    trusted: set[str] = set()
    known_hosts: list[str] = []
    for line in (stated or "").splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if _FINGERPRINT.match(text):
            trusted.add(text.rstrip("="))
        elif text.startswith(_KEY_KINDS):
            trusted.add(_fingerprint(text))
        else:
            known_hosts.append(text)
    if known_hosts:
        trusted |= _from_known_hosts("\n".join(known_hosts), host, port)
    if not trusted:
        raise HostKeyRefused("Enter the host key of the SFTP server. It proves that the server is the right one.", _HOW)
    return frozenset(trusted)


def _fingerprint(line: str) -> str:
    try:
        return asyncssh.import_public_key(line).get_fingerprint()
    except (asyncssh.KeyImportError, ValueError):
        raise HostKeyRefused("The host key that is given cannot be read.", _HOW) from None


def _from_known_hosts(text: str, host: str, port: int) -> set[str]:
    try:
        entries = asyncssh.import_known_hosts(text + "\n")
        matches = asyncssh.match_known_hosts(entries, host, "", None if port == 22 else port)
    except (asyncssh.KeyImportError, ValueError):
        raise HostKeyRefused("The host key that is given cannot be read.", _HOW) from None
    keys, revoked = matches[0], matches[2]
    return {key.get_fingerprint() for key in keys if key not in revoked}


def _wrong_key(shown: str) -> HostKeyRefused:
    return HostKeyRefused(
        f"The SFTP server's host key is not the one that was given (it shows {shown}).",
        "Ask its operator whether the key was replaced. Enter this fingerprint only after they confirm it.",
    )
