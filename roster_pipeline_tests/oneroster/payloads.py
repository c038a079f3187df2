"""Malformed OneRoster payloads, at random: well-formed records with any value in any place."""

import random
from typing import Any

ODD_TEXTS = (
    *("", " ", "NULL", "null", "none", "\x00", "a\x00b", "\ud800", "\u202e", "Ünï\ncode", " padded ", "x" * 5000, "-1"),
    *("true", "TRUE", "0", "2026-13-45", "2026-02-30", "12/31/2026", "2026-08-17T00:00:00Z", "student", "STUDENT "),
    *("ext:x", "tobedeleted", "a,b,,c", "{LDAP:x}", "{", "href", "../../etc", "'; DROP TABLE", "🎓", "ＮＵＬＬ"),
)
NAMES = (
    *("sourcedId", "status", "dateLastModified", "username", "identifier", "userMasterIdentifier", "givenName"),
    *("familyName", "middleName", "preferredFirstName", "preferredGivenName", "email", "sms", "phone", "enabledUser"),
    *("role", "roles", "orgs", "org", "primaryOrg", "agents", "grades", "grade", "userIds", "metadata", "password"),
    *("SOURCEDID", "sourced_id", "Roles", "name", "type", "parent", "children", "href", "beginDate", "endDate"),
)


def anything(chance: random.Random, depth: int = 0) -> Any:
    """Any JSON value, and some that only a lenient parser accepts."""
    pick = chance.randrange(14 if depth < 4 else 8)
    if pick < 3:
        return chance.choice(ODD_TEXTS)
    if pick < 8:
        numbers = (0, 1, -1, 17, 10**30, 1.5, 1e308, float("nan"), float("inf"), True, False, None)
        return chance.choice(numbers)
    if pick < 11:
        return [anything(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(NAMES): anything(chance, depth + 1) for _ in range(chance.randrange(5))}


def user(chance: random.Random) -> Any:
    """A user of either version with up to six members replaced, renamed, added or removed."""
    number = chance.randrange(10**6)
    record: dict[str, Any] = {
        "sourcedId": f"u-{number}",
        "status": "active",
        "dateLastModified": "2026-08-21T17:03:11.250Z",
        "enabledUser": chance.choice((True, "true", "False", 1)),
        "username": "mira",
        "givenName": "Mira",
        "familyName": "Oduya",
        "identifier": str(number),
        "email": "mira@pupils.example.org",
        "userIds": [{"type": "SIS", "identifier": "1042"}],
        "agents": [{"href": "", "sourcedId": "g-1", "type": "user"}],
        "grades": ["07"],
        "metadata": {"jp": {"kana": "ミラ"}, "homeroom": "7B"},
    }
    if chance.random() < 0.5:
        record |= {"role": "student", "orgs": [{"sourcedId": "sch-1", "type": "org"}]}
    else:
        record["roles"] = [
            {"role": "student", "roleType": "primary", "org": {"sourcedId": "sch-1"}, "beginDate": "2026-08-01"}
        ]
    for _ in range(chance.randrange(7)):
        _bend(record, chance)
    return record if chance.random() > 0.02 else anything(chance)


def envelope(chance: random.Random) -> Any:
    """A page of users, mostly in its place."""
    users = [user(chance) for _ in range(chance.randrange(6))]
    shapes: tuple[Any, ...] = (
        {"users": users},
        {"users": users, "warnings": [anything(chance)], "totalCount": anything(chance)},
        {"Users": users},
        {"students": users},
        {"data": users},
        {"users": users[0] if users else None},
        {"users": {str(place): one for place, one in enumerate(users)}},
        {"users": anything(chance)},
        users,
        anything(chance),
    )
    return shapes[0] if chance.random() < 0.5 else chance.choice(shapes)


def _bend(record: dict[str, Any], chance: random.Random) -> None:
    name = chance.choice((*record, *NAMES))
    act = chance.randrange(5)
    if act == 0:
        record.pop(name, None)
    elif act == 1:
        record[name] = anything(chance)
    elif act == 2 and name in record:
        record[chance.choice((name.upper(), name.lower(), "_".join(name)))] = record.pop(name)
    elif act == 3 and isinstance(record.get(name), list):
        record[name].append(anything(chance))
    elif act == 4 and isinstance(record.get(name), list) and record[name] and isinstance(record[name][0], dict):
        record[name][0][chance.choice(NAMES)] = anything(chance)
