"""How a school stands, in words: the outcome of its last sync, whether somebody should look, and when it runs next.

The sentences are those of the mails, so an owner reads the same thing twice and not two things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from roster_pipeline.directory.school_history import HistoryEntry
from roster_pipeline.directory.school_overview import SchoolStatus
from roster_pipeline.notifications import SyncReport, outcome, tone
from roster_pipeline.notifications.console_words import in_console
from roster_pipeline.notifications.outcome import age_of_source, nothing_found
from roster_pipeline.sync.schedule_due import next_night
from roster_pipeline.vocabulary import day

Tone = Literal["ok", "warn", "bad", "info", "none"]
NO_SYNC = "Nothing was synced yet."
RELINKED = "People were given their new ids; nothing else was changed."
ONE_PERSON = {
    "applied": "One person was synced at once.",
    "held": "One person was to be synced at once, and a guard held it.",
    "unchanged": "One person was synced at once, and nothing had to change.",
}
UNREPORTED = {"applied": "Applied.", "held": "Something is held.", "unchanged": "Nothing had to change."}
"""For the moment between a sync and its report."""


@dataclass(frozen=True)
class StatusText:
    """A badge of one or two words with its tone, and the sentence behind it. source: how old what was read is."""

    tone: Tone
    badge: str
    sentence: str
    source: str = ""


@dataclass(frozen=True)
class NextStep:
    """The one thing to do: a button's words, and the page below the school's that it leads to; `resume` is a form."""

    words: str
    path: str


def next_step(school: SchoolStatus, *, decidable: bool, tested: bool) -> NextStep:
    """What a school's state asks for.

    decidable: somebody may decide about some of what is held. tested: there is a test of what is connected now.
    """
    if school.state == "failing":
        return NextStep("Test and settings", "/settings") if school.sign_in else NextStep("Sync again", "/runs")
    if school.state == "held":
        return NextStep("Look and decide", "/holds") if decidable else NextStep("Sync again", "/runs")
    if school.state in ("paused", "resting"):
        return NextStep("Let it run by itself again", "/resume")
    if school.state == "stale":
        return NextStep("Sync now", "/runs")
    if school.sync_id is None and not tested:
        return NextStep("Test and settings", "/settings")
    return NextStep("Preview and run", "/runs")


def status_of(school: SchoolStatus) -> StatusText:
    """The most pressing of what is the matter with a school, else how its last sync ended."""
    if school.state == "failing":
        return StatusText("bad", "Failed", in_console(plain(school.failure or "", school.key)))
    last = status_of_sync(school.kind, school.outcome, school.report or {}) if school.kind else None
    sentence = last.sentence if last else NO_SYNC
    source = last.source if last else ""
    if school.state == "held":
        return StatusText("warn", "Held", sentence, source)
    if school.state == "paused":
        return StatusText(
            "bad", "Paused", "Paused after a week of failed nights; it runs by itself again once resumed."
        )
    if school.state == "resting" and school.paused_until:
        return StatusText("none", "Paused", f"Paused until {day(school.paused_until)}. A sync by hand still works.")
    if school.state == "stale":
        return StatusText("warn", "Silent", sentence, source)
    if last and last.badge == "Held":
        return StatusText("none", "Discarded" if school.plan_state == "discarded" else "Replaced", sentence, source)
    return last or StatusText("none", "No sync", sentence)


def status_of_sync(kind: str, result: str | None, report: Mapping[str, Any]) -> StatusText:
    """One sync. report: as it was stored beside it; {} where there is none yet."""
    if kind == "relink":
        return StatusText("info", "Relinked", outcome(SyncReport.from_dict(report)) if report else RELINKED)
    if kind == "person":
        return StatusText("warn" if result == "held" else "ok", "One person", ONE_PERSON[result or "applied"])
    if kind == "upload":
        return StatusText("info", "List uploaded", "People of an uploaded list were entered.")
    if not report:
        return StatusText("warn" if result == "held" else "ok", "Done", UNREPORTED.get(result or "", "Done."))
    told = SyncReport.from_dict(report)
    source = age_of_source(told)
    if any(held.rows for held in told.held):
        return StatusText("warn", "Held", outcome(told), source)
    if kind == "rollback":
        return StatusText("info", "Rolled back", outcome(told))
    if nothing_found(told):
        return StatusText("bad", "Nobody found", outcome(told), source)
    if told.connection is not None and told.connection.old:
        return StatusText("warn", "Old source", f"{outcome(told)} {' '.join(told.connection.old)}", source)
    if tone(told) == "attention":
        return StatusText("warn", "Please look", outcome(told), source)
    return StatusText("ok", "Done", outcome(told), source)


def status_of_entry(one: HistoryEntry, key: str) -> StatusText:
    """One line of a school's history."""
    if one.kind == "failure":
        return StatusText("bad", "Failed", in_console(plain(one.message or "", key)))
    if one.kind == "canceled":
        return StatusText(
            "none", "Canceled", f"{one.who} canceled a run. What it had not applied by then was not applied."
        )
    return status_of_sync(one.kind, one.outcome, one.report)


def next_run(school: SchoolStatus, now: datetime) -> datetime | None:
    """When the schedule starts the school next; None where it does not, because that is off or paused."""
    if not school.automatic or school.paused:
        return None
    return next_night(school.sync_time, ZoneInfo(school.time_zone), now, school.paused_until)


def plain(message: str, key: str) -> str:
    """A failure's message without the school's key in front, in one line: the page says whose it is."""
    text = " ".join(message.split()).removeprefix(f"{key}: ")
    return text[:1].upper() + text[1:]
