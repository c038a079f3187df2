"""What can go wrong with a CSV bundle, as types a caller can act on; all of them are OneRosterErrors.

Texts name files, columns and line numbers, never a cell.
"""

from __future__ import annotations

from roster_pipeline.oneroster.errors import OneRosterError, TooLarge


class BundleError(OneRosterError):
    """The bundle, or one of its files, cannot be used."""


class BundleNotFound(BundleError):
    """Nothing lies where the bundle should be, or nothing that fits."""


class BundleBroken(BundleError):
    """The zip, or a file in it, is damaged, cut short, or packed in a way we do not read."""


class BundleUnsafe(BundleError):
    """The bundle holds what no export holds: links, paths that lead out of it, the same file twice, encryption."""


class BundleTooLarge(TooLarge):
    """The bundle is larger, or unpacks to more, than allowed."""


class BundleMoving(BundleError):
    """The bundle changed while we looked at it: the export is still writing."""

    retryable = True


class MissingFile(BundleError):
    """A file that must be in the bundle, or that its manifest announces, is not there."""


class WrongHeader(BundleError):
    """The first line of a file does not name the columns that are needed."""


class WrongManifest(BundleError):
    """The manifest cannot be read, or says what the standard does not know."""


class WrongEncoding(BundleError):
    """A file is written in an alphabet other than UTF-8 or Windows-1252."""


class HostKeyRefused(OneRosterError):
    """The SFTP server does not prove to be the one that was meant."""
