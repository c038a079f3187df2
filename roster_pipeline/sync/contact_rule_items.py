"""Test Your Information tells what the contact rules of the connection would do with the contacts of the school."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from roster_pipeline.cleaning.contact_preview import Accepted, previewed, text_of
from roster_pipeline.cleaning.contact_rules import ContactContext
from roster_pipeline.frames import frame_of
from roster_pipeline.oneroster.collections.reading import Batch
from roster_pipeline.oneroster.connection_test.items import CheckItem
from roster_pipeline.org_tree import GONE_STATUSES, org_meant, orgs_below
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.vocabulary import people_of

NAME = "Contact rules"
KEPT = ("sourcedId", "status", "dateLastModified", "givenName", "familyName", "roles", "agents", "metadata")
"""What the rules look at; of a contact nothing else is kept while the test runs."""
REMEDY = (
    "Compare the field and its values with what the SIS sends; nobody is a contact until a rule accepts somebody. "
    "Set the rules anew: roster connection set CONNECTION --contact-rule FIELD=VALUES"
)
FIELD_REMEDY = "The rule decides nothing until the SIS sends the field. Check its spelling, and let the SIS share it."


class ContactPreview:
    """Takes the batches of a test, keeps students of the school and contacts, and judges them at the end."""

    def __init__(self, connection: ConnectionSettings, settings: SchoolSettings, today: date) -> None:
        self._context = ContactContext(settings, connection, today)
        self._wanted = settings.primary_contacts
        self._contact_roles = frozenset(settings.contact_roles)
        self.start()

    def start(self) -> None:
        """Begin anew, where the data are read once more."""
        self._orgs: list[dict[str, Any]] = []
        self._students: list[dict[str, Any]] = []
        self._contacts: list[dict[str, Any]] = []
        self._here: frozenset[str] | None = None

    def take(self, batch: Batch) -> None:
        """One batch; orgs come before people."""
        if batch.kind == "org":
            self._orgs += batch.records
            return
        if not self._wanted:
            return
        settings = self._context.settings
        if self._here is None:
            school = org_meant(self._orgs, settings.school_id)
            below = orgs_below(self._orgs, school) if settings.include_orgs_below else frozenset()
            self._here = below | {school}
        for user in batch.records:
            if user["status"] in GONE_STATUSES:
                continue
            if any(entry["org"] in self._here and entry["role"] == "student" for entry in user["roles"]):
                self._students.append({name: user.get(name) for name in KEPT})
            elif any((entry["role"] or "").strip().lower() in self._contact_roles for entry in user["roles"]):
                self._contacts.append({name: user.get(name) for name in KEPT})

    def items(self) -> Iterator[CheckItem]:
        """One item for each field that rules are about, and one for all together; none without contacts."""
        if not self._wanted or not self._students or not self._contacts:
            return
        found = previewed(frame_of(self._students), frame_of(self._contacts), self._context)
        if not found:
            return
        *single, together = found
        yield from map(_item, single)
        told = f"{together.students} of {people_of('student', len(self._students))} of this school would have a contact"
        if not single:
            yield CheckItem(NAME, None, f"none set: {_accepted(together)}; {told}")
        elif len(single) > 1 and not together.accepted:
            yield CheckItem(NAME, None, "none would be accepted by all rules together", REMEDY)
        else:
            yield CheckItem(NAME, bool(together.accepted) or None, f"{_accepted(together)}; {told}")


def _item(one: Accepted) -> CheckItem:
    name = f"Contact rule on {one.field}"
    if not one.delivered:
        what = _accepted(one) if one.accepted else "none would be accepted"
        return CheckItem(name, None, f"{one.rule}: {what}: no contact has this field", FIELD_REMEDY)
    if not one.accepted:
        return CheckItem(name, None, f"none would be accepted: {one.rule} ({text_of(one.kinds)})", REMEDY)
    return CheckItem(name, True, f"{one.rule}: {_accepted(one)}")


def _accepted(one: Accepted) -> str:
    return f"{one.accepted} of {people_of('contact', one.contacts)} would be accepted ({text_of(one.kinds)})"
