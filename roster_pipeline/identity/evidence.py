"""The table of evidence: what speaks for and against two descriptions being one human.

One function weighs (`weigh`), and four questions are asked of what it found: whether two records of a snapshot, or a
record and a person, are one human (`same`); whether they seem to be and something strong speaks against it
(`doubtful`); whether a link is to be doubted (`against_link`); and whether an absent person may still be here
(`may_be`). To say who somebody is takes a key, a name and nothing against it; to spare somebody takes little.

The table stands in docs/rules.md, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

GRADES_APART = 3
"""Grades so many years from each other are not one pupil's: one year is a school year, two are a pupil who skipped."""

STUDENT, STAFF = "student", "staff"

_YEARS = {"IT": -3, "PR": -2, "PK": -1, "TK": 0, "KG": 0, **{f"{year:02}": year for year in range(1, 14)}}

_NAMES = frozenset(("given", "family"))

_OWN = frozenset(("number", "username"))
"""What one human has alone. An e-mail is often a family's; a master identifier stays where a record is used again."""

_LASTING = frozenset(("master", "kind", "grade"))
"""What no new name and no new numbering explains."""


@dataclass(frozen=True)
class MatchKeys:
    """What one record or person is known by.

    given, family: names as keys, preferred ones among them. number: kind and number in one text; it counts within one
    connection. number_is_id: it is only the record's sourcedId. masters: userMasterIdentifiers. kind: student or staff,
    None where neither or both. year: of the grade, kindergarten 0. years_ago: whole years since the grade was written.
    seat: the role in this school of a record that is there today. linked: some record is theirs already. away: a person
    who was in some school and is in none.
    """

    given: frozenset[str]
    family: frozenset[str]
    email: str | None
    number: str | None
    username: str | None = None
    masters: frozenset[str] = frozenset()
    number_is_id: bool = False
    kind: str | None = None
    year: int | None = None
    years_ago: int = 0
    seat: str | None = None
    linked: bool = True
    away: bool = False


@dataclass(frozen=True)
class Evidence:
    """agree, differ: of given, family, email, username, number, master, kind and grade, as far as both sides have them.

    near: the numbers differ in leading zeros only, which speaks neither for nor against. free: the person has no record
    yet. away: see `MatchKeys`.
    """

    agree: frozenset[str]
    differ: frozenset[str]
    near: bool = False
    free: bool = False
    away: bool = False

    @property
    def whole_name(self) -> bool:
        """Given and family name agree."""
        return self.agree >= _NAMES

    @property
    def strong(self) -> int:
        """How many strong things speak against it."""
        return len(self.differ & (_LASTING | {"number"})) + (self.differ >= _NAMES)

    @property
    def contradicted(self) -> bool:
        """Whether something strong speaks against one human.

        Where only one name agrees, another e-mail or user name is strong: brothers and sisters share a family name,
        and a mistyped number brings together two of one given name.
        """
        return bool(self.strong) or (not self.whole_name and bool(self.differ & {"email", "username"}))

    @property
    def same(self) -> bool:
        """Whether this is one human: by a number and a name, or by an e-mail and the whole name."""
        if self.contradicted:
            return False
        if "number" in self.agree and self.agree & _NAMES:
            return "given" not in self.differ or bool(self.agree & {"username", "master"})
        return self.whole_name and (self.near or "email" in self.agree)

    @property
    def doubtful(self) -> bool:
        """Whether this seems to be one human and is not surely one: neither to be matched nor to be made twice."""
        if self.same:
            return False
        if "number" in self.agree:
            return bool(self.agree & (_NAMES | {"email"}))
        if "email" in self.agree:
            return "given" in self.agree or (self.free and "family" in self.agree)
        return self.near and self.whole_name

    @property
    def against_link(self) -> bool:
        """Whether a link is not to be believed.

        A new name, a new e-mail or a new number alone is what happens to people. A name in common does not make a link
        safe where whatever else can be compared differs, one strong thing among it; nor that of somebody who was away,
        for the ids of leavers are those that are given to others.
        """
        if self.agree & _OWN or {"given", "email"} <= self.agree:
            return not self.whole_name and self.strong > 1 and bool(self.differ & _LASTING)
        if self.differ >= _NAMES:
            return self.strong > 1 or "email" in self.differ
        if self.whole_name:
            return self.strong > 1
        return self.strong > 0 or (self.away and bool(self.differ & {"given", "email"}))

    @property
    def may_be(self) -> bool:
        """Whether it would be rash to say that this is somebody else.

        So it is with the same number; with the same e-mail and no other name; and with the same whole name of a pupil
        or of staff alike, where neither number nor e-mail can be compared.
        """
        if "number" in self.agree or self.near:
            return True
        if "email" in self.agree:
            return not self.differ & _NAMES
        return self.whole_name and not self.differ & {"number", "email", "kind"}


def weigh(one: MatchKeys, other: MatchKeys) -> Evidence:
    """Compare whatever both sides have. one: a record. other: a record, or a person with an older grade."""
    pairs: list[tuple[str, bool]] = []
    for name, mine, theirs in (
        ("given", one.given, other.given),
        ("family", one.family, other.family),
        ("master", one.masters, other.masters),
    ):
        if mine and theirs:
            pairs.append((name, not mine.isdisjoint(theirs)))
    for name, value, another in (
        ("email", one.email, other.email),
        ("username", one.username, other.username),
        ("kind", one.kind, other.kind),
    ):
        if value is not None and another is not None:
            pairs.append((name, value == another))
    near = False
    if one.number is not None and other.number is not None and not _both_ids(one, other):
        near = one.number != other.number and bare(one.number) == bare(other.number)
        if not near and _of_one_kind(one.number, other.number):
            pairs.append(("number", one.number == other.number))
    if one.year is not None and other.year is not None:
        later = one.year - other.year
        pairs.append(("grade", -GRADES_APART < later < GRADES_APART + max(one.years_ago, other.years_ago)))
    agree = frozenset(name for name, same in pairs if same)
    return Evidence(agree, frozenset(name for name, same in pairs if not same), near, not other.linked, other.away)


def bare(number: str) -> str:
    """A number (kind and number) without leading zeros."""
    kind, _, digits = number.partition("\x1f")
    return f"{kind}\x1f{digits.lstrip('0')}"


def year_of(grade: str | None) -> int | None:
    """The school year of a grade's code; None of what is no year."""
    return _YEARS.get(grade) if grade else None


def kind_of(role: str | None) -> str | None:
    """Pupil or staff, by role group."""
    return STUDENT if role == "student" else STAFF if role in ("teacher", "staff", "admin") else None


def _of_one_kind(one: str, other: str) -> bool:
    return one.partition("\x1f")[0] == other.partition("\x1f")[0]


def _both_ids(one: MatchKeys, other: MatchKeys) -> bool:
    """Numbers that are only the sourcedIds say nothing: they differ with every record, and go on with a reused id.

    But two records of one role in one school are there side by side, and two ids then are two people.
    """
    side_by_side = one.seat is not None and one.seat == other.seat
    return one.number_is_id and other.number_is_id and not side_by_side
