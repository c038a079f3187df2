"""What changes of settings have in common: what differs, and the two ways in which a change is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from roster_pipeline.directory.audit import Entry
from roster_pipeline.directory.database_errors import DirectoryError
from roster_pipeline.settings.fields import title_of

SECRET = "client_secret"  # noqa: S105 - the field's name


class FieldError(DirectoryError):
    """The value of one setting is well formed and still refused. field: its name in the model, or `client_secret`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, "Nothing was saved.")
        self.field = field


class ChangedMeanwhile(DirectoryError):
    """Somebody saved other values since the form was filled in; saving over them is refused."""

    def __init__(self, thing: str, entries: Sequence[Entry]) -> None:
        names = sorted({title_of(name) for entry in entries for name in entry.details.get("changed", ())})
        who = " and ".join(dict.fromkeys(entry.who for entry in entries)) or "Somebody else"
        super().__init__(
            f"{who} changed {thing} meanwhile: {', '.join(names) or 'its settings'}. Your changes were not saved.",
            "Look at the settings as they are now, then make your changes again.",
        )


@dataclass(frozen=True)
class SettingsDiff:
    """A change that was written. names: of the settings that differ.

    untested: keys of the schools that run every night although their connection was not tested since it changed.
    """

    names: list[str]
    untested: list[str]


def changed_names(before: BaseModel, after: BaseModel) -> list[str]:
    """The names of the settings that differ, in order; of nested ones the whole path, such as `students.archive`."""
    return _changed(before.model_dump(mode="json"), after.model_dump(mode="json"))


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    names: list[str] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            names += [f"{name}.{inner}" for inner in _changed(old, new)]
        elif old != new:
            names.append(name)
    return names
