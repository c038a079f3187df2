"""How a server pages: what a session learns about it, and keeps for the next one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from roster_pipeline.oneroster.errors import OneRosterError
from roster_pipeline.oneroster.http.error_mapping import transient

STANDARD_LIMIT = 100
"""The standard's default page size, tried if a larger one is refused."""
SMALL_LIMITS = (25, 10)


@dataclass
class PagingHabits:
    """How this server pages.

    limit: records to request; None if it refuses every limit and chooses itself. sort: it accepts a sort. worked: a
    listing was answered in this session. aligned: it divides the offset by the limit, so only multiples of the limit
    are requested, and pages do not overlap. linked: it ignores the offset, and each page announces the next one. ends:
    what proved the end of a collection in a complete pull, by label: "total" or "link"; without it the end is no longer
    proved. low_totals: collections whose total is always too low. longest: the most records of a collection that were
    proved complete, by label: the server does not cut lists up to that length.
    """

    limit: int | None
    sort: bool = True
    worked: bool = False
    aligned: bool = False
    linked: bool = False
    ends: dict[str, str] = field(default_factory=dict)
    low_totals: set[str] = field(default_factory=set)
    longest: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON values for `recalled`."""
        learned: dict[str, Any] = {name: getattr(self, name) for name in ("limit", "sort", "aligned", "linked")}
        learned |= {"ends": dict(self.ends), "longest": dict(self.longest)}
        return learned | ({"low_totals": sorted(self.low_totals)} if self.low_totals else {})

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
            linked=bool(learned.get("linked")),
            ends=dict(learned.get("ends") or {}),
            low_totals=set(learned.get("low_totals") or ()),
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
