"""Finished pages kept for the next caller, so that a benchmark of a client measures the client."""

from collections import OrderedDict
from collections.abc import Callable

from roster_pipeline.simulator.call import Answer, Call


class PageCache:
    """Keeps replies of one state of the district, the least recently asked for going first. Off with a size of 0."""

    def __init__(self, megabytes: int = 0) -> None:
        self._room = megabytes << 20
        self._held: OrderedDict[tuple[str, str, str], Answer] = OrderedDict()
        self._size = 0
        self._state: tuple[int, ...] = ()

    def get(self, state: tuple[int, ...], call: Call, make: Callable[[], Answer]) -> Answer:
        """The kept reply to the same question, else a new one. `state` says whether anything has changed."""
        if not self._room:
            return make()
        if state != self._state:
            self._held.clear()
            self._size, self._state = 0, state
        key = (call.origin, call.path, call.query_string)
        if (kept := self._held.get(key)) is not None:
            self._held.move_to_end(key)
            return kept
        reply = make()
        reply.body = reply.content()
        self._held[key] = reply
        self._size += len(reply.body)
        while self._size > self._room:
            _, dropped = self._held.popitem(last=False)
            self._size -= len(dropped.content())
        return reply
