"""A small server for unusual responses, made by a function from path and query; and pulls compared with each other."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from roster_pipeline.oneroster import Client, Endpoint
from roster_pipeline.simulator import running
from roster_pipeline_tests.oneroster.client_helpers import QUICK, Pulled, Served, TestClock, pulled_by

Answer = Response | Mapping[str, Any] | list[Any] | None
Answers = Callable[[str, Mapping[str, str]], Answer]
SCHOOL = {"sourcedId": "sch-1", "status": "active", "name": "Harbour", "type": "school", "identifier": "0300"}


def person(sourced_id: str, role: str = "student", **members: Any) -> dict[str, Any]:
    """A well-formed 1.2 user of the school."""
    roles = [{"roleType": "primary", "role": role, "org": {"href": "", "sourcedId": "sch-1", "type": "org"}}]
    names = {"givenName": "Mira", "familyName": "Oduya", "username": "mira", "identifier": "1042"}
    return {"sourcedId": sourced_id, "status": "active", "enabledUser": "true", "roles": roles, **names, **members}


def page(records: list[Any], query: Mapping[str, str], key: str = "users", *, total: bool = True) -> Response:
    """One page as in the standard."""
    limit, offset = int(query.get("limit", 100)), int(query.get("offset", 0))
    headers = {"X-Total-Count": str(len(records))} if total else {}
    return JSONResponse({key: records[offset : offset + limit]}, headers=headers)


_usual: dict[tuple[str, ...], list[dict[str, Any]]] = {}
PEOPLE = [person(f"p-{number:04}") for number in range(230)]


def window(query: Mapping[str, str], people: list[Any] = PEOPLE) -> list[Any]:
    """The people of the requested page."""
    offset, limit = int(query.get("offset", 0)), int(query.get("limit", 100))
    return people[offset : offset + limit]


@contextmanager
def odd(answers: Answers, *, open_server: bool = True, **settings: Any) -> Iterator[Client]:
    """A client of a server below the 1.2 root. If `answers` returns None: one school for /orgs, and 404 for the
    rest."""
    root = "/ims/oneroster/rostering/v1p2"

    async def reply(request: Request) -> Response:
        path = request.scope["path"]
        if not path.startswith(root):
            return Response(status_code=404)
        found = answers(path.removeprefix(root), request.query_params)
        if found is None and path == root + "/orgs":
            found = page([SCHOOL], request.query_params, "orgs")
        if found is None:
            return Response(status_code=404)
        return found if isinstance(found, Response) else JSONResponse(found)

    app = Starlette(routes=[Route("/{path:path}", reply, methods=["GET", "POST"])])
    chosen: dict[str, Any] = {"page_size": 50, "limits": QUICK, "allow_private": True} | settings
    if not open_server:
        chosen |= {"client_id": "id", "client_secret": "secret"}
    with running(app) as base, Client(Endpoint(base, **chosen), TestClock().clock) as client:
        yield client


def same_people(served: Served, *faults: str, but: tuple[str, ...] = ()) -> Pulled:
    """Assert that faults do not change the result of a pull, except the fields of `but`.

    The server has the whole district, without faults; for each version that is pulled once.
    """
    assert not served.sis.faults.active()
    if served.sis.versions not in _usual:
        _usual[served.sis.versions] = served.pull().users
    served.sis.faults.set(*faults)
    after = served.pull()
    assert after.complete
    left = {user["sourcedId"]: {k: v for k, v in user.items() if k not in but} for user in _usual[served.sis.versions]}
    right = {user["sourcedId"]: {k: v for k, v in user.items() if k not in but} for user in after.users}
    assert left == right
    return after


def users_only(answer: Callable[[Mapping[str, str]], Any]) -> Answers:
    return lambda path, query: answer(query) if path == "/users" else None


def told_of(answer: Callable[[Mapping[str, str]], Any], **settings: Any) -> Pulled:
    """The result of a pull from a server that answers `/users` like this."""
    with odd(users_only(answer), **settings) as client:
        return pulled_by(client)


def of_people(*people: Any) -> Pulled:
    """The result of a pull of exactly these users."""
    return told_of(lambda query: page(list(people), query))
