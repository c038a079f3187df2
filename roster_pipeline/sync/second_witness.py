"""Asks the second witness of a plan, and compares the records that it answers with the people of the directory.

A witness only says that a record is marked as deleted. If the record is somebody else's now, this does not prove that
its person left.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.clean import CleaningContext, clean
from roster_pipeline.directory import plans, snapshots, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.frames import frame_of, strings, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames
from roster_pipeline.identity.identity_groups import identity_groups_of
from roster_pipeline.identity.reassigned_ids import reassigned_ids
from roster_pipeline.oneroster.http.endpoint import Limits
from roster_pipeline.oneroster.witness import joined
from roster_pipeline.planning import snapshot_guards
from roster_pipeline.planning.plan import UNCLEAR, Plan
from roster_pipeline.sync.fetch_strategy import client_of, is_bundle


def ask_for_absent(
    database: Database,
    school: tenants.SchoolRow,
    snapshot_id: int,
    school_sourced_id: str,
    plan: Plan,
    roster: pd.DataFrame,
    directory: DirectoryFrames,
    known: Mapping[str, str],
    limits: Limits | None,
) -> tuple[dict[str, str], bool | None]:
    """Ask the SIS by id for each person that the plan would archive, and for somebody present in the same role as a
    proof. Second value: whether this server answers for single people at all. None if nobody was asked, because a file
    cannot answer, or because nobody is present, so that nothing proves an answer. Then the role is empty and a person
    decides."""
    asked = [record for record in plan.asked if record not in known]
    if not asked:
        return dict(known), True
    present = truth(pc.equal(strings(roster["record_status"]), "member"))
    ids, roles = strings(roster["sourced_id"]), strings(roster["role"])
    if is_bundle(school.connection) or not present.any():
        return {}, None
    zone, reports = school.settings.zone, []
    today = datetime.now(zone).date()
    with client_of(school.connection, limits) as client:
        absent = list(zip(plan.absent["role"], plan.absent["sourced_ids"], strict=True))
        for role in sorted({role for role, _ in absent}):
            theirs = sorted({one for of, records in absent if of == role for one in records}.intersection(asked))
            alike = present & truth(pc.equal(roles, role))
            shown = ids.filter(pa.array(alike if alike.any() else present)).to_pylist()
            reports += [client.witness(theirs, school_sourced_id, shown, today, zone, role)] if theirs else []
        report = joined(reports)
        learned = dict(client.learned)
    context = CleaningContext(school_sourced_id, school.settings, school.connection.settings, today)
    doubted = dict.fromkeys(deletions_of_others(report.deleted, context, directory), UNCLEAR)
    answers = {**report.answers, **doubted}
    with database.begin() as conn:
        if report.serves_single_users:
            plans.write_witnesses(conn, snapshot_id, answers)
        if report.proved or not report.serves_single_users:
            snapshots.prove(conn, snapshot_id, **{snapshot_guards.SINGLE_USERS: report.proved})
        if report.proved and learned != school.connection.learned:
            tenants.remember(conn, school.connection.id, learned)
    return dict(known) | answers, report.serves_single_users


def deletions_of_others(
    deleted: Sequence[Mapping[str, Any]], context: CleaningContext, directory: DirectoryFrames
) -> list[str]:
    """The ids of those of these deleted records that are not of the person who is linked to them."""
    if not deleted:
        return []
    identities = identity_groups_of(clean(frame_of(deleted), frame_of([]), context).roster, directory)
    doubted = reassigned_ids(identities, directory)[identities.identity]
    ids: list[str] = identities.sourced_ids.filter(pa.array(doubted)).to_pylist()
    return ids
