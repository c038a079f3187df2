"""The change log in words: no names of columns, no literals of the database, one line for each change."""

from datetime import UTC, datetime
from typing import Any

import pytest

from roster_pipeline.directory.ledger import Change
from roster_pipeline.services.change_steps import Step, steps_of

GONE = {"status": "archived", "archived_by": "sync", "absent_syncs": 1, "archived_at": "2026-11-03"}
THERE = {"status": "active", "archived_by": None, "absent_syncs": 0, "archived_at": None}
ROWS: list[tuple[str, str, dict[str, Any] | None, dict[str, Any] | None, list[Step]]] = [
    ("person", "update", {"locked_fields": "{}"}, {"locked_fields": "{given_name,email}"},
     [Step("locked fields in Oak High", None, "given name, email", moved=True)]),
    ("person", "update", {"email": "a", "revision": 1}, {"email": None, "revision": 2},
     [Step("email in Oak High", "a", None, moved=True)]),
    ("membership", "update", THERE, GONE,
     [Step("They left.", reason=True), Step("status in Oak High", "active", "archived", moved=True)]),
    ("membership", "update", GONE, GONE | {"archived_by": "hand"},
     [Step("archived by in Oak High", "sync", "hand", moved=True)]),
    ("membership", "insert", None, {"role": "student"}, [Step("student entered in Oak High")]),
    ("membership", "delete", {"role": "student"}, None, [Step("student removed from Oak High")]),
]  # fmt: skip


@pytest.mark.parametrize(("entity", "operation", "before", "after", "said"), ROWS)
def test_a_row_of_the_change_log_is_shown_in_words(
    entity: str, operation: str, before: dict[str, Any] | None, after: dict[str, Any] | None, said: list[Step]
) -> None:
    change = Change(1, datetime.now(UTC), 1, entity, operation, 1, "oak", before, after)
    assert steps_of(change, "Oak High", "They left.") == said
