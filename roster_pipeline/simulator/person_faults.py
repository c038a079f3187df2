"""Faults in the records of people: odd, missing or wrong names, addresses, numbers, roles, relations and logins."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.messages import V11, Payload, Record
from roster_pipeline.simulator.person import CONTACT_ROLES, STUDENT, SUPPORT_STAFF, TEACHER, Person
from roster_pipeline.simulator.population import DOMAIN

ABSENT: Any = object()
"""As the new value of a member: the member is removed."""
ODD_NAMES = (
    "O'Brien", '"Bo" Lee', " Ann ", "Back\\slash", "50% | Ünder:line", "<b>Kim</b>", "李 小龙", "Zoë\u200b", "=1+1",
)  # fmt: skip
UNTIS_KINDS = ("uuid", "id", "external-user-id", "person-id", "external-person-id", "short-name", "national-id")
FEW = 50
"""`few_off` concerns every 50th person."""


@dataclass(slots=True)
class ServedUser:
    """One user object before it is sent. value: the value of the fault, as text."""

    record: Record
    person: Person
    value: str
    payload: Payload
    district: District

    @property
    def first_role(self) -> str:
        return self.person.roles[0].role if self.person.roles else ""

    def is_nth(self, kind: str, *ordinals: int) -> bool:
        """Whether this is one of the people with these ordinals (from 0) of a kind in their school."""
        if self.person.row >= self.district.layout.size:
            return False
        place = self.district.layout.place(self.person.row)
        return place.kind == kind and place.ordinal in ordinals

    def roles_with(self, **members: Any) -> Record:
        """The change that sets these members in every entry of `roles`; none for 1.1, which has no `roles`."""
        if self.payload.version == V11:
            return {}
        return {"roles": [entry | members for entry in self.record["roles"]]}


Change: TypeAlias = Callable[[ServedUser], Record]
"""Returns the members that get another value."""


def _email(user: ServedUser) -> Record:
    texts = {
        "absent": ABSENT,
        "empty": "",
        "null_text": ("NULL", "null", "none", "n/a", " ")[user.person.row % 5],
        "invalid": f"{user.person.username} at {DOMAIN}",
    }
    return {"email": texts[user.value]}


def _number_in(user: ServedUser) -> Record:
    number = user.record.get("identifier")
    moved: Record = {"identifier": ABSENT, "userMasterIdentifier": ABSENT}
    if number is None:
        return moved
    match user.value:
        case "user_ids":
            numbers = [*user.record.get("userIds", []), {"type": "localID", "identifier": number}]
            return moved | {"userIds": numbers}
        case "master":
            return moved | {"userMasterIdentifier": number}
        case "metadata":
            return moved | {"metadata": {**user.record.get("metadata", {}), "localNumber": number}}
        case _:
            return {"userMasterIdentifier": ABSENT}


def _user_ids(user: ServedUser) -> Record:
    """Seven kinds of number; `person-id` is unique only within a role, and `short-name` is not unique."""
    person = user.person
    numbers = (
        f"00000000-0000-4000-8000-{person.row:012d}", str(person.row), f"x{person.row}", person.identifier or "0",
        f"p-{person.row}", person.family_name[:3].upper(), person.state_id or "0",
    )  # fmt: skip
    return {"userIds": [{"type": k, "identifier": n} for k, n in zip(UNTIS_KINDS, numbers, strict=True)]}


def _agents(user: ServedUser) -> Record:
    """`one_sided` keeps the links of students only, `reverse` those of contacts only."""
    is_contact = user.first_role in CONTACT_ROLES
    links = user.record.get("agents", [])
    if user.value == "off" or user.value == ("one_sided" if is_contact else "reverse"):
        return {"agents": ABSENT}
    if user.value == "dangling" and not is_contact and links:
        return {"agents": [user.payload.user_ref(f"nobody-{user.person.row}"), *links]}
    return {}


def _staff_as(user: ServedUser) -> Record:
    if user.first_role not in SUPPORT_STAFF:
        return {}
    if user.payload.version == V11:
        return {"role": "administrator"}
    return user.roles_with(role="siteAdministrator")


def _role_text(user: ServedUser, change: Callable[[str], Any]) -> Record:
    if user.payload.version == V11:
        return {"role": change(user.record["role"])}
    return {"roles": [entry | {"role": change(entry["role"])} for entry in user.record["roles"]]}


def _role_missing(user: ServedUser) -> Record:
    if not user.is_nth(TEACHER, 0):
        return {}
    if user.payload.version == V11:
        return {"role": None if user.value == "null" else ""}
    return user.roles_with(role=None) if user.value == "null" else {"roles": []}


def _unknown_roles(user: ServedUser) -> Record:
    if user.first_role not in SUPPORT_STAFF:
        return {}
    return _role_text(user, lambda _: "Lunchroom" if user.person.row % 2 else "ext:officeStaff")


def _role_dates(user: ServedUser) -> Record:
    """Ended, future, current with both dates, and current with a begin only, in turn."""
    today = user.district.clock().date()
    past, future = (today - timedelta(days=30)).isoformat(), (today + timedelta(days=30)).isoformat()
    dates = ({"endDate": past}, {"beginDate": future}, {"beginDate": past, "endDate": future}, {"beginDate": past})
    return user.roles_with(**dates[user.person.row % 4])


def _orgs_empty(user: ServedUser) -> Record:
    return {"orgs" if user.payload.version == V11 else "roles": []} if user.value in ("all", user.first_role) else {}


def _enabled(user: ServedUser) -> Record:
    off = {
        "students_off": user.first_role == STUDENT,
        "few_off": user.person.row % FEW == 0,
        "always": False,
        "all_off": True,
    }
    return {"enabledUser": "false" if off[user.value] else "true"}


def _japan(user: ServedUser) -> Record:
    """Members of OneRoster Japan Profile: official names are masked, the preferred ones are real."""
    number = str(user.person.row % 40)
    kana = {"kanaGivenName": "ミラ", "kanaFamilyName": "オドゥヤ", "homeClass": "1組", "shussekiNo": number}
    return {
        "agents": ABSENT,
        "enabledUser": "true",
        "metadata": {"jp": kana},
        "givenName": "＊",
        "familyName": "＊",
        "preferredFirstName": "美良",
        "preferredLastName": "大戸",
    }


def _legacy_id(user: ServedUser) -> Record:
    """1.2 next to a 1.1 with role letters: the old id is in the metadata."""
    if user.payload.version == V11 or user.value not in ("role_prefix", "role_suffix"):
        return {}
    legacy = f"{(user.first_role or 'o')[0]}{user.person.sourced_id.removeprefix('u-')}"
    return {"metadata": {**user.record.get("metadata", {}), "ic.legacySourcedId": legacy}}


PERSON_FAULTS: dict[str, Change] = {
    "id_scheme": _legacy_id,
    "passwords": lambda user: {"password": f"secret-{user.person.row}"},
    "service_accounts": lambda user: (
        {"givenName": "Test", "familyName": "Account"} if user.is_nth("aide", 0) or user.is_nth("proctor", 0) else {}
    ),
    "nameless": lambda user: {"givenName": ABSENT, "familyName": ""} if user.is_nth(STUDENT, 1, 2) else {},
    "odd_names": lambda user: {
        "givenName": ODD_NAMES[user.person.row % len(ODD_NAMES)],
        "familyName": f" {user.person.family_name}  ",
    },
    "email": _email,
    "teacher_without_number": lambda user: (
        {"identifier": ABSENT, "userMasterIdentifier": ABSENT} if user.is_nth(TEACHER, 0) else {}
    ),
    "number_in": _number_in,
    "user_ids": _user_ids,
    "agents": _agents,
    "staff_as": _staff_as,
    "role_missing": _role_missing,
    "unknown_roles": _unknown_roles,
    "roles_case": lambda user: _role_text(
        user, lambda role: f" {role.upper()} " if user.value == "upper" else role.title()
    ),
    "role_dates": _role_dates,
    "orgs_empty": _orgs_empty,
    "enabled": _enabled,
    "japan": _japan,
}
"""Fault -> the members of a user object that it changes. Applied in this order."""
