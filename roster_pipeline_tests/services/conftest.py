"""Two schools of one connection."""

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory.builders import add_school


@pytest.fixture
def lincoln(database: Database) -> SchoolRow:
    return database.call(add_school, "lincoln")


@pytest.fixture
def oak(database: Database, lincoln: SchoolRow) -> SchoolRow:
    return database.call(add_school, "oak")
