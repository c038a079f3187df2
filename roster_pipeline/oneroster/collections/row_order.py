"""The order of the rows in the files about people (users, roles and, if they decide, enrollments), by which a file that
lacks a part is noticed.

A file that was cut between two rows looks complete, and so does one that lacks a page, a class or the answer to one
query. But an export keeps its order from night to night: the rows that such a file lacks stood next to each other in
the earlier file. People who really leave are spread over the file. So people who are missing together may still be
there, until a row of theirs comes again or somebody decides.

A row is kept as 64 bits: 32 of the user, 30 of the orgs, because a person may have a row for each school, and 2 of the
file.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zlib import compress, crc32, decompress

import numpy as np
import numpy.typing as npt

RowKeys = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
FAMILY = 5
"""So many people next to each other, or fewer, may be a family that moves away, or the last who were entered. A page, a
class or a query has more. A file that is cut at any place ends inside a row in 99 of 100 cases."""
PARTS_KEPT = 100
"""More missing parts than any file lacks by mistake, so that what is stored stays small."""
_FILES = ("users", "roles", "enrollments")
_FILE, _USER = np.uint64(3), np.uint64(32)
_USER_AND_FILE = ~np.uint64(2**32 - 1) | _FILE


@dataclass(frozen=True)
class RowOrder:
    """files: the rows of each file of the newest complete bulk bundles. missing: parts of files, whose rows have not
    come since. Each text is some rows in their order."""

    files: Sequence[str] = ()
    missing: Sequence[str] = ()

    def after(self, files: Sequence[RowKeys], rows: RowKeys) -> "RowOrder":
        """The order after another bulk bundle. files: its rows, file by file. rows: all rows that came, also those of
        deltas. A row that came with other orgs instead is not missing, and neither are those of a file that is not read
        any more."""
        earlier = list(map(_unpacked, [*self.missing, *self.files]))
        known, came, read = np.sort(np.concatenate([rows[:0], *earlier])), np.sort(rows), np.unique(rows & _FILE)
        moved = np.sort(rows[~in_sorted(rows, known)] & _USER_AND_FILE)
        parts: list[RowKeys] = []
        for keys in earlier:
            here = in_sorted(keys, came) | in_sorted(keys & _USER_AND_FILE, moved) | ~in_sorted(keys & _FILE, read)
            parts += _missing(keys, here)
        missing = list(dict.fromkeys(map(_packed, parts)))
        # each row where it comes first: enrollments have a row for each class
        once = [keys[np.sort(np.unique(keys, return_index=True)[1])] for keys in files if len(keys)]
        return RowOrder(list(map(_packed, once)), missing[-PARTS_KEPT:])


def in_sorted(values: npt.NDArray[Any], ordered: npt.NDArray[Any]) -> Flags:
    """Which values are among sorted ones. `np.isin` takes five times as long."""
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    found: Flags = ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values
    return found


def row_keys(rows: Iterable[Sequence[str]], file: str) -> RowKeys:
    """The keys of rows of a file (users, roles, enrollments). rows: user and orgs of each."""
    return np.fromiter((crc32(user.strip().encode()) << 32 | _orgs_key(file, orgs) for user, orgs in rows), np.uint64)


def missing_among(missing: Iterable[str], sourced_ids: Iterable[str]) -> set[str]:
    """Those of these people who have a row in one of the missing parts."""
    users = {key >> 32 for part in missing for key in _unpacked(part).tolist()}
    return {sourced_id for sourced_id in sourced_ids if crc32(sourced_id.encode()) in users}


def _missing(keys: RowKeys, here: Flags) -> Iterator[RowKeys]:
    """The parts without a row that is here, if they are too large for a family."""
    edges = np.flatnonzero(np.diff(here, prepend=True, append=True))
    for start, stop in edges.reshape(-1, 2).tolist():
        part = keys[start:stop]
        if len(part) > FAMILY and len(np.unique(part >> _USER)) > FAMILY:
            yield part


@lru_cache(10_000)
def _orgs_key(file: str, cell: str) -> int:
    """The same for the same orgs in another order."""
    return crc32(",".join(sorted(org.strip() for org in cell.split(","))).encode()) & ~3 | _FILES.index(file)


def _packed(keys: RowKeys) -> str:
    """The bytes of one place together, because those of the orgs are much the same in each row."""
    places = keys.astype("<u8").view(np.uint8).reshape(-1, 8).T
    return b64encode(compress(places.tobytes(), 1)).decode()


def _unpacked(text: str) -> RowKeys:
    places = np.frombuffer(decompress(b64decode(text)), np.uint8).reshape(8, -1).T
    return np.ascontiguousarray(places).view("<u8")[:, 0].astype(np.uint64)
