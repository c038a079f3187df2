"""The words that all parts share: roles, record statuses, actions, reasons, names of fields, and what may be approved.

Each is written here once; roster, plan, directory, mails and pages use the same.
"""

import difflib
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

LONGEST_ID = 600
"""Characters of a sourcedId or number. The standard allows 255, and an index of PostgreSQL 2,700 bytes."""

# Roles


class Role(StrEnum):
    """The four role groups that are rostered separately, in the order that decides a person's effective role."""

    ADMIN = "admin"
    TEACHER = "teacher"
    STAFF = "staff"
    STUDENT = "student"


CONTACT = "contact"
ROLE_GROUPS = (*(role.value for role in Role), CONTACT, None)
"""Strongest first; the last is a role that no group is mapped to."""
ROLE_RANK = {group: rank for rank, group in enumerate(ROLE_GROUPS)}

ROLE_NAMES = {
    "student": ("student", "students"),
    "teacher": ("teacher", "teachers"),
    "staff": ("staff member", "staff"),
    "admin": ("admin", "admins"),
    "contact": ("contact", "contacts"),
}
"""In the order in which pages, tables and mails show them."""
ROLE_ORDER = tuple(role for role in ROLE_NAMES if role != CONTACT)
"""The role groups that are rostered, in the same order."""


def counted(number: int, one: str, many: str) -> str:
    """`1 archival`, `1,200 archivals`."""
    return f"{number:,} {one if number == 1 else many}"


def day(value: date) -> str:
    """`Tue 3 Nov 2026`: how pages, mails and commands write a day."""
    return f"{value:%a} {value.day} {value:%b %Y}"


def moment(at: datetime, zone: str | tzinfo = UTC) -> str:
    """`Tue 3 Nov 2026, 20:04 CST`: how pages, mails and commands write a time, by the clock of a zone that is named."""
    local = at.astimezone(ZoneInfo(zone) if isinstance(zone, str) else zone)
    return f"{day(local)}, {local:%H:%M %Z}"


def similar(word: str, keys: Iterable[str]) -> list[str]:
    """At most three keys that are similar to an unknown word, the most similar first."""
    return difflib.get_close_matches(word.lower(), list(keys), n=3)


LONGEST_REASON = 500
"""How many characters a reason may have: a sentence or two."""
NO_REASON = "Say why; it is kept in the audit."
UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories: line breaks, and characters that change the direction of a text or are invisible."""


def in_one_line(text: str) -> bool:
    """Whether a text has none of the `UNPRINTABLE` characters."""
    return not any(unicodedata.category(sign) in UNPRINTABLE for sign in text)


def reason_problem(reason: str) -> str:
    """The problem with a typed reason; empty if it is good. Pages, the command line and services use this."""
    plain = reason.strip()
    if not plain:
        return NO_REASON
    if len(plain) > LONGEST_REASON:
        return f"The reason has more than {LONGEST_REASON} characters."
    return "" if in_one_line(plain) else "Write the reason in one line, without invisible characters."


def role_place(role: str) -> int:
    """The place of a role among the others, on pages, in tables and in mails; any other text comes last."""
    return list(ROLE_NAMES).index(role) if role in ROLE_NAMES else len(ROLE_NAMES)


def held_place(role: str, action: str) -> tuple[int, int]:
    """The place of a kind of change among held changes: archivals first, then by role."""
    return RISKIEST_FIRST.index(action) if action in RISKIEST_FIRST else len(RISKIEST_FIRST), role_place(role)


def full_name(fields: Mapping[str, Any]) -> str:
    """Given and family name of a person's fields; empty if there is neither."""
    return " ".join(part for part in (fields.get("given_name"), fields.get("family_name")) if part)


def role_name(role: str) -> str:
    """The role group in the plural, in the form for a sentence."""
    return ROLE_NAMES.get(role, (role, role))[1]


def people_of(role: str, number: int) -> str:
    """`1 student`, `1,200 students`."""
    return counted(number, *ROLE_NAMES.get(role, (role, role)))


# Records of a snapshot

RECORD_STATUSES = (
    *("member", "role_off", "unmapped", "org_below", "unknown_org", "rejected", "elsewhere", "no_org"),
    *("not_begun", "ended", "disabled", "not_enrolled", "deleted", "shared_id"),
)
"""The statuses of a record in a school, strongest first. The strongest record of a person decides.

shared_id: a record under an id that another person has too (`sourced_id_of_two`). It only keeps people from being
archived."""
STATUS_RANK = {status: rank for rank, status in enumerate(RECORD_STATUSES)}
LEFT_REASONS = {
    "elsewhere": "moved_school", "no_org": "no_org", "not_begun": "role_not_begun", "ended": "role_ended",
    "disabled": "disabled", "not_enrolled": "not_enrolled", "deleted": "tobedeleted",
}  # fmt: skip
"""For each status of a record whose person has left the school, the reason."""
UNUSABLE = ("unmapped", "org_below", "unknown_org", "rejected")
"""Records that we could not use. They do not say that the person left, so they never lead to an archival."""

# Fields

PERSON_FIELDS = (
    "given_name", "family_name", "middle_name", "preferred_given_name", "preferred_family_name", "email", "phone",
    "username", "number", "enabled",
)  # fmt: skip
"""The fields of a person that the sync keeps. All are text except `enabled`. `number` is of the kind `number_kind`."""
MEMBERSHIP_FIELDS = ("role", "grade", "source_role", "source_grade")
"""The fields of a membership that the sync keeps."""
CONTACT_FIELDS = (
    "contact_sourced_id", "contact_given_name", "contact_family_name", "contact_relationship", "contact_email",
    "contact_phone", "contact_flags",
)  # fmt: skip
"""The primary contact in roster rows and plan changes; the table `contact` holds the same without the prefix.

`contact_flags` is a JSON object of texts: what the SIS says about the contact in the keys that the connection keeps.
"""
MORE_CONTACTS = "more_contacts"
"""The contacts after the primary one, in order: a JSON list with one list per contact, its values in the order of
`CONTACT_FIELDS`. Equal contacts are equal texts. In a roster, a list of one id is a contact that was not delivered."""
STUDENT_CONTACTS = (*CONTACT_FIELDS, MORE_CONTACTS)
"""All that a roster row, a plan row and a membership hold about contacts."""
UNREADABLE, CONTACTS = "unreadable_fields", "contacts"
"""In a roster, the fields of a record that were given and cannot be read. `contact_email:1`: of the primary contact."""

# Plans

CREATE, UPDATE, RESTORE, ARCHIVE = "create", "update", "restore", "archive"
CHANGING = (CREATE, UPDATE, RESTORE, ARCHIVE)
"""The actions that change the directory. Guards judge these."""
DONE = {CREATE: "created", UPDATE: "updated", RESTORE: "restored", ARCHIVE: "archived"}
"""The words of reports and pages for an applied action; also the names of these counts."""
RISKIEST_FIRST = (ARCHIVE, CREATE, UPDATE, RESTORE)
"""The order in which pages, plans and mails name held changes."""
WRITING = (CREATE, UPDATE, RESTORE)
"""The actions that write fields or links of a person who is in the roster."""
ACTIONS = (*CHANGING, "unchanged", "skip", "conflict")
"""Every action that a row of a plan can have."""
COUNTS = (*DONE.values(), "held", "skipped", "conflicts", "unchanged")
"""The names under which a finished sync counts its rows, in the order in which people see them."""

ID_REASSIGNED, MATCH_CONTRADICTED, OTHER_CONNECTION = "id_reassigned", "match_contradicted", "other_connection"
DOUBTED = (ID_REASSIGNED, MATCH_CONTRADICTED)
"""Conflicts with one person. The plan row shows the person's fields next to those of the record."""
NUMBER_SHARED, RECORDS_ALIKE = "number_shared", "records_alike"
CONTACT_EXCLUDED = "contact_excluded"
CONTACTS_OFF = "contacts_off"
_WORDS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
REASONS, NOTES = _WORDS["reasons"], _WORDS["notes"]
"""Why a row of a plan has its action, and more about it: the slug, and the sentence that people read."""
ANNOUNCED = "announced"
"""The note on the archival of an announced leaver, and the name under which these rows have a verdict of their own."""
TO_CHECK = tuple(note for note in NOTES if note not in (ANNOUNCED, "email_of_another"))
"""The notes on rows that somebody should look at. An e-mail is often a family's."""


def why_of(reason: str, notes: str | None) -> str:
    """The reason of a row as a sentence, then its notes. notes: keys of `NOTES`, separated by blanks."""
    return " ".join([REASONS.get(reason, reason), *(NOTES.get(note, note) for note in (notes or "").split())])


# Findings of the guards, as they are stored with a plan

MANAGER = "manager"
"""The only `approver` of some findings; owners of the school may approve all others too."""


def is_overridable(finding: Mapping[str, Any]) -> bool:
    """Whether an approval can release what this finding holds. A finding that does not say so cannot be approved."""
    return bool(finding.get("overridable", False))


def approvable(findings: Iterable[Mapping[str, Any]]) -> bool:
    """Whether an approval can release a held line: it has findings, and each of them can be approved."""
    each = [is_overridable(finding) for finding in findings]
    return bool(each) and all(each)


def needs_manager(findings: Iterable[Mapping[str, Any]]) -> bool:
    """Whether only the district's manager may approve a held line: one finding that says so is enough."""
    return any(finding.get("approver") == MANAGER for finding in findings)


def without_repeats(findings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The findings without those that only repeat another finding of the same line."""
    return [finding for finding in findings if not finding.get("repeats")]
