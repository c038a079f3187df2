"""Plan: compares the roster with the directory as it is now, asks the second witness, judges the plan and stores it.
Apply: makes the changes that the stored verdict allows. If the directory has changed meanwhile, it plans again first.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from roster_pipeline.cleaning.quality_suite import QualitySuiteError, installed_suite
from roster_pipeline.directory import lasting_decisions, plans, rosters, school_history, snapshots, tenants
from roster_pipeline.directory.absences import in_earlier_snapshots, never_listed, newcomers, recent_losses
from roster_pipeline.directory.apply import PlanStale, SyncResult, apply_plan
from roster_pipeline.directory.arrivals import on_their_way, roles_not_rostered
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.sync_summary import latest_plan, latest_snapshot, sync_summary
from roster_pipeline.errors import NO_ID
from roster_pipeline.frames import infrequent_collection, persons_of, records_of
from roster_pipeline.oneroster.http.endpoint import Limits
from roster_pipeline.planning import snapshot_guards
from roster_pipeline.planning.findings import Finding
from roster_pipeline.planning.guards import judge
from roster_pipeline.planning.plan import Plan, announced_gone, make_plan, says_nothing, usual_sizes
from roster_pipeline.planning.plan_stats import PlanStats, plan_stats_of, stats_of_numbers
from roster_pipeline.planning.slow_losses import LATELY, LONG
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.sync import SyncError, plan_input
from roster_pipeline.sync.clean_snapshot import clean_if_numbers_moved, clean_latest
from roster_pipeline.sync.monitoring import settle
from roster_pipeline.sync.outbox_sender import put_report
from roster_pipeline.sync.plan_input import PlanInput, TakenOver
from roster_pipeline.sync.second_witness import ask_for_absent
from roster_pipeline.sync.source_age import maybe_lost, snapshot_facts
from roster_pipeline.vocabulary import ARCHIVE, CREATE, RESTORE

MOST_TRIES = 5
"""Each try plans against the directory of then; more would mean that something writes without pause."""


@dataclass(frozen=True)
class Planned:
    """A plan as numbers. verdict: role, action, verdict, rows, findings. hash: of the planned changes."""

    plan_id: int
    hash: str
    rows: int
    by_action: Mapping[str, int]
    held: int
    verdict: list[dict[str, Any]]


@dataclass(frozen=True)
class OnePerson:
    """The one person of a plan: their number, and their records in the snapshot."""

    person_id: int
    sourced_ids: tuple[str, ...]

    def rows_of(self, plan: Plan) -> Plan:
        """The plan with only the rows of this person."""
        theirs = frozenset(self.sourced_ids)
        mine = (plan.rows["person_id"] == self.person_id).fillna(False).to_numpy(dtype=bool)
        mine |= [not theirs.isdisjoint(records) for records in plan.rows["sourced_ids"]]
        return replace(plan, rows=plan.rows[mine].reset_index(drop=True))


def plan_latest(
    database: Database, school_key: str, *, run_id: str | None, dry_run: bool = False, limits: Limits | None = None
) -> Planned:
    """Plan the newest cleaned snapshot, or newer data that come meanwhile. limits: for the second witness."""
    school, newest = database.call(latest_snapshot, school_key, run_id)
    if newest is None:
        raise SyncError(school_key, "nothing was fetched yet", f"Run: roster sync {school_key}")
    if "roles" not in newest["counts"] and newest["run_id"] != run_id and database.call(snapshots.taken_by, run_id):
        clean_latest(database, school_key, run_id=run_id)  # the run was overtaken, and a third one has just fetched
        school, newest = database.call(latest_snapshot, school_key, run_id)
    if newest is None or "roles" not in newest["counts"]:
        raise SyncError(
            school_key, "the data that were fetched last were not cleaned yet", f"Run: roster sync {school_key}"
        )
    clean_if_numbers_moved(database, school, newest, run_id=run_id)
    try:
        return plan_snapshot(database, school, int(newest["id"]), run_id=run_id, dry_run=dry_run, limits=limits)
    except plans.Overtaken:
        return plan_latest(database, school_key, run_id=run_id, dry_run=dry_run, limits=limits)


@infrequent_collection()
def plan_snapshot(
    database: Database,
    school: tenants.SchoolRow,
    snapshot_id: int,
    *,
    run_id: str | None,
    dry_run: bool = False,
    only: OnePerson | None = None,
    limits: Limits | None = None,
) -> Planned:
    """Plan and judge one snapshot. only: keep this person's rows. Raises `plans.Overtaken`."""
    today = datetime.now(school.settings.zone).date()
    person = only.person_id if only is not None else None
    given = plan_input.read(database, school, snapshot_id, today, only=person)
    if isinstance(given, TakenOver):
        plan, stats = _taken_over(given, school, today)
    else:
        given, plan, stats = _compared(database, school, snapshot_id, given, today, only, limits)
    findings = _quality_findings(given.quality, school, snapshot_id)
    judged = judge(plan, stats, school.guards_on(today), findings)
    with database.begin() as conn:
        if snapshots.erased_since(conn, given.before.facts):
            raise plans.Overtaken("Somebody was erased while this plan was made.", "Run it again.")
        if not dry_run and only is None:
            lasting_decisions.end_exemptions(conn, school, plan.ended_exemptions)
        plan_id = plans.write(
            conn,
            school,
            snapshot_id,
            plan.rows.assign(guard=judged.row_guards),
            judged.rows,
            hash_=plan.hash,
            counts=plan.counts,
            first_sync=given.before.first_sync,
            position=given.position,
            dry_run=dry_run,
            run_id=run_id,
            quality=rosters.quality_digest(given.quality),
            person_id=person,
            listed=says_nothing(plan.rows) if only is None else None,
            unchanged=given.unchanged(plan),
            lists_of=given.lists_of,
        )
        if not dry_run:
            given.keep(conn, snapshot_id, plan_id, plan, stats)
    settled = sum(plan.settled.values())
    actions = Counter(plan.rows["action"].tolist()) + Counter(unchanged=settled)
    return Planned(
        plan_id=plan_id,
        hash=plan.hash,
        rows=len(plan.rows) + settled,
        by_action=dict(actions.most_common()),
        held=int(judged.rows.loc[judged.rows["verdict"] == "hold", "rows"].sum()),
        verdict=[{str(k): v for k, v in row.items()} for row in records_of(judged.rows)],
    )


def _taken_over(given: TakenOver, school: tenants.SchoolRow, today: date) -> tuple[Plan, PlanStats]:
    """The last plan with the facts of this snapshot."""
    before, earlier = given.before, given.plan
    unlike = snapshot_guards.smaller(before.facts["proof"], before.proofs)
    snapshot = snapshot_facts(before.facts, school.settings.zone)
    plan = Plan(earlier.rows, False, False, school.settings.rostered, settled=earlier.listed)
    return plan, stats_of_numbers(earlier.numbers, snapshot, before.roles, today, unlike)


def _compared(
    database: Database,
    school: tenants.SchoolRow,
    snapshot_id: int,
    given: PlanInput,
    today: date,
    only: OnePerson | None,
    limits: Limits | None,
) -> tuple[PlanInput, Plan, PlanStats]:
    """Compare roster and directory, and ask the second witness. It may have to read more than was `given`."""
    before, roster = given.before, given.roster
    facts, answers = before.facts, before.answers
    snapshot = snapshot_facts(facts, school.settings.zone)

    def planned(settings: SchoolSettings) -> Plan:
        plan = make_plan(
            given.planned, given.directory, settings, snapshot, first_sync=before.first_sync,
            excluded_contacts=given.excluded, settled=given.by_role,
        )  # fmt: skip
        return plan if only is None else only.rows_of(plan)

    plan = planned(school.settings)
    if not given.holds(plan):
        given = plan_input.read_everybody(database, school, snapshot_id, today)
        plan = planned(school.settings)
    lately, of_snapshot = set[int](), (school.connection.id, snapshot_id)
    if snapshot.mode != "delta" and len(plan.absent):
        lately = database.call(newcomers, *of_snapshot, persons_of(plan.absent).tolist())
        plan = plan.sparing(lately, "came_lately")
    served: bool | None = True
    unlike = snapshot_guards.smaller(facts["proof"], before.proofs)
    if snapshot.complete and len(plan.absent):
        answers, served = ask_for_absent(
            database, school, snapshot_id, str(facts["school_sourced_id"]), plan, roster, given.directory, answers,
            limits,
        )  # fmt: skip
        if served is False:
            served_before = bool(school.connection.learned.get(snapshot_guards.SINGLE_USERS))
            unlike = replace(
                unlike,
                single_users_gone=snapshot_guards.misses_single_users(before.proofs, served_before=served_before),
            )
            if NO_ID in facts["proof"]["notes"]:
                snapshot = replace(snapshot, complete=False, problems=(*snapshot.problems, NO_ID))
            plan = planned(school.settings.without_witness()).sparing(lately, "came_lately")
    plan = plan.witnessed(answers if served else None)
    moves = plan.rows[(plan.rows["action"] == ARCHIVE) & (plan.rows["reason"] == "moved_school")]
    if len(moves):
        roles = dict(zip(persons_of(moves).tolist(), moves["role"].tolist(), strict=True))
        waiting = database.call(on_their_way, facts["pull_id"], school, roles, today)
        plan = plan.sparing(waiting, "not_there_yet")
    history, gone = before.roles, announced_gone(plan.rows, given.directory.announced)
    if gone:
        earlier = database.call(in_earlier_snapshots, school.connection.id, [int(one) for one in history.index], gone)
        history = usual_sizes(history, earlier, gone)
    lost, absent = maybe_lost(database, school.connection, plan.absent["sourced_ids"]), persons_of(plan.absent).tolist()
    unseen, recent = set[int](), None
    if absent:
        unseen = database.call(never_listed, *of_snapshot, absent)
        back = persons_of(plan.rows)[(plan.rows["action"] == RESTORE).to_numpy(dtype=bool)].tolist()
        recent = database.call(recent_losses, school, lately=LATELY, long=LONG, back=back)
    created = (plan.rows["action"] == CREATE).to_numpy(dtype=bool) & (persons_of(plan.rows) < 0)
    not_rostered: dict[str, list[str]] = {}
    if created.any() and not before.first_sync:
        records = {one for ids in plan.rows["sourced_ids"][created] for one in ids}
        not_rostered = database.call(roles_not_rostered, school.id, records)
    stats = plan_stats_of(
        plan, roster, given.rejected, given.directory, snapshot, history, today, lost, unseen, recent, not_rostered
    )
    return given, plan, replace(stats, unlike=unlike)


def _quality_findings(results: pd.DataFrame, school: tenants.SchoolRow, snapshot_id: int) -> list[Finding]:
    try:
        rules = installed_suite().tuned(school.settings.quality)
    except QualitySuiteError as problem:
        return [snapshot_guards.untested(str(problem))]
    return list(snapshot_guards.quality_findings(results, rules, snapshot_id))


def apply_latest(database: Database, school_key: str, *, run_id: str | None, who: str) -> SyncResult:
    """Apply the newest plan of a school, once per snapshot, and put its report into the outbox."""
    with database.begin() as conn:
        plan_id = latest_plan(conn, school_key, run_id)
        if plan_id is None:
            tenants.get_school(conn, school_key)
            raise SyncError(school_key, "there is no plan to apply", f"Run: roster sync {school_key}")
    for _ in range(MOST_TRIES):
        try:
            with database.begin() as conn:
                result = apply_plan(conn, plan_id, who=who, run_id=run_id)
                finish(conn, result)
                return result
        except PlanStale:
            with database.begin() as conn:
                school = tenants.get_school(conn, school_key)
                snapshot_id = plans.get(conn, plan_id).snapshot_id
            with suppress(plans.Overtaken):  # applying this plan then returns the sync of the newer data
                plan_id = plan_snapshot(database, school, snapshot_id, run_id=run_id).plan_id
    raise SyncError(
        school_key, "the directory kept changing while the plan was applied", "Run it again.", retryable=True
    )


def finish(conn: Connection, result: SyncResult) -> None:
    """What belongs to every new sync, in its transaction: remove unwanted contacts, then `conclude`."""
    if result.already:
        return
    rosters.drop_unwanted(conn, result.sync_id)
    conclude(conn, result)


def conclude(conn: Connection, result: SyncResult) -> None:
    """Write the report of a sync of any kind, count it in its week, and settle the alerts that it answers or opens."""
    summary = sync_summary(conn, result.sync_id)
    put_report(conn, summary)
    school_history.note(conn, result.sync_id)
    settle(conn, summary.school_id, datetime.now(UTC))
