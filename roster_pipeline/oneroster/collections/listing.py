"""Reads a collection page by page to its end, and proves that it was the end.

The offset grows by the records that arrived, not by the limit, because servers cap pages silently. `Link` is only a
hint that more exists. A credible total says when to stop, and lets us fetch several pages at the same time. Without
one, only an empty page is the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import partial
from typing import Any

from roster_pipeline.oneroster.collections.list_end import (
    ConcurrentChange,
    Progress,
    Revision,
    continues_at_one,
    judge_end,
    last_record_is_last,
    pages_by_number,
    paging_broken,
)
from roster_pipeline.oneroster.collections.page import Collection, LastPage, Page, PagingHabits, TooLargeAhead
from roster_pipeline.oneroster.collections.proof import Flags, ListingProof, Repetitions, SeenIds, taken_in
from roster_pipeline.oneroster.errors import NotOffered, RequestRefused, ServerFailed
from roster_pipeline.oneroster.http.error_mapping import transient

FEWEST_AHEAD = 2
"""Pages to request while one is processed. More, up to the limit, only while we wait for the server."""
DIGEST = 2**64 - 1
REPEATS = "brings the same records again before its total is reached"


class Listing:
    """One reading of one collection.

    strict: raise ConcurrentChange as soon as the data change; else note it in the proof and go on. revision,
    repetitions: shared by the readings of one pull.
    """

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
        """Records of the page just given that had come before. The caller records them."""
        self._collection = collection
        self._repetitions = repetitions or Repetitions()
        self._repetitions.start()
        size = self._repetitions.page_size if habits.limit is not None else None
        self._habits = habits if size is None else replace(habits, limit=size)
        self._executor = executor
        self._revision = revision or Revision()
        self._strict = strict
        self.seen = SeenIds()
        self._progress = Progress()
        self.seen_roles: SeenIds | None = None
        """Ids with roles, schools and names. If it is set, a record with other ones does not count as repeated."""
        self.other_roles: Flags  # of the records just given: True for new roles, schools or names
        self._fresh = False
        self._opened: Page | None = None
        self._too_large = False

    def open(self, *, none_is_404: bool = False) -> list[Any]:
        """The records of the first page. Raises an error if the collection cannot be read.

        none_is_404: this server answers 404 if nothing matches.
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
        """How many pages the collection has, after `open`; None if the first page has no total."""
        page = self._opened
        if page is None or page.total is None or not page.records:
            return None
        return -(-page.total // len(page.records))

    def pages(self) -> Iterator[list[Any]]:
        """The records page by page, each record once. Afterwards `proof` is complete."""
        self.open()
        page: Page | None = self._opened
        self._opened = None
        if page is None:
            return
        yield self._take(page)
        while self._progress.last is not None and self._progress.last.size:
            page = None  # frees the page before the next is read
            if self._may_run_ahead(self._progress.last):
                before = self._progress.offset
                yield from self._run_ahead(self._progress.last.size)
                if self._progress.offset > before:
                    continue
            elif self._total_is_reached():
                self.proof.ended_by = "total"
                break
            page = self._next()
            if page is None:
                break
            if page.records:
                first, reached = self.proof.pages == 1, self._progress.reached
                distinct = self._take(page)
                if not self._fresh:
                    if first and pages_by_number(self._collection, self._habits, self._progress, page):
                        continue
                    self._nothing_new(page, first, reached)
                    break
                if reached:
                    self._total_was_wrong()
                yield distinct
            else:
                self._see(page)
                self.proof.ended_by = "total" if self._progress.reached else "empty"
                break
        self.proof.ended_by = self.proof.ended_by or "empty"
        judge_end(self._collection, self._habits, self._progress, self.proof, self._repetitions)

    def _total_is_reached(self) -> bool:
        reached = self._progress.total in (self._progress.offset, self.proof.records)
        return reached and not self._progress.may_hide_more(self.proof.pages, self._habits)

    def _next(self) -> Page | None:
        """The page at the current offset; None if the list has provably ended without an empty page."""
        if (
            self._habits.end_fails
            and self._progress.total is None
            and self._progress.was_short(self.proof.pages)
            and last_record_is_last(self._collection, self._habits, self._progress)
        ):
            self.proof.ended_by = "past-end"
            return None
        try:
            return self._collection.page(self._habits, self._habits.aligned_to(self._progress.offset))
        except (NotOffered, RequestRefused, ServerFailed) as problem:
            failed = isinstance(problem, ServerFailed)
            if self._habits.limit is None and not failed:
                self.proof.ended_by = "unpaged"
                last = self._progress.last
                if last is None or not self._progress.came_at_once(last.size, last.limit, last.has_next):
                    self.proof.note("paging-ignored")
                return None
            missing = self._progress.total is not None and not self._progress.reached
            if transient(problem) or missing or not last_record_is_last(self._collection, self._habits, self._progress):
                raise
            self._habits.end_fails = self._habits.end_fails or failed
            self.proof.ended_by = "total" if self._progress.reached else "past-end"
            return None

    def _take(self, page: Page) -> list[Any]:
        """Count a page, and return its records that are new."""
        self._see(page)
        limits = self._collection.session.endpoint.limits
        if self.proof.pages > limits.pages:
            raise paging_broken(self._collection.label, "does not end")
        values, named, new, self.other_roles = taken_in(page.records, self.seen, self.seen_roles)
        fresh = int(new[named].sum())
        repeated = int(named.sum()) - fresh
        self._fresh = fresh > 0
        self.proof.digest = (self.proof.digest + int(values[new].sum())) & DIGEST
        self._repetitions.look(values, page.records, repeated)
        self._progress.linked = self._progress.linked and (self._progress.last is None or self._progress.last.has_next)
        last = int(values[-1]) if len(values) else 0
        self._progress.last = LastPage(len(page.records), page.limit, page.has_next, last)
        if self.proof.pages == 1:
            self._progress.first_record = int(values[0]) if len(values) else 0
        self._progress.longest = max(self._progress.longest, len(page.records))
        self._progress.offset += len(page.records)
        if self._progress.offset > (limits.orgs if self._collection.key == "orgs" else limits.records):
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
        """Check total and revision against the pages before."""
        proof = self.proof
        proof.pages += 1
        self._progress.stated = self._progress.stated or page.total is not None
        if page.caveat is not None:
            proof.note(page.caveat)
        if self._revision.changed(page):
            self._changed("revision-changed")
        self._progress.counts_pages = self._progress.counts_pages and page.total in (len(page.records), None)
        if proof.pages == 1:
            proof.total_start = self._progress.total = page.total
            if page.total is not None and page.total < len(page.records):
                self._total_is_low()
        elif page.total != proof.total_end and self._progress.total is not None:
            if self._progress.counts_pages:
                self._progress.total = proof.total_start = None
            elif page.total is not None:
                self._progress.total = page.total
                self._changed("total-drifted")
        proof.total_end = page.total if proof.total_start is not None else None

    def _changed(self, reason: str) -> None:
        if self._strict:
            raise ConcurrentChange(reason)
        self.proof.note(reason)

    def _total_was_wrong(self) -> None:
        """More records came than the total says. A total that is the size of each page is ignored. Any other one is too
        low."""
        if self._progress.counts_pages:
            self.proof.total_start = self.proof.total_end = None
        else:
            self._total_is_low()
        self._progress.total = None

    def _total_is_low(self) -> None:
        """More records come than the total says, so the end needs another proof."""
        self._progress.total = None
        self._progress.low = True

    def _nothing_new(self, page: Page, first: bool, reached: bool) -> None:
        """A page without a new id: the server repeats its last page at the end, or ignores the offset."""
        begins_anew = self._progress.begins_anew(page)
        self._progress.offset -= len(page.records)
        if reached:
            self.proof.ended_by = "total"
        elif self._progress.total is not None:
            raise paging_broken(self._collection.label, REPEATS)
        elif first and begins_anew and self._progress.came_at_once(len(page.records), page.limit, page.has_next):
            self.proof.ended_by = "unpaged"
        elif not first or not begins_anew or continues_at_one(self._collection, self._habits, page):
            self.proof.ended_by = "repeat"
            self.proof.note("last-page-repeats")
        else:
            self.proof.ended_by = "unpaged"
            self.proof.note("paging-ignored")

    def _may_run_ahead(self, page: LastPage) -> bool:
        left = (self._progress.total or 0) - self._progress.offset
        pageable = self._habits.limit is not None and self._collection.filter is None
        return pageable and self._collection.session.parallel > 1 and left > page.size > 1 and not self._too_large

    def _run_ahead(self, step: int) -> Iterator[list[Any]]:
        """Fetch pages up to the total in parallel, give them in order, and request again what a short page left out."""
        planned: deque[tuple[int, Future[Page]]] = deque()
        total = self._progress.total or 0
        ahead = self._progress.offset
        window = FEWEST_AHEAD
        fetch = partial(self._collection.page, self._habits, ahead=True)
        try:
            while self._progress.offset < total:
                while ahead < total and len(planned) < min(window, self._collection.session.parallel):
                    planned.append((ahead + step, self._executor.submit(fetch, ahead, step)))
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
                        raise paging_broken(self._collection.label, REPEATS)
                    yield distinct
                    if self._progress.offset >= end:
                        break
                    page = self._collection.page(self._habits, self._progress.offset, end - self._progress.offset)
                if self._progress.offset != end or self._progress.total != total:
                    return
        finally:
            for _, future in planned:
                future.cancel()
