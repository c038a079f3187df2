"""Cleaning the records of a whole district against a bare `pandas.merge` of the same size.

    python benchmarks/clean.py [PEOPLE ...]

The merge is the one of `diff.py`: the cleaned roster with the directory. The aim is ten times that or less. A third
of the people have a phone of their own, written in one of three ways; every person has an e-mail and a number. Prints
both sides, the ratio and the peak memory for each size, and the exponent of growth; the last line is JSON.
"""

from __future__ import annotations

import json
from datetime import date
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from diff import SCHOOL, bare_merge, directory_of, exponent, flat, joined, measured, people, roster_of, sizes_wanted

from roster_pipeline.cleaning.clean import CleaningContext, clean
from roster_pipeline.frames import TEXT, USER_COLUMNS, USER_LISTS, USER_TEXT, column_of, frame_of
from roster_pipeline.settings.school import ConnectionSettings

CONTEXT = CleaningContext("s1", SCHOOL, ConnectionSettings(url="https://sis.example.org"), date(2026, 3, 1))


def records(columns: dict[str, pa.Array]) -> pd.DataFrame:
    """The people as the records of a SIS: e-mails in capitals, phones in three spellings, a role in this school."""
    count = len(columns["sourced_id"])
    at = np.arange(count)
    area, rest = pc.utf8_slice_codeunits(columns["phone"], 2, 5), pc.utf8_slice_codeunits(columns["phone"], 5)
    phone = pc.if_else(pa.array(at % 3 == 0), columns["phone"], joined("(", area, ") ", rest))
    text = {
        "sourcedId": columns["sourced_id"],
        "status": pa.array(["active"] * count, TEXT),
        "username": columns["username"],
        "identifier": columns["number"],
        "givenName": columns["given_name"],
        "familyName": columns["family_name"],
        "middleName": columns["middle_name"],
        "email": pc.utf8_capitalize(columns["email"]),
        "phone": phone,
    }
    frame = pd.DataFrame({name: column_of(text.get(name, pa.nulls(count, TEXT))) for name in USER_TEXT})
    role = [columns["source_role"], pa.nulls(count, TEXT), pa.array(["s1"] * count, TEXT), *[pa.nulls(count, TEXT)] * 2]
    kind = USER_LISTS["roles"]
    entries = pa.StructArray.from_arrays(role, fields=list(kind.value_type))
    nested = {
        "roles": pa.ListArray.from_arrays(pa.array(np.arange(count + 1), pa.int32()), entries),
        "grades": pa.ListArray.from_arrays(
            pa.array(np.arange(count + 1), pa.int32()), pc.fill_null(columns["source_grade"], "")
        ),
    }
    for name, wanted in USER_LISTS.items():
        array = nested.get(name, pa.nulls(count, wanted))
        frame[name] = pd.Series(pd.arrays.ArrowExtensionArray(array), dtype=pd.ArrowDtype(wanted))
    frame["enabledUser"] = pd.array([True] * count, dtype="boolean")
    frame["metadata"] = pd.Series([{}] * count, dtype=object)
    return frame[list(USER_COLUMNS)]


def main() -> None:
    """Measure every size."""
    sizes, cleans, found = sizes_wanted(), [], {}
    nobody = frame_of([])
    print(f"{'people':>10} {'merge s':>9} {'clean s':>9} {'ratio':>6} {'clean MB':>9}  members")
    for count in sizes:
        columns = people(count)
        roster = roster_of(columns)
        merge, _, _ = measured(partial(bare_merge, roster, flat(directory_of(roster))))
        users = records(columns)
        seconds, peak, cleaned = measured(partial(clean, users, nobody, CONTEXT), repeat=2)
        cleans.append(seconds)
        members = int((cleaned.roster["record_status"] == "member").sum())
        print(f"{count:>10,} {merge:>9.3f} {seconds:>9.3f} {seconds / merge:>6.2f} {peak:>9.0f}  {members:,}")
        found = {"people": count, "merge": round(merge, 3), "clean": round(seconds, 3), "peak_mb": round(peak)}
        found["ratio"] = round(seconds / merge, 2)
    print(json.dumps(found | {"exponent": exponent(sizes, cleans)}))


if __name__ == "__main__":
    main()
