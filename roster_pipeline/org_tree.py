"""The orgs of one SIS as a tree: which are schools, and which are below a school. Also the days on which roles begin
and end.

An org is a mapping with `sourcedId`, `type`, `parent` (a sourcedId or None) and `status`, as `oneroster` returns it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Any

Org = Mapping[str, Any]

SCHOOL_TYPES = frozenset(("school", "schools", "department", "departments"))
"""Types under which servers publish schools, lower-cased."""
GONE_STATUSES = frozenset(("tobedeleted", "inactive"))


def day_in(zone: tzinfo, value: str | None) -> str | None:
    """The day in this time zone on which a role begins or ends. A moment is longer than a day (`coercion.day`)."""
    if value is None or len(value) == len("2026-01-31"):
        return value
    return datetime.fromisoformat(value).astimezone(zone).date().isoformat()


def is_school(org: Org) -> bool:
    """Whether the type of an org is one that servers give to schools. A district, or an org without a type, is not a
    school.
    """
    return str(org.get("type") or "").strip().lower() in SCHOOL_TYPES


def is_gone(record: Mapping[str, Any]) -> bool:
    """Whether the SIS marks an org or a person as deleted."""
    return str(record.get("status") or "").strip().lower() in GONE_STATUSES


def orgs_meant(orgs: Iterable[Org], school_id: str) -> list[dict[str, Any]]:
    """The orgs that a School ID may mean, and in `foundBy` why: the one with that sourcedId, else those with that
    identifier. If several have the identifier, those that are not deleted come first, and of them schools.
    """
    wanted, listed = school_id.strip(), list(orgs)
    for org in listed:
        if org["sourcedId"] == wanted:
            return [{**org, "foundBy": "sourcedId"}]
    found = [{**org, "foundBy": "identifier"} for org in listed if org.get("identifier") == wanted]
    found = [org for org in found if not is_gone(org)] or found
    return [org for org in found if is_school(org)] or found


def org_meant(orgs: Iterable[Org], school_id: str) -> str:
    """The sourcedId that a School ID means; the School ID itself if no org or several have it."""
    found = orgs_meant(orgs, school_id)
    return str(found[0]["sourcedId"]) if len(found) == 1 else school_id.strip()


def orgs_below(orgs: Iterable[Org], school_id: str) -> frozenset[str]:
    """The sourcedIds of the children of an org, of their children, and so on; without the org itself."""
    children: dict[str, list[str]] = defaultdict(list)
    for org in orgs:
        if org.get("parent"):
            children[org["parent"]].append(org["sourcedId"])
    below: set[str] = set()
    waiting = [school_id]
    while waiting:
        new = set(children.get(waiting.pop(), ())) - below - {school_id}
        below |= new
        waiting += new
    return frozenset(below)


def other_schools(orgs: Iterable[Org], school_id: str) -> frozenset[str]:
    """The sourcedIds of the listed schools other than this one: a person in one of them may have left this one. An org
    that is deleted, that is not a school, or that is below this school does not count."""
    listed = list(orgs)
    own = orgs_below(listed, school_id) | {school_id}
    return frozenset(
        org["sourcedId"] for org in listed if is_school(org) and not is_gone(org) and org["sourcedId"] not in own
    )
