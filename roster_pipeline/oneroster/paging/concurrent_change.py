"""Data that move while they are read: how that is noticed, and how a reading ends because of it."""

from __future__ import annotations

from roster_pipeline.oneroster.paging.page import Page


class ConcurrentChange(Exception):
    """The data moved under the reading; `reason` is a problem slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Revision:
    """The revision of the data set that some hubs send with every answer; it must not change within a pull."""

    def __init__(self) -> None:
        self.value: str | None = None

    def changed(self, page: Page) -> bool:
        if page.revision is None or page.revision == self.value:
            return False
        first = self.value is None
        self.value = page.revision
        return not first
