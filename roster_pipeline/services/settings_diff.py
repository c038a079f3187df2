"""What a change of settings comes to: the names of what differs, and what somebody else changed meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roster_pipeline.directory.audit import Entry
from roster_pipeline.directory.database_errors import DirectoryError
from roster_pipeline.settings.fields import title_of


class ChangedMeanwhile(DirectoryError):
    """Somebody saved other values since the form was filled in; saving over them is refused."""

    def __init__(self, thing: str, entries: Sequence[Entry]) -> None:
        names = sorted({title_of(name) for entry in entries for name in entry.details.get("changed", ())})
        who = " and ".join(dict.fromkeys(entry.who for entry in entries)) or "Somebody else"
        super().__init__(
            f"{who} changed {thing} meanwhile: {', '.join(names) or 'its settings'}. Your changes were not saved.",
            "Open the settings again, look at what is there now, and make your changes once more.",
        )


@dataclass(frozen=True)
class SettingsDiff:
    """A change that was made. names: the settings that differ. untested: keys of schools that run every night
    although what they connect to was not tested since it changed."""

    names: list[str]
    untested: list[str]


def changed_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names of settings that differ; of nested ones the whole path."""
    names: list[str] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            names += [f"{name}.{inner}" for inner in changed_names(old, new)]
        elif old != new:
            names.append(name)
    return names
