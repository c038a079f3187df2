"""Records and values that are not used, and one record per sourcedId.

A note has the sourcedId, the field and the rule, never the value.

Records of one sourcedId that differ in school or role are one person with all of these: some servers send one record
per school. Records that agree in both are versions of each other; the newest by `dateLastModified` is used, and among
equally new ones always the same one. Every other field comes from the newest record. But a person has one name at a
time. If both names of two records differ, or one name and something strong, they are two people with one id, and
neither record is used.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, Literal

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from roster_pipeline.frames import (
    REJECTED_COLUMNS,
    USER_COLUMNS,
    Array,
    Flags,
    blanks,
    column_of,
    filled,
    frame_of,
    repeated,
    sorted_by,
    strings,
)
from roster_pipeline.identity.evidence import MatchKeys, weigh
from roster_pipeline.identity.names import name_keys
from roster_pipeline.named_frames import framed
from roster_pipeline.org_tree import is_gone

SOURCED_ID_OF_TWO = "sourced_id_of_two"
Severity = Literal["error", "warning"]
"""error: the record is not used. warning: the value is dropped or noted, the record is used."""

RULES: dict[str, str] = {
    "missing_name": "has neither a given nor a family name",
    "single_name": "has only one of given and family name",
    "name_too_long": "has a name that is too long to be one",
    "unknown_status": "has a status the standard does not know",
    "unmapped_role": "has no role that this school maps to students, teachers, staff or admins",
    "duplicate_sourced_id": "the same sourcedId came more than once; the newest was used",
    SOURCED_ID_OF_TWO: "records of different people have this sourcedId; none was used",
    "invalid_email": "the e-mail address is not valid; the stored one stays",
    "invalid_phone": "the phone number cannot be dialled; the stored one stays",
    "invalid_number": "the number is too long, hidden, cut by a spreadsheet, or no text; the stored one stays",
    "hidden_value": "the SIS hides letters of this value (***); the stored one stays",
    "number_of_many": "people of many names share this number, so it is a placeholder; the stored one stays",
    "unknown_grade": "the grade is not one we know; the stored one stays beside the new original",
    "shared_email": "several people share this e-mail; so it identifies nobody",
    "shared_username": "several people share this user name, capitals aside",
    "same_name_and_email": "another record has this name and e-mail, but number, role or grade says that it is "
    "somebody else; they are two people",
    "number_shared": "people who have too little else in common share this number",
    "unresolved_agent": "names a contact that was not delivered",
    "many_contacts": "has more contacts than a student usually has",
    "unknown_contact_value": "has a value that no contact rule knows, so nobody calls this contact",
    "many_students": "is the contact of more students than a parent usually has",
}
"""Every rule of cleaning, with its meaning for people."""
_NAMES = frozenset(("given", "family"))
_SPELLED = (("givenName", "preferredFirstName"), ("familyName", "preferredLastName"))
_COMPARED = 100
"""So many records of one sourcedId are compared with each other. If a SIS gives everybody one id, these are enough."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
Record = Mapping[Any, Any]


class Rejections:
    """Collects the notes of one cleaning. The frame comes out sorted, so the order of notes does not matter."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._frames: list[pd.DataFrame] = []

    def note(
        self, where: Flags, sourced_ids: Array, field: str, rule: str, severity: Severity, roles: Array | None = None
    ) -> None:
        """Note a rule for the flagged records."""
        if not where.any():
            return
        mask = pa.array(where)
        ids = sourced_ids.filter(mask)
        self._frames.append(
            pd.DataFrame(
                {
                    "collection": self._collection,
                    "sourced_id": column_of(ids),
                    "field": field,
                    "rule": rule,
                    "severity": severity,
                    "role": column_of(blanks(len(ids)) if roles is None else roles.filter(mask)),
                }
            )
        )

    def ids(self, rule: str) -> Array:
        """The sourcedIds that were noted for a rule."""
        noted = [strings(frame["sourced_id"]) for frame in self._frames if frame["rule"].iloc[0] == rule]
        return pa.concat_arrays(noted) if noted else blanks(0)

    def frame(self) -> pd.DataFrame:
        """Columns of `REJECTED_COLUMNS`."""
        return joined_rejections(self._frames)


def joined_rejections(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Several frames of rejections as one, sorted."""
    filled = [frame[list(REJECTED_COLUMNS)] for frame in frames if len(frame)]
    if not filled:
        return framed({name: column_of(blanks(0)) for name in REJECTED_COLUMNS})
    merged = pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0]
    text = {name: column_of(strings(merged[name])) for name in REJECTED_COLUMNS}
    return pd.DataFrame(text).sort_values(["collection", "sourced_id", "field", "rule"], ignore_index=True)


def names_alone(users: pd.DataFrame) -> list[MatchKeys]:
    """The match keys of records of which only names count, as those of contacts."""
    return [MatchKeys(*_names(record), email=None, number=None) for record in users.to_dict("records")]


def one_per_sourced_id(
    users: pd.DataFrame, rejections: Rejections, match_keys: Callable[[pd.DataFrame], list[MatchKeys]] = names_alone
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The records sorted by sourcedId, each sourcedId once; and the records with the same ids that may be of other
    people, because a name differs.

    match_keys: compares records of one id. Versions that differ from the one used are noted.

    A page that is sent twice brings equal records: the fetch handles that, and nothing is noted.
    """
    users = sorted_by(users, "sourcedId")
    ids = strings(users["sourcedId"])
    keep = filled(ids)
    again = repeated(ids)
    if not again.any():
        return users if keep.all() else users[keep].reset_index(drop=True), users[:0]
    joined, differing, of_two, others = _joined(users, ids, again, keep, match_keys)
    rejections.note(differing, ids, "sourcedId", "duplicate_sourced_id", "warning")
    rejections.note(of_two, ids, "sourcedId", SOURCED_ID_OF_TWO, "error")
    kept = users[keep]
    kept = sorted_by(pd.concat([kept, frame_of(joined)], ignore_index=True) if joined else kept, "sourcedId")
    return kept, frame_of(others) if others else users[:0]


def _joined(
    users: pd.DataFrame, ids: Array, again: Flags, keep: Flags, match_keys: Callable[[pd.DataFrame], list[MatchKeys]]
) -> tuple[list[dict[str, Any]], Flags, Flags, list[Record]]:
    """Four values: the joined records; flags for used records that had other versions; flags for one record of each id
    that two people share; the records with these ids that have another name.

    Clears `keep` for every record of a repeated id, except for a record that is used alone.
    """
    differing, of_two = np.zeros(len(users), dtype=bool), np.zeros(len(users), dtype=bool)
    rows = np.flatnonzero(again)
    records: Sequence[Record] = users.take(rows).to_dict("records")
    canonical = [_canonical(record) for record in records]
    order = [(_when(record.get("dateLastModified")), text) for record, text in zip(records, canonical, strict=True)]
    by_id: dict[str, list[int]] = defaultdict(list)
    for place, sourced_id in enumerate(ids.take(pa.array(rows)).to_pylist()):
        by_id[sourced_id].append(place)
    names = [_names(record) for record in records]
    named = [places for places in by_id.values() if len({names[place] for place in places}) > 1]
    compared = [place for places in named for place in places]
    cleaned = match_keys(users.take(rows[compared]).reset_index(drop=True)) if compared else []
    keys = {
        place: each if each.given or each.family else MatchKeys(*names[place], email=None, number=None)
        for place, each in zip(compared, cleaned, strict=True)
    }
    joined: list[dict[str, Any]] = []
    others: list[Record] = []
    for places in by_id.values():
        newest_first = sorted(places, key=order.__getitem__, reverse=True)
        keep[rows[places]] = False
        people = {keys[place]: place for place in places if place in keys and not is_gone(records[place])}
        some = list(people)[:_COMPARED]
        kept: dict[frozenset[Any], int] = {}
        for place in newest_first:
            ends = people and is_gone(records[place])
            if not ends or not all(_two_people(keys[place], person) for person in some):
                kept.setdefault(_memberships(records[place]), place)
        differing[rows[newest_first[0]]] = len({canonical[place] for place in places}) > len(kept)
        together = _together([records[place] for place in kept.values()])
        used = next(place for place in kept.values() if records[place] is together[0])
        if len(together) == 1:
            keep[rows[used]] = True
        else:
            roles = {_key(entry): entry for record in reversed(together) for entry in record["roles"]}
            joined.append({**together[0], "roles": list(roles.values())})
        of_two[rows[newest_first[0]]] = any(_two_people(*pair) for pair in combinations(some, 2))
        doubted = _two_people if is_gone(together[0]) else _may_be_two
        others += [records[place] for person, place in people.items() if doubted(person, keys[used])]
    return joined, differing, of_two, others


def _two_people(one: MatchKeys, other: MatchKeys) -> bool:
    """Whether two records of one sourcedId are two people: both names differ, or one does and the table of evidence
    doubts that the id is of one person. Preferred names count."""
    found = weigh(one, other)
    return found.differ >= _NAMES or bool(_NAMES & found.agree and _NAMES & found.differ and found.against_link)


def _may_be_two(one: MatchKeys, other: MatchKeys) -> bool:
    """Whether a name differs, and neither number nor user name says that it is one person."""
    found = weigh(one, other)
    return bool(found.differ >= _NAMES or (found.differ & _NAMES and not found.agree & {"number", "username"}))


def _names(record: Record) -> tuple[frozenset[str], frozenset[str]]:
    """The keys of the given and of the family name."""
    given, family = ([name for kind in kinds if isinstance(name := record.get(kind), str)] for kinds in _SPELLED)
    return name_keys(*given), name_keys(*family)


def _together(records: list[Record]) -> list[Record]:
    """Which records of one person count, given their latest versions, newest first.

    A record that is gone ends only its own schools and roles; if it names no school, it ends all older records. If all
    are gone, the newest is used.
    """
    alive: list[Record] = []
    for record in records:
        if not is_gone(record):
            alive.append(record)
        elif not any(org for _, org in _memberships(record)):
            break
    return alive or records[:1]


def _memberships(record: Record) -> frozenset[Any]:
    """The schools and roles that a record names."""
    roles = record.get("roles")
    return frozenset(_key(entry)[:2] for entry in (roles if isinstance(roles, Iterable) else ()))


def _key(entry: Mapping[str, Any]) -> tuple[str, str, Any, Any]:
    role, org = (str(entry.get(name) or "").strip() for name in ("role", "org"))
    return role.lower(), org, entry.get("beginDate"), entry.get("endDate")


def _canonical(record: Record) -> bytes:
    return orjson.dumps({name: record.get(name) for name in USER_COLUMNS}, option=orjson.OPT_SORT_KEYS, default=str)


def _when(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat((text if isinstance(text, str) else "").strip())
    except ValueError:
        return _LONG_AGO
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
