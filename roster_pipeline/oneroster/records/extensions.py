"""What a server says beyond the standard: members of `metadata`, and of the entries in a user's `agents`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from roster_pipeline.oneroster.records.coercion import NO_TEXTS, UNREADABLE, listed, reference, text

AGENTS = "agents:"
"""Before the name of a member of an entry in `agents`, where it stands among metadata keys."""
_ABSENT: Final = object()


def wanted_members(metadata: Any, keys: Sequence[str]) -> dict[str, Any]:
    """The members of `metadata` with these names, or paths with dots; those that are not there are left out."""
    found = ((key, _at(metadata, key)) for key in keys)
    return {key: _plain(value) for key, value in found if value is not _ABSENT}


def agent_members(agents: Any, keys: Sequence[str]) -> dict[str, Any]:
    """Members of the entries in `agents`: key (with `AGENTS` before it) to an object of agent to value."""
    kept: dict[str, Any] = {}
    for entry in listed(agents):
        agent = reference(entry) if type(entry) is dict else None
        for key in keys if isinstance(agent, str) else ():
            value = _at(entry, key.removeprefix(AGENTS))
            if value is not _ABSENT:
                kept.setdefault(key, {})[agent] = _plain(value)
    return kept


def _plain(value: Any) -> Any:
    """A text, a boolean, a list of them, or None; an empty object stands for what is none of these.

    Words for nothing are kept: custody "none" says something.
    """
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, bool):
        return value
    read = text(value, NO_TEXTS)
    return {} if read is UNREADABLE else read


def _at(members: Any, key: str) -> Any:
    """The value of a member, or of one below it by a path with dots; `_ABSENT` where there is no such member."""
    if isinstance(members, Mapping) and key in members:
        return members[key]
    value: Any = members
    for step in key.split("."):
        value = value.get(step, _ABSENT) if isinstance(value, Mapping) else _ABSENT
    return value
