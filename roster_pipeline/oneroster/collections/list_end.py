"""How the reading of a collection ends, and whether that proves that no record is missing.

Each page begins with the last record of the page before. So no record can leave the list unseen between two pages, and
a page with that record alone is the end of the list. Some connections have a further proof: a total, or links that stop
at the last page. If it is missing one night, the end is not proved. A reading also ends when the data change while they
are read.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from roster_pipeline.oneroster.collections.page import Collection, LastPage, Page, PagingHabits
from roster_pipeline.oneroster.collections.proof import ListingProof, Repetitions, SeenIds, hash_of_version, hashes
from roster_pipeline.oneroster.errors import NotOffered, PagingBroken, RequestRefused, ServerFailed

PAGE_STEPS = (5, 12, 16)
"""Usual page sizes are multiples of one of these: 20, 25, 48, 75, 100, 128, 1000."""
ROUND_CAP = 10
"""Page caps are multiples of this. After a single page of such a size another is requested, whatever the total says."""

ROUND_END = 1_000
"""Servers with a search index give the first 10,000 records and call that the total; others stop at 1,000 or 5,000. A
list that ends at a multiple of this, or at a power of two above it, may go on."""

COMMON_END = 25
"""Servers also stop at 50, 100 or 500, which many whole lists have as well."""

BEYOND = (1, 2, 4)
"""How many pages after the end we look for more records, at a server that drops records after paging."""


@dataclass
class Progress:
    """The progress of a listing.

    pages: that had new records. offset: records that arrived. total: as stated; None if there is none, or it proved
    wrong. low: more records came than a total said. stated: some page had a total. linked: every page except the last
    announced a next one. counts_pages: each total was the number of records of its own page. longest: records of the
    largest page. first_record: the hash of the first id. uneven: a page before the last one was short. gaps: problems
    of pages that do not begin with the last record of the page before.
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

    @property
    def reached(self) -> bool:
        """Whether as many records came as the total says."""
        return self.total is not None and self.offset >= self.total

    def following(self, habits: PagingHabits) -> int:
        """The offset of the next page: of the last record, if the server can begin a page anywhere.

        After a page of one record it is the one after it, because some servers have pages of one record.
        """
        return self.offset - (self.last is not None and self.last.size > 1 and not habits.aligned)

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
        """Whether a page that follows the last record, but has repeated records only, is a part of the list: up to the
        total, or without one if it is shorter than the page before."""
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
        self.last = LastPage(len(page.records), page.limit, page.has_next, record, version)
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


def continues_at_one(collection: Collection, habits: PagingHabits, page: Page) -> bool:
    """Whether the offset works after all, tested with one record at offset 1. False for a server without paging.

    Raises PagingBroken if the offset is ignored.
    """
    probe = collection.page(habits, 1, 1).records
    if len(page.records) == 1 or len(probe) == len(page.records):
        return False
    if len(probe) == 1 and hashes(probe)[0] == hashes(page.records)[1]:
        return True
    raise paging_broken(collection.label, "ignores the offset: every page is the first page")


def pages_by_number(collection: Collection, habits: PagingHabits, progress: Progress, page: Page) -> bool:
    """Whether the server divides the offset by the limit: then it goes on if the limit is the size of its pages.

    page: the second page. If so, habits are changed in place, so that the listing goes on that way.
    """
    size = len(page.records)
    full = page.limit is not None and (size == page.limit or (size < page.limit and size % ROUND_CAP == 0))
    if habits.aligned or not full or not progress.begins_anew(page):
        return False
    probe = collection.page(habits, size, size)
    if not probe.records or hashes(probe.records[:1])[0] == progress.first_record:
        return False
    habits.limit, habits.aligned = size, True
    return True


def paging_broken(label: str, how: str) -> PagingBroken:
    """The error for a list that cannot be read to an end. how: completes "The listing ... of the SIS"."""
    return PagingBroken(
        f"The listing {label} of the SIS {how}.",
        "It cannot be read completely. Tell the SIS's vendor; a page size larger than the school helps.",
    )


def refused_inside(problem: RequestRefused, label: str, records: int) -> RequestRefused:
    """The error for a server that refuses the next page. records: that came before."""
    refused = RequestRefused(
        f"The SIS gave the first {records:,} records of {label} and refused those after them ({problem.status}).",
        "It may show only the first part of a long list. Ask its vendor for the whole list, or whether that limit can "
        "be raised.",
    )
    refused.status = problem.status
    return refused


def _note_hidden_pages(collection: Collection, habits: PagingHabits, progress: Progress, proof: ListingProof) -> None:
    """Note a problem if records follow the end, at a server that drops records after paging: where it drops a whole
    page, the list looks as if it ended. A total would have shown that."""
    if (progress.uneven or proof.duplicates) and (progress.total is None or progress.low):
        for pages in BEYOND:
            with suppress(NotOffered, RequestRefused, ServerFailed):
                if collection.page(habits, habits.aligned_to(progress.offset + pages * progress.longest)).records:
                    proof.note("empty-page-inside")
                    return


def _note_round_end(
    collection: Collection, habits: PagingHabits, progress: Progress, proof: ListingProof, seen: SeenIds
) -> None:
    """Note a problem if the list has a length at which servers cut lists, or is one full page without a total, and its
    last record is not the first one of the opposite order.

    That order must show a person who is not in the list, if the length is common or the list was longer before.
    """
    count, last = progress.offset, progress.last
    if not count or last is None:
        return
    cut = not count % ROUND_END or (count >= ROUND_END and not count & (count - 1))
    cut = cut or (progress.total is None and progress.pages == 1 and last.size == last.limit)
    if not cut and count % COMMON_END:
        return
    first = np.zeros(0, dtype=np.int64)
    if habits.sort and habits.limit is not None:
        with suppress(NotOffered, RequestRefused, ServerFailed):
            first = hashes(replace(collection, backwards=True).page(habits, 0, 1).records[:1])
    surely = cut and count >= habits.longest.get(collection.label, 0)
    if first.tolist() != [last.record] and (surely or not seen.has(first).all()):
        proof.note("round-end")


def judge_end(
    collection: Collection,
    habits: PagingHabits,
    progress: Progress,
    proof: ListingProof,
    repetitions: Repetitions,
    seen: SeenIds,
) -> None:
    """Note in `proof` what speaks against the reading. Without a filter, the total must have been met exactly.

    A total that is too low, identical records that came twice, and pages that do not begin with the last record of the
    page before, if the total is met, are only doubts: a second reading with exactly the same result settles them.
    """
    whole = collection.filter is None
    for gap in progress.gaps:
        (proof.doubt if whole and proof.records == progress.total else proof.note)(gap)
    if progress.total is not None and whole:
        if proof.received < progress.total:
            proof.note("total-not-reached")
        elif proof.records > progress.total:
            progress.low = True
            proof.ended_by = "empty" if proof.ended_by == "total" else proof.ended_by
    if progress.low and whole:
        if proof.ended_by != "empty":
            proof.note("total-disagrees")
        elif collection.label not in habits.low_totals:
            proof.doubt("total-disagrees")
    if proof.duplicates:
        if repetitions.identical:
            proof.doubt("duplicates")
        else:
            proof.note("duplicates")
    if not proof.problems:
        _note_hidden_pages(collection, habits, progress, proof)
        _note_round_end(collection, habits, progress, proof, seen)
    if whole:
        _compare_with_earlier_ends(collection.label, habits, progress, proof)


def _compare_with_earlier_ends(label: str, habits: PagingHabits, progress: Progress, proof: ListingProof) -> None:
    """Note a problem if what proved the end of this list in earlier pulls is missing now; else remember the proof."""
    ends, longest = habits.ends, habits.longest
    last, several = progress.last, progress.pages > 1
    if ends.get(label) == "total" and not progress.stated:
        proof.note("total-gone")
    elif ends.get(label) == "link" and not progress.stated and last is not None:
        if last.has_next:
            proof.note("next-page-empty")
        elif several and not progress.linked:
            proof.note("link-gone")
    if proof.problems or proof.doubts:
        return
    longest[label] = max(longest.get(label, 0), proof.records)
    if proof.ended_by == "total":
        ends[label] = "total"
    elif several and progress.linked and last is not None and not last.has_next:
        ends.setdefault(label, "link")


class ConcurrentChange(Exception):
    """The data changed while they were read. reason: a problem slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
