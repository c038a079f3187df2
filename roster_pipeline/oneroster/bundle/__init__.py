"""OneRoster CSV bundles as a source next to the API, with the same batches and the same kind of proof.

source = source_of("sftp://sis.example.org/exports", "user", "password", host_key="SHA256:...")
people = pull_bundle(source, Wanted(contacts=True))
for batch in people: ...
people.proof.mode  # "full", or "delta" where absence means nothing
"""

from roster_pipeline.oneroster.bundle.bundle_check import check_bundle_schools
from roster_pipeline.oneroster.bundle.bundle_files import (
    BundleBroken,
    BundleError,
    BundleLimits,
    BundleMoving,
    BundleNotFound,
    BundleTooLarge,
    BundleUnsafe,
    HostKeyRefused,
    MissingFile,
    WrongEncoding,
    WrongHeader,
    WrongManifest,
)
from roster_pipeline.oneroster.bundle.bundle_pull import BundlePull, pull_bundle
from roster_pipeline.oneroster.bundle.delta_chain import MISSED, LastRead
from roster_pipeline.oneroster.bundle.sources import BundleSource, LocalSource, SftpSource, source_of

__all__ = [
    "MISSED", "BundleBroken", "BundleError", "BundleLimits", "BundleMoving", "BundleNotFound", "BundlePull",
    "BundleSource", "BundleTooLarge", "BundleUnsafe", "HostKeyRefused", "LastRead", "LocalSource", "MissingFile",
    "SftpSource", "WrongEncoding", "WrongHeader", "WrongManifest", "check_bundle_schools", "pull_bundle", "source_of",
]  # fmt: skip
