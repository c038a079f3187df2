"""Shared by the proofs: a running site, and a database for all examples of one proof."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from roster_pipeline.directory import planning_input, plans, roster_rows, school_records
from roster_pipeline.sync import plan_input
from roster_pipeline_tests.invariants.sync_district import Site, running_site
from roster_pipeline_tests.kept_frames import keep_and_compare
from roster_pipeline_tests.loaded_directories import load_both_ways
from roster_pipeline_tests.written_plans import write_and_compare


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A key for secrets and a home folder for one test. Small schools are treated like large ones (snapshots begin with
    the last one, rosters go on, plans leave out settled people, people are loaded in both ways), and stored plans,
    rosters and records are compared with their source."""
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("ROSTER_HOME", str(tmp_path))
    monkeypatch.setattr(school_records, "MOST_NEW", 100)
    monkeypatch.setattr(plans, "write", write_and_compare)
    monkeypatch.setattr(planning_input, "load_directory", load_both_ways)
    keep_and_compare(monkeypatch)
    monkeypatch.setattr(plan_input, "MOST_OPEN", 1)
    monkeypatch.setattr(roster_rows, "MOST_DIFFERENT", 9)
    return tmp_path


@pytest.fixture
def site(home: Path) -> Iterator[Site]:
    """The simulator with two SISes."""
    with running_site() as running:
        yield running
