"""What a reference to an org means, held against the orgs that the SIS lists.

A user names an org by its sourcedId, and sometimes by something else: several ids in one text, whatever separates them,
an id in other letters or quotes, the identifier or the name of a school. Such a text is read where the list leaves no
doubt about it. Otherwise it stays as it came: it names an org that the SIS does not list, which is counted, and of
which nobody can say that it is another school.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from roster_pipeline.oneroster.records.coercion import split_ids
from roster_pipeline.oneroster.records.role_entries import CONTACT_ROLES
from roster_pipeline.org_tree import GONE_STATUSES

_ANY_SEPARATOR = re.compile(r"[\s,;|/:&+]+")
"""Some of these may stand in an id, so a text is split at them only where each part is the id of a listed org."""
_LETTERS = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d+")


@dataclass
class ReferenceCounts:
    """People, not counting guardians and those who are deleted. unlisted: they name an org that is not listed, and no
    reading of it is certain. respelled: their org is written in another way than its sourcedId, and was read."""

    unlisted: int = 0
    respelled: int = 0


class OrgReferences:
    """The orgs of one pull; `note` them all before the first user is placed."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.counts = ReferenceCounts()
        self._meanings: dict[str, set[str]] = defaultdict(set)
        self._shapes: set[str] = set()
        self._parents: dict[str, str] = {}
        self._read: dict[str, tuple[str, ...]] = {}

    def note(self, orgs: Iterable[dict[str, Any]]) -> None:
        """Take in orgs that the SIS lists."""
        for org in orgs:
            sourced_id = org["sourcedId"]
            self.ids.add(sourced_id)
            self._shapes.add(_shape(sourced_id))
            if org["parent"]:
                self._parents[sourced_id] = org["parent"]
            for name in ("sourcedId", "identifier", "name"):
                if org[name]:
                    self._meanings[org[name].casefold()].add(sourced_id)
        self._read.clear()

    def above(self, org: str) -> set[str]:
        """The org's parent, the parent's parent, and so on."""
        found: set[str] = set()
        while (parent := self._parents.get(org)) is not None and parent not in found:
            found.add(org := parent)
        return found

    def meant(self, text: str) -> tuple[str, ...]:
        """The orgs that a reference means: sourcedIds of listed orgs; what cannot be read stays in it as it is."""
        found = self._read.get(text)
        if found is None:
            found = self._read[text] = self._reading(text)
        return found

    def place(self, users: Sequence[dict[str, Any]]) -> set[tuple[str | None, str | None]]:
        """Put what the orgs of these users mean in their place, one role entry per org, and count what is odd.

        Returns every (role, org) among them. Where the SIS lists no org at all, nothing can be held against the list.
        """
        told = {(entry["role"], entry["org"]) for user in users for entry in user["roles"]}
        if not self.ids or self.ids.issuperset(org for _, org in told if org is not None):
            return told
        for user in users:
            if any(entry["org"] is not None and entry["org"] not in self.ids for entry in user["roles"]):
                self._place(user)
        return {(entry["role"], entry["org"]) for user in users for entry in user["roles"]}

    def _place(self, user: dict[str, Any]) -> None:
        entries: list[dict[str, Any]] = []
        for entry in user["roles"]:
            orgs = (entry["org"],) if entry["org"] is None else self.meant(entry["org"])
            for org in orgs:
                placed = {**entry, "org": org}
                if placed not in entries:
                    entries.append(placed)
        counted = user["status"] not in GONE_STATUSES and any(e["role"] not in CONTACT_ROLES for e in user["roles"])
        if counted:
            unlisted = any(entry["org"] is not None and entry["org"] not in self.ids for entry in entries)
            self.counts.unlisted += unlisted
            self.counts.respelled += not unlisted
        user["roles"] = entries

    def _reading(self, text: str) -> tuple[str, ...]:
        if text in self.ids:
            return (text,)
        meant = [self._one(part) for part in split_ids(text)]
        if meant and None not in meant:
            return tuple(dict.fromkeys(org for org in meant if org is not None))
        parts = [part for part in _ANY_SEPARATOR.split(text) if part]
        return tuple(dict.fromkeys(parts)) if parts and self.ids.issuperset(parts) else (text,)

    def _one(self, text: str) -> str | None:
        """The one org that a text can only mean.

        An identifier may look like the sourcedId of an org that is not shared with us: with numbers for both, 101 may
        be either. So it is read only where it is written in another way than all sourcedIds of the list.
        """
        if text in self.ids:
            return text
        meant = self._meanings.get(text.casefold(), ())
        if len(meant) != 1:
            return None
        org = next(iter(meant))
        return org if text.casefold() == org.casefold() or _shape(text) not in self._shapes else None


def _shape(text: str) -> str:
    """How a text is written: its letters as one, its digits as one, everything else as it stands."""
    return _DIGITS.sub("9", _LETTERS.sub("a", text))
