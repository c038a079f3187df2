"""How values are written on pages: times in the school's zone, numbers, roles and actions as words. Pure.

`FILTERS` is what templates may use behind a bar: `{{ at | ago(zone) }}`, `{{ rows | number }}`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from roster_pipeline.notifications.console_words import in_console
from roster_pipeline.notifications.outcome import NOUNS
from roster_pipeline.services.connection_test_state import fields_named, tested_school
from roster_pipeline.vocabulary import DONE, counted, day, moment, people_of, role_name

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DAYS_COUNTED = 14
"""Longer ago than this, a date says more than a number of days."""
KINDS = {
    "sync": "Sync",
    "approval": "Approved plan",
    "rollback": "Rollback",
    "relink": "Relink",
    "person": "One person",
    "upload": "Uploaded list",
    "failure": "Failed",
}
ACTIONS = DONE | {"skip": "left alone", "conflict": "in conflict", "unchanged": "unchanged"}


def clock(at: datetime, zone: str, now: datetime | None = None) -> str:
    """`today 20:00`, `tomorrow 20:00`, else `Tue 3 Nov, 20:00`, by the school's own clock."""
    local = at.astimezone(ZoneInfo(zone))
    days = (local.date() - (now or datetime.now(UTC)).astimezone(ZoneInfo(zone)).date()).days
    named = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get(days)
    return f"{named} {local:%H:%M}" if named else f"{local:%a} {local.day} {local:%b, %H:%M}"


def ago(at: datetime, zone: str, now: datetime | None = None) -> str:
    """`just now`, `12 minutes ago`, `3 hours ago`, `5 days ago`, else the date by the school's own clock."""
    now = now or datetime.now(UTC)
    passed = now - at
    if passed < MINUTE:
        return "just now"
    for unit, word, most in ((MINUTE, "minute", HOUR), (HOUR, "hour", DAY), (DAY, "day", DAY * DAYS_COUNTED)):
        if passed < most:
            number = passed // unit
            return f"{number} {word}{'' if number == 1 else 's'} ago"
    return day(at.astimezone(ZoneInfo(zone)))


def number(value: float) -> str:
    """`12,400`."""
    return f"{value:,}"


def role(slug: str) -> str:
    """`Students`."""
    return role_name(slug).capitalize()


def changes(rows: int, kind: str) -> str:
    """`1 archival`, `12 creations`."""
    return counted(rows, *NOUNS.get(kind, (words(kind), words(kind))))  # type: ignore[call-overload]


def words(slug: str) -> str:
    """`several_matches` as it is read aloud."""
    return slug.replace("_", " ").replace("-", " ")


FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "changes": changes,
    "clock": clock,
    "day": day,
    "exact": moment,
    "fields_named": fields_named,
    "in_console": in_console,
    "number": number,
    "people": lambda rows, role: people_of(role, rows),
    "rejectkey": lambda given, name: {key: value for key, value in given.items() if key != name},
    "role": role,
    "tested_school": tested_school,
    "words": words,
    "kind": lambda slug: KINDS.get(slug, words(slug).capitalize()),
    "action": lambda slug: ACTIONS.get(slug, words(slug)),
}
