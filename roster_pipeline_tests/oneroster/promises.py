"""The client's promises for any payload: no crash, nobody lost without a note, one shape, storable, no passwords."""

import re
from collections.abc import Sequence
from typing import Any

import httpx
import orjson

from roster_pipeline.oneroster import OneRosterError
from roster_pipeline.oneroster.collections.response_body import records_of
from roster_pipeline.oneroster.http.response import Response
from roster_pipeline.oneroster.records.orgs import orgs_of
from roster_pipeline.oneroster.records.user_records import UserReader

TEXTS = (
    *("status", "dateLastModified", "username", "identifier", "userMasterIdentifier", "givenName", "familyName"),
    *("middleName", "preferredFirstName", "preferredMiddleName", "preferredLastName", "email", "sms", "phone"),
)
MEMBERS = {"sourcedId", "enabledUser", "userIds", "roles", "agents", "grades", "metadata", *TEXTS}
ROLE_MEMBERS = {"role", "roleType", "org", "beginDate", "endDate"}
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")


def keeps_promises_of_users(records: Sequence[Any]) -> None:
    """Normalise and check the whole result."""
    users, rejects = UserReader(("jp.kana", "homeroom")).page(records)
    errors = [reject for reject in rejects if reject["severity"] == "error"]
    assert len(records) == len(users) + len(errors)
    assert all(set(reject) == {"sourcedId", "collection", "field", "rule", "severity"} for reject in rejects)
    for user in users:
        _is_a_user(user)
    orgs, rejects = orgs_of(records)
    assert len(records) == len(orgs) + sum(reject["severity"] == "error" for reject in rejects)
    orjson.dumps(orgs)


def keeps_promises_of_bodies(body: bytes) -> None:
    """Assert that a body gives a page of records or a typed error, and nothing else."""
    reply = Response(200, httpx.Headers({"Content-Type": "application/json"}), body, "http://sis.example.org/users")
    try:
        records, total, _, _ = records_of(reply, "users", "/users")
    except OneRosterError:
        return
    assert isinstance(records, list)
    assert total is None or total >= 0
    keeps_promises_of_users(records)


def _is_a_user(user: dict[str, Any]) -> None:
    assert set(user) - {"unreadable"} == MEMBERS
    assert all(not user[name] for name in user.get("unreadable", ()) if name in (*TEXTS, "enabledUser"))
    assert isinstance(user["sourcedId"], str)
    assert user["sourcedId"] == user["sourcedId"].strip() != ""
    assert user["enabledUser"] in (True, False, None)
    for name in TEXTS:
        assert user[name] is None or (isinstance(user[name], str) and user[name] == user[name].strip() != "")
    for entry in user["roles"]:
        assert set(entry) == ROLE_MEMBERS
        assert all(value is None or (isinstance(value, str) and value) for value in entry.values())
        assert all(entry[name] is None or _DATE.match(entry[name]) for name in ("beginDate", "endDate"))
    for name in ("agents", "grades"):
        assert all(isinstance(value, str) and value for value in user[name])
    for entry in user["userIds"]:
        assert set(entry) == {"type", "identifier"}
        assert isinstance(entry["identifier"], str)
    assert set(user["metadata"]) <= {"jp.kana", "homeroom"}
    assert "\x00" not in orjson.dumps(user).decode()
    assert b"\\u0000" not in orjson.dumps(user)
