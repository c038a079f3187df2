"""Several bulk bundles of one night: some systems write one for each school, others export the same twice.

A bundle whose schools are all in a newer one is left out. Of one that has further schools, their people are read, too;
somebody who is in several of them belongs to the schools of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from roster_pipeline.oneroster.bundle.bundle_discovery import Dated
from roster_pipeline.oneroster.collections.reading import Batch
from roster_pipeline.oneroster.paging.seen_ids import Hashes, hashes
from roster_pipeline.org_tree import GONE_STATUSES, is_school

ONE_NIGHT = timedelta(hours=12)
"""Bulk bundles written so close together are of one night; the next night's are a day away."""

Record = dict[str, Any]


def of_the_same_night(one: Dated, bundles: Sequence[Dated]) -> list[Dated]:
    """The older bundles of the same night, the newest first. bundles: the newest first."""
    since = one.written - ONE_NIGHT.total_seconds()
    return [other for other in bundles[bundles.index(one) + 1 :] if other.written >= since]


@dataclass(frozen=True)
class Outline:
    """One bundle at the first look. schools: those that its people name. ids: hashes of their ids."""

    schools: frozenset[str]
    ids: Hashes


def outline(batches: Iterable[Batch]) -> Outline:
    """Which schools and people a bundle has."""
    no_schools: set[str] = set()
    named: set[str] = set()
    ids = [np.zeros(0, dtype=np.int64)]
    for batch in batches:
        if batch.kind == "org":
            no_schools.update(org["sourcedId"] for org in batch.records if not is_school(org))
            continue
        ids.append(hashes(batch.records))
        for user in batch.records:
            if user["status"] not in GONE_STATUSES:
                named.update(entry["org"] for entry in user["roles"] if entry["org"])
    return Outline(frozenset(named - no_schools), np.unique(np.concatenate(ids)))


@dataclass
class Share:
    """What counts of one bundle. schools: those that no newer one has. taken: those that newer ones have.

    left_out: records that did not count, at the latest reading.
    """

    schools: frozenset[str]
    taken: frozenset[str]
    left_out: int = 0

    def of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches with the people of these schools, and with those of no school, as far as they are of them."""
        self.left_out = 0
        for batch in batches:
            if batch.kind == "user" and self.taken:
                kept = [one for one in map(self._of, batch.records) if one]
                self.left_out += len(batch.records) - len(kept)
                yield Batch(batch.kind, kept, batch.rejects)
            else:
                yield batch

    def _of(self, user: Record) -> Record | None:
        kept = [entry for entry in user["roles"] if entry["org"] not in self.taken]
        return user | {"roles": kept} if kept or not user["roles"] else None


def shares_of(outlines: Sequence[Outline]) -> list[Share]:
    """Which schools each bundle is read for. outlines: the newest first, which is read for all of its own."""
    taken: frozenset[str] = frozenset()
    found = []
    for one in outlines:
        found.append(Share(one.schools - taken, taken))
        taken |= one.schools
    return found


def in_several(outlines: Sequence[Outline]) -> Hashes:
    """Hashes of the ids that are in more than one bundle."""
    values, counts = np.unique(np.concatenate([one.ids for one in outlines]), return_counts=True)
    found: Hashes = values[counts > 1]
    return found


def records_of(batches: Iterable[Batch], ids: Hashes) -> dict[str, Record]:
    """The records with one of these ids, but those that are marked as gone."""
    found: dict[str, Record] = {}
    for batch in batches:
        if batch.kind == "user" and batch.records:
            for place in np.flatnonzero(np.isin(hashes(batch.records), ids)).tolist():
                user = batch.records[place]
                if user["status"] not in GONE_STATUSES:
                    found[user["sourcedId"]] = user
    return found


def completed(batches: Iterable[Batch], further: Sequence[dict[str, Record]]) -> Iterator[Batch]:
    """The batches, with the roles and agents added that further bundles have of the same people."""
    for batch in batches:
        for user in batch.records if batch.kind == "user" else ():
            for other in (records[user["sourcedId"]] for records in further if user["sourcedId"] in records):
                user["roles"] = [*user["roles"], *(one for one in other["roles"] if one not in user["roles"])]
                user["agents"] = list(dict.fromkeys([*user["agents"], *other["agents"]]))
        yield batch
