"""One record with a value that no database can store or index spoils no night of the others."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline_tests.sources.conftest import School, Source, pupil

PARAGRAPH = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(100))
"""A text that no compression makes short enough for an index."""
HOSTILE: dict[str, dict[str, Any]] = {
    "a long id": {"sourcedId": PARAGRAPH},
    "a long org": {"orgSourcedIds": ["s1", PARAGRAPH]},
    "a long agent": {"agentSourcedIds": PARAGRAPH},
    "a long number": {"identifier": PARAGRAPH},
    "a long user name": {"username": PARAGRAPH},
    "a long middle name": {"middleName": PARAGRAPH},
}
OVER_REST: dict[str, dict[str, Any]] = {
    "an id of half a character": {"sourcedId": "st9\ud800"},
    "an id with a control character": {"sourcedId": "st9\x00"},
    "an address with a control character": {"orgSourcedIds": [{"href": "https://sis.example/orgs/s1%00"}]},
    "an agent's address": {"agentSourcedIds": [{"href": "https://sis.example/users/%01%00"}]},
}


def synced(database: Database, source: Source, record: dict[str, Any]) -> School:
    """A school after a sync with twenty people and this record, which comes twice."""
    school = School(database, source)
    source.users = [*map(pupil, range(20)), record]
    school.sync()
    source.users.append(record)
    school.sync()
    assert {f"st{number}" for number in range(20) if number != 9} <= school.present
    return school


@pytest.mark.parametrize("name", HOSTILE)
def test_one_value_that_is_too_long_for_an_index_spoils_no_night(database: Database, source: Source, name: str) -> None:
    school = synced(database, source, pupil(50, **HOSTILE[name]))
    rules = {row["rule"] for row in school.rows("select rule from rejected_record")}
    if name == "a long id":
        assert "sourced-id-unreadable" in rules
    else:
        assert "st50" in school.present
    assert school.rows("select max(length(number)) as most from person")[0]["most"] < 10


@pytest.mark.parametrize("name", OVER_REST)
def test_one_value_that_no_database_can_store_spoils_no_night(database: Database, rest: Source, name: str) -> None:
    synced(database, rest, pupil(50, **OVER_REST[name]))
