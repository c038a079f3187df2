"""Where bundles come from: a path on this machine, or a folder on an SFTP server, as a connection's URL names it."""

import asyncio
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from roster_pipeline.oneroster.bundle.bundle_discovery import (
    DEFAULT_PORT,
    UNPACKED,
    FoundBundle,
    FoundFile,
    SftpPlace,
    bundles_among,
    split_pattern,
    too_many_files,
    unpacked_files,
)
from roster_pipeline.oneroster.bundle.bundle_files import BundleLimits, BundleNotFound, OpenedBundle
from roster_pipeline.oneroster.bundle.open_bundle import bundle_files_in, opened_path
from roster_pipeline.oneroster.errors import AddressNotAllowed, SignInRefused, WrongAddress
from roster_pipeline.oneroster.witness import WitnessReport

_HOME = "/~/"
_CHECK_PATH = "Check the path, and that the account of this service may read it."
Result = TypeVar("Result")


@dataclass(frozen=True)
class BundleListing:
    """The bundles in a place, in no order, and a function that opens one of them. `open` raises OneRosterError."""

    bundles: tuple[FoundBundle, ...]
    open: Callable[[FoundBundle], AbstractContextManager[OpenedBundle]]


@dataclass(frozen=True, kw_only=True)
class BundleSource(ABC):
    """A place that holds bundles. metadata_keys: the `metadata.*` columns that are kept."""

    metadata_keys: tuple[str, ...] = ()
    limits: BundleLimits = field(default_factory=BundleLimits)

    @abstractmethod
    def listing(self, *, enrollments: bool = False) -> AbstractContextManager[BundleListing]:
        """The bundles that are there now, at least one. Raises OneRosterError. enrollments: fetch enrollments.csv as
        well."""

    @property
    @abstractmethod
    def shown(self) -> str:
        """The place as owners may see it: without secret and user name."""

    def witness(self, sourced_ids: Sequence[str]) -> WitnessReport:
        """Answers "unanswered" for everybody, because a bundle cannot be asked for a single person."""
        return WitnessReport(dict.fromkeys(sourced_ids, "unanswered"), False)


@dataclass(frozen=True, kw_only=True)
class LocalSource(BundleSource):
    """A folder of CSV files, a zip, a folder of zips, or a pattern such as /exports/roster-*.zip."""

    path: str

    @property
    def shown(self) -> str:
        return f"file://{self.path}"

    def listing(self, *, enrollments: bool = False) -> AbstractContextManager[BundleListing]:
        with _readable():
            folder, bundles = self._bundles()
        return nullcontext(BundleListing(tuple(bundles), lambda bundle: self._opened(folder / bundle.name)))

    @contextmanager
    def _opened(self, path: Path) -> Iterator[OpenedBundle]:
        with ExitStack() as stack:
            with _readable():
                opened = stack.enter_context(opened_path(path, self.limits))
            yield opened

    def _bundles(self) -> tuple[Path, list[FoundBundle]]:
        stated, pattern = split_pattern(self.path)
        path = Path(stated).resolve()
        if not path.exists():
            raise BundleNotFound("There is no file or folder at the path of the bundle.", _CHECK_PATH)
        if not path.is_dir():
            status = path.stat()
            return path.parent, [FoundBundle(path.name, (FoundFile(path.name, status.st_size, status.st_mtime),))]
        files = _plain_files(path, self.limits)
        zips = any(file.name.lower().endswith(".zip") for file in files)
        if pattern is None and not zips:
            return path, [FoundBundle(UNPACKED, tuple(bundle_files_in(path, self.limits)))]
        unpacked = bundle_files_in(path, self.limits) if pattern is None and unpacked_files(files) else []
        return path, bundles_among(files, pattern, unpacked)


@dataclass(frozen=True, kw_only=True)
class SftpSource(SftpPlace, BundleSource):
    """A zip, a folder of zips, a pattern, or a folder of CSV files on a server.

    Bundles are fetched into a private folder, which is deleted when the listing is closed.
    """

    @property
    def shown(self) -> str:
        port = "" if self.port == DEFAULT_PORT else f":{self.port}"
        return f"sftp://{self.host}{port}{self.path if self.path.startswith('/') else f'/~/{self.path}'}"

    @contextmanager
    def listing(self, *, enrollments: bool = False) -> Iterator[BundleListing]:
        # asyncssh takes a third of a second to load, and few schools use SFTP.
        from roster_pipeline.oneroster.bundle.sftp import download

        with tempfile.TemporaryDirectory(prefix="roster-bundle-") as folder:
            newest = run(download(self, Path(folder) / "first", enrollments=enrollments))

            @contextmanager
            def open_bundle(bundle: FoundBundle) -> Iterator[OpenedBundle]:
                with ExitStack() as stack:
                    path = newest.path
                    if bundle != newest.bundle:
                        another = stack.enter_context(tempfile.TemporaryDirectory(dir=folder))
                        path = run(download(self, Path(another), bundle, enrollments=enrollments)).path
                    opened = stack.enter_context(opened_path(path, self.limits))
                    yield replace(opened, requests=len(bundle.files))

            yield BundleListing(newest.bundles, open_bundle)


def source_of(
    url: str,
    client_id: str = "",
    client_secret: str = "",
    *,
    host_key: str | None = None,
    allow_private: bool = False,
    metadata_keys: tuple[str, ...] = (),
    limits: BundleLimits | None = None,
) -> BundleSource:
    """The source of a connection: `file:///path` or `sftp://user@host:port/path`. Opens nothing.

    client_id, client_secret: user and password of the SFTP server, or its private key as secret. host_key: see
    `trusted_fingerprints`. allow_private: the operator allows files of this machine and servers in private networks.
    Raises WrongAddress, AddressNotAllowed or SignInRefused.
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
        if host not in ("", "localhost"):
            raise _wrong("The address of the bundle names another machine.")
        if not allow_private:
            raise AddressNotAllowed(
                "The bundle is on this machine, and this connection may not read files of this machine.",
                "Send it to an SFTP server, or let an operator switch on 'Allow private addresses' for this connection "
                "(--allow-private-addresses).",
            )
        return LocalSource(path=path, metadata_keys=metadata_keys, limits=limits)
    if parts.scheme != "sftp" or not host:
        raise _wrong("The address of the bundle names no server.")
    if parts.password is not None:
        raise _wrong("The address of the bundle holds a password, which everybody would see.")
    user = client_id.strip() or unquote(parts.username or "")
    if not user or not client_secret:
        raise SignInRefused(
            "The SFTP server needs a user name and a password or private key.",
            "Enter the user name as Client ID, and the password or the private key as Client Secret.",
        )
    return SftpSource(
        host=host, port=port or DEFAULT_PORT, path=path.removeprefix(_HOME), user=user, secret=client_secret,
        host_key=host_key, allow_private=allow_private, metadata_keys=metadata_keys, limits=limits,
    )  # fmt: skip


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise BundleNotFound(f"The bundle cannot be opened ({type(problem).__name__}).", _CHECK_PATH) from None


def _plain_files(path: Path, limits: BundleLimits) -> list[FoundFile]:
    files: list[FoundFile] = []
    with os.scandir(path) as entries:
        for number, entry in enumerate(entries):
            if number >= limits.listing:
                raise too_many_files(limits)
            if entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                files.append(FoundFile(entry.name, status.st_size, status.st_mtime))
    return files


def _wrong(message: str) -> WrongAddress:
    return WrongAddress(message, "Enter file:///folder/bundle.zip or sftp://host/folder, see docs/csv.md.")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end from synchronous code, even inside another event loop.

    If it breaks off, its result says why. Later failures in tasks that asyncssh leaves behind are not logged.
    """

    def in_own_loop() -> Result:
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(lambda loop, context: None)
            return runner.run(work)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sftp") as thread:
        return thread.submit(in_own_loop).result()
