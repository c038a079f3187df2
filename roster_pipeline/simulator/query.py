"""The query of a collection: limit, offset, filter, sort, orderBy, fields, with the errors of each version."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

from roster_pipeline.simulator.error_responses import RequestError
from roster_pipeline.simulator.fields import is_known_path, known_fields
from roster_pipeline.simulator.filters import Filter, FilterSyntaxError, filter_test, parse_filter
from roster_pipeline.simulator.payload import V11

DEFAULT_LIMIT = 100
PARAMETERS = ("limit", "offset", "sort", "orderBy", "filter", "fields")


@dataclass(slots=True)
class Query:
    """What was asked for. `warnings` are 1.1's code minor values for what was ignored."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    filter: Filter | None = None
    filter_text: str = ""
    sort: str = ""
    descending: bool = False
    fields: tuple[str, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()

    def test(self) -> Callable[[Any], bool]:
        """A test of one record against the filter."""
        return filter_test(self.filter) if self.filter else lambda _: True


def read_pairs(query_string: str, plus_is_blank: bool = True) -> list[tuple[str, str]]:
    """The decoded parameters in order."""
    decode = unquote_plus if plus_is_blank else unquote
    pairs = (part.partition("=") for part in query_string.split("&") if part)
    return [(decode(name), decode(value)) for name, _, value in pairs]


def read_query(parameters: Mapping[str, str], plural: str, version: str) -> Query:
    """Read the parameters of a collection; RequestError for what the version answers with 400."""
    query = Query(limit=_number(parameters, "limit", DEFAULT_LIMIT, 1), offset=_number(parameters, "offset", 0, 0))
    if "filter" in parameters:
        query.filter_text = parameters["filter"]
        query.filter = read_filter(query.filter_text, plural, version)
    query.descending = parameters.get("orderBy", "asc") == "desc"
    sort = parameters.get("sort", "")
    if sort and is_known_path(sort, plural, version):
        query.sort = sort
    elif sort and version == V11:
        query.warnings += (("invalid_sort_field", "unknown sort field"),)
    if "fields" in parameters:
        read_fields(query, parameters["fields"], plural, version)
    return query


def read_filter(text: str, plural: str, version: str) -> Filter:
    """Parse a filter and check that its fields exist."""
    try:
        expression = parse_filter(text)
        filter_test(expression)
    except FilterSyntaxError as error:
        raise RequestError(400, str(error), "invalid_filter_field") from None
    for clause in expression.clauses:
        if not is_known_path(clause.field, plural, version):
            raise RequestError(400, f"cannot filter on {clause.field}", "invalid_filter_field")
    return expression


def read_fields(query: Query, text: str, plural: str, version: str) -> None:
    """Read a `fields` list: blank is an error; an unknown name is an error in 1.2, a warning and all members in 1.1."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        minor = "invalid_blank_selection_field" if version == V11 else "invalid_selection_field"
        raise RequestError(400, "fields is blank", minor)
    if set(names) <= known_fields(plural, version):
        query.fields = names
    elif version == V11:
        query.warnings += (("invalid_selection_field", "unknown selection field"),)
    else:
        raise RequestError(400, "unknown selection field", "invalid_selection_field")


def _number(parameters: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or int(text) < least:
        raise RequestError(400, f"{name} must be a whole number of at least {least}", "invaliddata")
    return int(text)
