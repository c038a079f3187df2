"""Who is left out: districts that narrow what an application sees, and servers that lose people without saying so."""

from collections.abc import Callable

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.payload import V11
from roster_pipeline.simulator.person import CONTACT_ROLES, LEGACY_ROLES, STUDENT, Person
from roster_pipeline.simulator.population import GRADES_BY_LEVEL, mix
from roster_pipeline.simulator.studies import Studies

LAST_GRADES = frozenset(grades[-1] for grades in GRADES_BY_LEVEL)
"""The highest grade of each kind of school."""
STAFF = ("aide", "proctor", "counselor")


def shares_nothing(faults: Faults) -> bool:
    """Whether every collection is empty at the moment."""
    if faults.on("cold_cache") and faults.seconds_on("cold_cache") < faults.number("cold_cache"):
        return True
    return faults.on("no_share")


def hidden_people(
    district: District, version: str, faults: Faults, studies: Studies
) -> Callable[[Person], bool] | None:
    """A test for people who are not served at all; None if everybody is."""
    tests: list[Callable[[Person], bool]] = []
    if faults.on("hide_school"):
        schools = faults.names("hide_school")
        tests.append(lambda p: bool(p.roles) and all(entry.org in schools for entry in p.roles))
    if faults.on("role_absent"):
        roles = faults.names("role_absent")
        tests.append(
            lambda p: bool(p.roles) and (p.roles[0].role in roles or LEGACY_ROLES.get(p.roles[0].role) in roles)
        )
    if faults.on("half_school"):
        halved = faults.text("half_school")
        tests.append(lambda p: p.is_in(halved) and p.row % 2 == 0)
    if faults.on("accountless_hidden") and (version == V11 or faults.on("accountless_hidden", "all")):
        tests.append(lambda p: not p.username)
    if faults.on("guardians", "off"):
        tests.append(lambda p: bool(p.roles) and p.roles[0].role in CONTACT_ROLES)
    if faults.on("between_terms"):
        tests.append(lambda p: p.has_role(STUDENT))
    if faults.on("grade_hidden"):
        grades = faults.names("grade_hidden")
        tests.append(lambda p: bool(grades.intersection(p.grades)))
    if faults.on("graduates", "drop"):
        tests.append(lambda p: bool(LAST_GRADES.intersection(p.grades)))
    if faults.on("staff_as", "absent"):
        tests.append(lambda p: bool(p.roles) and p.roles[0].role in STAFF)
    if faults.on("share_classes"):
        classes = {studies.find_class(sourced_id) for sourced_id in faults.names("share_classes")}
        tests.append(lambda p: classes.isdisjoint(studies.classes_of(p)))
    if not tests:
        return None
    return lambda person: any(test(person) for test in tests)


def omitted_from_lists(district: District, faults: Faults) -> Callable[[int], bool] | None:
    """A test for rows that lists leave out although single reads answer; None if lists are complete."""
    if not faults.on("list_omits"):
        return None
    share = faults.number("list_omits")
    return lambda row: mix(district.seed, row) % 100 < share
