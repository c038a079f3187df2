"""The last rows of the files about people (users, roles and, if they decide, enrollments), by which a file that was cut
between two rows is noticed.

Such a file looks complete. But an export keeps its order from night to night: if a file was cut, the rows that are
missing are exactly the last ones of the earlier file. People who really leave are spread over the file. So people who
are missing at the end may still be there, until a later row of theirs comes again or somebody decides.

A row is kept as 64 bits: 32 of the user's id, and 32 of file and orgs, because a person may have a row for each school.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

RowKeys = npt.NDArray[np.uint64]
KEPT_SHARE, KEPT_ROWS = 0.1, (100, 20_000)
"""This share of a file is its end, at least and at most so many rows. If still more people are missing, other guards
notice it."""
RUNS_KEPT = 100
_USER = np.uint64(32)


@dataclass(frozen=True)
class LastRows:
    """ends: the last rows of each file of the newest complete bulk bundles. cut_off: rows that were the last ones of a
    file and have not come since, with nothing after them. Each text is some rows in their order."""

    ends: tuple[str, ...] = ()
    cut_off: tuple[str, ...] = ()

    def after(self, files: Sequence[RowKeys], rows: RowKeys) -> "LastRows":
        """The ends after another bulk bundle. files: its rows, file by file. rows: all rows that came, also those of
        deltas."""
        runs = [_missing(_unpacked(run), rows) for run in self.cut_off]
        for end in map(_unpacked, self.ends):
            run = _missing(end, rows)
            written_anew = len(run) == len(end) and np.isin(run >> _USER, rows >> _USER).mean() > 0.5
            runs.append(run[:0] if written_anew else run)
        least, most = KEPT_ROWS
        ends = [file[-min(most, max(least, int(len(file) * KEPT_SHARE))) :] for file in files if len(file)]
        kept = dict.fromkeys(_packed(run) for run in runs if len(run))
        return LastRows(tuple(map(_packed, ends)), tuple(kept)[-RUNS_KEPT:])


def row_keys(rows: Iterable[Sequence[str]], file: str) -> RowKeys:
    """The keys of rows of a file. rows: user and orgs of each."""
    return np.array([crc32(user.strip().encode()) << 32 | _orgs_key(file, orgs) for user, orgs in rows], np.uint64)


def cut_off_among(cut_off: Iterable[str], sourced_ids: Iterable[str]) -> set[str]:
    """Those of these people who are among the rows that were cut off, if a file was cut."""
    users = {int(key) >> 32 for run in cut_off for key in _unpacked(run)}
    return {sourced_id for sourced_id in sourced_ids if crc32(sourced_id.encode()) in users}


def _missing(run: RowKeys, rows: RowKeys) -> RowKeys:
    """The rows at the end of `run` that did not come."""
    here = np.flatnonzero(np.isin(run, rows))
    return run[here[-1] + 1 :] if len(here) else run


@lru_cache(10_000)
def _orgs_key(file: str, cell: str) -> int:
    """The same for the same orgs in another order."""
    return crc32(",".join([file, *sorted(org.strip() for org in cell.split(","))]).encode())


def _packed(keys: RowKeys) -> str:
    return b64encode(keys.astype("<u8").tobytes()).decode()


def _unpacked(text: str) -> RowKeys:
    return np.frombuffer(b64decode(text), "<u8").astype(np.uint64)
