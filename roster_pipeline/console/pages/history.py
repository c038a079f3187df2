"""A school's own page (status, what waits, next run, everything that happened), announced leavers, and the audit.

The audit says who did what, when and why. Operators see all of it, managers the part of their districts, owners the
part of their school.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from roster_pipeline.console.charts import year_charts
from roster_pipeline.console.page import (
    NOTHING,
    ROWS,
    Listed,
    database,
    day_of,
    form,
    list_filter,
    page,
    plain_numbers,
    redirect,
    route,
    texts,
)
from roster_pipeline.console.session import nothing_here, school_of, the_school, viewer, zone_of
from roster_pipeline.directory import approvals, audit, lasting_decisions, school_overview
from roster_pipeline.directory.school_history import alerts_of, people_by_role, school_history, year
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services import decisions, school_status
from roster_pipeline.services.hold_explanations import GUARD_TITLES
from roster_pipeline.services.school_changes import pause, resume_school
from roster_pipeline.services.settings_changes import FieldError
from roster_pipeline.settings.fields import title_of
from roster_pipeline.sync.build_report import run_url
from roster_pipeline.vocabulary import counted, day, role_place

PAGE = 30
DAYS = ("until", "day")
"""The details that are days."""


@route("/schools/{key}/leavers", "POST")
def announce_leavers(request: Request) -> Response:
    """Announce the people of a typed or an uploaded list."""
    sent = form(request)
    values = {name: str(sent.get(name, "")) for name in ("people", "day", "reason")}
    with database(request).begin() as conn:
        school = school_of(request, conn)
        try:
            leaves = day_of(values["day"], "day")
            done = decisions.announce(
                conn, school, values["people"], leaves, who=viewer(request).email, reason=values["reason"]
            )
        except FieldError as problem:
            return show_leavers(request, values, {problem.field: problem.message})
    if done.unknown or done.several or not done.people:
        return show_leavers(request, {"day": values["day"], "reason": values["reason"]}, done=done)
    message = f"{counted(done.people, 'person is', 'people are')} announced as leaving on {day(leaves)}."
    return redirect(request, f"/schools/{school.key}/leavers", message=message)


@route("/schools/{key}/leavers/withdraw", "POST")
def withdraw_leavers(request: Request) -> Response:
    """Take announcements back."""
    chosen = plain_numbers(request, "person")
    with database(request).begin() as conn:
        school = school_of(request, conn)
        done = lasting_decisions.withdraw_leavers(conn, school, chosen, viewer(request).email)
    message = f"{counted(done, 'announcement was', 'announcements were')} taken back."
    return redirect(request, f"/schools/{school.key}/leavers", message=message)


@route("/schools/{key}/leavers", "GET")
def show_leavers(
    request: Request,
    values: Mapping[str, str] = NOTHING,
    errors: Mapping[str, str] = NOTHING,
    done: decisions.Announced | None = None,
) -> Response:
    """The list, and the form to add to it. done: the result of an announcement, if it needs explaining."""
    filters = list_filter(request)
    with database(request).begin() as conn:
        school = school_of(request, conn)
        leavers = lasting_decisions.leavers_of_school(conn, school.id, limit=ROWS, offset=filters.offset)
    return page(
        request,
        "leavers.html",
        status=400 if errors else 200,
        school=school,
        tab="people",
        listed=Listed(filters, list(leavers), leavers[0].total if leavers else 0),
        today=datetime.now(UTC).astimezone(school.settings.zone).date(),
        has_ended=lasting_decisions.announcement_has_ended,
        stays=lasting_decisions.STAYS.days,
        values={"people": "", "day": "", "reason": "", **values},
        errors=errors,
        done=done,
    )


@route("/audit", "GET", "POST")
def whole_audit(request: Request) -> Response:
    """All entries that the viewer may see. A POST searches them."""
    who = viewer(request)
    if not who.may_give_access:
        raise nothing_here()
    return _page_of(request, districts=who.managed)


@route("/schools/{key}/audit", "GET", "POST")
def audit_of_school(request: Request) -> Response:
    """The entries that concern one school."""
    school = the_school(request)
    return _page_of(request, school=school)


def _page_of(
    request: Request, *, districts: Collection[int] | None = None, school: SchoolRow | None = None
) -> Response:
    filters = list_filter(request, "what")
    with database(request).begin() as conn:
        entries = audit.search(
            conn, districts=districts, school_id=school.id if school else None, what=filters["what"],
            words=filters.words, limit=ROWS + 1, offset=filters.offset,
        )  # fmt: skip
        kinds = audit.kinds(conn, districts, school.id if school else None)
        zone = school.settings.time_zone if school else zone_of(viewer(request), conn)
    return page(
        request,
        "school_audit.html" if school else "audit.html",
        school=school,
        tab="",
        listed=Listed(filters, list(entries[:ROWS]), more=len(entries) > ROWS),
        kinds=kinds,
        details=_details,
        zone=zone,
    )


def _details(entry: audit.Shown) -> str:
    """`plan 17, rows 120`, or `changed Recipients, Students: Archive`. Numbers of people are left out."""
    details = {name: _titled(name, value) for name, value in entry.details.items()} | {"persons": ""}
    details |= {name: day(date.fromisoformat(details[name])) for name in DAYS if name in details}
    given = ((name.replace("_", " "), _plain(value)) for name, value in details.items() if value)
    return ", ".join(f"{name} {value}".strip() for name, value in given)


def _titled(name: str, value: Any) -> Any:
    """The names of settings and guards in the words of the pages."""
    if name == "changed":
        return ", ".join(map(title_of, value or ()))
    if name in ("limit", "limits"):
        return ", ".join(title_of(f"guards.{one}") for one in ([value] if isinstance(value, str) else value))
    if name == "guards":
        return "; ".join(GUARD_TITLES.get(one, one) for one in value)
    if name == "value":
        return decisions.limit_text(value)
    return value


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_plain(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
    return "" if value is True else str(value)


@route("/schools/{key}", "GET")
def show(request: Request) -> Response:
    """The state of the school, and its history. `before` is the place where the page begins."""
    now = datetime.now(UTC)
    with database(request).begin() as conn:
        school = school_of(request, conn)
        current = school_overview.school_status(conn, school.id)
        before = request.query_params.get("before")
        try:
            entries = school_history(conn, school.id, before=before, limit=PAGE + 1)
        except ValueError:
            raise nothing_here() from None
        holds = approvals.held(conn, school_id=school.id) if current.held else []
        alerts = alerts_of(conn, school.id, school.connection.id)
        steps = school_status.first_steps(conn, school)
        people = people_by_role(conn, school.district_id, school.id)
        weeks = year(conn, school_id=school.id) if not before else []
        leavers = lasting_decisions.leavers_of_school(conn, school.id, limit=1)
    shown = entries[:PAGE]
    decidable = any(hold.overridable for hold in holds)
    pageless = ("failure", "canceled") if viewer(request).operator else ()  # the page of a sync has the link to its run
    step = school_status.next_step(current, decidable=decidable, tested=bool(school.test))
    todo = school_status.next_of(steps)
    if todo is not None and current.state in ("off", "fine"):
        step = school_status.NextStep(todo.button, todo.path)
    return page(
        request,
        "history.html",
        school=school,
        tab="syncs",
        current=current,
        status_text=school_status.status_of(current),
        step=step,
        decidable=decidable,
        resume=school_status.RESUME,
        steps=steps,
        next=school_status.next_run(current, now),
        alerts=alerts,
        people=dict(sorted(people.items(), key=lambda entries: role_place(entries[0]))),
        tested=datetime.fromisoformat(school.test["at"]) if school.test else None,
        red=[item for item in school.test["items"] if item["ok"] is False] if school.test else [],
        charts=year_charts(weeks),
        weeks=weeks[::-1],
        leavers=leavers[0].total if leavers else 0,
        earliest=now.astimezone(school.settings.zone).date() + timedelta(days=1),
        lines=[
            (one, school_status.status_of_entry(one, school.key), run_url(one.run_id) if one.kind in pageless else None)
            for one in shown
        ],
        newer=f"/schools/{school.key}" if before else None,
        older=f"/schools/{school.key}?before={shown[-1].place}" if len(entries) > PAGE else None,
    )


@route("/schools/{key}/resume", "POST")
def resume(request: Request) -> Response:
    """Let a paused school run by itself again."""
    with database(request).begin() as conn:
        school = school_of(request, conn)
        done = resume_school(conn, school.key, who=viewer(request).email)
        after = school_of(request, conn)
    message = "The school runs by itself again, from its next sync time on." if done else "The school was not paused."
    if after.paused_until and after.paused_until > datetime.now(UTC).astimezone(after.settings.zone).date():
        message = f"The whole district is paused until {day(after.paused_until)}. Its manager can end that."
    return redirect(request, f"/schools/{school.key}", message=message)


@route("/schools/{key}/pause", "POST")
def pause_until(request: Request) -> Response:
    """Let the schedule start the school only from a day on."""
    sent = texts(request)
    with database(request).begin() as conn:
        school = school_of(request, conn)
        try:
            until = day_of(sent.get("until", ""), "until")
            pause(conn, until, school=school.key, who=viewer(request).email, reason=sent.get("reason", ""))
        except FieldError as problem:
            return redirect(request, f"/schools/{school.key}", message=f"Not paused. {problem.message}")
    return redirect(
        request, f"/schools/{school.key}", message=f"Paused until {day(until)}. A sync by hand still works."
    )
