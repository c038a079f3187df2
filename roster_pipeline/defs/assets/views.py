"""What applications read: the views of `docs/directory.md`, so that lineage ends where the data is used.

They are external assets. PostgreSQL keeps them up to date by itself; there is nothing to run.
"""

import dagster as dg

from roster_pipeline.defs.assets.asset_helpers import OWNERS

SCHEMA = "roster_public"
DESCRIPTIONS = {
    "directory_person": "One row per person of a district.",
    "directory_membership": "One row per person and school, with role, grade and status.",
    "directory_contact": "Parents, guardians and relatives, one row per contact.",
    "directory_student_contact": "Which contact belongs to which student, and how.",
    "directory_change": "Every change of the directory in order, for applications that keep a copy.",
}

VIEWS = [
    dg.AssetSpec(
        dg.AssetKey([SCHEMA, name]),
        deps=["applied_changes"],
        description=f"{text} Applications read this view; `docs/directory.md` describes its columns.",
        group_name="applications",
        owners=OWNERS,
        kinds={"postgres", "view"},
        metadata={"dagster/table_name": f"{SCHEMA}.{name}"},
    )
    for name, text in DESCRIPTIONS.items()
]
