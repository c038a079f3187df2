"""Rows of users.csv as normalised users.

A row that needs no repair takes a short way here; any other is made a record of the API's shape and goes the long way,
through the client's own reader. Both ways give the same user, which a test holds them to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from roster_pipeline.oneroster.bundle.columns import Layout
from roster_pipeline.oneroster.bundle.role_index import Codes, RoleIndex
from roster_pipeline.oneroster.bundle.rows import cell_picker, record_maker
from roster_pipeline.oneroster.bundle.table import Row
from roster_pipeline.oneroster.paging.seen_ids import Hashes
from roster_pipeline.oneroster.records.coercion import NULL_TEXTS
from roster_pipeline.oneroster.records.dates import Dates
from roster_pipeline.oneroster.records.role_entries import Rejection, role_entries
from roster_pipeline.oneroster.records.user_records import TEXT_FIELDS, UserReader

Record = dict[str, Any]

MOST_REMEMBERED = 50_000
"""Distinct role entries whose reading is remembered; districts have as many as schools times roles times dates."""

_TEXTS = tuple(name for name, _ in TEXT_FIELDS)
_OTHERS = ("sourcedId", "status", "enabledUser", "grades", "agents", "userIds", "role", "orgs", "primaryOrg")
_OTHER_LISTS = frozenset(";[](){}\"'")
"""What stands in a list that is not written as the standard says."""
_BOOLEANS = {"true": True, "false": False, "": None}


class UserRows:
    """Normalises the rows of one users.csv. book: the roles, where they are in a file of their own."""

    def __init__(
        self,
        layout: Layout,
        metadata_keys: tuple[str, ...] = (),
        book: RoleIndex | None = None,
        dates: Dates | None = None,
    ) -> None:
        self._reader = UserReader(metadata_keys, dates)
        self._record = record_maker(layout)
        self._book = book
        self._id = layout.positions["sourcedId"]
        self._role_cells = cell_picker(layout, ("sourcedId", "role", "orgs", "primaryOrg"))
        self._cells = cell_picker(layout, (*_OTHERS, *_TEXTS))
        self._metadata = tuple(layout.metadata.items())
        self._known_roles: dict[tuple[Any, ...], list[Record] | None] = {}

    def ids(self, rows: Sequence[Row]) -> list[str]:
        """The id of each row without outer blanks, empty where there is none."""
        at = self._id
        return [row[at].strip() for row in rows]

    def ids_with_roles(self, rows: Sequence[Row]) -> Hashes | None:
        """One hash per row of its id, role and orgs; None where roles are in a file of their own, a row a role."""
        if self._book is not None:
            return None
        return np.fromiter(map(hash, map(self._role_cells, rows)), np.int64, len(rows))

    def users(self, rows: Sequence[Row], ids: Sequence[str]) -> tuple[list[Record], list[Record]]:
        """Normalised users, and rejects."""
        users: list[Record] = []
        rejects: list[Record] = []
        codes: Sequence[Codes | None] = self._book.of(ids) if self._book is not None else [None] * len(rows)
        for row, code in zip(rows, codes, strict=True):
            user = self._short(row, code) or self._long(row, code, rejects)
            if user is not None:
                users.append(user)
        return users, rejects

    def _short(self, row: Row, codes: Codes | None) -> Record | None:
        """The user of a row that needs no repair, None where it might need some."""
        joined = "|".join(row)
        if not joined.isprintable() or " |" in joined or "| " in joined or joined[:1] == " ":
            return None
        if not NULL_TEXTS.isdisjoint(row):
            return None
        sourced_id, status, enabled, grades, agents, user_ids, role, orgs, primary, *plain = self._cells(row)
        roles = self._entries((role, orgs, primary) if codes is None else (codes, primary), row, codes)
        numbers = _user_ids(user_ids) if user_ids else []
        if not sourced_id or enabled not in _BOOLEANS or roles is None or numbers is None or "," in grades:
            return None
        if not _OTHER_LISTS.isdisjoint(agents):
            return None
        family = agents.split(",") if agents else []
        if len(family) > 1:
            family = [agent for one in family if (agent := one.strip())]
            if not NULL_TEXTS.isdisjoint(family):
                return None
            family = list(dict.fromkeys(family))
        user: Record = {"sourcedId": sourced_id, "status": status.lower() or None}
        user.update(zip(_TEXTS, [cell or None for cell in plain]))  # noqa: B905 -- of one length, innermost
        user["enabledUser"] = _BOOLEANS[enabled]
        user["roles"] = [entry.copy() for entry in roles]
        user["grades"] = [grades] if grades else []
        user["agents"] = family
        user["userIds"] = numbers
        user["metadata"] = {key: row[at] or None for key, at in self._metadata} if self._metadata else {}
        return user

    def _long(self, row: Row, codes: Codes | None, rejects: list[Record]) -> Record | None:
        record = self._record(row)
        if codes is not None and self._book is not None:
            record.pop("role", None)
            record.pop("orgs", None)
            record["roles"] = self._book.entries(codes)
        return self._reader.one(record, rejects)

    def _entries(self, key: tuple[Any, ...], row: Row, codes: Codes | None) -> list[Record] | None:
        """The row's role entries as the client reads them; None where something in them is wrong."""
        try:
            return self._known_roles[key]
        except KeyError:
            pass
        record = self._record(row)
        if codes is not None and self._book is not None:
            record = {"roles": self._book.entries(codes), "primaryOrg": record.get("primaryOrg")}
        found: list[Record] | None
        try:
            found, dropped = role_entries(record, self._reader.dates)
        except Rejection:
            found, dropped = None, []
        if len(self._known_roles) >= MOST_REMEMBERED:
            self._known_roles.clear()
        self._known_roles[key] = None if dropped else found
        return self._known_roles[key]


def _user_ids(cell: str) -> list[Record] | None:
    """The one `{type:identifier}` of a cell; None where it is spelled otherwise."""
    inner = cell[1:-1]
    kind, colon, identifier = inner.partition(":")
    if f"{{{inner}}}" != cell or not colon or "{" in inner or "}" in inner or not kind or not identifier:
        return None
    if kind.strip() != kind or identifier.strip() != identifier:
        return None
    return [{"type": kind, "identifier": identifier}]
