"""The people of the reference model."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

_serials = count(1)


@dataclass
class Membership:
    """One person in one school. by: who archived it, "sync" or "hand". managed: not restored by hand, or come since.
    lost: a sync archived it, and nobody looked at that."""

    role: str
    status: str = "active"
    by: str | None = None
    absent: int = 0
    grade: int | None = None
    managed: bool = True
    source_grade: str | None = None
    lost: bool = False


@dataclass(eq=False)
class Person:
    """One person of the district. `primary`: the record that the fields follow. `confirmed`: links said to be theirs.

    said: what the record of each link said that is, or once was, not the primary one.
    masters: the master identifier of each link's record when the link was made. not_theirs: records unlinked by hand.
    number: the directory's, once it was read. truth: the person behind it, which the model does not use.
    """

    fields: dict[str, str | None]
    primary: str | None
    links: set[str] = field(default_factory=set)
    members: dict[str, Membership] = field(default_factory=dict)
    excluded: bool = False
    confirmed: set[str] = field(default_factory=set)
    not_theirs: set[str] = field(default_factory=set)
    masters: dict[str, str] = field(default_factory=dict)
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    number: int | None = None
    truth: int | None = None
    serial: int = field(default_factory=lambda: next(_serials))
