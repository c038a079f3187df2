"""One pull: orgs and people of a connection as a stream of batches, and after it the proof of what they are worth."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from roster_pipeline.oneroster.client import Client
from roster_pipeline.oneroster.paging import Moved
from roster_pipeline.oneroster.people import read_people
from roster_pipeline.oneroster.proof import Proof, total_of
from roster_pipeline.oneroster.reading import Batch, Reading, Wanted

REREAD_FOR = frozenset(("total-not-reached", "total-disagrees", "duplicates"))
"""Problems that reading again may cure, because data that moved cause them too."""


class Pull:
    """Iterate over it once; then `.proof` is there.

    Batches of kind "org" come first, then "user". A batch of kind "restart" is empty and says: the data moved while
    they were read, throw away every batch of this pull so far, everything comes again. Memory is bounded by pages.
    """

    def __init__(self, client: Client, wanted: Wanted) -> None:
        self._client = client
        self._wanted = wanted
        self._proof: Proof | None = None

    @property
    def proof(self) -> Proof:
        """What was counted; only after the last batch."""
        if self._proof is None:
            raise RuntimeError("the pull has not been read to its end")
        return self._proof

    def __iter__(self) -> Iterator[Batch]:
        client = self._client
        started, begun = client.clock.monotonic(), client.clock.now()
        counters = client.exchange.counters
        before = (counters.requests, counters.retries, counters.bytes)
        readings = client.endpoint.limits.readings
        previous: list[Any] | None = None
        moved: list[str] = []
        number = 0
        while True:
            number += 1
            reading = Reading(client, self._wanted, strict=number < readings, deadline=started)
            try:
                yield from read_people(reading)
            except Moved as reason:
                moved.append(reason.reason)
                yield Batch("restart", [], [])
                continue
            outcome = reading.outcome()
            if number < readings and outcome != previous and REREAD_FOR.intersection(reading.problems()):
                previous = outcome
                yield Batch("restart", [], [])
                continue
            break
        client.note_paging()
        skew = client.exchange.skew_seconds
        server_time = None if skew is None else (begun + timedelta(seconds=skew)).isoformat()
        self._proof = self._judge(reading, number, moved, before, client.clock.monotonic() - started, server_time)

    def _judge(
        self,
        reading: Reading,
        readings: int,
        moved: list[str],
        before: tuple[int, int, int],
        seconds: float,
        server_time: str | None,
    ) -> Proof:
        counters = self._client.exchange.counters
        problems = tuple(dict.fromkeys(reading.problems()))
        people = reading.people
        return Proof(
            strategy=reading.strategy,
            mode=reading.mode,
            version=self._client.version,
            complete=not problems,
            problems=problems,
            notes=tuple(dict.fromkeys(reading.notes + [f"read-again:{reason}" for reason in moved])),
            unread_roles=tuple(sorted(reading.unread)),
            pages=sum(proof.pages for proof in people),
            records=reading.records,
            rejected=reading.rejected,
            duplicates=sum(proof.duplicates for proof in people),
            total_start=total_of(people, "total_start"),
            total_end=total_of(people, "total_end"),
            requests=counters.requests - before[0],
            retries=counters.retries - before[1],
            bytes=counters.bytes - before[2],
            seconds=round(seconds, 3),
            readings=readings,
            revision=reading.revision.value,
            server_time=server_time,
        )


def pull(client: Client, wanted: Wanted) -> Pull:
    """Start a pull; nothing is asked before the first batch is taken."""
    return Pull(client, wanted)
