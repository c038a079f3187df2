"""A simulated SIS: OneRoster 1.1 and 1.2 over HTTP, with a generated district, days that pass, and faults. Written from
the standard; it shares no code with the client that it tests."""

from roster_pipeline.simulator.app import SimulatorThread, create_app, create_site, running, serve
from roster_pipeline.simulator.days import DayReport, pass_day
from roster_pipeline.simulator.district import WAYS_OF_LEAVING, District, generate_district
from roster_pipeline.simulator.faults import FAULTS, Fault, Faults, UnknownFaultError
from roster_pipeline.simulator.person import Person, Role
from roster_pipeline.simulator.population import Org
from roster_pipeline.simulator.sis import DEMO_CREDENTIALS, Sis

__all__ = [
    "DEMO_CREDENTIALS", "FAULTS", "WAYS_OF_LEAVING", "DayReport", "District", "Fault", "Faults", "Org", "Person",
    "Role", "SimulatorThread", "Sis", "UnknownFaultError", "create_app", "create_site", "generate_district",
    "pass_day", "running", "serve",
]  # fmt: skip
