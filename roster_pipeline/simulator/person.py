"""What the simulated SIS knows of one person, independent of any version of the standard.

A `Person` is one record, as 1.2 sees it: one sourcedId with a list of roles. The vocabulary of roles is 1.2's;
`LEGACY_ROLES` says what 1.1 calls them. Tuples, not classes with dictionaries: a district of a million people makes
and drops them by the thousand.
"""

from collections.abc import Mapping
from typing import NamedTuple

STUDENT = "student"
TEACHER = "teacher"
CONTACT_ROLES = ("parent", "guardian", "relative")
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
"""1.2 role -> 1.1 role, where they differ. The standard gives no rule for `counselor`; `aide` is the nearest."""


class Role(NamedTuple):
    """One entry of `roles`: what the person is in one org. `org` empty: the person belongs to no org any more."""

    role: str
    org: str
    primary: bool = True
    begin: str | None = None
    end: str | None = None


class Person(NamedTuple):
    """One record of the SIS. `row` is its place in the district and never changes; `agents` are rows of other people.

    `agent_ids` are agents given by sourcedId as they stand (a test may point to nobody). `agent_members`: further
    members of the entry of an agent, by sourcedId, as some vendors have them. Dates are ISO text. Empty text means
    absent.
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
