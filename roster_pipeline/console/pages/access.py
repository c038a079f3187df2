"""The accounts and their grants. Operators give and take access everywhere, managers only in their own districts. A
person's own account: where it is signed in, and signing out everywhere."""

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from roster_pipeline.console.page import NOTHING, database, form, page, piece, redirect, route
from roster_pipeline.console.session import limit, nothing_here, signed_out, viewer, zone_of
from roster_pipeline.directory import accounts, audit, sessions, tenants
from roster_pipeline.directory.accounts import MANAGER, OPERATOR, OWNER, Account, Place
from roster_pipeline.notifications.blocks import in_console
from roster_pipeline.services import access_changes

ROLES = {OWNER: "Owner of a school", MANAGER: "Manager of a district", OPERATOR: "Operator of everything"}
INVITED_BY_ONE, WINDOW = 100, timedelta(hours=1)
"""Invitations go to addresses that nobody has confirmed."""
MOST_SHOWN = 200
MOST_PROPOSED = 50
"""How many places the field proposes. The typed text narrows them."""
MOST_SAME_NAMED = 1000
LONGEST_SEARCH = 100
NO_SUCH_PLACE = (
    "This school or district does not exist, or you may not see it. If several have this name, write the key."
)
NOT_FOR_OPERATORS = "An operator may do everything, everywhere. Leave this empty, or choose another role."
NEEDS_PLACE = "Write the key or the name of the school or district."


@route("/account", "GET")
def show_account(request: Request) -> Response:
    who, config = viewer(request), request.app.state.config
    with database(request).begin() as conn:
        found, zone = sessions.open_of(conn, who.id, request.state.token, config.idle), zone_of(who, conn)
    return page(request, "account.html", sessions=found, zone=zone)


@route("/account/sign-out-everywhere", "POST")
def sign_out_everywhere(request: Request) -> Response:
    """End every session of the account, this one included."""
    who = viewer(request)
    with database(request).begin() as conn:
        ended = sessions.end_all(conn, who.id)
        audit.record(conn, who.email, "signed out everywhere", details={"sessions": ended})
    return signed_out(request, RedirectResponse("/sign-in", 303))


@route("/access", "POST")
def grant(request: Request) -> Response:
    who, sent = _may(request), form(request)
    values = {name: str(sent.get(name, "")).strip() for name in ("email", "role", "place")}
    role, invited = values["role"], bool(sent.get("invite"))
    if role not in _roles(who):
        return show(request, values, {"role": "Choose one of these."})
    if role != OPERATOR and not values["place"]:
        return show(request, values, {"place": NEEDS_PLACE})
    if role == OPERATOR and values["place"]:
        return show(request, values, {"place": NOT_FOR_OPERATORS})
    if invited:
        limit(request, "invitations by", who.email, INVITED_BY_ONE, WINDOW)
    try:
        with database(request).begin() as conn:
            key = _key_of(conn, who, values["place"], role)
            place = access_changes.place_of(
                conn,
                operator=role == OPERATOR,
                district=key if role == MANAGER else "",
                school=key if role == OWNER else "",
            )
            owner = accounts.district_of(conn, place)
            if owner is not None and not who.may_manage(owner):
                raise tenants.UnknownKey("place", values["place"])
            added = access_changes.grant(conn, values["email"], place, who=who.email)
            if added and invited:
                school = tenants.schools_by_id(conn, [place.school_id])[place.school_id] if place.school_id else None
                names = [row.name for row in tenants.list_districts(conn) if row.id == place.district_id]
                access_changes.invite(
                    conn,
                    accounts.normal(values["email"]),
                    [school.name] if school else names,
                    console_url=request.app.state.config.url,
                    path=f"/schools/{school.key}" if school else "",
                )
    except access_changes.NoAddress as problem:
        return show(request, values, {"email": f"{problem.message} {in_console(problem.remedy)}"})
    except tenants.UnknownKey:
        return show(request, values, {"place": NO_SUCH_PLACE})
    email = accounts.normal(values["email"])
    where = f"They sign in at {request.app.state.config.url} with this address."
    if added and invited:
        where = "They get an invitation by mail."
    return redirect(
        request, "/access", message=f"{email} {'has access now' if added else 'had access already'}. {where}"
    )


@route("/access/places", "GET")
def places(request: Request) -> Response:
    """The schools and districts that fit the typed text, as choices of the field."""
    who, words = _may(request), request.query_params.get("place", "")[:LONGEST_SEARCH]
    found = database(request).call(_places, who, words)
    return HTMLResponse(piece("access_places.html", "options", found))


def _places(conn: Connection, who: Account, words: str) -> list[tuple[str, str]]:
    asked = words.lower().split()
    districts = [
        (row.key, f"{row.name}, district")
        for row in tenants.list_districts(conn)
        if who.may_manage(row.id) and all(word in f"{row.key} {row.name}".lower() for word in asked)
    ]
    schools = tenants.school_names(conn, who.managed, limit=MOST_PROPOSED, words=words)
    return [*districts, *schools][:MOST_PROPOSED]


def _key_of(conn: Connection, who: Account, typed: str, role: str) -> str:
    """The key of the place whose key or name was typed; the text itself unless it fits exactly one."""
    if role == MANAGER:
        named = [(row.key, row.name) for row in tenants.list_districts(conn) if who.may_manage(row.id)]
    else:
        named = tenants.school_names(conn, who.managed, limit=MOST_SAME_NAMED, words=typed)
    if any(key == typed for key, _ in named):
        return typed
    fits = [key for key, name in named if name.casefold() == typed.casefold()]
    return fits[0] if len(fits) == 1 else typed


@route("/access/revoke", "POST")
def revoke(request: Request) -> Response:
    who, wanted = _may(request), str(form(request).get("grant", ""))
    with database(request).begin() as conn:
        found = next((one for one in accounts.grants(conn, districts=who.managed) if str(one.id) == wanted), None)
        if found is None:
            raise nothing_here()
        place = Place(found.district_id if found.role == MANAGER else None, found.school_id)
        access_changes.revoke(conn, found.email, place, who=who.email)
    return redirect(request, "/access", message=f"{found.email} is no longer {found.role} of {found.place}.")


@route("/access", "GET")
def show(request: Request, values: Mapping[str, str] = NOTHING, errors: Mapping[str, str] = NOTHING) -> Response:
    """GET /access. People who may not give access get 404."""
    who = _may(request)
    words = request.query_params.get("q", "")[:LONGEST_SEARCH]
    with database(request).begin() as conn:
        found = accounts.grants(conn, districts=who.managed, words=words, limit=MOST_SHOWN + 1)
        proposed, zone = _places(conn, who, values.get("place", "")), zone_of(who, conn)
    return page(
        request,
        "access.html",
        status=400 if errors else 200,
        grants=found[:MOST_SHOWN],
        more=len(found) > MOST_SHOWN,
        words=words,
        zone=zone,
        roles=list(_roles(who).items()),
        places=proposed,
        values={"email": "", "role": OWNER, "place": "", **values}
        | {"invite": bool(form(request).get("invite")) if errors else True},
        errors=errors,
    )


def _may(request: Request) -> Account:
    who = viewer(request)
    if not who.may_give_access:
        raise nothing_here()
    return who


def _roles(who: Account) -> dict[str, str]:
    return {role: words for role, words in ROLES.items() if who.operator or role != OPERATOR}
