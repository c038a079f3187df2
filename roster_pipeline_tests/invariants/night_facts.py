"""The numbers by which the guards of the model judge a night."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from roster_pipeline_tests.invariants.evidence import plain
from roster_pipeline_tests.invariants.guarding import FEW, Planned, Role
from roster_pipeline_tests.invariants.identities import Identity
from roster_pipeline_tests.invariants.person import Person
from roster_pipeline_tests.invariants.rules import CHANGING
from roster_pipeline_tests.invariants.sis_state import Record

if TYPE_CHECKING:
    from roster_pipeline_tests.invariants.model import Model, Row


def facts_of(
    model: Model,
    school: str,
    identities: list[Identity],
    seeming: list[Identity],
    rows: list[Row],
    records: list[Record],
    refused: list[Row],
    announced: set[int],
) -> Role:
    """See `guarding.Role`. refused: rows that somebody exempted; they are not among `rows`. announced: the serials of
    announced leavers who are gone."""
    state = model.schools[school]
    rostered = [role for role in ("admin", "teacher", "staff", "student") if state.rules.rostered(role)]
    managed = [person.members[school].role for person in model.managed(school)]
    left = [person.members[school].role for person in model.managed(school) if person.serial in announced]
    moved, swapped, givers = _moved(model, school, rows, identities)
    given_up = {
        place
        for place, row in enumerate(rows)
        if row.person
        and row.person.serial in givers
        and not (row.action == "archive" and row.person.serial in announced)
    }
    given_up |= {
        place for place, row in enumerate(rows) if row.person is None and _has_a_key_of_a_member(model, school, row)
    }
    anew: dict[str, tuple[int, int]] = {}
    reassigned: dict[str, tuple[int, int]] = {}
    for role in rostered:
        of = [identity for identity in identities if _known_as(identity, school) == role]
        anew[role] = (sum(identity.matched_by != "link" for identity in of), len(of))
        active = [identity for identity in of if identity.person in model.active(school)]
        reassigned[role] = (sum(bool(identity.doubted) for identity in active), len(active))
    return Role(
        rostered=tuple(rostered),
        counts={role: sum(identity.role == role for identity in seeming) for role in rostered},
        managed={role: managed.count(role) - left.count(role) for role in rostered},
        planned=[
            Planned(row.role, row.action, _origin(row, school), row.of_keys, _is_promotion(row, school))
            for row in rows
            if row.action in CHANGING
            and not (row.action == "update" and row.unseen)
            and not (row.action == "archive" and row.person and row.person.serial in announced)
        ],
        anew=anew,
        reassigned=reassigned,
        history=[_without(model, announced, sizes, roles) for sizes, good, roles in state.sizes if good],
        first_sync=not state.synced,
        unknown={role: _unknown(model, school, role, identities) for role in rostered},
        bare={role: _bare(model, school, role, records, announced) for role in rostered},
        expected=_expected(
            model, school, identities, len([role for role in managed if role in rostered]), refused, announced
        ),
        came=_came(model, school, identities, rows, managed),
        moved=moved,
        swapped=swapped,
        given_up=frozenset(given_up),
        other_kind=_of_other_kind(rows, school, {} if not state.synced else state.not_rostered),
        lower=sum(_goes_down(row, school) for row in rows),
        losses=_losses(model, school, rows, announced),
    )


def _losses(model: Model, school: str, rows: list[Row], announced: set[int]) -> dict[str, list[tuple[int, int]]]:
    """For each role that loses somebody now: how many were lost in weeks, and of how many; with and without the highest
    grade. All nights of the model are in one week."""
    going = [
        row.person for row in rows if row.action == "archive" and row.person and row.person.serial not in announced
    ]
    of_rows = {row.person.serial for row in rows if row.action == "restore" and row.person}
    once = [person for person in model.people if school in person.members and person.members[school].lost]
    back, lost = (
        [person.members[school] for person in once if (person.serial in of_rows) is restored]
        for restored in (True, False)
    )
    known = [person.members[school] for person in model.managed(school)]
    here = [*(person.members[school] for person in model.managed(school) if person.serial not in announced), *back]
    found: dict[str, list[tuple[int, int]]] = {}
    for role in {person.members[school].role for person in going}:
        grades = Counter(each.grade for each in (*known, *back, *lost) if each.role == role and each.grade is not None)
        years = sorted(grade for grade, many in grades.items() if many > FEW)
        highest = years[-1] if len(years) > 1 and role == "student" else None
        for left_out in (None, highest):
            now, before, there = (
                sum(each.role == role and (left_out is None or each.grade != left_out) for each in some)
                for some in ([person.members[school] for person in going], lost, here)
            )
            found.setdefault(role, []).append((before + now, before + there))
    return found


def _goes_down(row: Row, school: str) -> bool:
    """Whether a row gives a student of this school a lower grade."""
    if row.action != "update" or row.person is None or not row.membership or row.grade is None:
        return False
    before = row.person.members[school].grade
    return before is not None and row.grade < before


def _is_promotion(row: Row, school: str) -> bool:
    """Whether a student of this school only goes up one grade."""
    member = row.person.members.get(school) if row.person and row.action == "update" else None
    if member is None or member.status != "active" or member.grade is None or row.fields or not row.membership:
        return False
    return row.role == member.role and row.grade == member.grade + 1


def _origin(row: Row, school: str) -> str:
    """The role that somebody comes from."""
    member = row.person.members.get(school) if row.person else None
    return member.role if member and member.status == "active" else row.role


def _unknown(model: Model, school: str, role: str, identities: list[Identity]) -> int:
    """Active members whose only org is one that the SIS does not list."""
    unknown = {
        id(identity.person) for identity in identities if identity.unknown and identity.person and not identity.conflict
    }
    return sum(
        id(person) in unknown and not person.excluded and person.members[school].role == role
        for person in model.active(school)
    )


def _without(model: Model, announced: set[int], sizes: dict[str, int], roles: dict[str, str]) -> dict[str, int]:
    """An earlier night's people by role, without announced leavers who are gone now. roles: of that night's records."""
    without = dict(sizes)
    for person in model.people:
        theirs = [roles[link] for link in person.links if link in roles] if person.serial in announced else []
        if theirs:
            role = min(theirs, key=("admin", "teacher", "staff", "student").index)
            without[role] = without.get(role, 0) - 1
    return without


def _bare(model: Model, school: str, role: str, records: list[Record], announced: set[int]) -> int:
    """Active members who came and whose records name no school."""
    found = 0
    for person in model.active(school):
        if person.serial in announced:
            continue
        theirs = [record for record in records if record.sourced_id in person.links]
        bare = bool(theirs) and all(record.gone == "lose_org" for record in theirs)
        found += bare and person.members[school].role == role
    return found


def _gone(model: Model, school: str, identities: list[Identity]) -> list[Person]:
    """Members in a rostered role whom the sync may archive, and whose records did not come."""
    here = {id(identity.person) for identity in identities if identity.counted}
    rostered = model.schools[school].rules.rostered
    return [p for p in model.managed(school) if id(p) not in here and rostered(p.members[school].role)]


def _expected(
    model: Model, school: str, identities: list[Identity], known: int, refused: list[Row], announced: set[int]
) -> tuple[int, int]:
    """How many people are known here and expected, and how many of them did not come."""
    exempted = {id(row.person) for row in refused if row.action == "archive"}
    doubtful, rules = model.doubtful(school, identities), model.schools[school].rules
    missing = 0
    for person in _gone(model, school, identities):
        waits = id(person) in doubtful
        leaves = bool(person.links) and rules.archive(person.members[school].role)
        expected = (
            not person.excluded and (waits or leaves) and id(person) not in exempted and person.serial not in announced
        )
        missing += expected
        known -= not expected
    return known, missing


def _came(
    model: Model, school: str, identities: list[Identity], rows: list[Row], managed: list[str]
) -> tuple[int, int]:
    """How many came in a role that has members, and how many of them are new."""
    rostered = model.schools[school].rules.rostered
    came = 0
    for identity in identities:
        member = identity.person.members.get(school) if identity.person else None
        own = member is not None and member.status == "active" and rostered(member.role)
        if not identity.counted:
            continue
        if identity.role is None:
            came += identity.conflict and own and member is not None and member.role in managed
        elif identity.conflict or identity.person is None or identity.person.excluded or member is None:
            came += identity.role in managed
        else:
            came += rostered(member.role) and identity.role in managed
    return came, sum(row.action == "create" and row.role in managed for row in rows)


def _moved(
    model: Model, school: str, rows: list[Row], identities: list[Identity]
) -> tuple[frozenset[int], bool, frozenset[int]]:
    """Places of rows that give somebody a value of another known person, whether a whole name moved, and the people who
    gave one up."""
    changed = {id(row.person): row.fields for row in rows if row.person and row.action != "archive"}
    known = [p for p in model.people if school not in p.members or p.members[school].status == "active"]
    gone = {id(person) for person in _gone(model, school, identities)}
    found, swapped, givers = set(), False, set()
    for place, row in enumerate(rows):
        if row.person is None or row.action not in ("create", "update", "restore"):
            continue
        after = row.person.fields | row.fields
        for other in [p for p in known if p is not row.person]:
            before, theirs = other.fields, changed.get(id(other), {})
            number = (
                bool({"number", "kind", "sourced"} & set(row.fields))
                and before["sourced"]
                and after["number"] is not None
                and before["number"] is not None
                and plain((after["kind"], after["number"])) == plain((before["kind"], before["number"]))
            )
            family = "email" not in theirs and after["family"] == before["family"]
            email = row.fields.get("email") is not None and after["email"] == before["email"] and not family
            active = school in other.members and other.members[school].status == "active"
            whole = active and any(
                bool(names & set(row.fields))
                and all(after[name] and after[name] == before[name] for name in names)
                and (id(other) in gone or bool(names & set(theirs)))
                for names in ({"given", "family"}, {"given", "family", "middle"})
            )
            username = row.fields.get("username") is not None and after["username"] == before["username"]
            swapped = swapped or whole or bool(number and username)
            keys = {"number", "kind", "sourced"} if number else set()
            keys |= {name for name, moves in (("username", username), ("email", email)) if moves}
            if whole or keys & set(theirs) or (keys and id(other) in gone):
                givers.add(other.serial)
            if number or username or email or whole:
                found.add(place)
    return frozenset(found | _copied(rows)), swapped, frozenset(givers)


def _has_a_key_of_a_member(model: Model, school: str, row: Row) -> bool:
    """Whether a new person would have the number, user name or e-mail of an active member, but not of their family."""
    fields = row.fields
    return any(
        (
            fields["number"] is not None
            and before["number"] is not None
            and before["sourced"]
            and plain((fields["kind"], fields["number"])) == plain((before["kind"], before["number"]))
        )
        or (fields["username"] is not None and fields["username"] == before["username"])
        or (fields["email"] is not None and fields["email"] == before["email"] and fields["family"] != before["family"])
        for before in (person.fields for person in model.active(school))
    )


def _copied(rows: list[Row]) -> set[int]:
    """Places of rows with which more than three different given or family names become one name."""
    found = set[int]()
    for name in ("given", "family"):
        became: dict[str, dict[int, str]] = {}
        for place, row in enumerate(rows):
            if row.person is None or row.action not in ("create", "update", "restore") or name not in row.fields:
                continue
            old, new = (str(one or "").casefold() for one in (row.person.fields[name], row.fields[name]))
            if old and new and old not in new and new not in old:
                became.setdefault(new, {})[place] = old
        found |= {place for olds in became.values() if len(set(olds.values())) > 3 for place in olds}
    return found


def _of_other_kind(rows: list[Row], school: str, not_rostered: dict[str, set[str]]) -> frozenset[int]:
    """Places of rows that make a student a member of staff, or the reverse. not_rostered: by record, the roles that it
    had in earlier lists while the school did not roster them. They count for somebody new."""
    found = set()
    for place, row in enumerate(rows):
        if row.action == "create" and row.person is None and row.identity:
            were = set().union(*(not_rostered.get(record, set()) for record in row.identity.ids))
            if any((role == "student") != (row.role == "student") for role in were):
                found.add(place)
        if row.person is None or row.action not in ("create", "update", "restore"):
            continue
        here = row.person.members.get(school)
        was = {here.role} if here else set()
        if not here or here.status != "active":
            was |= {member.role for key, member in row.person.members.items() if member.status == "active"}
        if (not here or row.membership) and {role == "student" for role in was} == {row.role != "student"}:
            found.add(place)
    return frozenset(found)


def _known_as(identity: Identity, school: str) -> str | None:
    """The role of a known person: tonight's, else that of their membership."""
    if identity.matched_by is None or not identity.counted:
        return None
    member = identity.candidates[0].members.get(school)
    active = member is not None and member.status == "active" and identity.person is not None
    return identity.role or (member.role if member and active else None)
