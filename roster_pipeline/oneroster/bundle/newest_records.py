"""Which record of each id counts if several bundles are read."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import numpy as np

from roster_pipeline.oneroster.collections.delta import moment_of
from roster_pipeline.oneroster.collections.proof import Flags, Hashes, SeenIds, hashes
from roster_pipeline.oneroster.collections.wanted import Batch

Record = dict[str, Any]


class NewestRecords:
    """Takes one bundle after the other, newest first, and passes on only the newest record of each id.

    A record that was changed after the one in a newer bundle is passed on too, because bundles may come in a wrong
    order. Cleaning takes the one that was changed last. superseded: how many records of people were not passed on.
    """

    def __init__(self) -> None:
        self._seen: list[dict[str, SeenIds]] = []
        self._changed: dict[tuple[str, int], datetime] = {}
        self.superseded = 0

    def of(self, batches: Iterable[Batch], *, delta: bool = False) -> Iterator[Batch]:
        """A bundle's batches without the records and rejects of ids that a newer bundle has. delta: an older bundle
        follows."""
        newer, own = list(self._seen), {"org": SeenIds(), "user": SeenIds()}
        self._seen.append(own)
        for batch in batches:
            values = hashes(batch.records)
            own[batch.kind].add(values)
            records, rejects = batch.records, batch.rejects
            if newer:
                seen = [ids[batch.kind] for ids in newer]
                old = _is_in(seen, values).tolist()
                found = zip(records, values.tolist(), old, strict=True)
                records = [each for each, key, is_old in found if not is_old or self._is_later((batch.kind, key), each)]
                rejects = [
                    each for each, is_old in zip(rejects, _is_in(seen, hashes(rejects)), strict=True) if not is_old
                ]
                self.superseded += (len(batch.records) - len(records)) * (batch.kind == "user")
            for record, key in zip(batch.records, values.tolist(), strict=True) if delta else ():
                changed = moment_of(record.get("dateLastModified"))
                if changed is not None:
                    self._changed[batch.kind, key] = max(changed, self._changed.get((batch.kind, key), changed))
            yield Batch(batch.kind, records, rejects) if newer else batch

    def _is_later(self, key: tuple[str, int], record: Record) -> bool:
        newest, changed = self._changed.get(key), moment_of(record.get("dateLastModified"))
        return newest is not None and changed is not None and changed > newest


def _is_in(newer: list[SeenIds], values: Hashes) -> Flags:
    found = np.zeros(len(values), dtype=np.bool_)
    for seen in newer:
        found |= seen.has(values)
    return found
