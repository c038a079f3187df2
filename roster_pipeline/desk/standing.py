"""How a school stands, in words: the outcome of its last sync, whether somebody should look, and when it runs next.

The sentences are those of the mails, so an owner reads the same thing twice and not two things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from roster_pipeline.directory.happenings import Happening
from roster_pipeline.directory.overview import Standing
from roster_pipeline.evening.due import next_evening
from roster_pipeline.report import SyncReport, outcome, tone
from roster_pipeline.report.outcome import age_of_source, nothing_found

Tone = Literal["ok", "warn", "bad", "info", "none"]
NO_SYNC = "Nothing was synced yet."
RELINKED = "People were given their new ids; nothing else was changed."
UNREPORTED = {"applied": "Applied.", "held": "Something is held.", "unchanged": "Nothing had to change."}
"""For the moment between a sync and its report."""


@dataclass(frozen=True)
class Said:
    """A badge of one or two words with its tone, and the sentence behind it. source: how old what was read is."""

    tone: Tone
    badge: str
    sentence: str
    source: str = ""


def said_of(school: Standing) -> Said:
    """The most pressing of what is the matter with a school, else how its last sync ended."""
    if school.state == "failing":
        return Said("bad", "Failed", plain(school.failure or "", school.key))
    last = said_of_sync(school.kind, school.outcome, school.report or {}) if school.kind else None
    sentence = last.sentence if last else NO_SYNC
    source = last.source if last else ""
    if school.state == "held":
        return Said("warn", "Held", sentence, source)
    if school.state == "paused":
        return Said("bad", "Paused", "Paused after a week of failed evenings; it runs by itself again once resumed.")
    if school.state == "stale":
        return Said("warn", "Silent", sentence, source)
    if last and last.badge == "Held":
        return Said("none", "Discarded" if school.plan_state == "discarded" else "Replaced", sentence, source)
    return last or Said("none", "No sync", sentence)


def said_of_sync(kind: str, result: str | None, report: Mapping[str, Any]) -> Said:
    """One sync. report: as it was stored beside it; {} where there is none yet."""
    if kind == "relink":
        return Said("info", "Relinked", outcome(SyncReport.from_dict(report)) if report else RELINKED)
    if not report:
        return Said("warn" if result == "held" else "ok", "Done", UNREPORTED.get(result or "", "Done."))
    told = SyncReport.from_dict(report)
    source = age_of_source(told)
    if any(held.rows for held in told.held):
        return Said("warn", "Held", outcome(told), source)
    if kind == "rollback":
        return Said("info", "Rolled back", outcome(told))
    if nothing_found(told):
        return Said("bad", "Nobody found", outcome(told), source)
    if told.connection is not None and told.connection.old:
        return Said("warn", "Old source", f"{outcome(told)} {' '.join(told.connection.old)}", source)
    if tone(told) == "attention":
        return Said("warn", "Please look", outcome(told), source)
    return Said("ok", "Done", outcome(told), source)


def said_of_happening(one: Happening, key: str) -> Said:
    """One line of a school's history."""
    if one.kind == "failure":
        return Said("bad", "Failed", plain(one.message or "", key))
    if one.kind == "canceled":
        return Said("none", "Canceled", f"{one.who} canceled a run. What it had not applied by then was not applied.")
    return said_of_sync(one.kind, one.outcome, one.report)


def next_run(school: Standing, now: datetime) -> datetime | None:
    """When the schedule starts the school next; None where it does not, because that is off or paused."""
    if not school.automatic or school.paused:
        return None
    return next_evening(school.sync_time, ZoneInfo(school.time_zone), now)


def plain(message: str, key: str) -> str:
    """A failure's message without the school's key in front, in one line: the page says whose it is."""
    text = " ".join(message.split()).removeprefix(f"{key}: ")
    return text[:1].upper() + text[1:]
