"""The layout of a mail: makes a page of blocks from a report or an alert. Pure functions."""

from dataclasses import fields
from datetime import datetime

from roster_pipeline.errors import in_words
from roster_pipeline.notifications.blocks import (
    Block,
    Command,
    Facts,
    Link,
    Page,
    Section,
    Sentence,
    Table,
    draw,
    page_link,
    web_address,
)
from roster_pipeline.notifications.content import (
    ConnectionFacts,
    FailureAlert,
    Held,
    LeftAlone,
    QualityCheck,
    Rejected,
    RoleCounts,
    SyncReport,
    sync_title,
)
from roster_pipeline.notifications.mail import Mail
from roster_pipeline.notifications.notice import alert_sections
from roster_pipeline.notifications.outcome import NOUNS, Tone, joined, outcome, remarks, subject, tone, wrong_as_such
from roster_pipeline.vocabulary import counted, moment, people_of, role_name

BADGES: dict[Tone, str] = {"good": "Done", "attention": "Please look", "failed": "Failed"}
COUNTS = tuple(field.name for field in fields(RoleCounts) if field.name != "role")
TAKEN_BACK = {
    "created": "Creations", "updated": "Updates", "restored": "Restorations", "archived": "Archivals",
    "skipped": "Changed since, left alone",
}  # fmt: skip
"""The counts of a rollback."""
FOOTER = "Counts only: this mail names nobody. Who gets it, and when, is one of the school's settings:"
FOOTER_IN_CONSOLE = "Counts only: this mail names nobody. Who gets it, and when, is set on the school's page Settings."
THIS_SYNC = "Look at this sync"
SWITCHED_OFF = {
    "auto_update_off": "{people} would be updated: Auto update is off.",
    "archive_off": "{people} would be archived: Archive is off.",
    "role_off": "{people} not touched: the role they have in the SIS is not rostered.",
}
"""People who are left alone because the owner chose so."""


def page_of(mail: SyncReport | FailureAlert, *, commands: bool | None = None) -> Page:
    """The page of a report or an alert. commands: it names commands to run; by default if there is no console."""
    typed = web_address(mail.console_url) is None if commands is None else commands
    if isinstance(mail, FailureAlert):
        details, sections = [f"Step: {mail.step}"], alert_sections(mail, typed)
        headline = f"The roster sync failed: {mail.cause}."
    else:
        details = [sync_title(mail.kind, mail.sync_id)] if mail.sync_id is not None else []
        headline, sections = outcome(mail), _report(mail, typed)
    colour = tone(mail)
    return Page(
        school=mail.school_name,
        tone=colour,
        badge=BADGES[colour],
        headline=headline,
        remarks=tuple(remarks(mail)) if isinstance(mail, SyncReport) else (),
        details=(moment(mail.when, mail.time_zone), *details),
        action=action_of(mail),
        sections=tuple(section for section in sections if section.blocks),
        footer=f"{FOOTER} roster school show {mail.school_key}" if typed else FOOTER_IN_CONSOLE,
        run=web_address(mail.run_url),
    )


def action_of(mail: SyncReport | FailureAlert) -> Link | None:
    """The next step, as a page of the console; None if there is no console or nothing to do."""
    school = f"/schools/{mail.school_key}"
    if isinstance(mail, FailureAlert):
        text, path = ("Test and settings", "/settings") if mail.sign_in else ("Sync again", "/runs")
    elif any(held.rows and held.overridable for held in mail.held):
        text, path = "Look and decide", "/holds"
    elif mail.kind == "relink" or any(held.rows for held in mail.held):
        text, path = "Sync again", "/runs"
    elif mail.total("conflicts"):
        text, path = "Say who they are", "/conflicts"
    elif tone(mail) != "good" and mail.sync_id is not None:
        text, path = THIS_SYNC, f"/syncs/{mail.sync_id}"
    else:
        return None
    return page_link(mail.console_url, f"{school}{path}", text)


def _report(report: SyncReport, typed: bool) -> list[Section]:
    if report.kind == "relink":
        next_ = Sentence("Sync the school again: the new plan finds these people by their new ids.", "quiet")
        return [Section("What to do next", (next_, *([Command(f"roster sync {report.school_key}")] if typed else [])))]
    notes = tuple(Sentence(note.sentence) for note in report.row_notes)
    return [
        _held(report, typed),
        _wrong(report),
        _people(report),
        Section("Left as they are", tuple(Sentence(_left_alone(left)) for left in report.left_alone if left.rows)),
        Section("To check", notes, attention=any(note.to_check for note in report.row_notes)),
        _comparison(report),
        _checks(report.checks),
        _rejected(report.rejected),
        _connection(report),
        _details(report, typed),
    ]


def _people(report: SyncReport) -> Section:
    """Actions by role. For a rollback, what it took back."""
    roles, undone = report.roles, report.kind == "rollback"
    totalled = len(roles) > 1
    headings = ("", *(role_name(role.role).capitalize() for role in roles), *(("Total",) if totalled else ()))
    rows = []
    for name in TAKEN_BACK if undone else COUNTS:
        numbers = [getattr(role, name) for role in roles]
        if not any(numbers):
            continue
        numbers += [sum(numbers)] if totalled else []
        rows.append((TAKEN_BACK[name] if undone else name.capitalize(), *(f"{number:,}" for number in numbers)))
    if not rows:
        return Section("", ())
    blocks: list[Block] = [Table(headings, tuple(rows))]
    link = page_link(report.console_url, f"/schools/{report.school_key}/syncs/{report.sync_id}", THIS_SYNC, quiet=True)
    blocks += [link] if link and report.sync_id is not None else []
    return Section("Taken back" if undone else "People", tuple(blocks))


def _held(report: SyncReport, typed: bool) -> Section:
    """One paragraph per set of reasons. So a guard that holds a whole school is explained once."""
    by_reason: dict[tuple[str, ...], list[Held]] = {}
    key, plan = report.school_key, report.plan_id or "N"
    for item in report.held:
        if not item.rows:
            continue
        by_reason.setdefault(tuple(finding.message for finding in item.findings), []).append(item)
    blocks: list[Block] = []
    for messages, items in by_reason.items():
        held = joined([f"{counted(item.rows, *NOUNS[item.action])} of {role_name(item.role)}" for item in items])
        blocks.append(Sentence(held, "strong"))
        blocks += [Sentence(message) for message in messages]
    fixed = [items for items in by_reason.values() if not all(item.overridable for item in items)]
    waiting = [items for items in by_reason.values() if items not in fixed]
    if waiting and typed:
        blocks += [
            Sentence("Look at the plan row by row, then approve it with a reason:", "quiet"),
            Command(f"roster hold show {key}"),
            Command(f'roster hold approve {key} --plan {plan} --reason "..."'),
        ]
    if fixed:
        other = "The rest" if waiting else "This"
        blocks.append(Sentence(f"{other} cannot be approved. Correct the cause, then sync again.", "quiet"))
    return Section("Held", tuple(blocks), attention=True)


def _wrong(report: SyncReport) -> Section:
    """Problems of the roster that hold nobody."""
    blocks: list[Block] = [Sentence(message) for message in wrong_as_such(report)]
    if blocks:
        blocks.append(Sentence("There is nothing to approve. Look at it in the SIS before the next sync.", "quiet"))
    return Section("What looks wrong", tuple(blocks), attention=True)


def _left_alone(left: LeftAlone) -> str:
    people = people_of(left.role, left.rows)
    if left.reason in SWITCHED_OFF:
        return SWITCHED_OFF[left.reason].format(people=people)
    return f"{people}: {left.message or words(left.reason)}"


def _comparison(report: SyncReport) -> Section:
    compared = report.comparison
    if compared is None or not any(size.before or size.now for size in compared.sizes):
        return Section("", ())
    rows = tuple(
        (
            role_name(size.role).capitalize(),
            f"{size.before:,}",
            f"{size.now:,}",
            f"{size.now - size.before:+,}" if size.now != size.before else "0",
        )
        for size in compared.sizes
        if size.before or size.now
    )
    since = Sentence(
        f"People in the roster, compared with the sync of {moment(compared.previous, report.time_zone)}.", "quiet"
    )
    return Section("Compared with the sync before", (since, Table(("", "Before", "Now", "Change"), rows)))


def _checks(checks: tuple[QualityCheck, ...]) -> Section:
    if not checks:
        return Section("", ())
    failing = [check for check in checks if not check.passed]
    summary = f"{len(checks) - len(failing)} of {counted(len(checks), 'check', 'checks')} passed."
    rows = tuple(
        (f"{words(one.name).capitalize()} ({one.severity})", f"{one.failed:,}", f"{one.tested:,}") for one in failing
    )
    table = (Table(("Check", "Failed", "Tested"), rows),) if rows else ()
    return Section("Quality checks", (Sentence(summary), *table))


def _rejected(rejected: tuple[Rejected, ...]) -> Section:
    rows = tuple(
        (f"{words(r.collection)}: {r.field}, {words(r.rule)} ({r.severity})", f"{r.rows:,}") for r in rejected if r.rows
    )
    return Section("Records that could not be used as they are", (Table(("Rule", "Records"), rows),) if rows else ())


def words(slug: str) -> str:
    """A slug as words: `several_matches` becomes `several matches`."""
    return slug.replace("_", " ").replace("-", " ")


def _details(report: SyncReport, typed: bool) -> Section:
    details = report.details
    if details is None:
        return Section("", ())
    rows = counted(details.rows, "row", "rows")
    if details.attached:
        instead = {"ids": "with ids in place of names", "masked": "with initials in place of names"}[details.names]
        verb = "is" if details.rows == 1 else "are"
        summary = f"{rows} of the plan {verb} attached as a CSV file, {instead}."
        kept = "It still is about people, so keep it only as long as you need it."
        return Section("Row by row", (Sentence(summary), Sentence(kept, "quiet")))
    key, plan = report.school_key, report.plan_id or "N"
    blocks: list[Block] = [Sentence(f"The plan has {rows}, too many for a mail. Look at them, or write a file:")]
    blocks += [Command(f"roster plan show {key} --plan {plan} --csv rows.csv")] if typed else []
    link = page_link(report.console_url, f"/schools/{key}/plans/{plan}", "See the rows in the console")
    blocks += [link] if link else []
    return Section("Row by row", tuple(blocks))


def _dated(at: datetime | None, report: SyncReport) -> str:
    """A time with its age; nothing if the time is not known."""
    if at is None:
        return ""
    days = (report.when - at).days
    return moment(at, report.time_zone) + (f", {counted(days, 'day', 'days')} before" if days > 0 else "")


def _requests(facts: ConnectionFacts) -> str:
    repeated = f" ({facts.retries:,} repeated)" if facts.retries else ""
    return f"{facts.requests:,}{repeated}" if facts.requests else ""


def _connection(report: SyncReport) -> Section:
    facts = report.connection
    if facts is None:
        return Section("", ())
    pairs = [
        ("Complete", "yes" if facts.complete else "no"),
        ("Strategy", ", ".join(words(part) for part in (facts.strategy, facts.mode) if part)),
        ("OneRoster", facts.version or ""),
        ("Records", f"{facts.records:,}" if facts.records else ""),
        ("Pages", f"{facts.pages:,}" if facts.pages else ""),
        ("Requests", _requests(facts)),
        ("Seconds", f"{facts.seconds:,.1f}" if round(facts.seconds, 1) else ""),
        ("Bundle written", _dated(facts.written, report)),
        ("Last change seen", _dated(facts.unchanged_since, report)),
        ("Clock of the SIS", facts.clock),
        ("Noticed", "; ".join(facts.noticed)),
    ]
    pairs += [("Problem", in_words(problem)) for problem in facts.problems]
    return Section("Connection", (Facts(tuple((name, value) for name, value in pairs if value)),))


def render(report: SyncReport | FailureAlert, *, commands: bool | None = None) -> Mail:
    """The mail: subject, text and HTML, with the same content in both. commands: as for `page_of`."""
    return draw(page_of(report, commands=commands), subject(report), report.school_key)
