"""Reading a collection to its end, and proving it.

The offset moves by what arrived, never by what was asked for: servers cap pages silently. `Link` is only a hint that
more exists. A total, where there is one that can be believed, says when to stop and lets pages be fetched at the same
time; without one, only an empty page is the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np

from roster_pipeline.oneroster.errors import NotOffered, PagingBroken, RequestRefused, ServerFailed
from roster_pipeline.oneroster.moved import Moved, Revision
from roster_pipeline.oneroster.outcomes import transient
from roster_pipeline.oneroster.page import Collection, Page, PagingHabits
from roster_pipeline.oneroster.proof import ListingProof
from roster_pipeline.oneroster.seen_ids import SeenIds, hashes, hashes_and_names

FEWEST_AHEAD = 2
"""Pages under way while one is worked on; more, up to the limit, only where the server is what we wait for."""
PAGE_STEPS = (5, 12, 16)
"""Sizes that people choose for pages are multiples of one of these: 20, 25, 48, 75, 100, 128, 1000."""
ROUND_CAP = 10
"""Caps are round numbers: a single page of such a size is followed up even where the total says that it is all."""


class Listing:
    """One reading of one collection. strict: raise Moved as soon as the data move; else go on and note it."""

    def __init__(
        self,
        collection: Collection,
        habits: PagingHabits,
        executor: Executor,
        revision: Revision | None = None,
        *,
        strict: bool = True,
    ) -> None:
        self.proof = ListingProof(collection.path)
        self.repeated: list[Any] = []
        """The records of the page just given that had come before, for the caller to record."""
        self._collection = collection
        self._habits = habits
        self._executor = executor
        self._revision = revision or Revision()
        self._strict = strict
        self.seen = SeenIds()
        self._total: int | None = None
        self._counts_pages = True
        self._offset = 0
        self._last: Page | None = None
        self._longest = 0
        self._first_record = 0
        self._fresh = False
        self._opened: Page | None = None

    def open(self, *, none_is_404: bool = False) -> list[Any]:
        """Fetch the first page now, to see whether the collection can be read and what its records look like.

        none_is_404: this server says "nothing matches" that way.
        """
        if self._opened is None:
            try:
                self._opened = self._collection.first(self._habits)
            except NotOffered:
                if not none_is_404:
                    raise
                self._opened = Page([], None, None, has_next=False, revision=None)
        return self._opened.records

    def pages(self) -> Iterator[list[Any]]:
        """The records page by page, each record once."""
        self.open()
        page, self._opened = self._opened, None
        if page is None:
            return
        yield self._take(page)
        while page.records:
            if self._total is not None and self._offset < self._total and self._may_run_ahead(page):
                before = self._offset
                yield from self._run_ahead(len(page.records))
                if self._offset > before:
                    continue
            elif self._total is not None and self._offset >= self._total and not self._may_hide_more():
                self.proof.ended_by = "total"
                break
            following = self._next()
            if following is None:
                break
            page = following
            if page.records:
                first, reached = self.proof.pages == 1, self._reached()
                distinct = self._take(page)
                if not self._fresh:
                    if first and self._pages_by_number(page):
                        continue
                    self._nothing_new(page, first, reached)
                    break
                if reached:
                    self._total_was_wrong()
                yield distinct
            else:
                self._see(page)
                self.proof.ended_by = "total" if self._reached() else "empty"
        self.proof.ended_by = self.proof.ended_by or "empty"
        self._close()

    def _next(self) -> Page | None:
        """The page at the current offset; None where the list has provably ended without an empty page."""
        if self._habits.end_fails and self._total is None and self._was_short() and self._last_record_is_last():
            self.proof.ended_by = "past-end"
            return None
        try:
            return self._collection.page(self._habits, self._habits.aligned_to(self._offset))
        except (NotOffered, RequestRefused, ServerFailed) as problem:
            failed = isinstance(problem, ServerFailed)
            if self._habits.limit is None and not failed:
                self.proof.ended_by = "unpaged"
                if self._last is None or not self._came_at_once(self._last):
                    self.proof.note("paging-ignored")
                return None
            if transient(problem) or (self._total is not None and self._offset < self._total):
                raise
            if not self._last_record_is_last():
                raise
            self._habits.end_fails = self._habits.end_fails or failed
            self.proof.ended_by = "total" if self._reached() else "past-end"
            return None

    def _take(self, page: Page) -> list[Any]:
        """Count a page in and give its records that are new."""
        self._see(page)
        if self.proof.pages > self._collection.exchange.endpoint.limits.pages:
            raise self._broken("does not end")
        values, named = hashes_and_names(page.records)
        new = np.ones(len(page.records), dtype=np.bool_)
        new[named] = self.seen.add(values[named])
        fresh = int(new[named].sum())
        repeated = int(named.sum()) - fresh
        self._fresh = fresh > 0
        self._last = page
        if self.proof.pages == 1:
            self._first_record = int(values[0]) if len(values) else 0
        self._longest = max(self._longest, len(page.records))
        self._offset += len(page.records)
        if self._offset > self._collection.exchange.endpoint.limits.records:
            raise self._broken("does not end")
        self.repeated = []
        if not self._fresh and self.proof.pages > 1:
            return []
        self.proof.received += len(page.records)
        self.proof.records += len(page.records) - repeated
        self.proof.duplicates += repeated
        if not repeated:
            return page.records
        self.repeated = [record for record, is_new in zip(page.records, new, strict=True) if not is_new]
        return [record for record, is_new in zip(page.records, new, strict=True) if is_new]

    def _see(self, page: Page) -> None:
        """Follow total and revision from page to page."""
        proof = self.proof
        proof.pages += 1
        if self._revision.changed(page):
            self._moved("revision-changed")
        self._counts_pages = self._counts_pages and page.total in (len(page.records), None)
        if proof.pages == 1:
            proof.total_start = self._total = page.total
            if page.total is not None and page.total < len(page.records):
                self._total = None
                proof.note("total-disagrees")
        elif page.total != proof.total_end and self._total is not None:
            if self._counts_pages:
                self._total = proof.total_start = None
            elif page.total is not None:
                self._total = page.total
                self._moved("total-drifted")
        proof.total_end = page.total if proof.total_start is not None else None

    def _moved(self, reason: str) -> None:
        if self._strict:
            raise Moved(reason)
        self.proof.note(reason)

    def _reached(self) -> bool:
        return self._total is not None and self._offset >= self._total

    def _may_hide_more(self) -> bool:
        """Whether the total may be lower than the truth: the last page was full, or claims a next one."""
        page = self._last
        if page is None or self._habits.limit is None:
            return False
        size = len(page.records)
        full = page.asked is not None and size >= page.asked
        return full or page.has_next or (self.proof.pages == 1 and size > 0 and size % ROUND_CAP == 0)

    def _total_was_wrong(self) -> None:
        """Records came beyond the total: a total that counts each page is none, any other is a contradiction."""
        if self._counts_pages:
            self.proof.total_start = self.proof.total_end = None
        else:
            self.proof.note("total-disagrees")
        self._total = None

    def _nothing_new(self, page: Page, first: bool, reached: bool) -> None:
        """A page without a new id: the end of a server that repeats its last page, or an offset that is ignored."""
        self._offset -= len(page.records)
        if reached:
            self.proof.ended_by = "total"
        elif self._total is not None:
            raise self._broken("brings the same records again before its total is reached")
        elif first and self._begins_anew(page) and self._came_at_once(page):
            self.proof.ended_by = "unpaged"
        elif not first or not self._begins_anew(page) or self._continues_at_one(page):
            self.proof.ended_by = "repeat"
            self.proof.note("last-page-repeats")
        else:
            self.proof.ended_by = "unpaged"
            self.proof.note("paging-ignored")

    def _pages_by_number(self, page: Page) -> bool:
        """Whether the server goes on when it is asked for no more than it gives: it divides the offset by the limit."""
        size = len(page.records)
        capped = page.asked is not None and size < page.asked and size % ROUND_CAP == 0
        if self._total is not None or not capped or not self._begins_anew(page):
            return False
        probe = self._collection.page(self._habits, size, size)
        if not probe.records or hashes(probe.records[:1])[0] == self._first_record:
            return False
        self._habits.limit, self._habits.aligned = size, True
        self._offset -= size
        return True

    def _begins_anew(self, page: Page) -> bool:
        """Whether a page is the first one again; else it only overlaps, at a server that drops records after paging."""
        return bool(hashes(page.records[:1])[0] == self._first_record)

    def _came_at_once(self, page: Page) -> bool:
        """Whether a page that comes whatever is asked is the whole list: small servers do not page at all.

        It is not, or may not be, where the limit cut it, where it has a size that pages have, or where it claims a next
        one: then the rest is to be had in a way of the server's own. A list that happens to have such a size is not
        proved that night, and archives nobody.
        """
        size = len(page.records)
        capped = size == page.asked or any(size % step == 0 for step in PAGE_STEPS)
        return size == self._longest and not capped and not page.has_next

    def _continues_at_one(self, page: Page) -> bool:
        """Whether the offset works after all, asked with one record at offset 1. False for a server without paging."""
        probe = self._collection.page(self._habits, 1, 1).records
        if len(page.records) == 1 or len(probe) == len(page.records):
            return False
        if len(probe) == 1 and hashes(probe)[0] == hashes(page.records)[1]:
            return True
        raise self._broken("ignores the offset: every page is the first page")

    def _last_record_is_last(self) -> bool:
        """For servers that answer an offset past the end with an error: asked for two records from the last one on,
        they must give that one alone."""
        last = self._last
        if last is None or not last.records or self._habits.limit is None:
            return False
        try:
            again = self._collection.page(self._habits, self._offset - 1, 2)
        except (NotOffered, RequestRefused, ServerFailed):
            return False
        return len(again.records) == 1 and bool(hashes(again.records)[0] == hashes(last.records[-1:])[0])

    def _was_short(self) -> bool:
        """Whether the last page is shorter than those before it, or than what was asked for: it may be the last."""
        last = self._last
        usual = (last.asked if last and self.proof.pages == 1 else self._longest) or 0
        return last is not None and len(last.records) < usual

    def _may_run_ahead(self, page: Page) -> bool:
        left = (self._total or 0) - self._offset
        pageable = self._habits.limit is not None and self._collection.filter is None
        return pageable and self._collection.exchange.parallel > 1 and left > len(page.records) > 1

    def _run_ahead(self, step: int) -> Iterator[list[Any]]:
        """Fetch the pages up to the total several at a time, give them in order, and fill what a page left out."""
        planned: deque[tuple[int, Future[Page]]] = deque()
        total = self._total or 0
        ahead = self._offset
        window = FEWEST_AHEAD
        try:
            while self._offset < total:
                while ahead < total and len(planned) < min(window, self._collection.exchange.parallel):
                    planned.append(
                        (ahead + step, self._executor.submit(self._collection.page, self._habits, ahead, step))
                    )
                    ahead += step
                end, future = planned.popleft()
                window = max(FEWEST_AHEAD, window - 1) if future.done() else window + 1
                page = future.result()
                end = min(end, total)
                while True:
                    if not page.records:
                        self._see(page)
                        return
                    distinct = self._take(page)
                    if not self._fresh:
                        raise self._broken("brings the same records again before its total is reached")
                    yield distinct
                    if self._offset >= end:
                        break
                    page = self._collection.page(self._habits, self._offset, end - self._offset)
                if self._offset != end or self._total != total:
                    return
        finally:
            for _, future in planned:
                future.cancel()

    def _close(self) -> None:
        """The verdict on this reading. An unfiltered total must have been met exactly."""
        proof = self.proof
        if self._total is not None and self._collection.filter is None:
            if proof.received < self._total:
                proof.note("total-not-reached")
            elif proof.received > self._total:
                proof.note("total-disagrees")
        if proof.duplicates:
            proof.note("duplicates")

    def _broken(self, how: str) -> PagingBroken:
        return PagingBroken(
            f"The listing {self._collection.label} of the SIS {how}.",
            "Nothing can be read completely this way. Tell the SIS's vendor; a page size larger than the school helps.",
        )
