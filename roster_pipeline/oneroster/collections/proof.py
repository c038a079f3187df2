"""The proof of completeness: what was counted while reading, and why a snapshot may be incomplete.

Absence means that somebody has left only if the snapshot is complete.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class ListingProof:
    """One collection read to its end. label: its path without ids.

    total_start and total_end: the total of the first and of the last page, None if the server sends none.
    received: records on all pages; records: distinct ones. ended_by: how we know that this was the last page.
    doubts: problems that do not count if a second reading delivers exactly the same. digest: the sum of the hashes of
    all ids, which differs between readings of different people.
    """

    path: str
    label: str = ""
    pages: int = 0
    received: int = 0
    records: int = 0
    duplicates: int = 0
    total_start: int | None = None
    total_end: int | None = None
    ended_by: str = ""
    problems: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    digest: int = 0

    def note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


@dataclass(frozen=True)
class SourceAge:
    """How old the bundles are that were read. Times are ISO 8601 in UTC.

    written: when the newest one was written, as far as its time can be trusted. hours_ahead: how far its own time was
    after the moment when it was first seen; 0 if it was not. newest: the time of the newest bundle ever read, if known.
    marks: of all bundles in the place, with the time when each was first seen (seconds since 1970). bulk: fingerprint
    of the bulk bundles, without the deltas after them.
    """

    written: str
    hours_ahead: float
    newest: str | None
    marks: dict[str, float]
    bulk: str | None = None


@dataclass(frozen=True)
class Proof:
    """Whether a pull is complete, and its counts. Totals, pages and records are of people, not of orgs.

    mode: "full" (the whole connection), "school" (per-school lists), "delta" (changes only; absence means nothing).
    complete: there is no problem. problems, notes: short slugs; notes do not make a pull incomplete. unread_roles: role
    groups ("student", "teacher", "staff", "admin", "contact") that could not be read; absence in them means nothing
    either. readings: how often the data were read, because they changed meanwhile. left_out: records of schools that
    are not wanted, and guardians if none are wanted. unlisted_orgs: people who name an org that the SIS does not list.
    respelled_orgs: people whose org is spelled in another way than its sourcedId. unclear_dates: people with a role
    date that may be one of two days. Guardians and deleted records are not counted in these three. server_time: the
    server's clock when the pull began (ISO 8601); the next delta starts there. age: of a bundle.
    """

    strategy: str
    mode: str
    version: str
    complete: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    unread_roles: tuple[str, ...]
    pages: int
    records: int
    rejected: int
    left_out: int
    duplicates: int
    total_start: int | None
    total_end: int | None
    requests: int
    retries: int
    bytes: int
    seconds: float
    readings: int
    revision: str | None
    server_time: str | None
    age: SourceAge | None = None
    unlisted_orgs: int = 0
    respelled_orgs: int = 0
    unclear_dates: int = 0

    def as_dict(self) -> dict[str, Any]:
        """All fields, JSON-serialisable."""
        return asdict(self) | {
            "problems": list(self.problems),
            "notes": list(self.notes),
            "unread_roles": list(self.unread_roles),
        }


def total_of(proofs: list[ListingProof], name: str) -> int | None:
    """The sum of a total over several listings; None if one of them has no total."""
    totals = [getattr(proof, name) for proof in proofs]
    return None if not totals or any(total is None for total in totals) else sum(totals)
