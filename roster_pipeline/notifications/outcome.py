"""The words of a report: outcome, subject, tone, and which owners want to get it. Pure functions of the report."""

from collections.abc import Sequence
from typing import Literal
from zoneinfo import ZoneInfo

from roster_pipeline.errors import ABOUT_AGE
from roster_pipeline.notifications.content import Action, FailureAlert, SyncReport
from roster_pipeline.vocabulary import DONE, counted, day

Tone = Literal["good", "attention", "failed"]

SUBJECT_LENGTH = 150
"""Longer subjects are cut by every mail client anyway."""
NAME_LENGTH = 60
"""How many characters the school's name has in the subject, so that the longest name leaves room for the outcome."""

NOUNS: dict[Action, tuple[str, str]] = {
    "archive": ("archival", "archivals"),
    "create": ("creation", "creations"),
    "update": ("update", "updates"),
    "restore": ("restoration", "restorations"),
}
"""The actions in the order of `RISKIEST_FIRST`."""
_LEAD: dict[str, str] = {"approval": "approved plan applied: ", "person": "one person: ", "upload": "uploaded list: "}


def joined(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def held_by_action(report: SyncReport, *, overridable: bool | None = None) -> list[str]:
    """`["12 archivals", "1 update"]`: what is held and would change somebody. overridable: can a person approve it?"""
    some = [held for held in report.held if overridable in (None, held.overridable)]
    totals = {action: sum(held.rows for held in some if held.action == action) for action in NOUNS}
    return [counted(rows, *NOUNS[action]) for action, rows in totals.items() if rows]


def _done(report: SyncReport) -> list[str]:
    done = [f"{report.total(name):,} {name}" for name in DONE.values() if report.total(name)]
    removed = report.contacts.removed
    return [*done, f"{counted(removed, 'contact', 'contacts')} removed"] if removed else done


def _waits_for_approval(report: SyncReport) -> bool:
    return report.first_sync and bool(held_by_action(report)) and not _done(report)


def _incomplete(report: SyncReport) -> bool:
    return report.connection is not None and not report.connection.complete


def _is_old(report: SyncReport) -> bool:
    return report.connection is not None and bool(report.connection.old)


def _lacks_records(report: SyncReport) -> bool:
    """Whether the roster is incomplete for another reason than its age."""
    problems = report.connection.problems if report.connection else []
    return _incomplete(report) and not (problems and all(problem.startswith(ABOUT_AGE) for problem in problems))


def nothing_found(report: SyncReport) -> str:
    """Why a sync found no people, as half a sentence. "" if it found some, or if that is not known."""
    if report.kind != "sync" or report.found is None or report.found > 0:
        return ""
    if not report.roles:
        return "no role of this school is rostered, so nobody was looked for"
    unusable = sum(line.rows for line in report.rejected if line.collection == "users" and line.severity == "error")
    if unusable:
        return f"nobody was found: {counted(unusable, 'record', 'records')} of the SIS could not be used"
    if report.records:
        came = counted(report.records, "record", "records")
        return f"nobody was found: {came} came, but none has a role that is rostered here"
    return "nobody was found: the SIS shows no people of this school"


def failed_checks(report: SyncReport) -> int:
    """Checks that failed as errors; warnings are shown, but they do not make a night a problem."""
    return sum(not check.passed and check.severity == "error" for check in report.checks)


def _taken_back(report: SyncReport) -> list[str]:
    """`["3 creations", "1 archival"]`: what a rollback undid."""
    totals = {action: report.total(DONE[action]) for action in NOUNS}
    return [counted(rows, *NOUNS[action]) for action, rows in totals.items() if rows]


def _left_by_rollback(report: SyncReport) -> str:
    moved = report.total("skipped")
    return f"{counted(moved, 'person', 'people')} changed later, so they were not touched" if moved else ""


def _undone(report: SyncReport) -> str:
    back = _taken_back(report)
    verb = "was" if len(back) == 1 and back[0].startswith("1 ") else "were"
    parts = [f"{joined(back)} {verb} taken back" if back else "", _left_by_rollback(report)]
    return f"Sync undone: {'; '.join(part for part in parts if part) or 'nothing was changed'}."


def linked_words(people: int) -> str:
    """What a relink did, as half a sentence."""
    return f"the ids of {counted(people, 'person', 'people')} were linked"


def wrong_as_such(report: SyncReport) -> list[str]:
    """Problems that guards found in the roster itself, although nobody would change because of them."""
    return list(dict.fromkeys(found.message for held in report.held if not held.rows for found in held.findings))


def looks_wrong(report: SyncReport) -> bool:
    """Whether guards found problems in the roster itself although nobody would change."""
    return any(held.findings for held in report.held) and not any(held.rows for held in report.held)


def claimed_words(people: int) -> str:
    """The sentence for a school about its people who come from another connection too."""
    come = "also comes" if people == 1 else "also come"
    return (
        f"{counted(people, 'person', 'people')} of this school {come} from another connection of the district, which "
        "may not decide alone that they are the same. Nothing is changed; the district's manager decides."
    )


def outcome(report: SyncReport) -> str:
    """The outcome in one sentence."""
    if report.kind == "relink":
        return f"{linked_words(report.linked).capitalize()}; nothing else was changed."
    if report.kind == "rollback":
        return _undone(report)
    done, held = _done(report), held_by_action(report)
    if _waits_for_approval(report):
        summary = f"the first sync of this school waits for approval: {joined(held)}"
    elif held:
        rest = [joined(done)] if done else [] if _incomplete(report) else ["nothing else had to change"]
        summary = "; ".join([*_held_words(report), *rest])
    elif done:
        summary = joined(done)
    elif nothing_found(report):
        summary = nothing_found(report)
    else:
        summary = _nothing(report)
    sentence = _LEAD.get(report.kind, "") + summary
    return sentence[0].upper() + sentence[1:] + "."


def _held_words(report: SyncReport) -> list[str]:
    """The held changes: those that wait for a person, and those that nobody can approve."""
    parts = []
    for can, what in ((True, "held until someone decides"), (False, "held and cannot be approved")):
        held = held_by_action(report, overridable=can)
        if held:
            verb = "is" if len(held) == 1 and held[0].startswith("1 ") else "are"
            parts.append(f"{joined(held)} {verb} {what}")
    return parts


def _nothing(report: SyncReport) -> str:
    """Why nothing was changed; only a complete roster without people left alone matches the directory."""
    left = report.total("skipped") + report.total("conflicts")
    if left:
        return f"nothing was changed; {counted(left, 'person was', 'people were')} left alone"
    if report.held or _incomplete(report) or _is_old(report):
        return "nothing was changed"
    return "nothing had to change: the directory already matches the roster"


def remarks(report: SyncReport) -> list[str]:
    """Things that the reader must not miss, in addition to the outcome. Each is a sentence."""
    sentences = []
    conflicts = report.total("conflicts")
    if conflicts:
        people = counted(conflicts, "person", "people")
        sentences.append(f"{people} could not be matched safely.")
    if report.claimed:
        sentences.append(claimed_words(report.claimed))
    if to_check(report):
        reasons = dict.fromkeys(note.message for note in report.row_notes if note.to_check)
        sentences.append(" ".join(["Please check some people.", *reasons]))
    if looks_wrong(report):
        sentences.append("The roster looks wrong, but no change in this sync comes from that.")
    sentences += _of_contacts(report)
    if nothing_found(report) and (_done(report) or held_by_action(report)):
        sentences.append(f"{nothing_found(report).capitalize()}.")
    if _lacks_records(report):
        sentences.append("The SIS did not deliver the whole roster, so nobody is archived.")
    if report.connection is not None and report.connection.old:
        sentences += [*report.connection.old, "Nobody is archived because of it."]
    return [*sentences, *report.noted]


def _of_contacts(report: SyncReport) -> list[str]:
    found, sentences = report.contacts, []
    if found.removed:
        were = "contact was" if found.removed == 1 else "contacts were"
        sentences.append(
            f"{found.removed:,} stored {were} removed, because the SIS says that nobody may call them any more."
        )
    if found.excluded:
        are = "contact is" if found.excluded == 1 else "contacts are"
        unknown = f" {found.unknown:,} of them have a value that no contact rule knows." if found.unknown else ""
        sentences.append(f"{found.excluded:,} {are} not used, because of the contact rules.{unknown}")
    if found.withheld:
        sentences.append(
            f"No contact has {counted(found.withheld, 'field', 'fields')} that the contact rules need, so no new "
            "contact was chosen and the stored ones stay. Check what the SIS shares. If it no longer sends the "
            "field, remove the rule. If the field is right, save the connection again."
        )
    return sentences


def age_of_source(report: SyncReport) -> str:
    """The age of the data: `bundle of Sat 7 Nov 2026, 21 days old`, `no change for 15 days`; "" for nothing."""
    facts = report.connection
    if facts is None:
        return ""
    parts = []
    if facts.written is not None:
        days = (report.when - facts.written).days
        age = f", {counted(days, 'day', 'days')} old" if days else ""
        parts.append(f"bundle of {day(facts.written.astimezone(ZoneInfo(report.time_zone)))}{age}")
    same = (report.when - facts.unchanged_since).days if facts.unchanged_since is not None else 0
    if same:
        parts.append(f"no change for {counted(same, 'day', 'days')}")
    return ", ".join(parts)


def subject(mail: SyncReport | FailureAlert) -> str:
    """The school's name and then the outcome, for a list of mails."""
    words = f"roster sync failed: {mail.cause}" if isinstance(mail, FailureAlert) else _headline(mail)
    return _cut(f"{_cut(mail.school_name, NAME_LENGTH)}: {words}", SUBJECT_LENGTH)


def _cut(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def _headline(report: SyncReport) -> str:
    if report.kind == "rollback":
        parts = [", ".join(_taken_back(report)), _left_by_rollback(report)]
        return f"sync undone: {'; '.join(part for part in parts if part) or 'no changes'}"
    if report.kind == "relink":
        return linked_words(report.linked)
    held = held_by_action(report)
    if _waits_for_approval(report):
        return f"first sync waits for approval ({', '.join(held)})"
    decide = ", please decide" if held_by_action(report, overridable=True) else ""
    parts = [f"{', '.join(held)} held{decide}"] if held else []
    parts += [", ".join(_done(report))] if _done(report) else []
    if report.total("conflicts"):
        parts.append(counted(report.total("conflicts"), "conflict", "conflicts"))
    if report.claimed:
        parts.append(f"{report.claimed:,} claimed elsewhere")
    if looks_wrong(report) and not _incomplete(report):
        parts.append("the roster looks wrong")
    if nothing_found(report):
        parts.append("nobody was found")
    if _lacks_records(report):
        parts.append("incomplete answer from the SIS")
    if _is_old(report):
        parts.append("the source is old")
    if failed_checks(report):
        parts.append(counted(failed_checks(report), "check failed", "checks failed"))
    return _LEAD.get(report.kind, "") + ("; ".join(parts) or "no changes")


def to_check(report: SyncReport) -> int:
    """How many people to check: recognised without a link, or somebody else has the same key."""
    return sum(note.rows for note in report.row_notes if note.to_check)


def tone(mail: SyncReport | FailureAlert) -> Tone:
    """`failed`: no sync; `attention`: someone should look; `good`: nothing to do."""
    if isinstance(mail, FailureAlert):
        return "failed"
    moved = mail.kind == "rollback" and mail.total("skipped")
    people = moved or mail.held or mail.total("conflicts") or mail.claimed or to_check(mail)
    source = _incomplete(mail) or failed_checks(mail) or _is_old(mail) or bool(nothing_found(mail))
    return "attention" if people or source else "good"


def wants(mail: SyncReport | FailureAlert, when: Literal["every", "problems", "daily"]) -> bool:
    """Whether an owner gets this report. A switch that is off is not a problem; a record without use is one."""
    if when != "problems" or tone(mail) != "good" or isinstance(mail, FailureAlert):
        return True
    unused = any(rejected.severity == "error" and rejected.rows for rejected in mail.rejected)
    return unused or bool(mail.linked or _done(mail))
