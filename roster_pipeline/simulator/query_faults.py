"""Servers that read the query in their own way: filters ignored, refused or half understood, parameters unknown."""

from roster_pipeline.simulator.call import Call
from roster_pipeline.simulator.catalog import Listing
from roster_pipeline.simulator.error_responses import RequestError
from roster_pipeline.simulator.fields import is_known_path
from roster_pipeline.simulator.filters import Clause, Filter, FilterSyntaxError, parse_filter
from roster_pipeline.simulator.query import PARAMETERS, Query, read_query
from roster_pipeline.simulator.view import View

STRICT_FILTER_FIELDS = ("status", "dateLastModified")
STRICT_VALUE_LENGTH = 250
MANY_CLAUSES = 20
NOTHING = Filter((Clause("sourcedId", "=", ""),))
"""A filter nobody passes: every record has a sourcedId."""


def lenient_query(view: View, call: Call, pairs: list[tuple[str, str]], listing: Listing) -> Query:
    """Read the query as this server does."""
    faults = view.faults
    parameters = dict(pairs)
    if faults.on("strict_query"):
        _strict(pairs)
    if faults.on("limit_zero") and parameters.get("limit") == "0":
        query = read_query(parameters | {"limit": "1"}, listing.plural, call.version)
        query.limit = 0
        return query
    text = parameters.get("filter")
    if text is not None:
        answer = _filter_as_served(view, text, listing.plural)
        if answer is not None:
            del parameters["filter"]
            query = read_query(parameters, listing.plural, call.version)
            query.filter, query.filter_text = answer, text
            if not answer.clauses:
                query.filter, query.filter_text = None, ""
            return query
    if faults.on("sort_refused") and "sort" in parameters:
        raise RequestError(faults.number("sort_refused", 400), "cannot sort")
    if faults.on("sort_ignored"):
        parameters.pop("sort", None)
    if faults.on("fields_ignored"):
        parameters.pop("fields", None)
    return read_query(parameters, listing.plural, call.version)


def _strict(pairs: list[tuple[str, str]]) -> None:
    names = [name for name, _ in pairs]
    unknown = set(names) - set(PARAMETERS)
    if unknown or len(names) != len(set(names)):
        raise RequestError(400, "unknown or repeated query parameter")
    for name, value in pairs:
        if name == "filter" and (
            len(value) > STRICT_VALUE_LENGTH or not value.lstrip().startswith(STRICT_FILTER_FIELDS)
        ):
            raise RequestError(400, "cannot filter on this", "invalid_filter_field")


def _filter_as_served(view: View, text: str, plural: str) -> Filter | None:
    """What a faulty server takes the filter for; None: as the standard says; without clauses: everything."""
    faults = view.faults
    if faults.on("filter_refused"):
        raise RequestError(faults.number("filter_refused", 400), "cannot filter", "invalid_filter_field")
    if faults.on("filter_empty"):
        return NOTHING
    try:
        grouping = faults.on("filter_grouping")
        expression = parse_filter(text, MANY_CLAUSES if grouping else 2)
    except FilterSyntaxError:
        if faults.on("filter_broken", "everything"):
            return Filter(())
        return NOTHING if faults.on("filter_unknown") else None
    if faults.on("filter_unknown") and not all(
        is_known_path(c.field, plural, view.version) for c in expression.clauses
    ):
        return NOTHING
    ignored = faults.text("filter_ignored")
    if ignored:
        nested = ("orgs", "roles", "class", "school", "user", "role", "parent")
        names = nested if ignored == "nested" else tuple(ignored.split(","))
        kept = [c for c in expression.clauses if ignored != "all" and c.field.split(".")[0] not in names]
        if len(kept) < len(expression.clauses):
            return Filter(tuple(kept), expression.operators[: max(0, len(kept) - 1)])
    return expression if grouping or faults.on("dates_compared") else None
