"""A plan in a sentence, for the end of a dry run."""

from datetime import UTC, datetime
from typing import Any

import pytest

from roster_pipeline.directory.plans import PlanRow
from roster_pipeline.services.plan_rows import PlanSummary, would_do

PLAN = PlanRow(1, 1, 1, 1, datetime(2026, 11, 3, tzinfo=UTC), "h", 1, False, {}, None, None, "planned", True, "run-1")
HELD = {"role": "student", "action": "archive", "verdict": "hold", "rows": 4, "findings": [], "sync_id": None}


@pytest.mark.parametrize(
    ("counts", "verdict", "found", "said"),
    [
        ({}, [], None, "A sync would change nothing."),
        ({"student": {"unchanged": 9}}, [], 9, "A sync would change nothing. 9 people came from the SIS."),
        (
            {"student": {"create": 1200, "archive": 4}, "teacher": {"create": 1, "skip": 3}},
            [HELD],
            1201,
            "A sync would bring 4 archivals and 1,201 creations. 4 of these changes would be held for a decision. "
            "1,201 people came from the SIS.",
        ),
    ],
)
def test_a_dry_run_ends_with_numbers(
    counts: dict[str, dict[str, int]], verdict: list[dict[str, Any]], found: int | None, said: str
) -> None:
    assert would_do(PlanSummary(PLAN, counts, verdict, found)) == said
