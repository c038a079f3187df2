"""Watches schools and connections and sends mails: held changes, claimed people, silence, old sources, all-clears.

Alerts on held changes and on people that another connection delivers too are opened once per school. They end with an
all-clear when nothing waits any more. Owners who get a report after every sync read about held changes in the report.
So this alert goes only to the operators, and to owners who get one report a day. The alert on claimed people goes to
their school and to the managers, who can settle it.

A night that reads a source opens or clears the alert on its age. A night inside a blackout window opens no alert,
because in summer the SIS does not change either.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.directory import accounts, alerts, approvals, tenants
from roster_pipeline.directory.alerts import CLAIMED, HELD, SOURCE_STALE, STALE, Alert
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.held_plans import changed_claims, claimed_people, schools_of_people
from roster_pipeline.directory.locks import lock_until_commit, try_lock_until_commit
from roster_pipeline.notifications.notice import Notice
from roster_pipeline.notifications.outcome import NOUNS, claimed_words, joined
from roster_pipeline.sync.alerts import expiry_changes, notify_pause, pause_failing, send_expiry_change
from roster_pipeline.sync.outbox_sender import page_of_school, school_notice, send_alert, was_open
from roster_pipeline.sync.source_age import snapshot_facts, wrong_with_age
from roster_pipeline.vocabulary import counted, moment, role_name

SILENCE = timedelta(hours=36)
"""Without a finished sync: one missed night and half a day, so that a late night does not cause an alert."""
REMIND_AFTER = timedelta(days=7)
SILENT_HINT = "Ask an operator whether the Dagster daemon and its queue work, or sync by hand to see the error."
CLAIM_HINT = "There the manager says who they are."
MOST_NAMED = 3
"""Schools that an alert names."""


@dataclass(frozen=True)
class Watched:
    """How many alerts one check opened, cleared and repeated."""

    opened: int = 0
    cleared: int = 0
    reminded: int = 0


def watch(database: Database, now: datetime) -> Watched:
    """Check everything once, in one transaction. Each alert and its mail are written together."""
    with database.begin() as conn:
        lock_until_commit(conn, "alerts of all schools")  # two daemons may check at once
        alerts.lock_all(conn)
        held, claimed = watch_holds(conn, now), watch_claims(conn, now)
        cleared, paused = _clear_finished(conn, now), pause_failing(conn, now)
        silent = alerts.silent_schools(conn, now, SILENCE)
        reminded = alerts.to_remind(conn, now, REMIND_AFTER)
        turns = expiry_changes(conn, now)
        schools = {school.id: school for school in tenants.list_schools(conn)} if silent or reminded or turns else {}
        for one in silent:
            school = schools[one.id]
            since = moment(one.since, school.settings.time_zone)
            message = f"No roster sync was finished since {since}, and no run says why"
            link = page_of_school(school.key, "Sync now", "/runs")
            notice = school_notice(
                school, now, "failed", "Silent", message, SILENT_HINT, command="roster doctor", link=link
            )
            _open(conn, school, STALE, message, notice)
        for alert in reminded:
            school = schools[alert.school_id or 0]
            notify_pause(conn, school, alert.message, now, alert.id, f"reminder {now:%Y-%m-%d}")
        sent = [send_expiry_change(conn, turn, schools.values(), now) for turn in turns]
    opened = held.opened + claimed.opened + paused + len(silent) + sum(opened for opened, _ in sent)
    over = held.cleared + claimed.cleared + cleared + sum(closed for _, closed in sent)
    return Watched(opened, over, len(reminded))


def settle(conn: Connection, school_id: int, now: datetime) -> Watched:
    """Open and clear the alerts of one school after a sync or a decision, in the transaction of that sync or
    decision. Alerts that another transaction has locked right now are left to that transaction, or to the next call
    of `watch`."""
    mine = alerts.lock_of_school(conn, school_id)
    held = watch_holds(conn, now, school_id, mine)
    cleared = _clear_finished(conn, now, mine) if mine else 0
    changed = changed_claims(conn, school_id)
    claimed = watch_claims(conn, now, changed) if changed else Watched()
    return Watched(held.opened + claimed.opened, held.cleared + cleared + claimed.cleared)


def settle_people(conn: Connection, district_id: int, people: Collection[int]) -> None:
    """The same for a decision about who somebody is, in its transaction. people: their numbers."""
    watch_claims(conn, datetime.now(UTC), schools_of_people(conn, district_id, people))


def _clear_finished(conn: Connection, now: datetime, only: list[int] | None = None) -> int:
    """Clear answered alerts, or those of `only`, with a mail each. Returns how many."""
    cleared = alerts.clear_finished(conn, only)
    schools = {school.id: school for school in tenants.list_schools(conn)} if cleared else {}
    for alert in cleared:
        if alert.school_id is not None:
            concerned = [schools[alert.school_id]]
            about, key = concerned[0].name, concerned[0].key
        else:
            every = [school for school in schools.values() if school.connection.id == alert.connection_id]
            concerned = [school for school in every if school.settings.automatic] or every
            about, key = f"Connection {every[0].connection.key}", ""
        what = "The SIS can be read again" if alert.connection_id else "The roster sync works again"
        zone = concerned[0].settings.time_zone
        since = was_open(alert.opened_at, alert.message.splitlines()[0], zone)
        notice = Notice(about, key, now, zone, "good", "All clear", what, (since,))
        send_alert(conn, concerned, notice, alert.id, "cleared")
    return len(cleared)


def _open(conn: Connection, school: tenants.SchoolRow, cause: str, message: str, notice: Notice, **to: Any) -> bool:
    """Open an alert of a school with its mail; False if it is open already. to: further recipients, as `send_alert`."""
    opened = alerts.open_alert(conn, f"school {school.key}", cause, message, school=school.id)
    if opened is not None:
        send_alert(conn, [school], notice, opened, "opened", **to)
    return opened is not None


def _all_clear(
    conn: Connection, school: tenants.SchoolRow, alert: Alert, headline: str, now: datetime, *, owners_too: bool = True
) -> None:
    since = was_open(alert.opened_at, alert.message, school.settings.time_zone)
    notice = school_notice(school, now, "good", "All clear", headline, since)
    send_alert(conn, [school], notice, alert.id, "cleared", owners_too=owners_too)


def watch_source(conn: Connection, school: tenants.SchoolRow, facts: Mapping[str, Any], now: datetime) -> None:
    """Open or clear the school's alert on its source. facts: the facts of the snapshot that was just taken."""
    found = wrong_with_age(snapshot_facts(facts, school.settings.zone), school.settings.guards)
    if not found:
        cleared = alerts.close_of(conn, f"school {school.key}", SOURCE_STALE)
        if cleared is not None:
            _all_clear(conn, school, cleared, "The source is up to date again", now)
        return
    today = now.astimezone(school.settings.zone).date()
    windows = school.settings.guards.windows
    if any(window.kind == "blackout" and window.first <= today <= window.last for window in windows):
        return
    hint = "Nobody is archived meanwhile. Check whether the export still runs, and where it writes to."
    if facts["written_at"] is None:
        hint = "Nobody is archived meanwhile. Check whether the SIS still passes its changes on to this connection."
    message = " ".join(found)
    notice = school_notice(
        school,
        now,
        "attention",
        "Old source",
        "The source of the roster looks old",
        message,
        hint,
        command=f"roster test-connection {school.key}",
        link=page_of_school(school.key, "Test and settings", "/settings"),
    )
    _open(conn, school, SOURCE_STALE, message, notice)


def watch_holds(
    conn: Connection, now: datetime, school_id: int | None = None, only: list[int] | None = None
) -> Watched:
    """Check all schools once, or one; only: of its alerts, these. In the caller's transaction."""
    by_school: dict[int, list[approvals.Hold]] = {}
    for hold in approvals.held(conn, school_id=school_id):
        by_school.setdefault(hold.school_id, []).append(hold)
    if not by_school and only == []:
        return Watched()
    cleared = alerts.clear_held(conn, list(by_school), only)
    already_open = {alert.school_id for alert in alerts.open_alerts(conn) if alert.cause == HELD}
    fresh = {number: holds for number, holds in by_school.items() if number not in already_open}
    if not (cleared or fresh):
        return Watched()
    schools = tenants.schools_by_id(conn, [*fresh, *(alert.school_id or 0 for alert in cleared)])
    for alert in cleared:
        school = schools[alert.school_id or 0]
        _all_clear(conn, school, alert, "Nothing is held any more", now, owners_too=_waits(school))
    for number, holds in fresh.items():
        school = schools[number]
        message = f"{_held(holds)} held{_by_whom(holds)}"
        may = any(hold.overridable for hold in holds)
        link = page_of_school(school.key, *(("Look and decide", "/holds") if may else ("Sync again", "/runs")))
        notice = school_notice(
            school,
            now,
            "attention",
            "Held",
            message,
            "The report says why. Everything else of that sync was done.",
            command=f"roster hold show {school.key}",
            link=link,
        )
        managers = accounts.managers_of(conn, school.district_id) if any(h.needs_manager for h in holds) else []
        _open(conn, school, HELD, f"{message}.", notice, owners_too=_waits(school), also=managers)
    return Watched(len(fresh), len(cleared))


def _held(holds: list[approvals.Hold]) -> str:
    kinds = [f"{counted(hold.rows, *NOUNS[hold.action])} of {role_name(hold.role)}" for hold in holds]  # type: ignore[index]
    return f"{joined(kinds)} {'is' if sum(hold.rows for hold in holds) == 1 else 'are'}"


def _by_whom(holds: list[approvals.Hold]) -> str:
    """The end of the sentence about waiting changes: who has to decide."""
    overridable = [hold for hold in holds if hold.overridable]
    if not overridable:
        return " and cannot be approved"
    return (
        " until the district's manager decides"
        if all(h.needs_manager for h in overridable)
        else " until someone decides"
    )


def _waits(school: tenants.SchoolRow) -> bool:
    return school.settings.report_when == "daily"


def watch_claims(conn: Connection, now: datetime, only: Collection[int] | None = None) -> Watched:
    """Check once, in the caller's transaction. only: check only the people of these schools. Alerts that another
    transaction opens or closes now are left to it, or to the next check."""
    claimed = claimed_people(conn, only)
    already_open = {
        alert.school_id or 0: alert
        for alert in alerts.open_alerts(conn)
        if alert.cause == CLAIMED and (only is None or alert.school_id in only)
    }
    if claimed.keys() == already_open.keys() or not try_lock_until_commit(conn, "alerts on claimed people"):
        return Watched()
    fresh, over = claimed.keys() - already_open.keys(), already_open.keys() - claimed.keys()
    mine = alerts.lock_open(conn, [already_open[number].id for number in over])
    ended = [already_open[number] for number in sorted(over) if already_open[number].id in mine]
    others = {by for number in fresh for by in claimed[number].by_schools}
    schools = tenants.schools_by_id(conn, {*fresh, *over, *others})
    for alert in ended:
        alerts.close(conn, alert.id)
        headline = "Nobody of this school is claimed elsewhere any more"
        _all_clear(conn, schools[alert.school_id or 0], alert, headline, now)
    opened = 0
    for number in sorted(fresh):
        school, message = schools[number], claimed_words(claimed[number].people)
        opened += _open_claim(conn, school, message, [schools[by] for by in claimed[number].by_schools], now)
    return Watched(opened, len(ended))


def _open_claim(
    conn: Connection, school: tenants.SchoolRow, message: str, by: list[tenants.SchoolRow], now: datetime
) -> bool:
    """The alert to the school, and to the managers, who can open the conflicts of the schools that claim the people."""
    named = [other.name for other in by[:MOST_NAMED]]
    named += [counted(len(by) - MOST_NAMED, "more school", "more schools")] if len(by) > MOST_NAMED else []
    plans = "plan" if len(by) == 1 else "plans"
    hint = f"The {plans} of {joined(named)} {'lists' if len(by) == 1 else 'list'} the records. {CLAIM_HINT}"
    headline = "Another school also claims people of this one"
    notice = school_notice(school, now, "attention", "Claimed elsewhere", headline, message, hint)
    link = page_of_school(by[0].key, "Say who they are", "/conflicts")
    managers = accounts.managers_of(conn, school.district_id)
    return _open(conn, school, CLAIMED, message, notice, also=managers, also_link=link)
