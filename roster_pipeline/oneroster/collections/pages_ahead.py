"""Fetches pages up to a credible total before their turn, several at the same time, and gives them in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Executor, Future

from roster_pipeline.oneroster.collections.page import Collection, Page, PagingHabits

FEWEST_AHEAD = 2
"""Pages to request while one is processed. More, up to the limit, only while we wait for the server."""


def pages_ahead(
    collection: Collection, habits: PagingHabits, executor: Executor, first: int, total: int, step: int, shared: int
) -> Generator[tuple[int, Page]]:
    """Each page with the offset that was requested.

    first: the offset of the first page. step: records to request. shared: how many of them each page has in common with
    the page before. Raises the errors of `Collection.page`, and TooLargeAhead.
    """
    planned: deque[tuple[int, Future[Page]]] = deque()
    window = FEWEST_AHEAD
    try:
        while planned or first + shared < total:
            while first + shared < total and len(planned) < min(window, collection.session.parallel):
                planned.append((first, executor.submit(collection.page, habits, first, step, ahead=True)))
                first += step - shared
            asked, future = planned.popleft()
            window = max(FEWEST_AHEAD, window - 1) if future.done() else window + 1
            page = future.result()
            del future
            yield asked, page
    finally:
        for _, future in planned:
            future.cancel()
