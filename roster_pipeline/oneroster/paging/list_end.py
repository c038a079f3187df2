"""How the reading of a collection ends, and whether that proves that no record is missing.

A total that was reached proves it. Some connections usually have a better proof than an empty page: a total, or links
that stop at the last page. When such a proof is missing, an empty page alone proves nothing. A reading also ends when
the data change while they are read.
"""

from __future__ import annotations

from dataclasses import dataclass

from roster_pipeline.oneroster.collections.proof import ListingProof
from roster_pipeline.oneroster.errors import NotOffered, PagingBroken, RequestRefused, ServerFailed
from roster_pipeline.oneroster.paging.page import Collection, LastPage, Page, PagingHabits
from roster_pipeline.oneroster.paging.seen_ids import Repetitions, hashes

PAGE_STEPS = (5, 12, 16)
"""Sizes that people choose for pages are multiples of one of these: 20, 25, 48, 75, 100, 128, 1000."""

ROUND_CAP = 10
"""Caps are round numbers: a single page of such a size is followed up even where the total says that it is all."""


@dataclass
class SoFar:
    """What a listing has seen. offset: records that arrived. total: as stated, None if none can be believed.

    low: more came than a total said. stated: some page told a total. linked: every page but the last announced another
    one. counts_pages: each total was the number of records of its page. longest: records of the largest page.
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
        return self.total is not None and self.offset >= self.total

    def was_short(self, pages: int) -> bool:
        """Whether the last page is shorter than those before it, or than what was asked for: it may be the last."""
        last = self.last
        usual = (last.asked if last and pages == 1 else self.longest) or 0
        return last is not None and last.size < usual

    def may_hide_more(self, pages: int, habits: PagingHabits) -> bool:
        """Whether the total may be lower than the truth: the last page was full, or claims a next one."""
        last = self.last
        if last is None or habits.limit is None:
            return False
        full = last.asked is not None and last.size >= last.asked
        return full or last.has_next or (pages == 1 and last.size > 0 and last.size % ROUND_CAP == 0)

    def begins_anew(self, page: Page) -> bool:
        """Whether a page is the first one again; else it only overlaps, at a server that drops records after paging."""
        return bool(hashes(page.records[:1])[0] == self.first_record)

    def came_at_once(self, page: LastPage) -> bool:
        """Whether a page that comes whatever is asked is the whole list: small servers do not page at all.

        It is not, or may not be, where the limit cut it, where it has a size that pages have, or where it claims a next
        one: then the rest is to be had in a way of the server's own. A list that happens to have such a size is not
        proved that night, and archives nobody.
        """
        capped = page.size == page.asked or any(page.size % step == 0 for step in PAGE_STEPS)
        return page.size == self.longest and not capped and not page.has_next


def last_record_is_last(collection: Collection, habits: PagingHabits, so_far: SoFar) -> bool:
    """For servers that answer an offset past the end with an error: asked for two records from the last one on, they
    must give that one alone."""
    again = _from_the_last(collection, habits, so_far)
    return again is not None and again == (1, True)


def continues_at_one(collection: Collection, habits: PagingHabits, page: Page) -> bool:
    """Whether the offset works after all, asked with one record at offset 1. False for a server without paging."""
    probe = collection.page(habits, 1, 1).records
    if len(page.records) == 1 or len(probe) == len(page.records):
        return False
    if len(probe) == 1 and hashes(probe)[0] == hashes(page.records)[1]:
        return True
    raise paging_broken(collection.label, "ignores the offset: every page is the first page")


def paging_broken(label: str, how: str) -> PagingBroken:
    """The error for a list that cannot be followed to an end."""
    return PagingBroken(
        f"The listing {label} of the SIS {how}.",
        "Nothing can be read completely this way. Tell the SIS's vendor; a page size larger than the school helps.",
    )


def judge_end(
    collection: Collection, habits: PagingHabits, so_far: SoFar, proof: ListingProof, repetitions: Repetitions
) -> None:
    """The verdict on a reading. An unfiltered total must have been met exactly.

    A total that lies low, and records that come twice and say the same, are doubts only: a second reading that brings
    exactly the same settles them.
    """
    whole = collection.filter is None
    if so_far.total is not None and whole:
        if proof.received < so_far.total:
            proof.note("total-not-reached")
        elif proof.records > so_far.total:
            so_far.low = True
            proof.ended_by = "empty" if proof.ended_by == "total" else proof.ended_by
    at_the_end = proof.ended_by in ("empty", "past-end")
    if at_the_end and not so_far.low and not habits.aligned:
        records, same = _from_the_last(collection, habits, so_far) or (0, False)
        if same and records > 1:
            proof.note("empty-page-inside")
    if so_far.low and whole:
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
        _compare_with_good_nights(collection.label, habits.ends, so_far, proof)


def _compare_with_good_nights(label: str, ends: dict[str, str], so_far: SoFar, proof: ListingProof) -> None:
    """What has proved the end of this list before is missed when it is gone, and remembered where it is there."""
    last, several = so_far.last, proof.pages > 2
    if ends.get(label) == "total" and not so_far.stated:
        proof.note("total-gone")
    elif ends.get(label) == "link" and not so_far.stated and last is not None:
        if last.has_next:
            proof.note("next-page-empty")
        elif several and not so_far.linked:
            proof.note("link-gone")
    if proof.problems or proof.doubts:
        return
    if proof.ended_by == "total":
        ends[label] = "total"
    elif several and so_far.linked and last is not None and not last.has_next:
        ends.setdefault(label, "link")


def _from_the_last(collection: Collection, habits: PagingHabits, so_far: SoFar) -> tuple[int, bool] | None:
    """Two records asked for from the last one on: how many came, and whether the first is that one. None: not to be
    had."""
    last = so_far.last
    if last is None or not last.size or habits.limit is None:
        return None
    try:
        again = collection.page(habits, so_far.offset - 1, 2).records
    except (NotOffered, RequestRefused, ServerFailed):
        return None
    return (len(again), int(hashes(again[:1])[0]) == last.record) if again else None


class ConcurrentChange(Exception):
    """The data moved under the reading; `reason` is a problem slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Revision:
    """The revision of the data set that some hubs send with every answer; it must not change within a pull."""

    def __init__(self) -> None:
        self.value: str | None = None

    def changed(self, page: Page) -> bool:
        if page.revision is None or page.revision == self.value:
            return False
        first = self.value is None
        self.value = page.revision
        return not first
