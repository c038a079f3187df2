"""What a connection showed on its good nights and does not tonight."""

from __future__ import annotations

from typing import Any

import pytest

from roster_pipeline.planning.snapshot_guards import UnlikeBefore, misses_single_users, smaller


def night(records: int, mode: str = "full", **more: Any) -> dict[str, Any]:
    return {"records": records, "mode": mode, **more}


@pytest.mark.parametrize(
    ("tonight", "good", "found"),
    [
        (night(50), [night(100)] * 3, UnlikeBefore()),
        (night(49), [night(100)] * 3, UnlikeBefore(49, 100)),
        (night(0), [night(100)], UnlikeBefore(0, 100)),
        (night(49), [], UnlikeBefore()),
        (night(49), [night(60), night(60), night(900)], UnlikeBefore()),
        (night(49), [night(60), night(900), night(900)], UnlikeBefore()),
        (night(49), [night(900), night(60), night(60)], UnlikeBefore()),
        (night(49, "delta"), [night(100)], UnlikeBefore()),
        (night(49, "school"), [night(100)], UnlikeBefore()),
        (night(49), [*[night(60)] * 7, *[night(900)] * 20], UnlikeBefore()),
    ],
)
def test_a_connection_is_held_against_the_median_of_its_good_nights_of_the_same_kind(
    tonight: dict[str, Any], good: list[dict[str, Any]], found: UnlikeBefore
) -> None:
    assert smaller(tonight, good) == found


@pytest.mark.parametrize("served_before", [True, False])
def test_the_newest_good_night_on_which_somebody_was_asked_for_says_whether_single_users_are_missed(
    served_before: bool,
) -> None:
    answered, gone = night(9, single_users=True), night(9, single_users=False)
    assert misses_single_users([night(9), answered, gone], served_before=served_before)
    assert not misses_single_users([night(9), gone, answered], served_before=served_before)
    assert misses_single_users([night(9)], served_before=served_before) is served_before
