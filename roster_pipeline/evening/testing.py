"""Test Your Information: what works between us and one school's SIS, item by item; the last result is kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.evening.connecting import client_of, is_bundle, source_of_connection
from roster_pipeline.oneroster.bundle import check_bundle
from roster_pipeline.oneroster.check import check


def check_connection(database: Database, school_key: str) -> list[dict[str, Any]]:
    """Try everything a sync of this school needs, and keep the result beside the school.

    Returns one mapping per item: name, ok (True green, False red, None information only), detail, remedy. Counts only.
    """
    with database.begin() as connection:
        school = tenants.get_school(connection, school_key)
    chosen = school.settings
    if is_bundle(school.connection):
        source = source_of_connection(school.connection)
        items = check_bundle(source, chosen.school_id, chosen.rostered, contacts=chosen.primary_contacts)
    else:
        with client_of(school.connection) as client:
            items = check(
                client,
                chosen.school_id,
                chosen.rostered,
                contacts=chosen.primary_contacts,
                per_school=school.connection.settings.strategy == "per_school",
            )
    plain = [asdict(item) for item in items]
    with database.begin() as connection:
        tenants.save_test(connection, school.id, plain)
    return plain
