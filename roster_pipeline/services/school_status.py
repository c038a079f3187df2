"""The status of a school in words, the same as in mails: its last sync, the next step, the next run, and the first
steps of a new school from its first test to the nightly sync."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row

from roster_pipeline.directory import plans
from roster_pipeline.directory.school_overview import first_days
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.blocks import in_console
from roster_pipeline.notifications.content import SyncReport
from roster_pipeline.notifications.outcome import age_of_source, nothing_found, outcome, remarks, tone
from roster_pipeline.oneroster.connection_test_items import ROLE_NAMES
from roster_pipeline.services.plan_rows import summary_of, would_do
from roster_pipeline.services.settings_changes import LastTest, last_test
from roster_pipeline.settings.fields import CONNECTION, Setting
from roster_pipeline.sync.schedule_due import next_night
from roster_pipeline.vocabulary import ROLE_ORDER, counted, day, people_of, role_name

Tone = Literal["ok", "warn", "bad", "info", "none"]
RESUME = "Let it run by itself again"
NO_SYNC = "Nothing was synced yet."
RELINKED = "People were given their new ids; nothing else was changed."
ONE_PERSON = {
    "applied": "One person was synced at once.",
    "held": "One person was to be synced at once, and a guard held it.",
    "unchanged": "One person was synced at once, and nothing had to change.",
}
UNREPORTED = {"applied": "Applied.", "held": "Something is held.", "unchanged": "Nothing had to change."}
"""Shown in the moment between a sync and its report."""
MOST_SYNCS = 5
"""A school with this many syncs is no longer new, even without automatic rostering."""
IN_REMEDIES = {
    "token url": "token_url", "scopes": "scopes", "page size": "page_size", "ca bundle": "ca_bundle",
    "host key": "host_key",
}  # fmt: skip
"""The names that remedies use for settings that the form folds away."""


@dataclass(frozen=True)
class StatusText:
    """A badge of one or two words, its tone, and the sentence that explains it. source: how old the data are."""

    tone: Tone
    badge: str
    sentence: str
    source: str = ""


@dataclass(frozen=True)
class NextStep:
    """The one thing to do: the text of a button, and the page below the school's. `resume` is a form."""

    words: str
    path: str


def next_step(school: Row[Any], *, decidable: bool, tested: bool) -> NextStep:
    """The next step. decidable: somebody may decide about held rows. tested: the connection as it is now."""
    if school.state == "failing":
        return NextStep("Test and settings", "/settings") if school.sign_in else NextStep("Sync again", "/runs")
    if school.state == "held":
        return NextStep("Look and decide", "/holds") if decidable else NextStep("Sync again", "/runs")
    if school.state in ("paused", "resting"):
        return NextStep(RESUME, "/resume")
    if school.state == "stale":
        return NextStep("Sync now", "/runs")
    if school.sync_id is None and not tested:
        return NextStep("Test and settings", "/settings")
    return NextStep("Preview and run", "/runs")


def status_of(school: Row[Any]) -> StatusText:
    """The most urgent problem of a school. If there is none, how its last sync ended."""
    if school.state == "failing":
        return StatusText("bad", "Failed", in_console(plain(school.failure or "", school.key)))
    last = status_of_sync(school.kind, school.outcome, school.report or {}) if school.kind else None
    if last and last.badge == "Held" and not school.held:
        last = StatusText("none", *_became(school), last.source)
    sentence = last.sentence if last else NO_SYNC
    source = last.source if last else ""
    if school.state == "held":
        return StatusText("warn", "Held", _waiting(school, sentence), source)
    if school.state == "paused":
        return StatusText(
            "bad", "Paused", "Paused after a week of failed nights; it runs by itself again once resumed."
        )
    if school.state == "resting" and school.paused_until:
        return StatusText("none", "Paused", f"Paused until {day(school.paused_until)}. A sync by hand still works.")
    if school.state == "stale":
        return StatusText("warn", "Silent", sentence, source)
    return last or StatusText("none", "No sync", sentence)


def _became(school: Row[Any]) -> tuple[str, str]:
    """Badge and sentence for the last sync's held changes, if none of them waits any more."""
    if school.plan_state == "discarded":
        return "Discarded", "The held changes were discarded. The next sync makes a new plan."
    if school.plan_state == "planned" and school.plan_id == school.sync_plan_id:
        return "Left out", "The held changes were left out. Later syncs leave them out too."
    return "Replaced", "A newer plan replaced the held changes."


def _waiting(school: Row[Any], sentence: str) -> str:
    """The sentence of the last report, unless other changes wait now."""
    reported = SyncReport.from_dict(school.report).held if school.report else ()
    if sum(held.rows for held in reported) == school.held:
        return sentence
    return f"{counted(school.held, 'change is', 'changes are')} held."


def status_of_sync(kind: str, result: str | None, report: Mapping[str, Any]) -> StatusText:
    """The status of one sync. report: the report that was stored with it; {} if there is none yet."""
    if kind == "relink":
        return StatusText("info", "Relinked", outcome(SyncReport.from_dict(report)) if report else RELINKED)
    if kind == "person":
        return StatusText("warn" if result == "held" else "ok", "One person", ONE_PERSON[result or "applied"])
    if kind == "upload":
        return StatusText("info", "List uploaded", "People of an uploaded list were entered.")
    if not report:
        return StatusText("warn" if result == "held" else "ok", "Done", UNREPORTED.get(result or "", "Done."))
    parsed = SyncReport.from_dict(report)
    source = age_of_source(parsed)
    if any(held.rows for held in parsed.held):
        return StatusText("warn", "Held", outcome(parsed), source)
    if kind == "rollback":
        return StatusText("info", "Rolled back", outcome(parsed))
    if nothing_found(parsed):
        return StatusText("bad", "Nobody found", outcome(parsed), source)
    if parsed.connection is not None and parsed.connection.old:
        return StatusText("warn", "Old source", f"{outcome(parsed)} {' '.join(parsed.connection.old)}", source)
    if tone(parsed) == "attention":
        return StatusText("warn", "Please look", " ".join([outcome(parsed), *remarks(parsed)]), source)
    return StatusText("ok", "Done", outcome(parsed), source)


def status_of_entry(entry: Row[Any], key: str) -> StatusText:
    """The status of one line of a school's history."""
    if entry.kind == "failure":
        return StatusText("bad", "Failed", in_console(plain(entry.message or "", key)))
    if entry.kind == "canceled":
        return StatusText("none", "Canceled", f"{entry.who} canceled a run. The rest was not applied.")
    return status_of_sync(entry.kind, entry.outcome, entry.report)


def next_run(school: Row[Any], now: datetime) -> datetime | None:
    """When the schedule starts the school next. None if it does not, because automatic rostering is off or paused."""
    if not school.automatic or school.paused:
        return None
    return next_night(school.sync_time, ZoneInfo(school.time_zone), now, school.paused_until)


def plain(message: str, key: str) -> str:
    """The message of a failure in one line, without the school's key in front: the page already names the school."""
    text = " ".join(message.split()).removeprefix(f"{key}: ")
    return text[:1].upper() + text[1:]


@dataclass(frozen=True)
class FirstStep:
    """One step. detail: its result, in words. button, path: the page below the school's page where somebody does it."""

    words: str
    done: bool
    detail: str
    button: str
    path: str


def first_steps(conn: Connection, school: SchoolRow) -> list[FirstStep]:
    """The steps of a school in order. Empty if the school has done all of them, or is not new any more."""
    facts = first_days(conn, school.id)
    settings, first = school.settings, "Sync for the first time"
    if facts.applied and (settings.automatic or facts.applied >= MOST_SYNCS):
        return []
    tested = last_test(school)
    numbers = ""
    if facts.plan_id is not None and not facts.applied:
        numbers = would_do(summary_of(conn, plans.get(conn, facts.plan_id)))
    return [
        FirstStep(
            "Test the connection",
            tested is LastTest.GREEN,
            tested_school(school.test["items"]) if school.test and tested is LastTest.GREEN else "",
            "Test Your Information",
            "/settings/connection",
        ),
        FirstStep(
            "Choose who is rostered",
            bool(settings.rostered),
            ", ".join(role_name(role) for role in ROLE_ORDER if role in settings.rostered),
            "Choose the roles",
            "/settings/synced",
        ),
        FirstStep("Try it with a dry run", facts.plan_id is not None, numbers, "Dry run", "/runs"),
        FirstStep(
            f"{first}, and approve it" if settings.first_sync == "approve" else first,
            facts.applied > 0,
            "The first sync waits for your approval." if facts.held else "",
            "Look and decide" if facts.held else "Sync now",
            "/holds" if facts.held else "/runs",
        ),
        FirstStep(
            "Switch on automatic rostering",
            settings.automatic,
            f"Every night at {settings.sync_time:%H:%M} ({settings.time_zone})." if settings.automatic else "",
            "Open the schedule",
            "/settings/schedule",
        ),
    ]


def next_of(steps: list[FirstStep]) -> FirstStep | None:
    """The first step that is not done."""
    return next((step for step in steps if not step.done), None)


def tested_school(items: Sequence[Mapping[str, Any]]) -> str:
    """The people that a test found: `Oak High: 412 students, 31 teachers`; "" if it did not get so far."""
    names = [str(item["value"]) for item in items if item["name"] == "School" and item.get("value")]
    counts = {item["name"]: item["value"] for item in items if isinstance(item.get("value"), int)}
    people = [people_of(role, counts[name]) for role, name in ROLE_NAMES.items() if name in counts]
    return f"{names[0]}: {', '.join(people)}" if names and people else ""


def fields_named(items: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """The folded settings that the remedies of red items name, so that a page can unfold them."""
    remedies = " ".join(str(item["remedy"]).lower() for item in items if item["ok"] is False)
    found = {name for phrase, name in IN_REMEDIES.items() if phrase in remedies}
    return [setting for setting in CONNECTION if setting.name in found]
