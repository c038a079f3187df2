"""One pull: orgs and people of a connection as a stream of batches, and then the proof of completeness."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

from roster_pipeline.errors import CLOCK_AHEAD, CLOCK_BEHIND
from roster_pipeline.oneroster.client import Client
from roster_pipeline.oneroster.collections.delta import NamedChanges, named_changes
from roster_pipeline.oneroster.collections.list_end import ConcurrentChange
from roster_pipeline.oneroster.collections.proof import Proof, Repetitions, total_of
from roster_pipeline.oneroster.collections.reading import Reading
from roster_pipeline.oneroster.collections.response_body import RANGE
from roster_pipeline.oneroster.collections.school_membership import read_people
from roster_pipeline.oneroster.collections.wanted import Batch, Wanted
from roster_pipeline.oneroster.errors import DataMoved, PagingBroken
from roster_pipeline.oneroster.http.endpoint import MOST_SKEW
from roster_pipeline.oneroster.records.known_users import KnownUsers
from roster_pipeline.vocabulary import counted

Stored = TypeVar("Stored")

SEVERAL_RECORDS = "several_records"
"""In `Client.learned`: this SIS has several records of one sourcedId, for several schools or roles of a person."""
REREAD_FOR = frozenset(
    ("total-not-reached", "total-disagrees", "total-drifted", "duplicates", "list-moved", "last-record-gone")
) | {"pages-apart", RANGE}
"""Problems that a second reading may solve, because data that change meanwhile cause them too."""


class Pull:
    """Iterate over it for batches, orgs first; after the last one, `.proof` is set.

    It needs the memory of a few pages only.

    If the data change while they are read, iterating raises DataMoved: discard all batches and iterate again. This
    happens a limited number of times; the last reading goes to its end, and is incomplete if the data still change.
    `into` does all that for a function that stores the batches.

    named: the people that the server names as changed, if they were wanted and are known.
    """

    def __init__(self, client: Client, wanted: Wanted, known: KnownUsers | None = None) -> None:
        self._client = client
        self._wanted = wanted
        self._known = known
        self._proof: Proof | None = None
        self.named: NamedChanges | None = None
        self._readings = 0
        self._moved: list[str] = []
        self._outcome: list[Any] | None = None
        self._repetitions: dict[str, Repetitions] = {}
        self._several_records = bool(client.learned.get(SEVERAL_RECORDS))
        self._started = client.clock.monotonic()
        self._begun = client.clock.now()
        counters = client.session.counters
        self._before = (counters.requests, counters.retries, counters.bytes)

    @property
    def proof(self) -> Proof:
        """The proof of completeness; RuntimeError before the last batch."""
        if self._proof is None:
            raise RuntimeError("the pull has not been read to its end")
        return self._proof

    def into(self, store: Callable[[Iterable[Batch]], Stored]) -> Stored:
        """Pass the batches to `store`, again from the start if the data changed.

        `store` must undo its work when iterating raises; a transaction that is rolled back does that.
        """
        while True:
            try:
                return store(self)
            except DataMoved:
                continue

    def __iter__(self) -> Iterator[Batch]:
        client = self._client
        self._readings += 1
        again = self._readings < client.endpoint.limits.readings
        reading = Reading(
            client, self._wanted, strict=again, started=self._started, repetitions=self._repetitions,
            several_records=self._several_records, known=self._known,
        )  # fmt: skip
        try:
            yield from read_people(reading)
        except ConcurrentChange as moved:
            raise self._data_moved(moved.reason) from None
        except PagingBroken:
            if not again or self._several_records:
                raise
            self._several_records = True  # a page without a new id may hold further records of the same people
            raise self._data_moved("duplicates") from None
        curable = REREAD_FOR.intersection([*reading.problems(), *reading.doubts()])
        outcome = reading.outcome()
        same = outcome == self._outcome
        if again and curable and not same:
            self._outcome = outcome
            self._several_records = self._several_records or "duplicates" in curable
            raise self._data_moved(min(curable))
        if same:
            for proof in reading.people + reading.others:
                for doubt, labels in (
                    ("total-disagrees", client.habits.low_totals),
                    ("total-drifted", client.habits.moving_totals),
                ):
                    if doubt in proof.doubts and not proof.problems:
                        labels.add(proof.label)
        since = self._wanted.since
        if since is not None and self._wanted.everybody_too and reading.mode == "full":
            self.named = named_changes(reading, since)
        client.note_paging()
        if self._several_records:
            client.learned[SEVERAL_RECORDS] = True
        self._proof = self._judge(reading, settled=same)

    def _data_moved(self, reason: str) -> DataMoved:
        self._moved.append(reason)
        return DataMoved(
            f"The data of the SIS changed while they were read ({reason}).",
            "They are read again; nothing has to be done.",
        )

    def _judge(self, reading: Reading, *, settled: bool) -> Proof:
        """settled: another reading delivered exactly the same, so doubts are not problems."""
        client = self._client
        skew = client.session.skew_seconds
        counters = client.session.counters
        doubts = reading.doubts()
        problems = tuple(dict.fromkeys(reading.problems() + ([] if settled else doubts)))
        notes = reading.notes + [f"settled:{doubt}" for doubt in doubts if settled]
        notes += _clock_notes(skew)
        notes += [f"read-again:{reason}" for reason in self._moved]
        people = reading.people
        return Proof(
            strategy=reading.strategy,
            mode=reading.mode,
            version=client.version,
            complete=not problems,
            problems=problems,
            notes=tuple(dict.fromkeys(notes)),
            unread_roles=tuple(sorted(reading.unread)),
            pages=sum(proof.pages for proof in people),
            records=reading.records,
            rejected=reading.rejected,
            left_out=reading.left_out,
            duplicates=sum(proof.duplicates for proof in people),
            total_start=total_of(people, "total_start"),
            total_end=total_of(people, "total_end"),
            requests=counters.requests - self._before[0],
            retries=counters.retries - self._before[1],
            bytes=counters.bytes - self._before[2],
            seconds=round(client.clock.monotonic() - self._started, 3),
            readings=self._readings,
            revision=reading.revision.value,
            unlisted_orgs=reading.orgs.unlisted,
            respelled_orgs=reading.orgs.respelled,
            unclear_dates=reading.unclear_dates,
            server_time=None if skew is None else (self._begun + timedelta(seconds=skew)).isoformat(),
        )


def _clock_notes(skew: float | None) -> list[str]:
    if skew is None or abs(skew) <= MOST_SKEW:
        return []
    much = f"{abs(skew) / 3600:.1f} hours" if abs(skew) >= 3600 else counted(round(abs(skew) / 60), "minute", "minutes")
    return [f"{CLOCK_AHEAD if skew > 0 else CLOCK_BEHIND}:{much}"]


def pull(client: Client, wanted: Wanted, known: KnownUsers | None = None) -> Pull:
    """A pull; no request is sent before its first batch is taken. known: recognises users of the last pull."""
    return Pull(client, wanted, known)
