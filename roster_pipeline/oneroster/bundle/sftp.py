"""A bundle on an SFTP server as a source: fetched into a private folder, which is gone when the pull is over."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from roster_pipeline.oneroster.bundle.bundle_discovery import FoundBundle
from roster_pipeline.oneroster.bundle.opened_bundle import OpenedBundle
from roster_pipeline.oneroster.bundle.source import BundleListing, BundleSource, opened_path

DEFAULT_PORT = 22


@dataclass(frozen=True, kw_only=True)
class SftpSource(BundleSource):
    """A zip, a folder of zips, a pattern, or a folder of CSV files on a server. See `Place` for the fields."""

    host: str
    path: str
    user: str
    secret: str = field(repr=False)
    port: int = DEFAULT_PORT
    host_key: str | None = None
    allow_private: bool = False

    @property
    def shown(self) -> str:
        port = "" if self.port == DEFAULT_PORT else f":{self.port}"
        return f"sftp://{self.host}{port}{self.path if self.path.startswith('/') else f'/~/{self.path}'}"

    @contextmanager
    def shelf(self, *, enrollments: bool = False) -> Iterator[BundleListing]:
        # asyncssh takes a third of a second to load, and few schools come over SFTP.
        from roster_pipeline.oneroster.bundle.sftp_download import download
        from roster_pipeline.oneroster.bundle.sftp_sign_in import Place, run

        place = Place(
            host=self.host,
            port=self.port,
            path=self.path,
            user=self.user,
            secret=self.secret,
            host_key=self.host_key,
            allow_private=self.allow_private,
            limits=self.limits,
            enrollments=enrollments,
        )
        with tempfile.TemporaryDirectory(prefix="roster-bundle-") as folder:
            found = run(download(place, Path(folder) / "first"))

            @contextmanager
            def opened(one: FoundBundle) -> Iterator[OpenedBundle]:
                with ExitStack() as stack:
                    path = found.path
                    if one != found.lying:
                        further = stack.enter_context(tempfile.TemporaryDirectory(dir=folder))
                        path = run(download(place, Path(further), one)).path
                    package = stack.enter_context(opened_path(path, self.limits))
                    yield replace(package, requests=len(one.files))

            yield BundleListing(found.bundles, opened)
