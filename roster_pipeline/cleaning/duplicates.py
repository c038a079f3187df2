"""One record per sourcedId.

Records of one sourcedId that differ in school or role are one person with all of these: some servers send one record
per school. Records that agree in both are versions of each other; the newest by `dateLastModified` is used, and among
equally new ones always the same one. Every other field is the newest record's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from roster_pipeline.cleaning.rejections import Rejections
from roster_pipeline.frames import USER_COLUMNS, Array, Flags, filled, frame_of, repeated, sorted_by, strings
from roster_pipeline.org_tree import GONE_STATUSES

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
Record = Mapping[Any, Any]


def not_among(records: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records that `others` do not contain word for word, because most guardians name the school themselves."""
    held = {other.get("sourcedId"): other for other in others}
    return [record for record in records if held.get(record.get("sourcedId")) != record]


def one_per_sourced_id(users: pd.DataFrame, rejections: Rejections) -> pd.DataFrame:
    """The records, sorted by sourcedId, each sourcedId once. Versions that differ from the one used are noted.

    A page that is sent twice brings equal records: the fetch handles that, and nothing is noted.
    """
    users = sorted_by(users, "sourcedId")
    ids = strings(users["sourcedId"])
    keep = filled(ids)
    again = repeated(ids)
    if not again.any():
        return users if keep.all() else users[keep].reset_index(drop=True)
    joined, differing = _joined(users, ids, again, keep)
    rejections.note(differing, ids, "sourcedId", "duplicate_sourced_id", "warning")
    kept = users[keep]
    return sorted_by(pd.concat([kept, frame_of(joined)], ignore_index=True) if joined else kept, "sourcedId")


def _joined(users: pd.DataFrame, ids: Array, again: Flags, keep: Flags) -> tuple[list[dict[str, Any]], Flags]:
    """The records that several make together, and where a used record had other versions.

    Clears `keep` for every record of a repeated id, except for a record that is used alone.
    """
    differing = np.zeros(len(users), dtype=bool)
    rows = np.flatnonzero(again)
    records: Sequence[Record] = users.take(rows).to_dict("records")
    canonical = [_canonical(record) for record in records]
    order = [(_when(record.get("dateLastModified")), text) for record, text in zip(records, canonical, strict=True)]
    by_id: dict[str, list[int]] = defaultdict(list)
    for place, sourced_id in enumerate(ids.take(pa.array(rows)).to_pylist()):
        by_id[sourced_id].append(place)
    joined: list[dict[str, Any]] = []
    for places in by_id.values():
        newest_first = sorted(places, key=order.__getitem__, reverse=True)
        keep[rows[places]] = False
        kept: dict[frozenset[Any], int] = {}
        for place in newest_first:
            kept.setdefault(_memberships(records[place]), place)
        differing[rows[newest_first[0]]] = len({canonical[place] for place in places}) > len(kept)
        together = _together([records[place] for place in kept.values()])
        if len(together) == 1:
            keep[rows[next(place for place in kept.values() if records[place] is together[0])]] = True
        else:
            roles = {_key(entry): entry for record in reversed(together) for entry in record["roles"]}
            joined.append({**together[0], "roles": list(roles.values())})
    return joined, differing


def _together(records: list[Record]) -> list[Record]:
    """Which records of one person count, given their latest versions, newest first.

    A record that is gone ends only its own schools and roles; if it names no school, it ends all older records. If all
    are gone, the newest is used.
    """
    alive: list[Record] = []
    for record in records:
        if str(record.get("status") or "").strip().lower() not in GONE_STATUSES:
            alive.append(record)
        elif not any(org for _, org in _memberships(record)):
            break
    return alive or records[:1]


def _memberships(record: Record) -> frozenset[Any]:
    """The schools and roles that a record names."""
    roles = record.get("roles")
    return frozenset(_key(entry)[:2] for entry in (roles if isinstance(roles, Iterable) else ()))


def _key(entry: Mapping[str, Any]) -> tuple[str, str, Any, Any]:
    role, org = (str(entry.get(name) or "").strip() for name in ("role", "org"))
    return role.lower(), org, entry.get("beginDate"), entry.get("endDate")


def _canonical(record: Record) -> bytes:
    return orjson.dumps({name: record.get(name) for name in USER_COLUMNS}, option=orjson.OPT_SORT_KEYS, default=str)


def _when(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat((text if isinstance(text, str) else "").strip())
    except ValueError:
        return _LONG_AGO
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
