"""Who names whom in `agents`: the pairs of student and contact, whichever side names the other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Ints, lists, positions, strings


def pairs_of(students: pd.DataFrame, people: pd.DataFrame) -> pd.DataFrame:
    """Every (student, contact) named by either side: rows, the agent's id, and the place in the student's list.

    students, people: normalised user records. contact is -1 where the agent was not delivered.
    """
    student_ids, ids = strings(students["sourcedId"]), strings(people["sourcedId"])
    trimmed = pc.utf8_trim_whitespace(student_ids)
    owner, agent, place = _agents(students)
    forward = pd.DataFrame({"student": owner, "contact": positions(agent, ids), "place": place, "agent": agent})
    owner, agent, place = _agents(people)
    back = positions(agent, trimmed)
    backward = pd.DataFrame(
        {"student": back, "contact": owner, "place": len(place) + 1, "agent": ids.take(pa.array(owner))}
    )
    pairs = pd.concat([forward, backward[back >= 0]], ignore_index=True)
    return pairs.drop_duplicates(["student", "agent"], ignore_index=True)


def _agents(people: pd.DataFrame) -> tuple[Ints, Array, Ints]:
    agents = lists(people["agents"])
    owner: Ints = pc.list_parent_indices(agents).to_numpy(zero_copy_only=False).astype(np.int64)
    return owner, pc.utf8_trim_whitespace(pc.list_flatten(agents)).cast(TEXT), np.arange(len(owner))
