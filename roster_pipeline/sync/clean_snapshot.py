"""Clean: makes a roster, a list of rejected records and quality results from the newest snapshot of a school."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from roster_pipeline.cleaning.clean import Cleaned, CleaningContext, clean
from roster_pipeline.cleaning.contact_rules import AGENTS, METADATA, contact_fields, stored_key, withheld_fields
from roster_pipeline.cleaning.quality import not_tested, run_suite
from roster_pipeline.cleaning.quality_suite import QualitySuiteError, installed_suite
from roster_pipeline.cleaning.rejections import not_among
from roster_pipeline.cleaning.roles import school_orgs
from roster_pipeline.directory import pulls, rosters, snapshots, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.sync_summary import latest_snapshot
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.frames import frame_of, infrequent_collection
from roster_pipeline.planning.plan_stats import people_by_role
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.sync.error_messages import SyncError

CONTACT_FIELDS_SEEN = "contact_fields"
"""A key in what was learned of a connection: the fields of contact rules that some contact once had."""


@dataclass(frozen=True)
class CleanedCounts:
    """One cleaned snapshot as numbers. `quality`: rule, role, check_name, severity, passed, tested, failed."""

    snapshot_id: int
    people: int
    rejected: int
    by_role: Mapping[str, int]
    quality: list[dict[str, Any]]


@infrequent_collection()
def clean_latest(database: Database, school_key: str, *, run_id: str | None) -> CleanedCounts:
    """Clean the school's newest snapshot and test its quality. It writes roster and results in one transaction."""
    with database.begin() as conn:
        school, facts = latest_snapshot(conn, school_key, run_id)
        if facts is None:
            raise SyncError(school_key, "nothing was fetched yet", f"Run: roster sync {school_key}")
        snapshot_id = int(facts["id"])
        raw = snapshots.load(conn, snapshot_id)
        orgs = snapshots.list_orgs(conn, facts["pull_id"], str(facts["school_sourced_id"]), raw.users)
        withheld = withheld_from(conn, school, facts["pull_id"])
    cleaned = cleaned_records(school, str(facts["school_sourced_id"]), raw, orgs, withheld)
    rejected = pd.concat([cleaned.rejected, raw.rejected], ignore_index=True) if len(raw.rejected) else cleaned.rejected
    quality = _tested(cleaned.roster, rejected, school.settings)
    by_role = people_by_role(cleaned.roster)
    with database.begin() as conn:
        masters = int(cleaned.roster["master_identifier"].notna().sum())
        counts = {"roles": by_role, "flags": cleaned.contact_flags, "masters": masters}
        rosters.write(
            conn, snapshot_id, cleaned.roster, rejected, cleaned.excluded_contacts, quality=quality, counts=counts
        )
    return CleanedCounts(
        snapshot_id=snapshot_id,
        people=sum(by_role.values()),
        rejected=int((rejected["severity"] == "error").sum()),
        by_role=by_role,
        quality=[
            {str(name): None if pd.isna(value) else value for name, value in row.items()}
            for row in quality.to_dict("records")
        ],
    )


def cleaned_records(
    school: SchoolRow,
    sourced_id: str,
    raw: snapshots.Raw,
    orgs: Sequence[Mapping[str, Any]],
    withheld: frozenset[str],
) -> Cleaned:
    """The records of a snapshot as a roster. sourced_id: the school's org; orgs: as `snapshots.list_orgs` has them."""
    settings = school.settings
    context = CleaningContext(
        school_id=sourced_id,
        settings=settings,
        connection=school.connection.settings,
        today=datetime.now(settings.zone).date(),
        orgs=school_orgs(orgs, sourced_id, include_below=settings.include_orgs_below),
        withheld=withheld,
    )
    return clean(
        frame_of(raw.users), frame_of(not_among(raw.contacts, raw.users)), context, rejected_at_ingest=raw.rejected
    )


def _tested(roster: pd.DataFrame, rejected: pd.DataFrame, settings: SchoolSettings) -> pd.DataFrame:
    """The quality results.

    If the suite cannot be read or a library cannot be loaded, that is a result too, and it holds archivals.

    No night fails because of it: new people still come in.
    """
    try:
        return run_suite(installed_suite(), roster, rejected, settings)
    except (QualitySuiteError, ImportError):
        return not_tested()


def withheld_from(conn: Connection, school: SchoolRow, pull_id: int | None) -> frozenset[str]:
    """Find the fields of contact rules that no contact of the whole pull has tonight, and remember the fields that some
    have."""
    chosen, own = school.connection.settings, school.connection
    keys = {field: stored_key(field) for field in contact_fields(chosen) if field.startswith((METADATA, AGENTS))}
    if not chosen.contact_rules or not keys or not school.settings.primary_contacts:
        return frozenset()
    roles = school.settings.contact_roles
    scope, held = pulls.metadata_keys(conn, pull_id, roles) if pull_id is not None else ("", set())
    delivered = {field for field, key in keys.items() if key in held}
    memory = f"{CONTACT_FIELDS_SEEN} {scope}".strip()
    withheld = set(own.learned.get(memory, ()))
    if delivered - withheld:
        tenants.remember(conn, own.id, {memory: sorted(withheld | delivered)})
    return withheld_fields(chosen, delivered, withheld)
