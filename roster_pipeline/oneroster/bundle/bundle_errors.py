"""What can go wrong with a CSV bundle, as types a caller can act on; all of them are OneRosterErrors.

Messages name files, columns and line numbers, never a cell.
"""

from __future__ import annotations

from roster_pipeline.oneroster.errors import OneRosterError, TooLarge


class BundleError(OneRosterError):
    """The bundle, or one of its files, cannot be used."""


class BundleNotFound(BundleError):
    """There is no bundle at the path, or none that fits the pattern."""


class BundleBroken(BundleError):
    """The zip, or a file in it, is damaged, cut short, or packed in a way we do not read."""


class BundleUnsafe(BundleError):
    """The bundle holds what no export holds: links, paths that lead out of it, the same file twice, encryption."""


class BundleTooLarge(TooLarge):
    """The bundle is larger, or unpacks to more, than allowed."""


class BundleMoving(BundleError):
    """The bundle changed while it was read: the export is still writing."""

    retryable = True


class MissingFile(BundleError):
    """A file that every bundle needs, or that the manifest announces, is missing."""


class WrongHeader(BundleError):
    """The first line of a file does not name the columns that are needed."""


class WrongManifest(BundleError):
    """The manifest cannot be read, or says something that the standard does not define."""


class WrongEncoding(BundleError):
    """A file is written in an encoding other than UTF-8 or Windows-1252."""


class HostKeyRefused(OneRosterError):
    """The SFTP server's host key is not a trusted one."""
