"""Announcing leavers: a typed or uploaded list of numbers, ids, e-mails or user names, with a day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from roster_pipeline.directory import announced_leavers
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.settings_diff import FieldError
from roster_pipeline.vocabulary import NO_REASON

MOST = 2000
"""Entries of one list: the leavers of a large school."""
LONGEST = timedelta(days=400)
SEPARATORS = re.compile(r"[\s,;]+")


@dataclass(frozen=True)
class Announced:
    """What became of a list. people: who was announced. unknown, several: entries that fit nobody or several people."""

    people: int
    unknown: list[str]
    several: list[str]


def words_of(text: str) -> list[str]:
    """The entries of a list: one or several a line, with commas, semicolons or blanks between them."""
    found = (word.strip("\"'") for word in SEPARATORS.split(text.replace("\0", "").removeprefix("\ufeff")))
    return list(dict.fromkeys(word for word in found if word))


def announce(conn: Connection, school: SchoolRow, text: str, day: date, *, who: str, reason: str) -> Announced:
    """Announce the active people of a school whom a list names. Entries that do not fit exactly one are left out.

    Raises FieldError for an empty or endless list, a day far away, or no reason. Its message repeats no entry.
    """
    words = words_of(text)
    today = datetime.now(school.settings.zone).date()
    if not words or len(words) > MOST:
        raise FieldError(
            "people", "Name at least one person." if not words else f"Name at most {MOST:,} people at once."
        )
    if not today - announced_leavers.STAYS <= day <= today + LONGEST:
        raise FieldError("day", f"Give a day from {announced_leavers.STAYS.days} days ago to a year ahead.")
    if not reason.strip():
        raise FieldError("reason", NO_REASON)
    found = announced_leavers.find(conn, school, words)
    people = {of[0] for of in found.values() if len(of) == 1}
    if people:
        announced_leavers.announce(conn, school, people, day, who, reason.strip())
    return Announced(
        len(people),
        [word for word in words if not found[word]],
        [word for word in words if len(found[word]) > 1],
    )
