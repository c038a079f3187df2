"""How a server pages, one page of a list, and how far the reading of a list has come: the facts that its end is judged
by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from roster_pipeline.oneroster.collections.proof import ListingProof, hash_of_version, hashes
from roster_pipeline.oneroster.errors import OneRosterError
from roster_pipeline.oneroster.http.error_mapping import transient

STANDARD_LIMIT = 100
"""The standard's default page size, tried if a larger one is refused."""
SMALL_LIMITS = (25, 10)
PAGE_STEPS = (5, 12, 16)
"""Usual page sizes are multiples of one of these: 20, 25, 48, 75, 100, 128, 1000."""
ROUND_CAP = 10
"""Page caps are multiples of this. After a single page of such a size, another page is requested, even if the total is
reached."""


@dataclass
class PagingHabits:
    """How this server pages.

    limit: records to request; None if it refuses every limit and chooses itself. sort: it accepts a sort. worked: a
    listing was answered since the start. aligned: it divides the offset by the limit, so only multiples of the limit
    are requested, and pages do not overlap. linked: it ignores the offset, and each page announces the next one.
    as_announced: it takes no limit and order beside what a page announces. ends: what proved the end of a collection in
    a complete pull, by label: "total" or "link"; without it the end is no longer proved. low_totals: collections whose
    total is always too low. moving_totals: collections whose total says where the page is in the list. counted:
    collections whose total was proved to count the whole list, and not the page. longest: the most records of a
    collection that were proved complete, by label: the server does not cut lists up to that length.
    """

    limit: int | None
    sort: bool = True
    worked: bool = False
    aligned: bool = False
    linked: bool = False
    as_announced: bool = False
    ends: dict[str, str] = field(default_factory=dict)
    low_totals: set[str] = field(default_factory=set)
    moving_totals: set[str] = field(default_factory=set)
    counted: set[str] = field(default_factory=set)
    longest: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON values for `recalled`."""
        names = ("limit", "sort", "aligned", "linked", "as_announced")
        learned: dict[str, Any] = {name: getattr(self, name) for name in names}
        learned |= {"ends": dict(self.ends), "longest": dict(self.longest)}
        totals = {name: sorted(getattr(self, name)) for name in ("low_totals", "moving_totals", "counted")}
        return learned | {name: labels for name, labels in totals.items() if labels}

    def aligned_to(self, offset: int) -> int:
        """The offset to request: this one, or the next multiple of the limit if the server needs that."""
        return -(-offset // self.limit) * self.limit if self.aligned and self.limit else offset

    @classmethod
    def recalled(cls, page_size: int, learned: Mapping[str, Any]) -> "PagingHabits":
        """The habits that an earlier session learned. The limit is at most the owner's page size."""
        limit = learned.get("limit", page_size)
        limit = min(page_size, limit) if isinstance(limit, int) and limit > 0 else None if limit is None else page_size
        return cls(
            limit,
            bool(learned.get("sort", True)),
            aligned=bool(learned.get("aligned")),
            linked=bool(learned.get("linked")) and "as_announced" in learned,
            as_announced=bool(learned.get("as_announced")),
            ends=dict(learned.get("ends") or {}),
            low_totals=set(learned.get("low_totals") or ()),
            moving_totals=set(learned.get("moving_totals") or ()),
            counted=set(learned.get("counted") or ()),
            longest=dict(learned.get("longest") or {}),
        )

    def is_doubtful(self, refusal: OneRosterError) -> bool:
        """Whether a refusal may concern `sort` and not the collection."""
        return self.sort and not self.worked and not transient(refusal)

    def plainer(self) -> list["PagingHabits"]:
        """Other ways to ask if a refusal is doubtful: without sort, then without any parameter."""
        return [PagingHabits(self.limit, False), PagingHabits(None, False)]

    def alternatives(self) -> list["PagingHabits"]:
        """Other ways to ask a server that answers 400: without sort, with smaller limits, without any parameter."""
        smaller = min(self.limit or STANDARD_LIMIT, STANDARD_LIMIT)
        ways = [PagingHabits(self.limit, False)]
        limits = [min(smaller, limit) for limit in (STANDARD_LIMIT, *SMALL_LIMITS)]
        ways += [PagingHabits(limit, sort) for limit in limits for sort in (True, False)]
        ways.append(PagingHabits(None, False))
        return [way for number, way in enumerate(ways) if way != self and way not in ways[:number]]


@dataclass(frozen=True)
class Page:
    """One page.

    records: as they came, or already read if all are usual users. limit: as it was sent. total: stated by header or
    body, else None. next: the query of the page that it announces, "" if that has none, None if it announces none.
    caveat: a problem slug if the response says that it is not complete.
    """

    records: list[Any]
    limit: int | None
    total: int | None
    next: str | None
    revision: str | None
    caveat: str | None = None

    @property
    def has_next(self) -> bool:
        return self.next is not None


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
    more near the end. links: queries of announced pages that were requested. totals: of the pages that had new records.
    moving: the total is ignored, because it is another one on each page.
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
    totals: list[int | None] = field(default_factory=list)
    moving: bool = False

    def total_is_low(self) -> None:
        """More records come than the total says, so the end needs another proof."""
        self.total, self.low = None, True

    def total_was_wrong(self, proof: ListingProof) -> None:
        """More records come than the total says. A total that is the size of each page is ignored. Any other one is too
        low."""
        if self.counts_pages:
            proof.total_start = proof.total_end = self.total = None
        else:
            self.total_is_low()

    @property
    def always_moves(self) -> bool:
        """Whether each total is larger than the one before, or each is smaller. A list that changes, or comes from
        different copies, does not look like that."""
        several = [total for total in self.totals if total is not None]
        whole = 2 < len(several) == len(set(several)) == len(self.totals)
        return whole and several in (sorted(several), sorted(several, reverse=True))

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
        self.totals.append(page.total)
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
