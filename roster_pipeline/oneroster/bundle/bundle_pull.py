"""One pull of bundles: the same batches and proof as a pull through the API, and the age of the source.

If the newest bundle is a delta, the bundles before it are read too, back to the newest bulk one or to the one that was
read last. The newest is read first, and of several records of one id the newest counts. If all bundles are older than
one that was read before, nothing is passed on, because the stored records are newer.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from roster_pipeline.oneroster.bundle.bundle_discovery import DatedBundle, date_bundles
from roster_pipeline.oneroster.bundle.bundle_layout import BundleLayout, bundle_layout_of, columns_of
from roster_pipeline.oneroster.bundle.bundle_reading import BundleReading
from roster_pipeline.oneroster.bundle.delta_chain import (
    LATE,
    MISSED,
    LastRead,
    came_late,
    completed,
    in_several,
    is_broken,
    is_older,
    outline,
    records_of,
    same_export,
    shares_of,
    to_read,
)
from roster_pipeline.oneroster.bundle.enrolled_users import lost_users, read_enrollments
from roster_pipeline.oneroster.bundle.newest_records import NewestRecords
from roster_pipeline.oneroster.bundle.sources import BundleListing, BundleSource
from roster_pipeline.oneroster.collections.proof import Proof, SourceAge
from roster_pipeline.oneroster.collections.row_order import RowKeys, RowOrder
from roster_pipeline.oneroster.collections.wanted import Batch, Wanted
from roster_pipeline.oneroster.errors import OneRosterError
from roster_pipeline.oneroster.records.orgs import Memberships, OrgReferences
from roster_pipeline.vocabulary import counted

Stored = TypeVar("Stored")
NO_WITNESS = "no-second-witness"
"""Note of every bundle's proof: a bundle cannot be asked for a single person."""
AHEAD_OF_TIME = "source-from-the-future"
"""Problem: the bundle's own time is wrong, so its age is unknown. It no longer matters once a newer one is read."""
OLDER = "source-older-than-before"
SEVERAL_SCHOOLS = "bundles-of-one-night"
"""Note: several bulk bundles of one export were read, each for its own schools. A number follows."""
LEFT_OUT = "bundle-left-out"
"""Note: a bulk bundle of the same export has no school that a newer one lacks."""
MARKS_KEPT = 1000
"""How many bundles of a place are remembered. There are more only if nobody deletes old ones."""


class BundlePull:
    """Iterate over it for batches, orgs first; after the last one, `.proof` is set.

    lost: people who are enrolled today, but whom a bulk export lacks or gives no role.

    Complete means: the manifest agrees with the files, every file was read to its end and did not change meanwhile,
    every unreadable row belongs to a known person, no delta is missing, and the bundle's time is neither in the future
    nor before that of an earlier bundle. Without a manifest, or with one that says "delta", the mode is "delta" and
    absence means nothing. Raises OneRosterError; batches passed on before must then be discarded.
    """

    def __init__(
        self, source: BundleSource, wanted: Wanted, last: LastRead | None = None, now: datetime | None = None
    ) -> None:
        self._source = source
        self._last = last
        self._wanted = wanted
        self._now = now or datetime.now(UTC)
        self._proof: Proof | None = None
        self._results: list[BundleReading] = []
        self._newest = NewestRecords()
        self._notes: list[str] = []
        self._problems: list[str] = []
        self._enrolled: Memberships | None = None
        self._enrollments: list[RowKeys] = []
        self._orgs = OrgReferences()
        self.lost: list[str] = []

    @property
    def proof(self) -> Proof:
        """The proof of completeness; RuntimeError before the last batch."""
        if self._proof is None:
            raise RuntimeError("the pull has not been read to its end")
        return self._proof

    def into(self, store: Callable[[Iterable[Batch]], Stored]) -> Stored:
        """Pass the batches to `store`, which must undo its work when iterating raises."""
        return store(self)

    def __iter__(self) -> Iterator[Batch]:
        last, started = self._last, time.monotonic()
        self._results, self._newest, self._notes, self._problems = [], NewestRecords(), [], []
        self._orgs, self.lost, self._enrollments = OrgReferences(), [], []
        chain: list[DatedBundle] = []
        with self._source.listing(enrollments=self._wanted.enrollments) as listing:
            bundles = date_bundles(listing.bundles, last.seen if last else {}, self._now.timestamp())
            for bundle in to_read(bundles, last):
                chain.append(bundle)
                with ExitStack() as stack:
                    opened = self._open(stack, listing, bundle)
                    whole = opened.whole
                    if is_older(bundle, last):
                        self._finish(self._reading(opened))
                        break
                    others = same_export(bundle, bundles) if whole else []
                    also = [other for each in others if (other := self._open(stack, listing, each)).whole]
                    yield from self._several([opened, *also]) if also else self._single(opened)
                if whole:
                    break
        self._proof = self._judge(chain, bundles, time.monotonic() - started)

    def _judge(self, chain: Sequence[DatedBundle], bundles: Sequence[DatedBundle], seconds: float) -> Proof:
        """The proof: complete only if every bundle is complete, none is missing, and no time is wrong.

        chain: the bundles that were read and form a chain, newest first, up to the first bulk one. bundles: all in the
        place, newest first.
        """
        results, last = self._results, self._last
        older = is_older(chain[0], last)
        newest, base = results[0], results[len(chain) - 1]
        whole = base.layout.whole and not older
        all_problems = [problem for each in results for problem in (*each.layout.problems, *each.tally.problems)]
        all_problems += self._problems
        late = not whole and not older and came_late(bundles, last)
        if late or is_broken(chain, bundles, last, whole=whole):
            all_problems += [MISSED, *[LATE] * late]
        bulk = sorted(each.layout.revision for each in results[len(chain) - 1 :]) if whole else []
        age = replace(_age(chain, bundles, last, bulk), with_break=_with_break(results))
        if chain[0].ahead or any(bundle.ahead and bundle.is_new for bundle in chain):
            hours = counted(round(age.hours_ahead), "hour", "hours")
            all_problems.append(f"{AHEAD_OF_TIME}:{hours}" if age.hours_ahead else AHEAD_OF_TIME)
        if older:
            all_problems.append(OLDER)
        if whole and not all_problems:
            age = replace(age, order=self._order(results[len(chain) - 1 :]))
        all_notes = [*(note for each in results for note in (*each.layout.notes, *each.tally.notes)), *self._notes]
        if len(chain) > 1:
            all_notes.append(f"bundles:{len(chain)}")
        return Proof(
            strategy="csv+roles" if "roles" in newest.layout.files else "csv",
            mode="full" if whole else "delta",
            version=newest.layout.version,
            complete=not all_problems,
            problems=tuple(dict.fromkeys(all_problems)),
            notes=(*dict.fromkeys(all_notes), NO_WITNESS),
            pages=sum(each.tally.pages for each in results),
            records=sum(each.tally.records for each in results) - self._newest.superseded,
            rejected=sum(each.tally.rejected for each in results),
            left_out=sum(each.tally.left_out for each in results),
            duplicates=sum(each.tally.duplicates for each in results),
            requests=sum(each.layout.bundle.requests for each in results),
            bytes=sum(each.layout.bytes for each in results),
            seconds=round(seconds, 3),
            revision=_joined([each.layout.revision for each in results]),
            server_time=age.written,
            age=age,
            unlisted_orgs=sum(each.tally.orgs.unlisted for each in results),
            respelled_orgs=sum(each.tally.orgs.respelled for each in results),
            unclear_dates=sum(each.tally.unclear_dates for each in results),
            without_role=sum(len(each.tally.without_role) for each in results),
            columns=columns_of([each.layout for each in results]),
        )

    def _order(self, bulk: Sequence[BundleReading]) -> RowOrder:
        """bulk: the readings of the bulk bundles."""
        rows = [page for each in self._results for pages in each.tally.rows.values() for page in pages]
        files = [np.concatenate(pages) for each in bulk for pages in each.tally.rows.values()] + self._enrollments
        before = self._last.order if self._last else RowOrder()
        return before.after(files, np.concatenate([*rows, *self._enrollments]))

    def _open(self, stack: ExitStack, listing: BundleListing, bundle: DatedBundle) -> BundleLayout:
        """Open one bundle. An error names it, if there are several."""
        try:
            opened = stack.enter_context(listing.open(bundle.bundle))
            return bundle_layout_of(opened, self._source.metadata_keys)
        except OneRosterError as problem:
            name = bundle.bundle.name
            if len(listing.bundles) > 1 and name.isprintable():
                problem.message = f"{name or 'The unpacked files'}: {problem.message}"
            raise

    def _reading(self, opened: BundleLayout) -> BundleReading:
        return BundleReading(opened, self._wanted, self._last.with_break if self._last else ())

    def _read_enrollments(self, opened: list[BundleLayout]) -> Memberships | None:
        """Read the enrollments, if wanted. If they are needed and cannot be read, the snapshot has a problem."""
        wanted, self._enrolled = self._wanted, None
        if not wanted.enrollments and not wanted.enrollments_if_there:
            return None
        memberships, problem = read_enrollments(opened, rows=self._enrollments)
        if problem is None:
            self._enrolled = memberships
        else:
            (self._problems if wanted.enrollments else self._notes).append(problem)
        return memberships

    def _note_orgs(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches; remembers which orgs exist."""
        for batch in batches:
            if batch.kind == "org":
                self._orgs.note(batch.records)
            yield batch

    def _marked(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches, with `notEnrolled` of students if enrollments were read."""
        for batch in self._note_orgs(batches):
            if batch.kind == "user" and self._enrolled is not None:
                self._enrolled.mark(batch.records, self._now.date(), self._orgs)
            yield batch

    def _single(self, opened: BundleLayout) -> Iterator[Batch]:
        reading = self._reading(opened)
        enrolled = self._read_enrollments([opened])
        yield from self._marked(self._newest.of(reading.batches(), delta=not opened.whole))
        self.lost = lost_users([reading], self._orgs, self._now.date(), enrolled)
        self._finish(reading)

    def _finish(self, reading: BundleReading) -> None:
        reading.layout.bundle.check_unchanged()
        self._results.append(reading)

    def _several(self, export: list[BundleLayout]) -> Iterator[Batch]:
        """Bulk bundles of one export, newest first: each is read for the schools that no newer one has."""
        outlines = [outline(self._note_orgs(self._reading(opened).batches())) for opened in export]
        shares = shares_of(outlines)
        chosen = [place for place, share in enumerate(shares) if place == 0 or share.schools]
        self._notes += [LEFT_OUT] * (len(chosen) < len(export))
        self._notes += [f"{SEVERAL_SCHOOLS}:{len(chosen)}"] * (len(chosen) > 1)
        enrolled = self._read_enrollments([export[place] for place in chosen])
        repeated = in_several([outlines[place] for place in chosen])
        records = {
            place: records_of(shares[place].of(self._reading(export[place]).batches()), repeated)
            for place in chosen[1:]
            if len(repeated)
        }
        readings = []
        for place in chosen:
            readings.append(reading := self._reading(export[place]))
            batches = shares[place].of(reading.batches())
            older = [users for other, users in records.items() if other > place]
            yield from self._marked(self._newest.of(completed(batches, older) if older else batches))
            self._newest.superseded += shares[place].left_out
            if place == chosen[-1]:
                self.lost = lost_users(readings, self._orgs, self._now.date(), enrolled)
            self._finish(reading)


def pull_bundle(
    source: BundleSource, wanted: Wanted, last: LastRead | None = None, now: datetime | None = None
) -> BundlePull:
    """A pull of bundles; nothing is opened before its first batch is taken. `wanted.since` is ignored.

    last: the bundle that the stored records are based on. now: file times are compared with it.
    """
    return BundlePull(source, wanted, last, now)


def _age(
    chain: Sequence[DatedBundle], bundles: Sequence[DatedBundle], last: LastRead | None, bulk: Sequence[str]
) -> SourceAge:
    """chain: those that were read, newest first. bulk: fingerprints of the bulk bundles among them."""
    newest, oldest = chain[0], chain[-1]
    before = [last.newest.timestamp()] if last is not None and last.newest is not None else []
    latest = max([*before, *([] if newest.ahead else [newest.written])], default=None)
    whole = last.whole.timestamp() if last is not None and last.whole is not None else None
    whole = oldest.written if bulk else whole
    return SourceAge(
        written=_iso(newest.written),
        hours_ahead=round((newest.bundle.stated - newest.first_seen) / 3600, 1) if newest.ahead else 0.0,
        newest=None if latest is None else _iso(latest),
        marks={bundle.bundle.mark: bundle.first_seen for bundle in bundles[:MARKS_KEPT]},
        order=last.order if last is not None else RowOrder(),
        bulk=_joined(bulk) if bulk else None,
        whole=None if whole is None else _iso(whole),
    )


def _with_break(readings: Sequence[BundleReading]) -> list[str]:
    """The files that end with a line break in each bundle."""
    files = [item for each in readings for item in each.layout.files.items()]
    without = {name for name, file in files if not file.seen.ends_with_break}
    return sorted({name for name, _ in files} - without)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _joined(revisions: Sequence[str]) -> str:
    """One fingerprint of several."""
    return revisions[0] if len(revisions) == 1 else hashlib.sha256("\n".join(revisions).encode()).hexdigest()
