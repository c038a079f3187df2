"""Test Your Information: what works between us and one school's SIS, item by item; the last result is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import ConnectionRow
from roster_pipeline.oneroster.bundle import check_bundle
from roster_pipeline.oneroster.connection_test.check import check_items
from roster_pipeline.oneroster.connection_test.item import CheckItem
from roster_pipeline.oneroster.http.endpoint import Limits
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.sync.client_factory import client_of, is_bundle, source_of_connection
from roster_pipeline.sync.usable_records import UsableRecords


def check_connection(database: Database, school_key: str) -> list[dict[str, Any]]:
    """Try everything a sync of this school needs, and keep the result beside the school.

    Returns one mapping per item: name, ok (True green, False red, None information only), detail, remedy. Counts only.
    """
    with database.begin() as connection:
        school = tenants.get_school(connection, school_key)
    learned: dict[str, Any] = {}
    plain = [
        asdict(item) for item in items_of(school.connection, school.settings, keep=learned.update, name=school.name)
    ]
    with database.begin() as connection:
        tenants.save_test(connection, school, plain)
        if tenants.get_school(connection, school_key).connection.revision == school.connection.revision:
            tenants.remember(connection, school.connection.id, learned)
    return plain


def items_of(
    connection: ConnectionRow,
    chosen: SchoolSettings,
    limits: Limits | None = None,
    keep: Callable[[Mapping[str, Any]], object] = dict,
    name: str = "",
) -> Iterator[CheckItem]:
    """Each item as soon as it is known; nothing is kept. limits: other bounds than those of a sync.

    keep: gets what was learned of the server, at the end. name: what we call the school.
    """
    usable = UsableRecords(connection.settings, chosen, datetime.now(chosen.zone).date())
    if is_bundle(connection):
        source = source_of_connection(connection)
        yield from check_bundle(
            source,
            chosen.school_id,
            chosen.rostered,
            contacts=chosen.primary_contacts,
            old_days=chosen.guards.bundle_age_days,
            include_orgs_below=chosen.include_orgs_below,
            watcher=usable,
        )
        yield from usable.items()
        return
    with client_of(connection, limits) as client:
        yield from check_items(
            client,
            chosen.school_id,
            chosen.rostered,
            contacts=chosen.primary_contacts,
            per_school=connection.settings.strategy == "per_school",
            include_orgs_below=chosen.include_orgs_below,
            name=name,
            watcher=usable,
        )
        keep(client.learned)
    yield from usable.items()
