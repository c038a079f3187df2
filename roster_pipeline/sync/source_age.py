"""Whether a night's data can be trusted: their age (the facts of a pull, the limits of a school, and the words for it),
and whether a file of a bundle lacks a part."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, starmap
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row

from roster_pipeline.directory import pulls, tenants
from roster_pipeline.directory.absences import absent_members, schools_read_lately
from roster_pipeline.directory.arrivals import arrivals, known_people
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.delta_base import OLDER_RECORDS, SPLIT_RECORDS, DeltaBase
from roster_pipeline.directory.pull_comparison import Compared, values_moved
from roster_pipeline.errors import ABOUT_AGE, in_words
from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.oneroster.bundle import LastRead
from roster_pipeline.oneroster.collections.row_order import RowOrder, missing_among
from roster_pipeline.oneroster.http.addresses import is_bundle_url
from roster_pipeline.planning.role_guards import most_moved
from roster_pipeline.planning.shared_pull import (
    ARRIVALS,
    LOSSES,
    MOVED,
    Coming,
    Known,
    RoleLoss,
    arrivals_of,
    losses_of,
)
from roster_pipeline.planning.snapshot_guards import OLDER, SINGLE_USERS, stale_source
from roster_pipeline.settings.school import Guards
from roster_pipeline.vocabulary import counted

SOURCE_OLD = "source-old"
CUT = "enrollments-name-absent-users"
ROLES_OUTDATED = "roles-lack-new-users"
"""Most people who are new in users.csv have no role, so roles.csv is of an earlier day. Then the role of somebody we
know may be missing too."""
LEAVERS, LEAVERS_SHARE = 5, 0.01
"""Up to this many people, or this share, may leave in a night and still be enrolled."""
TOO_FEW = 2
"""Up to this many dates of change that went back may be corrections. More mean data of an earlier day."""
STRAY_ROLES = "roles-name-absent-users"
"""roles.csv has people whom users.csv lacks. If any date went back too, users.csv is of an earlier day."""
REVISIONS = "revisions"
REVISIONS_KEPT = 100
"""How many fingerprints of bulk bundles are remembered: one that comes again is of an earlier day."""

DELTA_SINCE = "delta_since"
"""Whether changes came after the newest bulk bundle. If the same bundle comes once more, its data are older."""
SEVERAL = re.compile(r"bundles:\d")
"""The note of a pull that read deltas after a bulk bundle."""


@dataclass(frozen=True)
class Aged:
    """A proof with facts about the age of the source. See the columns of `pull` for the times."""

    proof: dict[str, Any]
    written_at: datetime | None
    unchanged_since: datetime


def last_read(base: DeltaBase | None, newest: Mapping[str, Any] | None) -> LastRead | None:
    """Where the next pull of bundles continues. base: the newest complete pull. newest: the newest proof."""
    if base is None and newest is None:
        return None
    seen = (newest or {}).get("age") or {}
    latest = _moment(seen.get("newest"))
    whole = _moment(seen.get("whole"))
    order, with_break = RowOrder(**(seen.get("order") or {})), seen.get("with_break") or ()
    if base is None:
        return LastRead(seen=seen.get("marks") or {}, newest=latest, whole=whole, order=order, with_break=with_break)
    age = base.proof.get("age") or {}
    written = _moment(age.get("written")) or base.server_time or base.finished_at
    marks = age.get("marks")
    return LastRead(
        written=min(written, base.finished_at), looked_at=base.finished_at,
        marks=None if marks is None else frozenset(marks), seen=seen.get("marks") or {},
        newest=latest or min(written, base.finished_at), whole=whole, order=order, with_break=with_break,
    )  # fmt: skip


def aged(
    proof: Mapping[str, Any], base: DeltaBase | None, before: Mapping[str, Any] | None, compared: Compared | None
) -> Aged:
    """Judge a pull against the complete one before it (base). compared: how the two differ."""
    noted, age = dict(proof), dict(proof.get("age") or {})
    bundle = bool(age)
    problems = list(proof["problems"])
    older = OLDER in problems
    if bundle:
        earlier = (before or {}).get("age") or {}
        revisions = list(earlier.get(REVISIONS) or ())
        bulk = age.get("bulk")
        older = older or bulk in (revisions if earlier.get(DELTA_SINCE) else revisions[:-1])
        with_delta = proof["records"] > 0 and (bulk is None or any(map(SEVERAL.match, proof["notes"])))
        age[DELTA_SINCE] = with_delta or (bool(earlier.get(DELTA_SINCE)) and (bulk is None or older))
        age[REVISIONS] = revisions if bulk is None or bulk in revisions else [*revisions, bulk][-REVISIONS_KEPT:]
    back = 0 if compared is None else compared.back + int(proof.get(OLDER_RECORDS, 0))
    corrections = 0 if STRAY_ROLES in (*problems, *proof["notes"]) else TOO_FEW
    if compared is not None and back > max(corrections, compared.forward):
        older = True
    if older and OLDER not in problems:
        problems.append(OLDER)
    judged = compared if compared is not None and proof.get("without_role") else None
    outdated = judged is not None and judged.new_roleless > max(TOO_FEW, judged.new // 2)
    problems += [ROLES_OUTDATED] * outdated
    noted |= {"problems": problems, "complete": bool(proof["complete"]) and not older and not outdated}
    if bundle:
        noted["age"] = age | ({"order": (before or {}).get("age", {}).get("order")} if older else {})
    now = datetime.now(UTC)
    return Aged(noted, _moment(age.get("written")), _unchanged_since(proof, base, compared, bundle, older) or now)


def _unchanged_since(
    proof: Mapping[str, Any], base: DeltaBase | None, compared: Compared | None, bundle: bool, older: bool
) -> datetime | None:
    """Since when the source has been the same; None if it is new. A bundle: to the last byte."""
    if base is None:
        return None
    if bundle:
        same = older or proof["revision"] == base.proof.get("revision")
    else:
        same = compared is not None and compared.changed == 0
    return (base.unchanged_since or base.finished_at) if same else None


def is_cut(conn: Connection, source: tenants.ConnectionRow, pull_id: int, lost: Collection[str]) -> bool:
    """Whether a file of a bundle was cut: many people whom a sync would archive are enrolled without a row. lost: ids
    of people who are enrolled without a row. Those whom no sync would archive do not count, because some exports keep
    the enrollments of everybody who ever left."""
    if len(lost) <= LEAVERS:
        return False
    roles, without_row = _absent(conn, source, pull_id, tenants.schools_of(conn, source.id)), set(lost)
    missing = sum(not without_row.isdisjoint(ids) for role in roles for ids in role.ids)
    known: int = sum(role.known for role in roles)
    return missing > max(LEAVERS, LEAVERS_SHARE * known)


def facts_of_schools(
    conn: Connection,
    source: tenants.ConnectionRow,
    pull_id: int,
    proof: Mapping[str, Any],
    base: DeltaBase | None,
    before: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the schools that read a pull lack together, who would come to them, and how many would get values of others;
    nothing if it is one school. proof: of the pull. base, before: the complete pull and the proof before it."""
    lately = schools_read_lately(conn, source.id)
    schools = [school for school in tenants.schools_of(conn, source.id) if school.id in lately]
    if len(schools) < 2:
        return {}
    today = datetime.now(schools[0].settings.zone).date()
    coming = arrivals(conn, pull_id, source, schools, today)
    known = known_people(conn, source.district_id, lately)
    facts: dict[str, Any] = {ARRIVALS: arrivals_of(starmap(Coming, coming), starmap(Known, known))}
    guards = {school.id: school.guards_on(datetime.now(school.settings.zone).date()) for school in schools}
    if base is not None:
        most = min(most_moved(facts[ARRIVALS]["known"], each) for each in guards.values())
        changed_since = base.id if (before or {}).get(MOVED, 0) <= most else None  # else they still wait
        follow = [
            (school.id, role)
            for school in schools
            for role in school.settings.rostered
            if school.settings.role(role).auto_update
        ]
        facts[MOVED] = values_moved(conn, pull_id, changed_since, source, follow)
    if source.learned.get(SINGLE_USERS) or not proof["complete"] or proof["mode"] != "full":
        return facts  # the SIS is asked for each person, or nobody is archived because they are missing
    parts = ((proof.get("age") or {}).get("order") or {}).get("missing") or ()
    roles = [
        RoleLoss(role.school_id, role.known, len(role.ids), len(missing_among(parts, chain.from_iterable(role.ids))))
        for role in _absent(conn, source, pull_id, schools)
    ]
    return facts | {LOSSES: losses_of(roles, guards)}


def _absent(
    conn: Connection, source: tenants.ConnectionRow, pull_id: int, schools: Sequence[tenants.SchoolRow]
) -> Sequence[Row[Any]]:
    """Those of `absent_members` whom a sync would archive."""
    roles = [
        (school.id, role, datetime.now(school.settings.zone).date())
        for school in schools
        for role in school.settings.rostered
        if school.settings.role(role).archive
    ]
    return absent_members(conn, pull_id, source, roles, by_enrollment=source.settings.no_enrollment_means_gone)


def maybe_lost(database: Database, source: tenants.ConnectionRow, absent: Collection[Collection[str]]) -> set[str]:
    """Those of these records that were in a part of a file that the newest one may lack. absent: the records of each
    person."""
    if not len(absent) or not is_bundle_url(source.settings.url):
        return set()
    with database.begin() as conn:
        return missing_among(pulls.missing_parts(conn, source.id), chain.from_iterable(absent))


def too_old(written_at: datetime | None, guards: Guards, now: datetime) -> list[str]:
    """The problem that a school finds in the age of a bundle, for its snapshot; or nothing."""
    days = 0 if written_at is None else (now - written_at).days
    return [f"{SOURCE_OLD}:{counted(days, 'day', 'days')}"] if days >= guards.bundle_age_days else []


def snapshot_facts(row: Mapping[str, Any], zone: ZoneInfo) -> SnapshotFacts:
    """The facts of a snapshot's row for the core. zone: of the school, for days in findings."""
    proof, since = row["proof"], row["unchanged_since"]
    return SnapshotFacts(
        complete=bool(row["complete"]),
        mode=row["mode"],
        problems=tuple(proof.get("problems", ())),
        version=str(proof.get("version", "")),
        bundle=row["written_at"] is not None,
        taken_at=row["taken_at"],
        unchanged_since=since.astimezone(zone) if since is not None else None,
        school_id=int(row["school_id"]),
        losses=proof.get(LOSSES, {}),
        arrivals=proof.get(ARRIVALS, {}),
        moved=proof.get(MOVED, 0),
        whole_records=row["written_at"] is None and not proof.get(SPLIT_RECORDS),
    )


def wrong_with_age(snapshot: SnapshotFacts, guards: Guards) -> list[str]:
    """Each problem with the age of the data, as a sentence."""
    problems = [in_words(finding) for finding in snapshot.problems if finding.startswith(ABOUT_AGE)]
    return [
        *(f"{finding[0].upper()}{finding[1:]}." for finding in problems),
        *(finding.message for finding in stale_source(snapshot, guards)),
    ]


def _moment(written: object) -> datetime | None:
    return datetime.fromisoformat(written) if isinstance(written, str) else None
