"""The query of a collection: limit, offset, filter, sort, orderBy; the errors of each version; and the ways in which
real servers misread a query. `fields` is ignored: every record has all of its members."""

from collections.abc import Mapping
from dataclasses import dataclass

from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.filters import Clause, Filter, FilterSyntaxError, filter_test, parse_filter
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
NOTHING = Filter((Clause("sourcedId", "=", ""),))
"""A filter that no record passes, because every record has a sourcedId."""


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
            if misread.clauses:
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


def _read_filter(text: str, plural: str, version: str) -> Filter:
    try:
        expression = parse_filter(text)
        filter_test(expression)
    except FilterSyntaxError as error:
        raise RequestError(400, str(error), "invalid_filter_field") from None
    for clause in expression.clauses:
        if not is_known_path(clause.field, plural, version):
            raise RequestError(400, f"cannot filter on {clause.field}", "invalid_filter_field")
    return expression


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
    """The filter that a faulty server applies instead, without clauses for everything; None for the standard's."""
    if faults.on("filter_refused"):
        raise RequestError(faults.number("filter_refused", 400), "cannot filter", "invalid_filter_field")
    if faults.on("filter_empty"):
        return NOTHING
    try:
        expression = parse_filter(text)
    except FilterSyntaxError:
        if faults.on("filter_broken"):
            return Filter(())
        return NOTHING if faults.on("filter_unknown") else None
    if faults.on("filter_unknown") and not all(is_known_path(c.field, plural, version) for c in expression.clauses):
        return NOTHING
    if faults.on("filter_ignored"):
        nested = faults.on("filter_ignored", "nested")
        names = NESTED_FIELDS if nested else tuple(faults.text("filter_ignored").split(","))
        kept = [c for c in expression.clauses if "all" not in names and c.field.split(".")[0] not in names]
        if len(kept) < len(expression.clauses):
            return Filter(tuple(kept))
    return None
