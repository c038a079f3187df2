"""The tables, as SQLAlchemy Core sees them. The DDL that makes them, with triggers and views, is in `migrations/`.

Every table that holds people carries `district_id` in its key and in its foreign keys, so the database itself refuses
a row that reaches into another district.
"""

from __future__ import annotations

from roster_pipeline.directory.tables.base import metadata
from roster_pipeline.directory.tables.intake import (
    RAW_VIEWS,
    cleaned_roster,
    excluded_contact,
    pull,
    pull_record,
    pulled_reject,
    quality_result,
    raw_reject,
    rejected_record,
    sis_record,
    snapshot,
    snapshot_record,
    witness,
)
from roster_pipeline.directory.tables.ledger import (
    audit,
    change_log,
    failure,
    outbox,
    school_week,
    sync,
    unreported_decision,
)
from roster_pipeline.directory.tables.on_demand import (
    alert,
    connection_test,
    digest,
    manual_run,
    people_upload,
    scheduled_run,
    sis_school_list,
)
from roster_pipeline.directory.tables.people import (
    announced_leaver,
    contact,
    link,
    link_exclusion,
    membership,
    not_duplicate,
    person,
    person_merge,
)
from roster_pipeline.directory.tables.planning import approval, exemption, plan, plan_row, verdict
from roster_pipeline.directory.tables.tenants import (
    access_grant,
    account,
    application,
    connection,
    console_session,
    district,
    oidc_attempt,
    rate_limit,
    school,
    sign_in_link,
)

__all__ = [
    "RAW_VIEWS",
    "access_grant",
    "account",
    "alert",
    "announced_leaver",
    "application",
    "approval",
    "audit",
    "change_log",
    "cleaned_roster",
    "connection",
    "connection_test",
    "console_session",
    "contact",
    "digest",
    "district",
    "excluded_contact",
    "exemption",
    "failure",
    "link",
    "link_exclusion",
    "manual_run",
    "membership",
    "metadata",
    "not_duplicate",
    "oidc_attempt",
    "outbox",
    "people_upload",
    "person",
    "person_merge",
    "plan",
    "plan_row",
    "pull",
    "pull_record",
    "pulled_reject",
    "quality_result",
    "rate_limit",
    "raw_reject",
    "rejected_record",
    "scheduled_run",
    "school",
    "school_week",
    "sign_in_link",
    "sis_record",
    "sis_school_list",
    "snapshot",
    "snapshot_record",
    "sync",
    "unreported_decision",
    "verdict",
    "witness",
]
