"""Lists with a filter, a page at a time.

People often type a name into a search, and every proxy on the way logs addresses. So a search is sent as a form. An
address contains only values that name nobody (a role, an action, the number of a page).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from starlette.requests import Request

from roster_pipeline.console.page import form
from roster_pipeline.console.viewer import nothing_here

ROWS = 50
"""How many rows one page has."""
LONGEST_SEARCH = 200
MOST_PAGES = 1_000_000
LONGEST_NUMBER = 18
"""How many digits a number may have. The database has numbers of up to nineteen digits."""


@dataclass(frozen=True)
class ListFilter:
    """The request for a list. fields: the fields of the filter, by name. words: the words of the search. page: the
    number of the page, from 1."""

    address: str
    fields: Mapping[str, str]
    words: str = ""
    page: int = 1

    @property
    def offset(self) -> int:
        """How many rows come before this page."""
        return (self.page - 1) * ROWS

    def __getitem__(self, name: str) -> str:
        return self.fields[name]

    @property
    def query(self) -> str:
        """The filter as a query, without the words and the page."""
        given = {name: value for name, value in self.fields.items() if value}
        return f"?{urlencode(given)}" if given else ""

    def at(self, page: int) -> str:
        """The address of another page of the same filter."""
        given = {name: value for name, value in self.fields.items() if value} | ({"page": page} if page > 1 else {})
        return self.address + (f"?{urlencode(given)}" if given else "")

    @property
    def newer(self) -> str | None:
        """The address of the page before."""
        return self.at(self.page - 1) if self.page > 1 else None

    def older(self, at_once: int, total: int) -> str | None:
        """The address of the page after. at_once: the rows of a page."""
        return self.at(self.page + 1) if self.page * at_once < total else None


@dataclass(frozen=True)
class Listed:
    """One page of a list. total: over all pages; None if they are not counted; then `more` says whether there is a next
    page."""

    chosen: ListFilter
    rows: list[object] = field(default_factory=list)
    total: int | None = None
    more: bool = False

    @property
    def newer(self) -> int | None:
        """The number of the page before."""
        return self.chosen.page - 1 if self.chosen.page > 1 else None

    @property
    def older(self) -> int | None:
        """The number of the page after."""
        end = self.chosen.offset + len(self.rows)
        further = self.more if self.total is None else end < self.total
        return self.chosen.page + 1 if further else None

    @property
    def range_text(self) -> str:
        """`51 to 100 of 12,400`."""
        if not self.rows:
            return "no rows here"
        first = self.chosen.offset + 1
        of = "" if self.total is None else f" of {self.total:,}"
        return f"{first:,} to {first + len(self.rows) - 1:,}{of}"


def list_filter(request: Request, *names: str, address: str | None = None) -> ListFilter:
    """The filter of this request, from its address or its form. names: the names of its fields.

    Words come only from a form.
    """
    given = request.query_params if request.method in ("GET", "HEAD") else form(request)
    words = "" if given is request.query_params else str(given.get("q", ""))
    return ListFilter(
        address=address or request.url.path,
        fields={name: str(given.get(name, ""))[:LONGEST_SEARCH] for name in names},
        words=words.strip()[:LONGEST_SEARCH],
        page=_number(str(given.get("page", "1"))),
    )


def _number(text: str) -> int:
    return min(max(int(text), 1), MOST_PAGES) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def number_of(request: Request, name: str) -> int:
    """A number of the path. Raises HTTPException 404 if it is not a number, or if it is larger than all numbers."""
    text = str(request.path_params[name])
    if not _is_number(text):
        raise nothing_here()
    return int(text)


def plain_number(text: str) -> int:
    """A number of a form or a query.

    If it is not a number, or is larger than all numbers, it is 0, which nothing has.
    """
    return int(text) if _is_number(text) else 0


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
