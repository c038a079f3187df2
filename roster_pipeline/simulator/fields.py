"""The member names of each kind of object, per version: what can be filtered by, sorted by and selected."""

from roster_pipeline.simulator.payload import V11

BASE = frozenset({"sourcedId", "status", "dateLastModified", "metadata"})
REFERENCE = frozenset({"href", "sourcedId", "type"})
_PERSON = BASE | {
    "username", "userIds", "enabledUser", "givenName", "familyName", "middleName", "identifier", "email", "sms",
    "phone", "agents", "grades", "password",
}  # fmt: skip
USERS_11 = _PERSON | {"role", "orgs"}
USERS_12 = _PERSON | {
    "userMasterIdentifier", "preferredFirstName", "preferredMiddleName", "preferredLastName", "pronouns", "roles",
    "userProfiles", "primaryOrg", "resources",
}  # fmt: skip
BY_PLURAL = {
    "orgs": BASE | {"name", "type", "identifier", "parent", "children"},
    "enrollments": BASE | {"user", "class", "school", "role", "primary", "beginDate", "endDate"},
    "classes": BASE
    | {
        "title", "classCode", "classType", "location", "grades", "subjects", "course", "school", "terms",
        "subjectCodes", "periods", "resources",
    },
    "courses": BASE | {"title", "schoolYear", "courseCode", "grades", "subjects", "org", "subjectCodes", "resources"},
    "academicSessions": BASE | {"title", "startDate", "endDate", "type", "parent", "children", "schoolYear"},
    "demographics": BASE | {"birthDate", "sex"},
}  # fmt: skip
INSIDE = {
    "roles": frozenset({"roleType", "role", "org", "userProfile", "beginDate", "endDate"}),
    "userIds": frozenset({"type", "identifier"}),
}
"""Members of the objects in a list; every other object inside a record is a reference."""


def known_fields(plural: str, version: str) -> frozenset[str]:
    """The top-level members of an object kind, named by its envelope."""
    if plural == "users":
        return USERS_11 if version == V11 else USERS_12
    return BY_PLURAL[plural]


def is_known_path(path: str, plural: str, version: str) -> bool:
    """Whether a dot path leads somewhere the standard knows; anything goes below `metadata`."""
    head, *rest = path.split(".")
    if head not in known_fields(plural, version):
        return False
    if head == "metadata" or not rest:
        return True
    inside = INSIDE.get(head, REFERENCE)
    if rest[0] not in inside:
        return False
    return len(rest) == 1 or (rest[0] == "org" and len(rest) == 2 and rest[1] in REFERENCE)
