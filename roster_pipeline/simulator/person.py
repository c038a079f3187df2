"""What the simulated SIS knows of one person, independent of the version of the standard.

A `Person` is one record as in 1.2: one sourcedId with a list of roles in 1.2's vocabulary; `LEGACY_ROLES` has 1.1's
words. They are tuples because a district of a million people makes and drops them by the thousand.
"""

from collections.abc import Mapping
from typing import NamedTuple

STUDENT = "student"
TEACHER = "teacher"
CONTACT_ROLES = ("parent", "guardian", "relative")
SUPPORT_STAFF = ("aide", "proctor", "counselor")
ROLES = (
    STUDENT, TEACHER, "aide", "counselor", "proctor", "principal", "siteAdministrator", "districtAdministrator",
    "systemAdministrator", *CONTACT_ROLES,
)  # fmt: skip

LEGACY_ROLES: Mapping[str, str] = {
    "counselor": "aide",
    "principal": "administrator",
    "siteAdministrator": "administrator",
    "districtAdministrator": "administrator",
    "systemAdministrator": "administrator",
}
"""1.2 role -> 1.1 role, where they differ. The standard has no rule for `counselor`; `aide` is the nearest."""


class Role(NamedTuple):
    """One entry of `roles`. An empty `org` means that the person no longer belongs to an org."""

    role: str
    org: str
    primary: bool = True
    begin: str | None = None
    end: str | None = None


class Person(NamedTuple):
    """One record of the SIS. Dates are ISO text; an empty text means that the SIS has no value.

    row: its place in the district, which never changes. agents: rows of other people. agent_ids: more agents, by
    sourcedId, which need not exist. agent_members: sourcedId of an agent -> more members of its entry, as some vendors
    have them.
    """

    row: int
    sourced_id: str
    status: str
    modified: str
    given_name: str
    family_name: str
    roles: tuple[Role, ...]
    middle_name: str = ""
    preferred_first_name: str = ""
    preferred_middle_name: str = ""
    preferred_last_name: str = ""
    username: str = ""
    email: str = ""
    sms: str = ""
    phone: str = ""
    identifier: str = ""
    state_id: str = ""
    enabled: bool = True
    agents: tuple[int, ...] = ()
    agent_ids: tuple[str, ...] = ()
    grades: tuple[str, ...] = ()
    metadata: Mapping[str, object] | None = None
    agent_members: Mapping[str, Mapping[str, object]] | None = None

    def has_role(self, role: str) -> bool:
        """Whether any entry of `roles`, ended or not, has this role."""
        return any(entry.role == role for entry in self.roles)

    def is_in(self, org: str) -> bool:
        """Whether any entry of `roles`, ended or not, points to this org."""
        return any(entry.org == org for entry in self.roles)
