"""Who has which roles, from roles.csv, in sixteen bytes a row: a district's roles fit in memory, whatever their order.

Most rows repeat a few entries (role, kind, org, dates), so each distinct entry is kept once, and a row is the user's
hash and the entry's number. Users are told apart by 96 bits of two unlike hashes: among a million of them, two are
taken for one once in some 10^17 bundles.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Entry = dict[str, str]
_NAMES = ("role", "roleType", "org", "beginDate", "endDate")


class RoleBook:
    """Fill it with `add`, then `seal` it, then ask `of`. rows: roles taken in."""

    def __init__(self) -> None:
        self._keys = array("q")
        self._checks = array("I")
        self._codes = array("i")
        self._numbers: dict[tuple[str, ...], int] = {}
        self._entries: list[Entry] = []
        self._users: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._proofs: npt.NDArray[np.uint32] = np.empty(0, np.uint32)
        self._held: npt.NDArray[np.int32] = np.empty(0, np.int32)
        self._asked: npt.NDArray[np.bool_] = np.empty(0, np.bool_)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, user: str, entry: tuple[str, ...]) -> None:
        """One role of a user: role, roleType, org, beginDate, endDate; empty texts for nothing."""
        number = self._numbers.get(entry)
        if number is None:
            number = self._numbers[entry] = len(self._entries)
            self._entries.append({name: value for name, value in zip(_NAMES, entry, strict=True) if value})
        self._keys.append(hash(user))
        self._checks.append(_check(user))
        self._codes.append(number)

    def seal(self) -> None:
        """Sort by user; the roles of one user keep their order."""
        keys = np.frombuffer(self._keys, np.int64) if self._keys else np.empty(0, np.int64)
        order = np.argsort(keys, kind="stable")
        self._users = keys[order]
        self._proofs = np.array(self._checks, np.uint32)[order]
        self._held = np.array(self._codes, np.int32)[order]
        self._asked = np.zeros(len(order), np.bool_)
        self._numbers.clear()

    def of(self, users: Sequence[str]) -> list[list[Entry]]:
        """The entries of each user, each entry once; an empty list for somebody without any. Entries are shared."""
        keys = np.fromiter(map(hash, users), np.int64, len(users))
        firsts = np.searchsorted(self._users, keys, "left").tolist()
        ends = np.searchsorted(self._users, keys, "right").tolist()
        return [
            [self._entries[code] for code in dict.fromkeys(self._codes_of(user, first, end))]
            for user, first, end in zip(users, firsts, ends, strict=True)
        ]

    def unasked(self) -> int:
        """Rows whose user nobody has asked for."""
        return int(len(self._asked) - self._asked.sum())

    def _codes_of(self, user: str, first: int, end: int) -> Iterable[int]:
        proof = _check(user) if end > first else 0
        for at in range(first, end):
            if self._proofs[at] == proof:
                self._asked[at] = True
                yield int(self._held[at])


def _check(user: str) -> int:
    return zlib.crc32(user.encode("utf-8", "surrogatepass"))
