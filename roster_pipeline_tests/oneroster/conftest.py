"""A simulated SIS per test, faults as text, and a client whose waits take no time."""

from collections.abc import Callable, Iterator

import pytest

from roster_pipeline.simulator import District, generate_district
from roster_pipeline_tests.oneroster.client_helpers import Served, serve


@pytest.fixture(scope="session")
def small_district() -> District:
    """Two schools with sixty students each, their staff and their families."""
    return generate_district(7, 2, 60)


@pytest.fixture(scope="session")
def idle() -> Iterator[list[Served]]:
    """Simulators for reuse, because starting one takes longer than most tests."""
    servers: list[Served] = []
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def sis(small_district: District, idle: list[Served]) -> Iterator[Callable[..., Served]]:
    """`sis("page_cap=20", versions=("1.1",))` serves the district with these faults until the test ends."""
    taken: list[Served] = []

    def start(*faults: str, versions: tuple[str, ...] = ("1.2",), prefix: str = "") -> Served:
        served = next((one for one in idle if one.serves(versions, prefix)), None)
        if served is None:
            served = serve(small_district, versions=versions, prefix=prefix)
        else:
            idle.remove(served)
            served.reset()
        served.sis.faults.set(*faults)
        taken.append(served)
        return served

    small_district.reset()
    yield start
    small_district.reset()
    idle += [served for served in taken if not served.stopped]
