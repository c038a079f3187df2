"""Org records as servers bend them."""

from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.orgs import Org
from roster_pipeline.simulator.payload import Record


def bent_org(faults: Faults, record: Record, org: Org) -> Record:
    """The org object with the faults on orgs applied."""
    if faults.on("org_type") and org.type == "school":
        record["type"] = "department" if faults.on("org_type", "mixed") else faults.text("org_type")
    if faults.on("org_parent"):
        record["parent"] = None if faults.on("org_parent", "null") else {}
    if faults.on("org_identifier", "absent"):
        record.pop("identifier")
    if faults.on("org_identifier", "doubled") and org.type == "school":
        record["identifier"] = "0100"
    if faults.on("nulls"):
        for name in ("identifier", "parent", "children", "metadata"):
            record.setdefault(name, None)
    return record
