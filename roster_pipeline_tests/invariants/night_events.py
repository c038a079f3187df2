"""What can happen in a SIS on one day, by name and by numbers that pick whom it happens to."""

from __future__ import annotations

from roster_pipeline_tests.invariants import lookalikes
from roster_pipeline_tests.invariants.district import DistrictUnderProof
from roster_pipeline_tests.invariants.sis_state import DISTRICT, GROUPS, LEAVING, UNLISTED, Group, Record, campus_of

KINDS = (
    "join", "join", "join_numberless", "leave", "leave", "come_back", "come_back", "come_back", "move", "rename",
    "new_email", "other_role", "second_record", "second_school", "rekey", "rekey_with_twin", "wrong_number",
    "own_number", "reuse", "transform", "spoil_emails", "mend_emails", "mend_emails",
    "slip_number", "slip_email", "lose_school", "look_alike",
    "to_campus", "also_campus", "to_district", "year_up", "year_back",
)  # fmt: skip


def happen(district: DistrictUnderProof, kind: str, pick: int, other: int, third: int) -> None:
    """One change in a SIS; what cannot happen today does not."""
    world = district.world
    if kind == "look_alike":
        lookalikes.appear(world, lookalikes.KINDS[third % len(lookalikes.KINDS)], pick, other)
        return
    here, left = world.here(), world.left()
    school, group = world.schools[other % len(world.schools)], GROUPS[third % len(GROUPS)]
    if kind.startswith("join"):
        world.join(school, group, numbered=kind == "join")
        return
    if kind == "spoil_emails":
        world.spoil_emails(school, group, every=1 + pick % 5)
        return
    if kind.startswith("year"):
        world.turn_year(school, up=kind == "year_up", every=1 + pick % 3)
        return
    if kind == "mend_emails":
        world.mend_emails()
        return
    if kind == "come_back":
        if left and not replaced(left[pick % len(left)], here):
            world.come_back(left[pick % len(left)])
        return
    if kind == "reuse":
        free = [record for record in left if record.sourced_id not in world.confirmed]
        if free:
            world.give_away(free[pick % len(free)], school, group)
        return
    if not here:
        return
    record, somebody = here[pick % len(here)], here[other % len(here)]
    turns = _pupil(group) != _pupil(record.roles[0][0])
    if kind in ("other_role", "second_record") and turns and record.human in world.alike:
        return
    if kind == "leave":
        world.leave(record, LEAVING[other % len(LEAVING)])
    elif kind == "move":
        world.set_roles(record, [(role, school) for role, _ in record.roles])
    elif kind == "lose_school":
        world.set_roles(record, [(role, UNLISTED) for role, _ in record.roles])
    elif kind == "to_campus":
        world.set_roles(record, [(role, campus_of(school)) for role, _ in record.roles])
    elif kind == "to_district":
        world.set_roles(record, [(role, DISTRICT) for role, _ in record.roles])
    elif kind == "also_campus":
        world.set_roles(record, [*record.roles, (record.roles[0][0], campus_of(school))])
    elif kind == "rename":
        world.rename(record, given=bool(other % 2))
    elif kind == "transform":
        world.transform(record)
    elif kind == "new_email":
        world.new_email(record)
    elif kind == "other_role":
        world.set_roles(record, [(group, org) for _, org in record.roles])
    elif kind == "second_school":
        world.set_roles(record, [*record.roles, (record.roles[0][0], school)])
    elif kind == "second_record":
        world.second_record(record, school, group, mailbox=bool(pick % 2))
    elif kind == "rekey":
        world.rekey(record)
    elif kind == "rekey_with_twin" and record.number:
        role, org = record.roles[0]
        world.take_number_of(world.join(org, role), world.rekey(record))
    elif kind == "wrong_number" and somebody.human != record.human and record.number and somebody.number:
        world.take_number_of(record, somebody)
    elif kind == "own_number" and record.number:
        world.own_number(record)
    elif kind.startswith("slip"):
        world.slip(alone(here)[pick % len(here) :][: 2 + other % 4], kind.removeprefix("slip_"))


def _pupil(group: Group) -> bool:
    return group == "student"


def happen_all(district: DistrictUnderProof, changes: list[tuple[str, int, int, int]]) -> None:
    """Each of these changes: what happens, and the numbers that pick whom and what."""
    for kind, *picks in changes:
        happen(district, kind, *picks)


def alone(here: list[Record]) -> list[Record]:
    """Records of people who have no other one."""
    humans = [record.human for record in here]
    return [record for record in here if humans.count(record.human) == 1]


def replaced(record: Record, here: list[Record]) -> bool:
    """Whether a record that left got a new id: the old one does not come back as well."""
    return any(each.human == record.human and each.roles == record.roles for each in here)
