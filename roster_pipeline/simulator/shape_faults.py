"""How servers spell things in JSON that the standard spells otherwise: nulls, types, booleans, dates, references,
member names."""

from collections.abc import Callable
from typing import Any

from roster_pipeline.simulator.fields import known_fields
from roster_pipeline.simulator.payload import V11
from roster_pipeline.simulator.person_faults import Bent

REQUIRED = (
    "sourcedId",
    "status",
    "dateLastModified",
    "givenName",
    "familyName",
    "enabledUser",
    "role",
    "roles",
    "orgs",
)
SPELLINGS_OF_TRUE: tuple[Any, ...] = (True, "true", "True", "1", 1, "TRUE", "yes")
SPELLINGS_OF_FALSE: tuple[Any, ...] = (False, "false", "False", "0", 0, "FALSE", "no")
ORG_TYPES = ("org", "school", "district", "department")


def _status(bent: Bent) -> None:
    if bent.value == "absent":
        bent.record.pop("status")
    elif bent.value == "constant":
        bent.record["status"] = "active"
    elif bent.value == "inactive":
        bent.record["status"] = "inactive" if bent.record["status"] == "tobedeleted" else bent.record["status"]
    else:
        texts = {"empty": "", "unknown": "archived", "upper": str(bent.record["status"]).upper()}
        bent.record["status"] = texts[bent.value]


def _dates(bent: Bent) -> None:
    stamp = str(bent.record["dateLastModified"])
    bare = stamp[:19]
    match bent.value:
        case "rotate":
            spelled = (stamp, f"{bare}Z", f"{bare}+00:00", bare, f"{bare.replace('T', ' ')}.1234567", bare[:10])
            bent.record["dateLastModified"] = spelled[bent.person.row % len(spelled)]
        case "now":
            bent.record["dateLastModified"] = bent.district.stamp()
        case "constant":
            bent.record["dateLastModified"] = f"{bent.district.start}T00:00:00.000Z"
        case "set_back":
            bent.record["dateLastModified"] = f"2000{stamp[4:]}"
        case "empty":
            bent.record["dateLastModified"] = ""
        case _:
            bent.record["dateLastModified"] = "31.12.2025 8 Uhr"


def _booleans(bent: Bent) -> None:
    enabled = bent.record.get("enabledUser") == "true"
    if bent.value == "json":
        bent.record["enabledUser"] = enabled
    elif bent.value == "absent":
        bent.record.pop("enabledUser", None)
    elif bent.value == "garbage":
        bent.record["enabledUser"] = "maybe"
    else:
        spellings = SPELLINGS_OF_TRUE if enabled else SPELLINGS_OF_FALSE
        bent.record["enabledUser"] = spellings[bent.person.row % len(spellings)]


def _grades(bent: Bent) -> None:
    grades = bent.record.get("grades")
    if not grades:
        return
    grade = str(grades[0])
    bent.record.pop("grades")
    match bent.value:
        case "old_name":
            bent.record["grade"] = grade
        case "number":
            bent.record["grades"] = int(grade) if grade.isdecimal() else 0
        case "text":
            bent.record["grades"] = grade
        case "spelled":
            bent.record["grades"] = [f"Grade {grade.lstrip('0')}"]
        case "null":
            bent.record["grades"] = None
        case _:
            bent.record["grades"] = ""


def _each_reference(bent: Bent, change: Callable[[dict[str, Any]], Any]) -> None:
    """Replace every reference of the record; the dictionaries are shared and must not be changed in place."""
    for name in ("agents", "orgs"):
        if name in bent.record:
            bent.record[name] = [change(ref) for ref in bent.record[name]]
    if "primaryOrg" in bent.record:
        bent.record["primaryOrg"] = change(bent.record["primaryOrg"])
    if "roles" in bent.record:
        bent.record["roles"] = [entry | {"org": change(entry["org"])} for entry in bent.record["roles"]]


def _href(bent: Bent) -> None:
    def change(ref: dict[str, Any]) -> dict[str, Any]:
        path = ref["href"][ref["href"].find("/ims/") :]
        hrefs = {"tilde": f"~{path}", "internal": f"http://sis-node-7.internal:8080{path}", "empty": ""}
        return ref | {"href": hrefs[bent.value]}

    _each_reference(bent, change)


def _org_type(bent: Bent) -> None:
    if bent.value == "mixed" and bent.payload.version == V11:
        bent.record["orgs"] = [ref | {"type": ORG_TYPES[bent.person.row % 4]} for ref in bent.record["orgs"]]


def _references(bent: Bent) -> None:
    if bent.value == "bare":
        _each_reference(bent, lambda ref: ref["sourcedId"])
    elif bent.value == "without_id":
        _each_reference(bent, lambda ref: {"href": ref["href"], "type": ref["type"]})
    elif bent.value == "address":
        _each_reference(bent, lambda ref: ref["href"])
    elif bent.value == "padded":
        _each_reference(bent, lambda ref: ref | {"sourcedId": f" {ref['sourcedId']} "})
    else:
        _each_reference(bent, lambda ref: ref | {"sourcedId": ref["sourcedId"].strip()})


def _lists(bent: Bent) -> None:
    """Lists that are null, one bare object or one text."""
    for name in ("agents", "orgs", "roles", "userIds"):
        held = bent.record.get(name)
        if not isinstance(held, list):
            continue
        if bent.value == "null":
            bent.record[name] = None if name != "roles" else held
        elif bent.value == "object" and len(held) == 1:
            bent.record[name] = held[0]
        elif bent.value == "text" and name != "roles" and held:
            bent.record[name] = ",".join(str(entry.get("sourcedId", "")) for entry in held)


def _types(bent: Bent) -> None:
    """Numbers for texts: identifier, phone, sourcedIds of user ids."""
    for name in ("identifier", "phone", "sms"):
        digits = "".join(filter(str.isdecimal, str(bent.record.get(name, ""))))
        if digits:
            bent.record[name] = int(digits)
    bent.record["metadata"] = [bent.record.get("metadata")]


def _nulls(bent: Bent) -> None:
    for name in sorted(known_fields("users", bent.payload.version)):
        if name not in REQUIRED and name not in bent.record:
            bent.record[name] = None


def _both_generations(bent: Bent) -> None:
    """1.2 records that carry 1.1's `role` and `orgs` too (contradicting, as leftovers do)."""
    if bent.payload.version != V11:
        bent.record["role"] = "student"
        bent.record["orgs"] = [bent.payload.org_ref("dis-1")]


def _extra_members(bent: Bent) -> None:
    bent.record |= {"@type": "User", "x_vendor": {"deep": [1, {"er": None}]}, "Role": "wizard"}


def _missing_id(bent: Bent) -> None:
    if bent.is_nth("student", 3):
        bent.record.pop("sourcedId")


def _member_case(bent: Bent) -> None:
    lowered = {name.lower(): value for name, value in bent.record.items()}
    bent.record.clear()
    bent.record.update(lowered)


SHAPE_BENDS: dict[str, Callable[[Bent], None]] = {
    "status": _status,
    "dates": _dates,
    "booleans": _booleans,
    "grades": _grades,
    "href": _href,
    "org_type": _org_type,
    "types": _types,
    "nulls": _nulls,
    "both_generations": _both_generations,
    "references": _references,
    "lists": _lists,
    "extra_members": _extra_members,
    "missing_id": _missing_id,
    "member_case": _member_case,
}
"""Fault -> what it does to a user object."""
