"""One pull of a bundle: the same batches and the same kind of proof as a pull through the API.

Where the newest bundle only says what changed, those before it are read too, back to the newest that says everything
or to the one that was read last. The newest comes first, and of several records of one id the newest stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from roster_pipeline.oneroster.bundle.chain import Judged, LastRead, Newer, chain_of, proof_of
from roster_pipeline.oneroster.bundle.contents import contents_of
from roster_pipeline.oneroster.bundle.reading import BundleReading
from roster_pipeline.oneroster.bundle.source import BundleSource
from roster_pipeline.oneroster.proof import Proof
from roster_pipeline.oneroster.reading import Batch, Wanted

Stored = TypeVar("Stored")


class BundlePull:
    """Iterate over it for batches, orgs first; after the last one, `.proof` is there. Memory is bounded by pages.

    Complete means: the manifest agrees with the files, every file was read to its end and did not change meanwhile,
    and every row could be told apart from a person who is gone. Without a manifest, or with one that says "delta",
    the mode is "delta" and absence means nothing. Raises OneRosterError; what was handed on before is void then.
    """

    def __init__(self, source: BundleSource, wanted: Wanted, last: LastRead | None = None) -> None:
        self._source = source
        self._last = last
        self._wanted = wanted
        self._proof: Proof | None = None

    @property
    def proof(self) -> Proof:
        """What was counted; only after the last batch."""
        if self._proof is None:
            raise RuntimeError("the pull has not been read to its end")
        return self._proof

    def into(self, store: Callable[[Iterable[Batch]], Stored]) -> Stored:
        """Hand the batches to `store`, which must undo what it has done when iterating raises."""
        return store(self)

    def __iter__(self) -> Iterator[Batch]:
        source, started = self._source, time.monotonic()
        judged: list[Judged] = []
        newer = Newer()
        with source.shelf() as shelf:
            chain = chain_of(shelf.times, self._last)
            for place in chain.places:
                with shelf.open(place) as package:
                    contents = contents_of(package, source.limits, source.metadata_keys)
                    reading = BundleReading(contents, self._wanted, source.limits, source.metadata_keys)
                    yield from newer.of(reading.batches())
                    package.check_unchanged()
                    judged.append(Judged(package, contents, reading.tally))
                if contents.whole:
                    break
        self._proof = proof_of(judged, chain, newer.superseded, time.monotonic() - started)


def pull_bundle(source: BundleSource, wanted: Wanted, last: LastRead | None = None) -> BundlePull:
    """Start a pull; nothing is opened before the first batch is taken. `wanted.since` does not matter here.

    last: the bundle that the stored records stand on, where there is one.
    """
    return BundlePull(source, wanted, last)
