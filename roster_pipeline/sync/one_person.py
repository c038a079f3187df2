"""Syncs one person at once: asks the SIS for their records by id, and applies the plan of this one person.

The answers of the SIS replace the person's records in the newest roster of the school. Cleaning, planning, second
witness and guards are the same as in every sync, and they look at the whole roster. Only the rows of this person are
kept of the plan. The school's own plans, holds and reports stay as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from roster_pipeline.cleaning.roles import orgs_named
from roster_pipeline.directory import apply, audit, ledger, members, plan_rows, plans, rosters, snapshots, tenants
from roster_pipeline.directory.apply import PlanStale, SyncResult
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.sync_summary import ONE_PERSON, latest_snapshot
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.frames import frame_of, frame_of_documents
from roster_pipeline.oneroster import OneRosterError
from roster_pipeline.oneroster.records.orgs import OrgReferences
from roster_pipeline.oneroster.witness import Answer
from roster_pipeline.sync import SyncError, explain
from roster_pipeline.sync.clean_snapshot import cleaned_records, withheld_from
from roster_pipeline.sync.fetch_strategy import client_of, is_bundle
from roster_pipeline.sync.plan_and_apply import OnePerson, plan_snapshot

FRESH = timedelta(minutes=15)
"""How long an answer of the SIS may be applied. After that, the SIS is asked again."""
DELETED = "tobedeleted"


@dataclass(frozen=True)
class PersonPlan:
    """The answers of the SIS (sourcedId to `found` or `missing`), and the plan that shows what would change."""

    plan_id: int
    hash: str
    answers: Mapping[str, str]


def make_plan(database: Database, school_key: str, person_id: int) -> PersonPlan:
    """Ask the SIS for a person's records and plan the changes; the directory stays. Raises SyncError."""
    with database.begin() as conn:
        school, base = latest_snapshot(conn, school_key)
        person = members.get_person(conn, school.district_id, person_id)
        if base is None or not ledger.has_synced(conn, school.id):
            raise SyncError(school_key, "it was not synced yet.", "Sync the whole school first.")
    ids = tuple(each["sourced_id"] for each in person.links if each["connection"] == school.connection.key)
    if not ids:
        raise SyncError(school_key, "no record of its SIS is linked to this person.", "Link one first.")
    if is_bundle(school.connection):
        raise SyncError(
            school_key, "its SIS sends files, which cannot be asked for one person.", "Sync the whole school."
        )
    answers = _answers(school, ids)
    snapshot_id = _snapshot(database, school, base, answers)
    planned = plan_snapshot(database, school, snapshot_id, run_id=None, dry_run=True, only=OnePerson(person_id, ids))
    return PersonPlan(planned.plan_id, planned.hash, {one: answer.state for one, answer in answers.items()})


def apply_plan(database: Database, school_key: str, plan_id: int, *, who: str, reason: str) -> SyncResult:
    """Apply a plan of `make_plan` as far as the guards allow. Raises SyncError if it is out of date."""
    with database.begin() as conn:
        school = tenants.get_school(conn, school_key)
        shown = plans.get(conn, plan_id)
        ids = tuple(plan_rows.sourced_ids(conn, plan_id))
    if shown.school_id != school.id or shown.person_id is None:
        raise SyncError(school_key, "this plan is not about a single person of the school.", "Ask the SIS again.")
    if datetime.now(UTC) - shown.made_at > FRESH:
        raise SyncError(school_key, "the answer of the SIS is older than 15 minutes.", "Ask the SIS again.")
    only = OnePerson(shown.person_id, ids)
    planned = plan_snapshot(database, school, shown.snapshot_id, run_id=None, only=only)
    try:
        if planned.hash != shown.hash:
            raise SyncError(school_key, "the directory changed since the SIS was asked.", "Ask the SIS again.")
        with database.begin() as conn:
            result = apply.apply_plan(conn, planned.plan_id, who=who, kind="person")
            details = {"sync": result.sync_id, "plan": planned.plan_id}
            audit.record(
                conn, who, "person synced", school=school, person_id=shown.person_id, reason=reason, details=details
            )
            ledger.note_decision(conn, school.id, "one person", who, sync_id=result.sync_id)
    except PlanStale:
        raise SyncError(school_key, "the directory changed since the SIS was asked.", "Ask the SIS again.") from None
    finally:  # nobody decides about this plan: the next sync of the school plans its held rows again
        database.call(plans.replace, planned.plan_id)
    return result


def _answers(school: SchoolRow, ids: tuple[str, ...]) -> dict[str, Answer]:
    try:
        with client_of(school.connection) as client:
            answers = client.user_answers(ids)
    except OneRosterError as problem:
        raise explain(school.key, problem) from None
    if any(answer.state == "unanswered" for answer in answers.values()):
        raise SyncError(
            school.key, "its SIS gave no answer for this person alone.", "Try again later, or sync the whole school."
        )
    return answers


def _snapshot(database: Database, school: SchoolRow, base: Mapping[str, Any], answers: Mapping[str, Answer]) -> int:
    """The newest roster with the answers of the SIS for these records. A missing record counts as deleted. The second
    witness is asked before anybody is archived. Raises SyncError if the SIS has several records with one of these ids,
    because it answers with only one of them."""
    with database.begin() as conn:
        raw = snapshots.load(conn, base["id"])
        sent = list(map(orjson.loads, raw.users.splitlines()))
        before = {user["sourcedId"]: user for user in sent if user["sourcedId"] in answers}
        others = [user for user in sent if user["sourcedId"] not in answers]
        if len(before) + len(others) < len(sent):
            raise SyncError(
                school.key, "its SIS has several records with the id of this person.", "Sync the whole school."
            )
        users_now = [answer.user for answer in answers.values() if answer.user is not None]
        references = OrgReferences()
        references.note(snapshots.org_documents(conn, base["pull_id"]))
        references.place(users_now)
        named = orgs_named(frame_of([*sent, *users_now]))
        orgs = snapshots.list_orgs(conn, base["pull_id"], str(base["school_sourced_id"]), named)
        withheld, stored = withheld_from(conn, school, base["pull_id"]), members.stored_contacts(conn, school)
    for sourced_id, answer in answers.items():
        if answer.user is not None:
            others.append(before.get(sourced_id, {}) | {"unreadable": []} | answer.user)
        elif sourced_id in before:
            others.append(before[sourced_id] | {"status": DELETED})
    users, contacts = frame_of(others), frame_of_documents(raw.contacts)
    rejected_at_ingest = raw.rejected[~raw.rejected["sourced_id"].isin(list(answers))]
    cleaned = cleaned_records(school, base, users, contacts, rejected_at_ingest, orgs, withheld, stored)
    with database.begin() as conn:
        snapshot_id = snapshots.derive(conn, base, mode="delta", **{ONE_PERSON: base["id"]})
        quality = rosters.load_quality(conn, base["id"]).drop(columns="snapshot_id")
        rosters.write(conn, snapshot_id, cleaned.roster, cleaned.rejected, cleaned.excluded_contacts, quality=quality)
    return snapshot_id
