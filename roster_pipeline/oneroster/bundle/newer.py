"""Of several bundles, the newest record of each id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from roster_pipeline.oneroster.collections.reading import Batch
from roster_pipeline.oneroster.paging.seen_ids import SeenIds, hashes


class Newer:
    """Takes the batches of one bundle after the other, the newest first, and lets only the newest of each id through.

    superseded: records of people that were not let through.
    """

    def __init__(self) -> None:
        self._seen: list[dict[str, SeenIds]] = []
        self.superseded = 0

    def of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """A bundle's batches without what a newer bundle said of the same ids."""
        newer, own = list(self._seen), {"org": SeenIds(), "user": SeenIds()}
        self._seen.append(own)
        for batch in batches:
            own[batch.kind].add(hashes(batch.records))
            yield self._without(batch, [seen[batch.kind] for seen in newer]) if newer else batch

    def _without(self, batch: Batch, newer: list[SeenIds]) -> Batch:
        rejects, records = _not_in(newer, batch.rejects), _not_in(newer, batch.records)
        if batch.kind == "user":
            self.superseded += len(batch.records) - len(records)
        return Batch(batch.kind, records, rejects)


def _not_in(newer: list[SeenIds], records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of whose ids no newer bundle said anything."""
    values = hashes(records)
    known = np.zeros(len(values), dtype=np.bool_)
    for seen in newer:
        known |= seen.has(values)
    return [one for one, old in zip(records, known.tolist(), strict=True) if not old]
