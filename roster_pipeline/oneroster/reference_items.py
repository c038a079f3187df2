"""What Test Your Information says of orgs, dates and rows that were not written as the standard says."""

from __future__ import annotations

from collections.abc import Iterator

from roster_pipeline.oneroster.census import Census
from roster_pipeline.oneroster.check_item import CheckItem
from roster_pipeline.oneroster.proof import Proof


def reference_items(census: Census, proof: Proof) -> Iterator[CheckItem]:
    """Information only: nobody is lost by any of it, and somebody may be missing."""
    if proof.unlisted_orgs:
        yield CheckItem(
            "Orgs",
            None,
            f"{people(proof.unlisted_orgs, 'name')} an org that the SIS does not list",
            "They are in no school for us, and nobody is archived for that. Share all schools with this application, "
            "and let users name their school by its sourcedId.",
        )
    if proof.respelled_orgs:
        yield CheckItem(
            "Spelling of orgs",
            None,
            f"{people(proof.respelled_orgs, 'name')} an org in another way than by its sourcedId; it was read",
        )
    if census.below:
        yield CheckItem(
            "Orgs below",
            None,
            f"{people(census.below, 'belong')} to orgs below this school, such as a campus, and not to the school",
            "They do not count. If they are the school's people, let orgs below the school count as the school.",
        )
    if proof.unclear_dates:
        yield CheckItem(
            "Dates of roles",
            None,
            f"{people(proof.unclear_dates, 'have')} a role with a date that cannot be read; it may have ended",
            "Such a role counts as running. Let the SIS write dates as YYYY-MM-DD.",
        )


def people(count: int, verb: str) -> str:
    """So many people and what they do: 1 person names, 2 people name."""
    if count == 1:
        return f"1 person {'has' if verb == 'have' else verb + 's'}"
    return f"{count} people {verb}"
