"""The orgs of a district: the district itself and its schools."""

from typing import NamedTuple

from roster_pipeline.simulator.names import SCHOOL_NAMES

LEVEL_NAMES = ("High School", "Middle School", "Elementary School")


class Org(NamedTuple):
    """One org. `parent` is a sourcedId or empty; `identifier` is the number people know the school by."""

    sourced_id: str
    name: str
    type: str
    identifier: str
    parent: str
    modified: str
    status: str = "active"


def generated_orgs(name: str, schools: int, modified: str) -> list[Org]:
    """The district org `dis-1`, then `sch-1`, `sch-2` ... with identifiers that have leading zeros."""
    orgs = [Org("dis-1", name, "district", "9001", "", modified)]
    for number in range(schools):
        lap, place = divmod(number, len(SCHOOL_NAMES))
        title = f"{SCHOOL_NAMES[place]} {LEVEL_NAMES[number % 3]}{f' {lap + 1}' if lap else ''}"
        orgs.append(Org(f"sch-{number + 1}", title, "school", f"{(number + 1) * 100:04d}", "dis-1", modified))
    return orgs
