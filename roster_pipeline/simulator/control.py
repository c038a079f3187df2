"""The simulator's own endpoints below `<prefix>/simulator/`: faults, days, edits, request log, reset.

For loopback callers only.
"""

from typing import Any

import orjson

from roster_pipeline.simulator.call import Answer, Call
from roster_pipeline.simulator.faults import UnknownFaultError
from roster_pipeline.simulator.person import Person, Role
from roster_pipeline.simulator.sis import Sis

LOOPBACK = ("127.0.0.1", "::1", "testclient", "")
VERBS = ("add", "remove", "restore", "edit", "rename", "move", "set_role", "set_roles")


def control_reply(sis: Sis, call: Call, action: str) -> Answer:
    """Answer one control request; 403 for anybody who is not on this machine, 400 with the reason for what makes no
    sense."""
    if not sis.control or call.client not in LOOPBACK:
        return Answer(403, {"error": "the control endpoints answer loopback callers only"})
    try:
        body: Any = orjson.loads(call.body) if call.body else {}
        return Answer(200, _act(sis, call.method, action, body))
    except (UnknownFaultError, LookupError, ValueError, TypeError) as error:
        return Answer(400, {"error": str(error)})


def _act(sis: Sis, method: str, action: str, body: Any) -> Any:
    match (method, action):
        case ("GET", "faults"):
            return {"on": sis.faults.active(), "known": {f.name: f.does for f in sis.faults.known.values()}}
        case ("POST", "faults"):
            return _set_faults(sis, body)
        case ("POST", "day"):
            return sis.district.next_day(**body)._asdict()
        case ("POST", "edit"):
            return _edit(sis, body)
        case ("GET", "requests"):
            return sis.log.summary()
        case ("POST", "requests"):
            sis.log.clear()
            return {}
        case ("POST", "reset"):
            sis.reset()
            return {}
        case ("GET", "district"):
            return {
                "day": sis.district.day,
                "records": len(sis.district),
                "schools": [org._asdict() for org in sis.district.schools],
            }
        case _:
            raise ValueError("the control endpoints are faults, day, edit, requests, reset and district")


def _set_faults(sis: Sis, body: Any) -> Any:
    """A list of specs (`["page_cap=100"]`) or an object (`{"page_cap": 100, "nulls": true, "link": false}`);
    `{"clear": true}` first."""
    if isinstance(body, list):
        sis.faults.set(*body)
    else:
        if body.pop("clear", False):
            sis.faults.clear()
        sis.faults.set(**body)
    return {"on": sis.faults.active()}


def _edit(sis: Sis, body: dict[str, Any]) -> Any:
    """`{"verb": "move", "sourced_id": "u-1003", "to": "sch-2"}`: a verb of the district and its arguments."""
    verb = body.pop("verb", "edit")
    if verb not in VERBS:
        raise ValueError(f"the verbs are {', '.join(VERBS)}")
    if "roles" in body:
        body["roles"] = tuple(Role(**entry) for entry in body["roles"])
    for name in ("agents", "agent_ids", "grades"):
        if name in body:
            body[name] = tuple(body[name])
    changed = getattr(sis.district, verb)(**body)
    return _shown(changed) if isinstance(changed, Person) else {}


def _shown(person: Person) -> dict[str, Any]:
    """A person as JSON."""
    return person._asdict() | {"roles": [entry._asdict() for entry in person.roles]}
