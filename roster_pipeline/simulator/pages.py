"""Answers for collections: filter, sort, page, envelope, paging headers, and the paging faults of servers."""

import random
import re
from array import array
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.membership import Indexes
from roster_pipeline.simulator.messages import Answer, Call, Record, RequestError
from roster_pipeline.simulator.query import Query, filter_test, query_as_served, values_at
from roster_pipeline.simulator.view import Listing, View

COUNTED_BY_SOME = ("orgs", "students")
"""The collections that have a total with `total_header=some`."""
TOTAL_ERROR = 7
"""By how much `total_header=high` is wrong."""
JUNK: tuple[Any, ...] = (None, "u-1", 17, [], {}, {"sourcedId": None}, {"sourcedId": 17})
"""The entries of a list with `junk_entries`, in turn."""
ADDRESS = re.compile(r"<(https?)://(([^/:>]+)[^/>]*)")
LINK_TARGETS = {
    "localhost": "<http://localhost:443", "other_host": "<https://roster.elsewhere.example", "http": r"<http://\2",
    "relative": "<", "hostless": "<://", "port": r"<\1://\3:443", "comma": r"<\1://\2",
}  # fmt: skip
"""The beginning of an address in Link with each value of `link_target`."""


def collection_answer(view: View, call: Call, listing: Listing) -> Answer:
    faults = view.faults
    query = query_as_served(faults, call.version, call.parameters(), listing.plural)
    positions = _in_order_of_request(faults, matching(view, call.path, listing, query), query)
    total = len(positions)
    if not total and query.filter and faults.on("no_match"):
        raise RequestError(404, "nothing matches")
    offset, limit = _page_bounds(faults, query, total)
    if offset and offset >= total and faults.on("past_end"):
        return _past_the_end(faults)
    records = [listing.render(position) for position in positions[offset : offset + limit]]
    if offset >= total and faults.on("endless_pages", "fresh"):
        again = map(listing.render, positions[:limit])
        records = [record | {"sourcedId": f"{record.get('sourcedId')}-{offset}"} for record in again]
    if faults.on("duplicate_ids") and len(records) > 1:
        records[-1] = dict(records[0])
    headers = _paging_headers(faults, call, listing, query, total, len(records))
    return Answer(200, _envelope(faults, call, listing, query, records), headers)


def matching(view: View, path: str, listing: Listing, query: Query) -> Sequence[int]:
    """The positions that pass the filter, in the order of `sort`. Kept until the district or the faults change."""
    if query.filter is None and not query.sort:
        return listing.positions
    if query.filter is None and query.sort == "sourcedId" and not query.descending and listing.plural != "users":
        return sorted(listing.positions, key=lambda position: str(listing.render(position)["sourcedId"]))
    key = ("matching", view.version, path, query.filter_text, query.sort, query.descending)
    positions: Indexes = view.cache.get(key, lambda: _evaluate(view, listing, query))
    return positions


def _evaluate(view: View, listing: Listing, query: Query) -> Indexes:
    positions: Sequence[int] = listing.positions
    if query.filter is not None:
        test = filter_test(query.filter, view.faults.on("dates_compared"))
        positions = [p for p in listing.positions if test(listing.render(p))]
    if query.sort == "sourcedId" and listing.plural == "users":
        positions = sorted(positions, key=view.sourced_id, reverse=query.descending)
    elif query.sort:
        path = query.sort.split(".")
        positions = sorted(
            positions,
            key=lambda position: tuple(str(value) for value in values_at(listing.render(position), path)),
            reverse=query.descending,
        )
    return array("I", positions)


def _in_order_of_request(faults: Faults, positions: Sequence[int], query: Query) -> Sequence[int]:
    if not faults.on("shuffle_ties") or query.sort == "sourcedId":
        return positions
    shuffled = list(positions)
    random.Random(faults.count("shuffle_ties")).shuffle(shuffled)  # noqa: S311 - a fault, not a secret
    return shuffled


def _page_bounds(faults: Faults, query: Query, total: int) -> tuple[int, int]:
    offset, limit = query.offset, query.limit
    if faults.on("page_cap_error") and limit > faults.number("page_cap_error"):
        raise RequestError(400, f"limit must not be above {faults.number('page_cap_error')}")
    limit = min(limit, faults.number("page_cap", limit))
    if faults.on("offset_ignored"):
        offset = 0
    if faults.on("offset_unit"):
        offset *= limit
    if offset and faults.on("record_missing"):
        offset += 2  # the first one is in the page before as well
    if offset and faults.on("record_doubled"):
        offset -= 1
    if offset >= total and faults.on("endless_pages", "repeat"):
        offset = max(0, (total - 1) // max(1, limit) * limit)
    return offset, limit


def _past_the_end(faults: Faults) -> Answer:
    """What `past_end` gives instead of an empty page."""
    match faults.text("past_end"):
        case "empty_object":
            return Answer(200, {})
        case "empty_body":
            return Answer(200, b"")
        case "204":
            return Answer(204, b"")
        case status:
            raise RequestError(int(status), "there is nothing at this offset")


def _envelope(faults: Faults, call: Call, listing: Listing, query: Query, records: list[Record]) -> Record:
    key = listing.plural
    match faults.text("envelope"):
        case "missing":
            return {"status": "ok"}
        case "entries":
            return {key: {key.removesuffix("s"): records}}
        case "each":
            return {key: [{key.removesuffix("s"): record} for record in records]}
        case "wrapped":
            return {"response": {key: records}, "status": "ok"}
        case "own_name":
            key = call.names[-1]
    body: Record = {key: records}
    if every := faults.number("junk_entries"):
        body[key] = [JUNK[n % len(JUNK)] if n % every == 0 else record for n, record in enumerate(records)]
    if faults.on("lone_object") and len(records) == 1:
        body[key] = records[0]
    if query.warnings and call.version == "1.1":
        body["warnings"] = [
            {"codeMajor": "success", "severity": "warning", "codeMinor": minor, "description": text}
            for minor, text in query.warnings
        ]
    return body


# paging headers


def _paging_headers(
    faults: Faults, call: Call, listing: Listing, query: Query, total: int, received: int
) -> dict[str, str]:
    headers: dict[str, str] = {}
    if not faults.on("total_header", "off") and (
        not faults.on("total_header", "some") or call.names[-1] in COUNTED_BY_SOME
    ):
        headers["X-Total-Count"] = _stated_total(faults, listing, total)
    if faults.on("perm_rev"):
        asked = faults.count("perm_rev")
        headers["x-perm-rev"] = "2" if asked >= 3 else "1"
        headers["x-count"] = str(received)
    if not faults.on("link", "off") and query.limit > 0:
        limit = min(query.limit, faults.number("page_cap", query.limit))
        kept = [] if faults.on("link_drops_query") else call.parameters()
        pairs = [(name, value) for name, value in kept if name not in ("limit", "offset")]
        link = ", ".join(
            f'<{call.origin}{call.path}?{_query_string(pairs, limit, offset)}>; rel="{relation}"'
            for relation, offset in _link_offsets(faults, query.offset, limit, total).items()
        )
        headers["Link"] = _misspelled(faults, link)
    return headers


def _query_string(pairs: list[tuple[str, str]], limit: int, offset: int) -> str:
    return urlencode([*pairs, ("limit", str(limit)), ("offset", str(offset))], quote_via=quote, safe="")


def _stated_total(faults: Faults, listing: Listing, total: int) -> str:
    match faults.text("total_header"):
        case "unfiltered":
            return str(len(listing.positions))
        case "drifting":
            return str(total + faults.count("total_header"))
        case "high":
            return str(total + TOTAL_ERROR)
        case "text":
            return "many"
        case _:
            return str(total)


def _link_offsets(faults: Faults, offset: int, limit: int, total: int) -> dict[str, int]:
    """The offset of each relation: no `next` on the last page, no `prev` on the first; `link_next` changes `next`."""
    has_next = offset + limit < total
    following = {"next": offset + limit}
    match faults.text("link_next"):
        case "always":
            has_next = True
        case "exact_multiple":
            has_next = has_next or offset + limit == total
        case "missing":
            has_next = False
        case "off_by_one":
            following = {"next": offset + limit + 1}
        case "repeat":
            has_next, following = True, {"next": offset}
        case "back":
            has_next, following = True, {"next": 0}
    before = {"prev": max(0, offset - limit)} if offset > 0 else {}
    last = max(0, (total - 1) // limit * limit)
    return (following if has_next else {}) | before | {"first": 0, "last": last}


def _misspelled(faults: Faults, header: str) -> str:
    """The Link header (RFC 8288) as `link_target` and `link_style` change it."""
    if target := faults.text("link_target"):
        header = ADDRESS.sub(LINK_TARGETS[target], header) + (", \t," if target == "comma" else "")
    match faults.text("link_style"):
        case "no_brackets":
            header = header.replace("<", "").replace(">", "")
        case "typographic":
            header = header.replace('"', "''")
        case "garbage":
            header = ";;rel==next"
    return header
