"""The query of a collection: limit, offset, filter, sort, orderBy; the errors of each version; and the ways in which
real servers misread a query. `fields` is ignored: every record has all of its members. A filter has one clause, because
the client never sends more."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.messages import V11, RequestError

DEFAULT_LIMIT = 100
PARAMETERS = ("limit", "offset", "sort", "orderBy", "filter", "fields")

BASE = frozenset({"sourcedId", "status", "dateLastModified", "metadata"})
REFERENCE = frozenset({"href", "sourcedId", "type"})
_PERSON = BASE | {
    "username", "userIds", "enabledUser", "givenName", "familyName", "middleName", "identifier", "email", "sms",
    "phone", "agents", "grades", "password",
}  # fmt: skip
USERS_11 = _PERSON | {"role", "orgs"}
USERS_12 = _PERSON | {
    "userMasterIdentifier", "preferredFirstName", "preferredMiddleName", "preferredLastName", "pronouns", "roles",
    "userProfiles", "primaryOrg", "resources",
}  # fmt: skip
FIELDS = {
    "orgs": BASE | {"name", "type", "identifier", "parent", "children"},
    "enrollments": BASE | {"user", "class", "school", "role", "primary", "beginDate", "endDate"},
}
"""The members of each kind of object, by the name of its envelope; those of users depend on the version."""
INSIDE = {
    "roles": frozenset({"roleType", "role", "org", "userProfile", "beginDate", "endDate"}),
    "userIds": frozenset({"type", "identifier"}),
}
"""Members of the objects in a list; every other object inside a record is a reference."""

STRICT_FILTER_FIELDS = ("status", "dateLastModified")
STRICT_VALUE_LENGTH = 250
NESTED_FIELDS = ("orgs", "roles", "class", "school", "user", "role", "parent")
CLAUSE = re.compile(r"^\s*([A-Za-z_][A-Za-z0-9_.:-]*)(!=|>=|<=|=|>|<|~)'((?:[^']|'')*)'\s*$")
DATE_FIELD = "dateLastModified"
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "~": lambda value, part: part.lower() in value.lower(),
}


class Filter(NamedTuple):
    """`field predicate 'value'`; a doubled quote in the value is one quote."""

    field: str
    predicate: str
    value: str


NOTHING, EVERYTHING = Filter("sourcedId", "=", ""), Filter("sourcedId", "!=", "")
"""Filters that no record passes, and that each one passes, because every record has a sourcedId."""


@dataclass(slots=True)
class Query:
    """The parameters as this server reads them. warnings: 1.1's code minor and text for each one that it ignored."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    filter: Filter | None = None
    filter_text: str = ""
    sort: str = ""
    descending: bool = False
    warnings: tuple[tuple[str, str], ...] = ()


def known_fields(plural: str, version: str) -> frozenset[str]:
    """The top-level members of an object kind, named by its envelope."""
    if plural == "users":
        return USERS_11 if version == V11 else USERS_12
    return FIELDS[plural]


def is_known_path(path: str, plural: str, version: str) -> bool:
    """Whether the standard knows a member with this dot path. Below `metadata` every path is known."""
    head, *rest = path.split(".")
    if head not in known_fields(plural, version):
        return False
    if head == "metadata" or not rest:
        return True
    if rest[0] not in INSIDE.get(head, REFERENCE):
        return False
    return len(rest) == 1 or (rest[0] == "org" and len(rest) == 2 and rest[1] in REFERENCE)


def query_as_served(faults: Faults, version: str, pairs: list[tuple[str, str]], plural: str) -> Query:
    """Read the parameters of a collection as this server does; RequestError if it refuses them."""
    parameters = dict(pairs)
    if faults.on("strict_query"):
        _require_strict(pairs)
    if faults.on("limit_zero") and parameters.get("limit") == "0":
        query = _read_query(parameters | {"limit": "1"}, plural, version)
        query.limit = 0
        return query
    if "filter" in parameters:
        misread = _misread_filter(faults, version, parameters["filter"], plural)
        if misread is not None:
            text = parameters.pop("filter")
            query = _read_query(parameters, plural, version)
            if misread is not EVERYTHING:
                query.filter, query.filter_text = misread, text
            return query
    if faults.on("sort_refused") and "sort" in parameters:
        raise RequestError(faults.number("sort_refused", 400), "cannot sort")
    if faults.on("sort_ignored"):
        parameters.pop("sort", None)
    return _read_query(parameters, plural, version)


def _read_query(parameters: Mapping[str, str], plural: str, version: str) -> Query:
    """The parameters by the standard; RequestError for what the version answers with 400."""
    query = Query(limit=_number(parameters, "limit", DEFAULT_LIMIT, 1), offset=_number(parameters, "offset", 0, 0))
    if "filter" in parameters:
        query.filter_text = parameters["filter"]
        query.filter = _read_filter(query.filter_text, plural, version)
    query.descending = parameters.get("orderBy", "asc") == "desc"
    sort = parameters.get("sort", "")
    if sort and is_known_path(sort, plural, version):
        query.sort = sort
    elif sort and version == V11:
        query.warnings += (("invalid_sort_field", "unknown sort field"),)
    return query


def parse_filter(text: str) -> Filter | None:
    """Read a filter; None if it breaks the grammar, or compares a date with another text."""
    match = CLAUSE.match(text)
    if match is None:
        return None
    parsed = Filter(match[1], match[2], match[3].replace("''", "'"))
    is_date = parsed.field.split(".")[-1] == DATE_FIELD
    return None if is_date and _instant(parsed.value) is None else parsed


def values_at(record: Any, path: Sequence[str]) -> list[Any]:
    """All values at a dot path; each element of a list on the way is followed."""
    values = [record]
    for name in path:
        items = [item for value in values for item in (value if isinstance(value, list) else (value,))]
        values = [item[name] for item in items if isinstance(item, dict) and name in item]
    return values


def filter_test(wanted: Filter, by_day: bool = False) -> Callable[[Any], bool]:
    """A test of one record. An absent field is the empty text. by_day: of dates only the day is compared."""
    path, compare = wanted.field.split("."), COMPARISONS[wanted.predicate]
    is_date = path[-1] == DATE_FIELD
    read: Callable[[Any], Any] = (_day if by_day else _instant) if is_date else _text
    limit = read(wanted.value)

    def test(record: Any) -> bool:
        values = [read(value) for value in values_at(record, path)] or ([] if is_date else [""])
        return any(compare(value, limit) for value in values if value is not None)

    return test


def _instant(value: Any) -> datetime | None:
    """A date or date-time as an instant; without a zone it is UTC. None if it is neither."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _day(value: Any) -> date | None:
    moment = _instant(value)
    return moment and moment.astimezone(UTC).date()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _read_filter(text: str, plural: str, version: str) -> Filter:
    parsed = parse_filter(text)
    if parsed is None:
        raise RequestError(400, "malformed filter", "invalid_filter_field")
    if not is_known_path(parsed.field, plural, version):
        raise RequestError(400, f"cannot filter on {parsed.field}", "invalid_filter_field")
    return parsed


def _number(parameters: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or int(text) < least:
        raise RequestError(400, f"{name} must be a whole number of at least {least}", "invaliddata")
    return int(text)


def _require_strict(pairs: list[tuple[str, str]]) -> None:
    names = [name for name, _ in pairs]
    if set(names) - set(PARAMETERS) or len(names) != len(set(names)):
        raise RequestError(400, "unknown or repeated query parameter")
    text = dict(pairs).get("filter", "status")
    if len(text) > STRICT_VALUE_LENGTH or not text.lstrip().startswith(STRICT_FILTER_FIELDS):
        raise RequestError(400, "cannot filter on this", "invalid_filter_field")


def _misread_filter(faults: Faults, version: str, text: str, plural: str) -> Filter | None:
    """The filter that a faulty server applies instead; None for the standard's."""
    if faults.on("filter_refused"):
        raise RequestError(faults.number("filter_refused", 400), "cannot filter", "invalid_filter_field")
    if faults.on("filter_empty"):
        return NOTHING
    parsed = parse_filter(text)
    if parsed is None and faults.on("filter_broken"):
        return EVERYTHING
    if faults.on("filter_unknown") and (parsed is None or not is_known_path(parsed.field, plural, version)):
        return NOTHING
    if parsed is not None and faults.on("filter_ignored"):
        nested = faults.on("filter_ignored", "nested")
        names = NESTED_FIELDS if nested else tuple(faults.text("filter_ignored").split(","))
        if "all" in names or parsed.field.split(".")[0] in names:
            return EVERYTHING
    return None
