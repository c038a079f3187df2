"""The change log in words: what a sync, decision or edit changed of a person, step by step. Pure functions."""

from dataclasses import dataclass
from typing import Any

from roster_pipeline.directory.ledger import Change

OF_A_LINK = {"connection_id", "version", "master_identifier"}
OF_A_MEMBERSHIP = {"absent_syncs", "archived_at"}
QUIET = {"revision", "updated_at", "number_kind", "number_connection_id", *OF_A_LINK, *OF_A_MEMBERSHIP}
"""Columns of the change log that are not shown, because they tell a reader nothing."""
LOCKED = "locked_fields"


@dataclass(frozen=True)
class Step:
    """One change inside an event: what changed and, if it is known, the values before and after. reason: it says why
    a membership was archived or restored."""

    what: str
    before: Any = None
    after: Any = None
    moved: bool = False
    reason: bool = False


def steps_of(change: Change, school: str, why: str) -> list[Step]:
    """A row of the change log as sentences and changed fields. school: its name, if any. why: its sync's reason."""
    before, after = change.before or {}, change.after or {}
    place = f" in {school}" if school else ""
    of = after or before
    if change.operation == "update":
        names = [name for name in after if name not in QUIET and before.get(name) != after[name]]
        if "status" in names:
            names = [name for name in names if name != "archived_by"]
        prefix = "contact: " if change.entity == "contact" else ""
        record = f" of record {of.get('sourced_id')}" if change.entity == "link" else ""
        turned = [Step(why, reason=True)] if why and change.entity == "membership" and "status" in names else []
        return turned + [
            Step(
                f"{prefix}{name.replace('_', ' ')}{record}{place}",
                _value(name, before.get(name)),
                _value(name, after[name]),
                moved=True,
            )
            for name in names
        ]
    made = change.operation == "insert"
    words = {
        "person": "entered in the directory" if made else "removed from the directory",
        "link": f"record {of.get('sourced_id')} {'linked' if made else 'no longer linked'}",
        "membership": f"{of.get('role')} {'entered in' if made else 'removed from'} {school}",
        "contact": f"contact{place} {'added' if made else 'removed'}",
    }
    return [Step(words[change.entity])]


def _value(name: str, value: Any) -> Any:
    """A value as people read it: the names of locked fields in words, for `{given_name,email}` of the change log."""
    if name != LOCKED or not value:
        return value
    return str(value).strip("{}").replace(",", ", ").replace("_", " ") or None
