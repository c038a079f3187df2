"""One person: values in the directory and the SIS, the newest plan, the history, and the possible changes.

A viewer who sees one of a person's schools sees the person. All schools of a person share the exclusion, the fields and
the links. Managers may change these. Owners may change them only if all schools in which the person is active are
theirs. Only operators may erase a person.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from roster_pipeline.console.page import database, number_of, page, plain_number, reason_of, redirect, route, texts
from roster_pipeline.console.session import nothing_here, viewer
from roster_pipeline.directory import members, rosters, tenants
from roster_pipeline.directory.accounts import Account
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.manual_edits import NotAMember
from roster_pipeline.directory.person_merge import merges_of
from roster_pipeline.notifications.blocks import in_console
from roster_pipeline.services import person_changes, person_view, possible_duplicates
from roster_pipeline.vocabulary import reason_problem

OF_A_MANAGER = "This person is active in a school that is not yours, so a manager of the district has to do this."
NOT_YOURS = "No school of yours has such a record. Ask a manager of the district."
LIST = re.compile(r"/(schools/[a-z0-9-]+|people)/(conflicts|duplicates)(\?[a-z0-9=&-]*)?")
"""The lists of conflicts and pairs: a decision returns to the list where it was made."""


@dataclass(frozen=True)
class Sent:
    """A form about a person whom the sender may see. other: the second person of a form about two, else 0."""

    conn: Connection
    view: person_view.PersonView
    given: Mapping[str, str]
    who: Account
    other: int

    @property
    def whom(self) -> tuple[Connection, int, int]:
        """The first arguments of every change: the database, the district and the person."""
        return self.conn, *_of(self.view)

    @property
    def by(self) -> dict[str, Any]:
        return {"who": self.who.email, "reason": self.given["reason"]}


Act = Callable[[Sent], str]
"""Makes one change, and returns what was done, as a sentence."""


@route("/people/{person_id}", "GET")
def show(request: Request) -> Response:
    """The person's page. If the person was merged into another person, the page of that person."""
    asked = request.query_params.get("asked", "")
    with database(request).begin() as conn:
        now = members.merged_into(conn, number_of(request, "person_id"))
        if now is not None:
            person_view.find(conn, now, viewer(request))
            return RedirectResponse(f"/people/{now}", 303)
    return page_of_person(request, asked=plain_number(asked))


def page_of_person(request: Request, *, status: int = 200, error: str = "", asked: int = 0) -> Response:
    who = viewer(request)
    with database(request).begin() as conn:
        view = view_of(request, conn)
        of_sis, events = person_view.records(conn, view), person_view.history(conn, view)
        connections = sorted({school.connection.key for school in view.schools.values()})
        if view.manages:
            rows = tenants.list_connections(conn)
            connections = sorted(row.key for row in rows if row.district_id == view.person.district_id)
        context = {
            "records": of_sis,
            "fields": person_view.field_lines(view, of_sis),
            "asked": person_view.person_plan(conn, view, asked) if asked else None,
            "planned": person_view.planned(conn, view, events),
            "events": events,
            "leaving": person_view.leaving(conn, view, datetime.now(UTC).date()),
            "connections": connections,
            "merges": merges_of(conn, *_of(view)),
        }
    school = next(iter(view.schools.values()), None)
    return page(
        request, "person.html", status=status, view=view, error=error, may_erase=who.operator,
        zone=school.settings.time_zone if school else "UTC", **context,
    )  # fmt: skip


def view_of(request: Request, conn: Connection) -> person_view.PersonView:
    """The person in the path. Raises UnknownPerson if the viewer may not see them."""
    return person_view.find(conn, number_of(request, "person_id"), viewer(request))


def _changing(act: Act, *, shared: bool = True, two: bool = False) -> Callable[[Request], Response]:
    """The handler of a form. shared: every school of the person sees the change. two: about two people."""

    def handler(request: Request) -> Response:
        given, who = texts(request), viewer(request)
        given["reason"] = given.get("reason", "").strip()
        other = plain_number(given.get("other", "")) if two else 0
        if two and other in (0, number_of(request, "person_id")):
            raise nothing_here()
        with database(request).begin() as conn:
            view = view_of(request, conn)
            second = person_view.find(conn, other, who) if two else view
        if shared and not (view.may_change and second.may_change):
            raise HTTPException(403, OF_A_MANAGER)
        if error := reason_problem(given["reason"]):
            return page_of_person(request, status=400, error=error)
        try:
            with database(request).begin() as conn:
                message = act(Sent(conn, view_of(request, conn), given, who, other))
        except NotAMember as problem:  # a second click, or somebody else was faster
            message = problem.message
        except DirectoryError as problem:
            if problem.retryable:
                raise
            return page_of_person(request, status=400, error=f"{problem.message} {in_console(problem.remedy)}".strip())
        kept = other if act is _merge and given.get("keep") == str(other) else view.person.id
        back = given.get("back", "")  # the list that had the form
        return redirect(request, back if LIST.fullmatch(back) else f"/people/{kept}", message=message)

    return handler


def _set_archived(sent: Sent, archived: bool) -> str:
    school = school_of_form(sent.view, sent.given)
    return person_changes.set_archived(sent.conn, school, sent.view.person.id, archived, **sent.by)


def _record(change: Callable[..., str], *, theirs: bool = False) -> Act:
    def act(sent: Sent) -> str:
        key, record = _record_of(sent, theirs=theirs)
        return change(sent.conn, key, sent.view.person.id, record, **sent.by)

    return act


def _edit(sent: Sent) -> str:
    typed = {sent.given.get("field", ""): sent.given.get("value", "")}
    return person_changes.edit(*sent.whom, typed, **sent.by, locked=sent.given.get("locked") == "on")


def _undo(sent: Sent) -> str:
    number = plain_number(sent.given.get("edit", ""))
    for event in person_view.history(sent.conn, sent.view):
        if event.edit is not None and event.edit.entry.id == number:
            if not event.may_undo:
                raise HTTPException(403, OF_A_MANAGER)
            return person_changes.undo(*sent.whom, number, **sent.by)
    raise nothing_here()


def _merge(sent: Sent) -> str:
    one, other = sent.view.person.id, sent.other
    kept, gone = (other, one) if sent.given.get("keep") == str(other) else (one, other)
    return possible_duplicates.merge(sent.conn, sent.view.person.district_id, kept, gone, **sent.by)


@route("/people/{person_id}/erase", "POST")
def erase(request: Request) -> Response:
    """Delete everything that is stored of a person: for operators, who type the person's number."""
    who = viewer(request)
    if not who.operator:
        raise nothing_here()
    with database(request).begin() as conn:
        view = view_of(request, conn)
    reason, typed = reason_of(request), texts(request).get("number", "").strip()
    if error := reason_problem(reason):
        return page_of_person(request, status=400, error=error)
    if typed != str(view.person.id):
        return page_of_person(request, status=400, error="To erase somebody, type their number, as this page shows it.")
    message = database(request).call(person_changes.erase, *_of(view), who=who.email, reason=reason)
    return redirect(request, f"/people?district={view.district}", message=message)


def _of(view: person_view.PersonView) -> tuple[int, int]:
    return view.person.district_id, view.person.id


def school_of_form(view: person_view.PersonView, given: Mapping[str, str]) -> str:
    """The school of the form. Raises HTTPException 404 if the viewer may not see it."""
    key = given.get("school", "")
    if key not in view.schools:
        raise nothing_here()
    return key


def _record_of(sent: Sent, *, theirs: bool = False) -> tuple[str, str]:
    """Connection and sourcedId of the form. theirs: an owner may only name a record of their schools, or they could
    read what the SIS says of somebody else's pupil. Raises HTTPException 404, 403."""
    view, given, conn = sent.view, sent.given, sent.conn
    key, record = given.get("connection", ""), given.get("sourced_id", "").strip()
    rows = {row.key: row for row in tenants.list_connections(conn) if row.district_id == view.person.district_id}
    if key not in rows:
        raise nothing_here()
    linked = any((each["connection"], each["sourced_id"]) == (key, record) for each in view.person.links)
    if theirs and not view.manages and not linked:
        schools = [school.id for school in view.schools.values() if school.connection.key == key]
        if not rosters.has_record(conn, schools, record):
            raise HTTPException(403, NOT_YOURS)
    return key, record


CHANGES: dict[str, Act] = {
    "exclude": lambda sent: person_changes.set_excluded(*sent.whom, True, **sent.by),
    "include": lambda sent: person_changes.set_excluded(*sent.whom, False, **sent.by),
    "lock": lambda sent: person_changes.set_lock(*sent.whom, sent.given.get("field", ""), True, **sent.by),
    "unlock": lambda sent: person_changes.set_lock(*sent.whom, sent.given.get("field", ""), False, **sent.by),
    "edit": _edit,
    "link": _record(person_changes.link, theirs=True),
    "unlink": _record(person_changes.unlink),
    "primary-record": _record(person_changes.set_primary_record),
    "undo-merge": lambda sent: possible_duplicates.undo_merge(*sent.whom, **sent.by),
}
"""Changes that every school of the person sees."""
OF_ONE_SCHOOL: dict[str, Act] = {
    "archive": lambda sent: _set_archived(sent, True),
    "restore": lambda sent: _set_archived(sent, False),
    "undo": _undo,
}
DECISIONS: dict[str, Act] = {
    "merge": _merge,
    "two": lambda sent: possible_duplicates.set_distinct(*sent.whom, sent.other, True, **sent.by),
    "open-again": lambda sent: possible_duplicates.set_distinct(*sent.whom, sent.other, False, **sent.by),
}
"""Decisions about two people."""

for changes, more in ((CHANGES, {}), (OF_ONE_SCHOOL, {"shared": False}), (DECISIONS, {"two": True})):
    for name, act in changes.items():
        route(f"/people/{{person_id}}/{name}", "POST")(_changing(act, **more))
