"""The proof of completeness: what was counted while reading, and why a snapshot may not be the whole truth.

Only a complete snapshot lets anybody conclude from somebody's absence.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class ListingProof:
    """One collection read to its end. label: its path without ids.

    total_start and total_end: the total of the first and of the last page, None where the server sends none.
    received: records on all pages; records: distinct ones. ended_by: how we know that nothing more comes.
    doubts: problems that are none if the collection says exactly the same when it is read again. digest: the sum of the
    hashes of all ids, which tells two readings of different people apart.
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

    written: when the newest that was read counts as written. hours_ahead: so far its own time lay ahead of the moment
    at which it was first seen; 0 for none. newest: the time of the newest ever read, as far as it can be believed.
    marks: of all bundles that lie there, with when each was seen first (seconds since 1970). bulk: fingerprint of the
    bundles that say everything, without the deltas above them.
    """

    written: str
    hours_ahead: float
    newest: str | None
    marks: dict[str, float]
    bulk: str | None = None


@dataclass(frozen=True)
class Proof:
    """What a pull is worth. Totals, pages and records are of the people's collections together, not of orgs.

    mode: "full" (the whole connection), "school" (per-school lists), "delta" (changes only; absence means nothing).
    complete: everything agrees. problems: why not, as short slugs. notes: what was found out and is no problem.
    unread_roles: role groups ("student", "teacher", "staff", "admin", "contact") that could not be read; absence in
    them means nothing either. readings: how often the data had to be read because they moved.
    left_out: records of other schools than those wanted, and guardians where none are wanted.
    unlisted_orgs: people who name an org that the SIS does not list; respelled_orgs: whose org was written in another
    way than its sourcedId, and was read. unclear_dates: people with a date of a role that may be one day or another.
    Guardians and deleted records do not count.
    server_time: the server's clock when the pull began (ISO 8601): where the next delta starts. age: of a bundle.
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
    """The sum of a total over several listings, None if any of them has none."""
    totals = [getattr(proof, name) for proof in proofs]
    return None if not totals or any(total is None for total in totals) else sum(totals)
