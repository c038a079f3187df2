"""The proof of completeness: what was counted while reading, and why a snapshot may be incomplete.

Also the ids that a listing has brought so far, and whether records that came twice are identical. Ids are kept as
64-bit hashes in sorted runs that are merged as they grow: a million users take 8 MB. Among a million ids, two different
ones have the same hash about once in thirty million listings. The second then counts as a duplicate. This makes the
snapshot incomplete and does no other harm.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_pipeline.oneroster.collections.response_body import raw_id
from roster_pipeline.oneroster.collections.row_order import RowOrder, in_sorted
from roster_pipeline.oneroster.records.coercion import NO_TEXTS, text
from roster_pipeline.oneroster.records.known_users import whole
from roster_pipeline.oneroster.records.user_records import UserReader
from roster_pipeline.oneroster.records.usual_users import ReadUser

Hashes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_VERSION_NAMES = frozenset(
    ("role", "roles", "orgs", "org", "orgsourcedids", "orgsourcedid", "schools", "school", "givenname", "familyname")
)
"""Members of a user that hold its role, school and name, in lower case."""


@dataclass
class ListingProof:
    """One collection read to its end. label: its path without ids.

    total_start and total_end: the total of the first and of the last page, None if the server sends none.
    received: records on all pages; records: distinct ones. ended_by: how we know that this was the last page.
    totals: of all pages, if each has another one. doubts: problems that do not count if a second reading delivers
    exactly the same. digest: the sum of the hashes of all ids, which differs between readings of different people.
    """

    path: str
    label: str = ""
    pages: int = 0
    received: int = 0
    records: int = 0
    duplicates: int = 0
    total_start: int | None = None
    total_end: int | None = None
    ended_by: str = ""
    problems: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    digest: int = 0
    totals: tuple[int | None, ...] = ()

    def note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def doubt(self, problem: str) -> None:
        if problem not in self.doubts:
            self.doubts.append(problem)


@dataclass(frozen=True)
class SourceAge:
    """How old the bundles are that were read. Times are ISO 8601 in UTC.

    written: when the newest one was written, as far as its time can be trusted. hours_ahead: how far its own time was
    after the moment when it was first seen; 0 if it was not. newest: the time of the newest bundle ever read, if known.
    marks: of all bundles in the place, with the time when each was first seen (seconds since 1970). bulk: fingerprint
    of the bulk bundles, without the deltas after them. order: of the rows in the files. with_break: the files
    that end with a line break. whole: when the newest bulk bundle that was ever read was written.
    """

    written: str
    hours_ahead: float
    newest: str | None
    marks: dict[str, float]
    bulk: str | None = None
    order: RowOrder = field(default_factory=RowOrder)
    with_break: Sequence[str] = ()
    whole: str | None = None


@dataclass(frozen=True)
class Proof:
    """Whether a pull is complete, and its counts. Totals, pages and records are of people, not of orgs.

    mode: "full" (the whole connection), "school" (per-school lists), "delta" (changes only; absence means nothing).
    complete: there is no problem. problems, notes: short slugs; notes do not make a pull incomplete. unread_roles: role
    groups ("student", "teacher", "staff", "admin", "contact") that could not be read; absence in them means nothing
    either. readings: how often the data were read, because they changed meanwhile. left_out: records of schools that
    are not wanted, and guardians if none are wanted. unlisted_orgs: people who name an org that the SIS does not list.
    respelled_orgs: people whose org is spelled in another way than its sourcedId. unclear_dates: people with a role
    date that may be one of two days. without_role: people of a bulk bundle to whom it gives no role. Guardians and
    deleted records are not counted in the first three. server_time: the server's clock when the pull began (ISO 8601);
    the next delta starts there. age: of a bundle. columns: of the CSV files, as members of their records.
    """

    strategy: str
    mode: str
    version: str
    complete: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    pages: int
    records: int
    rejected: int
    left_out: int
    duplicates: int
    requests: int
    bytes: int
    seconds: float
    revision: str | None
    server_time: str | None
    unread_roles: tuple[str, ...] = ()
    total_start: int | None = None
    total_end: int | None = None
    retries: int = 0
    readings: int = 1
    age: SourceAge | None = None
    unlisted_orgs: int = 0
    respelled_orgs: int = 0
    unclear_dates: int = 0
    without_role: int = 0
    columns: dict[str, list[str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """All fields, JSON-serialisable."""
        return asdict(self) | {
            "problems": list(self.problems),
            "notes": list(self.notes),
            "unread_roles": list(self.unread_roles),
        }


def total_of(proofs: list[ListingProof], name: str) -> int | None:
    """The sum of a total over several listings; None if one of them has no total."""
    totals = [getattr(proof, name) for proof in proofs]
    return None if not totals or any(total is None for total in totals) else sum(totals)


def hashes(records: Sequence[Any]) -> Hashes:
    """One hash per record: of its id without outer blanks, or of the whole record if it has no usable id."""
    return hashes_and_names(records)[0]


def hashes_and_names(records: Sequence[Any]) -> tuple[Hashes, Flags]:
    """Hashes, and for each record whether it has an id. Without one it cannot be recognised when it comes again."""
    try:
        values = [hash(record["sourcedId"].strip()) for record in records]
    except (TypeError, KeyError, AttributeError):
        pairs = [_hash(record) for record in records]
        named = np.array([has_id for _, has_id in pairs], dtype=np.bool_)
        return np.array([value for value, _ in pairs], dtype=np.int64), named
    return np.array(values, dtype=np.int64), np.ones(len(values), dtype=np.bool_)


def hashes_with_roles(records: Sequence[Any]) -> Hashes:
    """One hash per user: of its id, roles, schools and names."""
    return np.array([_hash_with_roles(record) for record in records], dtype=np.int64)


def _hash_with_roles(record: Any) -> int:
    record = whole(record)
    if type(record) is ReadUser:
        roles = [(entry["role"], entry["org"]) for entry in record["roles"]]
        return hash((record["sourcedId"].strip(), record["givenName"], record["familyName"], *roles))
    if not isinstance(record, dict):
        return hash(_written(record))
    members = [(name, value) for name, value in record.items() if str(name).lower() in _VERSION_NAMES]
    return hash((_hash(record)[0], *sorted((str(name).lower(), _written(value)) for name, value in members)))


def hash_of_version(record: Any) -> int:
    """A hash of the id, roles, schools and name of a user, the same whichever way its page was decoded."""
    user = UserReader().one(record, []) if type(record) is dict else None
    return _hash_with_roles(record if user is None else ReadUser(user))


def _written(value: Any) -> str:
    """A value as text. Values nested in some hundred others count as equal: they hold nothing about a person."""
    try:
        return repr(value)
    except RecursionError:
        return "too deep"


def _hash(record: Any) -> tuple[int, bool]:
    sourced_id = text(raw_id(record), NO_TEXTS) if isinstance(record, dict) else None
    return (hash(sourced_id), True) if isinstance(sourced_id, str) else (hash(_written(record)), False)


class SeenIds:
    """A set of hashes that grows page by page."""

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def add(self, page: Hashes) -> Flags:
        """Add a page's hashes. Returns for each whether it is new; of equal ones on the page only the first is."""
        unique, first = np.unique(page, return_index=True)
        new_unique = ~self.has(unique)
        new = np.zeros(len(page), dtype=np.bool_)
        new[first[new_unique]] = True
        self._merge(unique[new_unique])
        return new

    def has(self, values: Hashes) -> Flags:
        """For each value, whether it was added before."""
        seen = np.zeros(len(values), dtype=np.bool_)
        for run in self._runs:
            seen |= in_sorted(values, run)
        return seen

    def values(self) -> Hashes:
        """All hashes that were added."""
        return np.concatenate(self._runs) if self._runs else np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def _merge(self, run: Hashes) -> None:
        while self._runs and len(self._runs[-1]) <= len(run) * 2:
            run = np.sort(np.concatenate((self._runs.pop(), run)), kind="stable")
        if len(run):
            self._runs.append(run)


def taken_in(records: Sequence[Any], seen: SeenIds, seen_roles: SeenIds | None) -> tuple[Hashes, Flags, Flags, Flags]:
    """Add a page. Returns hashes of its ids, and flags: has an id, is new, has new roles, schools or names.

    seen_roles: hashes of ids with roles, schools and names, if an id may have several records: then a record with
    another role, school or name is new as well. Without it, the last flags are the same as "is new".
    """
    values, named = hashes_and_names(records)
    new = np.ones(len(records), dtype=np.bool_)
    new[named] = seen.add(values[named])
    if seen_roles is None:
        return values, named, new, new
    other = seen_roles.add(hashes_with_roles(records))
    return values, named, new | other & named, other


_NOT_COMPARED = ("dateLastModified", "metadata")
"""Not compared: some servers put the time of the request into the first; the second may be read differently from page
to page."""


class Repetitions:
    """Whether records of one collection that came twice are identical, over the readings of one pull.

    A reading keeps only hashes of ids, so the first one can only find that ids came twice. The next one hashes the
    contents as well, and compares. It also uses another page size: a server whose pages overlap, or that replaces one
    record by another, then brings other people; a server that has a record twice does not.
    """

    def __init__(self) -> None:
        self.page_size: int | None = None  # of this reading; None is the usual one
        self.total_moved = False  # in an earlier reading
        self.most = 0  # records of an earlier reading, also of one that broke off
        self._compares = self._repeated = False
        self._longest = self._records = 0
        self._ids: list[Hashes] = []
        self._contents: list[Hashes] = []

    def start(self) -> None:
        """Begin a reading. It compares contents if the last one found repeated ids."""
        if self._repeated and self._longest > 1:
            self.page_size = max(1, self._longest * 6 // 7)
        self.most, self._compares = max(self.most, self._records), self._repeated
        self._repeated, self._longest, self._records = False, 0, 0
        self._ids, self._contents = [], []

    def look(self, values: Hashes, records: Sequence[Any], repeated: int) -> None:
        """Add a page. values: hashes of its ids. repeated: how many of its records had come before."""
        self._longest, self._records = max(self._longest, len(records)), self._records + len(records) - repeated
        self._repeated = self._repeated or repeated > 0
        if self._compares:
            self._ids.append(values)
            self._contents.append(np.array([hash(_content(record)) for record in records], dtype=np.int64))

    @property
    def identical(self) -> bool:
        """Whether this reading compared contents, and all records of one id are equal."""
        if not self._compares:
            return False
        ids, contents = np.concatenate(self._ids), np.concatenate(self._contents)
        order = np.argsort(ids, kind="stable")
        ids, contents = ids[order], contents[order]
        return not bool(((ids[1:] == ids[:-1]) & (contents[1:] != contents[:-1])).any())


def _content(record: Any) -> str:
    record = whole(record)
    user = record if type(record) is ReadUser else UserReader().one(record, []) if isinstance(record, dict) else None
    if user is None:
        return _written(record)
    return repr(sorted((name, _written(value)) for name, value in user.items() if name not in _NOT_COMPARED))
