"""A later plan does not make an exempted change either, while the SIS asks for the same."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.planning.plan import Plan, make_plan
from roster_pipeline.planning.plan_stats import plan_stats_of
from roster_pipeline_tests.planning.builders import COMPLETE, TODAY, Directory, cleaned, school, user

STAYS, GOES = "stays", "goes"


def _plan(
    directory: Directory, users: list[dict[str, Any]], *exempted: dict[str, Any], **snapshot: Any
) -> tuple[Plan, pd.DataFrame]:
    lines = [
        {"id": place, "person_id": None, "sourced_ids": [], "changes": None} | one for place, one in enumerate(exempted)
    ]
    frames = replace(
        directory.frames(),
        exemptions=pd.DataFrame(lines, columns=["id", "action", "person_id", "sourced_ids", "changes"]),
    )
    roster = cleaned(users).roster
    return make_plan(roster, frames, school(), replace(COMPLETE, **snapshot)), roster


def _two() -> tuple[Directory, int, int]:
    directory = Directory()
    here, gone = (directory.member(directory.person(sourced_id)) for sourced_id in (STAYS, GOES))
    return directory, here, gone


def _row(plan: Plan, **which: Any) -> tuple[str, str]:
    rows = plan.rows
    for name, value in which.items():
        rows = rows[rows[name] == value]
    (row,) = rows.itertuples()
    return str(row.action), str(row.reason)


EMAIL = {"email": [None, "new@example.org"]}
EXEMPTED, LEFT = ("skip", "exempted"), ("archive", "left")
NEW, NEWER = ([user(STAYS, email=f"{name}@example.org"), user(GOES)] for name in ("new", "newer"))
CASES: dict[str, tuple[list[dict[str, Any]], str, str, str, tuple[str, str]]] = {
    "an archival": ([user(STAYS)], "archive", GOES, GOES, EXEMPTED),
    "the archival of somebody else": ([user(STAYS)], "archive", STAYS, GOES, LEFT),
    "another kind of change": ([user(STAYS)], "update", GOES, GOES, LEFT),
    "an archival of somebody who is back": ([user(STAYS), user(GOES)], "archive", GOES, GOES, ("unchanged", "equal")),
    "an update with these values": (NEW, "update", STAYS, STAYS, EXEMPTED),
    "an update with other values": (NEWER, "update", STAYS, STAYS, ("update", "changed")),
}
"""Cases: records, the exempted kind of change and person, then the row's person and action. An exemption that stops
nothing ends."""


@pytest.mark.parametrize(("users", "action", "who", "whose", "expected"), CASES.values(), ids=CASES)
def test_which_changes_an_exemption_holds_back(
    users: list[dict[str, Any]], action: str, who: str, whose: str, expected: tuple[str, str]
) -> None:
    directory, here, gone = _two()
    of = {STAYS: here, GOES: gone}
    changes = EMAIL if who == STAYS and action == "update" else None
    plan, _ = _plan(directory, users, {"action": action, "person_id": of[who], "changes": changes})
    assert _row(plan, person_id=of[whose]) == expected
    assert plan.ended_exemptions == (() if expected == EXEMPTED else (0,))


def test_somebody_new_is_known_by_any_of_their_records() -> None:
    directory, _, _ = _two()
    users = [user(STAYS), user(GOES), user("test-user")]
    plan, _ = _plan(directory, users, {"action": "create", "sourced_ids": ["old-id", "test-user"]})
    assert _row(plan, reason="exempted") == ("skip", "exempted")
    assert plan.counts == {"student": {"unchanged": 2, "skip": 1}}
    plan, _ = _plan(directory, users[:2], {"action": "create", "sourced_ids": ["test-user"]})
    assert plan.ended_exemptions == (0,), "the record is gone"


def test_an_exempted_row_writes_no_link() -> None:
    directory, here, _ = _two()
    new_id = user("new-id", givenName="Givenstays", familyName="Familystays", identifier="N-stays")
    plain, _ = _plan(directory, [new_id, user(GOES)])
    (row,) = plain.rows[plain.rows["person_id"] == here].to_dict("records")
    assert (row["action"], row["new_links"]) == ("update", ["new-id"])
    plan, _ = _plan(directory, [new_id, user(GOES)], {"action": "update", "person_id": here, "changes": row["changes"]})
    (row,) = plan.rows[plan.rows["person_id"] == here].to_dict("records")
    assert (row["action"], row["reason"], row["new_links"]) == ("skip", "exempted", [])


@pytest.mark.parametrize("snapshot", [{"complete": False}, {"mode": "delta"}])
def test_an_answer_that_does_not_hold_everybody_ends_no_exemption(snapshot: dict[str, Any]) -> None:
    directory, _, gone = _two()
    plan, _ = _plan(directory, [user(STAYS), user(GOES)], {"action": "archive", "person_id": gone}, **snapshot)
    assert plan.ended_exemptions == ()


def test_somebody_whose_role_is_off_for_a_while_is_still_away() -> None:
    directory, _, gone = _two()
    directory.members[gone]["role"] = "teacher"
    frames = replace(
        directory.frames(),
        exemptions=pd.DataFrame(
            [{"id": 7, "action": "archive", "person_id": gone, "sourced_ids": [GOES], "changes": None}]
        ),
    )
    settings = school(teachers={"rostered": False})
    assert make_plan(cleaned([user(STAYS)], settings).roster, frames, settings, COMPLETE).ended_exemptions == ()
    directory.members[gone]["status"] = "archived"
    frames = replace(frames, members=directory.frames().members)
    assert make_plan(cleaned([user(STAYS)], settings).roster, frames, settings, COMPLETE).ended_exemptions == (7,)


def test_somebody_whose_archival_was_refused_is_not_expected() -> None:
    directory, _, gone = _two()
    plan, roster = _plan(directory, [user(STAYS)], {"action": "archive", "person_id": gone})
    nobody = pd.DataFrame(
        {name: pd.Series(dtype="str") for name in ("collection", "sourced_id", "rule", "severity", "role")}
    )
    stats = plan_stats_of(plan, roster, nobody, directory.frames(), COMPLETE, pd.DataFrame(), TODAY)
    assert (stats.school.known, stats.school.missing) == (1, 0)
