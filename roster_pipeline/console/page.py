"""What every page is made with: its template, the database, the form that came in, and a word for the next page."""

from __future__ import annotations

from datetime import date
from functools import cache, partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from roster_pipeline.console.auth.csrf import FIELD, token_for
from roster_pipeline.console.auth.session import keep_visit
from roster_pipeline.console.static_files import static_url
from roster_pipeline.console.template_filters import FILTERS
from roster_pipeline.directory import sessions
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.sessions import new_token
from roster_pipeline.services.settings_diff import FieldError


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
    """One macro of a template as text, for what reaches a page after it was shown."""
    return str(getattr(_templates().get_template(template).module, macro)(*given))


def redirect(request: Request, url: str, *, told: str | None = None) -> RedirectResponse:
    """On to another page, after a form. told: a sentence that the next page shows, once."""
    if told and request.state.token:
        with database(request).begin() as opened:
            sessions.tell(opened, request.state.token, told)
    return RedirectResponse(url, 303)


def form(request: Request) -> FormData:
    """What was sent. The token was checked before the handler ran."""
    found: FormData = request.state.form
    return found


def texts(request: Request) -> dict[str, str]:
    """The same as plain texts by name."""
    return {name: str(value) for name, value in form(request).items()}


def day_of(text: str, name: str) -> date:
    """A day that was typed or chosen. Raises FieldError of the field `name`."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise FieldError(name, "Choose a day, or write it as 2026-11-03.") from None


def database(request: Request) -> Database:
    """The directory."""
    found: Database = request.app.state.database
    return found


def _flash(request: Request) -> str | None:
    told: str | None = request.state.told
    if told:
        request.state.told = None
        with database(request).begin() as opened:
            sessions.tell(opened, request.state.token, None)
    return told


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
