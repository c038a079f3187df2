"""Deviations in the spelling of JSON (nulls, types, dates, references, member names); how all faults are applied."""

from collections.abc import Callable
from typing import Any

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.messages import V11, Payload, Record
from roster_pipeline.simulator.person import Person
from roster_pipeline.simulator.person_faults import ABSENT, PERSON_FAULTS, Change, ServedUser
from roster_pipeline.simulator.population import Org
from roster_pipeline.simulator.query import known_fields

REQUIRED = (
    "sourcedId", "status", "dateLastModified", "givenName", "familyName", "enabledUser", "role", "roles", "orgs",
)  # fmt: skip
SPELLINGS_OF_TRUE: tuple[Any, ...] = (True, "true", "True", "1", 1, "TRUE", "yes")
SPELLINGS_OF_FALSE: tuple[Any, ...] = (False, "false", "False", "0", 0, "FALSE", "no")
ORG_TYPES = ("org", "school", "district", "department")


def _dates(user: ServedUser) -> Record:
    stamp = str(user.record["dateLastModified"])
    bare = stamp[:19]
    spelled = (stamp, f"{bare}Z", f"{bare}+00:00", bare, f"{bare.replace('T', ' ')}.1234567", bare[:10])
    texts = {
        "rotate": spelled[user.person.row % len(spelled)],
        "set_back": f"2000{stamp[4:]}",
        "empty": "",
        "garbage": "31.12.2025 8 Uhr",
    }
    return {"dateLastModified": texts[user.value]}


def _booleans(user: ServedUser) -> Record:
    enabled = user.record.get("enabledUser") == "true"
    spellings = SPELLINGS_OF_TRUE if enabled else SPELLINGS_OF_FALSE
    values = {
        "rotate": spellings[user.person.row % len(spellings)],
        "json": enabled,
        "absent": ABSENT,
        "garbage": "maybe",
    }
    return {"enabledUser": values[user.value]}


def _grades(user: ServedUser) -> Record:
    if not user.record.get("grades"):
        return {}
    grade = str(user.record["grades"][0])
    if user.value == "old_name":
        return {"grades": ABSENT, "grade": grade}
    values = {"number": int(grade) if grade.isdecimal() else 0, "text": grade, "null": None, "empty": ""}
    return {"grades": values[user.value]}


def _each_reference(record: Record, change: Callable[[Record], Any]) -> Record:
    """Every reference of the record, changed. Reference objects are shared between records: `change` makes new ones."""
    changed: Record = {
        name: [change(ref) for ref in record[name]] for name in ("agents", "orgs") if isinstance(record.get(name), list)
    }
    if record.get("primaryOrg"):
        changed["primaryOrg"] = change(record["primaryOrg"])
    if "roles" in record:
        changed["roles"] = [entry | {"org": change(entry["org"])} for entry in record["roles"]]
    return changed


def _href(user: ServedUser) -> Record:
    def change(ref: Record) -> Record:
        path = ref["href"][ref["href"].find("/ims/") :]
        hrefs = {"tilde": f"~{path}", "internal": f"http://sis-node-7.internal:8080{path}", "empty": ""}
        return ref | {"href": hrefs[user.value]}

    return _each_reference(user.record, change)


def _references(user: ServedUser) -> Record:
    changes: dict[str, Callable[[Record], Any]] = {
        "bare": lambda ref: ref["sourcedId"],
        "without_id": lambda ref: {"href": ref["href"], "type": ref["type"]},
        "address": lambda ref: ref["href"],
        "padded": lambda ref: ref | {"sourcedId": f" {ref['sourcedId']} "},
        "trimmed": lambda ref: ref | {"sourcedId": ref["sourcedId"].strip()},
    }
    return _each_reference(user.record, changes[user.value])


def _org_type(user: ServedUser) -> Record:
    if user.value != "mixed" or user.payload.version != V11:
        return {}
    return {"orgs": [ref | {"type": ORG_TYPES[user.person.row % 4]} for ref in user.record["orgs"]]}


def _lists(user: ServedUser) -> Record:
    lists = {name: user.record.get(name) for name in ("agents", "orgs", "roles", "userIds")}
    if user.value == "named":
        lists["grades"] = user.record.get("grades")
        return {name: {name.removesuffix("s"): entries} for name, entries in lists.items() if entries is not None}
    return {name: entries[0] for name, entries in lists.items() if isinstance(entries, list) and len(entries) == 1}


def _types(user: ServedUser) -> Record:
    """Numbers instead of the standard's texts, and a list for metadata."""
    changed: Record = {"metadata": [user.record.get("metadata")]}
    for name in ("identifier", "phone", "sms"):
        if digits := "".join(filter(str.isdecimal, str(user.record.get(name, "")))):
            changed[name] = int(digits)
    return changed


def _nulls(user: ServedUser) -> Record:
    optional = known_fields("users", user.payload.version) - set(REQUIRED) - user.record.keys()
    return dict.fromkeys(sorted(optional))


def _both_generations(user: ServedUser) -> Record:
    """1.2 records that carry 1.1's `role` and `orgs` too; they contradict `roles`, as leftovers do."""
    if user.payload.version == V11:
        return {}
    return {"role": "student", "orgs": [user.payload.org_ref("dis-1")]}


JSON_FAULTS: dict[str, Change] = {
    "status": lambda _: {"status": "archived"},
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
    "extra_members": lambda _: {"@type": "User", "x_vendor": {"deep": [1, {"er": None}]}, "Role": "wizard"},
    "member_case": lambda user: (
        dict.fromkeys(user.record, ABSENT) | {name.lower(): value for name, value in user.record.items()}
    ),
}
"""Fault -> the members of a user object that it changes. Applied in this order, after `PERSON_FAULTS`."""

RECORD_FAULTS = PERSON_FAULTS | JSON_FAULTS


def user_faults(payload: Payload, district: District, faults: Faults) -> Callable[[Record, Person], Record] | None:
    """A function that applies the faults that are on to a fresh user object; None if no such fault is on."""
    changes = [(change, faults.text(name)) for name, change in RECORD_FAULTS.items() if faults.on(name)]
    if not changes:
        return None

    def apply(record: Record, person: Person) -> Record:
        user = ServedUser(record, person, "", payload, district)
        for change, user.value in changes:
            for name, value in change(user).items():
                if value is ABSENT:
                    record.pop(name, None)
                else:
                    record[name] = value
        return record

    return apply


def faulty_org(faults: Faults, record: Record, org: Org) -> Record:
    if faults.on("org_type") and org.type == "school":
        record["type"] = "department" if faults.on("org_type", "mixed") else faults.text("org_type")
    if faults.on("org_parent"):
        record["parent"] = None if faults.on("org_parent", "null") else {}
    if faults.on("org_identifier") and org.type == "school":
        record["identifier"] = "0100"
    if faults.on("nulls"):
        for name in ("identifier", "parent", "children", "metadata"):
            record.setdefault(name, None)
    return record
