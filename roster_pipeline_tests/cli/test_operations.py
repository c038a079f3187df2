"""`roster doctor`, `prune` and `metrics` on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, make_url

from roster_pipeline.embedded import DAGSTER_URL
from roster_pipeline_tests.cli.conftest import Roster, drop


@pytest.fixture
def installed(
    school: Roster, database_url: str, postgres_server: URL, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Roster]:
    """The school, with a database for Dagster of its own."""
    monkeypatch.delenv(DAGSTER_URL)
    yield school
    drop(postgres_server, f"{make_url(database_url).database}_dagster")


def test_doctor_is_red_without_a_daemon_and_says_what_to_do(installed: Roster) -> None:
    answer = installed("doctor", "--json")
    found = {item["name"]: item for item in answer.data}
    assert answer.code == 1
    assert found["daemon"]["ok"] is False
    assert "roster dev" in found["daemon"]["remedy"]
    assert found["database"]["ok"]
    assert found["schema"]["ok"]


def test_prune_tells_what_it_dropped(installed: Roster) -> None:
    assert set(installed("prune", "--json").data) >= {"snapshots", "mails", "runs"}


def test_metrics_go_to_stdout_or_whole_into_a_file(school: Roster, tmp_path: Path) -> None:
    target = tmp_path / "roster.prom"
    assert school("metrics", "--textfile", target).code == 0
    assert target.read_text() == school("metrics").out
    assert 'roster_failures_since_sync{school="oak"} 0' in target.read_text()
    assert list(tmp_path.glob(".*")) == []
