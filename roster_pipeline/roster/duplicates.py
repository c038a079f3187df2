"""One record per sourcedId: of several the newest by `dateLastModified`; of equally new ones the same every time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from roster_pipeline.roster.frames import USER_COLUMNS, Array, Flags, filled, repeated, sorted_by, strings
from roster_pipeline.roster.rejections import Rejections

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def not_among(records: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of `records` that `others` do not hold word for word: most guardians name the school themselves."""
    held = {other.get("sourcedId"): other for other in others}
    return [record for record in records if held.get(record.get("sourcedId")) != record]


def one_per_sourced_id(users: pd.DataFrame, rejections: Rejections) -> pd.DataFrame:
    """The records, sorted by sourcedId, each sourcedId once; records that differ from the one kept are noted.

    A page that is sent twice brings equal records: that is the fetch's business, and nothing is noted.
    """
    users = sorted_by(users, "sourcedId")
    ids = strings(users["sourcedId"])
    keep = filled(ids)
    again = repeated(ids)
    if again.any():
        differing = _drop_older(users, ids, again, keep)
        rejections.note(differing, ids, "sourcedId", "duplicate_sourced_id", "warning")
    return users if keep.all() else users[keep].reset_index(drop=True)


def _drop_older(users: pd.DataFrame, ids: Array, again: Flags, keep: Flags) -> Flags:
    """Clears `keep` for all but one record of each repeated id; returns where a kept record had differing others."""
    differing = np.zeros(len(users), dtype=bool)
    rows = np.flatnonzero(again)
    some = users.take(rows)
    said = [_canonical(record) for record in some.to_dict("records")]
    newest = [_when(text) for text in strings(some["dateLastModified"]).to_pylist()]
    by_id: dict[str, list[int]] = {}
    for place, sourced_id in enumerate(ids.take(pa.array(rows)).to_pylist()):
        by_id.setdefault(sourced_id, []).append(place)
    for places in by_id.values():
        best = max(places, key=lambda place: (newest[place], said[place]))
        keep[rows[places]] = False
        keep[rows[best]] = True
        differing[rows[best]] = len({said[place] for place in places}) > 1
    return differing


def _canonical(record: dict[object, object]) -> bytes:
    return orjson.dumps({name: record.get(name) for name in USER_COLUMNS}, option=orjson.OPT_SORT_KEYS)


def _when(text: str | None) -> datetime:
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return _LONG_AGO
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
