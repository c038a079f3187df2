"""The rows of a plan as people read them: who, which fields from what to what, and why; and the plan as numbers."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from roster_pipeline import vocabulary
from roster_pipeline.directory import plan_rows, plans, snapshots, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.ledger import SyncRow
from roster_pipeline.directory.plan_rows import RowFilter
from roster_pipeline.directory.plans import PlanRow
from roster_pipeline.notifications.outcome import NOUNS, joined
from roster_pipeline.safe_csv import csv_chunks
from roster_pipeline.sync import SyncError

HEADER = ("row", "action", "role", "person", "name", "sourcedIds", "matched by", "reason", "why", "field", "from", "to")
_FIELDS = (*vocabulary.PERSON_FIELDS, *vocabulary.MEMBERSHIP_FIELDS, *vocabulary.STUDENT_CONTACTS)
ORDER = {field: place for place, field in enumerate(_FIELDS)}
"""The fields in the order that people expect. The database has no order for them."""
SAME = (
    "row", "action", "role", "person_id", "matched_by", "reason", "guard", "held", "exempted", "sync_id",
    "linked_person_id", "ours",
)  # fmt: skip
"""The columns that a line has as they are."""
FLAGS = "contact_flags"
EVERY_ROW = RowFilter()
NOTHING = ("nan", "<NA>", "NaT")


@dataclass(frozen=True)
class Line:
    """One row of a plan. changes: field to (from, to). guard: judges this row alone. held: it waits for a person.
    exempted: somebody took it out. sync_id: applied it. linked_person_id: who has the record since then. ours: the
    school may see the person."""

    row: int
    action: str
    role: str
    person_id: int | None
    name: str
    sourced_ids: tuple[str, ...]
    matched_by: str | None
    reason: str
    why: str
    changes: Mapping[str, tuple[Any, Any]]
    guard: str = ""
    held: bool = False
    exempted: bool = False
    sync_id: int | None = None
    linked_person_id: int | None = None
    ours: bool = True

    def page_of(self, manages: bool) -> int | None:
        """The person to whose page the row leads, if the reader may see it. manages: the reader manages the district.
        Until the plan is applied, people who join belong to other schools."""
        foreign = not self.ours or (self.action == "create" and self.sync_id is None)
        return None if foreign and not manages else self.person_id or self.linked_person_id

    @property
    def readable(self) -> dict[str, tuple[Any, Any]]:
        """`changes` for people to read: contacts and their flags are text instead of JSON."""
        return {field: (readable(field, old), readable(field, new)) for field, (old, new) in self.changes.items()}

    def as_dict(self) -> dict[str, Any]:
        changes = {field: {"from": old, "to": new} for field, (old, new) in self.changes.items()}
        plain = {**vars(self), "sourced_ids": list(self.sourced_ids), "changes": changes}
        return {name: value for name, value in plain.items() if name not in ("linked_person_id", "guard", "ours")}


def lines(
    conn: Connection, plan: PlanRow, chosen: RowFilter = EVERY_ROW, *, limit: int | None = None, offset: int = 0
) -> list[Line]:
    """The rows of a plan, or one page of the chosen rows, with the names that the directory has for its people."""
    return [line_of(row) for row in plan_rows.page(conn, plan, chosen, limit=limit, offset=offset)]


def every_line(database: Database, plan: PlanRow, chosen: RowFilter = EVERY_ROW) -> Iterator[Line]:
    """All rows of a plan for a download, some hundred per transaction, so that a slow reader keeps no connection."""

    after = -1
    while True:
        rows = database.call(plan_rows.following, plan, chosen, after=after)
        yield from map(line_of, rows)
        if len(rows) < plan_rows.AT_ONCE:
            return
        after = rows[-1]["row"]


def line_of(row: Mapping[str, Any]) -> Line:
    """A row of `directory.plan_rows` as a line."""

    pairs = sorted((row["changes"] or {}).items(), key=lambda pair: (ORDER.get(pair[0], len(ORDER)), pair[0]))
    changes = {str(field): (both[0], both[1]) for field, both in pairs}
    return Line(
        **{name: row[name] for name in SAME},
        name=row["name"] or vocabulary.full_name({field: new for field, (_, new) in changes.items()}),
        sourced_ids=tuple(row["sourced_ids"]),
        why=vocabulary.why_of(row["reason"], row["notes"]),
        changes=changes,
    )


def readable(field: str, value: Any) -> Any:
    """One value of a change for people to read: `Ada Byron (parent), ada@example.org; Ben Byron` instead of JSON."""
    if field == vocabulary.MORE_CONTACTS and isinstance(value, str):
        return "; ".join(map(_contact, json.loads(value)))
    if field == FLAGS and isinstance(value, str):
        return _flags(value)
    return value


def _contact(values: list[str | None]) -> str:
    """A contact in words. values: as `CONTACT_FIELDS`; the sourcedId alone if it was not delivered."""
    contact = dict(zip(vocabulary.CONTACT_FIELDS, values, strict=False))
    name = " ".join(filter(None, (contact.get("contact_given_name"), contact.get("contact_family_name"))))
    relationship = contact.get("contact_relationship")
    who = (name or contact["contact_sourced_id"] or "") + (f" ({relationship})" if relationship else "")
    flags = _flags(contact.get(FLAGS))
    return ", ".join(filter(None, (who, contact.get("contact_email"), contact.get("contact_phone"), flags)))


def _flags(stored: str | None) -> str:
    return ", ".join(f"{key}: {value}" for key, value in json.loads(stored).items()) if stored else ""


def reasons_by_sync(conn: Connection, syncs: Mapping[int, SyncRow], people: Collection[int]) -> dict[int, str]:
    """Why each of these syncs archived or restored a person. people: all numbers of the person."""
    turning = {"archive", "restore"}
    plan_of = {one.id: one.plan_id for one in syncs.values() if any(turning & of.keys() for of in one.counts.values())}
    found = plan_rows.reasons_of(conn, {plan for plan in plan_of.values() if plan}, people)
    return {sync_id: vocabulary.why_of(*found[plan]) for sync_id, plan in plan_of.items() if plan in found}


def cells(some: Iterable[Line]) -> Iterator[tuple[Any, ...]]:
    """The columns of `HEADER`: one line per field change, one for a row without."""
    for line in some:
        who = (line.row, line.action, line.role, line.person_id, line.name, " ".join(line.sourced_ids))
        changes: list[tuple[Any, ...]] = [(field, old, new) for field, (old, new) in line.readable.items()]
        for change in changes or [(None, None, None)]:
            yield (*who, line.matched_by, line.reason, line.why, *change)


def write_csv(path: Path, some: Iterable[Line]) -> int:
    """Write lines as CSV for a spreadsheet, and return how many. Only its owner can read the file: it names people."""
    rows = list(cells(some))
    path.touch(mode=0o600)
    path.chmod(0o600)
    with path.open("wb") as file:
        file.writelines(csv_chunks(HEADER, rows))
    return len(rows)


@dataclass(frozen=True)
class PlanSummary:
    """counts: role to action to rows. verdict: role, action, verdict, rows, findings, sync_id (the sync that applied
    it). found: how many people of rostered roles the planned roster has; None if they were not counted."""

    plan: PlanRow
    counts: dict[str, dict[str, int]]
    verdict: list[dict[str, Any]]
    found: int | None

    @property
    def held(self) -> list[tuple[str, str, int, list[tuple[str, bool]]]]:
        """Role, action, rows, and for each finding its message and whether a person can approve it."""
        held = []
        for line in self.verdict:
            if line["verdict"] == "hold" and line["rows"] and line["sync_id"] is None:
                findings = vocabulary.without_repeats(line["findings"])
                messages = [(found["message"], vocabulary.is_overridable(found)) for found in findings]
                held.append((line["role"], line["action"], int(line["rows"]), messages))
        return held

    @property
    def held_rows(self) -> int:
        return sum(rows for _, _, rows, _ in self.held)

    @property
    def state(self) -> str:
        """The state of the plan, in words."""
        if self.plan.dry_run:
            return "a dry run"
        applied = [line for line in self.verdict if line["sync_id"] is not None]
        syncs = sorted({line["sync_id"] for line in [line for line in applied if line["rows"]] or applied})
        return f"applied by sync {', '.join(map(str, syncs))}" if syncs else self.plan.state

    def as_dict(self) -> dict[str, Any]:
        return {
            "plan": self.plan.id,
            "made_at": self.plan.made_at,
            "hash": self.plan.hash,
            "dry_run": self.plan.dry_run,
            "first_sync": self.plan.first_sync,
            "state": self.state,
            "counts": self.counts,
            "held": self.held_rows,
            "found": self.found,
            "verdict": self.verdict,
        }


def would_do(summary: PlanSummary) -> str:
    """The effect of a sync of this plan now, in numbers. The riskiest change comes first."""
    totals = {action: sum(of.get(action, 0) for of in summary.counts.values()) for action in NOUNS}
    changes = [vocabulary.counted(rows, *NOUNS[action]) for action, rows in totals.items() if rows]
    people = (
        "" if summary.found is None else f" {vocabulary.counted(summary.found, 'person', 'people')} came from the SIS."
    )
    if not changes:
        return f"A sync would change nothing.{people}"
    held = f" {summary.held_rows:,} of these changes would be held for a decision." if summary.held_rows else ""
    return f"A sync would bring {joined(changes)}.{held}{people}"


def plain(value: Any) -> Any:
    """A cell of a frame as a plain Python value: numbers as Python numbers, and None for a missing value."""
    if isinstance(value, list | dict | str):
        return value
    return None if value is None or str(value) in NOTHING else int(value)


def summary_of_run(conn: Connection, key: str, run_id: str) -> PlanSummary:
    """The plan that one run made. Raises SyncError if it made none."""

    plan = plans.latest(conn, tenants.get_school(conn, key).id, dry_run=True)
    if plan is None or plan.run_id != run_id:
        raise SyncError(key, "the run ended without a plan", "Look at the run in the UI: roster dev")
    return summary_of(conn, plan)


def summary_of(conn: Connection, plan: PlanRow) -> PlanSummary:
    """Counts and verdict of a stored plan."""

    judged = plans.load_verdict(conn, plan.id).to_dict("records")
    lines = [{str(name): plain(value) for name, value in row.items()} for row in judged]
    lines.sort(key=lambda line: vocabulary.held_place(line["role"], line["action"]))
    found = [(role, dict(of)) for role, of in plan.counts.items() if isinstance(of, dict)]
    counts = dict(sorted(found, key=lambda one: vocabulary.role_place(one[0])))
    roles = snapshots.facts(conn, plan.snapshot_id)["counts"].get("roles")
    return PlanSummary(plan, counts, lines, found=None if roles is None else sum(roles.values()))
