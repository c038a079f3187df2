"""What servers say about people that is odd, missing or untrue: names, addresses, numbers, roles, relations, logins."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.payload import V11, Payload, Record
from roster_pipeline.simulator.person import CONTACT_ROLES, STUDENT, TEACHER, Person

ODD_NAMES = (
    "O'Brien",
    '"Bo" Lee',
    " Ann ",
    "Back\\slash",
    "50% | Ünder:line",
    "<b>Kim</b>",
    "李 小龙",
    "Zoë\u200b",
    "=1+1",
)
STAFF = ("aide", "proctor", "counselor")
UNTIS_KINDS = ("uuid", "id", "external-user-id", "person-id", "external-person-id", "short-name", "national-id")
FEW = 50
"""One of so many is disabled with `enabled=few_off`."""


@dataclass(slots=True)
class Bent:
    """One user object being bent: the record to change, whom it is about, and the fault's value as text."""

    record: Record
    person: Person
    value: str
    payload: Payload
    district: District

    @property
    def first_role(self) -> str:
        """The first (1.2) role of the person."""
        return self.person.roles[0].role if self.person.roles else ""

    def is_nth(self, kind: str, *ordinals: int) -> bool:
        """Whether this is one of the first so-many people of a kind in their school."""
        if self.person.row >= self.district.layout.size:
            return False
        place = self.district.layout.place(self.person.row)
        return place.kind == kind and place.ordinal in ordinals


def _passwords(bent: Bent) -> None:
    bent.record["password"] = f"secret-{bent.person.row}"


def _service_accounts(bent: Bent) -> None:
    if bent.is_nth("aide", 0) or bent.is_nth("proctor", 0):
        bent.record |= {"givenName": "Test", "familyName": "Account"}


def _nameless(bent: Bent) -> None:
    if bent.is_nth(STUDENT, 1, 2):
        bent.record.pop("givenName", None)
        bent.record["familyName"] = ""


def _odd_names(bent: Bent) -> None:
    bent.record["givenName"] = ODD_NAMES[bent.person.row % len(ODD_NAMES)]
    bent.record["familyName"] = f" {bent.person.family_name}  "


def _long_names(bent: Bent) -> None:
    bent.record["familyName"] = bent.person.family_name * 60


def _email(bent: Bent) -> None:
    match bent.value:
        case "absent":
            bent.record.pop("email", None)
        case "empty":
            bent.record["email"] = ""
        case "null_text":
            bent.record["email"] = ("NULL", "null", "none", "n/a", " ")[bent.person.row % 5]
        case "shared":
            bent.record["email"] = f"office@{bent.district.domain}"
        case "upper":
            bent.record["email"] = str(bent.record.get("email", "")).upper()
        case _:
            bent.record["email"] = f"{bent.person.username} at {bent.district.domain}"


def _username(bent: Bent) -> None:
    bent.record.pop("username", None)
    if bent.value == "empty":
        bent.record["username"] = ""


def _teacher_without_number(bent: Bent) -> None:
    if bent.is_nth(TEACHER, 0):
        bent.record.pop("identifier", None)
        bent.record.pop("userMasterIdentifier", None)


def _number_in(bent: Bent) -> None:
    number = bent.record.pop("identifier", None)
    bent.record.pop("userMasterIdentifier", None)
    if number is None:
        return
    match bent.value:
        case "user_ids":
            bent.record["userIds"] = [*bent.record.get("userIds", []), {"type": "localID", "identifier": number}]
        case "master":
            bent.record["userMasterIdentifier"] = number
        case "metadata":
            bent.record["metadata"] = {**bent.record.get("metadata", {}), "localNumber": number}
        case _:
            bent.record["identifier"] = number


def _user_ids(bent: Bent) -> None:
    """Seven kinds of number; `person-id` is unique only within a role, and `short-name` not at all."""
    person = bent.person
    numbers = (
        f"00000000-0000-4000-8000-{person.row:012d}", str(person.row), f"x{person.row}", person.identifier or "0",
        f"p-{person.row}", person.family_name[:3].upper(), person.state_id or "0",
    )  # fmt: skip
    bent.record["userIds"] = [{"type": k, "identifier": n} for k, n in zip(UNTIS_KINDS, numbers, strict=True)]


def _agents(bent: Bent) -> None:
    """`one_sided` keeps the links of students only, `reverse` those of contacts only."""
    is_contact = bent.first_role in CONTACT_ROLES
    if (bent.value in ("off", "one_sided") and (bent.value == "off" or is_contact)) or (
        bent.value == "reverse" and not is_contact
    ):
        bent.record.pop("agents", None)
    elif bent.value == "dangling" and not is_contact and "agents" in bent.record:
        bent.record["agents"] = [bent.payload.user_ref(f"nobody-{bent.person.row}"), *bent.record["agents"]]
    elif bent.value == "teacher" and bent.first_role == STUDENT:
        teacher = bent.payload.id_of(bent.district.layout.index(0, TEACHER, 0))
        bent.record["agents"] = [*bent.record.get("agents", []), bent.payload.user_ref(teacher)]


def _staff_as(bent: Bent) -> None:
    if bent.first_role not in STAFF:
        return
    if bent.payload.version == V11:
        bent.record["role"] = "administrator"
    elif bent.value == "both":
        first = bent.record["roles"][0]
        bent.record["roles"] = [*bent.record["roles"], first | {"role": "siteAdministrator", "roleType": "secondary"}]
    else:
        bent.record["roles"] = [entry | {"role": "siteAdministrator"} for entry in bent.record["roles"]]


def _set_role_text(bent: Bent, change: Callable[[str], Any]) -> None:
    if "role" in bent.record:
        bent.record["role"] = change(bent.record["role"])
    if "roles" in bent.record:
        bent.record["roles"] = [entry | {"role": change(entry["role"])} for entry in bent.record["roles"]]


def _role_missing(bent: Bent) -> None:
    if not bent.is_nth(TEACHER, 0):
        return
    if bent.payload.version == V11:
        bent.record["role"] = None if bent.value == "null" else ""
    elif bent.value == "null":
        _set_role_text(bent, lambda _: None)
    else:
        bent.record["roles"] = []


def _unknown_roles(bent: Bent) -> None:
    if bent.first_role in STAFF:
        _set_role_text(bent, lambda _: "Lunchroom" if bent.person.row % 2 else "ext:officeStaff")


def _roles_case(bent: Bent) -> None:
    _set_role_text(bent, lambda role: f" {role.upper()} " if bent.value == "upper" else role.title())


def _role_dates(bent: Bent) -> None:
    """Past end, future begin, both in order, only a begin, in turn."""
    if bent.payload.version == V11:
        return
    today = bent.district.clock().date()
    past, future = (today - timedelta(days=30)).isoformat(), (today + timedelta(days=30)).isoformat()
    dates = ({"endDate": past}, {"beginDate": future}, {"beginDate": past, "endDate": future}, {"beginDate": past})
    bent.record["roles"] = [entry | dates[bent.person.row % 4] for entry in bent.record["roles"]]


def _two_primaries(bent: Bent) -> None:
    if bent.payload.version != V11:
        bent.record["roles"] = [entry | {"roleType": "primary"} for entry in bent.record["roles"]]


def _orgs_empty(bent: Bent) -> None:
    if bent.value == "few" and bent.person.row % FEW:
        return
    if bent.value not in ("all", "few") and bent.first_role != bent.value:
        return
    bent.record["orgs" if bent.payload.version == V11 else "roles"] = []


def _enabled(bent: Bent) -> None:
    off = (bent.value == "students_off" and bent.first_role == STUDENT) or (
        bent.value == "few_off" and bent.person.row % FEW == 0
    )
    bent.record["enabledUser"] = "false" if off or bent.value == "all_off" else "true"


def _graduates(bent: Bent) -> None:
    if bent.value == "GD" and bent.record.get("grades") in (["12"], ["08"], ["05"]):
        bent.record["grades"] = ["GD"]


def _japan(bent: Bent) -> None:
    bent.record.pop("agents", None)
    bent.record["enabledUser"] = "true"
    bent.record["metadata"] = {
        "jp": {
            "kanaGivenName": "ミラ",
            "kanaFamilyName": "オドゥヤ",
            "homeClass": "1組",
            "shussekiNo": str(bent.person.row % 40),
        }
    }
    bent.record |= {"givenName": "＊", "familyName": "＊", "preferredFirstName": "美良", "preferredLastName": "大戸"}


def _legacy_id(bent: Bent) -> None:
    """1.2 beside a 1.1 with role letters: the old id is in the metadata."""
    if bent.payload.version != V11 and bent.value in ("role_prefix", "role_suffix"):
        legacy = f"{(bent.first_role or 'o')[0]}{bent.person.sourced_id.removeprefix('u-')}"
        bent.record["metadata"] = {**bent.record.get("metadata", {}), "ic.legacySourcedId": legacy}


PERSON_BENDS: dict[str, Callable[[Bent], None]] = {
    "id_scheme": _legacy_id,
    "passwords": _passwords,
    "service_accounts": _service_accounts,
    "nameless": _nameless,
    "odd_names": _odd_names,
    "long_names": _long_names,
    "email": _email,
    "username": _username,
    "teacher_without_number": _teacher_without_number,
    "number_in": _number_in,
    "user_ids": _user_ids,
    "agents": _agents,
    "staff_as": _staff_as,
    "role_missing": _role_missing,
    "unknown_roles": _unknown_roles,
    "roles_case": _roles_case,
    "role_dates": _role_dates,
    "two_primaries": _two_primaries,
    "orgs_empty": _orgs_empty,
    "enabled": _enabled,
    "graduates": _graduates,
    "japan": _japan,
}
"""Fault -> what it does to a user object."""
