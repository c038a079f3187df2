"""A connection test that needs more memory than it may have, like a client without limits."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

from roster_pipeline.console import launchers
from roster_pipeline.oneroster import CheckItem


def items(*_: Any, **__: Any) -> Iterator[CheckItem]:
    """Takes twice the limit before it gives anything."""
    yield CheckItem("Memory", True, str(len(bytearray(2 * launchers.MOST_MEMORY))))


def main(*arguments: str) -> int:
    """In place of the test of the console."""
    with mock.patch("roster_pipeline.services.connection_test.items_of", items):
        return launchers.main(*arguments)
