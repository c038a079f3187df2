"""Rows of users.csv as normalised users, with their roles from roles.csv, if there is one.

A row that needs no repair is read directly. Any other row becomes a record of the API's shape and goes through the
API's own reader, which takes more than twice the time. A test checks that both give the same user.
"""

import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_pipeline.oneroster.bundle.columns import ColumnLayout, cell_picker, record_maker
from roster_pipeline.oneroster.bundle.row_repair import Row
from roster_pipeline.oneroster.collections.proof import Hashes
from roster_pipeline.oneroster.records.coercion import NULL_TEXTS
from roster_pipeline.oneroster.records.role_entries import Dates, Rejection, role_entries
from roster_pipeline.oneroster.records.user_records import TEXT_FIELDS, UserReader
from roster_pipeline.vocabulary import LONGEST_ID

Record = dict[str, Any]
Entry = dict[str, str]
Codes = tuple[int, ...]
"""Numbers of the distinct role entries that a user has, in the order of the file."""

ENTRY_NAMES = ("role", "roleType", "org", "beginDate", "endDate")
MOST_CACHED = 50_000
"""How many role entries are cached; a district has about schools times roles times dates of them."""

HABIT_SHARE, HABIT_ROWS = 0.1, 2
"""If more rows than both have an e-mail address in a column, it is a habit of the export and no sign of moved cells."""
_TEXTS = tuple(name for name, _ in TEXT_FIELDS)
_OTHERS = ("sourcedId", "status", "enabledUser", "grades", "agents", "userIds", "role", "orgs", "primaryOrg")
_BESIDE_EMAIL = ("identifier", "sms", "phone", "givenName", "middleName", "familyName")
_OTHER_LISTS = frozenset(";[](){}\"'")
"""Characters that show that a list is not written as the standard requires."""
_BOOLEANS = {"true": True, "false": False, "": None}


class RoleIndex:
    """The roles of each user, from roles.csv in any order, in sixteen bytes a row: first `add`, then `seal`, then `of`.

    Most rows repeat a few entries (role, kind, org, dates), so each distinct entry is stored once, and a row is the
    user's hash and the entry's number. Users are identified by 96 bits of two different hashes: among a million users,
    two are confused once in about 10^17 bundles.
    """

    def __init__(self) -> None:
        self._keys = array("q")
        self._checks = array("I")
        self._codes = array("i")
        self._numbers: dict[tuple[str, ...], int] = {}
        self._entries: list[Entry] = []
        self._sorted_keys: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._sorted_checks: npt.NDArray[np.uint32] = np.empty(0, np.uint32)
        self._sorted_codes: npt.NDArray[np.int32] = np.empty(0, np.int32)
        self._used: npt.NDArray[np.bool_] = np.empty(0, np.bool_)

    def __len__(self) -> int:
        """How many roles were added."""
        return len(self._keys)

    def add(self, user: str, cells: tuple[str, ...]) -> None:
        """Add one role of a user. cells: the cells of ENTRY_NAMES, empty if there is none."""
        number = self._numbers.get(cells)
        if number is None:
            number = self._numbers[cells] = len(self._entries)
            stripped = {name: cell.strip() for name, cell in zip(ENTRY_NAMES, cells, strict=True)}
            self._entries.append({name: cell for name, cell in stripped.items() if cell})
        self._keys.append(hash(user))
        self._checks.append(_check(user))
        self._codes.append(number)

    def seal(self) -> None:
        """Sort by user; the roles of one user keep their order."""
        keys = np.frombuffer(self._keys, np.int64) if self._keys else np.empty(0, np.int64)
        order = np.argsort(keys, kind="stable")
        self._sorted_keys = keys[order]
        self._sorted_checks = np.array(self._checks, np.uint32)[order]
        self._sorted_codes = np.array(self._codes, np.int32)[order]
        self._used = np.zeros(len(order), np.bool_)
        self._numbers.clear()

    def of(self, users: Sequence[str]) -> list[Codes]:
        """The roles of each user as codes; empty for users without any."""
        if not len(self._sorted_keys):
            return [()] * len(users)
        keys = np.fromiter(map(hash, users), np.int64, len(users))
        checks = np.fromiter(map(_check, users), np.uint32, len(users))
        firsts = np.searchsorted(self._sorted_keys, keys, "left")
        ends = np.searchsorted(self._sorted_keys, keys, "right")
        at = np.minimum(firsts, len(self._sorted_keys) - 1)
        single = (ends - firsts == 1) & (self._sorted_checks[at] == checks)
        self._used[at[single]] = True
        return [
            (code,) if is_single else self._several(check, first, end)
            for code, is_single, check, first, end in zip(
                self._sorted_codes[at].tolist(),
                single.tolist(),
                checks.tolist(),
                firsts.tolist(),
                ends.tolist(),
                strict=True,
            )
        ]

    def entries(self, codes: Codes) -> list[Entry]:
        """The role entries of these codes. They are shared, so they must not be changed."""
        return [self._entries[code] for code in codes]

    def dates(self) -> Iterator[str]:
        """The dates of all entries, as the file spells them."""
        return (entry[name] for entry in self._entries for name in ("beginDate", "endDate") if name in entry)

    def unused(self) -> int:
        """How many roles belong to users who were not looked up."""
        return int(len(self._used) - self._used.sum())

    def _several(self, check: int, first: int, end: int) -> Codes:
        codes: dict[int, None] = {}
        for at in range(first, end):
            if self._sorted_checks[at] == check:
                self._used[at] = True
                codes[int(self._sorted_codes[at])] = None
        return tuple(codes)


def _check(user: str) -> int:
    return zlib.crc32(user.encode("utf-8", "surrogatepass"))


class UserRows:
    """Normalises the rows of one users.csv. roles: the roles of roles.csv; None if users.csv itself has them."""

    def __init__(self, columns: ColumnLayout, roles: RoleIndex | None = None, dates: Dates | None = None) -> None:
        self._reader = UserReader(tuple(columns.metadata), dates)
        self._record = record_maker(columns)
        self._roles = roles
        self._id = columns.positions["sourcedId"]
        of_roles = ("role", "orgs", "primaryOrg") if roles is None else ()
        self._version_cells = cell_picker(columns, ("sourcedId", "givenName", "familyName", *of_roles))
        self._cells = cell_picker(columns, (*_OTHERS, *_TEXTS))
        self._email = columns.positions.get("email")
        self._beside_email = [columns.positions[name] for name in _BESIDE_EMAIL if name in columns.positions]
        self._rows, self._addresses = 0, Counter[int]()
        self._metadata = tuple(columns.metadata.items())
        self._cached_roles: dict[tuple[Any, ...], list[Record] | None] = {}

    def ids(self, rows: Sequence[Row]) -> list[str]:
        """The id of each row without outer blanks, empty if there is none."""
        at = self._id
        return [row[at].strip() for row in rows]

    def versions(self, rows: Sequence[Row]) -> Hashes:
        """One hash for each row: of id, names, and role and orgs, unless roles.csv has them."""
        return np.fromiter(map(hash, map(self._version_cells, rows)), np.int64, len(rows))

    def moved(self, rows: Sequence[Row]) -> list[bool]:
        """Which rows have as many cells as the header, but under other columns: somebody deleted or inserted a cell in
        a spreadsheet. Then the e-mail address stands beside its column, where others have none."""
        moved, email = [False] * len(rows), self._email
        if email is None:
            return moved
        self._rows += len(rows)
        for at in self._beside_email:
            found = [place for place, row in enumerate(rows) if "@" in row[at]]
            self._addresses[at] += len(found)
            if self._addresses[at] <= max(HABIT_ROWS, HABIT_SHARE * self._rows):
                for place in found:
                    moved[place] |= "@" not in rows[place][email]
        return moved

    def users(self, rows: Sequence[Row], ids: Sequence[str]) -> tuple[list[Record], list[Record]]:
        """Normalised users, and rejects."""
        users: list[Record] = []
        rejects: list[Record] = []
        codes: Sequence[Codes | None] = self._roles.of(ids) if self._roles is not None else [None] * len(rows)
        for row, code in zip(rows, codes, strict=True):
            user = self._direct(row, code) or self._by_reader(row, code, rejects)
            if user is not None:
                users.append(user)
        return users, rejects

    def _direct(self, row: Row, codes: Codes | None) -> Record | None:
        """The user of a row that needs no repair, None if it may need some."""
        joined = "|".join(row)
        if not joined.isprintable() or " |" in joined or "| " in joined or joined[:1] == " ":
            return None
        if not NULL_TEXTS.isdisjoint(row):
            return None
        sourced_id, status, enabled, grades, agents, user_ids, role, orgs, primary, *texts = self._cells(row)
        roles = self._entries((role, orgs, primary) if codes is None else (codes, primary), row, codes)
        identifiers = _user_ids(user_ids) if user_ids else []
        if not sourced_id or enabled not in _BOOLEANS or roles is None or identifiers is None or "," in grades:
            return None
        if len(sourced_id) > LONGEST_ID or not _OTHER_LISTS.isdisjoint(agents):
            return None
        agent_ids = agents.split(",") if agents else []
        if len(agent_ids) > 1:
            agent_ids = [agent for part in agent_ids if (agent := part.strip())]
            if not NULL_TEXTS.isdisjoint(agent_ids):
                return None
            agent_ids = list(dict.fromkeys(agent_ids))
        user: Record = {"sourcedId": sourced_id, "status": status.lower() or None}
        user.update(zip(_TEXTS, [cell or None for cell in texts]))  # noqa: B905 -- of one length, innermost
        user["enabledUser"] = _BOOLEANS[enabled]
        user["roles"] = [entry.copy() for entry in roles]
        user["grades"] = [grades] if grades else []
        user["agents"] = agent_ids
        user["userIds"] = identifiers
        user["metadata"] = {key: row[at] or None for key, at in self._metadata} if self._metadata else {}
        return user

    def _by_reader(self, row: Row, codes: Codes | None, rejects: list[Record]) -> Record | None:
        record = self._record(row)
        if codes is not None and self._roles is not None:
            record.pop("role", None)
            record.pop("orgs", None)
            record["roles"] = self._roles.entries(codes)
        return self._reader.one(record, rejects)

    def _entries(self, key: tuple[Any, ...], row: Row, codes: Codes | None) -> list[Record] | None:
        """The row's role entries as the API's reader reads them; None if something in them is wrong."""
        try:
            return self._cached_roles[key]
        except KeyError:
            pass
        record = self._record(row)
        if codes is not None and self._roles is not None:
            record = {"roles": self._roles.entries(codes), "primaryOrg": record.get("primaryOrg")}
        entries: list[Record] | None
        try:
            entries, dropped = role_entries(record, self._reader.dates)
        except Rejection:
            entries, dropped = None, []
        if len(self._cached_roles) >= MOST_CACHED:
            self._cached_roles.clear()
        self._cached_roles[key] = None if dropped else entries
        return self._cached_roles[key]


def _user_ids(cell: str) -> list[Record] | None:
    """The one `{type:identifier}` of a cell; None if it is spelled otherwise."""
    inner = cell[1:-1]
    kind, colon, identifier = inner.partition(":")
    if f"{{{inner}}}" != cell or not colon or "{" in inner or "}" in inner or not kind or not identifier:
        return None
    if kind.strip() != kind or identifier.strip() != identifier:
        return None
    return [{"type": kind, "identifier": identifier}]
