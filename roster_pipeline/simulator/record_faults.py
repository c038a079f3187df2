"""User records bent by the faults that are on: first what is said about the person, then how it is spelled in JSON."""

from collections.abc import Callable

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.payload import Payload, Record
from roster_pipeline.simulator.person import Person
from roster_pipeline.simulator.person_faults import PERSON_BENDS, Bent
from roster_pipeline.simulator.shape_faults import SHAPE_BENDS

BENDS = {**PERSON_BENDS, **SHAPE_BENDS}
"""In the order in which they are applied."""


def record_bender(payload: Payload, district: District, faults: Faults) -> Callable[[Record, Person], Record] | None:
    """A function that bends one fresh user object; None if no such fault is on."""
    steps = [(bend, faults.text(name)) for name, bend in BENDS.items() if faults.on(name)]
    if not steps:
        return None

    def bend_all(record: Record, person: Person) -> Record:
        for bend, value in steps:
            bend(Bent(record, person, value, payload, district))
        return record

    return bend_all
