"""Matching and diff of a whole district against a bare `pandas.merge` of the same frames.

    python benchmarks/diff.py [PEOPLE ...]

A merge only puts the columns side by side; matching and diff also decide about every person. The aim is three times
the merge or less. Prints both sides, the ratio and the peak memory for each size, and the exponent of growth; the last
line is JSON for programs.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import ROSTER_COLUMNS, TEXT, column_of
from roster_pipeline.identity.directory_frames import MEMBERSHIP, DirectoryFrames, SnapshotFacts
from roster_pipeline.planning.plan import make_plan
from roster_pipeline.settings.school import RoleSettings, SchoolSettings
from roster_pipeline.vocabulary import MEMBERSHIP_FIELDS, PERSON_FIELDS, STUDENT_CONTACTS, UNREADABLE

SIZES = (5_000, 50_000, 1_000_000)
CHANGED = 0.05
ON = RoleSettings(rostered=True, auto_update=True, archive=True)
SCHOOL = SchoolSettings(school_id="s1", students=ON, teachers=ON, staff=ON, admins=ON)
GIVEN = ("Ana", "Ben", "Chloé", "Dmitri", "Eun-ji", "Fatima", "Günther", "Hana", "Ivo", "Jón", "Keisha", "Łukasz")
FAMILY = ("Adeyemi", "Brown", "Castillo", "Dvořák", "Evans", "Fischer", "García", "Huang", "Ivanova", "O'Brien")


def joined(*parts: Any) -> pa.Array:
    """Texts side by side, arrays and plain ones."""
    arrays = (pa.scalar(part, TEXT) if isinstance(part, str) else part.cast(TEXT) for part in (*parts, ""))
    return pc.binary_join_element_wise(*arrays)


def people(count: int) -> dict[str, pa.Array]:
    """The columns of so many people: nine in ten are students, a third have a phone, one in three a middle name."""
    chance = np.random.default_rng(7)
    at = np.arange(count)
    place = pa.array(at).cast(TEXT)
    student = pa.array(at % 10 != 0)

    def pick(words: tuple[str, ...]) -> pa.Array:
        return pa.array(words, TEXT).take(pa.array(chance.integers(0, len(words), count)))

    def some(values: pa.Array, share: float) -> pa.Array:
        return pc.if_else(pa.array(chance.random(count) < share), values, None)

    family = joined(pick(FAMILY), pa.array(at % 9973).cast(TEXT))
    phone = joined("+1312", pa.array(2_000_000 + at % 7_000_000).cast(TEXT))
    return {
        "sourced_id": pc.utf8_lpad(place, 12, "0"),
        "record_status": pa.array(["member"], TEXT).take(pa.array(np.zeros(count, dtype=int))),
        "conflict": pa.nulls(count, TEXT),
        "number_kind": pc.if_else(student, pa.scalar("student", TEXT), pa.scalar("staff", TEXT)),
        "given_name": pick(GIVEN),
        "family_name": family,
        "middle_name": some(pick(GIVEN), 0.3),
        "preferred_given_name": some(pick(GIVEN), 0.1),
        "preferred_family_name": pa.nulls(count, TEXT),
        "email": joined("u", place, "@example.org"),
        "phone": some(phone, 0.33),
        "username": joined("u", place),
        "number": joined("N", pc.utf8_lpad(place, 9, "0")),
        "role": pc.if_else(student, pa.scalar("student", TEXT), pa.scalar("teacher", TEXT)),
        "grade": pc.if_else(student, pick(("09", "10", "11", "12")), None),
        "source_role": pc.if_else(student, pa.scalar("student", TEXT), pa.scalar("teacher", TEXT)),
        "source_grade": pc.if_else(student, pick(("9", "10", "11", "12")), None),
        **{name: pa.nulls(count, TEXT) for name in ("master_identifier", UNREADABLE, *STUDENT_CONTACTS)},
    }


def roster_of(columns: dict[str, pa.Array]) -> pd.DataFrame:
    """A cleaned roster."""
    count = len(columns["sourced_id"])
    frame = pd.DataFrame({name: column_of(array) for name, array in columns.items()})
    return frame.assign(
        identity=pd.array(range(count), dtype="Int64"), enabled=pd.array([True] * count, dtype="boolean")
    )[list(ROSTER_COLUMNS)]


def directory_of(roster: pd.DataFrame) -> DirectoryFrames:
    """The directory a night before: 2 % of the people are new since, 2 % changed, 1 % are gone since."""
    count = len(roster)
    chance = np.random.default_rng(11)
    kind = chance.random(count)
    there = roster[kind >= 0.02].reset_index(drop=True)
    renamed = chance.random(len(there)) < 0.02
    there.loc[renamed, "family_name"] = there.loc[renamed, "family_name"] + "x"
    gone = there.iloc[: int(count * 0.01)].assign(
        **{name: lambda f, name=name: "gone" + f[name] for name in ("sourced_id", "email", "number")}
    )
    stood = pd.concat([there, gone], ignore_index=True)
    stood = stood.astype({"email": "str", "number": "str"}).iloc[chance.permutation(len(stood))].reset_index(drop=True)
    index = pd.Index(np.arange(1, len(stood) + 1), name="person_id")
    people_frame = (
        stood[[*PERSON_FIELDS, "number_kind"]]
        .set_axis(index)
        .assign(number_connection_id=1, excluded=False, locked_fields=[[] for _ in index], revision=1)
    )
    members = (
        stood[[*MEMBERSHIP_FIELDS, *STUDENT_CONTACTS]]
        .set_axis(index)
        .assign(
            status="active", archived_by=None, managed=True, absent_syncs=0, revision=1, years=0, archived_days=pd.NA
        )
    )
    links = pd.DataFrame(
        {
            "connection_id": 1,
            "sourced_id": stood["sourced_id"],
            "person_id": index,
            "is_primary": True,
            "version": "1.2",
        }
    ).assign(confirmed=False, primary_by_hand=False, master_identifier=pd.Series([None] * len(index), dtype="str"))
    exclusions = pd.DataFrame({"sourced_id": pd.Series(dtype="str"), "person_id": pd.Series(dtype="int64")})
    elsewhere = members.iloc[:0].rename_axis("person_id").reset_index()[list(MEMBERSHIP)]
    return DirectoryFrames(1, people_frame, links, members, exclusions, elsewhere)


def flat(directory: DirectoryFrames) -> pd.DataFrame:
    """The directory as one frame by sourcedId, for the merge."""
    joined = pd.concat([directory.people[list(PERSON_FIELDS)], directory.members], axis=1)
    return joined.assign(sourced_id=directory.links["sourced_id"].array, person_id=joined.index).reset_index(drop=True)


def bare_merge(roster: pd.DataFrame, directory: pd.DataFrame) -> pd.DataFrame:
    """The merge that both benchmarks compare with."""
    return roster.merge(directory, on="sourced_id", how="outer", suffixes=("", "_there"), indicator=True)


def measured(work: Callable[[], Any], repeat: int = 3) -> tuple[float, float, Any]:
    """The best of some runs in seconds, the peak memory above the start in MB (0 where unknown), and the result."""
    best, peak, result = math.inf, 0.0, None
    for _ in range(repeat):
        result = None
        gc.collect()
        start_memory = _memory("VmRSS")
        _reset_peak()
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
        peak = max(peak, _memory("VmHWM") - start_memory)
    return best, peak, result


def exponent(sizes: list[int], seconds: list[float]) -> float | None:
    """The slope of time over size, both as logarithms: 1 is linear. None of one size."""
    return round(float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), 3) if len(sizes) > 1 else None


def sizes_wanted() -> list[int]:
    """The sizes of the command line, or the usual ones."""
    parser = argparse.ArgumentParser()
    parser.add_argument("people", type=int, nargs="*", default=list(SIZES))
    sizes: list[int] = parser.parse_args().people
    return sizes


def _memory(name: str) -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name)), 0.0)


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def main() -> None:
    """Measure every size."""
    sizes, plans, found = sizes_wanted(), [], {}
    print(f"{'people':>10} {'merge s':>9} {'diff s':>9} {'ratio':>6} {'merge MB':>9} {'diff MB':>9}  rows")
    for count in sizes:
        roster = roster_of(people(count))
        directory = directory_of(roster)
        merge, merge_peak, _ = measured(partial(bare_merge, roster, flat(directory)))
        seconds, peak, plan = measured(partial(make_plan, roster, directory, SCHOOL, SnapshotFacts(complete=True)))
        plans.append(seconds)
        actions = plan.rows["action"].value_counts().to_dict()
        ratio = seconds / merge
        print(f"{count:>10,} {merge:>9.3f} {seconds:>9.3f} {ratio:>6.2f} {merge_peak:>9.0f} {peak:>9.0f}  {actions}")
        found = {"people": count, "merge": round(merge, 3), "diff": round(seconds, 3), "peak_mb": round(peak)}
        found["ratio"] = round(ratio, 2)
    print(json.dumps(found | {"exponent": exponent(sizes, plans)}))


if __name__ == "__main__":
    main()
