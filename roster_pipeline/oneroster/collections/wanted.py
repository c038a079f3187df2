"""The input and the batches of a pull, and the schools that the records of a first page name."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from roster_pipeline.oneroster.records.known_users import KnownUser
from roster_pipeline.oneroster.records.role_entries import CONTACT_ROLES, without_contacts
from roster_pipeline.oneroster.records.user_records import UserReader
from roster_pipeline.oneroster.records.usual_users import ReadUser
from roster_pipeline.org_tree import GONE_STATUSES
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

    school_ids: None for the whole connection; else School IDs (sourcedId or identifier) of the schools whose lists are
    used, if they can be trusted. contacts: with guardians. since: only what changed after this instant (with a time
    zone), if the server's filter works. roles: the role groups that are rostered, None for all; others may be
    unreadable in a complete snapshot. of_schools: School IDs whose lists are read if a SIS lists people only by school;
    empty for all. enrollments: set `notEnrolled` of each student: those of their schools in which they have no current
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

    def kept(self, users: list[dict[str, Any]], own: Collection[str], *, gone: bool = False) -> list[dict[str, Any]]:
        """The users without guardians, if none are wanted; and only the people of the schools, in a pull for some
        schools. Guardians of all schools are kept, because a student's link decides whether they are needed.

        own: the orgs of the schools. gone: keep everybody who is marked as gone.
        """
        kept = users
        if self.school_ids is not None:
            kept = [
                user
                for user in users
                if (gone and user["status"] in GONE_STATUSES)
                or any(entry["org"] in own or entry["role"] in CONTACT_ROLES for entry in user["roles"])
            ]
        return kept if self.contacts else without_contacts(kept)


@dataclass(frozen=True)
class Batch:
    """Normalised records and rejects of one page.

    marks: for each record the mark that recognises it in the next pull, or None; empty if no record has one. known: the
    places of the marks of records that are stored already (`KnownUsers`).
    """

    kind: Literal["org", "user"]
    records: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    marks: Sequence[bytes | None] = ()
    known: Sequence[int] = ()


def sampled(records: list[Any]) -> list[list[dict[str, str | None]]]:
    """Role entries of active records that are, or may be, students and teachers."""
    sample: list[list[dict[str, str | None]]] = []
    for record in records:
        if not isinstance(record, dict) or str(record.get("status") or "active").lower() in GONE_STATUSES:
            continue
        entries = entries_of(record)
        if entries is None:
            continue
        if not entries or any(entry["role"] in LISTED or entry["role"] is None for entry in entries):
            sample.append(entries)
    return sample


def naming_orgs(records: list[Any]) -> list[bool]:
    """For each record of such a sample, whether it names an org. All known users do."""
    known = [record for record in records if type(record) is KnownUser]
    others = [record for record in records if type(record) is not KnownUser] if known else records
    naming = [any(entry["org"] is not None for entry in entries) for entries in sampled(others)]
    return naming + [True for user in known if user.is_active((*LISTED, None))]


def entries_of(record: Any) -> list[dict[str, str | None]] | None:
    """Role entries of a raw record, as its reader reads them; None if it is rejected."""
    user = record if type(record) is ReadUser else UserReader().one(record, [])
    return None if user is None else list(user["roles"])
