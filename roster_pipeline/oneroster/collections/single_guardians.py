"""Guardians that no collection delivers, fetched one by one by the ids in students' `agents`."""

from __future__ import annotations

from collections.abc import Iterator

from roster_pipeline.oneroster.collections.reading import NOT_READABLE, Batch, Reading
from roster_pipeline.oneroster.paging.listing import Listing
from roster_pipeline.oneroster.records.role_entries import CONTACT_ROLES

AT_FIRST = 5
"""First requests, to see whether the server answers for single users; if it answers none, we send no more."""
AT_ONCE = 50
"""Ids per batch. If none of the first lot exists, the SIS has no guardians to offer."""


def single_guardians(reading: Reading) -> Iterator[Batch]:
    """If guardians are wanted and no listing had any: `/users/{id}` for each agent, up to a limit.

    Agents that do not exist are noted. That is not an error, and no reason to remove a contact.
    """
    wanted = reading.wanted
    if not wanted.contacts or not wanted.single_contacts or not CONTACT_ROLES.isdisjoint(reading.roles_seen):
        return
    schools = wanted.school_ids or ()
    if schools and len(reading.unknown_schools()) == len(schools):
        return  # none of the schools exists, so there are no students
    agents = sorted(reading.agents)
    most = reading.client.endpoint.limits.single_users
    if not agents or len(agents) > most:
        reading.unread.add("contact")
        reading.notes.append("no-agents" if not agents else "too-many-agents")
        return
    missing = [agent for agent, seen in zip(agents, reading.has_seen(agents), strict=True) if not seen]
    everybody = _everybody(reading, len(missing)) if reading.mode == "school" else None
    if everybody is not None:
        reading.strategy += "+users"
        yield from reading.users(everybody)
        return
    found = unresolved = unanswered = 0
    for lot in _lots(missing):
        answers = reading.client.user_answers(lot)
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
        if not found and (unanswered == len(lot) or lot[0] != missing[0]):
            break
    reading.strategy += "+agents" if found else ""
    reading.unread.discard("contact")
    if not found or unanswered:
        reading.unread.add("contact")
    if unresolved:
        reading.notes.append("agents-unresolved")
    if unanswered:
        reading.notes.append("agents-unanswered")


def _everybody(reading: Reading, requests: int) -> Listing | None:
    """All of `/users`, opened, where that takes fewer requests than fetching the guardians one by one."""
    if requests <= AT_FIRST:
        return None
    listing = reading.listing("/users", "users")
    try:
        listing.open()
    except NOT_READABLE:
        return None
    pages = listing.pages_announced
    return listing if pages is not None and pages < requests else None


def _lots(agents: list[str]) -> Iterator[list[str]]:
    """First AT_FIRST ids, then the rest of the first AT_ONCE, then AT_ONCE at a time."""
    yield agents[:AT_FIRST]
    yield from (lot for lot in (agents[AT_FIRST:AT_ONCE],) if lot)
    yield from (agents[start : start + AT_ONCE] for start in range(AT_ONCE, len(agents), AT_ONCE))
