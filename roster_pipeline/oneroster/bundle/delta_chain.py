"""Bundles as a row in time: which have to be read, and whether one of them is missing.

A delta is worth as much as the row of deltas before it. Between the bundle that was read last and the newest, each is
read; where one may have come and gone unseen, the pull says so and is incomplete, until a bundle says everything anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median

from roster_pipeline.oneroster.bundle.bundle_discovery import Dated

MISSED = "deltas-missed"
MOST_BUNDLES = 100
"""Read in one pull; whoever was away for longer needs a bundle that says everything."""
A_DAY = timedelta(hours=26)
"""Between our last look and the next bundle, where exports are nightly and so are we. More, and one may have been
written and replaced meanwhile. Two hours are for clocks that move and nights that run late."""
SAME_TIME = 0.001
"""Seconds within which two times of files are one; they pass through microseconds."""
RARER = 1.5
"""How much longer than usual a gap may be, where the bundles that were read before came more seldom than daily."""
GAPS_NEEDED = 2
"""Gaps between bundles that were read before, from which a habit can be told."""
SATURDAY = 5
COUNTER = re.compile(r"\d+")
COUNTS_UP_TO = 6
"""Digits of a number that counts bundles; more are a time or an id."""
FEW_STEPS = 9
"""The widest step between the numbers of two bundles that is taken for a jump where no other step is known."""
AT_ONCE = timedelta(minutes=10)
"""New bundles written so close together may be one for each school, numbered by school."""


@dataclass(frozen=True)
class LastRead:
    """The bundle that the stored records stand on, and what is remembered of the place.

    written: the time it counts as written at; looked_at: when it was read last; None where the stored records stand on
    none. marks: of all bundles that lay there then; None where they were not remembered. seen: marks of the bundles
    that lay there at the latest look, complete or not, with when each was seen first. newest: the time of the newest
    bundle that ever was read; None where it cannot be told.
    """

    written: datetime | None = None
    looked_at: datetime | None = None
    marks: frozenset[str] | None = None
    seen: Mapping[str, float] = field(default_factory=dict)
    newest: datetime | None = None

    def is_news(self, one: Dated) -> bool:
        """Whether a bundle was written after what was read last."""
        if self.marks is not None and one.lying.mark in self.marks:
            return False
        return self.written is None or one.written > self.written.timestamp() + SAME_TIME


def to_read(bundles: Sequence[Dated], last: LastRead | None) -> list[Dated]:
    """What to read of the bundles that lie there, the newest first, as long as none of them says everything.

    bundles: the newest first; at least one. Where nothing new lies there, the newest is read again.
    """
    fresh = [one for one in bundles if last is None or last.is_news(one)]
    return (fresh or list(bundles[:1]))[:MOST_BUNDLES]


def is_older(one: Dated, last: LastRead | None) -> bool:
    """Whether a bundle was written before one that was read already."""
    if last is None or last.newest is None or one.ahead:
        return False
    return one.written < last.newest.timestamp() - SAME_TIME


def is_broken(read: Sequence[Dated], bundles: Sequence[Dated], last: LastRead | None, *, whole: bool) -> bool:
    """Whether a delta may be missing among what was read (the newest first), or before it.

    whole: the last one of `read` says everything, so that nothing before it matters. bundles: all that lie there.
    """
    looked_at = None if whole or last is None else last.looked_at
    fresh = [one for one in read if looked_at is None or last is None or last.is_news(one)]
    if not fresh:
        return False
    if not whole and len(read) == MOST_BUNDLES:
        return True
    known = [one for one in bundles if one not in read]
    times = [one.written for one in reversed(fresh)]
    if looked_at is not None:
        times.insert(0, min(looked_at.timestamp(), times[0]))
    steps = [*pairwise(times), *pairwise(_days(fresh, known))]
    habit = _habit(known)
    weekends = any(datetime.fromtimestamp(one.written, UTC).weekday() >= SATURDAY for one in bundles)
    if any(after - before > habit and (weekends or not _only_a_weekend(before, after)) for before, after in steps):
        return True
    return _number_is_missing(fresh, known)


def _habit(known: Sequence[Dated]) -> float:
    """Seconds that may lie between two bundles: a day, or as much more as bundles came more seldom before."""
    times = sorted(one.written for one in known)
    gaps = [after - before for before, after in pairwise(times)]
    usual = median(gaps) * RARER if len(gaps) >= GAPS_NEEDED else 0.0
    return max(A_DAY.total_seconds(), usual)


def _only_a_weekend(before: float, after: float) -> bool:
    """Whether no bundle is missing but those of a Saturday and a Sunday."""
    first, last = (datetime.fromtimestamp(moment, UTC) for moment in (before, after))
    between = [first.date() + timedelta(days=number) for number in range(1, (last.date() - first.date()).days)]
    return bool(between) and all(day.weekday() >= SATURDAY for day in between)


def _days(fresh: Sequence[Dated], known: Sequence[Dated]) -> list[float]:
    """The days that names have, as times, oldest first; none unless every name has one."""
    row = [*(one for one in known[:1] if one.written < fresh[-1].written), *reversed(fresh)]
    days = [one.lying.day for one in row]
    if not all(days):
        return []
    return [datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() for day in days if day]


def _number_is_missing(fresh: Sequence[Dated], known: Sequence[Dated]) -> bool:
    """Whether the names count the bundles, and a number between two of them is missing."""
    names = sorted((one for one in [*known, *fresh] if one.lying.day is None), key=lambda one: one.written)
    numbers: dict[str, list[tuple[int, Dated]]] = {}
    for one in names:
        for template, number in _counters(one.lying.name):
            numbers.setdefault(template, []).append((number, one))
    for found in numbers.values():
        steps = [after - before for (before, _), (after, _) in pairwise(found)]
        if min(steps, default=0) < 1 or (1 not in steps and (len(steps) > 1 or steps[0] > FEW_STEPS)):
            continue
        for step, ((_, before), (_, after)) in zip(steps, pairwise(found), strict=True):
            at_once = before in fresh and after.written - before.written < AT_ONCE.total_seconds()
            if step > 1 and after in fresh and not at_once:
                return True
    return False


def _counters(name: str) -> Iterator[tuple[str, int]]:
    """Each number of a name that may count bundles, with the name around it."""
    for found in COUNTER.finditer(name):
        if len(found[0]) <= COUNTS_UP_TO:
            yield f"{name[: found.start()]}#{name[found.end() :]}", int(found[0])
