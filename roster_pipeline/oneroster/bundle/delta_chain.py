"""Reads several bundles as one: decides which must be read, and whether one is missing.

A delta is useful only if every delta before it was applied. Each bundle between the last one read and the newest is
read. If one may have come and gone between two syncs, the pull is incomplete until a bulk bundle comes.

Some systems write one bulk bundle for each school, others export the same twice. A bundle is left out if a newer one
has all its schools. If it has further schools, their people are read too, and a person in several such bundles belongs
to the schools of all.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

from roster_pipeline.oneroster.bundle.bundle_discovery import DatedBundle
from roster_pipeline.oneroster.collections.proof import Hashes, hashes
from roster_pipeline.oneroster.collections.row_order import RowOrder
from roster_pipeline.oneroster.collections.wanted import Batch
from roster_pipeline.org_tree import GONE_STATUSES, is_school

MISSED = "deltas-missed"
"""Problem: a delta may be missing."""
LATE = "source-late-delta"
"""Problem: a bundle came after one that was written later. Nobody reads it, because its records may be older than those
that are stored."""
MOST_BUNDLES = 100
"""Bundles read in one pull; after a longer pause, a bulk bundle is needed."""
LONGEST_GAP = timedelta(hours=26)
"""The time between our last check and the next bundle, if exports and syncs are daily. After a longer gap, a bundle may
have been written and replaced meanwhile. Two hours allow for clock changes and late runs."""
SAME_TIME = 0.001
"""Seconds within which two file times are equal, because they are stored in microseconds."""
RARER = 1.5
"""How much longer than usual a gap may be, if earlier bundles came less often than daily."""
GAPS_NEEDED = 2
"""The usual gap is known only from this many gaps on."""
SATURDAY = 5
COUNTER = re.compile(r"\d+")
COUNTS_UP_TO = 6
"""Most digits of a number that counts bundles; a longer one is a time or an id."""
FEW_STEPS = 9
"""The largest step between the numbers of two bundles that counts as a gap if no other step is known."""
AT_ONCE = timedelta(minutes=10)
"""New bundles written this close together may be one for each school, numbered by school."""
SAME_EXPORT = timedelta(hours=12)
"""Bulk bundles written within this time belong to one export; the next day's export is a day away."""

Record = dict[str, Any]


@dataclass(frozen=True)
class LastRead:
    """The bundle that the stored records are based on, and the facts about its place.

    written: its time of writing as we use it. looked_at: when it was last read. Both are None if nothing is stored.
    marks: of all bundles that were there then, None if not stored. seen: marks of the bundles that were there at the
    latest check, complete or not, with the time when each was first seen. newest: time of the newest bundle ever read;
    whole: of the newest bulk one; None if unknown. order: of the rows in the newest complete bulk bundle. with_break:
    the files that ended with a line break then.
    """

    written: datetime | None = None
    looked_at: datetime | None = None
    marks: frozenset[str] | None = None
    seen: Mapping[str, float] = field(default_factory=dict)
    newest: datetime | None = None
    whole: datetime | None = None
    order: RowOrder = field(default_factory=RowOrder)
    with_break: Sequence[str] = ()

    def is_new(self, bundle: DatedBundle) -> bool:
        """Whether a bundle was written after the one that was read last."""
        if self.marks is not None and bundle.bundle.mark in self.marks:
            return False
        return self.written is None or bundle.written > self.written.timestamp() + SAME_TIME


def to_read(bundles: Sequence[DatedBundle], last: LastRead | None) -> list[DatedBundle]:
    """The bundles to read until one of them is bulk: the new ones, or else the newest again.

    bundles: newest first, at least one. The result has the same order.
    """
    new = [bundle for bundle in bundles if last is None or last.is_new(bundle)]
    return (new or list(bundles[:1]))[:MOST_BUNDLES]


def is_older(bundle: DatedBundle, last: LastRead | None) -> bool:
    """Whether a bundle was written before one that was already read."""
    if last is None or last.newest is None or bundle.ahead:
        return False
    return bundle.written < last.newest.timestamp() - SAME_TIME


def came_late(bundles: Sequence[DatedBundle], last: LastRead | None) -> bool:
    """Whether a bundle was not there when `last` was read, although it was written between the newest bulk bundle and
    that one. bundles: all that are in the place, none of them a newer bulk bundle."""
    if last is None or last.marks is None or last.written is None or last.whole is None:
        return False
    since, until = (moment.timestamp() + SAME_TIME for moment in (last.whole, last.written))
    return any(since < one.written <= until and one.bundle.mark not in last.marks for one in bundles)


def is_broken(
    read: Sequence[DatedBundle], bundles: Sequence[DatedBundle], last: LastRead | None, *, whole: bool
) -> bool:
    """Whether a delta may be missing among the bundles that were read, or before them.

    read: newest first. whole: the last one of `read` is bulk, so that nothing before it matters. bundles: all that are
    in the place.
    """
    looked_at = None if whole or last is None else last.looked_at
    new = [bundle for bundle in read if looked_at is None or last is None or last.is_new(bundle)]
    if not new:
        return False
    if not whole and len(read) == MOST_BUNDLES:
        return True
    days = [bundle.bundle.day for bundle in reversed(new)]
    if all(days) and days != sorted(day for day in days if day):
        return True  # the names contradict the times
    earlier = [bundle for bundle in bundles if bundle not in read]
    times = [bundle.written for bundle in reversed(new)]
    if looked_at is not None:
        times.insert(0, min(looked_at.timestamp(), times[0]))
    steps = [*pairwise(times), *pairwise(_days_in_names(new, [] if whole else earlier))]
    longest = _usual_gap(earlier)
    weekends = any(datetime.fromtimestamp(bundle.written, UTC).weekday() >= SATURDAY for bundle in bundles)
    if any(after - before > longest and (weekends or not _only_a_weekend(before, after)) for before, after in steps):
        return True
    return _number_is_missing(new, earlier, whole=whole)


def _usual_gap(earlier: Sequence[DatedBundle]) -> float:
    """The longest time allowed between two bundles in seconds: LONGEST_GAP, or more if they came less often."""
    times = sorted(bundle.written for bundle in earlier)
    gaps = [after - before for before, after in pairwise(times)]
    usual = median(gaps) * RARER if len(gaps) >= GAPS_NEEDED else 0.0
    return max(LONGEST_GAP.total_seconds(), usual)


def _only_a_weekend(before: float, after: float) -> bool:
    """Whether only Saturdays and Sundays are between two days."""
    first, last = (datetime.fromtimestamp(moment, UTC) for moment in (before, after))
    between = [first.date() + timedelta(days=number) for number in range(1, (last.date() - first.date()).days)]
    return bool(between) and all(day.weekday() >= SATURDAY for day in between)


def _days_in_names(new: Sequence[DatedBundle], earlier: Sequence[DatedBundle]) -> list[float]:
    """The days in the names as times, oldest first; none unless every name has one."""
    chain = [*(bundle for bundle in earlier[:1] if bundle.written < new[-1].written), *reversed(new)]
    days = [bundle.bundle.day for bundle in chain]
    if not all(days):
        return []
    return [datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() for day in days if day]


def _number_is_missing(new: Sequence[DatedBundle], earlier: Sequence[DatedBundle], *, whole: bool) -> bool:
    """Whether the names number the bundles, and a number between two of them is missing. whole: the first new one is
    bulk, so that none before it can be missing."""
    numbered = sorted((each for each in [*earlier, *new] if each.bundle.day is None), key=lambda each: each.written)
    series: dict[str, list[tuple[int, DatedBundle]]] = {}
    for bundle in numbered:
        for template, number in _counters(bundle.bundle.name):
            series.setdefault(template, []).append((number, bundle))
    for numbers in series.values():
        steps = [after - before for (before, _), (after, _) in pairwise(numbers)]
        if min(steps, default=0) < 1 or (1 not in steps and (len(steps) > 1 or steps[0] > FEW_STEPS)):
            continue
        for step, ((_, before), (_, after)) in zip(steps, pairwise(numbers), strict=True):
            at_once = before in new and after.written - before.written < AT_ONCE.total_seconds()
            if step > 1 and after in new and not at_once and (before in new or not whole):
                return True
    return False


def _counters(name: str) -> Iterator[tuple[str, int]]:
    """Each number in a name that may count bundles, with the name around it."""
    for match in COUNTER.finditer(name):
        if len(match[0]) <= COUNTS_UP_TO:
            yield f"{name[: match.start()]}#{name[match.end() :]}", int(match[0])


def same_export(newest: DatedBundle, bundles: Sequence[DatedBundle]) -> list[DatedBundle]:
    """The older bundles of the same export. bundles: all of the place; both lists start with the newest."""
    since = newest.written - SAME_EXPORT.total_seconds()
    return [bundle for bundle in bundles[bundles.index(newest) + 1 :] if bundle.written >= since]


@dataclass(frozen=True)
class Outline:
    """The result of a first reading of a bundle. schools: those that its people name. ids: hashes of their ids."""

    schools: frozenset[str]
    ids: Hashes


def outline(batches: Iterable[Batch]) -> Outline:
    """The schools and people of a bundle."""
    not_schools: set[str] = set()
    named: set[str] = set()
    ids = [np.zeros(0, dtype=np.int64)]
    for batch in batches:
        if batch.kind == "org":
            not_schools.update(org["sourcedId"] for org in batch.records if not is_school(org))
            continue
        ids.append(hashes(batch.records))
        for user in batch.records:
            if user["status"] not in GONE_STATUSES:
                named.update(entry["org"] for entry in user["roles"] if entry["org"])
    return Outline(frozenset(named - not_schools), np.unique(np.concatenate(ids)))


@dataclass
class Share:
    """The part of one bundle that is used. schools: those that no newer one has. taken: those that newer ones have.

    left_out: how many records were not used at the latest reading.
    """

    schools: frozenset[str]
    taken: frozenset[str]
    left_out: int = 0

    def of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches without the roles in schools that newer bundles have, and without people who have only those."""
        self.left_out = 0
        for batch in batches:
            if batch.kind == "user" and self.taken:
                kept = [user for user in map(self._own_part, batch.records) if user]
                self.left_out += len(batch.records) - len(kept)
                yield Batch(batch.kind, kept, batch.rejects)
            else:
                yield batch

    def _own_part(self, user: Record) -> Record | None:
        kept = [entry for entry in user["roles"] if entry["org"] not in self.taken]
        return user | {"roles": kept} if kept or not user["roles"] else None


def shares_of(outlines: Sequence[Outline]) -> list[Share]:
    """Which schools each bundle is read for. outlines: newest first; the newest is read for all of its schools."""
    taken: frozenset[str] = frozenset()
    shares = []
    for each in outlines:
        shares.append(Share(each.schools - taken, taken))
        taken |= each.schools
    return shares


def in_several(outlines: Sequence[Outline]) -> Hashes:
    """Hashes of the ids that are in more than one bundle."""
    values, counts = np.unique(np.concatenate([each.ids for each in outlines]), return_counts=True)
    repeated: Hashes = values[counts > 1]
    return repeated


def records_of(batches: Iterable[Batch], ids: Hashes) -> dict[str, Record]:
    """The records with one of these ids by sourcedId, without those that are marked as gone."""
    records: dict[str, Record] = {}
    for batch in batches:
        if batch.kind == "user" and batch.records:
            for place in np.flatnonzero(np.isin(hashes(batch.records), ids)).tolist():
                user = batch.records[place]
                if user["status"] not in GONE_STATUSES:
                    records[user["sourcedId"]] = user
    return records


def completed(batches: Iterable[Batch], others: Sequence[dict[str, Record]]) -> Iterator[Batch]:
    """The batches, with the roles and agents added that the same people have in other bundles."""
    for batch in batches:
        for user in batch.records if batch.kind == "user" else ():
            for other in (records[user["sourcedId"]] for records in others if user["sourcedId"] in records):
                user["roles"] = [*user["roles"], *(entry for entry in other["roles"] if entry not in user["roles"])]
                user["agents"] = list(dict.fromkeys([*user["agents"], *other["agents"]]))
        yield batch
