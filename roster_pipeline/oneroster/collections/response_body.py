"""Finds the records in a response: under the standard's key, or in the places that servers use instead.

A response without a list is an error. Only a list that exists and is empty, or null under the right key, means that the
page has no records.
"""

import json
import re
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from roster_pipeline.oneroster.errors import Malformed, NotOffered, NotOneRoster
from roster_pipeline.oneroster.http.error_mapping import failure_in_good_status
from roster_pipeline.oneroster.http.json_decoding import decoded
from roster_pipeline.oneroster.http.response import MOST_RECORDS, Response, folded, read_status, too_many_values

ALIASES = {
    "users": ("users", "user", "students", "student", "teachers", "teacher"),
    "orgs": ("orgs", "org", "schools", "school"),
    "enrollments": ("enrollments", "enrollment"),
}
"""Collection key to the names that servers use for it, the standard's first."""
PARTIAL, RANGE, WARNED = "partial-answer", "partial-status", "warning-beside-data"
"""Problem slugs: the body or its status says that it is not complete; it has a warning that may matter."""
PARTIAL_STATUSES = {202: PARTIAL, 206: RANGE, 207: PARTIAL}
"""202 Accepted, 206 Partial Content, 207 Multi-Status. Some servers send pages with 206."""
_NOT_DATA = frozenset(("statusinfoset", "warnings", "errors", "links", "messages", "meta", "metadata", "paging"))
_MISSING = object()
"""Means "no value", because None is a value of JSON."""
_ID_NAMES = frozenset(("sourcedid", "sourceid"))


_NEXT = frozenset(
    ("next", "nextpage", "nextlink", "odatanextlink", "nextpagetoken", "nextcursor", "hasmore", "hasnext")
)
"""Members next to a list, or in an object of links, that announce another page."""
LONGEST_LINK = 4_000
_RANGE_TOTAL = re.compile(r"(?!bytes)(?:\w+[ =])?[\d*-]+/(\d+)", re.IGNORECASE)
_NEXT_RELATION = re.compile(r"rel\s*=[\s\"'“”]*next", re.IGNORECASE)
_NEXT_LINK = re.compile(f"<([^<>]*)>[^<>]*?{_NEXT_RELATION.pattern}", re.IGNORECASE)


class PageBody(NamedTuple):
    """The records of a page, the total if the body has one, and a problem slug if it says that it is not complete.

    next: the query of another page that the body announces, "" if it has no address, None if it announces none. Like a
    link, it is only a hint.
    """

    records: list[Any]
    total: int | None = None
    caveat: str | None = None
    next: str | None = None


def records_of(response: Response, collection: str, label: str) -> PageBody:
    """The records of a page. collection: the standard's key. label: for messages.

    Raises NotOneRoster, Malformed, TooLarge, or the error for a failure that the body reports.
    """
    page = _read_page(decoded(response), response, collection, label)
    if any(isinstance(raw_id(record), float) for record in page.records if isinstance(record, dict)):
        page = _read_page(decoded(response, exact=True), response, collection, label)
    if len(page.records) > MOST_RECORDS:
        page.records.clear()
        raise too_many_values()
    return page


def _read_page(body: Any, response: Response, collection: str, label: str) -> PageBody:
    if isinstance(body, list):
        records = _unwrapped(body, collection)
        if records and not any(map(_has_id, records)):
            raise _foreign(label)
        return PageBody(records, None, PARTIAL_STATUSES.get(response.status))
    if not isinstance(body, dict):
        raise _foreign(label)
    status = read_status(body)
    if status.failure:
        raise failure_in_good_status(status, label)
    value = _under_a_known_name(body, collection)
    if value is _MISSING:
        value = _one_level_down(body, collection)
    if value is _MISSING:
        value = _only_list(body)
    if value is _MISSING:
        raise Malformed(
            f"The response to {label} has no list of {collection}.",
            "This is not a OneRoster response. If the connection has worked before, ask the SIS's administrator what "
            "has changed; else check the URL.",
        )
    several = _has_another_list(body, collection, value)
    caveat = PARTIAL if several or status.unfinished else WARNED if status.warning else None
    caveat = caveat or PARTIAL_STATUSES.get(response.status)
    records = _unwrapped(_as_list(value, collection, label), collection)
    return PageBody(records, _stated_total(body), caveat, _announced(body))


def single_record(response: Response, collection: str, label: str, sourced_id: str | None = None) -> dict[str, Any]:
    """The object in a response to `/collection/{id}`. If it is a list, the object with that id.

    Raises NotOffered if there is none, and Malformed if that may have another reason.
    """
    page = records_of(response, collection, label)
    records = page.records
    objects = [record for record in records if isinstance(record, dict)]
    if sourced_id is not None:
        same = [record for record in objects if raw_id(record) in (sourced_id, sourced_id.strip())]
        if same:
            return same[0]
    if not records and page.caveat is not None:
        raise unsure(label)
    if not records:
        nothing = NotOffered(f"The SIS answers {label} without an object.", "Check what the SIS publishes.")
        nothing.status = response.status
        raise nothing
    if len(objects) == 1:
        return objects[0]
    raise Malformed(
        f"The response to {label} has several objects, or none with this id.", "Ask the SIS's vendor about it."
    )


def unsure(label: str) -> Malformed:
    """The error for an answer that is not complete, or is of another day, so that it does not count."""
    return Malformed(
        f"The response to {label} is more than a day from our clock, or says that it is not complete.",
        "Ask the SIS's administrator about a cache in front of the SIS, and compare the clocks.",
    )


def raw_id(record: dict[str, Any]) -> Any:
    """The sourcedId of a record as it came, with any spelling of the member's name."""
    if "sourcedId" in record:
        return record["sourcedId"]
    return next((value for name, value in record.items() if folded(name) in _ID_NAMES), None)


def _under_a_known_name(body: dict[str, Any], collection: str) -> Any:
    if collection in body:
        return body[collection]
    names = {folded(name): value for name, value in body.items()}
    for alias in ALIASES.get(collection, (collection,)):
        if alias in names:
            return names[alias]
    return body if _has_id(body) else _MISSING


def _has_another_list(body: dict[str, Any], collection: str, value: Any) -> bool:
    """Whether other records than `value` are under another name of the collection. Some servers send one list twice."""
    others = [other for name, other in body.items() if other and folded(name) in ALIASES.get(collection, ())]
    try:
        return any(other is not value and other != value for other in others)
    except RecursionError:
        return True


def comes_twice(body: bytes | bytearray, collection: str) -> bool:
    """Whether a body has two members of this name. A decoder keeps only the last one."""
    if body.count(f'"{collection}"'.encode()) > 1:
        with suppress(ValueError, RecursionError):  # then the page was read by the lenient decoder, or not at all
            names: list[Any] = json.loads(body, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
            return names.count(collection) > 1
    return False


def _one_level_down(body: dict[str, Any], collection: str) -> Any:
    """The collection inside the only object that has one, for APIs that wrap all responses."""
    inside = [
        _under_a_known_name(inner, collection)
        for name, inner in body.items()
        if isinstance(inner, dict) and inner and folded(name) not in _NOT_DATA and not _has_id(inner)
    ]
    values = [value for value in inside if value is not _MISSING]
    return values[0] if len(values) == 1 else _MISSING


def _only_list(body: dict[str, Any]) -> Any:
    lists = [value for name, value in body.items() if isinstance(value, list) and folded(name) not in _NOT_DATA]
    if len(lists) == 1 and all(isinstance(entry, dict) for entry in lists[0][:50]):
        return lists[0]
    objects = [value for name, value in body.items() if _has_id(value)]
    if len(objects) == 1 and not lists:
        return objects[0]
    return _MISSING


def _as_list(value: Any, collection: str, label: str) -> list[Any]:
    if isinstance(value, list):
        return value
    if value is None or value == {}:
        return []
    if isinstance(value, dict):
        if len(value) == 1 and not _has_id(value):
            ((name, only),) = value.items()
            if isinstance(only, list) and folded(name) in ALIASES.get(collection, (collection,)):
                return only
        if not _has_id(value) and all(isinstance(entry, dict) for entry in value.values()):
            return list(value.values())
        return [value]
    raise Malformed(f"The response to {label} has a text instead of a list.", "Ask the SIS's vendor about this API.")


def _unwrapped(records: list[Any], collection: str) -> list[Any]:
    """The records. Some servers put each into an object of its own, as for `/users/{id}`: {"user": {...}}."""
    names = ALIASES.get(collection, (collection,))

    def inner(record: Any) -> Any:
        if type(record) is dict and len(record) == 1:
            ((name, only),) = record.items()
            return only if _has_id(only) and folded(name) in names else record
        return record

    return list(map(inner, records))


def _stated_total(body: dict[str, Any]) -> int | None:
    for name in ("totalCount", "total_count", "totalcount"):
        value = body.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _announced(body: dict[str, Any]) -> str | None:
    beside = [inner for name, inner in body.items() if isinstance(inner, dict) and folded(name) in _NOT_DATA]
    found = [value for part in (body, *beside) for name, value in part.items() if value and folded(name) in _NEXT]
    return max(map(_query, found), default=None)


def next_in_header(response: Response) -> str | None:
    """The query of the next page in the header Link, "" if it has none, None if the header announces no next page."""
    links = response.headers.get("Link", "")
    address = _NEXT_LINK.search(links)
    return _query(address[1]) if address else "" if _NEXT_RELATION.search(links) else None


def _query(address: Any) -> str:
    """The query of an address. Nothing else of it is used, because links lead to other hosts, or to no host at all."""
    try:
        return urlsplit(address).query if isinstance(address, str) and len(address) <= LONGEST_LINK else ""
    except ValueError:
        return ""


def _has_id(value: Any) -> bool:
    return isinstance(value, dict) and ("sourcedId" in value or any(folded(name) in _ID_NAMES for name in value))


def _foreign(label: str) -> NotOneRoster:
    return NotOneRoster(
        f"The response to {label} is JSON, but not of OneRoster.",
        "This is another API of the SIS. Enter the address of its OneRoster API.",
    )


def web_page(label: str) -> Malformed:
    """The error for a response that is not OneRoster, from an address that has given some. It is temporary."""
    return Malformed(
        f"The SIS answered {label} with something other than its data (perhaps a web page of a proxy).",
        "It is tried again at the next sync; if it lasts, ask the SIS's administrator.",
    )


def total_in_header(response: Response) -> int | None:
    """X-Total-Count, or the total of Content-Range, as a number; None if absent, not a number, or contradictory."""
    of_range = _RANGE_TOTAL.fullmatch(response.headers.get("Content-Range", "").strip())
    stated = {
        part.strip() for part in response.headers.get("X-Total-Count", of_range[1] if of_range else "").split(",")
    }
    text = stated.pop() if len(stated) == 1 else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else None
