"""A test of a connection that wants more memory than it may have, as a client without bounds would."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

from roster_pipeline.console.connection_test_worker import MOST_MEMORY, main
from roster_pipeline.oneroster import CheckItem


def items(*_: Any, **__: Any) -> Iterator[CheckItem]:
    """Takes twice the limit before it gives anything."""
    yield CheckItem("Memory", True, str(len(bytearray(2 * MOST_MEMORY))))


if __name__ == "__main__":
    with mock.patch("roster_pipeline.services.connection_test.items_of", items):
        sys.exit(main(*sys.argv[1:3]))
