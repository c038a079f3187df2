"""Answering a collection: query, page, envelope, paging headers, and the ways servers get paging wrong."""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from roster_pipeline.simulator.call import Answer, Call
from roster_pipeline.simulator.catalog import Listing
from roster_pipeline.simulator.error_responses import RequestError, warning
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.links import link_header, page_offsets
from roster_pipeline.simulator.links_gone_wrong import bent_link
from roster_pipeline.simulator.listing import matching, one_page
from roster_pipeline.simulator.payload import Record
from roster_pipeline.simulator.query import Query
from roster_pipeline.simulator.query_faults import lenient_query
from roster_pipeline.simulator.view import View

COUNTED_BY_SOME = ("orgs", "students")
"""The collections that have a total with `total_header=some`."""

JUNK: tuple[Any, ...] = (None, "u-1", 17, [], {}, {"sourcedId": None}, {"sourcedId": 17})
"""What stands in a list with `junk_entries`."""


class Window(NamedTuple):
    """Where a page begins and how long it may be."""

    offset: int
    limit: int


def collection_reply(view: View, call: Call, listing: Listing) -> Answer:
    """The answer to one GET of a collection."""
    faults = view.faults
    parameters = call.parameters(plus_is_blank=not faults.on("plus_literal"))
    query = lenient_query(view, call, parameters, listing)
    positions = _ordered(faults, matching(view, call.path, listing, query), query)
    if not positions and query.filter and faults.on("no_match"):
        raise RequestError(404, "nothing matches")
    window = _window(faults, query, len(positions))
    if window.offset and faults.on("past_end") and _is_past(positions, window):
        return _behind_the_end(faults)
    page = one_page(listing, positions, window.offset, window.limit, query)
    records = _beyond(faults, listing, positions, window, query) if _is_past(positions, window) else page.records
    if faults.on("duplicate_ids") and len(records) > 1:
        records[-1] = dict(records[0])
    headers = _paging_headers(view, call, listing, query, page.total, len(records))
    return Answer(200, _envelope(faults, call, listing, query, records), headers)


def _window(faults: Faults, query: Query, total: int) -> Window:
    """The page that is really delivered for what was asked."""
    offset, limit = query.offset, query.limit
    if faults.on("page_cap_error") and limit > faults.number("page_cap_error"):
        raise RequestError(400, f"limit must not be above {faults.number('page_cap_error')}")
    if faults.on("page_cap"):
        limit = min(limit, faults.number("page_cap"))
    if faults.on("offset_ignored"):
        offset = 0
    if faults.on("offset_unit"):
        offset *= limit
    if offset and faults.on("record_missing"):
        offset += 1
    if offset and faults.on("record_doubled"):
        offset -= 1
    if offset >= total and faults.on("endless_pages", "repeat"):
        offset = max(0, (total - 1) // max(1, limit) * limit)
    return Window(offset, limit)


def _ordered(faults: Faults, positions: Sequence[int], query: Query) -> Sequence[int]:
    if not faults.on("shuffle_ties") or query.sort == "sourcedId":
        return positions
    shuffled = list(positions)
    random.Random(faults.count("shuffle_ties")).shuffle(shuffled)  # noqa: S311 - a fault, not a secret
    return shuffled


def _is_past(positions: Sequence[int], window: Window) -> bool:
    return window.offset >= len(positions)


def _behind_the_end(faults: Faults) -> Answer:
    """What `past_end` gives in place of an empty page."""
    kind = faults.text("past_end")
    if kind.startswith("empty"):
        return Answer(200, {} if kind == "empty_object" else b"")
    if kind == "204":
        return Answer(204, b"")
    raise RequestError(int(kind), "there is nothing at this offset")


def _beyond(faults: Faults, listing: Listing, positions: Sequence[int], window: Window, query: Query) -> list[Record]:
    """Records behind the end: none, or with `endless_pages=fresh` ever new ones."""
    if not faults.on("endless_pages", "fresh") or not positions:
        return []
    again = one_page(listing, positions, 0, window.limit, query).records
    return [record | {"sourcedId": f"{record.get('sourcedId')}-{window.offset}"} for record in again]


def _envelope(faults: Faults, call: Call, listing: Listing, query: Query, records: list[Record]) -> dict[str, Any]:
    key, content = listing.plural, records
    if faults.on("envelope", "own_name"):
        key = call.names[-1]
    if faults.on("envelope", "missing"):
        return {"status": "ok"}
    body: dict[str, Any] = {key: content}
    if faults.on("envelope", "null"):
        body[key] = None
    if faults.on("envelope", "wrapped"):
        return {"response": body, "status": "ok"}
    if faults.on("envelope", "entries"):
        return {key: {key.removesuffix("s"): records}}
    if faults.on("junk_entries"):
        body[key] = [
            JUNK[n % len(JUNK)] if n % faults.number("junk_entries") == 0 else r for n, r in enumerate(content)
        ]
    if faults.on("lone_object") and len(records) == 1:
        body[key] = records[0]
    if query.warnings and call.version == "1.1":
        body["warnings"] = [warning(minor, text) for minor, text in query.warnings]
    return body


def _paging_headers(
    view: View, call: Call, listing: Listing, query: Query, total: int, received: int
) -> dict[str, str]:
    faults = view.faults
    headers: dict[str, str] = {}
    kind = faults.text("total_header")
    if kind != "off" and not (kind == "some" and call.names[-1] not in COUNTED_BY_SOME):
        headers["X-Total-Count"] = _stated_total(faults, kind, listing, total)
    if faults.on("perm_rev"):
        asked = faults.count("perm_rev")
        headers["x-perm-rev"] = "2" if faults.on("perm_rev", "flip") and asked >= 3 else "1"
        headers["x-count"] = str(received)
    if faults.on("link", "off") or query.limit < 1:
        return headers
    limit = min(query.limit, faults.number("page_cap", query.limit))
    offsets = page_offsets(query.offset, limit, total)
    address = f"{call.origin}{call.path}"
    headers["Link"] = bent_link(
        faults,
        link_header(
            address, _repeated(faults, call), limit, _bent_offsets(faults, offsets, query.offset, limit, total)
        ),
    )
    return headers


def _stated_total(faults: Faults, kind: str, listing: Listing, total: int) -> str:
    match kind:
        case "unfiltered":
            return str(len(listing.positions))
        case "drifting":
            return str(total + faults.count("total_header"))
        case "high":
            return str(total + 7)
        case "low":
            return str(max(0, total - 7))
        case "text":
            return "many"
        case _:
            return str(total)


def _repeated(faults: Faults, call: Call) -> list[tuple[str, str]]:
    return [] if faults.on("link_drops_query") else call.parameters()


def _bent_offsets(faults: Faults, offsets: dict[str, int], offset: int, limit: int, total: int) -> dict[str, int]:
    """The relations with the `next` that `link_next` makes of it."""
    kind = faults.text("link_next")
    if kind == "always":
        return {"next": offset + limit} | offsets
    if kind == "repeat":
        return offsets | {"next": offset}
    if kind == "back":
        return offsets | {"next": 0}
    if kind == "off_by_one" and "next" in offsets:
        return offsets | {"next": offset + limit + 1}
    if kind == "exact_multiple" and offset + limit == total:
        return {"next": offset + limit} | offsets
    if kind == "missing":
        return {relation: place for relation, place in offsets.items() if relation != "next"}
    return offsets
