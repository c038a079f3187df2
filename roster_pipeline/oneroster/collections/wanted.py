"""What a pull is asked for, and what it brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from roster_pipeline.vocabulary import ROLE_ORDER

LISTED = {"student": "/students", "teacher": "/teachers"}
"""Role groups with a collection of their own; all others are only in `/users`."""
GROUPS = ROLE_ORDER
"""Role groups. Guardians are one more, wanted by `Wanted.contacts`."""
ROLES_OF = {
    "student": ("student",),
    "teacher": ("teacher",),
    "staff": ("aide", "proctor", "counselor"),
    "admin": ("administrator", "siteAdministrator", "districtAdministrator", "principal", "systemAdministrator"),
    "contact": ("guardian", "parent", "relative"),
}

Fill = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Wanted:
    """The parts that a pull must read.

    school_ids: None for the whole connection; else the lists of these schools are used, if they can be trusted.
    contacts: with guardians. since: only what changed after this instant (with a time zone), if the server's filter
    works. roles: the role groups that are rostered, None for all; others may be unreadable in a complete snapshot.
    of_schools: School IDs (sourcedId or identifier) whose lists are read if a SIS lists people only by school; empty
    for all. enrollments: set `notEnrolled` of each student: those of their schools in which they have no current
    enrollment. enrollments_if_there: the same for a bundle, which is complete without enrollments too. single_contacts:
    also fetch guardians that are in no list. everybody_too: with `since`, read everybody, and also ask for the changes.
    """

    school_ids: tuple[str, ...] | None = None
    contacts: bool = False
    since: datetime | None = None
    roles: frozenset[str] | None = None
    of_schools: tuple[str, ...] = ()
    enrollments: bool = False
    enrollments_if_there: bool = False
    single_contacts: bool = True
    everybody_too: bool = False

    def wants(self, group: str) -> bool:
        return self.contacts if group == "contact" else self.roles is None or group in self.roles


@dataclass(frozen=True)
class Batch:
    """Normalised records and rejects of one page.

    marks: for each record by which it is recognised in the next pull, None if it is not; empty if none is. known: the
    places of the marks of further records, which are stored already (`KnownUsers`).
    """

    kind: Literal["org", "user"]
    records: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    marks: Sequence[bytes | None] = ()
    known: Sequence[int] = ()
