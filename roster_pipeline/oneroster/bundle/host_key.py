"""Which SFTP servers are believed: the ones whose host key was given, and no others, not even the first time."""

from __future__ import annotations

import re

import asyncssh

from roster_pipeline.oneroster.bundle.bundle_errors import HostKeyRefused

_FINGERPRINT = re.compile(r"^SHA256:[A-Za-z0-9+/]{43}=?$")
_KEY_KINDS = ("ssh-", "ecdsa-", "sk-")
_HOW = (
    "Give its fingerprint (SHA256:...) as the SFTP server's operator published it, its public key, or its line of a "
    "known_hosts file."
)


def trusted_fingerprints(stated: str | None, host: str, port: int) -> frozenset[str]:
    """The fingerprints that a server may show. Raises HostKeyRefused where none is given or one cannot be read.

    stated: lines, each a fingerprint, a public key, or an entry of known_hosts; entries of other hosts do not count.
    """
    trusted: set[str] = set()
    known: list[str] = []
    for line in (stated or "").splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if _FINGERPRINT.match(text):
            trusted.add(text.rstrip("="))
        elif text.startswith(_KEY_KINDS):
            trusted.add(_fingerprint(text))
        else:
            known.append(text)
    if known:
        trusted |= _of_known_hosts("\n".join(known), host, port)
    if not trusted:
        raise HostKeyRefused("No host key of the SFTP server is given, so it cannot be told from an impostor.", _HOW)
    return frozenset(trusted)


def refused(shown: str) -> HostKeyRefused:
    """The error for a server that shows another key; `shown` is its fingerprint."""
    return HostKeyRefused(
        f"The SFTP server's host key is not the one that was given (it shows {shown}).",
        "Ask its operator whether the key was replaced. Only if that very fingerprint is confirmed, enter it here.",
    )


def _fingerprint(line: str) -> str:
    try:
        return asyncssh.import_public_key(line).get_fingerprint()
    except (asyncssh.KeyImportError, ValueError):
        raise HostKeyRefused("The host key that is given cannot be read.", _HOW) from None


def _of_known_hosts(text: str, host: str, port: int) -> set[str]:
    try:
        entries = asyncssh.import_known_hosts(text + "\n")
        found = asyncssh.match_known_hosts(entries, host, "", None if port == 22 else port)
    except (asyncssh.KeyImportError, ValueError):
        raise HostKeyRefused("The host key that is given cannot be read.", _HOW) from None
    keys, revoked = found[0], found[2]
    return {key.get_fingerprint() for key in keys if key not in revoked}
