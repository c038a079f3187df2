"""When the losses of other schools of a pull, and the people who come to them, make a school wait, as tables."""

from typing import Any

import pytest

from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.planning.shared_pull import (
    Coming,
    Known,
    RoleLoss,
    arrivals_of,
    in_circles,
    losses_of,
    missing_elsewhere,
)
from roster_pipeline.settings.school import Guards
from roster_pipeline_tests.planning.test_guards import facts, plan_of

Losses = dict[int, tuple[int, int]]
"""School to its known and missing students."""
OURS = 1


def waits(losses: Losses, going: int) -> bool:
    """Whether the archivals of school 1 wait."""
    lost = losses_of([RoleLoss(school, *loss) for school, loss in losses.items()], dict.fromkeys(losses, Guards()))
    snapshot = SnapshotFacts(complete=True, bundle=True, school_id=OURS, losses=lost)
    known = losses[OURS][0]
    stats = facts(snapshot=snapshot, managed={"student": known})
    return any(missing_elsewhere(plan_of(archive=going), stats, Guards()))


def case(name: str, losses: Losses, *, expected: bool, going: int | None = None) -> Any:
    return pytest.param(losses, losses[OURS][1] if going is None else going, expected, id=name)


@pytest.mark.parametrize(
    ("losses", "going", "expected"),
    [
        case("another one has a large loss and this one an unusual one", {1: (100, 9), 2: (100, 11)}, expected=True),
        case("another one is at its limit", {1: (100, 9), 2: (100, 10)}, expected=True),
        case("another one is at its limit and this one is calm", {1: (100, 5), 2: (100, 10)}, expected=False),
        case("this one alone", {1: (100, 9), 2: (100, 0)}, expected=False),
        case("this one has a large loss itself", {1: (100, 20), 2: (100, 0)}, expected=False),
        case("both have a large loss", {1: (100, 20), 2: (100, 20)}, expected=True),
        case("five people of a small school", {1: (60, 5), 2: (100, 90), 3: (900, 0)}, expected=False),
        case("six people of a small school", {1: (60, 6), 2: (100, 90), 3: (900, 0)}, expected=True),
        case("six people of a large school", {1: (600, 6), 2: (100, 90), 3: (900, 0)}, expected=False),
        case("the calm schools together lack more than two percent", {1: (100, 1), 2: (100, 40), 3: (100, 4)},
             expected=True),
        case("the calm schools together lack two percent", {1: (100, 0), 2: (100, 40), 3: (100, 4)}, going=1,
             expected=False),
        case("two people are never a share", {1: (20, 1), 2: (100, 40), 3: (20, 1)}, expected=False),
        case("every school lacks some", {1: (100, 6), 2: (100, 7), 3: (100, 6)}, expected=True),
        case("two of many schools lack some", {1: (100, 6), 2: (100, 7), 3: (100, 0)}, expected=False),
        case("a thousand schools and one that graduates",
             {1: (300, 4), 2: (300, 90)} | dict.fromkeys(range(3, 999), (300, 1)), expected=False),
        case("nobody of this school goes", {1: (100, 0), 2: (100, 40), 3: (100, 9)}, expected=False),
    ],
)  # fmt: skip
def test_the_losses_of_other_schools(losses: Losses, going: int, *, expected: bool) -> None:
    assert waits(losses, going) is expected


def test_people_in_a_lost_part_of_a_file_are_a_large_loss() -> None:
    roles = [RoleLoss(1, 100, 7, in_lost_part=7), RoleLoss(2, 100, 9)]
    assert losses_of(roles, dict.fromkeys((1, 2), Guards()))["large"] == [1]


def test_a_few_of_a_small_role_are_no_large_loss() -> None:
    roles = [RoleLoss(1, 20, 5), RoleLoss(2, 20, 6)]
    assert losses_of(roles, dict.fromkeys((1, 2), Guards()))["large"] == [2]


def test_people_whom_the_sis_confirmed_by_id_do_not_wait() -> None:
    losses = losses_of([RoleLoss(1, 100, 9), RoleLoss(2, 100, 40)], dict.fromkeys((1, 2), Guards()))
    api = facts(snapshot=SnapshotFacts(complete=True, school_id=OURS, losses=losses))
    assert not any(missing_elsewhere(plan_of(archive=9), api, Guards()))
    unasked = plan_of(archive=9)
    unasked.rows["witness"] = "unanswered"
    assert any(missing_elsewhere(unasked, api, Guards()))


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        pytest.param({}, (0, 0), id="nobody moves"),
        pytest.param({(1, 2): 60}, (0, 0), id="a class goes on"),
        pytest.param({(1, 2): 60, (2, 3): 60, (4, 3): 9}, (0, 0), id="several schools in a row"),
        pytest.param({(1, 2): 60, (2, 1): 1}, (2, 2), id="a class goes on and one goes back"),
        pytest.param({(1, 2): 60, (2, 3): 60, (3, 1): 1}, (3, 3), id="one of three goes back to the first"),
        pytest.param({(1, 2): 5, (2, 3): 5, (3, 1): 5, (3, 4): 9}, (15, 3), id="a circle of three and a class"),
        pytest.param({(1, 2): 5, (2, 1): 5, (3, 4): 2, (4, 3): 3}, (14, 4), id="two pairs that exchange people"),
    ],
)
def test_people_who_change_schools_in_circles(moves: dict[tuple[int, int], int], expected: tuple[int, int]) -> None:
    assert in_circles(moves) == expected


@pytest.mark.parametrize(
    ("coming", "expected"),
    [
        pytest.param([], {"known": 330}, id="nobody comes"),
        pytest.param([Coming(1, 2, 60, gone=60)], {"emptied": 1}, id="one school is merged"),
        pytest.param([Coming(1, 2, 55, gone=55)], {}, id="half of a school goes on"),
        pytest.param([Coming(1, 2, 60, gone=60), Coming(3, 2, 60, gone=60)], {"emptied": 2}, id="two are emptied"),
        pytest.param([Coming(1, 9, 60, gone=60), Coming(3, 9, 60, gone=60)], {}, id="two go to a new school"),
        pytest.param([Coming(1, 2, 60), Coming(3, 2, 60)], {}, id="people get a second school"),
        pytest.param([Coming(1, 2, 8), Coming(1, 3, 8, several=8)], {"mixed_up": 8}, id="people come to two schools"),
        pytest.param([Coming(1, 2, 2), Coming(2, 1, 2)], {"mixed_up": 4}, id="a pair exchanges people"),
        pytest.param([Coming(1, 2, 1), Coming(2, 3, 1), Coming(3, 1, 1)], {"mixed_up": 3, "slipped": True},
                     id="a circle of all schools"),
        pytest.param([Coming(1, 2, 1), Coming(2, 3, 1), Coming(3, 1, 2)], {"mixed_up": 3},
                     id="a circle of all schools and one more"),
        pytest.param([Coming(None, 1, 30)], {}, id="one new class"),
        pytest.param([Coming(None, 1, 30), Coming(None, 1, 4), Coming(None, 2, 2)],
                     {"joining": 8, "with": 100, "schools": 1}, id="a class and four others"),
        pytest.param([Coming(None, school, 4) for school in (1, 2) for _ in ("06", "07", "08")],
                     {"joining": 24, "with": 200, "schools": 2}, id="all grades of two schools"),
        pytest.param([Coming(None, 9, 4) for _ in ("06", "07", "08")], {}, id="a new school"),
    ],
)  # fmt: skip
def test_who_comes_to_the_schools_of_a_pull(coming: list[Coming], expected: dict[str, object]) -> None:
    nobody = {"known": 330, "mixed_up": 0, "slipped": False, "emptied": 0, "joining": 0, "with": 0, "schools": 0}
    assert arrivals_of(coming, [Known(school, 110, 100) for school in (1, 2, 3)]) == nobody | expected
