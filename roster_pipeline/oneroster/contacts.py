"""Guardians that no collection delivers, fetched one by one through the students' links."""

from __future__ import annotations

from collections.abc import Iterator

from roster_pipeline.oneroster.reading import Batch, Reading
from roster_pipeline.oneroster.role_entries import CONTACT_ROLES

AT_ONCE = 50
"""Ids asked for before their records are handed on; if none of the first lot resolves, the SIS publishes none."""


def single_guardians(reading: Reading) -> Iterator[Batch]:
    """Where guardians are wanted and no listing had any: `/users/{id}` for each agent, within bounds.

    An agent that does not resolve is counted in a note; it is no error, and no reason to remove a contact.
    """
    if not reading.wanted.contacts or not CONTACT_ROLES.isdisjoint(reading.roles_seen):
        return
    agents = sorted(reading.agents)
    most = reading.client.endpoint.limits.single_users
    if not agents or len(agents) > most:
        reading.unread.add("contact")
        reading.notes.append("no-agents" if not agents else "too-many-agents")
        return
    missing = [agent for agent, seen in zip(agents, reading.has_seen(agents), strict=True) if not seen]
    found = unresolved = unanswered = 0
    for start in range(0, len(missing), AT_ONCE):
        answers = reading.client.user_answers(missing[start : start + AT_ONCE])
        unresolved += sum(answer.state == "missing" for answer in answers.values())
        unanswered += sum(answer.state == "unanswered" for answer in answers.values())
        users = [
            answer.user
            for answer in answers.values()
            if answer.user is not None and any(entry["role"] in CONTACT_ROLES for entry in answer.user["roles"])
        ]
        found += len(users)
        if users:
            yield reading.extra_users(users)
        if not found:
            break
    reading.strategy += "+agents" if found else ""
    if not found or unanswered:
        reading.unread.add("contact")
    if unresolved:
        reading.notes.append("agents-unresolved")
    if unanswered:
        reading.notes.append("agents-unanswered")
