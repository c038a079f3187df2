"""What was asked of a simulated SIS: the last requests, and a count per resource.

No query values but paging, no bodies.
"""

import threading
from collections import Counter, deque
from typing import Any, NamedTuple

KEPT = 10_000


class Entry(NamedTuple):
    """One request that was answered. `query` is the query string as it came."""

    method: str
    resource: str
    path: str
    query: str
    status: int


class RequestLog:
    """Counts and remembers requests; safe across threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self.entries: deque[Entry] = deque(maxlen=KEPT)
            self.by_resource: Counter[str] = Counter()
            self.total = 0
            self.most_at_once = 0
            self.at_once = 0

    def begin(self) -> int:
        """A request came in; how many are being answered now."""
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            return self.at_once

    def end(self, entry: Entry) -> None:
        """A request was answered."""
        with self._lock:
            self.at_once = max(0, self.at_once - 1)
            self.total += 1
            self.by_resource[entry.resource] += 1
            self.entries.append(entry)

    def summary(self) -> dict[str, Any]:
        """Counts and the last requests, as JSON."""
        with self._lock:
            return {
                "total": self.total,
                "most_at_once": self.most_at_once,
                "by_resource": dict(self.by_resource),
                "requests": [entry._asdict() for entry in self.entries],
            }
