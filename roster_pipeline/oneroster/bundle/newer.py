"""Of several bundles, the newest record of each id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from roster_pipeline.oneroster.reading import Batch
from roster_pipeline.oneroster.seen_ids import SeenIds, hashes


class Newer:
    """Takes the batches of one bundle after the other, the newest first, and lets only the newest of each id through.

    superseded: records of people that were not let through.
    """

    def __init__(self) -> None:
        self._seen = {"org": SeenIds(), "user": SeenIds()}
        self._bundles = 0
        self.superseded = 0

    def of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """A bundle's batches without what a newer bundle said of the same ids."""
        self._bundles += 1
        for batch in batches:
            yield self._without(batch) if self._bundles > 1 else self._noted(batch)

    def _noted(self, batch: Batch) -> Batch:
        self._seen[batch.kind].add(hashes(batch.records))
        return batch

    def _without(self, batch: Batch) -> Batch:
        seen = self._seen[batch.kind]
        known = seen.has(hashes(batch.rejects))
        rejects = [one for one, old in zip(batch.rejects, known.tolist(), strict=True) if not old]
        new = seen.add(hashes(batch.records))
        records = [one for one, fresh in zip(batch.records, new.tolist(), strict=True) if fresh]
        if batch.kind == "user":
            self.superseded += len(batch.records) - len(records)
        return Batch(batch.kind, records, rejects)
