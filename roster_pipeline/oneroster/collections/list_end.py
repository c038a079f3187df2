"""How the reading of a collection ends, and whether that proves that no record is missing.

A total that was reached proves it. Some connections usually have a better proof than an empty page: a total, or links
that stop at the last page. When such a proof is missing, an empty page alone proves nothing. A reading also ends when
the data change while they are read.
"""

from __future__ import annotations

from dataclasses import dataclass

from roster_pipeline.oneroster.collections.page import Collection, LastPage, Page, PagingHabits
from roster_pipeline.oneroster.collections.proof import ListingProof, Repetitions, hashes
from roster_pipeline.oneroster.errors import NotOffered, PagingBroken, RequestRefused, ServerFailed
from roster_pipeline.oneroster.http.error_mapping import transient

PAGE_STEPS = (5, 12, 16)
"""Usual page sizes are multiples of one of these: 20, 25, 48, 75, 100, 128, 1000."""
ROUND_CAP = 10
"""Page caps are multiples of this. After a single page of such a size another is requested, whatever the total says."""


@dataclass
class Progress:
    """The progress of a listing.

    offset: records that arrived. total: as stated; None if there is none, or it proved wrong. low: more records came
    than a total said. stated: some page had a total. linked: every page except the last announced a next one.
    counts_pages: each total was the number of records of its own page. longest: records of the largest page.
    first_record: the hash of the first id.
    """

    offset: int = 0
    total: int | None = None
    low: bool = False
    stated: bool = False
    linked: bool = True
    counts_pages: bool = True
    longest: int = 0
    last: LastPage | None = None
    first_record: int = 0

    @property
    def reached(self) -> bool:
        """Whether as many records came as the total says."""
        return self.total is not None and self.offset >= self.total

    def was_short(self, pages: int) -> bool:
        """Whether the last page is shorter than the pages before it, or than requested, so that it may be the end."""
        last = self.last
        usual = (last.limit if last and pages == 1 else self.longest) or 0
        return last is not None and last.size < usual

    def may_hide_more(self, pages: int, habits: PagingHabits) -> bool:
        """Whether the total may be too low: the last page was full, or announces a next one."""
        last = self.last
        if last is None or habits.limit is None:
            return False
        full = last.limit is not None and last.size >= last.limit
        return full or last.has_next or (pages == 1 and last.size > 0 and last.size % ROUND_CAP == 0)

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


def last_record_is_last(collection: Collection, habits: PagingHabits, progress: Progress) -> bool:
    """Proves the end at servers that fail on an offset past the end: two records from the last one on must give only
    that one."""
    again = _from_the_last(collection, habits, progress)
    return again is not None and again == (1, True)


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

    page: the second page. If so, habits and the offset are changed in place, so that the listing goes on that way.
    """
    size = len(page.records)
    capped = page.limit is not None and size < page.limit and size % ROUND_CAP == 0
    if progress.total is not None or not capped or not progress.begins_anew(page):
        return False
    probe = collection.page(habits, size, size)
    if not probe.records or hashes(probe.records[:1])[0] == progress.first_record:
        return False
    habits.limit, habits.aligned = size, True
    progress.offset -= size
    return True


def paging_broken(label: str, how: str) -> PagingBroken:
    """The error for a list that cannot be read to an end. how: completes "The listing ... of the SIS"."""
    return PagingBroken(
        f"The listing {label} of the SIS {how}.",
        "It cannot be read completely. Tell the SIS's vendor; a page size larger than the school helps.",
    )


def judge_end(
    collection: Collection, habits: PagingHabits, progress: Progress, proof: ListingProof, repetitions: Repetitions
) -> None:
    """Note in `proof` what speaks against the reading. Without a filter, the total must have been met exactly.

    A total that is too low, and identical records that came twice, are only doubts: a second reading with exactly the
    same result settles them.
    """
    whole = collection.filter is None
    if progress.total is not None and whole:
        if proof.received < progress.total:
            proof.note("total-not-reached")
        elif proof.records > progress.total:
            progress.low = True
            proof.ended_by = "empty" if proof.ended_by == "total" else proof.ended_by
    at_the_end = proof.ended_by in ("empty", "past-end")
    if at_the_end and progress.offset and habits.limit is not None and not progress.low and not habits.aligned:
        records, same = _from_the_last(collection, habits, progress) or (0, False)
        if not records:
            proof.note("last-record-gone")
        elif same and records > 1:
            proof.note("empty-page-inside")
    if progress.low and whole:
        if not at_the_end:
            proof.note("total-disagrees")
        elif collection.label not in habits.low_totals:
            proof.doubts.append("total-disagrees")
    if proof.duplicates:
        if repetitions.identical:
            proof.doubts.append("duplicates")
        else:
            proof.note("duplicates")
    if whole:
        _compare_with_earlier_ends(collection.label, habits.ends, progress, proof)


def _compare_with_earlier_ends(label: str, ends: dict[str, str], progress: Progress, proof: ListingProof) -> None:
    """Note a problem if what proved the end of this list in earlier pulls is missing now; else remember the proof.

    ends: collection label to "total" or "link"; changed in place.
    """
    last, several = progress.last, proof.pages > 2
    if ends.get(label) == "total" and not progress.stated:
        proof.note("total-gone")
    elif ends.get(label) == "link" and not progress.stated and last is not None:
        if last.has_next:
            proof.note("next-page-empty")
        elif several and not progress.linked:
            proof.note("link-gone")
    if proof.problems or proof.doubts:
        return
    if proof.ended_by == "total":
        ends[label] = "total"
    elif several and progress.linked and last is not None and not last.has_next:
        ends.setdefault(label, "link")


def _from_the_last(collection: Collection, habits: PagingHabits, progress: Progress) -> tuple[int, bool] | None:
    """Request two records from the last one on. Returns how many came, and whether the first is the last one again.

    None if the server refuses, or if nothing comes: a server that has stopped answering sends empty lists too. Raises a
    temporary failure.
    """
    last = progress.last
    if last is None or not last.size or habits.limit is None:
        return None
    try:
        again = collection.page(habits, progress.offset - 1, 2).records
    except (NotOffered, RequestRefused, ServerFailed) as problem:
        if transient(problem):
            raise
        return None
    return (len(again), int(hashes(again[:1])[0]) == last.record) if again else None


class ConcurrentChange(Exception):
    """The data changed while they were read. reason: a problem slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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
