"""Manual changes of one person. Each takes the typed reason, refuses an empty one, and writes an audit entry in the
same transaction. It raises DirectoryError. The callers check first who may do what. Typed values are normalized like
those of a SIS, or refused: applications read one directory."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.cleaning.emails_and_phones import e164, valid_email
from roster_pipeline.cleaning.field_values import CEDS, ceds, clean_names, clean_text, hidden, is_cut, too_long
from roster_pipeline.directory import ledger, manual_edits, plans, relink, tenants, undo_edit
from roster_pipeline.directory.audit import Entry
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.members import Person
from roster_pipeline.directory.operations import erase as erase_everywhere
from roster_pipeline.frames import Array, strings
from roster_pipeline.services.settings_changes import given_reason
from roster_pipeline.sync.monitoring import settle_people
from roster_pipeline.vocabulary import LONGEST_ID, PERSON_FIELDS, ROLE_ORDER

WORDS = {"yes": True, "true": True, "no": False, "false": False}
ADDED = tuple(name for name in PERSON_FIELDS if name != "enabled")
"""Fields that somebody who is entered by hand may have."""
NAMES = ("given_name", "family_name", "middle_name", "preferred_given_name", "preferred_family_name")
_NO_COUNTRY = "ZZ"
"""The library's unknown region: a person may have schools in several, so a phone number needs its country."""


def set_excluded(conn: Connection, district_id: int, person_id: int, excluded: bool, *, who: str, reason: str) -> str:
    """Keep every sync away from the person, or let them in again. Returns what was done as a sentence, as all here."""
    manual_edits.set_excluded(conn, district_id, person_id, excluded, who=who, reason=given_reason(reason))
    if excluded:
        return f"No sync changes person {person_id} until they are included again."
    return f"Syncs change person {person_id} again."


def set_lock(
    conn: Connection, district_id: int, person_id: int, field: str, locked: bool, *, who: str, reason: str
) -> str:
    """Keep one field as it is, even if the SIS differs, or let it follow the SIS again."""
    manual_edits.set_lock(conn, district_id, person_id, field, locked, who=who, reason=given_reason(reason))
    return f"{field} of person {person_id} {'is locked' if locked else 'follows the SIS again'}."


def edit(
    conn: Connection,
    district_id: int,
    person_id: int,
    typed: Mapping[str, str],
    *,
    who: str,
    reason: str,
    locked: bool = True,
) -> str:
    """Set fields to the typed values; an empty one clears the field. locked: the next sync leaves them."""
    values = {name: stored_value(name, value) for name, value in typed.items()}
    manual_edits.edit(conn, district_id, person_id, values, lock_fields=locked, who=who, reason=given_reason(reason))
    fields = ", ".join(values).replace("_", " ")
    return f"Person {person_id}: {fields} set{' and locked' if locked else ''}."


def set_archived(conn: Connection, school: str, person_id: int, archived: bool, *, who: str, reason: str) -> str:
    """Archive a membership, and syncs leave it archived; or bring it back, and no sync archives it before the SIS has
    had the person again. school: its key."""
    row = tenants.get_school(conn, school)
    manual_edits.set_archived(conn, row, person_id, archived, who=who, reason=given_reason(reason))
    ledger.note_decision(conn, row.id, "archival" if archived else "restore", who)
    if archived:
        return f"Person {person_id} is archived in {school}."
    return f"Person {person_id} is active in {school}. No sync archives them before the SIS has had them again."


def link(conn: Connection, connection: str, person_id: int, sourced_id: str, *, who: str, reason: str) -> str:
    """Say that a record of the SIS is this person, or confirm a link that a sync made. connection: its key."""
    source = _about_record(conn, manual_edits.link, connection, person_id, sourced_id, who, reason)
    settle_people(conn, source.district_id, [person_id])
    return f"Person {person_id} is linked to the record."


def unlink(conn: Connection, connection: str, person_id: int, sourced_id: str, *, who: str, reason: str) -> str:
    """Say that a record of the SIS is not this person."""
    source = _about_record(conn, manual_edits.unlink, connection, person_id, sourced_id, who, reason)
    settle_people(conn, source.district_id, [person_id])
    return f"No sync links person {person_id} to the record again, until somebody links them by hand."


def unlink_leavers(conn: Connection, key: str, *, who: str, reason: str) -> tuple[int, int]:
    """Unlink leavers of the newest plan from records that are somebody else's now. Returns the plan's number, and how
    many lost their ids. Raises DirectoryError if there is no plan."""
    school = tenants.get_school(conn, key)
    plan = plans.latest(conn, school.id, dry_run=True)
    if plan is None:
        raise DirectoryError(f"{key}: there is no plan yet.", f"Make one: roster sync {key} --dry-run")
    people = relink.unlink_leavers(conn, school, plan, who=who, reason=given_reason(reason))
    settle_people(conn, school.district_id, people)
    return plan.id, len(people)


def set_primary_record(
    conn: Connection, connection: str, person_id: int, sourced_id: str, *, who: str, reason: str
) -> str:
    _about_record(conn, manual_edits.set_primary_record, connection, person_id, sourced_id, who, reason)
    return f"The fields of person {person_id} follow this record, from the next sync of {connection} on."


def undo(conn: Connection, district_id: int, person_id: int, edit_id: int, *, who: str, reason: str) -> str:
    """Undo one edit by hand. edit_id: the number of its audit entry. Raises CannotUndo."""
    edit = undo_edit.undo(conn, district_id, person_id, edit_id, who=who, reason=given_reason(reason))
    back: dict[str, ledger.DecisionKind] = {"membership archived": "restore", "membership active": "archival"}
    if edit.entry.what in back and edit.entry.school_id is not None:
        ledger.note_decision(conn, edit.entry.school_id, back[edit.entry.what], who)
    settle_people(conn, district_id, [person_id])
    return f"Undone: {edit.entry.what}, by {edit.entry.who}."


def undoable(
    conn: Connection, person: Person, entries: Sequence[Entry], changes: Sequence[ledger.Change]
) -> list[tuple[undo_edit.Edit, str]]:
    """The edits by hand among the audit entries of a person, each with the reason why it cannot be undone, or ""."""
    edits = undo_edit.edits(entries, changes, person.id)
    if not edits:
        return []
    now = undo_edit.rows_now(conn, person.district_id, person.id)
    undone = {entry.details["edit"] for entry in entries if entry.what == undo_edit.UNDONE}
    done = "It was undone already."
    return [(edit, done if edit.entry.id in undone else undo_edit.problem(edit, now)) for edit in edits]


def erase(conn: Connection, district_id: int, person_id: int, *, who: str, reason: str) -> str:
    """Delete everything that the directory holds of a person, for good. Raises UnknownPerson."""
    erase_everywhere(conn, district_id, person_id, who=who, reason=given_reason(reason))
    return f"Person {person_id} is erased."


def fields_of(typed: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a new person as the directory stores them. typed: as text, with `role` (needed) and `grade`."""
    role = typed.get("role", "")
    if role not in ROLE_ORDER:
        raise NotUsable("A person needs a role.", f"Roles are: {', '.join(ROLE_ORDER)}")
    fields: dict[str, Any] = {name: stored_value(name, value) for name, value in typed.items() if name in ADDED}
    if not fields.get("given_name") and not fields.get("family_name"):
        raise NotUsable("A person needs a name.", "Give a given name, a family name, or both.")
    unknown = sorted(set(typed) - {*ADDED, "role", "grade"})
    if unknown:
        raise manual_edits.NoSuchField(unknown[0])
    return fields | {"role": role, "grade": stored_grade(typed.get("grade", ""))}


def add(conn: Connection, school: str, typed: Mapping[str, str], *, who: str, reason: str) -> int:
    """Enter a person by hand. typed: as for `fields_of`. Returns the person's number."""
    why, fields, row = given_reason(reason), fields_of(typed), tenants.get_school(conn, school)
    person_id = manual_edits.add(conn, row, fields, who=who, reason=why)
    ledger.note_decision(conn, row.id, "addition", who)
    return person_id


def stored_value(name: str, text: str) -> Any:
    """A typed value as the directory stores it; None if it is empty. Raises NotUsable, NoSuchField."""
    if name not in PERSON_FIELDS:
        raise manual_edits.NoSuchField(name)
    if name != "enabled":
        return as_stored(name, text)
    if text.strip().casefold() not in WORDS:
        raise NotUsable("A person may sign in or not.", "Write yes or no.")
    return WORDS[text.strip().casefold()]


def stored_grade(text: str) -> str | None:
    """The code of a typed grade; None if it is empty. Raises NotUsable."""
    if not text.strip():
        return None
    found = ceds(text)
    if found is None:
        raise NotUsable("This is not a grade.", f"Grades are: {', '.join(CEDS)}")
    return found


def _about_record(
    conn: Connection, change: Callable[..., None], key: str, person_id: int, sourced_id: str, who: str, reason: str
) -> tenants.ConnectionRow:
    """Make a change about one record of a connection and a person; returns the connection."""
    source, record = tenants.get_connection(conn, key), sourced_id.strip()
    if not record or len(record) > LONGEST_ID:
        raise NotUsable("This is not a sourcedId.", f"Copy it from the SIS: 1 to {LONGEST_ID} letters.")
    change(conn, source, person_id, record, who=who, reason=given_reason(reason))
    return source


class NotUsable(DirectoryError):
    """The entered value cannot be stored. The error does not repeat it."""


def as_stored(name: str, text: str) -> str | None:
    """The text of a field in the form in which the directory stores it; None if it is empty. Raises NotUsable."""
    cleaned: Array = clean_text(strings([text.strip()]))
    value: str | None = cleaned.to_pylist()[0]
    if value is None:
        return None
    if name == "email":
        return _or_refuse(valid_email(value.lower()), "Enter a valid e-mail address.", "ada@example.org")
    if name == "phone":
        wrong = "Enter a phone number in international form."
        return _or_refuse(e164(value, _NO_COUNTRY), wrong, "+1 312 555 0142")
    if name in ("number", "username") and hidden(cleaned)[0]:
        raise NotUsable(f"Enter a valid {name}.", "Write all of its letters.")
    if name == "number" and is_cut(cleaned)[0]:
        raise NotUsable("A spreadsheet cut this number.", "Format the column as text, and enter the numbers again.")
    if name in NAMES:
        names = clean_names(cleaned)
        usable = None if too_long(names)[0] else names.to_pylist()[0]
        return _or_refuse(
            usable, f"Enter a valid {name.replace('_', ' ')}.", f"--set {name}=Ada, or --set {name}= for none"
        )
    return value


def _or_refuse(value: str | None, wrong: str, right: str) -> str:
    if value is None:
        raise NotUsable(wrong, f"For example: {right}")
    return value
