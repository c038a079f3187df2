"""Events in a SIS on one day, by name; numbers pick the people."""

from roster_pipeline_tests.invariants import lookalikes, sis_state
from roster_pipeline_tests.invariants.district import CheckedDistrict

KINDS = (
    "join", "join", "join_numberless", "leave", "leave", "come_back", "come_back", "come_back", "move", "rename",
    "new_email", "other_role", "other_role_there", "second_record", "second_school", "rekey", "marry", "respell_id",
    "rekey_with_twin", "wrong_number", "own_number", "respell_number", "reuse", "transform", "spoil", "spoil", "mend",
    "mend", "mend", "exchange_names", "slip_number", "slip_email", "lose_school", "look_alike",
    "to_campus", "also_campus", "to_district", "half_move", "year_up", "year_back",
    "other_domain", "transliterate", "schools_merge", "move_middle", "known_as", "known_as",
    "enter_again", "enter_again",
)  # fmt: skip


def happen(district: CheckedDistrict, kind: str, pick: int, other: int, third: int) -> None:
    """Make one change in a SIS, if it is possible today."""
    sis = district.sis
    if kind == "look_alike":
        lookalikes.appear(sis, lookalikes.KINDS[third % len(lookalikes.KINDS)], pick, other)
        return
    here, left = sis.here(), sis.left()
    school, group = sis.schools[other % len(sis.schools)], sis_state.GROUPS[third % len(sis_state.GROUPS)]
    if kind.startswith("join"):
        sis.join(school, group, numbered=kind == "join")
        return
    if kind == "spoil":
        sis.spoil(sorted(sis_state.SPOILED)[pick // 5 % len(sis_state.SPOILED)], school, group, every=1 + pick % 5)
        return
    if kind.startswith("year"):
        sis.turn_year(school, up=kind == "year_up", every=1 + pick % 3)
        return
    if kind == "other_domain":
        sis.other_domain(school, every=1 + pick % 3)
        return
    if kind == "schools_merge":
        for record in [one for one in here if one.names(school)] if pick % 3 == 0 else ():
            sis.set_roles(record, [(role, sis.schools[0] if org == school else org) for role, org in record.roles])
        return
    if kind == "mend":
        sis.mend()
        return
    if kind == "come_back":
        if left and not replaced(left[pick % len(left)], here):
            sis.come_back(left[pick % len(left)])
        return
    if kind == "reuse":
        free = [record for record in left if record.sourced_id not in sis.confirmed]
        if free:
            sis.give_away(free[pick % len(free)], school, group)
        return
    if not here:
        return
    record, somebody = here[pick % len(here)], here[other % len(here)]
    turns = _pupil(group) != _pupil(record.roles[0][0])
    if kind in ("other_role", "other_role_there", "second_record") and turns and record.truth in sis.alike:
        return
    if kind == "leave":
        sis.leave(record, sis_state.LEAVING[other % len(sis_state.LEAVING)])
    elif kind == "move":
        sis.set_roles(record, [(role, school) for role, _ in record.roles])
    elif kind == "half_move":
        sis.set_roles(record, [(role, school) for role, _ in record.roles], main=record.roles[0][1])
    elif kind == "lose_school":
        sis.set_roles(record, [(role, sis_state.UNLISTED) for role, _ in record.roles])
    elif kind == "to_campus":
        sis.set_roles(record, [(role, sis_state.campus_of(school)) for role, _ in record.roles])
    elif kind == "to_district":
        sis.set_roles(record, [(role, sis_state.DISTRICT) for role, _ in record.roles])
    elif kind == "also_campus":
        sis.set_roles(record, [*record.roles, (record.roles[0][0], sis_state.campus_of(school))])
    elif kind == "rename":
        sis.rename(record, given=bool(other % 2))
    elif kind == "exchange_names":
        sis.exchange_names(record)
    elif kind == "move_middle":
        sis.move_middle(record, to="given" if other % 2 else "family")
    elif kind == "transform":
        sis.transform(record)
    elif kind == "transliterate":
        sis.transliterate(record)
    elif kind == "new_email":
        sis.new_email(record)
    elif kind == "other_role":
        sis.set_roles(record, [(group, org) for _, org in record.roles])
    elif kind == "other_role_there":
        sis.set_roles(record, [*((role, org) for role, org in record.roles if org != school), (group, school)])
    elif kind == "second_school":
        sis.set_roles(record, [*record.roles, (record.roles[0][0], school)])
    elif kind == "second_record":
        sis.second_record(record, school, group, mailbox=bool(pick % 2))
    elif kind == "rekey":
        sis.rekey(record)
    elif kind == "known_as" and record.given and record.family and record.email:
        sis.known_as(record, ("short", "letters", "nickname")[other % 3], login=bool(third % 2))
    elif kind == "enter_again":
        away = [one for one in left if third % 2 and not replaced(one, here)]
        sis.enter_again(away[pick % len(away)] if away else record, short=other % 3 == 0)
    elif kind == "marry":
        sis.marry(record)
    elif kind == "respell_id" and record.sourced_id.islower():
        sis.respell_id(record)
    elif kind == "rekey_with_twin" and record.number:
        role, org = record.roles[0]
        sis.take_number_of(sis.join(org, role), sis.rekey(record))
    elif kind == "wrong_number" and somebody.truth != record.truth and record.number and somebody.number:
        sis.take_number_of(record, somebody)
    elif kind == "own_number" and record.number:
        sis.own_number(record)
    elif kind == "respell_number" and record.number:
        sis.respell_number(record)
    elif kind.startswith("slip"):
        sis.slip(alone(here)[pick % len(here) :][: 2 + other % 4], kind.removeprefix("slip_"))


def _pupil(group: sis_state.Group) -> bool:
    return group == "student"


def happen_all(district: CheckedDistrict, changes: list[tuple[str, int, int, int]]) -> None:
    """Make these changes: name, and the numbers that pick people and values."""
    for kind, *picks in changes:
        happen(district, kind, *picks)


def alone(here: list[sis_state.Record]) -> list[sis_state.Record]:
    """Records of people with a single record."""
    truths = [record.truth for record in here]
    return [record for record in here if truths.count(record.truth) == 1]


def replaced(record: sis_state.Record, here: list[sis_state.Record]) -> bool:
    """Whether a record that left got a new id: the old one does not come back as well."""
    return any(each.truth == record.truth and each.roles == record.roles for each in here)
