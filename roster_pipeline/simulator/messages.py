"""One request and one answer as the simulator sees them, with the users, orgs and errors in it as each version of the
standard spells them. Optional members without a value are omitted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

import orjson

from roster_pipeline.simulator.person import LEGACY_ROLES, Person, Role
from roster_pipeline.simulator.population import Org

JSON = "application/json"
CODE_MINOR_BY_STATUS = {
    400: "invaliddata", 401: "unauthorisedrequest", 403: "forbidden", 404: "unknownobject", 405: "invaliddata",
    422: "invaliddata", 429: "server_busy", 500: "internal_server_error", 502: "internal_server_error",
    503: "server_busy", 504: "server_busy",
}  # fmt: skip
SPELLED_IN_1_1 = {
    "invaliddata": "invalid data",
    "unauthorisedrequest": "unauthorized",
    "unknownobject": "unknown object",
}
Record = dict[str, Any]
V11, V12 = "1.1", "1.2"
ROOTS = {V11: "/ims/oneroster/v1p1", V12: "/ims/oneroster/rostering/v1p2"}
"""The path of each version below the host and any vendor prefix."""

OPTIONAL = {"middleName": "middle_name", "identifier": "identifier", "email": "email", "sms": "sms", "phone": "phone"}
"""The members of a user that are left out without a value, each with the field of a person."""
PREFERRED_11 = {"preferredFirstName": "preferred_first_name", "preferredLastName": "preferred_last_name"}
OPTIONAL_12 = {"username": "username", "preferredMiddleName": "preferred_middle_name"} | PREFERRED_11


def read_pairs(query_string: str) -> list[tuple[str, str]]:
    """The decoded parameters of a query or a form, in order."""
    pairs = (part.partition("=") for part in query_string.split("&") if part)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


@dataclass(slots=True)
class Call:
    """A request. path: still percent-encoded. origin: `scheme://host[:port]` as the caller sees it. The last four are
    set when the SIS has found the version in the path: `root` is the URL of the service, `names` and `ids` are the
    segments below it in turn."""

    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    origin: str
    client: str
    body: bytes = b""
    version: str = "1.2"
    root: str = ""
    names: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def parameters(self) -> list[tuple[str, str]]:
        return read_pairs(self.query_string)

    def split(self, rest: str) -> None:
        """Read the path below the root. Each segment is decoded on its own, so that an id may hold a slash."""
        parts = [unquote(part) for part in rest.split("/") if part]
        self.names, self.ids = tuple(parts[0::2]), tuple(parts[1::2])

    @property
    def resource(self) -> str:
        """The path without ids, as the tables of the standard write it: `/schools/{id}/students`."""
        pieces = []
        for place, name in enumerate(self.names):
            pieces.append(f"/{name}")
            if place < len(self.ids):
                pieces.append("/{id}")
        return "".join(pieces)


@dataclass(slots=True)
class Answer:
    """An answer before it is sent. body: a JSON value, or finished bytes."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = JSON

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)


class RequestError(Exception):
    """A request that is answered with an error payload. code_minor: by default the one for the status."""

    def __init__(
        self, status: int, description: str, code_minor: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.code_minor = code_minor or CODE_MINOR_BY_STATUS.get(status, "invaliddata")
        self.headers = dict(headers or {})


def error_payload(version: str, code_minor: str, description: str, shape: str = "standard") -> Any:
    """The body of an error. shape: `standard` is the version's own. Others were seen at real servers: `errors` and
    `statusInfoSet` put 1.1's four values into a list, `wrapped` puts 1.2's object under `imsx_StatusInfo`, `bare` is
    always 1.1's, `modern` is always 1.2's."""
    spelled = SPELLED_IN_1_1.get(code_minor, code_minor)
    bare = {"codeMajor": "failure", "severity": "error", "codeMinor": spelled, "description": description}
    modern = {
        "imsx_codeMajor": "failure",
        "imsx_severity": "error",
        "imsx_description": description,
        "imsx_CodeMinor": {
            "imsx_codeMinorField": [
                {"imsx_codeMinorFieldName": "TargetEndSystem", "imsx_codeMinorFieldValue": code_minor}
            ]
        },
    }
    shapes = {
        "standard": bare if version == V11 else modern,
        "errors": {"errors": [bare]},
        "statusInfoSet": {"statusInfoSet": [{f"imsx_{key}": value for key, value in bare.items()}]},
        "wrapped": {"imsx_StatusInfo": modern},
        "bare": bare,
        "modern": modern,
    }
    return shapes[shape]


def _segment(sourced_id: str) -> str:
    """An id as one segment of a path. Generated ids (`u-1000`) need no quoting, which would cost more than the rest."""
    return sourced_id if sourced_id[2:].isdigit() and sourced_id[:2] == "u-" else quote(sourced_id, safe="")


def _filled(person: Person, members: Mapping[str, str]) -> Record:
    return {name: value for name, field in members.items() if (value := getattr(person, field))}


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
        return {"href": f"{self.root}/{collection}/{quote(sourced_id, safe='')}", "sourcedId": sourced_id, "type": kind}

    def org_ref(self, sourced_id: str) -> Record:
        """A reference to an org: the same dictionary every time; do not change it."""
        ref = self._org_refs.get(sourced_id)
        if ref is None:
            ref = self._org_refs[sourced_id] = self.ref("orgs", "org", sourced_id)
        return ref

    def user_ref(self, sourced_id: str) -> Record:
        return {"href": self._users + _segment(sourced_id), "sourcedId": sourced_id, "type": "user"}

    def agents(self, person: Person) -> list[Record]:
        refs = [self.user_ref(self.id_of(row)) for row in person.agents]
        if person.agent_ids:
            refs += [self.user_ref(sourced_id) for sourced_id in person.agent_ids]
        if person.agent_members:
            refs = [{**ref, **person.agent_members.get(ref["sourcedId"], {})} for ref in refs]
        return refs

    def user(self, person: Person) -> Record:
        record: Record = {
            "sourcedId": person.sourced_id,
            "status": person.status,
            "dateLastModified": person.modified,
            "enabledUser": "true" if person.enabled else "false",
            "givenName": person.given_name,
            "familyName": person.family_name,
            **_filled(person, OPTIONAL),
        }
        if person.state_id:
            record["userIds"] = [{"type": "stateID", "identifier": person.state_id}]
        if person.agents or person.agent_ids:
            record["agents"] = self.agents(person)
        if person.grades:
            record["grades"] = list(person.grades)
        if person.metadata:
            record["metadata"] = dict(person.metadata)
        return record | (self._only_11(person) if self.version == V11 else self._only_12(person))

    def _only_11(self, person: Person) -> Record:
        role = person.roles[0].role if person.roles else "student"
        record: Record = {
            "username": person.username,
            "role": LEGACY_ROLES.get(role, role),
            "orgs": [self.org_ref(org) for org in dict.fromkeys([entry.org for entry in person.roles]) if org],
        }
        if preferred := _filled(person, PREFERRED_11):
            record["metadata"] = {**(person.metadata or {}), **preferred}
        return record

    def _only_12(self, person: Person) -> Record:
        record: Record = {
            "roles": [self.role(entry) for entry in person.roles if entry.org],
            **_filled(person, OPTIONAL_12),
        }
        if person.state_id:
            record["userMasterIdentifier"] = f"urn:state:{person.state_id}"
        primary_org = person.primary_org or (person.roles[0].org if len(person.roles) > 1 else "")
        if primary_org:
            record["primaryOrg"] = self.org_ref(primary_org)
        return record

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
