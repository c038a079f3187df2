"""The decisions of people: about held rows, about a wrong sync, about leavers, and about limits that are higher for a
time.

Each decision is one transaction, with a reason. It is bound to the plan that the person looked at: by the number, the
school and, if it is given, the hash of the plan. Leavers are given as a typed or uploaded list of numbers, ids, e-mails
or user names, with a day.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from roster_pipeline.directory import (
    approvals,
    audit,
    lasting_decisions,
    ledger,
    members,
    plans,
    rollback,
    tenant_changes,
    tenants,
)
from roster_pipeline.directory import relink as relinking
from roster_pipeline.directory.apply import PlanStale, SyncResult, apply_plan
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.services.school_changes import locked_school
from roster_pipeline.services.settings_changes import FieldError, given_reason
from roster_pipeline.settings.fields import title_of
from roster_pipeline.settings.school import Guards
from roster_pipeline.sync import SyncError
from roster_pipeline.sync.monitoring import settle
from roster_pipeline.sync.plan_and_apply import conclude, finish
from roster_pipeline.vocabulary import counted

MOST = 2000
"""How many entries a list may have: the leavers of a large school."""
LONGEST = timedelta(days=400)
SEPARATORS = re.compile(r"[\s,;]+")
_OF_A_BINARY = re.compile(r"[\x01-\x08\x0e-\x1b\x7f]")
LONGEST_RAISE = timedelta(days=92)
"""The longest raise of a limit. If a limit has to be higher for longer than a term, change the setting."""
RAISABLE = (
    "archive_share", "archive_most", "slow_loss_share", "shrink_share", "create_share", "restore_share",
    "update_share", "update_key_share", "missing_share", "strangers_share", "lower_grades_share", "rekeyed_share",
    "moved_keys", "rejected_share_archive", "rejected_share_all", "unknown_org_share",
)  # fmt: skip
"""The limits that can be higher until a day: those of guards whose findings a person can approve."""


@dataclass(frozen=True)
class Chosen:
    """A held plan that a person chose among several. manager: whether they may decide for the district."""

    key: str
    plan_id: int
    plan_hash: str
    manager: bool = False


@dataclass(frozen=True)
class Decided:
    """The result for one of them: the sync that applied it, or why nothing was done. left: rows that stay held."""

    key: str
    plan_id: int
    sync_id: int | None = None
    left: int = 0
    problem: str = ""


@contextmanager
def _about_plan(database: Database, key: str, plan_id: int) -> Iterator[tuple[Connection, int]]:
    """The transaction of a decision about a plan of this school, and the school's id. Raises UnknownPlan, UnknownKey,
    DirectoryError for a plan of another school, and SyncError if the directory has changed since."""
    try:
        with database.begin() as conn:
            school_id = plans.get(conn, plan_id).school_id
            if school_id != tenants.get_school(conn, key).id:
                remedy = f"See what is held: roster hold list {key}"
                raise DirectoryError(f"Plan {plan_id} is not one of {key}.", remedy)
            yield conn, school_id
    except PlanStale:
        raise SyncError(
            key,
            "people or settings were changed since this plan was made, or its roster was tested again; it was not "
            "applied",
            f"Run: roster sync {key}, look at the new plan and approve that",
        ) from None


def approve(
    database: Database,
    key: str,
    plan_id: int,
    *,
    who: str,
    reason: str,
    plan_hash: str | None = None,
    manager: bool = False,
    parts: Collection[approvals.Part] | None = None,
) -> SyncResult:
    """Approve the held rows of a plan and apply them; neither if the plan has changed. manager: may decide what only
    the district's manager may; if not, those rows stay held. parts: the roles and kinds of change to approve; None:
    all. Raises PlanChanged, NothingHeld, NotOverridable, ManagerDecides, FieldError, SyncError if the directory has
    changed."""
    now = datetime.now(UTC)
    why = given_reason(reason)
    with _about_plan(database, key, plan_id) as (conn, school_id):
        approvals.approve(conn, plan_id, who, why, now, plan_hash=plan_hash, manager=manager, parts=parts)
        result = apply_plan(conn, plan_id, who=who, kind="approval", now=now)
        finish(conn, result)
        ledger.note_decision(conn, school_id, "approval", who, sync_id=result.sync_id, plan_id=plan_id)
        return result


def decide_each(
    database: Database, chosen: Iterable[Chosen], *, decision: Literal["approve", "discard"], who: str, reason: str
) -> list[Decided]:
    """Make one decision on the plans of several schools. Each plan is bound to its hash, and each has its own
    transaction. If one plan has changed since, it is refused, and the others are still decided. Raises FieldError."""
    why = given_reason(reason)
    done = []
    for hold in chosen:
        try:
            if decision == "discard":
                discard(database, hold.key, hold.plan_id, who=who, reason=why, plan_hash=hold.plan_hash)
                done.append(Decided(hold.key, hold.plan_id))
                continue
            result = approve(
                database, hold.key, hold.plan_id, who=who, reason=why, plan_hash=hold.plan_hash, manager=hold.manager
            )
            done.append(Decided(hold.key, hold.plan_id, result.sync_id, result.waiting))
        except (DirectoryError, SyncError) as problem:
            done.append(Decided(hold.key, hold.plan_id, problem=problem.message))
    return done


def discard(database: Database, key: str, plan_id: int, *, who: str, reason: str, plan_hash: str | None = None) -> None:
    """Drop a plan with its held rows. Raises PlanChanged, NothingHeld, NotOverridable, FieldError."""
    why = given_reason(reason)
    with _about_plan(database, key, plan_id) as (conn, school_id):
        now = datetime.now(UTC)
        approvals.discard(conn, plan_id, who, why, now, plan_hash=plan_hash)
        settle(conn, school_id, now)
        ledger.note_decision(conn, school_id, "discard", who, plan_id=plan_id)


def exempt(
    database: Database,
    key: str,
    plan_id: int,
    rows: Collection[int],
    *,
    who: str,
    reason: str,
    plan_hash: str | None = None,
) -> int:
    """Exempt single held rows. No sync makes these changes while the SIS still asks for them. rows: their numbers in
    the plan. Returns how many. Raises PlanChanged, NothingHeld, NothingExempted, FieldError."""
    why = given_reason(reason)
    with _about_plan(database, key, plan_id) as (conn, school_id):
        done = lasting_decisions.exempt(conn, plan_id, rows, who, why, plan_hash=plan_hash)
        settle(conn, school_id, datetime.now(UTC))
        return done


def take_back(database: Database, key: str, ids: Collection[int] | None, *, who: str, reason: str) -> int:
    """End exemptions, all or only these, and return how many. Raises FieldError, UnknownKey."""
    why = given_reason(reason)
    with database.begin() as conn:
        school = tenants.get_school(conn, key)
        return lasting_decisions.take_back_exemptions(conn, school, ids, who, why)


def relink(
    database: Database, key: str, plan_id: int, *, who: str, reason: str, plan_hash: str | None = None
) -> SyncResult:
    """Give the people of a held plan their new ids, and nothing else. Raises as `approve`."""
    why = given_reason(reason)
    with _about_plan(database, key, plan_id) as (conn, school_id):
        result = relinking.relink(conn, plan_id, who=who, reason=why, plan_hash=plan_hash)
        conclude(conn, result)
        ledger.note_decision(conn, school_id, "relink", who, sync_id=result.sync_id, plan_id=plan_id)
        return result


def moved_words(result: SyncResult) -> str:
    """Whom a rollback left alone, as a sentence; empty for nobody."""
    left = ("person was changed later and is not touched", "people were changed later and are not touched")
    return f"{counted(result.total('moved'), *left)}." if result.total("moved") else ""


def roll_back(
    database: Database, sync_id: int, *, who: str, reason: str, only: rollback.Only | None = None
) -> SyncResult:
    """Undo a sync, or only its archivals. Raises AlreadyUndone, NothingToUndo, UnknownSync, FieldError."""
    with database.begin() as conn:
        result = rollback.roll_back(conn, sync_id, who=who, reason=given_reason(reason), only=only)
        conclude(conn, result)
        school_id = ledger.get_sync(conn, result.sync_id).school_id
        ledger.note_decision(conn, school_id, "rollback", who, sync_id=result.sync_id)
        return result


@dataclass(frozen=True)
class Announced:
    """The result of a list. people: how many were announced. unknown, several: entries that fit nobody, or several."""

    people: int
    unknown: list[str]
    several: list[str]


def words_of(text: str) -> list[str]:
    """The entries of a list: one or several per line, with commas, semicolons or blanks between them."""
    found = (word.strip("\"'") for word in SEPARATORS.split(text.replace("\0", "").removeprefix("\ufeff")))
    return list(dict.fromkeys(word for word in found if word))


def announce(conn: Connection, school: tenants.SchoolRow, text: str, day: date, *, who: str, reason: str) -> Announced:
    """Announce the active people of a school that a list names; entries that do not fit exactly one are left out.
    Raises FieldError for an empty or too long list, a day too far away, or no reason; it repeats no entry."""
    if _OF_A_BINARY.search(text):
        raise FieldError("people", "This is not a list in plain text. Save it as CSV, and choose that file.")
    words = words_of(text)
    today = datetime.now(school.settings.zone).date()
    if not words or len(words) > MOST:
        raise FieldError(
            "people", "Name at least one person." if not words else f"Name at most {MOST:,} people at once."
        )
    if not today - lasting_decisions.STAYS <= day <= today + LONGEST:
        raise FieldError("day", f"Give a day from {lasting_decisions.STAYS.days} days ago to a year ahead.")
    why = given_reason(reason)
    found = members.find_people(conn, school, words)
    people = {of[0] for of in found.values() if len(of) == 1}
    if people:
        lasting_decisions.announce_leavers(conn, school, people, day, who, why)
    return Announced(
        len(people), [word for word in words if not found[word]], [word for word in words if len(found[word]) > 1]
    )


def raise_limit(conn: Connection, key: str, name: str, value: float, until: date, *, who: str, reason: str) -> None:
    """Raise one limit of a school's guards until a day, which is included. After that, the limit goes back by itself.
    name: one of `RAISABLE`. Raises FieldError if the limit is not higher or the day is out of range, and UnknownKey."""
    row = locked_school(conn, key)
    today = datetime.now(row.settings.zone).date()
    now = row.settings.guards.model_dump()
    if name not in RAISABLE:
        these = ", ".join(f"{title_of('guards.' + one)} ({one})" for one in RAISABLE)
        raise FieldError("limit", f"{name} cannot be raised for a time. These limits can: {these}.")
    try:
        plain = Guards.model_validate(now | {name: value}).model_dump()[name]
    except ValueError:
        kind = "share from 0 to 1, that is 0 to 100 %" if isinstance(now[name], float) else "whole number"
        raise FieldError("value", f"Give a {kind}.") from None
    if plain <= now[name]:
        raise FieldError("value", f"The limit is {limit_text(now[name])} now. Give a higher one.")
    if not today <= until <= today + LONGEST_RAISE:
        raise FieldError("until", f"Give a day from today on and within the next {LONGEST_RAISE.days} days.")
    why = given_reason(reason)
    kept = {one: raised for one, raised in row.raised_limits.items() if raised["until"] >= today.isoformat()}
    raised = {"value": plain, "until": until.isoformat(), "who": who, "reason": why}
    tenant_changes.raise_limits(conn, row.id, kept | {name: raised})
    details = {"limit": name, "value": plain, "until": until.isoformat()}
    audit.record(conn, who, "limit raised", school=row, reason=why, details=details)


def limit_text(value: float) -> str:
    """A limit in words: `10 %` for a share of 0.1, `500` for a number."""
    return f"{value * 100:g} %" if isinstance(value, float) else f"{value:,}"


def lower_limits(conn: Connection, key: str, *, who: str) -> int:
    """End every raise of a school's limits at once. Returns how many there were. Raises UnknownKey."""
    row = locked_school(conn, key)
    if row.raised_limits:
        tenant_changes.raise_limits(conn, row.id, {})
        audit.record(conn, who, "raised limits ended", school=row, details={"limits": sorted(row.raised_limits)})
    return len(row.raised_limits)
