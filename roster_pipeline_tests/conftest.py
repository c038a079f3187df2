"""What every test may ask for."""

from __future__ import annotations

pytest_plugins = ["roster_pipeline_tests.postgres"]
