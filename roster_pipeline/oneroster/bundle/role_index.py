"""Who has which roles, from roles.csv, in sixteen bytes a row: a district's roles fit in memory, whatever their order.

Most rows repeat a few entries (role, kind, org, dates), so each distinct entry is kept once, and a row is the user's
hash and the entry's number. Users are told apart by 96 bits of two unlike hashes: among a million of them, two are
taken for one once in some 10^17 bundles.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Entry = dict[str, str]
Codes = tuple[int, ...]
"""Which entries somebody has, each once, in the order of the file."""
ENTRY_NAMES = ("role", "roleType", "org", "beginDate", "endDate")


class RoleIndex:
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

    def add(self, user: str, cells: tuple[str, ...]) -> None:
        """One role of a user: the cells of ENTRY_NAMES; empty texts for nothing."""
        number = self._numbers.get(cells)
        if number is None:
            number = self._numbers[cells] = len(self._entries)
            filled = {name: cell.strip() for name, cell in zip(ENTRY_NAMES, cells, strict=True)}
            self._entries.append({name: cell for name, cell in filled.items() if cell})
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

    def of(self, users: Sequence[str]) -> list[Codes]:
        """The roles of each user; empty for somebody without any."""
        if not len(self._users):
            return [()] * len(users)
        keys = np.fromiter(map(hash, users), np.int64, len(users))
        checks = np.fromiter(map(_check, users), np.uint32, len(users))
        firsts = np.searchsorted(self._users, keys, "left")
        ends = np.searchsorted(self._users, keys, "right")
        at = np.minimum(firsts, len(self._users) - 1)
        single = (ends - firsts == 1) & (self._proofs[at] == checks)
        self._asked[at[single]] = True
        return [
            (code,) if alone else self._several(check, first, end)
            for code, alone, check, first, end in zip(
                self._held[at].tolist(),
                single.tolist(),
                checks.tolist(),
                firsts.tolist(),
                ends.tolist(),
                strict=True,
            )
        ]

    def entries(self, codes: Codes) -> list[Entry]:
        """The entries themselves; they are shared, so they must not be changed."""
        return [self._entries[code] for code in codes]

    def dates(self) -> Iterator[str]:
        """The dates of all entries, as they came."""
        return (entry[name] for entry in self._entries for name in ("beginDate", "endDate") if name in entry)

    def unasked(self) -> int:
        """Rows whose user nobody has asked for."""
        return int(len(self._asked) - self._asked.sum())

    def _several(self, check: int, first: int, end: int) -> Codes:
        found: dict[int, None] = {}
        for at in range(first, end):
            if self._proofs[at] == check:
                self._asked[at] = True
                found[int(self._held[at])] = None
        return tuple(found)


def _check(user: str) -> int:
    return zlib.crc32(user.encode("utf-8", "surrogatepass"))
