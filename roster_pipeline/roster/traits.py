"""What records and persons are known by, and how far two of them agree: to match takes much, to spare takes little."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.roster.directory_frames import DirectoryFrames, flags_of
from roster_pipeline.roster.frames import TEXT, Array, Flags, Ints, strings
from roster_pipeline.roster.names import name_key

_KEYS = ("given_name", "family_name", "preferred_given_name", "preferred_family_name")


@dataclass(frozen=True)
class Traits:
    """What one record or person is known by; names as keys. linked: a person of whom some SIS has a record already."""

    given: frozenset[str]
    family: frozenset[str]
    email: str | None
    number: str | None
    linked: bool = False
    username: str | None = None

    def names_agree(self, other: Traits) -> bool:
        """The same given or the same family name."""
        return bool(self.given & other.given or self.family & other.family)

    def confirms_number(self, other: Traits) -> bool:
        """Whether two with one number are one human."""
        return self.names_agree(other) or (self.email is not None and self.email == other.email)

    def confirms_email(self, person: Traits) -> bool:
        """Whether the person with this record's e-mail is its human."""
        if not self.names_agree(person) or _contradict(self.number, person.number):
            return False
        return bool(self.given & person.given) or not person.linked

    def at_odds(self, person: Traits) -> bool:
        """Whether nothing is the same, and number or e-mail say that this is somebody else.

        Names alone do not: people change them, and a SIS corrects what it had for a placeholder.
        """
        mine, theirs = (self.number, self.email, self.username), (person.number, person.email, person.username)
        if any(one is not None and one == other for one, other in zip(mine, theirs, strict=True)):
            return False
        mails = self.email is not None and person.email is not None
        renamed = _apart(self.given, person.given) and _apart(self.family, person.family)
        return renamed and (mails or _contradict(self.number, person.number))

    def may_be(self, person: Traits) -> bool:
        """Whether it would be rash to say that this is somebody else.

        So it is with the same number; with the same e-mail and no other name; and with the same whole name where
        nothing else can be compared.
        """
        if self.number is not None and self.number == person.number:
            return True
        if self.email is not None and self.email == person.email:
            return not (_apart(self.given, person.given) or _apart(self.family, person.family))
        compared = (self.number and person.number) or (self.email and person.email)
        return not compared and bool(self.given & person.given and self.family & person.family)


@dataclass(frozen=True)
class Named:
    """Records or persons, with what they can be found by."""

    frame: pd.DataFrame
    numbers: Array
    emails: Array
    ids: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    linked: Flags | None = None

    def traits(self, places: Ints) -> list[Traits]:
        """The traits of those at these places."""
        some, at = self.frame.iloc[places], pa.array(places)
        given, family, preferred_given, preferred_family = (strings(some[name]).to_pylist() for name in _KEYS)
        linked = [False] * len(places) if self.linked is None else self.linked[places].tolist()
        told = zip(
            given, preferred_given, family, preferred_family,
            self.emails.take(at).to_pylist(), self.numbers.take(at).to_pylist(), linked,
            pc.utf8_lower(strings(some["username"])).to_pylist(),
            strict=True,
        )  # fmt: skip
        return [Traits(_keys(a, b), _keys(c, d), *rest) for a, b, c, d, *rest in told]


def named_people(directory: DirectoryFrames, places: Ints) -> Named:
    """The persons at these places of `directory.people`; a number counts where it is of this connection."""
    some = directory.people.iloc[places]
    ids = some.index.to_numpy(dtype=np.int64)
    own = flags_of(some["number_connection_id"] == directory.connection_id)
    linked = np.isin(ids, directory.links["person_id"].to_numpy(dtype=np.int64))
    numbers = pc.if_else(pa.array(own), numbered(some), None)
    return Named(some, numbers, pc.utf8_lower(strings(some["email"])), ids, linked)


def numbered(frame: pd.DataFrame) -> Array:
    """Kind and number in one text, missing where either is."""
    return pc.binary_join_element_wise(strings(frame["number_kind"]), strings(frame["number"]), pa.scalar("\x1f", TEXT))


def _keys(*names: str | None) -> frozenset[str]:
    return frozenset(key for key in map(name_key, names) if key)


def _apart(one: frozenset[str], other: frozenset[str]) -> bool:
    """Names of both, and none in common."""
    return bool(one and other) and not one & other


def _contradict(one: str | None, other: str | None) -> bool:
    """Two numbers of one kind that differ."""
    if one is None or other is None:
        return False
    return one != other and one.split("\x1f")[0] == other.split("\x1f")[0]
