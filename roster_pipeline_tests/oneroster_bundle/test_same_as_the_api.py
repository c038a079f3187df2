"""A bundle and the API of one SIS give the same records, in both versions."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from roster_pipeline.oneroster import Client, Endpoint, Wanted, pull
from roster_pipeline.oneroster.http.endpoint import VersionChoice
from roster_pipeline.simulator import DEMO_CREDENTIALS, District, Sis, create_site, generate_district, running
from roster_pipeline_tests.csv_bundle import write_csv_bundle as write
from roster_pipeline_tests.oneroster_bundle.writing import Read

NOW = datetime(2026, 9, 15, 20, 0, tzinfo=UTC)
NOT_IN_CSV = ("status", "dateLastModified")
"""Blank in bulk files."""


@pytest.fixture(scope="module")
def district() -> District:
    return generate_district(seed=7, schools=3, students_per_school=60, start=date(2026, 9, 1), clock=lambda: NOW)


def by_id(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        record["sourcedId"]: {name: value for name, value in record.items() if name not in NOT_IN_CSV}
        for record in records
    }


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_bundle_gives_the_records_of_the_api(district: District, tmp_path: Path, version: VersionChoice) -> None:
    bundle = Read(write(district, tmp_path / "bundle.zip", version=version))
    people: list[dict[str, Any]] = []
    orgs: list[dict[str, Any]] = []
    [(client_id, secret)] = DEMO_CREDENTIALS.items()
    with running(create_site([Sis(district)])) as base:
        endpoint = Endpoint(base, client_id, secret, version=version, allow_private=True)
        with Client(endpoint) as client:
            for batch in pull(client, Wanted(contacts=True)):
                (orgs if batch.kind == "org" else people).extend(batch.records)
    assert by_id(bundle.orgs) == by_id(orgs)
    assert by_id(bundle.users) == by_id(people)
    assert bundle.proof.complete
    assert bundle.proof.mode == "full"
    assert bundle.proof.version == version
    assert bundle.proof.records == len(people)
    assert bundle.rejects == []
