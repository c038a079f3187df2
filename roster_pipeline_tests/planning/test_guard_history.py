"""The effect of each guard on the last syncs: judged again from stored counts, with today's limits."""

import pytest

from roster_pipeline.services.hold_explanations import BY_FINDING, PastPlan, guard_lines
from roster_pipeline.settings import fields
from roster_pipeline.settings.school import Guards

QUIET = PastPlan({"student": {"unchanged": 990, "archive": 10}})
LOUD = PastPlan({"student": {"unchanged": 800, "archive": 200}, "teacher": {"unchanged": 40}})
SMALL = PastPlan({"teacher": {"unchanged": 16, "archive": 4}})
GROWN = PastPlan({"student": {"unchanged": 100, "create": 40}})

HELD = "Last sync: would have held something in 1; the largest was "

WITHIN = "; every value was within the limit of that day"

LINES: list[tuple[str, list[PastPlan], Guards, str]] = [
    ("archive_share", [QUIET, QUIET], Guards(), "Last 2 syncs: would have held nothing; the largest was 1.0 %."),
    ("archive_share", [LOUD, QUIET], Guards(), "Last 2 syncs: would have held something in 1; the largest was 20 %."),
    ("archive_share", [LOUD], Guards(archive_share=0.3), "Last sync: would have held nothing; the largest was 20 %."),
    ("archive_share", [QUIET], Guards(archive_share=0.001), f"{HELD}1.0 %."),
    ("archive_share", [SMALL], Guards(), "Last sync: would have held nothing; the largest was 20 %."),
    ("archive_always_allowed", [SMALL, LOUD], Guards(), "Last 2 syncs: archivals of a small role passed in 1 sync."),
    ("archive_most", [LOUD], Guards(archive_most=150), f"{HELD}200."),
    ("create_share", [GROWN], Guards(), "Last sync: would have held something in 1; the largest was 40 %."),
    (
        "create_share",
        [PastPlan(GROWN.counts, first_sync=True), QUIET],
        Guards(),
        "Last sync: would have held nothing.",
    ),
    (
        "rekeyed_share",
        [PastPlan({}, {"rekeyed": 0.5}), PastPlan({}, {"reassigned_ids": 0.3}), QUIET],
        Guards(),
        "Last 3 syncs: would have held something in 2; the largest was 50 %.",
    ),
    ("moved_keys", [PastPlan({}, {"moved_keys": 5})], Guards(moved_keys=3), f"{HELD}5."),
    ("moved_keys", [QUIET], Guards(moved_keys=0), f"Last sync: would have held nothing{WITHIN}."),
    ("api_unchanged_days", [PastPlan({}, {"source_stale": 14})], Guards(), f"{HELD}14 days."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "plans", "guards", "line"), LINES)
def test_a_guard_says_what_it_would_have_done(name: str, plans: list[PastPlan], guards: Guards, line: str) -> None:
    assert guard_lines(plans, guards)[name] == line


def test_a_school_without_syncs_has_no_lines() -> None:
    assert guard_lines([], Guards()) == {}


def test_every_line_belongs_to_a_setting() -> None:
    known = {guard.name for guard in fields.GUARDS}
    assert set(guard_lines([QUIET], Guards())) <= known
    assert set(BY_FINDING) <= known


def test_a_bundle_has_the_line_of_bundles() -> None:
    line = guard_lines([PastPlan({}, {"source_stale": 9})], Guards(), bundle=True)["bundle_unchanged_days"]
    assert line == f"{HELD}9 days."
    assert "bundle_unchanged_days" not in guard_lines([QUIET], Guards())
