"""The guards on a source that shows no change, or an earlier day: what it says of people may be weeks old."""

from __future__ import annotations

from collections.abc import Iterator

from roster_pipeline.cleaning.findings import ARCHIVE, EVERYBODY, Finding
from roster_pipeline.directory_frames import SnapshotFacts
from roster_pipeline.settings.school import Guards

SOURCE_STALE, OLDER_SOURCE = "source_stale", "older_source"
OLDER = "source-older-than-before"
"""The problem of a snapshot whose data are of an earlier day than those that were read before."""
ABOUT_AGE = "source-"
"""What the problems of a snapshot begin with that concern the age of its source."""


def older_source(snapshot: SnapshotFacts) -> Iterator[Finding]:
    """Everything waits where the data are of an earlier day than those before: they would undo what happened since."""
    if OLDER in snapshot.problems:
        message = "The data are older than those of an earlier night, so nothing is changed by them."
        yield Finding(OLDER_SOURCE, message, 1, 0, people={EVERYBODY: 1})


def stale_source(snapshot: SnapshotFacts, guards: Guards) -> Iterator[Finding]:
    """Archivals wait where nothing changed for longer than is usual.

    A bundle comes byte for byte the same; an API shows no other people. A problem of the snapshot that concerns its
    age says more, and says it alone.
    """
    taken_at, unchanged_since = snapshot.taken_at, snapshot.unchanged_since
    if taken_at is None or unchanged_since is None or any(one.startswith(ABOUT_AGE) for one in snapshot.problems):
        return
    days = (taken_at - unchanged_since).days
    limit = guards.bundle_unchanged_days if snapshot.bundle else guards.api_unchanged_days
    if days >= limit:
        since = f"{days} days, since {unchanged_since:%Y-%m-%d}"
        message = (
            f"The CSV bundle has been the same, byte for byte, for {since}. Does the export still run?"
            if snapshot.bundle
            else f"Nothing has changed in the SIS for {since}. Does it still pass changes on to us?"
        )
        yield Finding(SOURCE_STALE, message, days, limit, (ARCHIVE,))
