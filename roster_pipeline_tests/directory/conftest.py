"""Fixtures of the directory's tests."""

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory.builders import add_school, newcomer, person_of, sync_rows


@pytest.fixture
def lincoln(database: Database) -> SchoolRow:
    """A school of the district springfield, with its connection."""
    return database.call(add_school, "lincoln")


@pytest.fixture
def roosevelt(database: Database, lincoln: SchoolRow) -> SchoolRow:
    """A second school of the same connection."""
    return database.call(add_school, "roosevelt")


@pytest.fixture
def ada(database: Database, lincoln: SchoolRow) -> int:
    """A pupil of lincoln, with an e-mail address and a number."""
    sync_rows(database, lincoln, newcomer("u1", changes={"email": "ada@example.org", "number": "17"}))
    return person_of(database, "u1")
