"""Rows that somebody exempted: a change that a person refused is not made by a later plan either.

Without that, a guard would hold sixty archivals tonight, somebody would take three people out, and tomorrow these three
alone are few enough to pass.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import orjson
import pandas as pd

from roster_pipeline.frames import persons_of
from roster_pipeline.identity.directory_frames import DirectoryFrames, SnapshotFacts
from roster_pipeline.vocabulary import ARCHIVE, CONTACT, CREATE, UPDATE

EXEMPTED = "exempted"


def with_exemptions(
    rows: pd.DataFrame, directory: DirectoryFrames, snapshot: SnapshotFacts
) -> tuple[pd.DataFrame, tuple[int, ...]]:
    """The rows of a plan with the exempted changes skipped, and the ids of the exemptions that have ended.

    An exemption holds for the same kind of change of the same person, an update only for the same values. It ends once
    a complete list of the SIS no longer leads to that change. One about an archival ends once the person came again, or
    is no active member any more: a person who is in a conflict, or whose role is off, is still away.
    """
    exemptions = directory.exemptions
    if exemptions.empty:
        return rows, ()
    person, action = persons_of(rows), rows["action"].to_numpy(dtype=object)
    usable = (rows["role"].to_numpy(dtype=object) != CONTACT) & (action != "conflict")
    of_person = {int(who): place for place, who in enumerate(person) if usable[place] and who >= 0}
    new = np.flatnonzero(usable & (person < 0) & (action == CREATE))
    records, came = rows["sourced_ids"].tolist(), rows["matched_by"].notna().to_numpy(dtype=bool)
    of_record = {record: place for place in new.tolist() for record in records[place]}
    active = set(directory.members.index[directory.active])
    chosen, ended = [], []
    for one in exemptions.to_dict("records"):
        who = None if pd.isna(one["person_id"]) else int(one["person_id"])
        places = [of_person.get(who)] if who is not None else list(map(of_record.get, one["sourced_ids"]))
        place = next((place for place in places if place is not None), None)
        if place is not None and action[place] == one["action"] and _same(one, rows["changes"].iloc[place]):
            chosen.append(place)
        elif one["action"] != ARCHIVE or who not in active or (place is not None and came[place]):
            ended.append(int(one["id"]))
    whole = snapshot.complete and snapshot.mode != "delta"
    return _skipped(rows, chosen), tuple(ended) if whole else ()


def _same(exemption: Mapping[Hashable, Any], changes: dict[str, list[Any]]) -> bool:
    return exemption["action"] != UPDATE or _plain(exemption["changes"]) == _plain(changes)


def _plain(changes: Any) -> bytes:
    return orjson.dumps(changes or {}, option=orjson.OPT_SORT_KEYS)


def _skipped(rows: pd.DataFrame, places: list[int]) -> pd.DataFrame:
    if not places:
        return rows
    here = np.zeros(len(rows), dtype=bool)
    here[places] = True
    action, reason = (rows[name].astype(object).to_numpy(copy=True) for name in ("action", "reason"))
    action[here], reason[here] = "skip", EXEMPTED
    links = [[] if flag else new for flag, new in zip(here, rows["new_links"], strict=True)]
    given = {"action": pd.Series(action, dtype="str"), "reason": pd.Series(reason, dtype="str")}
    return rows.assign(**given, new_links=pd.Series(links, dtype=object))
