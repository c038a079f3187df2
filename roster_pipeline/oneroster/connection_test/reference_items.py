"""What Test Your Information says of orgs and dates that are not written as the standard says."""

from __future__ import annotations

from collections.abc import Iterator

from roster_pipeline.completeness_messages import noticed
from roster_pipeline.oneroster.collections.proof import Proof
from roster_pipeline.oneroster.connection_test.item import CheckItem
from roster_pipeline.oneroster.connection_test.people_counts import PeopleCounts


def reference_items(census: PeopleCounts, proof: Proof) -> Iterator[CheckItem]:
    """Information only: nobody is archived for any of it, and somebody may be missing."""
    items = (
        (
            "Orgs",
            noticed(unlisted=proof.unlisted_orgs),
            "They are in no school for us, and nobody is archived for that. Share all schools with this application, "
            "and let users name their school by its sourcedId.",
        ),
        ("Spelling of orgs", noticed(respelled=proof.respelled_orgs), ""),
        (
            "Orgs below",
            noticed(below=census.below),
            "They do not count. If they are the school's people, let orgs below the school count as the school.",
        ),
        (
            "Dates of roles",
            noticed(unclear=proof.unclear_dates),
            "Such a role counts as running. Let the SIS write dates as YYYY-MM-DD.",
        ),
    )
    for name, texts, remedy in items:
        yield from (CheckItem(name, None, detail, remedy) for detail in texts)
