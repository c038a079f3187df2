"""Records with values that no database can store or index do not harm the sync of others."""

import hashlib
from typing import Any

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


def synced(database: Database, source: Source, hostile: dict[str, dict[str, Any]]) -> School:
    """A school after a sync with twenty people and these records, which come twice."""
    school = School(database, source)
    records = [pupil(50 + place, **members) for place, members in enumerate(hostile.values())]
    source.users = [*map(pupil, range(20)), *records]
    school.sync()
    source.users += records
    school.sync()
    assert {f"st{number}" for number in range(20) if number != 9} <= school.present
    return school


def test_values_that_are_too_long_for_an_index_spoil_no_night(database: Database, source: Source) -> None:
    school = synced(database, source, HOSTILE)
    assert {"rule": "sourced-id-unreadable"} in school.rows("select rule from rejected_record")
    assert {f"st{50 + place}" for place, name in enumerate(HOSTILE) if name != "a long id"} <= school.present
    assert school.rows("select max(length(number)) as most from person")[0]["most"] < 10


def test_values_that_no_database_can_store_spoil_no_night(database: Database, rest: Source) -> None:
    synced(database, rest, OVER_REST)
