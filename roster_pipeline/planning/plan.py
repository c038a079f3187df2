"""The plan: one row per membership, with an action, a reason and the field changes.

One more row, with the role `contact`, for each student who loses a contact that nobody may call.

If a row moves the primary link of an existing person, its changes contain `primary_record`: [old sourcedId or null, new
sourcedId]. An update without field changes writes a link, or takes over a membership that was entered by hand. After
every create, update and restore the sync manages the membership.

Exempted rows: a later plan does not make a change that somebody exempted. Otherwise, if a guard holds sixty archivals
and somebody exempts three, these three alone would be few enough to pass the next night.

Announced leavers: an announcement archives nobody. A person who is still in the roster stays, and the second witness is
asked as usual. Guards do not count an announced person who is absent, as if they had left already. Guards that doubt
the snapshot hold the archival; guards that only count archivals do not.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.contact_exclusions import none_excluded
from roster_pipeline.frames import PLAN_COLUMNS, Flags, column_of, persons_of, strings, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames, SnapshotFacts
from roster_pipeline.identity.identity_groups import identity_groups_of
from roster_pipeline.identity.matching import match
from roster_pipeline.named_frames import part
from roster_pipeline.planning.decisions import PlanningContext
from roster_pipeline.planning.field_changes import without_excluded
from roster_pipeline.planning.plan_absent import absent_rows
from roster_pipeline.planning.plan_present import present_rows
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.vocabulary import ANNOUNCED, ARCHIVE, CHANGING, CONTACT, CREATE, UPDATE

GONE, HERE, ELSEWHERE, UNCLEAR, UNANSWERED = "gone", "here", "elsewhere", "unclear", "unanswered"
_OWN_WITNESS = ("disabled", "not_enrolled")
"""Statuses of records that came and that say themselves that the person is gone. The SIS would answer that these
records are active, so it is not asked for them. It is asked for the other records of the same person."""
EXEMPTED = "exempted"
_sorted_json = msgspec.json.Encoder(order="sorted").encode
COUNT_ARCHIVALS = ("archivals", "archive_most", "missing_elsewhere", "slow_loss")
"""The guards that only count how many people go. They do not hold the archival of an announced leaver."""


@dataclass(frozen=True)
class Plan:
    """rows: `PLAN_COLUMNS`. rostered: the school's rostered roles. awaits_approval: a first sync that somebody must
    approve.

    own_witness: records that say themselves that the person is gone, by a disabled account or by enrollments.
    ended_exemptions: ids of exemptions of changes that the SIS no longer asks for. settled: by role, how many people
    stay as they are without a row (`planning/settled.py`). alike: the rows whose record and person have no difference,
    not even one that the plan leaves alone.
    """

    rows: pd.DataFrame
    first_sync: bool
    awaits_approval: bool
    rostered: tuple[str, ...]
    own_witness: frozenset[str] = frozenset()
    ended_exemptions: tuple[int, ...] = ()
    settled: Mapping[str, int] = field(default_factory=dict)
    alike: Flags = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what the plan would change. The order of rows and rows that change nothing do not count."""
        texts, values = ("action", "role", "number_kind"), ("sourced_ids", "new_links", "changes")
        flags = truth(pc.is_in(strings(self.rows["action"]), value_set=strings(CHANGING)))
        if not flags.any():
            return hashlib.sha256().hexdigest()
        changing = part(self.rows, ("person_id", *texts, *values), flags)
        columns = {name: strings(changing[name]).to_pylist() for name in texts}
        columns |= {name: changing[name].tolist() for name in values}
        columns["person_id"] = [None if person < 0 else person for person in persons_of(changing).tolist()]
        names = ("action", "role", "person_id", "sourced_ids", "new_links", "changes", "number_kind")
        rows = zip(*(columns[name] for name in names), strict=True)
        dumped = sorted(map(_sorted_json, rows))
        return hashlib.sha256(b"\n".join(dumped)).hexdigest()

    @cached_property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of rows by role and action."""
        counts: dict[str, dict[str, int]] = {}
        for role, actions in self.reasons.items():
            counts[role] = {action: sum(by_reason.values()) for action, by_reason in actions.items()}
        return counts

    @cached_property
    def reasons(self) -> dict[str, dict[str, dict[str, int]]]:
        """The number of rows by role, action and reason."""
        reasons: dict[str, dict[str, dict[str, int]]] = {}
        names = ("role", "action", "reason")
        sizes = pa.table({name: strings(self.rows[name]) for name in names}).group_by(list(names))
        for row in sizes.aggregate([([], "count_all")]).sort_by([(name, "ascending") for name in names]).to_pylist():
            if None not in row.values():
                reasons.setdefault(row["role"], {}).setdefault(row["action"], {})[row["reason"]] = row["count_all"]
        for role, people in self.settled.items():
            unchanged = reasons.setdefault(role, {}).setdefault("unchanged", {})
            unchanged["equal"] = unchanged.get("equal", 0) + people
        return reasons

    @cached_property
    def absent(self) -> pd.DataFrame:
        """Who would be archived: person, role and records. We ask the SIS for these people."""
        archives = truth(pc.equal(strings(self.rows["action"]), ARCHIVE))
        return part(self.rows, ("person_id", "role", "sourced_ids"), archives)

    @property
    def asked(self) -> list[str]:
        """The sourcedIds that the second witness is asked for, sorted."""
        return sorted({record for records in self.absent["sourced_ids"] for record in records} - self.own_witness)

    def witnessed(self, answers: Mapping[str, str] | None) -> "Plan":
        """The plan after the SIS was asked for every single person that it would archive.

        answers: sourcedId to gone, elsewhere, here, unclear or unanswered. None: this server does not serve single
        users, so there is no second witness. A person is archived only if every record is gone. If `answers` is empty,
        nobody was asked for: guards hold the archivals, except those of people whose records all say themselves that
        they are gone.
        """
        archives = np.flatnonzero((self.rows["action"] == "archive").to_numpy(dtype=bool))
        if not len(archives):
            return self
        names = ("action", "reason", "witness")
        words = dict(zip(names, (strings(self.rows[name]).to_pylist() for name in names), strict=True))
        for place, sourced_ids in zip(archives.tolist(), self.absent["sourced_ids"].tolist(), strict=True):
            others = [sourced_id for sourced_id in sourced_ids if sourced_id not in self.own_witness]
            if others and answers is not None and not answers:
                continue
            answered = {
                UNANSWERED if answers is None else answers.get(sourced_id, UNANSWERED) for sourced_id in others
            } or {GONE}
            after = _after_witness(str(words["reason"][place]), answered, asked=answers is not None)
            for name, word in zip(names, after, strict=True):
                words[name][place] = word
        return replace(self, rows=self.rows.assign(**{name: column_of(strings(words[name])) for name in names}))

    def sparing(self, people: Collection[int], why: str) -> "Plan":
        """The plan without the archivals of these people. why: the reason of their rows."""
        here = archivals_of(self.rows, people)
        return replace(self, rows=_skipped(self.rows, here, why)) if here.any() else self


def make_plan(
    roster: pd.DataFrame,
    directory: DirectoryFrames,
    school: SchoolSettings,
    snapshot: SnapshotFacts,
    *,
    first_sync: bool | None = None,
    excluded_contacts: pd.DataFrame | None = None,
    settled: Mapping[str, int] | None = None,
) -> Plan:
    """Compare a cleaned roster (`ROSTER_COLUMNS`) with the directory, and list the changes.

    first_sync: whether nothing was ever applied to this school; by default, whether the sync manages nobody here.
    excluded_contacts: `EXCLUDED_COLUMNS`, the contacts that nobody may call. settled: by role, how many people are in
    neither frame, because they are settled.
    """
    excluded = none_excluded() if excluded_contacts is None else excluded_contacts
    directory, removed = without_excluded(directory, excluded)
    identities = identity_groups_of(roster, directory)
    context = PlanningContext(identities, match(identities, directory), directory, school, snapshot)
    present, alike = present_rows(context)
    others = [frame for frame in (absent_rows(context), removed) if len(frame)]
    rows = pd.concat([present, *others], ignore_index=True) if others else present
    rows, ended = with_exemptions(rows, directory, snapshot, context.unreadable)
    rows = with_notes(rows, directory.announced)
    rows.insert(0, "row", np.arange(len(rows)))
    first = directory.managed.empty if first_sync is None else first_sync
    own_witness = frozenset(
        str(sourced_id) for sourced_id in roster.loc[roster["record_status"].isin(_OWN_WITNESS), "sourced_id"]
    )
    awaits = first and school.first_sync == "approve"
    alike = np.append(alike, np.zeros(len(rows) - len(alike), dtype=bool))
    return Plan(
        rows[list(PLAN_COLUMNS)], first, awaits, school.rostered, own_witness, ended, settled or {}, alike
    )  # fmt: skip


def says_nothing(rows: pd.DataFrame) -> Flags:
    """The rows of which only person and role have to be stored: unchanged, found by the link of the only record, and
    nothing to write."""
    flags: Flags = rows["absent_syncs"].isna().to_numpy() & (persons_of(rows) >= 0)
    for name, value in (("action", "unchanged"), ("reason", "equal"), ("matched_by", "link")):
        flags &= truth(pc.equal(strings(rows[name]), value))
    for name, length in (("sourced_ids", 1), ("new_links", 0), ("changes", 0)):
        flags &= np.fromiter(map(len, rows[name].tolist()), dtype=np.int64, count=len(rows)) == length
    flags &= rows["notes"].isna().to_numpy()
    return flags


def _after_witness(reason: str, answers: set[str], *, asked: bool) -> tuple[str, str, str]:
    """Action, reason and witness of an archival, given the answers for the records of the person."""
    if HERE in answers:
        return "skip", "sis_still_answers", HERE
    if UNCLEAR in answers:
        return "skip", "not_confirmed", UNCLEAR
    if asked and UNANSWERED in answers:
        return "skip", "not_answered", UNANSWERED
    if UNANSWERED in answers:
        return "archive", reason, UNANSWERED
    if ELSEWHERE in answers:
        return "archive", "moved_school" if reason == "left" else reason, ELSEWHERE
    return "archive", reason, GONE


def with_exemptions(
    rows: pd.DataFrame, directory: DirectoryFrames, snapshot: SnapshotFacts, unreadable: frozenset[int]
) -> tuple[pd.DataFrame, tuple[int, ...]]:
    """The rows of a plan with the exempted changes skipped, and the ids of the exemptions that have ended.

    An exemption holds for the same kind of change of the same person, an update only for the same values. It ends once
    a complete list of the SIS no longer leads to that change. An exempted archival ends once the person comes again, or
    is no longer an active member. A person who is in a conflict, or whose role is off, is still away. unreadable:
    people with an unreadable value. Their exempted updates do not end.
    """
    exemptions = directory.exemptions
    if exemptions.empty:
        return rows, ()
    person, action = persons_of(rows), rows["action"].to_numpy(dtype=object)
    usable = (rows["role"].to_numpy(dtype=object) != CONTACT) & (action != "conflict")
    of_person = {int(who): place for place, who in enumerate(person) if usable[place] and who >= 0}
    new = np.flatnonzero(usable & (person < 0) & (action == CREATE))
    records, came = rows["sourced_ids"].tolist(), rows["matched_by"].notna().to_numpy(dtype=bool)
    of_record = {record: place for place in new.tolist() for record in records[place]}
    active = set(directory.members.index[directory.active])
    chosen, ended = [], []
    for one in exemptions.to_dict("records"):
        who = None if pd.isna(one["person_id"]) else int(one["person_id"])
        places = [of_person.get(who)] if who is not None else list(map(of_record.get, one["sourced_ids"]))
        place = next((place for place in places if place is not None), None)
        changes = {} if place is None else rows["changes"].iloc[place]
        same = one["action"] != UPDATE or _plain(one["changes"]) == _plain(changes)
        if place is not None and action[place] == one["action"] and same:
            chosen.append(place)
        elif one["action"] == UPDATE and who in unreadable:
            continue
        elif one["action"] != ARCHIVE or who not in active or (place is not None and came[place]):
            ended.append(int(one["id"]))
    whole = snapshot.complete and snapshot.mode != "delta"
    here = np.isin(np.arange(len(rows)), chosen)
    return _skipped(rows, here, EXEMPTED) if chosen else rows, tuple(ended) if whole else ()


def _plain(changes: Any) -> bytes:
    return _sorted_json(changes or {})


def _skipped(rows: pd.DataFrame, here: Flags, why: str) -> pd.DataFrame:
    action, reason = (rows[name].astype(object).to_numpy(copy=True) for name in ("action", "reason"))
    action[here], reason[here] = "skip", why
    links = [[] if flag else new for flag, new in zip(here, rows["new_links"], strict=True)]
    given = {"action": pd.Series(action, dtype="str"), "reason": pd.Series(reason, dtype="str")}
    return rows.assign(**given, new_links=pd.Series(links, dtype=object))


def announced_gone(rows: pd.DataFrame, announced: frozenset[int]) -> frozenset[int]:
    """The announced leavers without a record in this roster. rows: the rows of the plan."""
    came = persons_of(rows)[rows["matched_by"].notna().to_numpy(dtype=bool)]
    return announced - frozenset(came.tolist()) if announced else announced


def with_notes(rows: pd.DataFrame, announced: frozenset[int]) -> pd.DataFrame:
    """The rows of a plan with a note on each archival that was announced."""
    here = archivals_of(rows, announced)
    if not here.any():
        return rows
    notes = rows["notes"].astype(object).to_numpy(copy=True)
    notes[here] = ANNOUNCED
    return rows.assign(notes=pd.Series(notes, dtype="str"))


def archivals_of(rows: pd.DataFrame, people: Collection[int]) -> Flags:
    """Which rows of a plan archive one of these people."""
    flags: Flags = (rows["action"] == ARCHIVE).to_numpy(dtype=bool) & np.isin(persons_of(rows), list(people))
    return flags


def usual_sizes(
    history: pd.DataFrame, earlier: Sequence[Mapping[str, Sequence[int]]], gone: Collection[int]
) -> pd.DataFrame:
    """The sizes of earlier snapshots without the announced leavers who are gone now.

    history: one row per snapshot, a column per role. earlier: for each of these snapshots, role to the announced people
    who were members in it.
    """
    left, without = frozenset(gone), history.copy()
    for role in history.columns:
        away = [len(left.intersection(roles.get(str(role), ()))) for roles in earlier]
        without[role] = history[role].to_numpy() - np.array(away)
    return without
