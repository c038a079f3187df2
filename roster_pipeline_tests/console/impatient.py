"""A connection test, or a list of schools, that retries quickly if the SIS fails."""

from dataclasses import replace
from unittest import mock

from roster_pipeline.console import launchers
from roster_pipeline.services import connection_test


def main(*arguments: str) -> int:
    """In place of the process of the console."""
    soon = replace(connection_test.LIMITS, first_wait=0.01, longest_wait=0.05)
    with mock.patch.object(connection_test, "LIMITS", soon):
        return launchers.main(*arguments)
