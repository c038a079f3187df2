"""Test Your Information: checks the connection to one school's SIS item by item, the records that a sync would use, and
the contacts that it would accept. The last result is stored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import pandas as pd

from roster_pipeline.cleaning.clean import CleaningContext, clean
from roster_pipeline.cleaning.contact_preview import Accepted, previewed, text_of
from roster_pipeline.cleaning.contact_rules import ContactContext
from roster_pipeline.cleaning.rejections import RULES
from roster_pipeline.cleaning.roles import school_orgs
from roster_pipeline.directory import tenant_changes, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.errors import with_keys
from roster_pipeline.frames import REJECTED_COLUMNS, frame_of
from roster_pipeline.oneroster.bundle import check_bundle_schools
from roster_pipeline.oneroster.collections.wanted import Batch
from roster_pipeline.oneroster.connection_test import check_schools, with_what_is_known
from roster_pipeline.oneroster.connection_test_items import ROLE_NAMES, CheckItem, Placed, TestedSchool, Watcher
from roster_pipeline.oneroster.http.endpoint import Limits
from roster_pipeline.oneroster.presets import UnknownPreset, preset
from roster_pipeline.org_tree import GONE_STATUSES, org_meant, orgs_below
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.sync.fetch_strategy import client_of, is_bundle, source_of_connection
from roster_pipeline.vocabulary import people_of

MOST_UNUSABLE = 0.1
"""If a larger share of a role's records is unusable, the problem concerns all records and not a few."""
NAME = "Usable records"
NOBODY = "nobody has a role that is rostered here, so no record was judged"
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
"""Remedies for the rules that most often reject records."""
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


def check_connection(database: Database, school_key: str, limits: Limits | None = None) -> list[dict[str, Any]]:
    """Try everything that a sync of this school needs, and store the result with the school. limits: see `items_of`.
    Returns one mapping per item: name, ok (True green, False red, None information only), detail, remedy. Counts
    only."""
    school = database.call(tenants.get_school, school_key)
    learned: dict[str, Any] = {}
    items = items_of(school.connection, school.settings, limits, keep=learned.update, name=school.name)
    plain = [item_as_data(item, school) for item in items]
    with database.begin() as conn:
        if tenants.get_school(conn, school_key).connection.revision == school.connection.revision:
            tenants.remember(conn, school.connection.id, learned)
        tenant_changes.save_test(conn, school, plain)
    return plain


def item_as_data(item: CheckItem, school: tenants.SchoolRow) -> dict[str, Any]:
    """An item as plain data; its remedy names the school and its connection by their keys."""
    remedy = with_keys(item.remedy or "", school=school.key, connection=school.connection.key)
    return asdict(item) | {"remedy": remedy}


def items_of(
    connection: tenants.ConnectionRow,
    chosen: SchoolSettings,
    limits: Limits | None = None,
    keep: Callable[[Mapping[str, Any]], object] = dict,
    name: str = "",
) -> Iterator[CheckItem]:
    """Give each item as soon as it is known. Nothing is stored. limits: limits that replace those of a sync. keep: is
    called at the end with what was learned of the server. name: our name of the school."""
    return (item for _, item in items_of_schools(connection, [(chosen, name)], limits, keep))


def items_of_schools(
    connection: tenants.ConnectionRow,
    schools: Sequence[tuple[SchoolSettings, str]],
    limits: Limits | None = None,
    keep: Callable[[Mapping[str, Any]], object] = dict,
) -> Iterator[Placed]:
    """`items_of` for several schools (settings, name), their SIS read once; with the place of each item's school."""
    settings = connection.settings
    watchers: list[tuple[UsableRecords, ContactPreview]] = []
    tested: list[TestedSchool] = []
    for chosen, name in schools:
        today = datetime.now(chosen.zone).date()
        watchers.append((UsableRecords(settings, chosen, today), ContactPreview(settings, chosen, today)))
        rostered, watcher = frozenset(chosen.rostered), _Both(*watchers[-1])
        contacts, below = chosen.primary_contacts, chosen.include_orgs_below
        tested.append(TestedSchool(chosen.school_id, rostered, contacts, below, name, watcher))
    enrollments = settings.no_enrollment_means_gone
    if is_bundle(connection):
        old_days = min(chosen.guards.bundle_age_days for chosen, _ in schools)
        source = source_of_connection(connection)
        yield from check_bundle_schools(source, tested, old_days=old_days, enrollments=enrollments)
    else:
        sis = None
        with suppress(UnknownPreset):  # it is not in the list any more
            sis = preset(settings.sis)
        with client_of(connection, limits) as client:
            per_school = settings.strategy == "per_school"
            items = check_schools(client, tested, per_school=per_school, enrollments=enrollments)
            yield from with_what_is_known(items, sis) if sis is not None else items
            keep(client.learned)
    for place, of_school in enumerate(watchers):
        yield from ((place, item) for each in of_school for item in each.items())


class _Both:
    """Passes the batches of a test to several watchers."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def start(self) -> None:
        for one in self._watchers:
            one.start()

    def take(self, batch: Batch) -> None:
        for one in self._watchers:
            one.take(batch)


class UsableRecords:
    """Takes batches, keeps the records of the school, and judges them at the end; `start` forgets them."""

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
        if batch.kind == "org":
            self._orgs += batch.records
            return
        here = _orgs_that_count(self._orgs, self._settings)
        self._users += [user for user in batch.records if any(entry["org"] in here for entry in user["roles"])]
        self._rejects += [one for one in batch.rejects if one["severity"] == "error"]

    def items(self) -> Iterator[CheckItem]:
        """One item for each rostered role with more than a tenth unusable records, else one green for all."""
        if not self._users and not self._rejects:
            return
        names = ("collection", "sourcedId", "field", "rule", "severity", "role")
        rows = [[one.get(name) for name in names] for one in self._rejects]
        at_ingest = pd.DataFrame(rows, columns=list(REJECTED_COLUMNS)).astype("str") if rows else None
        school, below = org_meant(self._orgs, self._settings.school_id), self._settings.include_orgs_below
        orgs = school_orgs(self._orgs, school, include_below=below)
        context = CleaningContext(school, self._settings, self._connection, self._today, orgs)
        cleaned = clean(frame_of(self._users), frame_of([]), context, rejected_at_ingest=at_ingest)
        rejected = pd.concat([cleaned.rejected, *([] if at_ingest is None else [at_ingest])], ignore_index=True)
        errors = rejected[(rejected["severity"] == "error") & (rejected["collection"] == "users")]
        counted = cleaned.roster[cleaned.roster["record_status"].isin(COUNTED)]
        red = [item for role in (*self._settings.rostered, UNKNOWN) for item in _unusable(role, counted, errors)]
        yield from red
        if not red:
            good = len(counted) - errors["sourced_id"].nunique()
            judged = f"{good} of {len(counted)} can be used" if len(counted) else NOBODY
            yield CheckItem(NAME, True if len(counted) else None, judged)


def _orgs_that_count(orgs: list[dict[str, Any]], settings: SchoolSettings) -> frozenset[str]:
    """The orgs whose people count as people of the school."""
    school = org_meant(orgs, settings.school_id)
    return (orgs_below(orgs, school) if settings.include_orgs_below else frozenset()) | {school}


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
        if batch.kind == "org":
            self._orgs += batch.records
            return
        if not self._wanted:
            return
        if self._here is None:
            self._here = _orgs_that_count(self._orgs, self._context.settings)
        for user in batch.records:
            if user["status"] in GONE_STATUSES:
                continue
            if any(entry["org"] in self._here and entry["role"] == "student" for entry in user["roles"]):
                self._students.append({name: user.get(name) for name in READ_BY_RULES})
            elif any((entry["role"] or "").strip().lower() in self._contact_roles for entry in user["roles"]):
                self._contacts.append({name: user.get(name) for name in READ_BY_RULES})

    def items(self) -> Iterator[CheckItem]:
        """One item for each field that the rules look at, one for all together; none without contacts."""
        if not self._wanted or not self._students or not self._contacts:
            return
        found = previewed(frame_of(self._students), frame_of(self._contacts), self._context)
        if not found:
            return
        *single, together = found
        yield from map(_rule_item, single)
        reach = (
            f"{together.students} of {people_of('student', len(self._students))} of this school would have a contact"
        )
        if not single:
            yield CheckItem(RULES_NAME, None, f"none set: {_accepted(together)}; {reach}")
        elif len(single) > 1 and not together.accepted:
            yield CheckItem(RULES_NAME, None, "none would be accepted by all rules together", RULES_REMEDY)
        else:
            yield CheckItem(RULES_NAME, bool(together.accepted) or None, f"{_accepted(together)}; {reach}")


def _rule_item(rule: Accepted) -> CheckItem:
    name = f"Contact rule on {rule.field}"
    if not rule.delivered:
        what = _accepted(rule) if rule.accepted else "none would be accepted"
        return CheckItem(name, None, f"{rule.rule}: {what}: no contact has this field", FIELD_REMEDY)
    if not rule.accepted:
        return CheckItem(name, None, f"none would be accepted: {rule.rule} ({text_of(rule.kinds)})", RULES_REMEDY)
    return CheckItem(name, True, f"{rule.rule}: {_accepted(rule)}")


def _accepted(rule: Accepted) -> str:
    return f"{rule.accepted} of {people_of('contact', rule.contacts)} would be accepted ({text_of(rule.kinds)})"
