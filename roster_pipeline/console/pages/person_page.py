"""One person: what the directory and the SIS say, what the newest plan does, everything that happened, and what can be
done.

A viewer who sees one of a person's schools sees the person. All schools of a person share the exclusion, the fields and
the links. Managers may change these. Owners may change them only if all schools in which the person is active are
theirs. Only operators may erase a person.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from roster_pipeline.console.page import database, number_of, page, plain_number, redirect, texts
from roster_pipeline.console.session import limit, nothing_here, viewer
from roster_pipeline.directory import members, rosters, tenants
from roster_pipeline.directory.accounts import Account
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.manual_edits import NotAMember
from roster_pipeline.directory.members import UnknownPerson
from roster_pipeline.directory.person_merge import merges_of
from roster_pipeline.notifications.blocks import in_console
from roster_pipeline.services import person_changes, person_view, possible_duplicates
from roster_pipeline.services.person_view import PersonView
from roster_pipeline.sync import SyncError, one_person
from roster_pipeline.vocabulary import reason_problem

OF_A_MANAGER = "This person is active in a school that is not yours, so a manager of the district has to do this."
NOT_YOURS = "No school of yours has such a record. Ask a manager of the district."
ASKS, WINDOW = 60, timedelta(hours=1)
"""How often one person may ask a SIS."""
LIST = re.compile(r"/(schools/[a-z0-9-]+|people)/(conflicts|duplicates)(\?[a-z0-9=&-]*)?")
"""The addresses of lists of conflicts and of pairs, where a decision leads back to."""

Act = Callable[[Connection, PersonView, Mapping[str, str], Account], str]
Decision = Callable[[Connection, PersonView, PersonView, Mapping[str, str], Account], str]


def show(request: Request) -> Response:
    """The person's page. If the person was merged into another person, the page of that person."""
    asked = request.query_params.get("asked", "")
    with database(request).begin() as opened:
        now = members.merged_into(opened, number_of(request, "person_id"))
        if now is not None:
            _seen(opened, now, viewer(request))
            return RedirectResponse(f"/people/{now}", 303)
    return _page_of(request, asked=plain_number(asked))


def ask(request: Request) -> Response:
    """Ask the SIS of one school for this person, and show its answer and what would change."""
    with database(request).begin() as opened:
        view = _view(request, opened)
    school = _school(view, texts(request))
    with database(request).begin() as opened:
        limit(opened, "asks by", viewer(request).email, ASKS, WINDOW)
    try:
        asked = one_person.make_plan(database(request), school, view.person.id)
    except SyncError as problem:
        return _page_of(request, status=400, error=f"{_sentence(problem.message)} {in_console(problem.remedy)}".strip())
    return redirect(request, f"/people/{view.person.id}?asked={asked.plan_id}#asked")


def sync(request: Request) -> Response:
    """Apply what the page showed after the SIS was asked."""
    given = texts(request)
    reason, number = given.get("reason", "").strip(), given.get("plan", "")
    with database(request).begin() as opened:
        view = _view(request, opened)
        plan_id = plain_number(number)
        shown = person_view.person_plan(opened, view, plan_id)
    if shown is None:
        raise nothing_here()
    if error := reason_problem(reason):
        return _page_of(request, status=400, error=error, asked=plan_id)
    who = viewer(request).email
    try:
        result = one_person.apply_plan(database(request), shown.school.key, plan_id, who=who, reason=reason)
    except SyncError as problem:
        return _page_of(request, status=409, error=f"{_sentence(problem.message)} {in_console(problem.remedy)}".strip())
    message = {
        "applied": f"Synced: sync {result.sync_id}.",
        "held": "A guard held the change, so nothing was done. The next sync of the school shows it among the holds.",
        "unchanged": "The SIS was asked, and nothing had to change.",
    }
    return redirect(request, f"/people/{view.person.id}", message=message[result.outcome])


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def _page_of(request: Request, *, status: int = 200, error: str = "", asked: int = 0) -> Response:
    who = viewer(request)
    with database(request).begin() as opened:
        view = _view(request, opened)
        of_sis, events = person_view.records(opened, view), person_view.history(opened, view)
        connections = sorted({school.connection.key for school in view.schools.values()})
        if view.manages:
            rows = tenants.list_connections(opened)
            connections = sorted(row.key for row in rows if row.district_id == view.person.district_id)
        context = {
            "records": of_sis,
            "fields": person_view.field_lines(view, of_sis),
            "asked": person_view.person_plan(opened, view, asked) if asked else None,
            "planned": person_view.planned(opened, view, events),
            "events": events,
            "leaving": person_view.leaving(opened, view, datetime.now(UTC).date()),
            "connections": connections,
            "merges": [merge for merge in merges_of(opened, *_of(view)) if merge.undone_at is None],
        }
    school = next(iter(view.schools.values()), None)
    return page(
        request,
        "person.html",
        status=status,
        view=view,
        error=error,
        may_erase=who.operator,
        now=datetime.now(UTC),
        zone=school.settings.time_zone if school else "UTC",
        **context,
    )


def _view(request: Request, opened: Connection) -> PersonView:
    return _seen(opened, number_of(request, "person_id"), viewer(request))


def _seen(opened: Connection, person_id: int, who: Account) -> PersonView:
    """The person. Raises HTTPException 404 if the viewer may not see them."""
    try:
        return person_view.find(opened, person_id, who)
    except UnknownPerson:
        raise nothing_here() from None


def _changing(act: Act, *, shared: bool = True) -> Callable[[Request], Response]:
    """The handler of a form that changes a person. shared: every school of the person sees the change."""

    def handler(request: Request) -> Response:
        given = texts(request)
        given["reason"] = given.get("reason", "").strip()
        with database(request).begin() as opened:
            view = _view(request, opened)
        if shared and not view.may_change:
            raise HTTPException(403, OF_A_MANAGER)
        if error := reason_problem(given["reason"]):
            return _page_of(request, status=400, error=error)
        try:
            with database(request).begin() as opened:
                message = act(opened, _view(request, opened), given, viewer(request))
        except NotAMember as problem:  # a second click, or somebody else was faster
            message = problem.message
        except DirectoryError as problem:
            if problem.retryable:
                raise
            return _page_of(request, status=400, error=f"{problem.message} {in_console(problem.remedy)}".strip())
        return redirect(request, _back(given, view.person.id), message=message)

    return handler


def _shared(change: Callable[..., str]) -> Act:
    """The handler of one change of the person. change: a function of `person_changes`. The handlers below are alike."""

    def act(opened: Connection, view: PersonView, given: Mapping[str, str], who: Account) -> str:
        return change(opened, *_of(view), who=who.email, reason=given["reason"])

    return act


def _of_field(change: Callable[..., str]) -> Act:
    def act(opened: Connection, view: PersonView, given: Mapping[str, str], who: Account) -> str:
        return change(opened, *_of(view), given.get("field", ""), who=who.email, reason=given["reason"])

    return act


def _of_membership(change: Callable[..., str]) -> Act:
    def act(opened: Connection, view: PersonView, given: Mapping[str, str], who: Account) -> str:
        return change(opened, _school(view, given), view.person.id, who=who.email, reason=given["reason"])

    return act


def _of_record(change: Callable[..., str], *, theirs: bool = False) -> Act:
    def act(opened: Connection, view: PersonView, given: Mapping[str, str], who: Account) -> str:
        key, record = _record(opened, view, given, theirs=theirs)
        return change(opened, key, view.person.id, record, who=who.email, reason=given["reason"])

    return act


def _edit(opened: Connection, view: PersonView, given: Mapping[str, str], who: Account) -> str:
    typed = {given.get("field", ""): given.get("value", "")}
    return person_changes.edit(
        opened, *_of(view), typed, who=who.email, reason=given["reason"], locked=given.get("locked") == "on"
    )


def _undo(opened: Connection, view: PersonView, given: Mapping[str, str], who: Account) -> str:
    number = plain_number(given.get("edit", ""))
    for event in person_view.history(opened, view):
        if event.edit is not None and event.edit.entry.id == number:
            if not event.may_undo:
                raise HTTPException(403, OF_A_MANAGER)
            return person_changes.undo(opened, *_of(view), number, who=who.email, reason=given["reason"])
    raise nothing_here()


def _merge(opened: Connection, view: PersonView, other: PersonView, given: Mapping[str, str], who: Account) -> str:
    both = [view.person.id, other.person.id]
    kept = other.person.id if given.get("keep") == str(other.person.id) else view.person.id
    gone = next(number for number in both if number != kept)
    return possible_duplicates.merge(opened, view.person.district_id, kept, gone, who=who.email, reason=given["reason"])


def _pair(change: Callable[..., str]) -> Decision:
    """A decision that is the same whichever of the two people is named first."""

    def act(opened: Connection, view: PersonView, other: PersonView, given: Mapping[str, str], who: Account) -> str:
        return change(opened, *_of(view), other.person.id, who=who.email, reason=given["reason"])

    return act


def _deciding(act: Decision) -> Callable[[Request], Response]:
    """The handler of a form about two people. The viewer has to be allowed to change both."""

    def handler(request: Request) -> Response:
        given, who = texts(request), viewer(request)
        given["reason"] = given.get("reason", "").strip()
        other = plain_number(given.get("other", ""))
        if other in (0, number_of(request, "person_id")):
            raise nothing_here()
        if error := reason_problem(given["reason"]):
            return _page_of(request, status=400, error=error)
        try:
            with database(request).begin() as opened:
                view, second = _view(request, opened), _seen(opened, other, who)
                if not (view.may_change and second.may_change):
                    raise HTTPException(403, OF_A_MANAGER)
                message = act(opened, view, second, given, who)
        except DirectoryError as problem:
            if problem.retryable:
                raise
            return _page_of(request, status=400, error=f"{problem.message} {in_console(problem.remedy)}".strip())
        kept = other if act is _merge and given.get("keep") == str(other) else view.person.id
        return redirect(request, _back(given, kept), message=message)

    return handler


def _back(given: Mapping[str, str], person_id: int) -> str:
    """The list that had the form, else the person's page."""
    back = given.get("back", "")
    return back if LIST.fullmatch(back) else f"/people/{person_id}"


def erase(request: Request) -> Response:
    """Delete everything that is stored of a person. Only operators may do this, and they have to type the person's
    number."""
    who = viewer(request)
    if not who.operator:
        raise nothing_here()
    with database(request).begin() as opened:
        view = _view(request, opened)
    given = texts(request)
    reason, typed = given.get("reason", "").strip(), given.get("number", "").strip()
    if error := reason_problem(reason):
        return _page_of(request, status=400, error=error)
    if typed != str(view.person.id):
        return _page_of(request, status=400, error="To erase somebody, type their number, as this page shows it.")
    with database(request).begin() as opened:
        message = person_changes.erase(opened, *_of(view), who=who.email, reason=reason)
    return redirect(request, f"/people?district={view.district}", message=message)


def _of(view: PersonView) -> tuple[int, int]:
    return view.person.district_id, view.person.id


def _school(view: PersonView, given: Mapping[str, str]) -> str:
    """The school of the form. Raises HTTPException 404 if the viewer may not see it."""
    key = given.get("school", "")
    if key not in view.schools:
        raise nothing_here()
    return key


def _record(opened: Connection, view: PersonView, given: Mapping[str, str], *, theirs: bool = False) -> tuple[str, str]:
    """Connection and sourcedId of the form. theirs: an owner may only name a record of the newest snapshots of their
    schools.

    Otherwise somebody could link a pupil of another school to one of their own and read what the SIS says of them.
    Raises HTTPException 404 for a connection of another district, and 403 for a record of a school that is not theirs.
    """
    key, record = given.get("connection", ""), given.get("sourced_id", "").strip()
    rows = {row.key: row for row in tenants.list_connections(opened) if row.district_id == view.person.district_id}
    if key not in rows:
        raise nothing_here()
    linked = any((each["connection"], each["sourced_id"]) == (key, record) for each in view.person.links)
    if theirs and not view.manages and not linked:
        schools = [school.id for school in view.schools.values() if school.connection.key == key]
        if not rosters.has_record(opened, schools, record):
            raise HTTPException(403, NOT_YOURS)
    return key, record


routes = [
    Route("/people/{person_id}", show, methods=["GET"]),
    Route("/people/{person_id}/exclude", _changing(_shared(person_changes.exclude)), methods=["POST"]),
    Route("/people/{person_id}/include", _changing(_shared(person_changes.include)), methods=["POST"]),
    Route("/people/{person_id}/lock", _changing(_of_field(person_changes.lock)), methods=["POST"]),
    Route("/people/{person_id}/unlock", _changing(_of_field(person_changes.unlock)), methods=["POST"]),
    Route("/people/{person_id}/edit", _changing(_edit), methods=["POST"]),
    Route(
        "/people/{person_id}/archive", _changing(_of_membership(person_changes.archive), shared=False), methods=["POST"]
    ),
    Route(
        "/people/{person_id}/restore", _changing(_of_membership(person_changes.restore), shared=False), methods=["POST"]
    ),
    Route("/people/{person_id}/link", _changing(_of_record(person_changes.link, theirs=True)), methods=["POST"]),
    Route("/people/{person_id}/unlink", _changing(_of_record(person_changes.unlink)), methods=["POST"]),
    Route(
        "/people/{person_id}/primary-record", _changing(_of_record(person_changes.set_primary_record)), methods=["POST"]
    ),
    Route("/people/{person_id}/undo", _changing(_undo, shared=False), methods=["POST"]),
    Route("/people/{person_id}/undo-merge", _changing(_shared(possible_duplicates.undo_merge)), methods=["POST"]),
    Route("/people/{person_id}/merge", _deciding(_merge), methods=["POST"]),
    Route("/people/{person_id}/two", _deciding(_pair(possible_duplicates.mark_distinct)), methods=["POST"]),
    Route("/people/{person_id}/open-again", _deciding(_pair(possible_duplicates.unmark_distinct)), methods=["POST"]),
    Route("/people/{person_id}/ask", ask, methods=["POST"]),
    Route("/people/{person_id}/sync", sync, methods=["POST"]),
    Route("/people/{person_id}/erase", erase, methods=["POST"]),
]
