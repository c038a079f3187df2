"""Adds schools of a SIS that is connected, or of a SIS that somebody connects here first."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import Viewer, district_of, nothing_here, viewer
from roster_pipeline.console.forms import KEY_WORDS, SETTINGS, TAKEN, Values
from roster_pipeline.console.page import database, form, page
from roster_pipeline.console.pages.sis_school_pages import LABELS, listed, place_of, settings_of
from roster_pipeline.console.settings_form import SECRET_IS_LOST, chosen_preset, typed_secret
from roster_pipeline.directory import tenants
from roster_pipeline.directory.tenants import KeyTaken
from roster_pipeline.oneroster.presets import presets
from roster_pipeline.services.settings_changes import FieldError, add_connection, allowed, usable_secret
from roster_pipeline.services.sis_schools import new_key
from roster_pipeline.settings.school import KEY_PATTERN


def choose(request: Request) -> Response:
    """GET: the existing connections, and the form of a new one."""
    with database(request).begin() as opened:
        return page(request, "new_school.html", **_choice(opened, viewer(request), {}, {}))


def connect(request: Request) -> Response:
    """POST: a new connection; then the schools of its SIS are listed."""
    given, who, errors = form(request), viewer(request), dict[str, str]()
    values = {name: str(value).strip() for name, value in given.items() if name != "secret"}
    settings = settings_of(values, None, errors)
    key = values.get("connection_key", "")
    if key and not re.match(KEY_PATTERN, key):
        errors["connection_key"] = KEY_WORDS
    if not errors and settings is not None:
        try:
            with database(request).begin() as opened:
                district = district_of(request, opened, values.get("district", ""))
                wanted = allowed(None, settings, operator=who.operator, manager=True)
                taken = {row.key for row in tenants.list_connections(opened)}
                key = key or new_key(f"{district.key}-{wanted.sis}", taken)
                secret = usable_secret(None, wanted, str(given.get("secret", "")))
                connection = add_connection(opened, district.key, key, wanted, secret, who=who.who)
        except KeyTaken:
            errors["connection_key"] = TAKEN
        except FieldError as problem:
            errors[place_of(problem.field)] = problem.message
        else:
            return listed(request, connection)
    if typed_secret(request):
        errors.setdefault("secret", SECRET_IS_LOST)
    with database(request).begin() as opened:
        return page(request, "new_school.html", status=400, **_choice(opened, who, values, errors))


def _choice(opened: Connection, who: Viewer, values: Values, errors: dict[str, str]) -> dict[str, Any]:
    districts = [one for one in tenants.list_districts(opened) if who.may_manage(one.id)]
    if not districts and not who.operator:
        raise nothing_here()
    mine = {one.id for one in districts}
    return {
        "v": values,
        "e": errors,
        "s": SETTINGS,
        "labels": LABELS,
        "districts": districts,
        "connections": [one for one in tenants.list_connections(opened) if one.district_id in mine],
        "presets": presets(),
        "preset": chosen_preset(values),
        "secret_hint": "It is stored encrypted, and never shown again.",
    }


routes = [
    Route("/schools/new", choose, methods=["GET"]),
    Route("/schools/new", connect, methods=["POST"]),
]
