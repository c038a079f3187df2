"""The rows of each CSV file, made of the same objects that the REST side serves."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from roster_pipeline.simulator.catalog import ROUTES, Listing
from roster_pipeline.simulator.payload import Record
from roster_pipeline.simulator.view import View

Row = dict[str, str]
METADATA = "metadata."
ROOT = "https://sis.example"
"""References need some root URL; CSV drops it."""


def rows_of(view: View, name: str, since: datetime | None) -> Iterator[Row]:
    """The rows of one file as column -> text; with `since` only what changed from then on, those marked `tobedeleted`
    included.

    Without `since` (bulk) people marked `tobedeleted` are left out: a bulk file is the truth, and its status column
    is blank.
    """
    if name == "roles":
        yield from _roles(view, since)
        return
    listing = ROUTES[(name,)].make(view, ())
    spell = SPELLINGS[name]
    for record in _wanted(listing, since):
        yield spell(record) | _stamp(record, since)


def _wanted(listing: Listing, since: datetime | None) -> Iterator[Record]:
    for position in listing.positions:
        record = listing.render(position)
        if since is None and record["status"] != "tobedeleted":
            yield record
        if since is not None and datetime.fromisoformat(record["dateLastModified"]) >= since:
            yield record


def _stamp(record: Record, since: datetime | None) -> Row:
    if since is None:
        return {"status": "", "dateLastModified": ""}
    return {"status": record["status"], "dateLastModified": record["dateLastModified"]}


def _roles(view: View, since: datetime | None) -> Iterator[Row]:
    for record in _wanted(ROUTES[("users",)].make(view, ()), since):
        for number, entry in enumerate(record["roles"]):
            yield {
                "sourcedId": f"{record['sourcedId']}.r{number + 1}",
                "userSourcedId": record["sourcedId"],
                "roleType": entry["roleType"],
                "role": entry["role"],
                "beginDate": entry.get("beginDate", ""),
                "endDate": entry.get("endDate", ""),
                "orgSourcedId": _id(entry["org"]),
            } | _stamp(record, since)


def _id(reference: Any) -> str:
    return str(reference["sourcedId"]) if reference else ""


def _metadata(record: Record) -> Row:
    """One column per key, as the standard's extensions have it; true and false in lower case. Not those in which the
    1.1 of REST has preferred names: the file has none."""
    told = {name: value for name, value in record.get("metadata", {}).items() if not name.startswith("preferred")}
    return {
        f"{METADATA}{name}": "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in told.items()
    }


def _ids(references: Any) -> str:
    return ",".join(map(_id, references or ()))


def _plain(record: Record, *names: str) -> Row:
    return {name: str(record.get(name, "")) for name in ("sourcedId", *names)}


def _user(record: Record) -> Row:
    row = _plain(
        record, "enabledUser", "username", "givenName", "familyName", "middleName", "identifier", "email", "sms",
        "phone", "role", "userMasterIdentifier",
    )  # fmt: skip
    return row | {
        "userIds": ",".join(f"{{{entry['type']}:{entry['identifier']}}}" for entry in record.get("userIds", ())),
        "orgSourcedIds": _ids(record.get("orgs")),
        "agentSourcedIds": _ids(record.get("agents")),
        "grades": ",".join(record.get("grades", ())),
        "preferredGivenName": record.get("preferredFirstName", ""),
        "preferredMiddleName": record.get("preferredMiddleName", ""),
        "preferredFamilyName": record.get("preferredLastName", ""),
        "primaryOrgSourcedId": _id(record.get("primaryOrg")),
        **_metadata(record),
    }


def _org(record: Record) -> Row:
    return _plain(record, "name", "type", "identifier") | {"parentSourcedId": _id(record.get("parent"))}


def _session(record: Record) -> Row:
    row = _plain(record, "title", "type", "startDate", "endDate", "schoolYear")
    return row | {"parentSourcedId": _id(record.get("parent"))}


def _course(record: Record) -> Row:
    return _plain(record, "title", "courseCode") | {
        "grades": ",".join(record["grades"]),
        "orgSourcedId": _id(record["org"]),
        "schoolYearSourcedId": _id(record["schoolYear"]),
    }


def _class(record: Record) -> Row:
    return _plain(record, "title", "classCode", "classType") | {
        "courseSourcedId": _id(record["course"]),
        "schoolSourcedId": _id(record["school"]),
        "termSourcedIds": _ids(record["terms"]),
    }


def _enrollment(record: Record) -> Row:
    return _plain(record, "role", "primary", "beginDate", "endDate") | {
        "classSourcedId": _id(record["class"]),
        "schoolSourcedId": _id(record["school"]),
        "userSourcedId": _id(record["user"]),
    }


SPELLINGS: dict[str, Callable[[Record], Row]] = {
    "academicSessions": _session,
    "orgs": _org,
    "courses": _course,
    "classes": _class,
    "users": _user,
    "enrollments": _enrollment,
    "demographics": lambda record: _plain(record, "birthDate", "sex"),
}
"""File -> how one object becomes a row."""
