"""From a connection's URL to the source it names: `file:///path` or `sftp://user@host:port/path`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from roster_pipeline.oneroster.bundle.limits import BundleLimits
from roster_pipeline.oneroster.bundle.sftp import DEFAULT_PORT, SftpSource
from roster_pipeline.oneroster.bundle.source import BundleSource, LocalSource
from roster_pipeline.oneroster.errors import AddressNotAllowed, SignInRefused, WrongAddress

SCHEMES = ("file", "sftp")
_HOME = "/~/"


def is_bundle_url(url: str) -> bool:
    """Whether a connection's URL names a CSV bundle, and not an API."""
    return url.strip().lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def source_of(
    url: str,
    client_id: str = "",
    client_secret: str = "",
    *,
    host_key: str | None = None,
    allow_private: bool = False,
    within: Path | None = None,
    metadata_keys: tuple[str, ...] = (),
    limits: BundleLimits | None = None,
) -> BundleSource:
    """The source of a connection. Raises WrongAddress, AddressNotAllowed or SignInRefused before anything is opened.

    client_id, client_secret: user and password of the SFTP server, or its private key as secret. host_key: see
    `trusted_fingerprints`. allow_private: the operator allows this machine's own files and servers in private networks;
    within: the folder that local bundles must lie in then.
    """
    limits = limits or BundleLimits()
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _wrong("The address of the bundle cannot be read.") from None
    path = unquote(parts.path)
    if parts.query or parts.fragment:
        path = unquote(url.strip().split("://", 1)[-1].removeprefix(parts.netloc))
    if "\0" in path or not path.strip("/"):
        raise _wrong("The address of the bundle names no file or folder.")
    if parts.scheme == "file":
        return _local(host, path, allow_private, within, metadata_keys, limits)
    if parts.scheme != "sftp" or not host:
        raise _wrong("The address of the bundle names no server.")
    if parts.password is not None:
        raise _wrong("The address of the bundle holds a password, which would be shown to everybody.")
    user = client_id.strip() or unquote(parts.username or "")
    if not user or not client_secret:
        raise SignInRefused(
            "The SFTP server needs a user name and a password or private key.",
            "Enter the user name as Client ID, and the password or the private key as Client Secret.",
        )
    return SftpSource(
        host=host,
        port=port or DEFAULT_PORT,
        path=path.removeprefix(_HOME) if path.startswith(_HOME) else path,
        user=user,
        secret=client_secret,
        host_key=host_key,
        allow_private=allow_private,
        metadata_keys=metadata_keys,
        limits=limits,
    )


def _local(
    host: str, path: str, allow_private: bool, within: Path | None, metadata_keys: tuple[str, ...], limits: BundleLimits
) -> LocalSource:
    if host not in ("", "localhost"):
        raise _wrong("The address of the bundle names another machine.")
    if not allow_private:
        raise AddressNotAllowed(
            "The bundle lies on this machine, and reading files of it is not allowed for this connection.",
            "The operator can allow private addresses for this connection; or let the SIS send it to an SFTP server.",
        )
    return LocalSource(path=path, within=within, metadata_keys=metadata_keys, limits=limits)


def _wrong(message: str) -> WrongAddress:
    return WrongAddress(message, "Enter file:///folder/bundle.zip or sftp://host/folder, see docs/csv.md.")
