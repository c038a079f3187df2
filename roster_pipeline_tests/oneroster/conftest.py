"""A simulated SIS per test, faults as text, and a client that waits without waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from roster_pipeline.simulator import District, generate_district
from roster_pipeline_tests.oneroster.reading_aloud import Served, serve


@pytest.fixture(scope="session")
def small_district() -> District:
    """Two schools with sixty students each, their staff and their families."""
    return generate_district(7, 2, 60)


@pytest.fixture
def sis(small_district: District) -> Iterator[Callable[..., Served]]:
    """`sis("page_cap=20", versions=("1.1",))` serves the district with these faults until the test ends."""
    small_district.reset()
    running: list[Served] = []

    def start(*faults: str, versions: tuple[str, ...] = ("1.2",), prefix: str = "", **more: object) -> Served:
        served = serve(small_district, faults, versions=versions, prefix=prefix, **more)
        running.append(served)
        return served

    yield start
    for served in running:
        served.stop()
    small_district.reset()
