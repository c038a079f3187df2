"""From a listing and a query to the records of one page: filter, sort, slice, select."""

from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from roster_pipeline.simulator.catalog import Listing
from roster_pipeline.simulator.filters import INSTANTS, Filter, filter_test, values_at
from roster_pipeline.simulator.membership import Indexes, may_have_role
from roster_pipeline.simulator.payload import Record
from roster_pipeline.simulator.person import LEGACY_ROLES, ROLES
from roster_pipeline.simulator.query import Query
from roster_pipeline.simulator.view import View


class Page(NamedTuple):
    """One page: its records, and how many records match the query in all."""

    records: list[Record]
    total: int


def matching(view: View, path: str, listing: Listing, query: Query) -> Sequence[int]:
    """The positions that pass the filter, in the order asked for. Kept until the district or the faults change."""
    if query.filter is None and not query.sort:
        return listing.positions
    if query.filter is None and query.sort == "sourcedId" and not query.descending and listing.plural != "users":
        return sorted(listing.positions, key=lambda position: str(listing.render(position)["sourcedId"]))
    key = ("matching", view.version, path, query.filter_text, query.sort, query.descending)
    found: Indexes = view.cache.get(key, lambda: _evaluate(view, listing, query))
    return found


def _evaluate(view: View, listing: Listing, query: Query) -> Indexes:
    positions: Sequence[int] = listing.positions
    if query.filter is not None:
        dates_as = view.faults.text("dates_compared") or INSTANTS
        test = filter_test(query.filter, dates_as, not view.faults.on("filter_grouping", "and_first"))
        positions = [p for p in _candidates(view, listing, query.filter) if test(listing.render(p))]
    if query.sort == "sourcedId" and listing.plural == "users":
        positions = sorted(positions, key=view.sourced_id, reverse=query.descending)
    elif query.sort:
        positions = sorted(positions, key=_sort_key(listing, query.sort), reverse=query.descending)
    return array("I", positions)


def _candidates(view: View, listing: Listing, expression: Filter) -> Sequence[int]:
    """The positions worth rendering: for a plain `role = x` on all users only those who can have that role."""
    first = expression.clauses[0]
    wanted = [r for r in ROLES if first.value in (r, LEGACY_ROLES.get(r))]
    if (
        listing.plural != "users"
        or first.field not in ("role", "roles.role")
        or first.predicate != "="
        or "OR" in expression.operators
        or view.splits_people
        or not wanted
    ):
        return listing.positions
    held = set[int]().union(*(may_have_role(view.district, role) for role in wanted))
    return [position for position in listing.positions if position in held]


def _sort_key(listing: Listing, field: str) -> Callable[[int], tuple[str, ...]]:
    path = field.split(".")

    def key(position: int) -> tuple[str, ...]:
        return tuple(str(value) for value in values_at(listing.render(position), path))

    return key


def one_page(listing: Listing, positions: Sequence[int], offset: int, limit: int, query: Query) -> Page:
    """Render the records of one page, with the members asked for."""
    render = listing.render
    records = [render(position) for position in positions[offset : offset + limit]]
    if query.fields:
        records = [select(record, query.fields) for record in records]
    return Page(records, len(positions))


def select(record: Record, names: tuple[str, ...]) -> dict[str, Any]:
    """The members asked for, in the record's order; no names means all."""
    return {name: value for name, value in record.items() if name in names} if names else record
