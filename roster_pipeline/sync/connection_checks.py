"""Test Your Information: checks what works between us and one school's SIS, item by item. The last result is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import ConnectionRow, SchoolRow
from roster_pipeline.errors import with_keys
from roster_pipeline.oneroster.bundle import check_bundle_schools
from roster_pipeline.oneroster.collections.reading import Batch
from roster_pipeline.oneroster.connection_test import check_schools
from roster_pipeline.oneroster.connection_test_items import CheckItem, Placed, TestedSchool, Watcher
from roster_pipeline.oneroster.http.endpoint import Limits
from roster_pipeline.oneroster.presets import SUBJECTS, Preset, UnknownPreset, preset
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.sync.fetch_strategy import client_of, is_bundle, source_of_connection
from roster_pipeline.sync.usable_records import ContactPreview, UsableRecords


def check_connection(database: Database, school_key: str, limits: Limits | None = None) -> list[dict[str, Any]]:
    """Try everything that a sync of this school needs, and store the result with the school. limits: see `items_of`.

    Returns one mapping per item: name, ok (True green, False red, None information only), detail, remedy. Counts only.
    """
    with database.begin() as connection:
        school = tenants.get_school(connection, school_key)
    learned: dict[str, Any] = {}
    items = items_of(school.connection, school.settings, limits, keep=learned.update, name=school.name)
    plain = [item_as_data(item, school) for item in items]
    with database.begin() as connection:
        tenants.save_test(connection, school, plain)
        if tenants.get_school(connection, school_key).connection.revision == school.connection.revision:
            tenants.remember(connection, school.connection.id, learned)
    return plain


def item_as_data(item: CheckItem, school: SchoolRow) -> dict[str, Any]:
    """An item as plain data; its remedy names the school and its connection by their keys."""
    remedy = with_keys(item.remedy or "", school=school.key, connection=school.connection.key)
    return asdict(item) | {"remedy": remedy}


def items_of(
    connection: ConnectionRow,
    chosen: SchoolSettings,
    limits: Limits | None = None,
    keep: Callable[[Mapping[str, Any]], object] = dict,
    name: str = "",
) -> Iterator[CheckItem]:
    """Give each item as soon as it is known. Nothing is stored. limits: limits that replace those of a sync.

    keep: is called at the end with what was learned of the server. name: our name of the school.
    """
    for _, item in items_of_schools(connection, [(chosen, name)], limits, keep):
        yield item


def items_of_schools(
    connection: ConnectionRow,
    schools: Sequence[tuple[SchoolSettings, str]],
    limits: Limits | None = None,
    keep: Callable[[Mapping[str, Any]], object] = dict,
) -> Iterator[Placed]:
    """`items_of` for several schools. Their SIS is read once. Each item has the place of its school in the list.

    schools: settings and name of each.
    """
    settings = connection.settings
    watchers: list[tuple[UsableRecords, ContactPreview]] = []
    tested: list[TestedSchool] = []
    for chosen, name in schools:
        today = datetime.now(chosen.zone).date()
        watchers.append((UsableRecords(settings, chosen, today), ContactPreview(settings, chosen, today)))
        tested.append(
            TestedSchool(
                chosen.school_id,
                frozenset(chosen.rostered),
                chosen.primary_contacts,
                chosen.include_orgs_below,
                name,
                _Both(*watchers[-1]),
            )
        )
    enrollments = settings.no_enrollment_means_gone
    if is_bundle(connection):
        old_days = min(chosen.guards.bundle_age_days for chosen, _ in schools)
        source = source_of_connection(connection)
        yield from check_bundle_schools(source, tested, old_days=old_days, enrollments=enrollments)
    else:
        sis = _preset(settings.sis)
        with client_of(connection, limits) as client:
            per_school = settings.strategy == "per_school"
            items = check_schools(client, tested, per_school=per_school, enrollments=enrollments)
            yield from _with_what_is_known(items, sis) if sis is not None else items
            keep(client.learned)
    for place, of_school in enumerate(watchers):
        yield from ((place, item) for watcher in of_school for item in watcher.items())


def _preset(name: str) -> Preset | None:
    """What is known of the SIS; None if it is not in the list any more."""
    try:
        return preset(name)
    except UnknownPreset:
        return None


def _with_what_is_known(items: Iterator[Placed], sis: Preset) -> Iterator[Placed]:
    """The items. Items that are not green also say what is known of this version of the SIS."""
    version = None
    for place, item in items:
        if item.name == "Version":
            version = "1.2" if "1.2" in item.detail else "1.1"
        subject = next((subject for subject, name in SUBJECTS.items() if name == item.name), None)
        told = [one.says for one in sis.offered(subject, version)] if subject and item.ok is not True else []
        known = f"Known of {sis.display_name}: {' '.join(told)}" if told else ""
        yield place, replace(item, remedy=f"{item.remedy} {known}".strip())


class _Both:
    """Passes what a test reads to several watchers."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def start(self) -> None:
        for one in self._watchers:
            one.start()

    def take(self, batch: Batch) -> None:
        for one in self._watchers:
            one.take(batch)
