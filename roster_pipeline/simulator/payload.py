"""The user and org objects of the standard, as 1.1 and 1.2 spell them. Optional members without a value are omitted."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from roster_pipeline.simulator.person import LEGACY_ROLES, Person, Role
from roster_pipeline.simulator.population import Org

Record = dict[str, Any]
V11, V12 = "1.1", "1.2"
ROOTS = {V11: "/ims/oneroster/v1p1", V12: "/ims/oneroster/rostering/v1p2"}
"""The path of each version below the host and any vendor prefix."""


def _segment(sourced_id: str) -> str:
    """An id as one segment of a path. Generated ids (`u-1000`) need no quoting, which would cost more than the rest."""
    return sourced_id if sourced_id[2:].isdigit() and sourced_id[:2] == "u-" else quote(sourced_id, safe="")


class Payload:
    """Makes the JSON objects of one version. root: `https://host/prefix/ims/...`. id_of: row -> served sourcedId."""

    def __init__(self, version: str, root: str, id_of: Callable[[int], str]) -> None:
        self.version = version
        self.root = root
        self.id_of = id_of
        self._users = f"{root}/users/"
        self._org_refs: dict[str, Record] = {}
        self._role_entries: dict[Role, Record] = {}

    def ref(self, collection: str, kind: str, sourced_id: str) -> Record:
        """A reference to any object."""
        return {"href": f"{self.root}/{collection}/{quote(sourced_id, safe='')}", "sourcedId": sourced_id, "type": kind}

    def org_ref(self, sourced_id: str) -> Record:
        """A reference to an org: the same dictionary every time; do not change it."""
        ref = self._org_refs.get(sourced_id)
        if ref is None:
            ref = self._org_refs[sourced_id] = self.ref("orgs", "org", sourced_id)
        return ref

    def user_ref(self, sourced_id: str) -> Record:
        """A reference to a person."""
        return {"href": self._users + _segment(sourced_id), "sourcedId": sourced_id, "type": "user"}

    def agents(self, person: Person) -> list[Record]:
        """References to the people to whom this one is related."""
        refs = [self.user_ref(self.id_of(row)) for row in person.agents]
        if person.agent_ids:
            refs += [self.user_ref(sourced_id) for sourced_id in person.agent_ids]
        if person.agent_members:
            refs = [{**ref, **person.agent_members.get(ref["sourcedId"], {})} for ref in refs]
        return refs

    def user(self, person: Person) -> Record:
        """The user object of this version."""
        return self._user_11(person) if self.version == V11 else self._user_12(person)

    def _user_11(self, person: Person) -> Record:
        role = person.roles[0].role if person.roles else "student"
        record: Record = {
            "sourcedId": person.sourced_id,
            "status": person.status,
            "dateLastModified": person.modified,
            "username": person.username,
            "enabledUser": "true" if person.enabled else "false",
            "givenName": person.given_name,
            "familyName": person.family_name,
            "role": LEGACY_ROLES.get(role, role),
            "orgs": self._orgs(person),
        }
        self._optional(record, person)
        if person.preferred_first_name or person.preferred_last_name:
            extra = {"preferredFirstName": person.preferred_first_name, "preferredLastName": person.preferred_last_name}
            record["metadata"] = {**record.get("metadata", {}), **{key: value for key, value in extra.items() if value}}
        return record

    def _orgs(self, person: Person) -> list[Record]:
        if len(person.roles) == 1 and (only := person.roles[0].org):
            return [self.org_ref(only)]
        return [self.org_ref(org) for org in dict.fromkeys([entry.org for entry in person.roles]) if org]

    def _user_12(self, person: Person) -> Record:
        record: Record = {
            "sourcedId": person.sourced_id,
            "status": person.status,
            "dateLastModified": person.modified,
            "enabledUser": "true" if person.enabled else "false",
            "givenName": person.given_name,
            "familyName": person.family_name,
            "roles": [self.role(entry) for entry in person.roles if entry.org],
        }
        if person.username:
            record["username"] = person.username
        self._optional(record, person)
        if person.state_id:
            record["userMasterIdentifier"] = f"urn:state:{person.state_id}"
        if person.preferred_first_name:
            record["preferredFirstName"] = person.preferred_first_name
        if person.preferred_middle_name:
            record["preferredMiddleName"] = person.preferred_middle_name
        if person.preferred_last_name:
            record["preferredLastName"] = person.preferred_last_name
        if len(person.roles) > 1 and person.roles[0].org:
            record["primaryOrg"] = self.org_ref(person.roles[0].org)
        return record

    def _optional(self, record: Record, person: Person) -> None:
        """Members both versions share."""
        if person.middle_name:
            record["middleName"] = person.middle_name
        if person.identifier:
            record["identifier"] = person.identifier
        if person.state_id:
            record["userIds"] = [{"type": "stateID", "identifier": person.state_id}]
        if person.email:
            record["email"] = person.email
        if person.sms:
            record["sms"] = person.sms
        if person.phone:
            record["phone"] = person.phone
        if person.agents or person.agent_ids:
            record["agents"] = self.agents(person)
        if person.grades:
            record["grades"] = list(person.grades)
        if person.metadata:
            record["metadata"] = dict(person.metadata)

    def role(self, entry: Role) -> Record:
        """One entry of `roles` (1.2): the same dictionary every time; do not change it."""
        if (made := self._role_entries.get(entry)) is not None:
            return made
        record: Record = {
            "roleType": "primary" if entry.primary else "secondary",
            "role": entry.role,
            "org": self.org_ref(entry.org),
        }
        if entry.begin:
            record["beginDate"] = entry.begin
        if entry.end:
            record["endDate"] = entry.end
        self._role_entries[entry] = record
        return record

    def org(self, org: Org, children: list[str]) -> Record:
        """The org object, the same in both versions."""
        record: Record = {
            "sourcedId": org.sourced_id,
            "status": org.status,
            "dateLastModified": org.modified,
            "name": org.name,
            "type": org.type,
            "identifier": org.identifier,
        }
        if org.parent:
            record["parent"] = self.org_ref(org.parent)
        if children:
            record["children"] = [self.org_ref(child) for child in children]
        return record
