"""A value that is well formed and still may not be saved, named by its field so that a form can say it there."""

from __future__ import annotations

from roster_pipeline.directory.database_errors import DirectoryError

SECRET = "client_secret"  # noqa: S105 - the field's name
AUTOMATIC = "automatic"


class FieldError(DirectoryError):
    """One field of a connection or a school is refused. field: its name in the settings, or `client_secret`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, "Nothing was saved.")
        self.field = field
