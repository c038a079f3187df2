"""When the losses of other schools of a pull make a school wait, as a table."""

from typing import Any

import pytest

from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.planning.shared_pull import RoleLoss, losses_of, missing_elsewhere
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
