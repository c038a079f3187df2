"""Counts people batch by batch for Test Your Information: of one school, or of each school that a SIS lists.

No person is kept.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any

from roster_pipeline.oneroster.collections.proof import SeenIds, hashes
from roster_pipeline.oneroster.collections.wanted import GROUPS, ROLES_OF, Batch
from roster_pipeline.oneroster.records.role_entries import CONTACT_ROLES
from roster_pipeline.oneroster.witness import ACTIVE_STATUSES, current
from roster_pipeline.org_tree import GONE_STATUSES, is_school, orgs_below

GROUP_OF = {role: group for group, roles in ROLES_OF.items() for role in roles}
NUMBER_FIELDS = ("identifier", "userMasterIdentifier", "username")
FIELD_NAMES = {"email": "e-mail", "username": "user name", "grades": "grades"}
"""Fields that a school may need, to their names in the test."""


class PeopleCounts:
    """Counts of one school. Memory grows with the people of the school and the ids of guardians. school: sourcedId.
    today: for roles that begin and end. include_orgs_below: orgs below the school count as it."""

    def __init__(self, school: str, today: date, *, include_orgs_below: bool = False) -> None:
        self.school = school
        self._today = today
        self._include_below = include_orgs_below
        self.start()

    def start(self) -> None:
        """Set all counts to zero. Called again if the data changed and are read again."""
        self.people: Counter[str] = Counter()
        """Active people with a current role in the school, by role group; vendors' own roles as they are. Records
        with the same name and number (or e-mail, or username) are one person."""
        self.records: Counter[str] = Counter()
        """The same, counted as records."""
        self._people_seen: dict[str, set[int]] = {}
        self.without_school = 0
        """People of the whole SIS, without guardians, who name no school at all."""
        self.accounts_stated = False
        """Whether the SIS delivers `enabledUser` for anybody of the school."""
        self.disabled: Counter[str] = Counter()
        self.not_enrolled = 0
        """Students without a running enrollment in any org of the school that they name."""
        self.fields: Counter[str] = Counter()
        """How many people of the school have a value, by the fields of `FIELD_NAMES`."""
        self.numbers: dict[str, Counter[str]] = {"student": Counter(), "staff": Counter()}
        """How many people have a number, by kind of person and by the field that holds it."""
        self.numbered: Counter[str] = Counter()
        """How many people there are, by kind of person: "student" or "staff"."""
        self.unknown_status = 0
        """People of the school with a status that is not in the standard. They are rejected, but they are not gone."""
        self.other_dates = 0
        """People whose roles in the school have ended, or have not begun."""
        self.below = 0
        """People of orgs below the school who do not name the school, if such orgs do not count as the school."""
        self._orgs: list[dict[str, Any]] = []
        self._here = frozenset((self.school,))
        self._below: frozenset[str] = frozenset()
        self.students_with_agents = 0
        self.present: dict[str, str] = {}
        """The sourcedId of somebody who is in the school, by role group."""
        self._agents: set[str] = set()
        self._contacts = SeenIds()
        self._students = SeenIds()
        self._named = SeenIds()

    def note_orgs(self, orgs: Sequence[dict[str, Any]]) -> None:
        """Add orgs that the SIS lists. All of them must come before the first user."""
        self._orgs += orgs
        below = orgs_below(self._orgs, self.school)
        self._here = frozenset((self.school, *(below if self._include_below else ())))
        self._below = below - self._here

    def count(self, users: Sequence[dict[str, Any]]) -> None:
        contacts: list[dict[str, Any]] = []
        pupils: list[dict[str, Any]] = []
        for user in users:
            entries = [entry for entry in user["roles"] if entry["org"] in self._here]
            if user["status"] not in ACTIVE_STATUSES:
                self.unknown_status += bool(entries) and user["status"] not in GONE_STATUSES
                continue
            self.without_school += bool(user["roles"]) and all(
                entry["org"] is None and entry["role"] not in CONTACT_ROLES for entry in user["roles"]
            )
            self.below += not entries and any(entry["org"] in self._below for entry in user["roles"])
            here = {entry["role"] for entry in entries if current(entry, self._today)}
            self.other_dates += bool(entries) and not here
            if not CONTACT_ROLES.isdisjoint(entry["role"] for entry in user["roles"]):
                contacts.append(user)
            groups = {GROUP_OF.get(str(role), role or "without a role") for role in here} - {"contact"}
            for group in groups:
                self._count_in_group(user, group)
            if "student" in groups:
                pupils.append(user)
        if contacts:
            self._contacts.add(hashes(contacts))
            children = [{"sourcedId": agent} for contact in contacts for agent in contact["agents"]]
            self._named.add(hashes(children))
        if pupils:
            self._students.add(hashes(pupils))

    @property
    def students_named(self) -> int:
        """How many of the school's students are named by guardians. Some SISs put the link only there."""
        return int(self._named.has(self._students.values()).sum())

    @property
    def agents(self) -> int:
        """How many people the school's students name as agents."""
        return len(self._agents)

    @property
    def agents_found(self) -> int:
        """How many of these agents were delivered as guardians."""
        if not self._agents:
            return 0
        return int(self._contacts.has(hashes([{"sourcedId": agent} for agent in self._agents])).sum())

    def shares(self, kind: str) -> dict[str, float]:
        """Fields that hold the number, with their share of the people of a kind, the most common first."""
        total = self.numbered[kind]
        return {source: count / total for source, count in self.numbers[kind].most_common()} if total else {}

    def _count_in_group(self, user: dict[str, Any], group: str) -> None:
        self.records[group] += 1
        # records of one person have the same name and the same first of number, e-mail and username
        key = next((user[field] for field in ("identifier", "email", "username") if user[field]), user["sourcedId"])
        person = hash(tuple(str(part or "").casefold() for part in (user["givenName"], user["familyName"], key)))
        seen = self._people_seen.setdefault(group, set())
        self.people[group] += person not in seen
        seen.add(person)
        self.accounts_stated = self.accounts_stated or user["enabledUser"] is not None
        self.present.setdefault(group, user["sourcedId"])
        if user["enabledUser"] is False:
            self.disabled[group] += 1
        self.fields.update(field for field in FIELD_NAMES if user[field])
        if group == "student":
            own = {entry["org"] for entry in user["roles"] if entry["role"] == "student"} & self._here
            self.not_enrolled += bool(own) and own <= set(user.get("notEnrolled", ()))
        if group == "student" and user["agents"]:
            self.students_with_agents += 1
            self._agents.update(user["agents"])
        kind = "student" if group == "student" else "staff"
        self.numbered[kind] += 1
        sources = [field for field in NUMBER_FIELDS if user[field]]
        sources += [f"metadata:{key}" for key in user["metadata"]]
        sources += {f"userIds:{entry['type']}" for entry in user["userIds"] if entry["type"]}
        self.numbers[kind].update(sources)


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
        If the SIS calls none of its orgs a school, all orgs are listed."""
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
