"""Names and types of the columns, for queries with SQLAlchemy Core.

`migrations` has the schema itself: keys, foreign keys, checks, indexes, defaults, and a comment on every column whose
name is not enough. Tables that only plain SQL uses are not here. Every table with people has `district_id` in its key
and in its foreign keys, so the database refuses a row that refers to another district.

The tables store only the SHA-256 of a token. A token has 256 random bits, so a reader of these tables cannot sign in.
"""

from typing import Any

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Date, DateTime, Integer, MetaData, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, JSON, JSONB

from roster_pipeline.vocabulary import CONTACT_FIELDS, MEMBERSHIP_FIELDS, PERSON_FIELDS, STUDENT_CONTACTS, UNREADABLE

metadata, views = MetaData(), MetaData()
TIME = DateTime(timezone=True)
TEXTS, NUMBERS = ARRAY(Text), ARRAY(BigInteger)
REVISION = Integer
"""How often the row's settings were changed. A form that was opened before the last change is refused."""


def _table(name: str, of: MetaData = metadata, /, **columns: Any) -> Table:
    """columns: for each name its type, or its type and the description that the Dagster UI shows."""
    described = ((column, *(kind if isinstance(kind, tuple) else (kind, None))) for column, kind in columns.items())
    return Table(name, of, *(Column(column, kind, comment=comment) for column, kind, comment in described))


def _fields(names: tuple[str, ...]) -> dict[str, Any]:
    """The columns of fields that the SIS fills: all are text except `enabled`."""
    return {name: Boolean if name == "enabled" else Text for name in names}


# districts, connections, schools

district = _table("district", id=BigInteger, key=Text, name=Text, settings=JSONB, paused_until=Date, created_at=TIME)
connection = _table(
    "connection", id=BigInteger, district_id=BigInteger, key=Text, settings=JSONB, secret=Text, learned=JSONB,
    revision=REVISION, created_at=TIME, updated_at=TIME,
)  # fmt: skip
school = _table(
    "school", id=BigInteger, district_id=BigInteger, connection_id=BigInteger, key=Text, name=Text, settings=JSONB,
    paused_until=Date, raised_limits=JSONB, test=JSONB, revision=REVISION, created_at=TIME, updated_at=TIME,
)  # fmt: skip
application = _table(
    "application", login=Text, district_id=BigInteger, schools=NUMBERS, roles=TEXTS, fields=TEXTS, created_at=TIME
)

# accounts and sessions of the console

account = _table(
    "account", id=BigInteger, email=Text, name=Text, issuer=Text, subject=Text, created_at=TIME, signed_in_at=TIME
)
access_grant = _table(
    "access_grant", id=BigInteger, account_id=BigInteger, role=Text, district_id=BigInteger, school_id=BigInteger,
    granted_by=Text, granted_at=TIME,
)  # fmt: skip
console_session = _table(
    "console_session", token_hash=Text, account_id=BigInteger, created_at=TIME, seen_at=TIME, expires_at=TIME,
    message=Text,
)  # fmt: skip
sign_in_link = _table(
    "sign_in_link", token_hash=Text, account_id=BigInteger, created_at=TIME, expires_at=TIME, used_at=TIME
)
oidc_attempt = _table(
    "oidc_attempt", state_hash=Text, visit_hash=Text, nonce=Text, verifier=Text, next_path=Text, created_at=TIME,
    expires_at=TIME,
)  # fmt: skip
rate_limit = _table("rate_limit", name=Text, key_hash=Text, began_at=TIME, until=TIME, used=Integer)

# the answers of the SIS and our results

pull = _table(
    "pull", id=BigInteger, district_id=BigInteger, connection_id=BigInteger, batch=Text, scope=Text, started_at=TIME,
    finished_at=TIME, complete=Boolean, mode=Text, proof=JSONB, written_at=TIME, unchanged_since=TIME,
)  # fmt: skip
pull_record = _table("pull_record", pull_id=BigInteger, block=BigInteger, bits=BYTEA)
snapshot = _table(
    "snapshot", id=BigInteger, district_id=BigInteger, school_id=BigInteger, connection_id=BigInteger,
    pull_id=BigInteger, school_sourced_id=Text, taken_at=TIME, complete=Boolean, mode=Text, proof=JSONB, counts=JSONB,
    run_id=Text, written_at=TIME, unchanged_since=TIME, pruned_at=TIME, roster_id=BigInteger, roster_version=Integer,
)  # fmt: skip
RAW_VIEWS = {
    name: Table(
        name,
        views,
        Column("snapshot_id", BigInteger),
        Column("sourced_id", Text),
        Column("payload", JSON, comment="the normalised record"),
    )
    for name in ("raw_org", "raw_user", "raw_contact")
}
"""Views of the records that a snapshot names, by part."""
_OF_ROSTER = "member, deleted, disabled, ended, not_begun, elsewhere, no_org, role_off, unmapped, rejected or shared_id"
_CLEANED: dict[str, Any] = {
    "sourced_id": Text,
    "record_status": (Text, _OF_ROSTER),
    "identity": (Text, "the first record of the same human being; null if there is no other"),
    "conflict": (Text, "why this identity is not certain, or null"),
    "number_kind": (Text, "student or staff"),
    "master_identifier": (Text, "userMasterIdentifier"),
    **_fields(PERSON_FIELDS),
    **_fields(MEMBERSHIP_FIELDS),
    **_fields(STUDENT_CONTACTS),
    UNREADABLE: (Text, "fields that were given and cannot be read, separated by blanks"),
}
cleaned_roster = _table("cleaned_roster", views, snapshot_id=BigInteger, **_CLEANED)
"""A view of `roster_row`, by snapshot."""
roster = _table("roster", id=BigInteger, school_id=BigInteger, version=Integer, began_at=TIME)
roster_row = _table("roster_row", roster_id=BigInteger, first_version=Integer, last_version=Integer, **_CLEANED)
stored_frame = _table("stored_frame", school_id=BigInteger, name=Text, snapshot_id=BigInteger, key=Text, data=BYTEA)
excluded_contact = _table("excluded_contact", snapshot_id=BigInteger, sourced_id=Text, student_id=Text)
rejected_record = _table(
    "rejected_record", snapshot_id=BigInteger, collection=Text, sourced_id=Text, field=Text, rule=Text, severity=Text,
    role=Text,
)  # fmt: skip
quality_result = _table(
    "quality_result", snapshot_id=BigInteger, rule=Text, role=Text, check_name=Text, severity=Text, passed=Boolean,
    tested=Integer, failed=Integer,
)  # fmt: skip
connection_test = _table(
    "connection_test", id=Text, school_id=BigInteger, who=Text, form=JSONB, settings=JSONB, school_settings=JSONB,
    secret=Text, typed=Boolean, connection_revision=BigInteger, items=JSONB, learned=JSONB, problem=Text,
    started_at=TIME, ended_at=TIME,
)  # fmt: skip
sis_school_list = _table(
    "sis_school_list", connection_id=BigInteger, id=Text, connection_revision=BigInteger, who=Text, schools=JSONB,
    problem=Text, started_at=TIME, ended_at=TIME,
)  # fmt: skip

# plans and decisions

plan = _table(
    "plan", id=BigInteger, district_id=BigInteger, school_id=BigInteger, snapshot_id=BigInteger, made_at=TIME,
    hash=Text, position=BigInteger, first_sync=Boolean, counts=JSONB, quality=Text, settings=Text, state=Text,
    dry_run=Boolean, run_id=Text, person_id=BigInteger,
)  # fmt: skip
plan_row = _table(
    "plan_row",
    plan_id=BigInteger,
    row=Integer,
    action=(Text, "create, update, restore, archive, unchanged, skip or conflict"),
    reason=Text,
    role=Text,
    person_id=BigInteger,
    sourced_ids=(TEXTS, "the identity's records, the primary record first"),
    new_links=TEXTS,
    matched_by=(Text, "link, number, email, id, name or null"),
    notes=(Text, "joins, matches without a link, keys of another person; blanks between"),
    changes=(JSONB, '{"field": [from, to]}'),
    number_kind=Text,
    absent_syncs=(Integer, "what membership.absent_syncs becomes; null leaves it"),
    person_revision=BigInteger,
    membership_revision=BigInteger,
    witness=(Text, "of an archival: gone, elsewhere, here, unclear or unanswered"),
    guard=(Text, "the guards that judge these rows apart from the rest, separated by blanks; empty for the rest"),
    exempted=(Boolean, "somebody took the row out of what is held; it is never applied"),
)
plan_unchanged = _table("plan_unchanged", plan_id=BigInteger, role=Text, first_row=Integer, people=NUMBERS)
verdict = _table(
    "verdict", plan_id=BigInteger, role=Text, action=Text, guard=Text, verdict=Text, rows=Integer, findings=JSONB,
    sync_id=BigInteger,
)  # fmt: skip
approval = _table(
    "approval", id=BigInteger, plan_id=BigInteger, plan_hash=Text, decision=Text, who=Text, reason=Text,
    by_manager=Boolean, parts=JSONB, at=TIME, lapses_at=TIME, used_by=BigInteger,
)  # fmt: skip

# the directory

membership = _table(
    "membership", district_id=BigInteger, school_id=BigInteger, person_id=BigInteger, **_fields(MEMBERSHIP_FIELDS),
    status=Text, archived_by=Text, archived_at=TIME, managed=Boolean, absent_syncs=Integer, revision=Integer,
    created_at=TIME, updated_at=TIME,
)  # fmt: skip
contact = _table(
    "contact", district_id=BigInteger, school_id=BigInteger, person_id=BigInteger, place=SmallInteger,
    **_fields(tuple(name.removeprefix("contact_") for name in CONTACT_FIELDS)), updated_at=TIME,
)  # fmt: skip

# history, requests and mails

sync = _table(
    "sync", id=BigInteger, district_id=BigInteger, school_id=BigInteger, kind=Text, plan_id=BigInteger,
    snapshot_id=BigInteger, undoes=BigInteger, outcome=Text, counts=JSONB, held=JSONB, report=JSONB, who=Text, at=TIME,
    run_id=Text,
)  # fmt: skip
change_log = _table(
    "change_log",
    position=BigInteger,
    xid=(BigInteger, "the transaction (64 bits, never wraps): bounds the change feed by the snapshot horizon"),
    sync_id=(BigInteger, "null: by hand"),
    district_id=BigInteger,
    entity=(Text, "person, link, membership or contact"),
    operation=(Text, "insert, update or delete"),
    person_id=BigInteger,
    school_id=BigInteger,
    before=JSONB,
    after=JSONB,
    at=TIME,
)
outbox = _table(
    "outbox", id=BigInteger, message_id=Text, kind=Text, school_id=BigInteger, sync_id=BigInteger, recipients=TEXTS,
    subject=Text, text=Text, html=Text, created_at=TIME, due_at=TIME, attempts=Integer, error=Text, sent_at=TIME,
    dead_at=TIME, attachment=Text,
)  # fmt: skip
failure = _table(
    "failure", id=BigInteger, school_id=BigInteger, at=TIME, step=Text, message=Text, run_id=Text, cause=Text,
    night=Text, retryable=Boolean,
)  # fmt: skip
audit = _table(
    "audit", id=BigInteger, at=TIME, who=Text, what=Text, district_id=BigInteger, school_id=BigInteger,
    person_id=BigInteger, reason=Text, details=JSONB,
)  # fmt: skip
unreported_decision = _table(
    "unreported_decision", id=BigInteger, school_id=BigInteger, kind=Text, decided_by=Text, at=TIME,
    sync_id=BigInteger, plan_id=BigInteger,
)  # fmt: skip
manual_run = _table(
    "manual_run", id=Text, school_id=BigInteger, kind=Text, who=Text, host=Text, step=Text, problem=Text,
    canceled_by=Text, requested_at=TIME, started_at=TIME, alive_at=TIME, ended_at=TIME,
)  # fmt: skip
people_upload = _table(
    "people_upload", id=BigInteger, district_id=BigInteger, school_id=BigInteger, who=Text, content=JSONB, at=TIME
)
digest = _table("digest", recipient=Text, sync_id=BigInteger, put_at=TIME, message_id=Text)
