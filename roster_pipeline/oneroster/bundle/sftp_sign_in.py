"""Signing in at an SFTP server, after it has proved to be the one that was meant.

Runs in an event loop of its own, in a thread of its own, so that it works wherever it is called from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncssh
import httpcore

from roster_pipeline.oneroster.bundle.host_key import refused, trusted_fingerprints
from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.errors import OneRosterError, SignInRefused, Unreachable
from roster_pipeline.oneroster.http.ip_addresses import allowed_addresses

Result = TypeVar("Result")

_PRIVATE_KEY = "-----BEGIN"
_KEY_ALGORITHMS: tuple[tuple[str, ...] | None, ...] = (
    None,
    ("ssh-ed25519",),
    ("rsa-sha2-512", "rsa-sha2-256"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
)
"""A server has several keys and shows one; where it is not the one given, it is asked for the others by kind."""


@dataclass(frozen=True)
class Place:
    """What to fetch and how to sign in. secret: a password, or a private key in PEM or OpenSSH form.

    enrollments: of a bundle that lies there unpacked, fetch enrollments.csv too.
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
    """Run to the end from synchronous code, also below somebody else's event loop."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sftp") as thread:
        return thread.submit(asyncio.run, work).result()


async def signed_in(place: Place) -> asyncssh.SSHClientConnection:
    """Signed in at the server that was meant."""
    trusted = trusted_fingerprints(place.host_key, place.host, place.port)
    try:
        addresses = await asyncio.to_thread(allowed_addresses, place.host, place.port, place.allow_private)
    except httpcore.ConnectError:
        raise unreachable("the name is unknown") from None
    failure: OneRosterError = unreachable("no address")
    for address in addresses:
        shown: list[str] = []
        for algorithms in _KEY_ALGORITHMS:
            try:
                return await _tried(place, address, trusted, algorithms, shown)
            except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost):
                # The refusal of a key, or of a kind of key, may reach us as the connection's end.
                if not shown or shown[-1] in trusted:
                    raise
                failure = refused(shown[0])
            except asyncssh.PermissionDenied:
                raise SignInRefused(
                    "The SFTP server refused the sign-in.",
                    "Check user name and password, or private key; they may have been replaced or may have expired.",
                ) from None
            except OSError as problem:
                failure = failure if shown else unreachable(type(problem).__name__)
                break
    raise failure


async def _tried(
    place: Place, address: str, trusted: frozenset[str], algorithms: tuple[str, ...] | None, shown: list[str]
) -> asyncssh.SSHClientConnection:
    class Client(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            shown.append(key.get_fingerprint())
            return shown[-1] in trusted

    keys = [_private_key(place.secret)] if place.secret.lstrip().startswith(_PRIVATE_KEY) else []
    more: dict[str, Any] = {} if algorithms is None else {"server_host_key_algs": list(algorithms)}
    return await asyncssh.connect(
        address,
        place.port,
        username=place.user,
        password=None if keys else place.secret,
        client_keys=keys or None,
        preferred_auth="publickey" if keys else "password,keyboard-interactive",
        known_hosts=b"",
        client_factory=Client,
        config=None,
        agent_path=None,
        connect_timeout=place.limits.connect_seconds,
        login_timeout=place.limits.connect_seconds,
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
    """The error for a server that is not there, or not any more."""
    return Unreachable(
        f"The SFTP server cannot be reached, or broke off ({why}).",
        "Check host and port, and whether its firewall lets us in.",
    )
