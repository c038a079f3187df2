"""Clean: makes a roster, a list of rejected records and quality results from the newest snapshot of a school."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from roster_pipeline import code_version
from roster_pipeline.cleaning.clean import Cleaned, CleaningContext, clean
from roster_pipeline.cleaning.contact_rules import AGENTS, METADATA, contact_fields, stored_key, withheld_fields
from roster_pipeline.cleaning.quality import TOO_FEW, not_tested, run_suite
from roster_pipeline.cleaning.quality_suite import QualitySuiteError, installed_suite
from roster_pipeline.cleaning.roles import next_change, orgs_named, school_orgs
from roster_pipeline.directory import (
    members,
    pulls,
    record_sets,
    roster_rows,
    rosters,
    snapshots,
    stored_frames,
    tenants,
)
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import block_erasure
from roster_pipeline.directory.roster_rows import KEY, NUMBERS, POSITION, Earlier
from roster_pipeline.directory.stored_frames import RECORDS, frame_of_table, table_of
from roster_pipeline.directory.sync_summary import latest_snapshot
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.frames import frame_of_documents, infrequent_collection, one_array, records_of
from roster_pipeline.planning.plan_stats import people_by_role
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.sync import SyncError

ID = "id"
"""The extra column of the stored frame: the ids of the records."""
MOST_NEW = 0.1
"""If more than this share of the records are new since the frame was stored, all are read and stored again."""
CONTACT_FIELDS_SEEN = "contact_fields"
"""A key in what was learned of a connection: the fields of contact rules that some contact once had."""
CONTACT_VALUES_SEEN = "contact_values"
"""Another one: those in which more contacts than `TOO_FEW` had a value."""


@dataclass(frozen=True)
class CleanedCounts:
    """One cleaned snapshot as numbers. `quality`: rule, role, check_name, severity, passed, tested, failed. taken_over:
    the input was the same as for an earlier snapshot, so its roster was taken over."""

    snapshot_id: int
    people: int
    rejected: int
    by_role: Mapping[str, int]
    quality: list[dict[str, Any]]
    taken_over: bool = False


@infrequent_collection()
def clean_latest(database: Database, school_key: str, *, run_id: str | None, take_over: bool = True) -> CleanedCounts:
    """Clean the school's newest snapshot and test its quality. It writes roster and results in one transaction.
    take_over: if an earlier snapshot has the same records, take over its roster (see `roster_rows`)."""
    with database.begin() as conn:
        school, facts = latest_snapshot(conn, school_key, run_id)
        if facts is None:
            raise SyncError(school_key, "nothing was fetched yet", f"Run: roster sync {school_key}")
        snapshot_id = int(facts["id"])
        withheld, today = withheld_from(conn, school, facts["pull_id"]), _today(school)
        earlier = _earlier(conn, school, facts, withheld, today)
        if earlier and take_over and facts["roster_id"] is None:
            block_erasure(conn, school.district_id)
            unusable = roster_rows.take_over(conn, snapshot_id, earlier)
            if unusable is not None:
                results = rosters.load_quality(conn, snapshot_id).drop(columns="snapshot_id")
                return _counts(snapshot_id, earlier.counts["roles"], unusable, results, taken_over=True)
        records, stored = read_records(conn, facts), members.stored_contacts(conn, school)
        last = roster_rows.last_roster(conn, snapshot_id, records=snapshots.users_of(facts))
        users, contacts, refused = records.users, records.contacts, snapshots.load_rejected(conn, snapshot_id)
        orgs = snapshots.list_orgs(conn, facts["pull_id"], str(facts["school_sourced_id"]), orgs_named(users))
    cleaned = cleaned_records(school, facts, users, contacts, refused, orgs, withheld, stored)
    rejected = pd.concat([cleaned.rejected, refused], ignore_index=True) if len(refused) else cleaned.rejected
    quality = _tested(cleaned.roster, rejected, school.settings)
    by_role = people_by_role(cleaned.roster)
    masters = int(cleaned.roster["master_identifier"].notna().sum())
    counts = {"roles": by_role, "flags": cleaned.contact_flags, "masters": masters, NUMBERS: _number_places(school)}
    if earlier and quality["tested"].notna().all():  # else it is tested again in the next night
        zone = school.settings.zone
        changes = filter(None, (next_change(some, today, zone) for some in (users, contacts)))
        until = min((change.isoformat() for change in changes), default=None)
        key = {"key": earlier.key, "since": today.isoformat(), "until": until}
        counts |= {KEY: key, POSITION: earlier.position}
    with database.begin() as conn:
        erased = snapshots.erased_since(conn, facts)
        if not erased:
            rosters.write(
                conn, snapshot_id, cleaned.roster, rejected, cleaned.excluded_contacts, quality=quality, counts=counts,
                last=last,
            )  # fmt: skip
            if records.to_keep is not None:
                stored_frames.keep(conn, snapshot_id, RECORDS, records.to_keep)
    if erased:
        return clean_latest(database, school_key, run_id=run_id, take_over=take_over)
    return _counts(snapshot_id, by_role, int((rejected["severity"] == "error").sum()), quality)


def clean_if_numbers_moved(
    database: Database, school: SchoolRow, facts: Mapping[str, Any], *, run_id: str | None
) -> None:
    """Clean again if numbers are now read from another place: the old ones would be false evidence."""
    now = _number_places(school)
    if facts["counts"].get(NUMBERS, now) != now:
        clean_latest(database, school.key, run_id=run_id)


def _number_places(school: SchoolRow) -> list[str]:
    return [school.connection.settings.student_number_from, school.connection.settings.staff_number_from]


def _counts(
    snapshot_id: int, by_role: Mapping[str, int], rejected: int, quality: pd.DataFrame, *, taken_over: bool = False
) -> CleanedCounts:
    results = [
        {str(name): None if pd.isna(value) else value for name, value in row.items()} for row in records_of(quality)
    ]
    return CleanedCounts(snapshot_id, sum(by_role.values()), rejected, by_role, results, taken_over)


def _earlier(
    conn: Connection, school: SchoolRow, facts: Mapping[str, Any], withheld: frozenset[str], today: date
) -> Earlier | None:
    """The result of `roster_rows.find_earlier`, without a snapshot if the directory has other contacts since than its
    roster chose. None if the quality suite cannot be read."""
    try:
        suite = installed_suite()
    except QualitySuiteError:
        return None
    settings = (school.settings.model_dump_json(), school.connection.settings.model_dump_json())
    code = (code_version("."), pd.__version__, pa.__version__)
    rest = repr((facts["school_sourced_id"], settings, sorted(withheld), suite, code))
    found = roster_rows.find_earlier(conn, facts, sha256(rest.encode()).hexdigest(), today)
    since = int(found.counts.get(POSITION, -1))
    if found.snapshot_id is None or since == found.position:
        return found
    as_chosen = members.contacts_as_chosen(conn, school, found.snapshot_id, since)
    return found if as_chosen else replace(found, snapshot_id=None)


@dataclass(frozen=True)
class Records:
    """The records of a snapshot as frames (`frame_of_documents`). to_keep: the frame to store for a later night."""

    users: pd.DataFrame
    contacts: pd.DataFrame
    to_keep: pa.Table | None = None


def read_records(conn: Connection, facts: Mapping[str, Any]) -> Records:
    """The records of a snapshot; for a large school, stored columns and the documents since."""
    snapshot_id, records = facts["id"], snapshots.users_of(facts)
    if records < stored_frames.LARGE:
        raw = snapshots.load(conn, snapshot_id)
        return Records(frame_of_documents(raw.users), frame_of_documents(raw.contacts))
    parts = record_sets.of_snapshot(conn, snapshot_id)
    users, contacts = parts["user"], parts["contact"] - parts["user"]
    kept = stored_frames.kept(conn, snapshot_id, RECORDS, records=records, own=False)
    if kept is not None:
        table = kept.table
        new = (users | contacts) - record_sets.RecordSet.of(table[ID].to_numpy())
        if len(new) <= MOST_NEW * records:
            ids, lines = snapshots.documents_of(conn, new)
            table = pa.concat_tables([table, table_of(frame_of_documents(lines), **{ID: pa.array(ids)})])
            table = table.combine_chunks()  # otherwise each `take` would do it again
            return Records(_of_records(table, users), _of_records(table, contacts))
    read = [snapshots.documents(conn, snapshot_id, part) for part in ("user", "contact")]
    frames = [frame_of_documents(lines) for _, lines in read]
    tables = [table_of(frame, **{ID: pa.array(ids)}) for frame, (ids, _) in zip(frames, read, strict=True)]
    return Records(frames[0], frames[1], pa.concat_tables(tables))


def _of_records(table: pa.Table, records: record_sets.RecordSet) -> pd.DataFrame:
    """These records, by sourcedId: cleaning would sort them, and so copy every column once more."""
    places = np.flatnonzero(np.isin(table[ID].to_numpy(), records.ids))
    order = pc.sort_indices(one_array(table["sourcedId"]).take(pa.array(places))).to_numpy()
    return frame_of_table(table.drop_columns(ID).take(pa.array(places[order])))


def _today(school: SchoolRow) -> date:
    return datetime.now(school.settings.zone).date()


def cleaned_records(
    school: SchoolRow,
    facts: Mapping[str, Any],
    users: pd.DataFrame,
    contacts: pd.DataFrame,
    rejected_at_ingest: pd.DataFrame,
    orgs: Sequence[Mapping[str, Any]],
    withheld: frozenset[str],
    stored: pd.DataFrame,
) -> Cleaned:
    """The records of a snapshot as a roster. orgs, stored: as `snapshots.list_orgs` and `members.stored_contacts` have
    them."""
    settings, sourced_id = school.settings, str(facts["school_sourced_id"])
    context = CleaningContext(
        school_id=sourced_id,
        settings=settings,
        connection=school.connection.settings,
        today=_today(school),
        orgs=school_orgs(orgs, sourced_id, include_below=settings.include_orgs_below),
        withheld=withheld,
        stored_contacts=stored,
    )
    return clean(users, contacts, context, rejected_at_ingest=rejected_at_ingest)


def _tested(roster: pd.DataFrame, rejected: pd.DataFrame, settings: SchoolSettings) -> pd.DataFrame:
    """The quality results. A suite that cannot be read is one too: it holds archivals, not the sync."""
    try:
        return run_suite(installed_suite(), roster, rejected, settings)
    except (QualitySuiteError, ImportError):
        return not_tested()


def withheld_from(conn: Connection, school: SchoolRow, pull_id: int | None) -> frozenset[str]:
    """Fields of contact rules that no contact of the pull has, or that are empty for all after more than a few had a
    value; remembers those that some have."""
    chosen, own = school.connection.settings, school.connection
    keys = {field: stored_key(field) for field in contact_fields(chosen) if field.startswith((METADATA, AGENTS))}
    if not chosen.contact_rules or not keys or not school.settings.primary_contacts:
        return frozenset()
    roles = school.settings.contact_roles
    scope, held = pulls.metadata_keys(conn, pull_id, roles) if pull_id is not None else ("", {})
    delivered = {field for field, key in keys.items() if key in held}
    often = {field for field in delivered if held[keys[field]] > TOO_FEW}
    known, had = (f"{name} {scope}".strip() for name in (CONTACT_FIELDS_SEEN, CONTACT_VALUES_SEEN))
    before = {name: set(own.learned.get(name, ())) for name in (known, had)}
    if delivered - before[known] or often - before[had]:
        tenants.remember(conn, own.id, {known: sorted(before[known] | delivered), had: sorted(before[had] | often)})
    emptied = {field for field in delivered & before[had] if not held[keys[field]]}
    return withheld_fields(chosen, delivered - emptied, before[known])
