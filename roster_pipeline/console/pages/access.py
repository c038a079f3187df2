"""Who may see what: operators let everybody in and out, managers those of their own districts."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import Viewer, nothing_here, viewer
from roster_pipeline.console.page import database, form, page, redirect
from roster_pipeline.directory import accounts, tenants
from roster_pipeline.directory.accounts import MANAGER, OPERATOR, OWNER, Place
from roster_pipeline.directory.tenants import UnknownKey
from roster_pipeline.notifications.console_words import in_console
from roster_pipeline.services import access_changes
from roster_pipeline.services.access_changes import NoAddress

ROLES = {OWNER: "Owner of a school", MANAGER: "Manager of a district", OPERATOR: "Operator of everything"}
MOST_SHOWN = 200
MOST_PROPOSED = 500
"""Schools that the field proposes while one types; the key of any other can be typed all the same."""
LONGEST_SEARCH = 100
NO_SUCH_PLACE = "There is no such school or district, or it is not one of yours."
NOT_FOR_OPERATORS = "An operator may do everything, everywhere. Leave this empty, or choose another role."
NEEDS_PLACE = "Write the key of the school or district."


def show(request: Request) -> Response:
    """GET /access. Those who can let nobody in get 404."""
    return _shown(request, {}, {})


def grant(request: Request) -> Response:
    """POST /access: let somebody in."""
    who, sent = _may(request), form(request)
    values = {name: str(sent.get(name, "")).strip() for name in ("email", "role", "place")}
    role = values["role"]
    if role not in _roles(who):
        return _shown(request, values, {"role": "Choose one of these."})
    if role != OPERATOR and not values["place"]:
        return _shown(request, values, {"place": NEEDS_PLACE})
    if role == OPERATOR and values["place"]:
        return _shown(request, values, {"place": NOT_FOR_OPERATORS})
    try:
        with database(request).begin() as opened:
            place = access_changes.place_of(
                opened,
                operator=role == OPERATOR,
                district=values["place"] if role == MANAGER else "",
                school=values["place"] if role == OWNER else "",
            )
            home = accounts.home_of(opened, place)
            if home is not None and not who.may_manage(home):
                raise UnknownKey("place", values["place"])
            added = access_changes.grant(opened, values["email"], place, who=who.who)
    except NoAddress as problem:
        return _shown(request, values, {"email": f"{problem.message} {in_console(problem.remedy)}"})
    except UnknownKey:
        return _shown(request, values, {"place": NO_SUCH_PLACE})
    email = accounts.normal(values["email"])
    where = f"They sign in at {request.app.state.config.url} with this address."
    return redirect(request, "/access", told=f"{email} {'is let in' if added else 'was let in already'}. {where}")


def revoke(request: Request) -> Response:
    """POST /access/revoke: take one grant away, by its number. Raises NoSuchGrant, LastOperator."""
    who, wanted = _may(request), str(form(request).get("grant", ""))
    with database(request).begin() as opened:
        found = next((one for one in accounts.grants(opened, districts=_seen(who)) if str(one.id) == wanted), None)
        if found is None:
            raise nothing_here()
        place = Place(found.district_id if found.role == MANAGER else None, found.school_id)
        access_changes.revoke(opened, found.email, place, who=who.who)
    return redirect(request, "/access", told=f"{found.email} is no longer {found.role} of {found.place}.")


def _shown(request: Request, values: dict[str, str], errors: dict[str, str]) -> Response:
    who = _may(request)
    words = request.query_params.get("q", "")[:LONGEST_SEARCH]
    with database(request).begin() as opened:
        found = accounts.grants(opened, districts=_seen(who), words=words, limit=MOST_SHOWN + 1)
        places = [
            (row.key, f"{row.name}, district") for row in tenants.list_districts(opened) if who.may_manage(row.id)
        ]
        places += tenants.school_names(opened, _seen(who), limit=MOST_PROPOSED)
    return page(
        request,
        "access.html",
        status=400 if errors else 200,
        grants=found[:MOST_SHOWN],
        more=len(found) > MOST_SHOWN,
        words=words,
        roles=list(_roles(who).items()),
        role_names=ROLES,
        places=places,
        values={"email": "", "role": OWNER, "place": ""} | values,
        errors=errors,
    )


def _may(request: Request) -> Viewer:
    who = viewer(request)
    if not who.lets_others_in:
        raise nothing_here()
    return who


def _roles(who: Viewer) -> dict[str, str]:
    return {role: words for role, words in ROLES.items() if who.operator or role != OPERATOR}


def _seen(who: Viewer) -> frozenset[int] | None:
    return None if who.operator else who.districts


routes = [
    Route("/access", show, methods=["GET"]),
    Route("/access", grant, methods=["POST"]),
    Route("/access/revoke", revoke, methods=["POST"]),
]
