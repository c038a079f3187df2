"""The guard over references: known people who name an org that the SIS does not list, or that is not a school.

They stay themselves, whatever their number. Many of them say that references of this snapshot are not to be trusted,
those of others included, so nobody is archived by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from roster_pipeline.cleaning.findings import ARCHIVE, Finding
from roster_pipeline.planning.plan import Plan
from roster_pipeline.settings.school import Guards
from roster_pipeline.vocabulary import people_of

FEW = 2
"""So many people are a mistake in their records, whatever share of a small role they are."""
REASON = "unknown_org"
"""The reason of their rows."""


def unknown_orgs(plan: Plan, managed: Mapping[str, int], guards: Guards) -> Iterator[Finding]:
    """managed: active members that the sync looks after, by role."""
    unknown = plan.rows.loc[plan.rows["reason"] == REASON, "role"].value_counts()
    for role, count in unknown.items():
        people, there = int(count), managed.get(str(role), 0)
        if people > FEW and people > guards.unknown_org_share * there:
            message = (
                f"{people} of {people_of(str(role), there)} in the directory name an org that the SIS does not list, "
                "or one that is not a school. Check what the SIS shares with us and how its users name their schools."
            )
            share = people / max(there, people)
            yield Finding("unknown_orgs", message, share, guards.unknown_org_share, (ARCHIVE,))
