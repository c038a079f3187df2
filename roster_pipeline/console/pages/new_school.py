"""A new school, for operators and managers: its name and key, and the connection it is reached by, old or new."""

from __future__ import annotations

import re
import unicodedata
from threading import Thread
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import Viewer, nothing_here, viewer
from roster_pipeline.console.forms import CONNECTION, Values, errors_of
from roster_pipeline.console.page import database, form, page, redirect
from roster_pipeline.console.settings_form import SECRET_IS_LOST, chosen_preset, typed_secret, wrong
from roster_pipeline.defs.partitions import add_partitions
from roster_pipeline.directory import tenants
from roster_pipeline.directory.tenants import ConnectionRow, DistrictRow, KeyTaken, UnknownKey
from roster_pipeline.oneroster.presets import presets
from roster_pipeline.services.connection_changes import add_connection, allowed, usable_secret
from roster_pipeline.services.school_changes import add_school
from roster_pipeline.services.settings_diff import FieldError
from roster_pipeline.settings.school import KEY_PATTERN, ConnectionSettings, SchoolSettings, display_name

FIELDS = (
    "name",
    "key",
    "place",
    "school_id",
    "connection_key",
    "connection-sis",
    "connection-url",
    "connection-client_id",
)
TAKEN_BY_US = ("new",)
"""Keys that are words of our addresses."""
NEW = "new in "
"""Before the key of a district: a connection of it that is made here."""
KEY_WORDS = "Use lower-case letters, digits and hyphens, at most 64."


def show(request: Request) -> Response:
    """GET: an empty form."""
    with database(request).begin() as opened:
        return page(request, "new_school.html", **_context(opened, viewer(request), {}, {}))


def proposed(request: Request) -> Response:
    """GET: the key field, with a key made of the name where none was typed."""
    key = request.query_params.get("key") or key_of(request.query_params.get("name", ""))
    return page(request, "new_school_key.html", v={"key": key}, e={})


def add(request: Request) -> Response:
    """POST: connection and school in one transaction."""
    given = form(request)
    values = {name: str(given.get(name, "")).strip() for name in FIELDS}
    who, errors = viewer(request), dict[str, str]()
    values["key"] = values["key"] or key_of(values["name"])
    _check(values, errors)
    if not errors:
        try:
            with database(request).begin() as opened:
                _add(opened, who, values, str(given.get("secret", "")))
        except KeyTaken as problem:
            errors["key" if problem.kind == "school" else "connection_key"] = "This key is in use; choose another."
        except FieldError as problem:
            refused = wrong({problem.field: problem.message})
            errors |= {name.removeprefix("school-"): message for name, message in refused.items()}
        except ValidationError as problem:
            errors |= errors_of(problem, CONNECTION, values)
    if errors:
        if typed_secret(request) and values["place"].startswith(NEW):
            errors.setdefault("secret", SECRET_IS_LOST)
        with database(request).begin() as opened:
            return page(request, "new_school.html", status=400, **_context(opened, who, values, errors))
    Thread(target=add_partitions, args=([values["key"]],), name="partition").start()  # Dagster takes a second to load
    told = "The school was added. Test Your Information, then choose who is rostered."
    return redirect(request, f"/schools/{values['key']}/settings", told=told)


def key_of(name: str) -> str:
    """A key made of a name: `St. Mary's, Lincoln` becomes `st-marys-lincoln`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower().replace("'", "")
    return re.sub(r"[^a-z0-9]+", "-", plain)[:64].strip("-")


def _check(values: Values, errors: dict[str, str]) -> None:
    try:
        values["name"] = display_name(values["name"])
    except ValueError as problem:
        errors["name"] = str(problem)
    nameless = not values["key"] and "name" in errors
    if not nameless and (not re.match(KEY_PATTERN, values["key"]) or values["key"] in TAKEN_BY_US):
        errors["key"] = KEY_WORDS
    if not 0 < len(values["school_id"]) <= 255:
        errors["school_id"] = "Fill in the School ID, at most 255 characters."
    if not values["place"]:
        errors["place"] = "Choose how the SIS is reached."
    if values["place"].startswith(NEW):
        values["connection_key"] = values["connection_key"] or f"{values['key']}-sis"[:64]
        if "key" not in errors and not nameless and not re.match(KEY_PATTERN, values["connection_key"]):
            errors["connection_key"] = KEY_WORDS
        if not values["connection-url"]:
            errors["connection-url"] = "Fill in the URL of the SIS."


def _add(opened: Connection, who: Viewer, values: Values, secret: str) -> None:
    place = values["place"]
    key = place
    try:
        if place.startswith(NEW):
            district = tenants.get_district(opened, place.removeprefix(NEW))
            _may(who, district.id)
            district_id, key = district.id, values["connection_key"]
            wanted = ConnectionSettings.model_validate(
                chosen_preset(values).defaults()
                | {"url": values["connection-url"], "client_id": values["connection-client_id"]}
            )
            settings = allowed(None, wanted, operator=who.operator, manager=True)
            add_connection(opened, district.key, key, settings, usable_secret(None, settings, secret), who=who.who)
        else:
            district_id = tenants.get_connection(opened, place).district_id
            _may(who, district_id)
    except UnknownKey:
        raise nothing_here() from None
    zone = tenants.usual_time_zone(opened, district_id)
    settings_of_school = SchoolSettings(school_id=values["school_id"], **({"time_zone": zone} if zone else {}))
    add_school(opened, key, values["key"], values["name"], settings_of_school, who=who.who)


def _may(who: Viewer, district_id: int) -> None:
    if not who.may_manage(district_id):
        raise nothing_here()


def _context(opened: Connection, who: Viewer, values: Values, errors: dict[str, str]) -> dict[str, Any]:
    districts = [one for one in tenants.list_districts(opened) if who.may_manage(one.id)]
    if not districts and not who.operator:
        raise nothing_here()
    mine = {one.id for one in districts}
    connections = [one for one in tenants.list_connections(opened) if one.district_id in mine]
    return {
        "v": values,
        "e": errors,
        "ways": _ways(districts, connections),
        "new": NEW,
        "presets": presets(),
        "preset": chosen_preset(values),
    }


def _ways(
    districts: list[DistrictRow], connections: list[ConnectionRow]
) -> list[tuple[DistrictRow, list[ConnectionRow]]]:
    return [(one, [row for row in connections if row.district_id == one.id]) for one in districts]


routes = [
    Route("/school-key", proposed, methods=["GET"]),
    Route("/schools/new", show, methods=["GET"]),
    Route("/schools/new", add, methods=["POST"]),
]
