"""One pull of a bundle: the same batches and the same kind of proof as a pull through the API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from roster_pipeline.oneroster.bundle.contents import Contents, contents_of
from roster_pipeline.oneroster.bundle.package import Package
from roster_pipeline.oneroster.bundle.reading import BundleReading
from roster_pipeline.oneroster.bundle.source import BundleSource
from roster_pipeline.oneroster.proof import Proof
from roster_pipeline.oneroster.reading import Batch, Wanted

Stored = TypeVar("Stored")
NO_WITNESS = "no-second-witness"
"""Note of every bundle's proof: nobody can be asked for a single person."""


class BundlePull:
    """Iterate over it for batches, orgs first; after the last one, `.proof` is there. Memory is bounded by pages.

    Complete means: the manifest agrees with the files, every file was read to its end and did not change meanwhile,
    and every row could be told apart from a person who is gone. Without a manifest, or with one that says "delta",
    the mode is "delta" and absence means nothing. Raises OneRosterError; what was handed on before is void then.
    """

    def __init__(self, source: BundleSource, wanted: Wanted) -> None:
        self._source = source
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
        with source.opened() as package:
            contents = contents_of(package, source.limits, source.metadata_keys)
            reading = BundleReading(contents, self._wanted, source.limits, source.metadata_keys)
            yield from reading.batches()
            package.check_unchanged()
            self._proof = _judged(package, contents, reading, time.monotonic() - started)


def pull_bundle(source: BundleSource, wanted: Wanted) -> BundlePull:
    """Start a pull; nothing is opened before the first batch is taken. `wanted.since` does not matter here."""
    return BundlePull(source, wanted)


def _judged(package: Package, contents: Contents, reading: BundleReading, seconds: float) -> Proof:
    tally = reading.tally
    problems = (*contents.problems, *tally.problems)
    return Proof(
        strategy="csv+roles" if "roles" in contents.files else "csv",
        mode="full" if contents.whole else "delta",
        version=contents.version,
        complete=not problems,
        problems=problems,
        notes=(*contents.notes, *tally.notes, NO_WITNESS),
        unread_roles=(),
        pages=tally.pages,
        records=tally.records,
        rejected=tally.rejected,
        left_out=tally.left_out,
        duplicates=tally.duplicates,
        total_start=None,
        total_end=None,
        requests=package.requests,
        retries=0,
        bytes=contents.bytes,
        seconds=round(seconds, 3),
        readings=1,
        revision=contents.revision,
        server_time=package.modified.isoformat(),
    )
