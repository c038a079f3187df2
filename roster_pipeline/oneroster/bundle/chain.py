"""A row of bundles as one: which have to be read, what of an older one still stands, and whether one is missing.

A delta is worth as much as the row of deltas before it. Between the bundle that was read last and the newest, each is
read; where one may have come and gone unseen, the pull says so and is incomplete, until a bundle says everything anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from roster_pipeline.oneroster.bundle.contents import Contents
from roster_pipeline.oneroster.bundle.package import Package
from roster_pipeline.oneroster.bundle.reading import Tally
from roster_pipeline.oneroster.proof import Proof
from roster_pipeline.oneroster.reading import Batch
from roster_pipeline.oneroster.seen_ids import SeenIds, hashes

NO_WITNESS = "no-second-witness"
"""Note of every bundle's proof: nobody can be asked for a single person."""
MISSED = "deltas-missed"
MOST_BUNDLES = 100
"""Read in one pull; whoever was away for longer needs a bundle that says everything."""
A_DAY = timedelta(hours=26)
"""Between our last look and the next bundle, where exports are nightly and so are we. More, and one may have been
written and replaced meanwhile. Two hours are for clocks that move and evenings that run late."""
SAME_TIME = 0.001
"""Seconds within which two times of files are one; they pass through microseconds."""


@dataclass(frozen=True)
class LastRead:
    """The bundle that the stored records stand on. written: its own time; looked_at: when it was read last."""

    written: datetime
    looked_at: datetime


@dataclass(frozen=True)
class Chain:
    """places: of the bundles to read, the newest first, as long as none of them says everything.

    unbroken: the last of them follows what was read last, so no delta is missing.
    """

    places: range
    unbroken: bool


def chain_of(times: Sequence[float], last: LastRead | None) -> Chain:
    """What to read of the bundles that lie there. times: when each was written, the newest first; at least one."""
    if last is None:
        return Chain(range(min(len(times), MOST_BUNDLES)), unbroken=True)
    fresh = [time for time in times if time > last.written.timestamp() + SAME_TIME]
    kept = len(times) > len(fresh)
    soon = bool(fresh) and fresh[-1] - last.looked_at.timestamp() <= A_DAY.total_seconds()
    return Chain(range(max(1, min(len(fresh), MOST_BUNDLES))), (kept or soon) and len(fresh) <= MOST_BUNDLES)


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


@dataclass(frozen=True)
class Judged:
    """One bundle that was read to its end."""

    package: Package
    contents: Contents
    tally: Tally


def proof_of(judged: Sequence[Judged], chain: Chain, superseded: int, seconds: float) -> Proof:
    """What the row is worth: complete only if every bundle is, and none is missing. The newest comes first."""
    newest, whole = judged[0], judged[-1].contents.whole
    problems = [problem for one in judged for problem in (*one.contents.problems, *one.tally.problems)]
    if not whole and not chain.unbroken:
        problems.append(MISSED)
    notes = [note for one in judged for note in (*one.contents.notes, *one.tally.notes)]
    if len(judged) > 1:
        notes.append(f"bundles:{len(judged)}")
    return Proof(
        strategy="csv+roles" if "roles" in newest.contents.files else "csv",
        mode="full" if whole else "delta",
        version=newest.contents.version,
        complete=not problems,
        problems=tuple(dict.fromkeys(problems)),
        notes=(*dict.fromkeys(notes), NO_WITNESS),
        unread_roles=(),
        pages=sum(one.tally.pages for one in judged),
        records=sum(one.tally.records for one in judged) - superseded,
        rejected=sum(one.tally.rejected for one in judged),
        left_out=sum(one.tally.left_out for one in judged),
        duplicates=sum(one.tally.duplicates for one in judged),
        total_start=None,
        total_end=None,
        requests=sum(one.package.requests for one in judged),
        retries=0,
        bytes=sum(one.contents.bytes for one in judged),
        seconds=round(seconds, 3),
        readings=1,
        revision=_revision(judged),
        server_time=newest.package.modified.isoformat(),
    )


def _revision(judged: Sequence[Judged]) -> str | None:
    revisions = [str(one.contents.revision) for one in judged]
    if len(revisions) == 1:
        return judged[0].contents.revision
    return hashlib.sha256("\n".join(revisions).encode()).hexdigest()
