"""The base of the errors that people read: what was wrong, and what to do about it.

Each family is in the package that raises it: `OneRosterError` (the SIS), `DirectoryError` (the database), `MailError`,
`SyncError` (a step of one school's sync), and in `settings` `InstallationError` (environment variables). No text holds
a value from a person's record.
"""

from __future__ import annotations

import re


def with_keys(text: str, *, school: str = "", connection: str = "") -> str:
    """The text of a remedy with keys instead of `SCHOOL` and `CONNECTION` in its commands."""
    for word, key in (("SCHOOL", school), ("CONNECTION", connection)):
        text = re.sub(rf"\b{word}\b", key, text) if key else text
    return text


class RosterError(Exception):
    """An error with a remedy. `str()` is the message and, on its own line, the remedy.

    retryable: whether the same work may succeed later without anybody changing anything.
    """

    retryable = False

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message
