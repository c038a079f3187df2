"""Fetch: reads everything that a connection has, once per night. We then split it by school."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.directory import delta_base, pull_comparison, pulls, scheduled_runs, snapshots, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import block_erasure
from roster_pipeline.directory.sync_summary import latest_snapshot
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.errors import BULK_ORGS, LOST_COLUMNS, ORGS_ARE_DELTA
from roster_pipeline.frames import infrequent_collection
from roster_pipeline.oneroster import SchoolNotFound, Wanted, pull
from roster_pipeline.oneroster.bundle import MISSED, pull_bundle
from roster_pipeline.oneroster.collections.delta import PROVED, NamedChanges
from roster_pipeline.oneroster.errors import OneRosterError, TooSlow
from roster_pipeline.oneroster.http.endpoint import Limits, system_of
from roster_pipeline.oneroster.records.known_users import KnownUsers
from roster_pipeline.oneroster.records.orgs import ENROLLMENTS_UNKNOWN
from roster_pipeline.org_tree import is_gone, is_school
from roster_pipeline.sync import CONNECTION, GaveWay, SyncError, fetch_strategy
from roster_pipeline.sync.monitoring import watch_source
from roster_pipeline.sync.schedule_due import FIRST_PULL
from roster_pipeline.sync.source_age import CUT, aged, facts_of_schools, is_cut, last_read, too_old

RAW = ("raw_orgs", "raw_users", "raw_contacts")
WHOLE = ""
LISTS_LEAVE_OUT = "lists_leave_out"
OF_A_SCHOOL = ("identifier", "name")
SLOW_SECONDS = 60.0
"""If a SIS fails only after this time, it counts as slow, because it kept a run waiting."""
NOTHING_BELOW = "delta-without-whole"
"""A delta before any full list. It is valid only for the people in it."""


@dataclass(frozen=True)
class Fetched:
    """One snapshot as numbers: `counts` has a key per raw asset, `proof` is the client's proof of completeness."""

    snapshot_id: int
    complete: bool
    problems: tuple[str, ...]
    counts: Mapping[str, int]
    proof: Mapping[str, Any]


@infrequent_collection()
def fetch(
    database: Database,
    school_key: str,
    *,
    batch: str,
    run_id: str | None,
    gives_way: bool = False,
    first_pull: timedelta = FIRST_PULL,
    limits: Limits | None = None,
) -> Fetched:
    """Take one school's snapshot.

    Schools of one connection with the same `batch` (a night, or a backfill) share one pull. The run of the first school
    fetches; the others wait and then read the pull. Raises OneRosterError and DirectoryError.

    gives_way: if the SIS is slow, end early with GaveWay. The other runs of this connection and batch that may give way
    then end too. Use it only for a run of the night `batch`, which the schedule requests again. first_pull: how long
    such a run may read. limits: limits of the client that replace the usual ones.
    """
    school = database.call(tenants.get_school, school_key)
    if gives_way:
        short = replace(limits or Limits(), pull_seconds=first_pull.total_seconds())
        pull_id = _pulled_or_gave_way(database, school, batch, short)
    else:
        pull_id = _pulled(database, school, batch, limits)
    with database.begin() as conn:
        sourced_id = _school_of_pull(conn, pull_id, school)
        now = datetime.now(UTC)
        snapshot_id = snapshots.take(
            conn,
            school,
            sourced_id,
            pull_id,
            contacts=school.settings.primary_contacts,
            run_id=run_id,
            problems=lambda written_at: too_old(written_at, school.settings.guards, now),
        )
        facts = snapshots.facts(conn, snapshot_id)
        watch_source(conn, school, facts, now)
    proof = facts["proof"]
    return Fetched(
        snapshot_id=snapshot_id,
        complete=bool(facts["complete"]),
        problems=tuple(proof.get("problems", ())),
        counts={name: int(facts["counts"].get(name, 0)) for name in RAW},
        proof=proof,
    )


@contextmanager
def turn_to_fetch(database: Database, school_key: str, batch: str) -> Iterator[bool]:
    """Whether `fetch` would begin at once; this process keeps its turn within the block. Raises DirectoryError."""
    school = database.call(tenants.get_school, school_key)
    scopes = (WHOLE, school.settings.school_id)
    with pulls.turn_to_pull(database, school.connection.id, batch, scopes) as ours:
        yield ours


def _pulled_or_gave_way(database: Database, school: SchoolRow, batch: str, limits: Limits) -> int:
    """As `_pulled`, as long as the SIS is not slow. If it is slow, this notes it and raises GaveWay."""
    began = time.monotonic()
    try:
        return _pulled(database, school, batch, limits, gives_way=True)
    except (OneRosterError, GaveWay) as problem:
        late = problem.retryable and time.monotonic() - began > SLOW_SECONDS
        if not isinstance(problem, (TooSlow, GaveWay)) and not late:
            raise
        with database.begin() as conn:
            if not scheduled_runs.give_way(conn, school.id, batch):
                raise
    raise GaveWay(school.key)


def _pulled(
    database: Database, school: SchoolRow, batch: str, limits: Limits | None, *, gives_way: bool = False
) -> int:
    """The batch's pull for this school. The first run that needs it fetches it; the others read it. The way to fetch is
    chosen only if there is no pull yet. A pull of the whole connection shows that a connection is large. After such a
    pull, nobody reads lists in the same night."""
    source, scopes = school.connection, (WHOLE, school.settings.school_id)
    there = database.call(pulls.finished, source.id, batch, scopes)
    if there is not None:
        return there
    with pulls.pull_lock(database, source.id, batch):
        with database.begin() as conn:
            there = pulls.finished(conn, source.id, batch, scopes)
            if there is not None:
                return there
            choice = _choice(conn, school)
            scope = school.settings.school_id if choice.per_school else WHOLE
            if gives_way and scheduled_runs.is_slow(conn, source.id, batch):
                raise GaveWay(school.key)
            pull_id, _ = pulls.claim(conn, source, batch, scope)
            wanted = _wanted(conn, school, choice)
        _fetch_into(database, school, pull_id, scope, wanted, limits)
        return pull_id


def _choice(conn: Connection, school: SchoolRow) -> fetch_strategy.Choice:
    if fetch_strategy.is_bundle(school.connection):
        return fetch_strategy.Choice(per_school=False, since=None)
    source = school.connection
    rostered, schools = delta_base.rostered_records(conn, source.id)
    return fetch_strategy.choose(
        source.settings,
        whole=delta_base.delta_base_of(conn, source, WHOLE),
        own=delta_base.delta_base_of(conn, source, school.settings.school_id),
        rostered=rostered,
        schools=schools,
        list_requests=delta_base.requests_of_lists(conn, source),
        lists_leave_out=int(school.connection.learned.get(LISTS_LEAVE_OUT, 0)),
        proved=fetch_strategy.is_proved(source.learned),
        now=datetime.now(UTC),
    )


def _wanted(conn: Connection, school: SchoolRow, choice: fetch_strategy.Choice) -> Wanted:
    """What the schools of this pull need; contacts and roles that none rosters are not kept."""
    schools = [school] if choice.per_school else tenants.schools_of(conn, school.connection.id)
    sharing = [one.settings for one in schools]
    return Wanted(
        school_ids=(school.settings.school_id,) if choice.per_school else None,
        contacts=any(settings.primary_contacts for settings in sharing),
        enrollments=school.connection.settings.no_enrollment_means_gone,
        since=choice.since,
        everybody_too=choice.everybody_too,
        roles=frozenset(role for settings in sharing for role in settings.rostered),
        of_schools=tuple(settings.school_id for settings in sharing),
    )


def _fetch_into(
    database: Database, school: SchoolRow, pull_id: int, scope: str, wanted: Wanted, limits: Limits | None
) -> None:
    if fetch_strategy.is_bundle(school.connection):
        with database.begin() as conn:
            base = delta_base.delta_base_of(conn, school.connection, scope)
            last = last_read(base, delta_base.newest_proof(conn, school.connection, scope))
        bundle = pull_bundle(fetch_strategy.source_of_connection(school.connection), wanted, last)
        pulls.store(database, pull_id, bundle)
        proof = bundle.proof.as_dict()
        if (last is None or last.looked_at is None) and proof["mode"] == "delta":
            proof |= {"complete": False, "problems": [*proof["problems"], NOTHING_BELOW]}
        if database.call(is_cut, school.connection, pull_id, bundle.lost):
            proof |= {"complete": False, "problems": [*proof["problems"], CUT]}
        _finish(database, school, pull_id, scope, proof, {})
        return
    with fetch_strategy.client_of(school.connection, limits) as client:
        known = KnownUsers()
        pulled = pull(client, wanted, known)
        pulled.into(lambda batches: pulls.store(database, pull_id, batches, known))
        proof = pulled.proof.as_dict() | {
            fetch_strategy.READS: f"{wanted.contacts} {' '.join(client.endpoint.metadata_keys)}"
        }
        _finish(database, school, pull_id, scope, proof, dict(client.learned), pulled.named)


def _finish(
    database: Database,
    school: SchoolRow,
    pull_id: int,
    scope: str,
    proof: dict[str, Any],
    learned: dict[str, Any],
    named: NamedChanges | None = None,
) -> None:
    """Apply a delta to its base, judge the age, and compare a whole pull with lists that may replace it."""
    source = school.connection
    proof["place"] = delta_base.place_of(source.settings.url)
    proof["system"] = delta_base.place_of(system_of(source.settings.url))
    with database.begin() as conn:
        block_erasure(conn, school.district_id)
        unbroken = MISSED not in proof.get("problems", ())
        base = delta_base.delta_base_of(conn, source, scope, before=pull_id, complete=unbroken)
        before = delta_base.newest_proof(conn, source, scope)
        part = delta_base.delta_base_of(conn, source, school.settings.school_id) if scope == WHOLE else None
        if part is not None:
            org = _school_of_pull(conn, pull_id, school)
            learned[LISTS_LEAVE_OUT] = pull_comparison.left_out(conn, pull_id, part.id, org)
            proof = proof | {"notes": [*proof.get("notes", ()), f"lists-left-out:{learned[LISTS_LEAVE_OUT]}"]}
        proof |= fetch_strategy.columns_since(source, proof, before or {})
        if base is not None:
            unsaid = fetch_strategy.without_permissions(source, proof[LOST_COLUMNS])
            if not ENROLLMENTS_UNKNOWN.isdisjoint(proof.get("problems", ())):
                unsaid["users"] = [*unsaid.get("users", ()), "notEnrolled"]
            proof |= delta_base.merge(conn, source.id, pull_id, base, proof, unsaid)
        if named is not None and base is not None and proof["complete"]:
            learned[PROVED], notes = fetch_strategy.look_at_changes(
                conn, school, pull_id, base, proof[fetch_strategy.READS], named
            )
            proof = proof | {"notes": [*proof["notes"], *notes]}
        compared = pull_comparison.compare(conn, pull_id, base.id) if base else None
        judged = aged(proof, base, before, compared)
        shared = facts_of_schools(conn, source, pull_id, judged.proof, base, before) if scope == WHOLE else {}
        pulls.finish(
            conn, pull_id, judged.proof | shared, written_at=judged.written_at, unchanged_since=judged.unchanged_since,
        )  # fmt: skip
        if learned:
            tenants.remember(conn, source.id, learned)


def _school_of_pull(conn: Connection, pull_id: int, school: SchoolRow) -> str:
    found = snapshots.find_schools(conn, pull_id, school.settings.school_id)
    if not found and not snapshots.any_org(conn, pull_id):
        raise SyncError(
            school.key,
            "the SIS answered, but showed no school at all.",
            "Check in the SIS that this connection is still allowed to see its schools, and that their data are there. "
            f"Then run: roster test-connection {school.key}",
            retryable=True,
            cause=CONNECTION,
            nothing_found=True,
        )
    if not found and (alike := _schools_alike(conn, pull_id, school)):
        raise SchoolNotFound.of_new_id(school.settings.school_id, alike)
    if not found:
        notes = (delta_base.newest_proof(conn, school.connection, WHOLE) or {}).get("notes", ())
        raise SchoolNotFound(
            f"the SIS has no school {school.settings.school_id}.",
            f"The bundle holds only changed orgs, and no bundle before had this school. {BULK_ORGS}"
            if ORGS_ARE_DELTA in notes
            else "Check the School ID: it is the sourcedId (or the identifier) of the school's org in the SIS, "
            "and the connection must be allowed to see that school. If the school has closed, switch automatic "
            "rostering off.",
        )
    if len(found) > 1:
        raise SchoolNotFound.of_several(found)
    return str(found[0]["sourcedId"])


def _schools_alike(conn: Connection, pull_id: int, school: SchoolRow) -> list[dict[str, Any]]:
    """The schools of a pull with the identifier or the name that this school had in its last snapshot."""
    last = latest_snapshot(conn, school.key)[1] or {}
    own = last.get("school_sourced_id")
    orgs = snapshots.org_documents(conn, last.get("pull_id"))
    known = {(name, org[name]) for org in orgs if org["sourcedId"] == own for name in OF_A_SCHOOL}
    return [
        org
        for org in snapshots.org_documents(conn, pull_id)
        if is_school(org) and not is_gone(org) and any((name, org[name]) in known for name in OF_A_SCHOOL if org[name])
    ]
