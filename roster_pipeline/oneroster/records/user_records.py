"""Users of both versions, well-formed or not, as one kind of record.

A repair that is certain is not reported. A field that had to be dropped is a warning. A record whose person, status or
school is unknown is an error: it is rejected with its rule, so that it is not mistaken for a person who has left.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from roster_pipeline.oneroster.http.response import folded
from roster_pipeline.oneroster.records.coercion import (
    AGENTS,
    NO_TEXTS,
    NULL_TEXTS,
    UNREADABLE,
    agent_members,
    boolean,
    listed,
    own_id,
    references,
    text,
    texts,
    wanted_members,
)
from roster_pipeline.oneroster.records.role_entries import Dates, Rejection, role_entries
from roster_pipeline.oneroster.records.usual_users import ReadUser
from roster_pipeline.vocabulary import LONGEST_ID

UNREADABLE_STATUS = "unreadable"
"""The status of a record whose status is not a text. It is not in the standard, so it never counts as active."""

_NAME_NULLS = frozenset(("NULL", "null", "N/A", "n/a", "(null)"))
TEXT_FIELDS: tuple[tuple[str, frozenset[str]], ...] = (
    ("dateLastModified", NULL_TEXTS), ("username", NULL_TEXTS), ("identifier", NULL_TEXTS),
    ("userMasterIdentifier", NULL_TEXTS), ("givenName", NO_TEXTS), ("familyName", NO_TEXTS),
    ("middleName", _NAME_NULLS), ("preferredFirstName", _NAME_NULLS), ("preferredMiddleName", _NAME_NULLS),
    ("preferredLastName", _NAME_NULLS), ("email", NULL_TEXTS), ("sms", NULL_TEXTS), ("phone", NULL_TEXTS),
)  # fmt: skip
"""Plain text fields, and the texts that mean "nothing" in each. A person may have the name None or Null."""

_OTHER_FIELDS = (
    *("sourcedId", "status", "enabledUser", "userIds", "roles", "role", "orgs", "agents", "grades", "metadata"),
    "primaryOrg",
)
_OTHER_NAMES = {
    "preferredFirstName": "preferredgivenname",
    "preferredLastName": "preferredfamilyname",
    "grades": "grade",
    "orgs": "org orgsourcedid orgsourcedids orgsourceids school schools schoolsourcedid schoolsourcedids",
    "primaryOrg": "primaryorgsourcedid",
    "agents": "agent agentsourcedid agentsourcedids agentsourceids",
    "sourcedId": "sourceid",
    "userIds": "userid",
}
ALIASES = {other: name for name, others in _OTHER_NAMES.items() for other in others.split()} | {
    folded(name): name for name in (*(name for name, _ in TEXT_FIELDS), *_OTHER_FIELDS)
}
"""Folded member name to the standard's: some servers use their own case or the names of the CSV files, and some
exporters use the names of the API."""
_NOTHING: tuple[Any, ...] = (None, "", [], {})
AGENT_SEPARATORS = ",;"
"""Separators of ids in a text that lists several. Unlike orgs, there is no list to compare them with."""
_STANDARD = frozenset((*(name for name, _ in TEXT_FIELDS), *_OTHER_FIELDS))
_TEXT_NAMES = tuple(name for name, _ in TEXT_FIELDS)
_SPELLED_BOOLEANS = frozenset(("true", "false"))
_MOST_FOREIGN_NAMES = 1000


@contextmanager
def _no_collection() -> Iterator[None]:
    """Switch the garbage collector off: records have no cycles, and searching them takes a fifth of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class UserReader:
    """Normalises the users of one pull. metadata_keys: the wanted members of `metadata`; with the prefix `agents:`,
    members of the entries in `agents`, which are kept under that key as an object of agent to value."""

    def __init__(self, metadata_keys: Sequence[str] = (), dates: Dates | None = None) -> None:
        self.dates = dates or Dates()
        self._metadata_keys = tuple(key for key in metadata_keys if not key.startswith(AGENTS))
        self._agent_keys = tuple(key for key in metadata_keys if key.startswith(AGENTS))
        self._known = set(_STANDARD)

    def page(self, records: Sequence[Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Normalised users and rejects of one page. Every record is in one of them, or in both with a warning."""
        users: list[dict[str, Any]] = []
        rejects: list[dict[str, Any]] = []
        with _no_collection():
            self.dates.learn(_dates_of([record for record in records if type(record) is not ReadUser]))
            for record in records:
                if type(record) is ReadUser:
                    record["metadata"] = wanted_members(record["metadata"], self._metadata_keys)
                    users.append(record)
                elif (user := self.one(record, rejects)) is not None:
                    users.append(user)
        return users, rejects

    def one(self, record: Any, rejects: list[dict[str, Any]]) -> dict[str, Any] | None:
        """One normalised user, or None and one reject of severity error."""
        if type(record) is not dict:
            rejects.append(reject(None, "users", "record", "not-an-object"))
            return None
        if not record.keys() <= self._known:
            record = self._in_standard_names(record)
        get = record.get
        sourced_id = get("sourcedId")
        if type(sourced_id) is not str or not _plain(sourced_id) or len(sourced_id) > LONGEST_ID:
            sourced_id = own_id(sourced_id)
        if type(sourced_id) is not str:
            rule = "sourced-id-missing" if sourced_id is None else "sourced-id-unreadable"
            rejects.append(reject(None, "users", "sourcedId", rule))
            return None
        user: dict[str, Any] = {"sourcedId": sourced_id, "status": status_text(get("status"))}
        before = len(rejects)
        values = [get(name) for name in _TEXT_NAMES]
        if not _all_plain(values):
            values = _repaired_texts(values, sourced_id, rejects)
        user.update(zip(_TEXT_NAMES, values))  # noqa: B905 -- of one length; this is the innermost loop
        enabled = get("enabledUser")
        if enabled in _SPELLED_BOOLEANS if type(enabled) is str else type(enabled) is bool:
            user["enabledUser"] = enabled is True or enabled == "true"
        else:
            user["enabledUser"] = _enabled(enabled, sourced_id, rejects)
        try:
            user["roles"], dropped = role_entries(record, self.dates)
        except Rejection as problem:
            rejects.append(reject(sourced_id, "users", problem.field, problem.rule))
            return None
        for field, rule in dropped:
            rejects.append(reject(sourced_id, "users", field, rule, "warning"))
        value = get("grades")
        user["grades"] = _grades(value, sourced_id, rejects) if value else []
        value = get("agents")
        user["agents"] = _agents(value, sourced_id, rejects) if value else []
        value = get("userIds")
        user["userIds"] = _user_ids(value, sourced_id, rejects) if value else []
        user["metadata"] = wanted_members(get("metadata"), self._metadata_keys)
        if self._agent_keys:
            user["metadata"] |= agent_members(get("agents"), self._agent_keys)
        if len(rejects) > before:
            user["unreadable"] = [each["field"] for each in rejects[before:]]
        return user

    def _in_standard_names(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with other spellings of known members renamed, if the standard's member is absent or empty."""
        foreign = record.keys() - self._known
        renamed: dict[str, Any] | None = None
        for name in foreign:
            standard = ALIASES.get(folded(name))
            if standard is None:
                if len(self._known) < _MOST_FOREIGN_NAMES:
                    self._known.add(name)
            elif record.get(standard) in _NOTHING and record[name] not in _NOTHING:
                renamed = renamed or dict(record)
                renamed[standard] = record[name]
        return renamed or record


def reject(sourced_id: str | None, collection: str, field: str, rule: str, severity: str = "error") -> dict[str, Any]:
    """One rejection: which record, which field, which rule; never the value."""
    return {"sourcedId": sourced_id, "collection": collection, "field": field, "rule": rule, "severity": severity}


def _dates_of(records: Sequence[Any]) -> Iterator[Any]:
    """The raw dates of the roles of these records."""
    for record in records:
        roles = record.get("roles") if isinstance(record, dict) else None
        for entry in roles if isinstance(roles, list) else ():
            if isinstance(entry, dict):
                yield entry.get("beginDate")
                yield entry.get("endDate")


def status_text(value: Any) -> str | None:
    """Status in lower case; None if it is absent, which means active in the standard's bulk import."""
    if value == "active":
        return "active"
    if value is None:
        return None
    status = text(value, NO_TEXTS if isinstance(value, bool) else NULL_TEXTS)
    if status is UNREADABLE:
        return UNREADABLE_STATUS
    return status.lower() if isinstance(status, str) else None


def _plain(value: str) -> bool:
    """Whether a text needs no repair."""
    return value.isprintable() and value.strip() == value != "" and value not in NULL_TEXTS


def _all_plain(values: list[Any]) -> bool:
    """Whether every value is absent or a text that needs no repair; checks all texts of a record at once."""
    try:
        joined = f" {' '.join([value for value in values if value is not None])} "
    except TypeError:
        return False
    return "  " not in joined and joined.isprintable() and NULL_TEXTS.isdisjoint(values)


def _repaired_texts(values: list[Any], sourced_id: str, rejects: list[dict[str, Any]]) -> list[Any]:
    repaired: list[Any] = []
    for (name, nulls), value in zip(TEXT_FIELDS, values, strict=True):
        if value is None or (type(value) is str and value.isprintable() and value.strip() == value not in nulls):
            repaired.append(value or None)
            continue
        repaired_text = text(value, nulls)
        if repaired_text is UNREADABLE:
            rejects.append(reject(sourced_id, "users", name, "not-a-text", "warning"))
            repaired_text = None
        repaired.append(repaired_text)
    return repaired


def _enabled(value: Any, sourced_id: str, rejects: list[dict[str, Any]]) -> bool | None:
    enabled: Any = boolean(value)
    if enabled is UNREADABLE:
        rejects.append(reject(sourced_id, "users", "enabledUser", "not-a-boolean", "warning"))
        return None
    return cast("bool | None", enabled)


def _grades(value: Any, sourced_id: str, rejects: list[dict[str, Any]]) -> list[str]:
    if type(value) is list and len(value) == 1 and type(value[0]) is str and _plain(value[0]) and "," not in value[0]:
        return value
    grades, all_read = texts(value)
    if not all_read:
        rejects.append(reject(sourced_id, "users", "grades", "not-a-text", "warning"))
    return grades


def _agents(value: Any, sourced_id: str, rejects: list[dict[str, Any]]) -> list[str]:
    if type(value) is list:
        agents: list[Any] = [entry.get("sourcedId") if type(entry) is dict else None for entry in value]
        if all(type(agent) is str and _plain(agent) for agent in agents):
            return list(dict.fromkeys(agents))
    ids, all_read = references(value, AGENT_SEPARATORS)
    if not all_read:
        rejects.append(reject(sourced_id, "users", "agents", "reference-unreadable", "warning"))
    return ids


def _user_ids(value: Any, sourced_id: str, rejects: list[dict[str, Any]]) -> list[dict[str, str | None]]:
    """userIds as {"type", "identifier"}; the CSV spelling `{type:identifier}` is read as well."""
    user_ids: list[dict[str, str | None]] = []
    for entry in listed(value):
        if type(entry) is dict:
            kind, identifier = entry.get("type"), entry.get("identifier")
            if type(kind) is str and type(identifier) is str and _plain(kind) and _plain(identifier):
                user_ids.append({"type": kind, "identifier": identifier})
                continue
            members = entry if "identifier" in entry else {folded(name): member for name, member in entry.items()}
            kind, identifier = text(members.get("type")), text(members.get("identifier"))
        else:
            kind, identifier = None, text(entry)
            if isinstance(identifier, str) and identifier[:1] == "{" and ":" in identifier:
                kind, identifier = (part.strip() or None for part in identifier.strip("{}").split(":", 1))
        if identifier is UNREADABLE or kind is UNREADABLE:
            rejects.append(reject(sourced_id, "users", "userIds", "not-a-text", "warning"))
        elif identifier is not None:
            user_ids.append({"type": kind, "identifier": identifier})
    return user_ids
