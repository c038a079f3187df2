"""How far the reading of a collection has come: the facts that its end is judged by."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from roster_pipeline.oneroster.collections.page import Page
from roster_pipeline.oneroster.collections.paging_habits import PagingHabits
from roster_pipeline.oneroster.collections.proof import hash_of_version, hashes

PAGE_STEPS = (5, 12, 16)
"""Usual page sizes are multiples of one of these: 20, 25, 48, 75, 100, 128, 1000."""
ROUND_CAP = 10
"""Page caps are multiples of this. After a single page of such a size, another page is requested, even if the total is
reached."""


class Revision:
    """The revision of the data that some hubs send with every response. It must not change within a pull."""

    def __init__(self) -> None:
        self.value: str | None = None

    def changed(self, page: Page) -> bool:
        """Whether a page has another revision than the page before. Remembers it."""
        if page.revision is None or page.revision == self.value:
            return False
        first = self.value is None
        self.value = page.revision
        return not first


@dataclass(frozen=True)
class LastPage:
    """The facts of a page that are kept after its records are passed on. size: records. record: the hash of the last
    one's id. version: see `hash_of_version`, None if nobody needs it."""

    size: int
    limit: int | None
    next: str | None
    record: int
    version: int | None

    @property
    def has_next(self) -> bool:
        return self.next is not None


@dataclass
class Progress:
    """The progress of a listing.

    pages: that had new records. offset: records that arrived. total: as stated; None if there is none, or it proved
    wrong. low: more records came than a total said. stated: some page had a total. linked: every page except the last
    announced a next one. counts_pages: each total was the number of records of its own page. longest: records of the
    largest page. first_record: the hash of the first id. uneven: a page before the last one was short. gaps: problems
    of pages that do not begin with the last record of the page before. most: records to request, if the server refused
    more near the end. links: queries of announced pages that were requested.
    """

    pages: int = 0
    offset: int = 0
    total: int | None = None
    low: bool = False
    stated: bool = False
    linked: bool = True
    counts_pages: bool = True
    longest: int = 0
    last: LastPage | None = None
    first_record: int = 0
    uneven: bool = False
    gaps: set[str] = field(default_factory=set)
    most: int | None = None
    links: set[str] = field(default_factory=set)

    @property
    def reached(self) -> bool:
        """Whether as many records came as the total says."""
        return self.total is not None and self.offset >= self.total

    def following(self, habits: PagingHabits) -> int:
        """The offset of the next page: of the last record, if the server can begin a page anywhere.

        After a page of one record it is the one after it, because some servers have pages of one record.
        """
        return self.offset - (self.last is not None and self.last.size > 1 and not habits.aligned and not habits.linked)

    def note(self, page: Page, asked: int, *, versions: bool) -> None:
        """Remember a page with new records. asked: its offset. versions: an id may have several records."""
        self.pages += 1
        if self.last is not None:
            self.uneven = self.uneven or self.last.size < min(self.longest, self.last.limit or self.longest)
        self.linked = self.linked and (self.last is None or self.last.has_next)
        if self.last is None and page.records:
            self.first_record = int(hashes(page.records[:1])[0])
        self.longest = max(self.longest, len(page.records))
        self._note_last(page, asked, versions=versions)

    def goes_on(self, page: Page, asked: int) -> bool:
        """Whether a page with repeated records only, after the last record, is part of the list: up to the total;
        without a total, if it is shorter than the page before."""
        if self.total is not None:
            return asked + len(page.records) <= self.total
        return self.last is not None and len(page.records) < self.last.size

    def is_behind(self, page: Page, asked: int) -> bool:
        """Whether a page without new records ends with the last one, and is shorter than the page before: some servers
        drop records after paging, so the offset has to catch up. Then it is remembered."""
        last = self.last
        if last is None or len(page.records) >= last.size or int(hashes(page.records[-1:])[0]) != last.record:
            return False
        self._note_last(page, asked, versions=last.version is not None)
        self.uneven = True
        return True

    def _note_last(self, page: Page, asked: int, *, versions: bool) -> None:
        end = page.records[-1:]
        record = int(hashes(end)[0]) if end else 0
        version = hash_of_version(end[0]) if end and versions else None
        self.last = LastPage(len(page.records), page.limit, page.next, record, version)
        self.offset = asked + len(page.records)

    def was_short(self, *, failed: bool) -> bool:
        """Whether an error at the next offset may mean that the list has ended: the last page was not full. failed: the
        error is a failure of the server. It means that only after a single record."""
        size, limit = (self.last.size, self.last.limit or 0) if self.last else (0, 0)
        return size < limit and (size == 1 or not failed)

    def may_hide_more(self, habits: PagingHabits) -> bool:
        """Whether the total may be too low: the last page was full, or announces a next one."""
        last = self.last
        if last is None or habits.limit is None:
            return False
        full = last.limit is not None and last.size >= last.limit
        return full or last.has_next or (self.pages == 1 and last.size > 0 and last.size % ROUND_CAP == 0)

    def begins_anew(self, page: Page) -> bool:
        """Whether a page is the first page again. If not, it only overlaps: some servers drop records after paging."""
        return bool(hashes(page.records[:1])[0] == self.first_record)

    def came_at_once(self, size: int, limit: int | None, has_next: bool) -> bool:
        """Whether a page that comes for every offset is the whole list: small servers do not page at all.

        It may not be if the limit cut it, if it has a usual page size, or if it announces a next page: then the server
        pages in its own way. A whole list that happens to have such a size is not proved, so it archives nobody.
        """
        capped = size == limit or any(size % step == 0 for step in PAGE_STEPS)
        return size == self.longest and not capped and not has_next


def place_of_last(records: list[Any], last: LastPage) -> int:
    """The place of the last record of the page before among these; -1 if it is not there. It should be 0."""
    for some in (records[:1], records):
        for at in np.flatnonzero(hashes(some) == last.record).tolist():
            if last.version is None or hash_of_version(records[at]) == last.version:
                return int(at)
    return -1
