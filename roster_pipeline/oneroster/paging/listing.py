"""Reading a collection to its end, and proving it.

The offset moves by what arrived, never by what was asked for: servers cap pages silently. `Link` is only a hint that
more exists. A total, where there is one that can be believed, says when to stop and lets pages be fetched at the same
time; without one, only an empty page is the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any

from roster_pipeline.oneroster.collections.proof import ListingProof
from roster_pipeline.oneroster.errors import NotOffered, RequestRefused, ServerFailed
from roster_pipeline.oneroster.http.error_mapping import transient
from roster_pipeline.oneroster.paging.list_end import (
    ROUND_CAP,
    ConcurrentChange,
    Revision,
    SoFar,
    continues_at_one,
    judge_end,
    last_record_is_last,
    paging_broken,
)
from roster_pipeline.oneroster.paging.page import Collection, LastPage, Page, PagingHabits, TooLargeAhead
from roster_pipeline.oneroster.paging.seen_ids import Flags, Repetitions, SeenIds, hashes, taken_in

FEWEST_AHEAD = 2
"""Pages under way while one is worked on; more, up to the limit, only where the server is what we wait for."""

DIGEST = 2**64 - 1


class Listing:
    """One reading of one collection. strict: raise Moved as soon as the data move; else go on and note it."""

    def __init__(
        self,
        collection: Collection,
        habits: PagingHabits,
        executor: Executor,
        revision: Revision | None = None,
        repetitions: Repetitions | None = None,
        *,
        strict: bool = True,
    ) -> None:
        self.proof = ListingProof(collection.path, collection.label)
        self.repeated: list[Any] = []
        """The records of the page just given that had come before, for the caller to record."""
        self._collection = collection
        self._repetitions = repetitions or Repetitions()
        self._repetitions.start()
        other = self._repetitions.page_size if habits.limit is not None else None
        self._habits = habits if other is None else replace(habits, limit=other)
        self._executor = executor
        self._revision = revision or Revision()
        self._strict = strict
        self.seen = SeenIds()
        self._so_far = SoFar()
        self.seen_roles: SeenIds | None = None
        """Ids with roles and schools. Where it is set, a record that differs in these is no repetition."""
        self.other_roles: Flags  # of the records just given: which came with these roles and schools for the first time
        self._fresh = False
        self._opened: Page | None = None
        self._too_large = False

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

    @property
    def pages_announced(self) -> int | None:
        """How many pages the first one announces, after `open`; None where it tells no total."""
        page = self._opened
        if page is None or page.total is None or not page.records:
            return None
        return -(-page.total // len(page.records))

    def pages(self) -> Iterator[list[Any]]:
        """The records page by page, each once."""
        self.open()
        page: Page | None = self._opened
        self._opened = None
        if page is None:
            return
        yield self._take(page)
        while self._so_far.last is not None and self._so_far.last.size:
            page = None  # what was read is freed before more is read
            if self._may_run_ahead(self._so_far.last):
                before = self._so_far.offset
                yield from self._run_ahead(self._so_far.last.size)
                if self._so_far.offset > before:
                    continue
            elif self._so_far.total in (self._so_far.offset, self.proof.records) and not self._so_far.may_hide_more(
                self.proof.pages, self._habits
            ):
                self.proof.ended_by = "total"
                break
            page = self._next()
            if page is None:
                break
            if page.records:
                first, reached = self.proof.pages == 1, self._so_far.reached
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
                self.proof.ended_by = "total" if self._so_far.reached else "empty"
                break
        self.proof.ended_by = self.proof.ended_by or "empty"
        judge_end(self._collection, self._habits, self._so_far, self.proof, self._repetitions)

    def _next(self) -> Page | None:
        """The page at the current offset; None where the list has provably ended without an empty page."""
        if (
            self._habits.end_fails
            and self._so_far.total is None
            and self._so_far.was_short(self.proof.pages)
            and last_record_is_last(self._collection, self._habits, self._so_far)
        ):
            self.proof.ended_by = "past-end"
            return None
        try:
            return self._collection.page(self._habits, self._habits.aligned_to(self._so_far.offset))
        except (NotOffered, RequestRefused, ServerFailed) as problem:
            failed = isinstance(problem, ServerFailed)
            if self._habits.limit is None and not failed:
                self.proof.ended_by = "unpaged"
                if self._so_far.last is None or not self._so_far.came_at_once(self._so_far.last):
                    self.proof.note("paging-ignored")
                return None
            if transient(problem) or (self._so_far.total is not None and self._so_far.offset < self._so_far.total):
                raise
            if not last_record_is_last(self._collection, self._habits, self._so_far):
                raise
            self._habits.end_fails = self._habits.end_fails or failed
            self.proof.ended_by = "total" if self._so_far.reached else "past-end"
            return None

    def _take(self, page: Page) -> list[Any]:
        """Count a page in and give its records that are new."""
        self._see(page)
        if self.proof.pages > self._collection.session.endpoint.limits.pages:
            raise paging_broken(self._collection.label, "does not end")
        values, named, new, self.other_roles = taken_in(page.records, self.seen, self.seen_roles)
        fresh = int(new[named].sum())
        repeated = int(named.sum()) - fresh
        self._fresh = fresh > 0
        self.proof.digest = (self.proof.digest + int(values[new].sum())) & DIGEST
        self._repetitions.look(values, page.records, repeated)
        self._so_far.linked = self._so_far.linked and (self._so_far.last is None or self._so_far.last.has_next)
        self._so_far.last = LastPage(
            len(page.records), page.asked, page.has_next, int(values[-1]) if len(values) else 0, page.memory
        )
        if self.proof.pages == 1:
            self._so_far.first_record = int(values[0]) if len(values) else 0
        self._so_far.longest = max(self._so_far.longest, len(page.records))
        self._so_far.offset += len(page.records)
        if self._so_far.offset > self._collection.session.endpoint.limits.records:
            raise paging_broken(self._collection.label, "does not end")
        self.repeated = []
        if not self._fresh and self.proof.pages > 1:
            return []
        self.proof.received += len(page.records)
        self.proof.records += len(page.records) - repeated
        self.proof.duplicates += repeated
        if not repeated:
            return page.records
        self.other_roles = self.other_roles[new]
        self.repeated = [record for record, is_new in zip(page.records, new, strict=True) if not is_new]
        return [record for record, is_new in zip(page.records, new, strict=True) if is_new]

    def _see(self, page: Page) -> None:
        """Follow total and revision from page to page."""
        proof = self.proof
        proof.pages += 1
        self._so_far.stated = self._so_far.stated or page.total is not None
        if page.caveat is not None:
            proof.note(page.caveat)
        if self._revision.changed(page):
            self._moved("revision-changed")
        self._so_far.counts_pages = self._so_far.counts_pages and page.total in (len(page.records), None)
        if proof.pages == 1:
            proof.total_start = self._so_far.total = page.total
            if page.total is not None and page.total < len(page.records):
                self._total_is_low()
        elif page.total != proof.total_end and self._so_far.total is not None:
            if self._so_far.counts_pages:
                self._so_far.total = proof.total_start = None
            elif page.total is not None:
                self._so_far.total = page.total
                self._moved("total-drifted")
        proof.total_end = page.total if proof.total_start is not None else None

    def _moved(self, reason: str) -> None:
        if self._strict:
            raise ConcurrentChange(reason)
        self.proof.note(reason)

    def _total_was_wrong(self) -> None:
        """Records came beyond the total: a total that counts each page is none, any other is a contradiction."""
        if self._so_far.counts_pages:
            self.proof.total_start = self.proof.total_end = None
        else:
            self._total_is_low()
        self._so_far.total = None

    def _total_is_low(self) -> None:
        """More comes than the total says: it is none, and the list has to prove its end in another way."""
        self._so_far.total = None
        self._so_far.low = True

    def _nothing_new(self, page: Page, first: bool, reached: bool) -> None:
        """A page without a new id: the end of a server that repeats its last page, or an offset that is ignored."""
        self._so_far.offset -= len(page.records)
        if reached:
            self.proof.ended_by = "total"
        elif self._so_far.total is not None:
            raise paging_broken(self._collection.label, "brings the same records again before its total is reached")
        elif first and self._so_far.begins_anew(page) and self._so_far.came_at_once(LastPage.of(page)):
            self.proof.ended_by = "unpaged"
        elif not first or not self._so_far.begins_anew(page) or continues_at_one(self._collection, self._habits, page):
            self.proof.ended_by = "repeat"
            self.proof.note("last-page-repeats")
        else:
            self.proof.ended_by = "unpaged"
            self.proof.note("paging-ignored")

    def _pages_by_number(self, page: Page) -> bool:
        """Whether the server goes on when it is asked for no more than it gives: it divides the offset by the limit."""
        size = len(page.records)
        capped = page.asked is not None and size < page.asked and size % ROUND_CAP == 0
        if self._so_far.total is not None or not capped or not self._so_far.begins_anew(page):
            return False
        probe = self._collection.page(self._habits, size, size)
        if not probe.records or hashes(probe.records[:1])[0] == self._so_far.first_record:
            return False
        self._habits.limit, self._habits.aligned = size, True
        self._so_far.offset -= size
        return True

    def _may_run_ahead(self, page: LastPage) -> bool:
        left = (self._so_far.total or 0) - self._so_far.offset
        pageable = self._habits.limit is not None and self._collection.filter is None
        return pageable and self._collection.session.parallel > 1 and left > page.size > 1 and not self._too_large

    def _run_ahead(self, step: int) -> Iterator[list[Any]]:
        """Fetch the pages up to the total several at a time, give them in order, and fill what a page left out."""
        planned: deque[tuple[int, Future[Page]]] = deque()
        total = self._so_far.total or 0
        ahead = self._so_far.offset
        window = FEWEST_AHEAD
        try:
            while self._so_far.offset < total:
                while ahead < total and len(planned) < min(window, self._collection.session.parallel):
                    planned.append((ahead + step, self._executor.submit(self._page_ahead, ahead, step)))
                    ahead += step
                end, future = planned.popleft()
                window = max(FEWEST_AHEAD, window - 1) if future.done() else window + 1
                try:
                    page = future.result()
                except TooLargeAhead:
                    self._too_large = True
                    return
                del future
                end = min(end, total)
                while True:
                    if not page.records:
                        self._see(page)
                        return
                    distinct = self._take(page)
                    if not self._fresh:
                        raise paging_broken(
                            self._collection.label, "brings the same records again before its total is reached"
                        )
                    yield distinct
                    if self._so_far.offset >= end:
                        break
                    page = self._collection.page(self._habits, self._so_far.offset, end - self._so_far.offset)
                if self._so_far.offset != end or self._so_far.total != total:
                    return
        finally:
            for _, future in planned:
                future.cancel()

    def _page_ahead(self, offset: int, limit: int) -> Page:
        return self._collection.page(self._habits, offset, limit, ahead=True)
