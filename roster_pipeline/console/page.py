"""Shared by all pages: templates and their filters, database, form, message for the next page, CSV files, and lists
with filter and pages.

CSV files are streamed, never kept on the server, and noted in the audit, because they name people. People often type a
name into a search, and every proxy on the way logs addresses. So a search is sent as a form. An address contains only
values that name nobody (a role, an action, the number of a page).

Templates use `FILTERS` behind a bar: `{{ at | ago }}`, `{{ at | exact(zone) }}`, `{{ rows | number }}`. They write
times in the school's zone, numbers, roles and actions as words.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, StreamingResponse
from starlette.routing import Route

from roster_pipeline.cleaning.rejections import RULES
from roster_pipeline.console.middleware import FIELD, static_url, token_for
from roster_pipeline.console.session import keep_visit, nothing_here
from roster_pipeline.directory import sessions
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.blocks import in_console
from roster_pipeline.notifications.content import sync_title
from roster_pipeline.notifications.mail_page import words
from roster_pipeline.notifications.outcome import NOUNS
from roster_pipeline.safe_csv import csv_chunks
from roster_pipeline.services.school_status import fields_named, tested_school
from roster_pipeline.services.settings_changes import FieldError
from roster_pipeline.vocabulary import DONE, counted, day, moment, people_of, role_name

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DAYS_COUNTED = 14
"""If something was longer ago than this, a date says more than a number of days."""
ACTIONS = DONE | {"skip": "left alone", "conflict": "in conflict", "unchanged": "unchanged"}
NOTHING: Mapping[str, str] = MappingProxyType({})
"""The fields, or the errors, of a form that nobody has sent yet."""
ROWS = 50
"""How many rows one page has."""
LONGEST_SEARCH = 200
MOST_PAGES = 1_000_000
LONGEST_NUMBER = 18
"""How many digits a number may have. The database has numbers of up to nineteen digits."""
LOAD_AGAIN = {"HX-Refresh": "true"}
STOP_POLLING = 286
"""A header and a status of htmx, which asks every second on a page that follows something."""

ROUTES: list[Route] = []
Handler = TypeVar("Handler", bound=Callable[..., Any])


def route(path: str, *methods: str) -> Callable[[Handler], Handler]:
    """Says which requests a function answers."""

    def add(handler: Handler) -> Handler:
        ROUTES.append(Route(path, handler, methods=list(methods)))
        return handler

    return add


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A template with `viewer`, `csrf`, `csrf_field()`, `path`, `flash`, `now`, and a school's `zone`."""
    state = request.state
    cookie = state.token or state.visit or sessions.new_token()
    csrf = token_for(cookie)
    known = {
        "viewer": state.viewer,
        "csrf": csrf,
        "csrf_field": lambda: Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, csrf),
        "path": request.url.path,
        "flash": _flash(request),
        "now": datetime.now(UTC),
    }
    if isinstance(school := context.get("school"), SchoolRow):
        known["zone"] = school.settings.time_zone
    response = HTMLResponse(_templates().get_template(template).render(known | context), status)
    if not state.token:
        keep_visit(request, response, cookie)
    return response


def piece(template: str, macro: str, *given: object, **more: object) -> str:
    """One macro of a template as text. It is for pieces that reach a page after it was shown."""
    return str(getattr(_templates().get_template(template).module, macro)(*given, **more))


def redirect(request: Request, url: str, *, message: str | None = None) -> RedirectResponse:
    """Go to another page after a form. message: a sentence that the next page shows once."""
    if message and request.state.token:
        database(request).call(sessions.set_message, request.state.token, message)
    return RedirectResponse(url, 303)


def form(request: Request) -> FormData:
    """The form that was sent. Its token was checked before the handler ran."""
    found: FormData = request.state.form
    return found


def texts(request: Request) -> dict[str, str]:
    """The fields of the form as plain texts, by name."""
    return {name: str(value) for name, value in form(request).items()}


def reason_of(request: Request) -> str:
    return str(form(request).get("reason", "")).strip()


def day_of(text: str, name: str) -> date:
    """A typed or chosen day. Raises FieldError for the field `name`."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise FieldError(name, "Choose a day, or write it as 2026-11-03.") from None


def database(request: Request) -> Database:
    found: Database = request.app.state.database
    return found


def _flash(request: Request) -> str | None:
    message: str | None = request.state.message
    if message:
        request.state.message = None
        database(request).call(sessions.set_message, request.state.token, None)
    return message


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("roster_pipeline.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = static_url
    environment.filters.update(FILTERS)
    return environment


def csv_answer(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> StreamingResponse:
    """A CSV file as an attachment. name: the name of the file, with letters, digits and dashes only."""
    headers = {
        "content-disposition": f'attachment; filename="{name}.csv"',
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(csv_chunks(header, rows), media_type="text/csv", headers=headers)


def ago(at: datetime, zone: str, now: datetime | None = None) -> str:
    """`just now`, `12 minutes ago`, `3 hours ago`, `5 days ago`, else the date by the school's own clock."""
    passed = (now or datetime.now(UTC)) - at
    if passed < MINUTE:
        return "just now"
    for unit, word, most in ((MINUTE, "minute", HOUR), (HOUR, "hour", DAY), (DAY, "day", DAY * DAYS_COUNTED)):
        if passed < most:
            number = passed // unit
            return f"{number} {word}{'' if number == 1 else 's'} ago"
    return day(at.astimezone(ZoneInfo(zone)))


def role(slug: str) -> str:
    """`Students`."""
    return role_name(slug).capitalize()


def changes(rows: int, kind: str) -> str:
    """`1 archival`, `12 creations`."""
    return counted(rows, *NOUNS.get(kind, (words(kind), words(kind))))  # type: ignore[call-overload]


def meaning(rule: str) -> str:
    return RULES.get(rule, words(rule))


@dataclass(frozen=True)
class ListFilter:
    """The request for a list. fields: of the filter. words: of the search. page: from 1. at_once: rows of a page."""

    address: str
    fields: Mapping[str, str]
    words: str = ""
    page: int = 1
    at_once: int = ROWS

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.at_once

    def __getitem__(self, name: str) -> str:
        return self.fields[name]

    def at(self, page: int) -> str:
        """The address of another page of the same filter."""
        given = {name: value for name, value in self.fields.items() if value} | ({"page": page} if page > 1 else {})
        return self.address + (f"?{urlencode(given)}" if given else "")

    @property
    def here(self) -> str:
        return self.at(self.page)


@dataclass(frozen=True)
class Listed:
    """One page of a list. total: over all pages; None if not counted, then `more` says if there is a next one."""

    chosen: ListFilter
    rows: list[object] = field(default_factory=list)
    total: int | None = None
    more: bool = False

    @property
    def newer(self) -> int | None:
        return self.chosen.page - 1 if self.chosen.page > 1 else None

    @property
    def older(self) -> int | None:
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


def list_filter(request: Request, *names: str, address: str | None = None, at_once: int = ROWS) -> ListFilter:
    """The filter from the address or the form. names: its fields. Words come only from a form."""
    given = request.query_params if request.method in ("GET", "HEAD") else form(request)
    words = "" if given is request.query_params else str(given.get("q", ""))
    return ListFilter(
        address=address or request.url.path,
        fields={name: str(given.get(name, ""))[:LONGEST_SEARCH] for name in names},
        words=words.strip()[:LONGEST_SEARCH],
        page=min(max(plain_number(str(given.get("page", "1"))), 1), MOST_PAGES),
        at_once=at_once,
    )


def number_of(request: Request, name: str) -> int:
    """A number of the path. Raises HTTPException 404 if it is not a number, or if it is larger than all numbers."""
    text = str(request.path_params[name])
    if not _is_number(text):
        raise nothing_here()
    return int(text)


def plain_number(text: str) -> int:
    """A number of a form or a query; 0, which nothing has, if it is none or too large."""
    return int(text) if _is_number(text) else 0


def plain_numbers(request: Request, name: str) -> list[int]:
    """The numbers of all fields of a form with this name. What is not a number is left out."""
    return [int(text) for text in map(str, form(request).getlist(name)) if _is_number(text)]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER


FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "changes": changes,
    "day": day,
    "exact": moment,
    "fields_named": fields_named,
    "in_console": in_console,
    "meaning": meaning,
    "number": "{:,}".format,
    "people": lambda rows, role: people_of(role, rows),
    "rejectkey": lambda given, name: {key: value for key, value in given.items() if key != name},
    "role": role,
    "tested_school": tested_school,
    "words": words,
    "sync_title": sync_title,
    "action": lambda slug: ACTIONS.get(slug, words(slug)),
}
