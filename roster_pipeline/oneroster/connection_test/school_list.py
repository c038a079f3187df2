"""The schools that a SIS lists, each with how many people of each role it has. Counts only, no people."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from typing import Any

from roster_pipeline.oneroster.collections.reading import GROUPS, Batch
from roster_pipeline.oneroster.connection_test.people_counts import GROUP_OF
from roster_pipeline.oneroster.witness import ACTIVE_STATUSES, current
from roster_pipeline.org_tree import GONE_STATUSES, is_school


class SchoolList:
    """Gets all batches of a SIS. Memory grows with its orgs. today: for roles that begin and end."""

    def __init__(self, today: date) -> None:
        self._today = today
        self.start()

    def start(self) -> None:
        """Begin again, because the data changed while they were read."""
        self.counted = False
        self._orgs: dict[str, dict[str, Any]] = {}
        self._people: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def take(self, batch: Batch) -> None:
        """Add one batch; orgs come before users."""
        if batch.kind == "org":
            self._orgs |= {org["sourcedId"]: org for org in batch.records}
            return
        self.counted = True
        for user in batch.records:
            if user["status"] in ACTIVE_STATUSES:
                here = [entry for entry in user["roles"] if current(entry, self._today)]
                for org, group in {(entry["org"], GROUP_OF.get(str(entry["role"]))) for entry in here}:
                    if org is not None and group in GROUPS:
                        self._people[org][group] += 1

    def schools(self) -> list[dict[str, Any]]:
        """id, identifier, name and people of each school, by name. people: role group to count; None before counting.

        Orgs that are not schools come too if the SIS calls none of its orgs a school.
        """
        there = [org for org in self._orgs.values() if org["status"] not in GONE_STATUSES]
        chosen = [org for org in there if is_school(org)] or there
        return [
            {
                "id": org["sourcedId"],
                "identifier": org["identifier"],
                "name": org["name"],
                "people": {role: self._people[org["sourcedId"]][role] for role in GROUPS} if self.counted else None,
            }
            for org in sorted(chosen, key=lambda org: ((org["name"] or "").casefold(), org["sourcedId"]))
        ]
