"""Records that come twice: whether they say the same, which makes a repetition harmless.

Only hashes of ids are kept of a listing, so the first reading can only tell that ids came twice. The next one keeps a
hash of what each record says, and compares. It also asks for pages of another size: then a server whose
pages overlap, or that puts one record in the place of another, brings other people; one that has a record twice does
not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from roster_pipeline.oneroster.paging.seen_ids import Hashes
from roster_pipeline.oneroster.records.user_records import UserReader
from roster_pipeline.oneroster.records.usual_users import ReadUser

_NOT_COMPARED = ("dateLastModified", "metadata")
"""Some servers put the moment of the request into the first; the second is not read alike on every page."""


class Repetitions:
    """Of one collection, over the readings of one pull."""

    def __init__(self) -> None:
        self.page_size: int | None = None
        """The size of page to ask for in this reading; None is the usual one."""
        self._compares = False
        self._repeated = False
        self._longest = 0
        self._ids: list[Hashes] = []
        self._contents: list[Hashes] = []

    def start(self) -> None:
        """Another reading begins; it compares if the last one found anything repeated."""
        if self._repeated and self._longest > 1:
            self.page_size = max(1, self._longest * 6 // 7)
        self._compares = self._repeated
        self._repeated, self._longest = False, 0
        self._ids, self._contents = [], []

    def look(self, values: Hashes, records: Sequence[Any], repeated: int) -> None:
        """Take a page in. values: hashes of its ids; repeated: how many of its records had come before."""
        self._longest = max(self._longest, len(records))
        self._repeated = self._repeated or repeated > 0
        if self._compares:
            self._ids.append(values)
            self._contents.append(np.array([hash(_content(record)) for record in records], dtype=np.int64))

    @property
    def identical(self) -> bool:
        """Whether this reading compared, and records of one id say the same."""
        if not self._compares:
            return False
        ids, contents = np.concatenate(self._ids), np.concatenate(self._contents)
        order = np.argsort(ids, kind="stable")
        ids, contents = ids[order], contents[order]
        return not bool(((ids[1:] == ids[:-1]) & (contents[1:] != contents[:-1])).any())


def _content(record: Any) -> str:
    user = record if type(record) is ReadUser else UserReader().one(record, []) if isinstance(record, dict) else None
    if user is None:
        return repr(record)
    return repr(sorted((name, value) for name, value in user.items() if name not in _NOT_COMPARED))
