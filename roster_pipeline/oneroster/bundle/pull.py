"""One pull of a bundle: the same batches and the same kind of proof as a pull through the API.

Where the newest bundle only says what changed, those before it are read too, back to the newest that says everything
or to the one that was read last. The newest comes first, and of several records of one id the newest stands. Where all
that lies there is older than what was read before, nothing of it is handed on: the stored records are newer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TypeVar

from roster_pipeline.oneroster.bundle.bundle_discovery import Dated, dated
from roster_pipeline.oneroster.bundle.bundle_layout import BundleLayout, bundle_layout_of
from roster_pipeline.oneroster.bundle.bundle_proof import LEFT_OUT, SEVERAL_SCHOOLS, Judged, proof_of
from roster_pipeline.oneroster.bundle.delta_chain import LastRead, is_older, to_read
from roster_pipeline.oneroster.bundle.enrollment_rows import enrollments_of
from roster_pipeline.oneroster.bundle.newer import Newer
from roster_pipeline.oneroster.bundle.one_night import (
    completed,
    in_several,
    of_the_same_night,
    outline,
    records_of,
    shares_of,
)
from roster_pipeline.oneroster.bundle.opened_bundle import OpenedBundle
from roster_pipeline.oneroster.bundle.reading import BundleReading, Tally
from roster_pipeline.oneroster.bundle.source import BundleListing, BundleSource
from roster_pipeline.oneroster.collections.enrollments import Memberships
from roster_pipeline.oneroster.collections.proof import Proof
from roster_pipeline.oneroster.collections.reading import Batch, Wanted
from roster_pipeline.oneroster.records.org_references import OrgReferences

Stored = TypeVar("Stored")
Opened = tuple[OpenedBundle, BundleLayout]


class BundlePull:
    """Iterate over it for batches, orgs first; after the last one, `.proof` is there. Memory is bounded by pages.

    Complete means: the manifest agrees with the files, every file was read to its end and did not change meanwhile,
    every row could be told apart from a person who is gone, no delta is missing, and the bundle's time is neither ahead
    of now nor before that of an earlier one. Without a manifest, or with one that says "delta", the mode is "delta" and
    absence means nothing. Raises OneRosterError; what was handed on before is void then.
    """

    def __init__(
        self, source: BundleSource, wanted: Wanted, last: LastRead | None = None, now: datetime | None = None
    ) -> None:
        self._source = source
        self._last = last
        self._wanted = wanted
        self._now = now or datetime.now(UTC)
        self._proof: Proof | None = None
        self._judged: list[Judged] = []
        self._newer = Newer()
        self._notes: list[str] = []
        self._problems: list[str] = []
        self._enrolled: Memberships | None = None
        self._orgs = OrgReferences()

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
        last, started = self._last, time.monotonic()
        self._judged, self._newer, self._notes, self._problems = [], Newer(), [], []
        self._orgs = OrgReferences()
        read: list[Dated] = []
        with self._source.shelf(enrollments=self._wanted.enrollments) as shelf:
            bundles = dated(shelf.bundles, last.seen if last else {}, self._now.timestamp())
            for one in to_read(bundles, last):
                with ExitStack() as stack:
                    opened = self._opened(stack, shelf, one)
                    if is_older(one, last):
                        read.append(one)
                        self._note(opened, Tally())
                        break
                    further = self._further(stack, shelf, one, bundles) if opened[1].whole else []
                    yield from self._several([opened, *further]) if further else self._batches(opened)
                read.append(one)
                if opened[1].whole:
                    break
        self._proof = proof_of(
            self._judged,
            read,
            bundles,
            last,
            self._newer.superseded,
            time.monotonic() - started,
            self._notes,
            self._problems,
        )

    def _opened(self, stack: ExitStack, shelf: BundleListing, one: Dated) -> Opened:
        package = stack.enter_context(shelf.open(one.lying))
        return package, bundle_layout_of(package, self._source.limits, self._source.metadata_keys)

    def _further(self, stack: ExitStack, shelf: BundleListing, one: Dated, bundles: list[Dated]) -> list[Opened]:
        """The other bulk bundles of the night, opened."""
        opened = [self._opened(stack, shelf, other) for other in of_the_same_night(one, bundles)]
        return [other for other in opened if other[1].whole]

    def _reading(self, opened: Opened) -> BundleReading:
        return BundleReading(opened[1], self._wanted, self._source.limits, self._source.metadata_keys)

    def _read_enrollments(self, opened: list[Opened]) -> None:
        """Who is enrolled where by these bundles. Where it is needed and cannot be told, the snapshot has a problem."""
        wanted, self._enrolled = self._wanted, None
        if not wanted.enrollments and not wanted.enrollments_if_there:
            return
        found = enrollments_of(opened, self._source.limits)
        if not isinstance(found, str):
            self._enrolled = found
        else:
            (self._problems if wanted.enrollments else self._notes).append(found)

    def _noted(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches; which orgs there are is remembered."""
        for batch in batches:
            if batch.kind == "org":
                self._orgs.note(batch.records)
            yield batch

    def _marked(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches, with `notEnrolled` of students where enrollments were read."""
        for batch in self._noted(batches):
            if batch.kind == "user" and self._enrolled is not None:
                self._enrolled.mark(batch.records, self._now.date(), self._orgs)
            yield batch

    def _batches(self, opened: Opened) -> Iterator[Batch]:
        reading = self._reading(opened)
        self._read_enrollments([opened])
        yield from self._marked(self._newer.of(reading.batches()))
        self._note(opened, reading.tally)

    def _note(self, opened: Opened, tally: Tally) -> None:
        package, contents = opened
        package.check_unchanged()
        self._judged.append(Judged(package, contents, tally))

    def _several(self, night: list[Opened]) -> Iterator[Batch]:
        """Bulk bundles of one night, the newest first: each is read for the schools that no newer one has."""
        outlines = [outline(self._noted(self._reading(one).batches())) for one in night]
        shares = shares_of(outlines)
        chosen = [place for place, share in enumerate(shares) if place == 0 or share.schools]
        self._notes += [LEFT_OUT] * (len(chosen) < len(night))
        self._notes += [f"{SEVERAL_SCHOOLS}:{len(chosen)}"] * (len(chosen) > 1)
        self._read_enrollments([night[place] for place in chosen])
        doubled = in_several([outlines[place] for place in chosen])
        entries = {
            place: records_of(shares[place].of(self._reading(night[place]).batches()), doubled)
            for place in chosen[1:]
            if len(doubled)
        }
        for place in chosen:
            reading = self._reading(night[place])
            batches = shares[place].of(reading.batches())
            behind = [found for other, found in entries.items() if other > place]
            yield from self._marked(self._newer.of(completed(batches, behind) if behind else batches))
            self._newer.superseded += shares[place].left_out
            self._note(night[place], reading.tally)


def pull_bundle(
    source: BundleSource, wanted: Wanted, last: LastRead | None = None, now: datetime | None = None
) -> BundlePull:
    """Start a pull; nothing is opened before the first batch is taken. `wanted.since` does not matter here.

    last: the bundle that the stored records stand on, where there is one. now: the time to judge times by.
    """
    return BundlePull(source, wanted, last, now)
