"""One person for a reader: fields and their sources, records of the SIS, the newest plan, and the whole history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row

from roster_pipeline.directory import audit, lasting_decisions, ledger, members, plans, rosters, tenants
from roster_pipeline.directory.accounts import Account
from roster_pipeline.directory.plan_rows import RowFilter
from roster_pipeline.directory.undo_edit import Edit
from roster_pipeline.services.change_steps import Step, steps_of
from roster_pipeline.services.hold_explanations import HoldExplanation, hold_explanation_of
from roster_pipeline.services.person_changes import NAMES, undoable
from roster_pipeline.services.plan_rows import Line, lines, reasons_by_sync, summary_of
from roster_pipeline.vocabulary import PERSON_FIELDS, day, full_name

MOST_EVENTS = 100
LEFT_OUT = {"create": "enters them", "restore": "restores them", "archive": "archives them"}
"""By action: the words for a change that no sync makes because of an exemption."""
ENDED = {"create": "entering them", "update": "an update", "restore": "restoring them", "archive": "archiving them"}
"""The change of an exemption that may have ended."""
DECIDED_CHANGES = {
    "rows exempted": ("change left out", "Syncs left out {change} in {school}, from then on"),
    "exemptions taken back": ("change no longer left out", "Syncs may make this change in {school} again: {change}"),
    "exemptions ended": ("change no longer left out", "The SIS no longer asks for this change in {school}: {change}"),
}
DECIDED_LEAVERS = {
    "leavers announced": ("leaver announced", "announced to leave on {day} in {school}"),
    "leavers withdrawn": ("announcement withdrawn", "no longer announced to leave {school}"),
}
"""By the audit's word for a decision: its meaning for the person."""


@dataclass(frozen=True)
class PersonView:
    """A person and the schools among theirs that the reader may see. manages: the reader manages the district.
    elsewhere: how many memberships the reader may not see. whole: the reader may see every field; if not, only the
    name, because the person now belongs to another school. may_change: what all schools of the person share."""

    person: members.Person
    district: str
    schools: dict[str, tenants.SchoolRow]
    memberships: list[dict[str, Any]]
    manages: bool
    elsewhere: int
    whole: bool
    may_change: bool

    @property
    def name(self) -> str:
        return full_name(self.person.fields)

    def place(self, key: str | None) -> str:
        """The name of a school, or its key if the reader may not see the school. Empty for no school."""
        return self.schools[key].name if key in self.schools else key or ""


@dataclass(frozen=True)
class FieldLine:
    """One field: its value in the directory, the source of that value, and the value in the primary record."""

    name: str
    value: Any
    source: str
    locked: bool
    in_sis: Any
    differs: bool


@dataclass
class Event:
    """One sync, decision or edit, and its changes of a person. by_hand: a decision or edit about this person alone.
    may_undo: whether the reader may undo `edit`. cannot_undo: why nobody can; empty if it can be undone."""

    at: datetime
    who: str = ""
    what: str = ""
    reason: str | None = None
    sync: ledger.SyncRow | None = None
    steps: list[Step] = field(default_factory=list)
    by_hand: bool = False
    edit: Edit | None = None
    may_undo: bool = False
    cannot_undo: str = ""


@dataclass(frozen=True)
class Planned:
    """The rows about a person in the newest plan of a school. sync: the one that applied the plan; None before that.
    edited: the newest edit by hand after the plan. waits: for each held row, why."""

    school: tenants.SchoolRow
    plan: plans.PlanRow
    rows: list[Line]
    sync: ledger.SyncRow | None = None
    edited: Event | None = None
    waits: Mapping[int, HoldExplanation] = field(default_factory=dict)


def find(conn: Connection, person_id: int, reader: Account) -> PersonView:
    """Find a person. Raises UnknownPerson if the reader may not see them."""
    district_id, district = members.district_of(conn, person_id)
    manager = reader.may_manage(district_id)
    person = members.get_person(conn, district_id, person_id)
    rows = {each["school"]: tenants.get_school(conn, each["school"]) for each in person.memberships}
    schools = {key: row for key, row in rows.items() if reader.may_see(row)}
    if not schools and not manager:
        raise members.UnknownPerson(person_id)
    shown = [each | {"name": rows[each["school"]].name} for each in person.memberships if each["school"] in schools]
    hidden = [each for each in person.memberships if each["school"] not in schools]
    gone = not any(each["status"] == "active" for each in shown) and any(each["status"] == "active" for each in hidden)
    return PersonView(
        person=person,
        district=district,
        schools=schools,
        memberships=shown,
        manages=manager,
        elsewhere=len(hidden),
        whole=manager or not gone,
        may_change=manager or not any(each["status"] == "active" for each in hidden),
    )


def records(conn: Connection, view: PersonView) -> list[dict[str, Any]]:
    """The links, the primary one first, each with the `newest` values of its record in a school that the reader may
    see, or None."""
    schools = [school.id for school in view.schools.values()]
    listed = []
    for link in view.person.links:
        source = tenants.get_connection(conn, link["connection"])
        listed.append(link | {"newest": rosters.newest_record(conn, source.id, schools, link["sourced_id"])})
    return listed


def field_lines(view: PersonView, of_sis: list[dict[str, Any]]) -> list[FieldLine]:
    values = next((record["newest"] for record in of_sis if record["is_primary"]), None)
    result = []
    for name in PERSON_FIELDS if view.whole else NAMES:
        value, theirs = view.person.fields[name], (values or {}).get(name)
        locked = name in view.person.locked_fields
        differs = values is not None and value != theirs
        if locked:
            source = "locked by hand"
        elif differs:
            source = "differs from the SIS record"
        elif value is None:
            source = ""
        else:
            source = "SIS record" if view.person.links else "entered by hand"
        result.append(FieldLine(name, value, source, locked, theirs, differs))
    return result


def planned(conn: Connection, view: PersonView, events: Sequence[Event]) -> list[Planned]:
    """The rows about the person in each school's newest plan, also a dry run. events: the history, for later edits."""
    result = []
    newest = next((event for event in events if event.by_hand), None)
    for school in view.schools.values():
        plan = plans.latest(conn, school.id, dry_run=True)
        if plan is None:
            continue
        key = school.connection.key
        records = tuple(each["sourced_id"] for each in view.person.links if each["connection"] == key)
        rows = lines(conn, plan, RowFilter(person_id=view.person.id, records=records))
        if rows:
            edited = newest if newest and newest.at > plan.made_at else None
            waits = _waits(conn, plan, rows, manager=view.manages)
            result.append(Planned(school, plan, rows, ledger.sync_of_plan(conn, plan.id), edited, waits))
    return result


def _waits(conn: Connection, plan: plans.PlanRow, rows: Sequence[Line], *, manager: bool) -> dict[int, HoldExplanation]:
    """For each held row of a plan that waits for a decision: why."""
    held = [row for row in rows if row.held] if plan.state == "planned" else []
    verdict = summary_of(conn, plan).verdict if held else []
    return {
        row.row: hold_explanation_of(
            (line for line in verdict if all(line[name] == getattr(row, name) for name in ("role", "action", "guard"))),
            manager=manager,
        )
        for row in held
    }


def person_plan(conn: Connection, view: PersonView, plan_id: int) -> Planned | None:
    """A plan that was made only for this person, in a school that the reader may see. None for every other plan."""
    plan = plans.get_all(conn, {plan_id}).get(plan_id)
    school = next((one for one in view.schools.values() if plan and one.id == plan.school_id), None)
    if plan is None or school is None or plan.person_id != view.person.id:
        return None
    return Planned(school, plan, lines(conn, plan, RowFilter()))


def leaving(conn: Connection, view: PersonView, today: date) -> dict[str, Row[Any]]:
    """The announcements that count, by school, of schools that the reader may see."""
    every = lasting_decisions.announcements_of_person(conn, view.person.district_id, view.person.id)
    return {
        a.school: a
        for a in every
        if a.school in view.schools and not lasting_decisions.announcement_has_ended(a.day, today)
    }


def history(conn: Connection, view: PersonView) -> list[Event]:
    """The newest `MOST_EVENTS` of the person, without those of schools that the reader may not see."""
    events: dict[datetime, Event] = {}
    changes = ledger.changes_of_person(conn, view.person.district_id, view.person.id)
    syncs = ledger.syncs(conn, (each.sync_id for each in changes if each.sync_id))
    whys = reasons_by_sync(conn, syncs, members.numbers_of(conn, view.person.id))
    for change in changes:
        sync = syncs.get(change.sync_id or 0)
        ours = view.whole or (sync is not None and sync.school in view.schools)
        if not view.manages and not (ours and (change.school is None or change.school in view.schools)):
            continue
        event = events.setdefault(change.at, Event(change.at))
        if sync:
            event.sync, event.who, event.what = sync, sync.who, sync.kind
        steps = steps_of(change, view.place(change.school), whys.get(change.sync_id or 0, ""))
        if change.person_id != view.person.id:  # of an entry that was merged into this one
            steps = [replace(step, what=f"person {change.person_id}: {step.what}") for step in steps]
        event.steps += steps
    if view.whole:
        entries = audit.search(conn, person_id=view.person.id, limit=MOST_EVENTS)
        for entry in entries:
            event = events.setdefault(entry.at, Event(entry.at))
            event.who, event.what, event.reason, event.by_hand = entry.who, entry.what, entry.reason, True
        for edit, problem in undoable(conn, view.person, entries, changes):
            event, schools = events[edit.entry.at], {school.id for school in view.schools.values()}
            event.edit, event.cannot_undo = edit, problem
            event.may_undo = view.may_change if edit.shared else edit.entry.school_id in schools
    shown = [event for event in events.values() if event.steps or event.what]
    shown += _decided_with_others(conn, view) if view.whole else []
    return sorted(shown, key=lambda event: event.at, reverse=True)[:MOST_EVENTS]


def _decided_with_others(conn: Connection, view: PersonView) -> list[Event]:
    """Exemptions and announcements of the person, also those that have ended. The audit has one entry for all people of
    such a decision; the fields of a change that is still exempted come from its exemption."""
    whom, places = (view.person.district_id, view.person.id), [school.id for school in view.schools.values()]
    events, known = [], set()
    for exempted in lasting_decisions.exemptions_of_person(conn, *whom):
        if view.manages or exempted.school in view.schools:
            of = f": {', '.join(exempted.fields).replace('_', ' ')}" if exempted.fields else ""
            step = Step(
                f"No sync {LEFT_OUT.get(exempted.action, 'makes this change')} in {view.place(exempted.school)}{of}"
            )
            events.append(Event(exempted.at, exempted.who, "change left out", exempted.reason, steps=[step]))
            known.add((exempted.at, exempted.school, exempted.action))
    for leaver in lasting_decisions.announcements_of_person(conn, *whom):
        if view.manages or leaver.school in view.schools:
            step = Step(f"announced to leave on {day(leaver.day)} in {view.place(leaver.school)}")
            events.append(Event(leaver.at, leaver.who, "leaver announced", leaver.reason, steps=[step]))
            known.add((leaver.at, leaver.school, "leave"))
    for about in audit.decisions_about(conn, members.numbers_of(conn, view.person.id), places):
        if (about.at, about.school, about.change) not in known:
            what, words = (DECIDED_LEAVERS if about.change == "leave" else DECIDED_CHANGES)[about.what]
            last_day = day(date.fromisoformat(about.day)) if about.day else ""
            step = Step(words.format(school=view.place(about.school), day=last_day, change=ENDED.get(about.change, "")))
            events.append(Event(about.at, about.who, what, about.reason, steps=[step]))
    return events
