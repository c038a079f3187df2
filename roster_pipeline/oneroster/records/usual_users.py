"""A fast reader for a page of users in the usual shape; everything else goes through `user_records`.

Most records follow the standard: texts where texts belong, one role with its org, nothing to repair. For such a page
the JSON decoder checks the types and builds only the members that are needed, and one check of all texts of a record
together shows that nothing needs repair. That takes half of the time of `UserReader`. A page of any other shape goes
to `UserReader` as a whole. A single record with an odd text goes there alone. A test checks that both give the same
users.
"""

from typing import Any, Literal

import msgspec
from msgspec.structs import astuple

from roster_pipeline.oneroster.http.response import MOST_RECORDS, too_many_values
from roster_pipeline.oneroster.records.coercion import ID_NULLS, NULL_TEXTS, UNREADABLE, day, text
from roster_pipeline.oneroster.records.role_entries import entries_without_role
from roster_pipeline.vocabulary import LONGEST_ID

Role = Literal[
    "administrator", "aide", "guardian", "parent", "proctor", "relative", "student", "teacher",
    "counselor", "districtAdministrator", "principal", "siteAdministrator", "systemAdministrator",
]  # fmt: skip
Boolean = Literal["true", "false"] | bool


class ReadUser(dict[str, Any]):
    """A user that is normalised already, except for `metadata`, which still has all its members.

    mark: the next pull recognises the user by it (`known_users`); None if it must be read again. Not always set.
    """

    __slots__ = ("mark",)
    mark: bytes | None


class _Reference(msgspec.Struct, gc=False):
    sourcedId: str  # noqa: N815 - the standard's names, here and below


class _Role(msgspec.Struct, gc=False):
    role: Role
    org: _Reference
    roleType: Literal["primary", "secondary"] | None = None  # noqa: N815
    beginDate: str | None = None  # noqa: N815
    endDate: str | None = None  # noqa: N815


class _UserId(msgspec.Struct, gc=False):
    type: str
    identifier: str


class User(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The members of both versions. Texts come first, as `read_user` expects; the last ones are not used."""

    sourcedId: str  # noqa: N815
    status: Literal["active", "tobedeleted"] | None = None
    dateLastModified: str | None = None  # noqa: N815
    username: str | None = None
    identifier: str | None = None
    userMasterIdentifier: str | None = None  # noqa: N815
    givenName: str | None = None  # noqa: N815
    familyName: str | None = None  # noqa: N815
    middleName: str | None = None  # noqa: N815
    preferredFirstName: str | None = None  # noqa: N815
    preferredMiddleName: str | None = None  # noqa: N815
    preferredLastName: str | None = None  # noqa: N815
    email: str | None = None
    sms: str | None = None
    phone: str | None = None
    enabledUser: Boolean | None = None  # noqa: N815
    roles: list[_Role] | None = None
    role: Role | None = None
    orgs: list[_Reference] | None = None
    grades: list[str] | None = None
    agents: list[_Reference] | None = None
    userIds: list[_UserId] | None = None  # noqa: N815
    metadata: Any = None
    primaryOrg: _Reference | str | None = None  # noqa: N815
    pronouns: msgspec.Raw = msgspec.Raw()
    userProfiles: msgspec.Raw = msgspec.Raw()  # noqa: N815
    resources: msgspec.Raw = msgspec.Raw()
    password: msgspec.Raw = msgspec.Raw()


class _Page(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    users: list[User]


_decode = msgspec.json.Decoder(_Page).decode
_TEXTS = 15
"""How many members of `User` are texts."""
_NOT_NEEDED = ("pronouns", "userProfiles", "resources", "password")


def usual_users(body: bytes | bytearray) -> list[dict[str, Any]] | None:
    """The records of a page: `ReadUser` for usual ones, raw for others. None for a page of another shape."""
    try:
        users = _decode(body).users
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if len(users) > MOST_RECORDS:
        users.clear()
        raise too_many_values()
    records: list[dict[str, Any]] = []
    for user in users:
        read = read_user(astuple(user))
        if read is None and not _all_have_ids(user):
            return None
        records.append(_raw(user) if read is None else read)
    return records


def read_user(values: tuple[Any, ...]) -> ReadUser | None:
    """The user, or None if something must be repaired, rejected or dropped."""
    (
        sourced_id, status, changed, username, identifier, master, given, family, middle, first, second, last,
        email, sms, phone, enabled, roles, role, orgs, grades, agents, user_ids, metadata, primary, *_,
    ) = values  # fmt: skip
    words = [each for each in values[:_TEXTS] if each is not None]  # an empty text makes two blanks below
    entries: list[dict[str, str | None]] = []
    if roles:
        for entry in roles:
            org = entry.org.sourcedId
            begin, end = entry.beginDate, entry.endDate
            if begin is not None or end is not None:
                begin, end = day(begin), day(end)
                if begin is UNREADABLE or end is UNREADABLE:
                    return None
            words.append(org)
            entries.append(
                {"role": entry.role, "roleType": entry.roleType, "org": org, "beginDate": begin, "endDate": end}
            )
    elif role is not None and orgs:
        for org in dict.fromkeys([org.sourcedId for org in orgs]):
            words.append(org)
            entries.append({"role": role, "roleType": None, "org": org, "beginDate": None, "endDate": None})
    else:
        return None
    others = [org.sourcedId for org in orgs] if roles and orgs else []
    if primary is not None:
        if type(primary) is str:
            return None
        if primary.sourcedId != entries[0]["org"]:
            others.append(primary.sourcedId)
    if others:
        words += others
        entries += entries_without_role(entries, others)
    agent_ids: list[str] = []
    if agents:
        agent_ids = [agent.sourcedId for agent in agents]
        words += agent_ids
        if len(agent_ids) > 1:
            agent_ids = list(dict.fromkeys(agent_ids))
    ids: list[dict[str, str]] = []
    if user_ids:
        for user_id in user_ids:
            words += (user_id.type, user_id.identifier)
            ids.append({"type": user_id.type, "identifier": user_id.identifier})
    if grades:
        if len(grades) > 1 or "," in grades[0]:
            return None
        words.append(grades[0])
    joined = f" {' '.join(words)} "
    if "  " in joined or not joined.isprintable() or not NULL_TEXTS.isdisjoint(words):
        return None
    if len(sourced_id) > LONGEST_ID:
        return None
    return ReadUser(
        {
            "sourcedId": sourced_id,
            "status": status,
            "dateLastModified": changed,
            "username": username,
            "identifier": identifier,
            "userMasterIdentifier": master,
            "givenName": given,
            "familyName": family,
            "middleName": middle,
            "preferredFirstName": first,
            "preferredMiddleName": second,
            "preferredLastName": last,
            "email": email,
            "sms": sms,
            "phone": phone,
            "enabledUser": enabled == "true" if type(enabled) is str else enabled,
            "roles": entries,
            "grades": grades or [],
            "agents": agent_ids,
            "userIds": ids,
            "metadata": metadata,
        }
    )


def _all_have_ids(user: User) -> bool:
    """Whether every reference has an id. A reference without an id is read by its other members, which `_Reference`
    does not keep."""
    roles = [role.org for role in user.roles or ()]
    references = (*roles, *(user.orgs or ()), *(user.agents or ()), user.primaryOrg)
    return all(
        text(reference.sourcedId, ID_NULLS) is not None for reference in references if type(reference) is _Reference
    )


def _raw(user: User) -> dict[str, Any]:
    """The record as it came, without the unused members."""
    members = {name: getattr(user, name) for name in user.__struct_fields__ if name not in _NOT_NEEDED}
    record: dict[str, Any] = msgspec.to_builtins(members)
    return record
