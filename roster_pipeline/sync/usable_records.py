"""Finds which of a school's records a sync would use, and which contacts it would accept, for Test Your Information.

The test cleans the records as a sync would, and applies the contact rules of the connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pandas as pd

from roster_pipeline.cleaning.clean import CleaningContext, clean
from roster_pipeline.cleaning.contact_preview import Accepted, previewed, text_of
from roster_pipeline.cleaning.contact_rules import ContactContext
from roster_pipeline.cleaning.rejections import RULES
from roster_pipeline.cleaning.roles import school_orgs
from roster_pipeline.frames import REJECTED_COLUMNS, frame_of
from roster_pipeline.oneroster.collections.reading import Batch
from roster_pipeline.oneroster.connection_test_items import ROLE_NAMES, CheckItem
from roster_pipeline.org_tree import GONE_STATUSES, org_meant, orgs_below
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.vocabulary import people_of

MOST_UNUSABLE = 0.1
"""If a larger share of a role's records is unusable, the problem concerns all records and not a few."""
NAME = "Usable records"
CURES = {
    "missing_name": "Let the SIS share given and family names with this connection.",
    "name_too_long": "Correct these names in the SIS.",
    "unknown_status": "Let the SIS send active, tobedeleted or inactive as status.",
    "unmapped_role": "Say to which group the role belongs: roster school set SCHOOL --map ROLE=GROUP.",
    "sourced-id-missing": "Let the SIS send a sourcedId with every user.",
    "org-unreadable": "Let the SIS name the org of every user by its sourcedId.",
    "roles-and-orgs-unpaired": "Let the SIS say which role belongs to which org, one entry for each.",
    "roles-not-in-delta": "Export the roles in bulk.",
}
"""What to do about the rules that most often reject records."""
CURE = "After a dry run the console shows each of them; have them corrected in the SIS."
COUNTED = ("member", "rejected", "unmapped")
UNKNOWN = "unknown"
RULES_NAME = "Contact rules"
READ_BY_RULES = ("sourcedId", "status", "dateLastModified", "givenName", "familyName", "roles", "agents", "metadata")
"""The fields that the rules look at. While the test runs, nothing else of a contact is kept."""
RULES_REMEDY = (
    "Compare the field and its values with what the SIS sends; nobody is a contact until a rule accepts somebody. "
    "Set the rules again: roster connection set CONNECTION --contact-rule FIELD=VALUES"
)
FIELD_REMEDY = "The rule decides nothing until the SIS sends the field. Check its spelling, and let the SIS share it."


class UsableRecords:
    """Takes the batches of a test, keeps the records of the school, and judges them at the end.

    `start` forgets all records.
    """

    def __init__(self, connection: ConnectionSettings, settings: SchoolSettings, today: date) -> None:
        self._connection = connection
        self._settings = settings
        self._today = today
        self.start()

    def start(self) -> None:
        """Begin again, if the data are read a second time."""
        self._orgs: list[dict[str, Any]] = []
        self._users: list[dict[str, Any]] = []
        self._rejects: list[dict[str, Any]] = []

    def take(self, batch: Batch) -> None:
        """Take one batch. Orgs come before people."""
        if batch.kind == "org":
            self._orgs += batch.records
            return
        here = self._here()
        self._users += [user for user in batch.records if any(entry["org"] in here for entry in user["roles"])]
        self._rejects += [one for one in batch.rejects if one["severity"] == "error"]

    def items(self) -> Iterator[CheckItem]:
        """One item for each rostered role that has more than a tenth unusable records.

        If there is none, one green item for all roles.
        """
        if not self._users and not self._rejects:
            return
        names = ("collection", "sourcedId", "field", "rule", "severity", "role")
        told = [[one.get(name) for name in names] for one in self._rejects]
        rejected_at_ingest = pd.DataFrame(told, columns=list(REJECTED_COLUMNS)).astype("str")
        school, below = org_meant(self._orgs, self._settings.school_id), self._settings.include_orgs_below
        orgs = school_orgs(self._orgs, school, include_below=below)
        context = CleaningContext(school, self._settings, self._connection, self._today, orgs)
        cleaned = clean(
            frame_of(self._users),
            frame_of([]),
            context,
            rejected_at_ingest=rejected_at_ingest if len(rejected_at_ingest) else None,
        )
        rejected = (
            pd.concat([cleaned.rejected, rejected_at_ingest], ignore_index=True)
            if len(rejected_at_ingest)
            else cleaned.rejected
        )
        errors = rejected[(rejected["severity"] == "error") & (rejected["collection"] == "users")]
        counted = cleaned.roster[cleaned.roster["record_status"].isin(COUNTED)]
        red = [item for role in (*self._settings.rostered, UNKNOWN) for item in _unusable(role, counted, errors)]
        yield from red
        if not red:
            bad = errors["sourced_id"].nunique()
            yield CheckItem(NAME, True, f"{len(counted) - bad} of {len(counted)} can be used")

    def _here(self) -> frozenset[str]:
        """The orgs whose people count as people of the school."""
        school = org_meant(self._orgs, self._settings.school_id)
        below = orgs_below(self._orgs, school) if self._settings.include_orgs_below else frozenset()
        return below | {school}


def _unusable(role: str, counted: pd.DataFrame, errors: pd.DataFrame) -> Iterator[CheckItem]:
    if role == UNKNOWN:
        mine = errors[errors["role"].isna() & (errors["rule"] != "unmapped_role")]
        records, of = len(counted) + int(mine["sourced_id"].isna().sum()), "records without a known role"
    else:
        mine = errors[errors["role"] == role]
        records, of = int((counted["role"] == role).sum()), f"records of {ROLE_NAMES[role].lower()}"
    bad = int(mine["sourced_id"].nunique() + mine["sourced_id"].isna().sum())
    if not bad or bad <= MOST_UNUSABLE * max(records, bad):
        return
    rules = mine["rule"].value_counts()
    worst = str(rules.index[0])
    why = RULES.get(worst, worst.replace("-", " ").replace("_", " "))
    detail = f"{bad} of {max(records, bad)} {of} cannot be used; {int(rules.iloc[0])}: {why} ({worst})"
    yield CheckItem(NAME, False, detail, CURES.get(worst, CURE))


class ContactPreview:
    """Takes the batches of a test, keeps students of the school and contacts, and judges them at the end."""

    def __init__(self, connection: ConnectionSettings, settings: SchoolSettings, today: date) -> None:
        self._context = ContactContext(settings, connection, today)
        self._wanted = settings.primary_contacts
        self._contact_roles = frozenset(settings.contact_roles)
        self.start()

    def start(self) -> None:
        """Begin again, if the data are read a second time."""
        self._orgs: list[dict[str, Any]] = []
        self._students: list[dict[str, Any]] = []
        self._contacts: list[dict[str, Any]] = []
        self._here: frozenset[str] | None = None

    def take(self, batch: Batch) -> None:
        """Take one batch. Orgs come before people."""
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
                self._students.append({name: user.get(name) for name in READ_BY_RULES})
            elif any((entry["role"] or "").strip().lower() in self._contact_roles for entry in user["roles"]):
                self._contacts.append({name: user.get(name) for name in READ_BY_RULES})

    def items(self) -> Iterator[CheckItem]:
        """One item for each field that the rules look at, and one for all of them together.

        No items if there are no contacts.
        """
        if not self._wanted or not self._students or not self._contacts:
            return
        found = previewed(frame_of(self._students), frame_of(self._contacts), self._context)
        if not found:
            return
        *single, together = found
        yield from map(_rule_item, single)
        told = f"{together.students} of {people_of('student', len(self._students))} of this school would have a contact"
        if not single:
            yield CheckItem(RULES_NAME, None, f"none set: {_accepted(together)}; {told}")
        elif len(single) > 1 and not together.accepted:
            yield CheckItem(RULES_NAME, None, "none would be accepted by all rules together", RULES_REMEDY)
        else:
            yield CheckItem(RULES_NAME, bool(together.accepted) or None, f"{_accepted(together)}; {told}")


def _rule_item(one: Accepted) -> CheckItem:
    name = f"Contact rule on {one.field}"
    if not one.delivered:
        what = _accepted(one) if one.accepted else "none would be accepted"
        return CheckItem(name, None, f"{one.rule}: {what}: no contact has this field", FIELD_REMEDY)
    if not one.accepted:
        return CheckItem(name, None, f"none would be accepted: {one.rule} ({text_of(one.kinds)})", RULES_REMEDY)
    return CheckItem(name, True, f"{one.rule}: {_accepted(one)}")


def _accepted(one: Accepted) -> str:
    return f"{one.accepted} of {people_of('contact', one.contacts)} would be accepted ({text_of(one.kinds)})"
