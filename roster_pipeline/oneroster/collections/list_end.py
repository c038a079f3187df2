"""How the reading of a collection ends, and whether that proves that no record is missing.

Each page begins with the last record of the page before. So no record can leave the list unseen between two pages, and
a page with that record alone is the end of the list. Some connections have a further proof: a total, or links that stop
at the last page. If it is missing one night, the end is not proved. A reading also ends when the data change while they
are read.
"""

from contextlib import suppress
from dataclasses import replace

import numpy as np

from roster_pipeline.oneroster.collections.collection import Collection
from roster_pipeline.oneroster.collections.paging import Page, Progress
from roster_pipeline.oneroster.collections.proof import Hashes, ListingProof, Repetitions, SeenIds, hashes
from roster_pipeline.oneroster.collections.response_body import RANGE
from roster_pipeline.oneroster.errors import NotOffered, OneRosterError, PagingBroken, RequestRefused, ServerFailed
from roster_pipeline.oneroster.http.error_mapping import transient, unreadable

ROUND_END = 1_000
"""Servers with a search index give the first 10,000 records and call that the total; others stop at 1,000 or 5,000. A
list that ends at a multiple of this, or at a power of two above it, may go on."""

COMMON_END = 25
"""Servers also stop at 50, 100 or 500, but many complete lists have such a length too."""

BEYOND = (1, 2, 4)
"""How many pages after the end we look for more records, at a server that drops records after paging."""
FURTHER = 8
"""In how many places we look further behind the end, if the list was longer before: up to its earlier end."""


def continues_at_one(collection: Collection, page: Page) -> bool:
    """Whether the offset works after all, tested with one record at offset 1. False for a server without paging.

    Raises PagingBroken if the offset is ignored.
    """
    probe = collection.page(1, 1).records
    if len(page.records) == 1 or len(probe) == len(page.records):
        return False
    if len(probe) == 1 and hashes(probe)[0] == hashes(page.records)[1]:
        return True
    raise paging_broken(collection.label, "ignores the offset: every page is the first page")


def pages_by_number(collection: Collection, progress: Progress, page: Page) -> bool:
    """Whether the server divides the offset by the limit: then it goes on if the limit is the size of its pages.

    page: the second page. If so, habits are changed in place, so that the listing goes on that way.
    """
    habits, size = collection.habits, len(page.records)
    if habits.aligned or size > (page.limit or 0) or not progress.begins_anew(page):
        return False
    probe = collection.page(size, size)
    if not probe.records or hashes(probe.records[:1])[0] == progress.first_record:
        return False
    habits.limit, habits.aligned = size, True
    return True


def pages_by_links(collection: Collection, progress: Progress) -> bool:
    """Whether the server ignores the offset and goes on where a page announces the next. Then habits are changed.

    A link with an offset is not followed: such links are often wrong by one, and the offset itself should have worked.
    """
    habits, last = collection.habits, progress.last
    following = last.next if last is not None and not habits.linked and collection.filter is None else None
    if last is None or not following or "offset=" in following.lower():
        return False
    for habits.as_announced in (False, True):
        try:
            probe = collection.linked(following).records
        except (NotOffered, RequestRefused, ServerFailed):
            continue
        if probe and hashes(probe[:1])[0] != progress.first_record:
            habits.linked = True
            break
    return habits.linked


def pages_otherwise(collection: Collection, progress: Progress, page: Page) -> bool:
    """Whether the server goes on by numbers of pages or by links, although its second page is the first again."""
    return progress.pages == 1 and (pages_by_number(collection, progress, page) or pages_by_links(collection, progress))


def announced_page(collection: Collection, progress: Progress, proof: ListingProof) -> Page | None:
    """The page that the last one announced; None if it announced none, or one that was read before."""
    following = progress.last.next if progress.last is not None else None
    if following and following not in progress.links:
        progress.links.add(following)
        return collection.linked(following)
    proof.ended_by = "link"
    if following is not None:
        proof.note("paging-ignored")
    return None


def paging_broken(label: str, how: str) -> PagingBroken:
    """The error for a list that cannot be read to an end. how: completes "The listing ... of the SIS"."""
    return PagingBroken(
        f"The listing {label} of the SIS {how}.",
        "It cannot be read completely. Tell the SIS's vendor; a page size larger than the school helps.",
    )


def _refused_inside(problem: OneRosterError, collection: Collection, records: int) -> RequestRefused:
    """The error for a server that refuses the next page. records: that came before. If more came in an earlier pull,
    the refusal is new, and the list may come again later in the night."""
    earlier = collection.habits.longest.get(collection.label, 0)
    refused = RequestRefused(
        f"The SIS gave the first {records:,} records of {collection.label} and refused those after them "
        f"({problem.status}).",
        f"It gave {earlier:,} in an earlier sync. It is tried again at the next sync; if it lasts, ask the SIS's "
        "administrator what has changed."
        if earlier > records
        else "It may show only the first part of a long list. Ask its vendor for the whole list, or whether that limit "
        "can be raised.",
    )
    refused.status, refused.retryable = problem.status, earlier > records
    return refused


def after_refusal(
    collection: Collection, progress: Progress, proof: ListingProof, problem: OneRosterError
) -> tuple[int, Page | None]:
    """The way on after a refused or failed page: offset and page of another request that was accepted; no page if the
    list has ended. Raises the problem if somebody may be missing."""
    habits, last, failed = collection.habits, progress.last, isinstance(problem, ServerFailed)
    asked = progress.following(habits)
    overlaps = asked < progress.offset
    if habits.limit is None and not failed and pages_by_links(collection, progress):
        return asked, announced_page(collection, progress, proof)
    if habits.limit is None and not failed:
        proof.ended_by = "unpaged"
        if last is None or not progress.came_at_once(last.size, last.limit, last.has_next):
            proof.note("paging-ignored")
        return asked, None
    missing = progress.total is not None and not progress.reached
    if not overlaps and not missing and not transient(problem) and progress.was_short(failed=failed):
        return asked, None
    if failed and (progress.total is None or not unreadable(problem)):
        raise problem
    if overlaps and not failed and last is not None and last.size == last.limit == progress.offset:
        habits.aligned = True
        with suppress(NotOffered, RequestRefused):
            return asked + 1, collection.page(asked + 1)
        habits.aligned = False
    if progress.reached and not collection.counts_page(progress.offset, progress.total):
        return asked, None
    page = _page_within(collection, progress, asked)
    if page is None:
        raise problem if failed else _refused_inside(problem, collection, progress.offset)
    return asked, page


def _page_within(collection: Collection, progress: Progress, asked: int) -> Page | None:
    """A smaller page from the same offset, for a server that refuses pages that reach beyond the end: up to the total,
    or halved until one is accepted. None if all are refused, or if the last one holds nothing but the last record and
    the opposite order does not show that it is the last one.
    """
    most = progress.most or collection.habits.limit or 0
    halves = [most >> halved for halved in range(1, most.bit_length() - 1)]
    for size in () if collection.habits.aligned else [progress.total - asked] if progress.total else [*halves, 2, 1]:
        if not 0 < size < most:
            continue
        with suppress(NotOffered, RequestRefused, ServerFailed):
            page = collection.page(asked, size)
            progress.most = None if progress.total else size
            alone = size == 1 and asked < progress.offset
            return page if not alone or ends_there(collection, progress) else None
    return None


def ends_there(collection: Collection, progress: Progress) -> bool:
    """Whether the last record of several pages is the first one of the opposite order."""
    last = progress.last
    return last is not None and progress.pages > 1 and _other_end(collection).tolist() == [last.record]


def _other_end(collection: Collection) -> Hashes:
    """The hash of the first record in the opposite order; empty if the server does not sort."""
    if collection.habits.sort and collection.habits.limit is not None:
        with suppress(NotOffered, RequestRefused, ServerFailed):
            return hashes(replace(collection, backwards=True).page(0, 1).records[:1])
    return np.zeros(0, dtype=np.int64)


def _note_more_records(
    collection: Collection, progress: Progress, proof: ListingProof, repetitions: Repetitions, seen: SeenIds
) -> None:
    """Note a problem if more records may follow the end.

    Without a total, the opposite order must begin with a record of the list. Where it is no other order, nobody new may
    follow the end, up to an earlier one: a server that drops records after paging drops whole pages. Such a page may be
    announced; some servers announce one after every page. A list that was longer in an earlier reading may go on too.

    If the length is one at which servers cut lists, the opposite order must begin with the last record. It need only
    begin with a record of the list, if the length is common, or the list was longer before.
    """
    habits, count, last = collection.habits, progress.offset, progress.last
    if last is None:
        return
    counted, unpaged = progress.total is not None and not progress.low, proof.ended_by == "unpaged"
    only_full = progress.pages == 1 and last.size == last.limit
    last_full = habits.linked and last.size >= progress.longest
    cut = not count % ROUND_END or (count >= ROUND_END and not count & (count - 1))
    cut = bool(count) and (cut or (progress.total is None and (only_full or last_full)))
    first = np.zeros(0, dtype=np.int64)
    if count and (cut or unpaged or not counted or not count % COMMON_END):
        first = _other_end(collection)
        surely = cut and count >= habits.longest.get(collection.label, 0)
        if first.tolist() != [last.record] and (surely or not seen.has(first).all()):
            proof.note("paging-ignored" if unpaged else "round-end")
            return
    if counted:
        return
    hidden, step = proof.records < repetitions.most - 1, last.limit if last.has_next else None
    one_order = count > 1 and not unpaged and first.tolist() in ([], [progress.first_record])
    if not habits.linked and (step or progress.uneven or proof.duplicates or one_order):
        size, earlier = step or progress.longest, habits.longest.get(collection.label, 0)
        far = range(earlier - size, count + size * BEYOND[-1], -max(size, (earlier - count) // FURTHER))
        for offset in (*(count + size * pages for pages in BEYOND), *far):
            with suppress(NotOffered, RequestRefused, ServerFailed):
                hidden = hidden or not seen.has(hashes(collection.page(habits.aligned_to(offset)).records)).all()
    if hidden:
        proof.note("empty-page-inside")


def judge_end(
    collection: Collection, progress: Progress, proof: ListingProof, repetitions: Repetitions, seen: SeenIds
) -> None:
    """Add the reading's problems to `proof`. Without a filter, the total must have been met exactly.

    A total that is too low or another one on each page, identical records that came twice, and pages that do not begin
    with the last record of the page before, if the total is met, are only doubts: a second reading with exactly the
    same result settles them.
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
        if proof.ended_by not in ("empty", "link"):
            proof.note("total-disagrees")
        elif collection.label not in collection.habits.low_totals:
            proof.doubt("total-disagrees")
    if progress.moving:
        proof.totals = tuple(progress.totals)
        if not progress.always_moves:
            proof.note("total-drifted")
        elif collection.label not in collection.habits.moving_totals:
            proof.doubt("total-drifted")
    if RANGE in proof.problems and (proof.records == progress.total or ends_there(collection, progress)):
        proof.problems.remove(RANGE)
        proof.doubt(RANGE)
    if proof.duplicates:
        (proof.doubt if repetitions.identical else proof.note)("duplicates")
    if not proof.problems:
        _note_more_records(collection, progress, proof, repetitions, seen)
    if whole:
        _compare_with_earlier_ends(collection, progress, proof)


def _compare_with_earlier_ends(collection: Collection, progress: Progress, proof: ListingProof) -> None:
    """Note a problem if the proof of this list's end in earlier pulls is missing now; else remember the proof.

    A total of an empty list, or of one page where each page has another total, does not show what is usual.
    """
    label, ends, longest = collection.label, collection.habits.ends, collection.habits.longest
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
    shows_the_end = bool(proof.records) and label not in collection.habits.moving_totals
    if proof.ended_by == "total" and shows_the_end:
        ends[label] = "total"
        collection.habits.counted.update({label} if proof.records > 1 else ())
    elif several and progress.linked and last is not None and not last.has_next:
        ends.setdefault(label, "link")


class ConcurrentChange(Exception):
    """The data changed while they were read. reason: a problem slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
