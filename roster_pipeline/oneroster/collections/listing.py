"""Reads a collection page by page to its end, and proves that it was the end.

The offset grows by the records that arrived, not by the limit, because servers cap pages silently. `Link` is only a
hint that more exists. A credible total says when to stop, and lets us fetch several pages at the same time.

Each page is requested from the last record of the page before. If it begins with another record, the list has moved
meanwhile, and somebody may be in neither page. A page with that record alone is the end.
"""

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from roster_pipeline.oneroster.collections.collection import Collection, TooLargeAhead
from roster_pipeline.oneroster.collections.list_end import (
    ConcurrentChange,
    after_refusal,
    announced_page,
    continues_at_one,
    ends_there,
    judge_end,
    pages_otherwise,
    paging_broken,
)
from roster_pipeline.oneroster.collections.paging import LastPage, Page, Progress, Revision, place_of_last
from roster_pipeline.oneroster.collections.proof import Flags, ListingProof, Repetitions, SeenIds, taken_in
from roster_pipeline.oneroster.errors import (
    NotOffered,
    OneRosterError,
    Redirected,
    Refused,
    RequestRefused,
    ServerFailed,
)
from roster_pipeline.oneroster.http.error_mapping import unreadable

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
        executor: Executor,
        revision: Revision | None = None,
        repetitions: Repetitions | None = None,
        *,
        strict: bool = True,
    ) -> None:
        self.proof = ListingProof(collection.path, collection.label)
        self.repeated: list[Any] = []
        """Records of the last page that had come before. The caller records them."""
        self._repetitions = repetitions or Repetitions()
        self._repetitions.start()
        size, habits = self._repetitions.page_size, collection.habits
        if size is not None and habits.limit is not None:
            collection = replace(collection, habits=replace(habits, limit=size))
        self._collection, self._habits = collection, collection.habits
        self._executor = executor
        self._revision = revision or Revision()
        self._strict = strict
        self.seen = SeenIds()
        self._progress = Progress()
        self.seen_roles: SeenIds | None = None
        """Ids with roles, schools and names. If it is set, a record with other ones does not count as repeated."""
        self.other_roles: Flags  # of the last page's records: True for new roles, schools or names
        self._fresh = False
        self._moved = False
        self._opened: Page | None = None
        self._too_large = False

    def open(self, *, none_is_404: bool = False) -> list[Any]:
        """The records of the first page. Raises an error if the collection cannot be read.

        none_is_404: this server answers 404 if nothing matches.
        """
        if self._opened is None:
            try:
                self._opened = self._collection.first()
            except NotOffered:
                if not none_is_404:
                    raise
                self._opened = Page([], None, None, None, None)
        return self._opened.records

    def offered(self) -> list[Any] | None:
        """The same; None if the SIS does not let us read the collection, now or later. Other errors are raised."""
        try:
            return self.open()
        except (NotOffered, Redirected, Refused, RequestRefused):
            return None

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
        page, self._opened = self._opened, None
        if page is None:
            return
        yield self._take(page, 0)
        while self._progress.last is not None and self._progress.last.size:
            page = None  # frees this page before the next is read
            if self._may_run_ahead(self._progress.last):
                before = self._progress.offset
                yield from self._run_ahead(self._progress.last.size)
                if self._progress.offset > before:
                    continue
            elif self._total_is_reached():
                self.proof.ended_by = "total"
                break
            asked, page = self._next()
            if page is None:
                break
            first, reached = self._progress.pages == 1, self._progress.reached
            distinct = self._take(page, asked)
            if self._fresh:
                if reached:
                    self._progress.total_was_wrong(self.proof)
                yield distinct
            elif self._habits.linked and self._progress.last.has_next:
                self._progress.last = replace(self._progress.last, next=page.next)
            elif len(page.records) <= 1:
                if self._moved:
                    self._progress.gaps.add("last-record-gone")
                break
            elif not self._progress.is_behind(page, asked) and not pages_otherwise(
                self._collection, self._progress, page
            ):
                self._nothing_new(page, first, reached)
                break
        self.proof.ended_by = self.proof.ended_by or ("total" if self._progress.reached else "empty")
        judge_end(self._collection, self._progress, self.proof, self._repetitions, self.seen)

    def _total_is_reached(self) -> bool:
        reached = self._progress.total in (self._progress.offset, self.proof.records)
        return reached and not self._progress.may_hide_more(self._habits) and self._total_is_of_page() is False

    def _total_is_of_page(self) -> bool | None:
        """Whether the total is only the size of the first page; then it is ignored. None if nobody can tell."""
        progress = self._progress
        of_page = progress.pages == 1 and self._collection.counts_page(progress.offset, progress.total)
        if of_page:
            self._progress.total_was_wrong(self.proof)
        return of_page

    def _next(self) -> tuple[int, Page | None]:
        """The next page and its offset; None if the list has ended without one."""
        collection, progress = self._collection, self._progress
        asked = progress.following(self._habits)
        if self._habits.linked:
            return asked, announced_page(collection, progress, self.proof)
        try:
            return asked, collection.page(self._habits.aligned_to(asked), progress.most)
        except (NotOffered, RequestRefused, ServerFailed) as problem:
            return after_refusal(collection, progress, self.proof, problem)

    def _take(self, page: Page, asked: int) -> list[Any]:
        """Count a page that begins at the offset `asked`, and return its records that are new."""
        self._see(page)
        limits = self._collection.session.endpoint.limits
        if self.proof.pages > limits.pages:
            raise paging_broken(self._collection.label, "does not end")
        records, last = page.records, self._progress.last
        self._moved = follows = False
        if last is not None and asked < self._progress.offset:
            at = place_of_last(records, last)
            self._moved, follows = at < 0, at == 0 and len(records) > 1
            records = records if at < 0 else records[:at] + records[at + 1 :]
        values, named, new, self.other_roles = taken_in(records, self.seen, self.seen_roles)
        fresh = int(new[named].sum())
        self.repeated = []
        self._fresh = fresh > 0 or self.proof.pages == 1 or (follows and self._progress.goes_on(page, asked))
        if not self._fresh:
            return []
        if last is not None and asked >= self._progress.offset:
            self.proof.doubt("pages-apart")
        if self._moved:
            self._progress.gaps.add("list-moved")
            if self._progress.total is None:
                self._changed("list-moved")
        repeated = int(named.sum()) - fresh
        self.proof.digest = (self.proof.digest + int(values[new].sum())) & DIGEST
        self._repetitions.look(values, records, repeated)
        self._progress.note(page, asked, versions=self.seen_roles is not None)
        if self._progress.offset > (limits.orgs if self._collection.key == "orgs" else limits.records):
            raise paging_broken(self._collection.label, "does not end")
        self.proof.received += len(records)
        self.proof.records += len(records) - repeated
        self.proof.duplicates += repeated
        if not repeated:
            return records
        self.other_roles = self.other_roles[new]
        self.repeated = [record for record, is_new in zip(records, new, strict=True) if not is_new]
        return [record for record, is_new in zip(records, new, strict=True) if is_new]

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
                self._progress.total_is_low()
        elif page.total != proof.total_end and self._progress.total is not None:
            if self._progress.counts_pages:
                self._progress.total = proof.total_start = None
            elif page.total is not None:
                self._total_moved(page.total)
        proof.total_end = page.total if proof.total_start is not None else None

    def _total_moved(self, total: int) -> None:
        """Another total: the data change, or each page has another one. The next reading shows which."""
        known = self._collection.label in self._habits.moving_totals or self._repetitions.total_moved
        if known and self._habits.ends.get(self._collection.label) != "total":
            self._progress.total = self.proof.total_start = None
            self._progress.moving = True
            return
        self._repetitions.total_moved = True
        self._progress.total = total
        self._changed("total-drifted")

    def _changed(self, reason: str) -> None:
        if self._strict:
            raise ConcurrentChange(reason)
        self.proof.note(reason)

    def _nothing_new(self, page: Page, first: bool, reached: bool) -> None:
        """A page without a new id: the server repeats its last page at the end, or ignores the offset."""
        begins_anew = self._progress.begins_anew(page)
        if reached and not (begins_anew and self._total_is_of_page()):
            self.proof.ended_by = "total"
        elif self._progress.total is not None:
            raise paging_broken(self._collection.label, REPEATS)
        elif first and begins_anew and self._progress.came_at_once(len(page.records), page.limit, page.has_next):
            self.proof.ended_by = "unpaged"
        elif not first or not begins_anew or continues_at_one(self._collection, page):
            self.proof.ended_by = "repeat"
            if not ends_there(self._collection, self._progress):
                self.proof.note("last-page-repeats")
        else:
            self.proof.ended_by = "unpaged"
            self.proof.note("paging-ignored")

    def _may_run_ahead(self, page: LastPage) -> bool:
        left = (self._progress.total or 0) - self._progress.offset
        pageable = self._habits.limit is not None and self._collection.filter is None and not self._habits.linked
        return pageable and self._collection.session.parallel > 1 and left > page.size > 1 and not self._too_large

    def _run_ahead(self, step: int) -> Iterator[list[Any]]:
        """Fetch pages up to the total in parallel, and request again what a short page left out."""
        progress, first = self._progress, self._progress.following(self._habits)
        total, shared = progress.total or 0, progress.offset - first
        ahead = self._collection.ahead(self._executor, first, total, step, shared)
        try:
            for begin, page in ahead:
                asked, end = begin, min(begin + step, total)
                while True:
                    distinct = self._take(page, asked)
                    if not self._fresh:
                        return
                    yield distinct
                    if progress.offset >= end:
                        break
                    asked = progress.following(self._habits)
                    page = self._collection.page(asked, end - asked)
                if progress.offset != end or progress.total != total:
                    return
        except TooLargeAhead:
            self._too_large = True
        except OneRosterError as problem:  # the next request decides what a refusal means
            if not unreadable(problem):
                raise
        finally:
            ahead.close()
