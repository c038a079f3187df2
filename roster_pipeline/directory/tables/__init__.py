"""The tables, as SQLAlchemy Core sees them. The DDL that makes them, with triggers and views, is in `migrations/`.

Every table that holds people carries `district_id` in its key and in its foreign keys, so the database itself refuses
a row that reaches into another district.
"""

from __future__ import annotations

from roster_pipeline.directory.tables.accounts import (
    access_grant,
    account,
    console_session,
    oidc_attempt,
    rate,
    sign_in_link,
)
from roster_pipeline.directory.tables.base import metadata
from roster_pipeline.directory.tables.intake import (
    cleaned_roster,
    excluded_contact,
    pull,
    pulled_org,
    pulled_reject,
    pulled_user,
    quality_result,
    raw_contact,
    raw_org,
    raw_reject,
    raw_user,
    rejected_record,
    snapshot,
    witness,
)
from roster_pipeline.directory.tables.ledger import audit, change_log, failure, outbox, sync
from roster_pipeline.directory.tables.monitoring import alert, digest, night
from roster_pipeline.directory.tables.on_demand import asked_run, trial
from roster_pipeline.directory.tables.people import apart, contact, link, membership, person
from roster_pipeline.directory.tables.planning import approval, plan, plan_row, verdict
from roster_pipeline.directory.tables.tenants import application, connection, district, school

__all__ = [
    "access_grant",
    "account",
    "alert",
    "apart",
    "application",
    "approval",
    "asked_run",
    "audit",
    "change_log",
    "cleaned_roster",
    "connection",
    "console_session",
    "contact",
    "digest",
    "district",
    "excluded_contact",
    "failure",
    "link",
    "membership",
    "metadata",
    "night",
    "oidc_attempt",
    "outbox",
    "person",
    "plan",
    "plan_row",
    "pull",
    "pulled_org",
    "pulled_reject",
    "pulled_user",
    "quality_result",
    "rate",
    "raw_contact",
    "raw_org",
    "raw_reject",
    "raw_user",
    "rejected_record",
    "school",
    "sign_in_link",
    "snapshot",
    "sync",
    "trial",
    "verdict",
    "witness",
]
