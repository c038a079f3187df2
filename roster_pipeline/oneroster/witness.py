"""The second witness: requests each absent person from the SIS by id before the person is archived.

Lists of real servers leave people out although their totals agree. Only a clear answer counts: a failed request is
"unanswered", a record that does not say where the person is is "unclear", and neither archives anybody.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, tzinfo
from functools import cached_property
from itertools import islice
from typing import Any, Literal
from urllib.parse import quote

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
from roster_pipeline.org_tree import GONE_STATUSES, day_in, other_schools

ACTIVE_STATUSES = frozenset(("active", None))

MOST_PRESENT = 3
"""Present people to request until one is answered. Several, because a server may fail on a single id."""
TEMPORARY = frozenset(
    error.__name__
    for error in (Busy, Dribbling, Malformed, ServerFailed, SignInRefused, TooLarge, TooSlow, Unreachable)
)
"""Names of errors that do not say whether the server serves single users."""

NOT_ASCII = "é"

ANSWERED_UNCLEARLY = ("padded-ids", "another-record")
"""Reasons for no user although the SIS answered: the record has another id than the requested one."""

Verdict = Literal["gone", "here", "elsewhere", "unclear", "unanswered"]


@dataclass(frozen=True)
class Answer:
    """The SIS's answer for one id. state: "found" (with the normalised user), "missing" (404), "unanswered" (why: the
    name of an error, or a slug)."""

    state: Literal["found", "missing", "unanswered"]
    user: dict[str, Any] | None
    why: str = ""


@dataclass(frozen=True)
class WitnessReport:
    """The verdict for each requested person.

    gone: 404, or marked as deleted. here: active, with a current role in the school. elsewhere: active, and in another
    school that the SIS lists, or only in the past or future in this one, or in no org at all. unclear: the record names
    an org that is not listed or not a school, or the school without a role, or has an unknown status or another id; or
    404 for an id with encoded characters, if the server was not proved to find such ids. unanswered: the request
    failed, or it is not proved that the answers can be trusted.

    deleted: the records that the SIS answered and marks as deleted. They may be of somebody else.

    serves_single_users: the SIS answered for somebody present, now or in an earlier session. Otherwise a 404 means
    nothing, and every verdict is "unanswered". proved: the SIS answered for the same present person before and after
    all others; otherwise no answer in between counts.
    """

    answers: dict[str, Verdict]
    serves_single_users: bool
    proved: bool = False
    deleted: tuple[dict[str, Any], ...] = field(default=(), repr=False)


def joined(reports: Sequence[WitnessReport]) -> WitnessReport:
    """Join the reports of several groups of people. Without any group, nothing is proved."""
    answers: dict[str, Verdict] = {}
    for report in reports:
        answers |= report.answers
    served = any(report.serves_single_users for report in reports)
    proved = bool(reports) and all(report.proved for report in reports)
    return WitnessReport(answers, served, proved, tuple(user for report in reports for user in report.deleted))


def ask_witness(
    user_answers: Callable[[Sequence[str]], dict[str, Answer]],
    sourced_ids: Sequence[str],
    school_id: str,
    present_ids: Sequence[str],
    today: date,
    *,
    list_orgs: Callable[[], Sequence[dict[str, Any]]],
    served_before: bool = False,
    zone: tzinfo = UTC,
) -> WitnessReport:
    """Request each person by id. See `Client.witness`.

    user_answers: like `Client.user_answers`. list_orgs: the orgs that the SIS lists; called only if an answer names
    another org than the school. served_before: an earlier session proved that this server serves single users. If it
    fails now, the witness is missing for this sync; that is not a server without a witness. zone: of the school.
    """
    unanswered: dict[str, Verdict] = dict.fromkeys(sourced_ids, "unanswered")
    fails = False
    for present_id in present_ids[:MOST_PRESENT]:
        answer = user_answers([present_id])[present_id]
        if answer.user is not None:
            orgs_are_stated = any(entry["org"] for entry in answer.user["roles"])
            answers = user_answers(sourced_ids)
            if user_answers([present_id])[present_id].user is None:
                return WitnessReport(unanswered, True)
            others = OtherOrgs(list_orgs, school_id, orgs_are_stated)
            doubted = _doubted(answers, present_ids, user_answers)
            verdicts = {
                one: "unclear" if one in doubted else _verdict(answer, school_id, today, zone, others)
                for one, answer in answers.items()
            }
            found = (answer.user for answer in answers.values() if answer.user is not None)
            deleted = tuple(user for user in found if user["status"] in GONE_STATUSES)
            return WitnessReport(unanswered | verdicts, True, proved=True, deleted=deleted)
        fails = fails or answer.why in TEMPORARY
    return WitnessReport(unanswered, served_before and fails)


def _doubted(
    answers: Mapping[str, Answer],
    present_ids: Sequence[str],
    user_answers: Callable[[Sequence[str]], dict[str, Answer]],
) -> set[str]:
    """The missing ids with a character that addresses encode, unless the SIS answered for somebody present whose id has
    it.

    Many servers and gateways answer 404 for every address with %2F or %25, even if the person exists.
    """
    encoded = {one: _encoded(one) for one, answer in answers.items() if answer.state == "missing"}
    read: set[str] = set()
    for character in sorted(set().union(*encoded.values())):
        if character not in read:
            having = (one for one in present_ids if character in _encoded(one))
            with_it = list(islice(having, MOST_PRESENT))
            read.update(*(_encoded(one) for one, answer in user_answers(with_it).items() if answer.user is not None))
    return {one for one, characters in encoded.items() if not characters <= read}


def _encoded(sourced_id: str) -> frozenset[str]:
    """The characters of an id that are encoded in an address; NOT_ASCII for all letters outside ASCII."""
    return frozenset(
        letter if letter.isascii() else NOT_ASCII for letter in sourced_id if quote(letter, safe="") != letter
    )


class OtherOrgs:
    """Judges the orgs of a person who is not in the school. stated: whether users of this server name orgs at all."""

    def __init__(self, list_orgs: Callable[[], Sequence[dict[str, Any]]], school_id: str, stated: bool) -> None:
        self._list_orgs = list_orgs
        self._school_id = school_id
        self._stated = stated

    def read(self, user: dict[str, Any]) -> None:
        """Replace the user's references to orgs by sourcedIds if they are written in another way."""
        if any(entry["org"] not in (None, self._school_id) for entry in user["roles"]):
            self._references.place([user])

    def confirm(self, entries: Sequence[dict[str, Any]], today: date) -> bool:
        """Whether these role entries, none of them current in the school, prove that the person left.

        All orgs must be listed, and the school must not be named without a role. Also, one org must be another school,
        or this school in the past or future, or no role may be current. If no org is named, the server must name orgs
        for other people.
        """
        orgs = {str(entry["org"]) for entry in entries if entry["org"] is not None}
        others = orgs - {self._school_id}
        if not others:
            return self._stated
        if not others <= self._references.ids or (self._school_id, None) in {(e["org"], e["role"]) for e in entries}:
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


def _verdict(answer: Answer, school_id: str, today: date, zone: tzinfo, others: OtherOrgs) -> Verdict:
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
    for entry in answer.user["roles"]:
        entry |= {name: day_in(zone, entry[name]) for name in ("beginDate", "endDate")}
    if in_school(answer.user, school_id, today):
        return "here"
    named = answer.user["givenName"] or answer.user["familyName"]
    return "elsewhere" if named and others.confirm(answer.user["roles"], today) else "unclear"


def in_school(user: dict[str, Any], school_id: str, today: date) -> bool:
    """Whether a user has a current role in the school. Contact roles do not count. If the user has a role elsewhere,
    the school must be named with a role."""
    entries = [entry for entry in user["roles"] if entry["role"] is not None] or user["roles"]
    return any(
        entry["org"] == school_id and entry["role"] not in CONTACT_ROLES and current(entry, today) for entry in entries
    )


def current(entry: dict[str, Any], today: date) -> bool:
    """Whether a role entry is valid on that day, including both its dates, as in the roster."""
    day = today.isoformat()
    begins, ends = entry["beginDate"], entry["endDate"]
    return (begins is None or begins <= day) and (ends is None or day <= ends)
