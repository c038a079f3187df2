"""Users that came with the same bytes in the last pull: nearly all, every night.

Such a user is recognised by a hash of its bytes. It is not decoded, normalised and hashed again, because the result is
stored already. The caller keeps a mark for each user that was read in the short way (`usual_users`), and gives the
marks back before the next pull. A mark holds the hash, and the roles, which the proof of completeness counts. Only the
id is read again.

The result also depends on our code, on settings, and on the orgs that the SIS lists. Their digest is the context: marks
of another context are not used.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, get_args

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import astuple

from roster_pipeline import code_version
from roster_pipeline.oneroster.http.response import MOST_RECORDS, too_many_values
from roster_pipeline.oneroster.records.usual_users import ReadUser, Role, User, read_user, usual_users
from roster_pipeline.org_tree import GONE_STATUSES

HASH_BYTES = 16
_HASH = np.dtype([("key", "<u8"), ("rest", "<u8")])
MARK = np.dtype([*_HASH.descr, ("bits", "<u2")])
"""A mark: 128 bits of a hash, a bit for each role of the standard and for an org without a role, and one for a deleted
user."""
_ROLES: tuple[str | None, ...] = (*get_args(Role), None)
_BITS = {role: 1 << number for number, role in enumerate(_ROLES)}
_DELETED = 1 << len(_ROLES)


class KnownUser(dict[str, Any]):
    """A user that the last pull brought with the same bytes. It holds only its sourcedId.

    place: where its mark is. bits: of the mark. raw: its bytes.
    """

    __slots__ = ("bits", "place", "raw")
    place: int
    bits: int
    raw: msgspec.Raw

    def is_active(self, roles: Iterable[str | None]) -> bool:
        """Whether it is not deleted, and has one of these roles. None is an org without a role."""
        return not self.bits & _DELETED and any(self.bits & _BITS[role] for role in roles)


class _RawPage(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    users: list[msgspec.Raw]


class _Reference(msgspec.Struct, gc=False):
    sourcedId: str  # noqa: N815 - the standard's name, here and below


class _Ids(msgspec.Struct, gc=False):
    users: list[_Reference]


class _Agents(msgspec.Struct, gc=False):
    agents: list[_Reference] | None = None


_split = msgspec.json.Decoder(_RawPage).decode
_read_ids = msgspec.json.Decoder(_Ids).decode
_read_agents = msgspec.json.Decoder(_Agents).decode
_read_one = msgspec.json.Decoder(User).decode


class KnownUsers:
    """The users that a pull recognises. context: a digest of what the marks of this pull depend on; empty before
    `begin`."""

    def __init__(self) -> None:
        self.context = ""
        self._recalled = ("", b"")
        self._marks = self._sorted = np.zeros(0, MARK)
        self._order = np.zeros(0, np.int64)

    def recall(self, context: str, marks: bytes) -> None:
        """Before a reading: the newest marks that are stored, in the form of MARK, and their context."""
        self._recalled = (context, marks)
        self.context = ""

    def begin(self, *facts: object) -> None:
        """Begin to recognise users. facts: what a result depends on, besides the bytes of the user and our code."""
        self.context = sha256(repr((code_version("."), msgspec.__version__, facts)).encode()).hexdigest()
        context, marks = self._recalled
        self._marks = np.frombuffer(marks if context == self.context else b"", MARK)
        self._order = np.argsort(self._marks["key"])
        self._sorted = self._marks[self._order]

    def users_of(self, body: bytes | bytearray) -> list[dict[str, Any]] | None:
        """As `usual_users`, with a `KnownUser` for each that is recognised, and a mark for each other usual one."""
        try:
            raws = _split(body).users
            ids = _read_ids(body).users if len(self._marks) else ()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if len(raws) > MOST_RECORDS:
            raise too_many_values()
        hashes = [sha256(raw).digest()[:HASH_BYTES] for raw in raws]
        if not len(self._marks):
            read = usual_users(body)
            return None if read is None else list(map(_marked, read, hashes))
        found = self._places(b"".join(hashes))
        bits, places = self._marks["bits"][found].tolist(), found.tolist()
        others = [raw for raw, place in zip(raws, places, strict=True) if place < 0]
        read = usual_users(b'{"users":[' + b",".join(others) + b"]}" if len(others) < len(raws) else body)
        if read is None:
            return None
        rest = iter(read)
        return [
            _marked(next(rest), hashed) if place < 0 else _known(one.sourcedId, place, its, raw)
            for raw, one, place, its, hashed in zip(raws, ids, places, bits, hashes, strict=True)
        ]

    def roles_of(self, places: Sequence[int]) -> set[str | None]:
        """The roles of the known users with these marks."""
        bits = int(np.bitwise_or.reduce(self._marks["bits"][list(places)]))
        return {role for role, bit in _BITS.items() if bits & bit}

    def _places(self, hashes: bytes) -> npt.NDArray[np.int64]:
        """For each hash where its mark is; -1 for none."""
        given = np.frombuffer(hashes, _HASH)
        found = np.minimum(np.searchsorted(self._sorted["key"], given["key"]), len(self._sorted) - 1)
        same = (self._sorted["key"][found] == given["key"]) & (self._sorted["rest"][found] == given["rest"])
        return np.where(same, self._order[found], -1)


def _known(sourced_id: str, place: int, bits: int, raw: msgspec.Raw) -> KnownUser:
    user = KnownUser(sourcedId=sourced_id)
    user.place, user.bits, user.raw = place, bits, raw
    return user


def _marked(user: dict[str, Any], hashed: bytes) -> dict[str, Any]:
    if type(user) is ReadUser:
        bits = _DELETED if user["status"] in GONE_STATUSES else 0
        for entry in user["roles"]:
            bits |= _BITS[entry["role"]]
        user.mark = hashed + bits.to_bytes(2, "little")
    return user


def whole(record: Any) -> Any:
    """The record. The record. A known user is decoded here; it was a usual one in the last pull."""
    if type(record) is not KnownUser:
        return record
    return read_user(astuple(_read_one(record.raw)))


def agents_of(users: Iterable[dict[str, Any]]) -> Iterable[list[str]]:
    """The agents of each user, known or not."""
    for user in users:
        if type(user) is KnownUser:
            yield [agent.sourcedId for agent in _read_agents(user.raw).agents or ()]
        else:
            yield user["agents"]
