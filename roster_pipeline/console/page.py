"""Shared by all pages: the template and filters, the database, the form, a message for the next page, CSV files.

CSV files are streamed, never kept on the server, and noted in the audit, because they name people.

Templates use `FILTERS` behind a bar: `{{ at | ago }}`, `{{ at | exact(zone) }}`, `{{ rows | number }}`. They write
times in the school's zone, numbers, roles and actions as words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, StreamingResponse

from roster_pipeline.console.middleware import FIELD, static_url, token_for
from roster_pipeline.console.session import keep_visit
from roster_pipeline.directory import sessions
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.sessions import new_token
from roster_pipeline.notifications.blocks import in_console
from roster_pipeline.notifications.outcome import NOUNS
from roster_pipeline.safe_csv import csv_chunks
from roster_pipeline.services.connection_test_state import fields_named, tested_school
from roster_pipeline.services.settings_changes import FieldError
from roster_pipeline.vocabulary import DONE, counted, day, moment, people_of, role_name

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DAYS_COUNTED = 14
"""If something was longer ago than this, a date says more than a number of days."""
KINDS = {
    "sync": "Sync",
    "approval": "Approved plan",
    "rollback": "Rollback",
    "relink": "Relink",
    "person": "One person",
    "upload": "Uploaded list",
    "failure": "Failed",
}
ACTIONS = DONE | {"skip": "left alone", "conflict": "in conflict", "unchanged": "unchanged"}


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A template as an answer. It knows `viewer` (or none), `csrf`, `csrf_field()`, `path` and `flash`."""
    state = request.state
    cookie = state.token or state.visit or new_token()
    csrf = token_for(cookie)
    known = {
        "viewer": state.viewer,
        "csrf": csrf,
        "csrf_field": partial(_field, csrf),
        "path": request.url.path,
        "flash": _flash(request),
    }
    response = HTMLResponse(_templates().get_template(template).render(known | context), status)
    if not state.token:
        keep_visit(request, response, cookie)
    return response


def piece(template: str, macro: str, *given: object) -> str:
    """One macro of a template as text. It is for pieces that reach a page after it was shown."""
    return str(getattr(_templates().get_template(template).module, macro)(*given))


def redirect(request: Request, url: str, *, message: str | None = None) -> RedirectResponse:
    """Go to another page after a form. message: a sentence that the next page shows once."""
    if message and request.state.token:
        with database(request).begin() as opened:
            sessions.set_message(opened, request.state.token, message)
    return RedirectResponse(url, 303)


def form(request: Request) -> FormData:
    """The form that was sent. Its token was checked before the handler ran."""
    found: FormData = request.state.form
    return found


def texts(request: Request) -> dict[str, str]:
    """The fields of the form as plain texts, by name."""
    return {name: str(value) for name, value in form(request).items()}


def day_of(text: str, name: str) -> date:
    """A typed or chosen day. Raises FieldError for the field `name`."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise FieldError(name, "Choose a day, or write it as 2026-11-03.") from None


def database(request: Request) -> Database:
    """The directory."""
    found: Database = request.app.state.database
    return found


def _flash(request: Request) -> str | None:
    message: str | None = request.state.message
    if message:
        request.state.message = None
        with database(request).begin() as opened:
            sessions.set_message(opened, request.state.token, None)
    return message


def _field(csrf: str) -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, csrf)


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
    now = now or datetime.now(UTC)
    passed = now - at
    if passed < MINUTE:
        return "just now"
    for unit, word, most in ((MINUTE, "minute", HOUR), (HOUR, "hour", DAY), (DAY, "day", DAY * DAYS_COUNTED)):
        if passed < most:
            number = passed // unit
            return f"{number} {word}{'' if number == 1 else 's'} ago"
    return day(at.astimezone(ZoneInfo(zone)))


def number(value: float) -> str:
    """`12,400`."""
    return f"{value:,}"


def role(slug: str) -> str:
    """`Students`."""
    return role_name(slug).capitalize()


def changes(rows: int, kind: str) -> str:
    """`1 archival`, `12 creations`."""
    return counted(rows, *NOUNS.get(kind, (words(kind), words(kind))))  # type: ignore[call-overload]


def words(slug: str) -> str:
    """A name such as `several_matches` as words."""
    return slug.replace("_", " ").replace("-", " ")


FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "changes": changes,
    "day": day,
    "exact": moment,
    "fields_named": fields_named,
    "in_console": in_console,
    "number": number,
    "people": lambda rows, role: people_of(role, rows),
    "rejectkey": lambda given, name: {key: value for key, value in given.items() if key != name},
    "role": role,
    "tested_school": tested_school,
    "words": words,
    "kind": lambda slug: KINDS.get(slug, words(slug).capitalize()),
    "action": lambda slug: ACTIONS.get(slug, words(slug)),
}
