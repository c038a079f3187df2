"""Counting one school's people while they stream by: what "Test Your Information" shows, without keeping anybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

from roster_pipeline.oneroster.collections.reading import ROLES_OF
from roster_pipeline.oneroster.paging.seen_ids import SeenIds, hashes
from roster_pipeline.oneroster.records.role_entries import CONTACT_ROLES
from roster_pipeline.oneroster.witness import ACTIVE_STATUSES, current
from roster_pipeline.org_tree import GONE_STATUSES, orgs_below

GROUP_OF = {role: group for group, roles in ROLES_OF.items() for role in roles}
NUMBER_FIELDS = ("identifier", "userMasterIdentifier", "username")
TOLD_FIELDS = {"email": "e-mail", "username": "user name", "grades": "grades"}
"""Fields that a school may miss, and what to call them."""


class PeopleCounts:
    """Counts of one school. Memory grows with the school's guardians' ids, not with the district."""

    def __init__(self, school: str, today: date, *, include_orgs_below: bool = False) -> None:
        self._school = school
        self._today = today
        self._include_below = include_orgs_below
        self.start()

    def start(self) -> None:
        """Count from nothing, also where data that moved are read again."""
        self.people: Counter[str] = Counter()
        """Active people with a current role in the school, by role group; vendors' own roles under their name. Records
        of one name and one number (or e-mail, or username) are one person."""
        self.records: Counter[str] = Counter()
        """The same, as records."""
        self._known: dict[str, set[int]] = {}
        self.without_school = 0
        """People of the whole SIS, guardians left out, who name no school at all."""
        self.accounts_told = False
        """Whether the SIS says of anybody here if the account is enabled."""
        self.disabled: Counter[str] = Counter()
        self.not_enrolled = 0
        """Students of whom the enrollments that were read have none that runs in any org of the school they name."""
        self.fields: Counter[str] = Counter()
        """How many people of the school have a value, by the fields of `TOLD_FIELDS`."""
        self.numbers: dict[str, Counter[str]] = {"student": Counter(), "staff": Counter()}
        """How many have a number, by kind of person and by where it stands."""
        self.numbered: Counter[str] = Counter()
        self.unknown_status = 0
        """People of the school whose status is none of the standard's: they are rejected, and not gone."""
        self.other_dates = 0
        """People whose roles in the school have ended, or have not begun."""
        self.below = 0
        """People of orgs below the school who do not name the school, where those do not count as the school."""
        self._orgs: list[dict[str, Any]] = []
        self._here = frozenset((self._school,))
        self._below: frozenset[str] = frozenset()
        self.guardians = 0
        self.students_with_agents = 0
        self.present: str | None = None
        self._agents: set[str] = set()
        self._contacts = SeenIds()
        self._students = SeenIds()
        self._named = SeenIds()

    def note_orgs(self, orgs: Sequence[dict[str, Any]]) -> None:
        """Take in orgs that the SIS lists, all of them before the first user."""
        self._orgs += orgs
        below = orgs_below(self._orgs, self._school)
        self._here = frozenset((self._school, *(below if self._include_below else ())))
        self._below = below - self._here

    def count(self, users: Sequence[dict[str, Any]]) -> None:
        """Take one batch in."""
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
                self.guardians += 1
                contacts.append(user)
            groups = {GROUP_OF.get(str(role), str(role)) for role in here} - {"contact"}
            for group in groups:
                self._one(user, group)
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
        """How many of the school's students are named by guardians: the link may stand on that side alone."""
        return int(self._named.has(self._students.values()).sum())

    @property
    def agents(self) -> int:
        """How many people the school's students name as agents."""
        return len(self._agents)

    @property
    def agents_found(self) -> int:
        """How many of them are guardians that were delivered."""
        if not self._agents:
            return 0
        return int(self._contacts.has(hashes([{"sourcedId": agent} for agent in self._agents])).sum())

    def shares(self, kind: str) -> dict[str, float]:
        """Where the number stands, as shares of the people of a kind ("student" or "staff"), the most common first."""
        total = self.numbered[kind]
        return {source: count / total for source, count in self.numbers[kind].most_common()} if total else {}

    def _one(self, user: dict[str, Any], group: str) -> None:
        self.records[group] += 1
        person = _person(user)
        known = self._known.setdefault(group, set())
        self.people[group] += person not in known
        known.add(person)
        self.accounts_told = self.accounts_told or user["enabledUser"] is not None
        self.present = self.present or user["sourcedId"]
        if user["enabledUser"] is False:
            self.disabled[group] += 1
        self.fields.update(field for field in TOLD_FIELDS if user[field])
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


def _person(user: dict[str, Any]) -> int:
    """A hash that records of one human share: of the name and the first of number, e-mail and username."""
    key = next((user[field] for field in ("identifier", "email", "username") if user[field]), user["sourcedId"])
    return hash(tuple(str(part or "").casefold() for part in (user["givenName"], user["familyName"], key)))
