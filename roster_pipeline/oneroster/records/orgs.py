"""Orgs as one kind of record, the meaning of users' references to orgs, and the members of schools.

A user names an org by its sourcedId, or in other ways: several ids in one text, an id in other letters or quotes, the
identifier or name of a school. Such a text is read if the list of orgs leaves no doubt. Otherwise it stays as it is, as
an org that the SIS does not list. Such orgs are counted; one of them may be this school.

Memberships come from enrollments or from the schools' own lists. They need memory for one entry per person of the
district, as long as the pull runs.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta, timezone
from functools import cache
from typing import Any

from roster_pipeline.oneroster.http.response import folded
from roster_pipeline.oneroster.records.coercion import (
    ID_NULLS,
    NO_TEXTS,
    UNREADABLE,
    own_id,
    reference,
    references,
    split_ids,
    text,
)
from roster_pipeline.oneroster.records.role_entries import CONTACT_ROLES, Dates, role_name
from roster_pipeline.oneroster.records.user_records import reject, status_text
from roster_pipeline.oneroster.records.usual_users import ReadUser
from roster_pipeline.org_tree import GONE_STATUSES, day_in

_NAMES = ("sourcedId", "status", "name", "type", "identifier", "parent", "dateLastModified")
_FOLDED = {folded(name): name for name in _NAMES} | {"parentsourcedid": "parent", "sourceid": "sourcedId"}
_ANY_SEPARATOR = re.compile(r"[\s,;|/:&+]+")
"""Some of these may be part of an id, so a text is split at them only if each part is the id of a listed org."""
_LETTERS = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d+")
UNREAD = "enrollments-unread"
"""Problem: the SIS offers no enrollments, or enrollments.csv is missing, empty or damaged."""
IN_PART = "enrollments-in-part"
"""Problem: the manifest does not call enrollments.csv bulk, so it does not show who has no enrollment."""
UNREADABLE_ROWS = "unreadable-rows:enrollments"
ENROLLMENTS_UNKNOWN = frozenset((UNREAD, IN_PART, UNREADABLE_ROWS))
"""Problems of a pull that had to read who is enrolled and could not: its students have no `notEnrolled`."""

Span = tuple[str | None, str | None]
"""Begin and end as YYYY-MM-DD; None is open."""
USER = ("user", "usersourcedid")
SCHOOL = ("school", "schoolsourcedid", "org", "orgsourcedid")
CLASS = ("class", "classsourcedid")
"""Folded names of the members that refer to these, the standard's first, then those of its CSV files."""
_LAST_ZONE = timezone(timedelta(hours=14))
"""The zone in which a moment has the latest day: schools of one connection may be in several."""


def orgs_of(records: Sequence[Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Normalised orgs and rejects of one page. The type stays as it is, because servers call schools by many names."""
    rejects: list[dict[str, Any]] = []
    orgs = [org for record in records if (org := org_of(record, rejects)) is not None]
    parents = _parents_by_children(records)
    for org in orgs if parents else ():
        org["parent"] = org["parent"] or parents.get(org["sourcedId"])
    return orgs, rejects


def _parents_by_children(records: Sequence[Any]) -> dict[str, str]:
    """Parents by child, from orgs of a page that name their children."""
    parents: dict[str, str] = {}
    for record in records:
        if isinstance(record, dict) and record.get("children"):
            parent = text(record.get("sourcedId"), ID_NULLS)
            if isinstance(parent, str):
                parents.update(dict.fromkeys(references(record["children"], ",;")[0], parent))
    return parents


def org_of(record: Any, rejects: list[dict[str, Any]]) -> dict[str, Any] | None:
    """One normalised org, or None and a reject. A parent that cannot be read becomes None."""
    if not isinstance(record, dict):
        rejects.append(reject(None, "orgs", "record", "not-an-object"))
        return None
    members = {_FOLDED.get(folded(name), name): value for name, value in record.items()}
    members |= {name: record[name] for name in _NAMES if name in record}
    sourced_id = own_id(members.get("sourcedId"))
    if not isinstance(sourced_id, str):
        rule = "sourced-id-missing" if sourced_id is None else "sourced-id-unreadable"
        rejects.append(reject(None, "orgs", "sourcedId", rule))
        return None
    org: dict[str, Any] = {"sourcedId": sourced_id}
    for name in ("name", "type", "identifier", "dateLastModified"):
        value = text(members.get(name), NO_TEXTS) if name == "name" else text(members.get(name))
        if value is UNREADABLE:
            rejects.append(reject(sourced_id, "orgs", name, "not-a-text", "warning"))
            value = None
        org[name] = value
    org["status"] = status_text(members.get("status"))
    parent = reference(members.get("parent"))
    org["parent"] = parent if isinstance(parent, str) else None
    return org


class OrgReferences:
    """The orgs of one pull. `note` all of them before the first `place`.

    unlisted: how many people, without guardians and deleted records, name an org that is not listed, and that cannot be
    read otherwise. respelled: how many name one that is spelled in another way than its sourcedId, and could be read.
    roles_seen, roles_with_org: the roles of all placed users, and those that came with a listed org.
    """

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.unlisted = self.respelled = 0
        self.roles_seen: set[str | None] = set()
        self.roles_with_org: set[str | None] = set()
        self._by_spelling: dict[str, set[str]] = defaultdict(set)
        self._shapes: set[str] = set()
        self._parents: dict[str, str] = {}
        self.meant = cache(self._meant)

    def note(self, orgs: Iterable[dict[str, Any]]) -> None:
        """Add orgs that the SIS lists."""
        for org in orgs:
            sourced_id = org["sourcedId"]
            self.ids.add(sourced_id)
            self._shapes.add(_shape(sourced_id))
            if org["parent"]:
                self._parents[sourced_id] = org["parent"]
            for name in ("sourcedId", "identifier", "name"):
                if org[name]:
                    self._by_spelling[org[name].casefold()].add(sourced_id)
        self.meant.cache_clear()

    def above(self, org: str) -> set[str]:
        """The org's parent, the parent's parent, and so on."""
        parents: set[str] = set()
        while (parent := self._parents.get(org)) is not None and parent not in parents:
            parents.add(org := parent)
        return parents

    def place(self, users: Sequence[dict[str, Any]]) -> None:
        """Replace the references of these users by the orgs that they mean, one role entry per org, and count them.
        If the SIS lists no org at all, nothing is replaced."""
        named = {(entry["role"], entry["org"]) for user in users for entry in user["roles"]}
        if self.ids and not self.ids.issuperset(org for _, org in named if org is not None):
            for user in users:
                if any(entry["org"] is not None and entry["org"] not in self.ids for entry in user["roles"]):
                    self._place(user)
            named = {(entry["role"], entry["org"]) for user in users for entry in user["roles"]}
        self.roles_seen.update(role for role, _ in named)
        self.roles_with_org.update(role for role, org in named if org in self.ids)

    def _place(self, user: dict[str, Any]) -> None:
        entries: list[dict[str, Any]] = []
        for entry in user["roles"]:
            orgs = (entry["org"],) if entry["org"] is None else self.meant(entry["org"])
            for org in orgs:
                placed = {**entry, "org": org}
                if placed not in entries:
                    entries.append(placed)
        if user["status"] not in GONE_STATUSES and any(e["role"] not in CONTACT_ROLES for e in user["roles"]):
            unlisted = any(entry["org"] is not None and entry["org"] not in self.ids for entry in entries)
            self.unlisted += unlisted
            self.respelled += not unlisted
        user["roles"] = entries
        if type(user) is ReadUser:
            user.mark = None  # the next pull counts it again

    def _meant(self, text: str) -> tuple[str, ...]:
        """The sourcedIds of the listed orgs that a reference means; the text itself if it cannot be read."""
        if text in self.ids:
            return (text,)
        orgs = [self._only_org(part) for part in split_ids(text)]
        if orgs and None not in orgs:
            return tuple(dict.fromkeys(org for org in orgs if org is not None))
        parts = [part for part in _ANY_SEPARATOR.split(text) if part]
        return tuple(dict.fromkeys(parts)) if parts and self.ids.issuperset(parts) else (text,)

    def _only_org(self, text: str) -> str | None:
        """The only org that a text can mean; None if there are several or none.

        An identifier may look like the sourcedId of an org that is not shared with us: if both are numbers, 101 may be
        either. So it is used only if its form differs from that of all listed sourcedIds.
        """
        if text in self.ids:
            return text
        orgs = self._by_spelling.get(text.casefold(), ())
        if len(orgs) != 1:
            return None
        org = next(iter(orgs))
        return org if text.casefold() == org.casefold() or _shape(text) not in self._shapes else None


def _shape(text: str) -> str:
    """A text with each run of letters as `a` and each run of digits as `9`; other characters stay."""
    return _DIGITS.sub("9", _LETTERS.sub("a", text))


class Memberships:
    """user -> (school, role) -> the span from the earliest begin to the latest end. class_schools: the school of each
    class, for enrollments that name a class and no school. users: those with a membership."""

    def __init__(self, dates: Dates | None = None, class_schools: Mapping[str, str] | None = None) -> None:
        self._of: dict[str, dict[tuple[str, str | None], Span]] = {}
        self.users = self._of.keys()
        self._dates = dates or Dates()
        self._class_schools = class_schools or {}

    def __len__(self) -> int:
        """How many users have a membership."""
        return len(self._of)

    def page(self, records: Sequence[Any]) -> None:
        """Add one page of raw enrollments. Those without user or school, and deleted ones, are ignored."""
        enrollments = [folded_members(record) for record in records]
        self._dates.learn(members.get(name) for members in enrollments for name in ("begindate", "enddate"))
        for members in enrollments:
            self._add(members)

    def _add(self, members: dict[str, Any]) -> None:
        user, school = named_id(members, USER), named_id(members, SCHOOL)
        if school is None and self._class_schools:
            school = self._class_schools.get(named_id(members, CLASS) or "")
        if user is None or school is None or status_text(members.get("status")) in GONE_STATUSES:
            return
        role = role_name(members.get("role"))
        key = (school, role if isinstance(role, str) else None)
        begins, ends = self._dates.day(members.get("begindate")), self._dates.day(members.get("enddate"))
        span: Span = (begins if isinstance(begins, str) else None, ends if isinstance(ends, str) else None)
        spans = self._of.setdefault(user, {})
        spans[key] = _joined(spans[key], span) if key in spans else span

    def add_listed(self, sourced_id: Any, school: str, role: str) -> None:
        """Add a user of a school's own list, by the raw sourcedId."""
        user = text(sourced_id, ID_NULLS)
        if isinstance(user, str):
            self._of.setdefault(user, {})[school, role] = (None, None)

    def mark(self, users: list[dict[str, Any]], today: date, orgs: OrgReferences) -> None:
        """Set `notEnrolled` of students: those of their schools in which they have no current or future enrollment.

        An enrollment in an org below or above the school counts as one in the school. One in an org that the SIS does
        not list may be in any school, so its student is not marked.
        """
        for user in users:
            schools = {entry["org"] for entry in user["roles"] if entry["role"] == "student" and entry["org"]}
            if not schools:
                continue
            named = {school for school, _ in self.running(user["sourcedId"], today)}
            current = {org for reference in named for org in orgs.meant(reference)}
            if orgs.ids and not current <= orgs.ids:
                continue
            covered = current.union(*map(orgs.above, current))
            left = sorted(school for school in schools - covered if not orgs.above(school) & current)
            if left:
                user["notEnrolled"] = left

    def running(self, user: str, today: date) -> list[tuple[str, str | None]]:
        """School and role of the current and future memberships of a user."""
        now, spans = today.isoformat(), self._of.get(user, {})
        return [key for key, (_, ends) in spans.items() if now <= (day_in(_LAST_ZONE, ends) or now)]

    def fill(self, user: dict[str, Any]) -> None:
        """Give a user without orgs the schools of these memberships. A role of the user's own is kept."""
        if any(entry["org"] is not None and entry["role"] is not None for entry in user["roles"]):
            return
        spans = self._of.get(user["sourcedId"])
        if not spans:
            return
        own = [entry["role"] for entry in user["roles"] if entry["role"] is not None]
        joined: dict[tuple[str | None, str], Span] = {}
        for (school, enrolled_as), span in spans.items():
            key = (own[0] if len(own) == 1 else enrolled_as, school)
            joined[key] = _joined(joined[key], span) if key in joined else span
        user["roles"] = [
            {"role": role, "roleType": None, "org": school, "beginDate": begins, "endDate": ends}
            for (role, school), (begins, ends) in joined.items()
        ]


def folded_members(record: Any) -> dict[str, Any]:
    """The members of a raw record by their folded names."""
    return {folded(name): value for name, value in record.items()} if isinstance(record, dict) else {}


def named_id(members: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The sourcedId that the first existing one of these members refers to."""
    sourced_id = reference(next((members[name] for name in names if members.get(name) is not None), None))
    return sourced_id if isinstance(sourced_id, str) else None


def _joined(one: Span, other: Span) -> Span:
    begins = None if one[0] is None or other[0] is None else min(one[0], other[0])
    ends = None if one[1] is None or other[1] is None else max(one[1], other[1])
    return begins, ends
