"""Several bundles as one: the newest record of each id, and bulk bundles that were exported at about the same time.

Some systems write one bulk bundle for each school, others export the same twice. A bundle whose schools are all in a
newer one is left out. If a bundle has further schools, their people are read too, and somebody who is in several such
bundles belongs to the schools of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from roster_pipeline.oneroster.bundle.bundle_discovery import DatedBundle
from roster_pipeline.oneroster.collections.reading import Batch
from roster_pipeline.oneroster.paging.seen_ids import Hashes, SeenIds, hashes
from roster_pipeline.org_tree import GONE_STATUSES, is_school

SAME_EXPORT = timedelta(hours=12)
"""Bulk bundles written within this time belong to one export; the next day's export is a day away."""

Record = dict[str, Any]


class NewestRecords:
    """Takes one bundle after the other, newest first, and passes on only the newest record of each id.

    superseded: how many records of people were not passed on.
    """

    def __init__(self) -> None:
        self._seen: list[dict[str, SeenIds]] = []
        self.superseded = 0

    def of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """A bundle's batches without the records and rejects of ids that a newer bundle has."""
        newer, own = list(self._seen), {"org": SeenIds(), "user": SeenIds()}
        self._seen.append(own)
        for batch in batches:
            own[batch.kind].add(hashes(batch.records))
            if not newer:
                yield batch
                continue
            seen = [ids[batch.kind] for ids in newer]
            records = _not_in(seen, batch.records)
            if batch.kind == "user":
                self.superseded += len(batch.records) - len(records)
            yield Batch(batch.kind, records, _not_in(seen, batch.rejects))


def _not_in(newer: list[SeenIds], records: list[Record]) -> list[Record]:
    values = hashes(records)
    superseded = np.zeros(len(values), dtype=np.bool_)
    for seen in newer:
        superseded |= seen.has(values)
    return [record for record, is_old in zip(records, superseded.tolist(), strict=True) if not is_old]


def same_export(newest: DatedBundle, bundles: Sequence[DatedBundle]) -> list[DatedBundle]:
    """The older bundles of the same export. bundles: all of the place; both lists start with the newest."""
    since = newest.written - SAME_EXPORT.total_seconds()
    return [bundle for bundle in bundles[bundles.index(newest) + 1 :] if bundle.written >= since]


@dataclass(frozen=True)
class Outline:
    """What a first reading of a bundle finds. schools: those that its people name. ids: hashes of their ids."""

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
    """What is used of one bundle. schools: those that no newer one has. taken: those that newer ones have.

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
