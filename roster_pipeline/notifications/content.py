"""The content of a roster e-mail or an alert, as data.

This module has the facts and no layout. They are stored as JSON next to the sync, so that a mail can be drawn again.
There is no field for a name, an address or a number of a person, and none may be added: mails carry counts only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, Self

from pydantic import TypeAdapter

from roster_pipeline.vocabulary import DONE, people_of

Action = Literal["create", "update", "restore", "archive"]
SyncKind = Literal["sync", "approval", "relink", "rollback", "person", "upload"]
Severity = Literal["error", "warning"]
_KINDS = {
    "approval": "(approved plan)", "relink": "(relink)", "rollback": "(rollback)", "person": "(one person)",
    "upload": "(uploaded list)",
}  # fmt: skip


def sync_title(kind: str, number: object = "") -> str:
    """`Sync 13`, `Sync 13 (approved plan)`, or without a number `Sync (approved plan)`."""
    return " ".join(part for part in ("Sync", str(number), _KINDS.get(kind, "")) if part)


@dataclass(frozen=True)
class RoleCounts:
    """The changes of the people of one role group. Every person of the plan is counted once. For a rollback: what was
    taken back. `skipped` then counts the people who changed since and were left as they are."""

    role: str
    created: int = 0
    updated: int = 0
    restored: int = 0
    archived: int = 0
    held: int = 0
    skipped: int = 0
    conflicts: int = 0
    unchanged: int = 0

    @classmethod
    def of(cls, role: str, planned: Mapping[str, int], held: Mapping[str, int] | None = None) -> Self:
        """From a plan's counts by action (`create`, ..., `skip`, `conflict`, `unchanged`), and those of held rows."""
        held = held or {}
        done = {name: planned.get(action, 0) - held.get(action, 0) for action, name in DONE.items()}
        return cls(
            role, **done, held=sum(held.values()), skipped=planned.get("skip", 0), conflicts=planned.get("conflict", 0),
            unchanged=planned.get("unchanged", 0),
        )  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """Why a guard stopped something."""

    guard: str
    message: str
    overridable: bool = True


@dataclass(frozen=True)
class Held:
    """One kind of change of one role that waits. `rows` may be 0: it is held although nobody would change."""

    role: str
    action: Action
    rows: int
    findings: tuple[Finding, ...] = ()

    @property
    def overridable(self) -> bool:
        """Whether a person can approve it."""
        return all(finding.overridable for finding in self.findings)


@dataclass(frozen=True)
class LeftAlone:
    """People skipped or in conflict, by the plan's reason. message: the reason as a sentence; switches need none."""

    role: str
    rows: int
    reason: str
    message: str = ""


@dataclass(frozen=True)
class RowNote:
    """People with a note in the plan, as a sentence about one of them. to_check: somebody should look at it."""

    role: str
    rows: int
    note: str
    message: str
    to_check: bool = True

    @property
    def sentence(self) -> str:
        """`2 students: Another person has this number too.`"""
        return f"{people_of(self.role, self.rows)}: {self.message}"


@dataclass(frozen=True)
class QualityCheck:
    """One named check of the roster's quality."""

    name: str
    passed: bool
    tested: int
    failed: int
    severity: Severity = "error"


@dataclass(frozen=True)
class Rejected:
    """Records that broke a rule in a field. severity: an error left out the record, a warning the field."""

    collection: str
    field: str
    rule: str
    rows: int
    severity: Severity = "error"


@dataclass(frozen=True)
class ConnectionFacts:
    """How the roster was fetched, whether all of it came, and how old it is. written: the time at which the bundle
    counts as written; None for an API. unchanged_since: since when the source says the same. old: problems with its
    age, as sentences. clock: the error of the SIS's clock, in words. noticed: unclear references and dates, in
    words."""

    strategy: str
    pages: int
    requests: int
    seconds: float
    complete: bool
    problems: tuple[str, ...] = ()
    records: int | None = None
    retries: int = 0
    version: str | None = None
    mode: str | None = None
    written: datetime | None = None
    unchanged_since: datetime | None = None
    old: tuple[str, ...] = ()
    clock: str = ""
    noticed: tuple[str, ...] = ()


@dataclass(frozen=True)
class RoleSize:
    """How many people of a role the roster had in the sync before, and how many it has now."""

    role: str
    before: int
    now: int


@dataclass(frozen=True)
class Comparison:
    """The roster's size, compared with the sync before."""

    previous: datetime
    sizes: tuple[RoleSize, ...]


@dataclass(frozen=True)
class ContactCounts:
    """The effect of the contact rules. excluded: contacts of the SIS that are not used. unknown: excluded contacts with
    a value that no rule knows. removed: stored contacts that were removed. withheld: fields of rules that no contact
    has."""

    excluded: int = 0
    unknown: int = 0
    removed: int = 0
    withheld: int = 0


@dataclass(frozen=True)
class RowDetails:
    """The rows of the plan, if owners asked for them. attached: not too many. names: only ids, or masked names too."""

    rows: int
    names: Literal["ids", "masked"]
    attached: bool


@dataclass(frozen=True)
class SyncReport:
    """One sync of one school. It goes to JSON and back; members of a later version are ignored on the way in. `when` is
    aware; it is shown in the school's own `time_zone`.

    linked: for a relink, how many people got their new ids. claimed: people of this school that another connection also
    delivers. noted: findings of guards in rows that they let through. console_url: the address of the console, for
    links to its pages; None if there is none. found: how many people of rostered roles the roster has. records: how
    many records the SIS sent of the school. Both are None if they were not counted.
    """

    school_key: str
    school_name: str
    when: datetime
    time_zone: str
    roles: tuple[RoleCounts, ...]
    kind: SyncKind = "sync"
    sync_id: int | None = None
    plan_id: int | None = None
    first_sync: bool = False
    run_url: str | None = None
    linked: int = 0
    claimed: int = 0
    held: tuple[Held, ...] = ()
    noted: tuple[str, ...] = ()
    left_alone: tuple[LeftAlone, ...] = ()
    row_notes: tuple[RowNote, ...] = ()
    checks: tuple[QualityCheck, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    connection: ConnectionFacts | None = None
    comparison: Comparison | None = None
    contacts: ContactCounts = ContactCounts()
    details: RowDetails | None = None
    console_url: str | None = None
    found: int | None = None
    records: int | None = None

    def total(self, count: str) -> int:
        """One of `RoleCounts`' counts over all roles."""
        return sum(getattr(role, count) for role in self.roles)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form: only strings, numbers, booleans, lists and dicts."""
        stored: dict[str, Any] = _stored().dump_python(self, mode="json")
        return stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "SyncReport":
        """The reverse of `as_dict`; raises pydantic's ValidationError if it is not such a report."""
        return _stored().validate_python(dict(stored))


@cache
def _stored() -> TypeAdapter[SyncReport]:
    return TypeAdapter(SyncReport)  # costs milliseconds, and a page shows fifty reports


@dataclass(frozen=True)
class FailureAlert:
    """A sync that did not finish. `directory_unchanged`: it is known that nothing was committed before it failed.
    sign_in: the SIS refused the credentials, so somebody has to check them before another sync."""

    school_key: str
    school_name: str
    when: datetime
    time_zone: str
    step: str
    message: str
    remedy: str
    run_url: str | None = None
    directory_unchanged: bool = False
    console_url: str | None = None
    sign_in: bool = False

    @property
    def lines(self) -> list[str]:
        """The message without the school's key in front. Another part of the mail names the school."""
        lines = [line.removeprefix(f"{self.school_key}: ").strip() for line in self.message.strip().splitlines()]
        return [line[0].upper() + line[1:] for line in lines if line]

    @property
    def cause(self) -> str:
        """The first line of the message as half a sentence, without the technical part in brackets at the end."""
        first = next(iter(self.message.strip().splitlines()), "").removeprefix(f"{self.school_key}: ").strip()
        bare = first.rstrip(".")
        return re.sub(r"\s*\([^()]*\)$", "", bare) or bare or "no cause was given"
