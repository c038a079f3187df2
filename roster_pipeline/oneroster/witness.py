"""The second witness: before somebody is archived for being absent, the SIS is asked for that one person.

Lists of real servers leave people out while their totals agree. Only a clear answer counts. A failed request is
"unanswered" and a record that does not say where the person is is "unclear"; nobody is archived for either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Literal

from roster_pipeline.oneroster.errors import (
    Busy,
    Dribbling,
    Malformed,
    OneRosterError,
    ServerFailed,
    SignInRefused,
    TooLarge,
    TooSlow,
    Unreachable,
)
from roster_pipeline.oneroster.records.orgs import OrgReferences
from roster_pipeline.oneroster.records.role_entries import CONTACT_ROLES
from roster_pipeline.org_tree import GONE_STATUSES, other_schools

ACTIVE_STATUSES = frozenset(("active", None))

MOST_PRESENT = 3
"""So many people who are present are asked for until one is answered: a single id may be one that no server likes."""
FAILED_TONIGHT = frozenset(
    error.__name__
    for error in (Busy, Dribbling, Malformed, ServerFailed, SignInRefused, TooLarge, TooSlow, Unreachable)
)
"""Errors that say nothing about whether single users are served."""

ANSWERED_UNCLEARLY = ("padded-ids", "another-record")
"""Why there is no user although the SIS answered: with another id than the one that was asked for."""

Verdict = Literal["gone", "here", "elsewhere", "unclear", "unanswered"]


@dataclass(frozen=True)
class Answer:
    """state: "found" (with the normalised user), "missing" (404), "unanswered" (why: an error's name or a slug)."""

    state: Literal["found", "missing", "unanswered"]
    user: dict[str, Any] | None
    why: str = ""


@dataclass(frozen=True)
class WitnessReport:
    """What the SIS says of each person asked for.

    gone: 404, or marked as deleted. here: active, with a current role in the school. elsewhere: active, and in another
    school that the SIS lists, in this one in the past or future only, or in no org at all. unclear: the SIS answered,
    with a record that names an org that is not listed or is not a school, with an unknown status, or with another id.
    unanswered: the request failed, or nothing proves that the answers of tonight can be trusted.
    serves_single_users: somebody present could be fetched by id; without that, a 404 means nothing and every answer is
    "unanswered". They are asked for once more at the end: where they are not answered any more, nothing that was said
    in between counts. It stays true where the server has served single users before and only fails tonight. proved:
    somebody present was fetched just now, before and after.
    """

    answers: dict[str, Verdict]
    serves_single_users: bool
    proved: bool = False


def ask_witness(
    user_answers: Callable[[Sequence[str]], dict[str, Answer]],
    sourced_ids: Sequence[str],
    school_id: str,
    present_ids: Sequence[str],
    today: date,
    *,
    list_orgs: Callable[[], Sequence[dict[str, Any]]],
    served_before: bool = False,
) -> WitnessReport:
    """See `Client.witness`. user_answers: asks the SIS for each of these ids, as `Client.user_answers` does.

    list_orgs: the orgs that the SIS lists; asked only where an answer names another org than the school.
    served_before: this server is known to serve single users. A night on which it fails has no witness, which is not
    the same as a server that never had one.
    """
    unanswered: dict[str, Verdict] = dict.fromkeys(sourced_ids, "unanswered")
    fails = False
    for present_id in present_ids[:MOST_PRESENT]:
        answer = user_answers([present_id])[present_id]
        if answer.user is not None:
            orgs_are_told = any(entry["org"] for entry in answer.user["roles"])
            answers = user_answers(sourced_ids)
            if user_answers([present_id])[present_id].user is None:
                return WitnessReport(unanswered, True)
            others = Others(list_orgs, school_id, orgs_are_told)
            verdicts = {one: _verdict(answer, school_id, today, others) for one, answer in answers.items()}
            return WitnessReport(unanswered | verdicts, True, proved=True)
        fails = fails or answer.why in FAILED_TONIGHT
    return WitnessReport(unanswered, served_before and fails)


class Others:
    """What the orgs of somebody who is not in the school say. told: records of this server name orgs at all."""

    def __init__(self, list_orgs: Callable[[], Sequence[dict[str, Any]]], school_id: str, told: bool) -> None:
        self._list_orgs = list_orgs
        self._school_id = school_id
        self._told = told

    def read(self, user: dict[str, Any]) -> None:
        """Put what the orgs of a user mean in their place, where they are written in another way."""
        if any(entry["org"] not in (None, self._school_id) for entry in user["roles"]):
            self._references.place([user])

    def confirm(self, entries: Sequence[dict[str, Any]], today: date) -> bool:
        """Whether somebody with these role entries, and without a current one in the school, has left it.

        Every org must be listed. One must be another school, or the school itself, in the past or in the future; or
        every role has ended or not begun; or there is no org at all, at a server that names the orgs of others.
        """
        orgs = {str(entry["org"]) for entry in entries if entry["org"] is not None}
        others = orgs - {self._school_id}
        if not others:
            return self._told
        if not others <= self._references.ids:
            return False
        if self._school_id in orgs or not any(current(entry, today) for entry in entries):
            return True
        return bool(others & other_schools(self._orgs, self._school_id))

    @cached_property
    def _orgs(self) -> Sequence[dict[str, Any]]:
        try:
            return self._list_orgs()
        except OneRosterError:
            return []

    @cached_property
    def _references(self) -> OrgReferences:
        references = OrgReferences()
        references.note(self._orgs)
        return references


def _verdict(answer: Answer, school_id: str, today: date, others: Others) -> Verdict:
    if answer.state == "missing":
        return "gone"
    if answer.user is None:
        return "unclear" if answer.why in ANSWERED_UNCLEARLY else "unanswered"
    status = answer.user["status"]
    if status in GONE_STATUSES:
        return "gone"
    if status not in ACTIVE_STATUSES:
        return "unclear"
    others.read(answer.user)
    if in_school(answer.user, school_id, today):
        return "here"
    return "elsewhere" if others.confirm(answer.user["roles"], today) else "unclear"


def in_school(user: dict[str, Any], school_id: str, today: date) -> bool:
    """Whether a user has a current role in the school; family of a pupil is no role in it."""
    return any(
        entry["org"] == school_id and entry["role"] not in CONTACT_ROLES and current(entry, today)
        for entry in user["roles"]
    )


def current(entry: dict[str, Any], today: date) -> bool:
    """Whether a role entry holds on that day: both its dates included, as in the roster."""
    day = today.isoformat()
    begins, ends = entry["beginDate"], entry["endDate"]
    return (begins is None or begins <= day) and (ends is None or day <= ends)
