"""The table of evidence: what speaks for and against two descriptions being one person.

`weigh` compares, and `Evidence` answers four questions: are two records of a snapshot, or a record and a person, one
person (`same`)? Do they seem to be one, although something strong speaks against it (`doubtful`)? Is a link to be
doubted (`against_link`)? May an absent person still be here (`may_stay`)? A match needs a key, a name and nothing
against it. Little is enough to keep somebody from being archived.

The table is in docs/rules.md, section 2.
"""

import unicodedata
from dataclasses import dataclass, field
from functools import cached_property

from roster_pipeline.identity.names import in_other_letters, may_be_one_name, whole_names

GRADES_APART = 3
"""Grades this many years apart are two pupils. One year is a school year, two years are a pupil who skipped one."""

STUDENT, STAFF = "student", "staff"
_YEARS = {"IT": -3, "PR": -2, "PK": -1, "TK": 0, "KG": 0, **{f"{year:02}": year for year in range(1, 14)}}

_NAMES = frozenset(("given", "family"))

_OWN = frozenset(("number", "username"))
"""Keys that belong to one person alone. Families share e-mails, so e-mails are not among them. Master
identifiers are not either, because they stay when a SIS uses a record again."""

_KEYS = _OWN | {"email"}

_LASTING = frozenset(("master", "kind", "grade"))
"""Differences that neither a new name nor new numbers explain."""


@dataclass(frozen=True)
class MatchKeys:
    """The keys by which one record or person is recognised.

    given, family: names as keys, preferred names included. number: kind and number in one text; it counts within one
    connection. number_is_id: the number is only the record's sourcedId. masters: userMasterIdentifiers. kind: student
    or staff, None if neither or both. year: of the grade, kindergarten is 0. years_ago: whole years since the grade was
    written. seat: the role in this school of a record that is a member today. linked: the person has a record already.
    away: a person who was in a school and is in none now. middle: the middle name as a key, "" if unknown. here: a
    person who is an active member of this school, or was one lately. written: given and family name as written.
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
    middle: str = ""
    here: bool = False
    written: tuple[str | None, str | None] = field(default=(None, None), compare=False)

    @cached_property
    def whole(self) -> frozenset[str]:
        """The whole names, see `whole_names`."""
        return whole_names(self.given, self.family)


@dataclass(frozen=True)
class Evidence:
    """What agrees and what differs.

    agree, differ: of given, family, middle, email, username, number, master, kind and grade, those that both sides
    have. near: the numbers differ in spelling only (`bare`), which is neither for nor against. alike: the whole names
    are the same, in any order and in any fields. login: the user names are the same, and they are not the e-mail of
    both. free: the person has no record yet. away: see `MatchKeys`. goes_on: the person is a member here, and the
    record may continue their time in this school: of staff, or of a student in the grade that the person should have
    reached, or above it. sides: what was compared.
    """

    agree: frozenset[str]
    differ: frozenset[str]
    near: bool = False
    alike: bool = False
    login: bool = False
    free: bool = False
    away: bool = False
    goes_on: bool = False
    sides: tuple[MatchKeys, ...] = field(default=(), compare=False, repr=False)

    @property
    def unclear(self) -> frozenset[str]:
        """The names that differ, but may be one name: in other letters, or a short form."""
        return self.differ & _unclear(*self.sides)

    @property
    def whole_name(self) -> bool:
        """Given and family name agree."""
        return self.agree >= _NAMES

    @property
    def clash(self) -> frozenset[str]:
        """The names that differ and cannot be one, whatever else is the same."""
        return self.differ & _NAMES - (frozenset() if self.differ & _LASTING else self.unclear)

    @property
    def strong(self) -> int:
        """How many strong things speak against it."""
        return len(self.differ & (_LASTING | {"number"})) + (self.differ >= _NAMES)

    @property
    def contradicted(self) -> bool:
        """Whether something strong speaks against one person.

        If only one name agrees, another e-mail or user name is strong too: brothers and sisters share a family name,
        and a mistyped number brings together two people with one given name.
        """
        return bool(self.strong or (not self.whole_name and self.differ & {"email", "username"}) or self.another_middle)

    @property
    def another_middle(self) -> bool:
        """Whether only the middle names tell two people apart, as brothers and sisters with one given name."""
        return "middle" in self.differ and not (self.near or self.agree & {"number", "username", "master"})

    @property
    def same(self) -> bool:
        """Whether this is one person: by a number and a name, or by an e-mail and the whole name.

        Numbers of people who left may be given to others, so then the given name is not enough either.
        """
        if self.contradicted:
            return False
        if "number" in self.agree and self.agree & _NAMES:
            if "given" in self.differ or (self.away and "family" in self.differ):
                return bool(self.agree & {"username", "master"})
            return True
        return self.whole_name and (self.near or "email" in self.agree)

    @property
    def doubtful(self) -> bool:
        """Whether this seems to be one person but is not certain. Then it is neither matched nor created."""
        if self.same:
            return False
        if "number" in self.agree:
            return bool(self.agree & (_NAMES | {"email"}))
        if "email" in self.agree:
            return "given" in self.agree or (self.free and "family" in self.agree) or self._under_another_name
        return self.near and self.whole_name

    @property
    def _under_another_name(self) -> bool:
        """Whether a record with the same e-mail may be this person under another name.

        An e-mail of a family comes with another given name too: of a younger brother or sister in a lower grade.
        """
        return not self.clash or (self.goes_on and "family" in self.agree and not self.differ & _LASTING)

    @property
    def against_link(self) -> bool:
        """Whether a link is to be doubted.

        A new name, a new e-mail or a new number alone is normal. One new name with its e-mail and user name is normal
        too. But if no name is the same, more keys must agree than differ. A common name does not make a link safe if
        everything else that can be compared differs, one strong thing included. It is not safe for a person who was
        away either, because SISs give the ids and numbers of people who left to others. Such a person may even have the
        same whole name, but not the same number and e-mail.
        """
        agreeing = self.agree & _KEYS - ({"number"} if self.away else set())
        more_agree = len(agreeing) - len(self.differ & _KEYS)
        if self.differ & _NAMES and not self.agree & _NAMES:
            return more_agree <= 0 or bool(self.differ & _LASTING)
        if self.agree & _OWN or {"given", "email"} <= self.agree:
            others = not self.whole_name and self.strong > 1 and bool(self.differ & _LASTING)
            return others or (self.away and "given" in self.differ and more_agree < 0)
        if self.whole_name:
            return self.strong > 1 or (self.away and self.differ >= {"number", "email"})
        return self.strong > 0 or (self.away and bool(self.differ & {"given", "email"}))

    @property
    def may_be(self) -> bool:
        """Whether we cannot rule out that this is the same person.

        That is so with the same number; with the same e-mail and names that may be one; and with the same whole name,
        both pupils or both staff, if the number cannot be compared, and the user name is the same or the e-mail cannot
        be compared.
        """
        if "number" in self.agree or self.near:
            return True
        if "email" in self.agree:
            return not self.clash
        if self.differ & {"number", "kind"} or not self.alike:
            return False
        return "username" in self.agree or "email" not in self.differ

    @property
    def may_stay(self) -> bool:
        """Whether the record keeps an absent person from being archived.

        `may_be` is enough. The user name with one name is enough too, for a person who marries and gets a new id,
        number and e-mail. A younger brother or sister may get the user name of a leaver, but then the grades are far
        apart.
        """
        login = self.login and not self.differ & _LASTING
        return self.may_be or bool(login and (self.agree | self.unclear) & _NAMES)


def weigh(record: MatchKeys, other: MatchKeys) -> Evidence:
    """Compare the keys that both sides have. record: a record of the snapshot. other: a record or a person, whose grade
    may be older. Somebody who left years ago is no longer in that grade: the same e-mail and name may be a new
    pupil's."""
    pairs: list[tuple[str, bool]] = []
    alike = not record.whole.isdisjoint(other.whole)
    both = alike and ((record.given and record.family) or (other.given and other.family))
    for name, mine, theirs in (("given", record.given, other.given), ("family", record.family, other.family)):
        if both or (mine and theirs):
            pairs.append((name, bool(both or not mine.isdisjoint(theirs))))
    if record.masters and other.masters:
        pairs.append(("master", not record.masters.isdisjoint(other.masters)))
    for name, value, another in (
        ("email", record.email, other.email),
        ("username", record.username, other.username),
        ("kind", record.kind, other.kind),
    ):
        if value is not None and another is not None:
            pairs.append((name, value == another))
    if ("given", True) in pairs and ("family", True) in pairs and _one_mailbox(record.email, other.email):
        pairs.remove(("email", False))
    if record.middle and other.middle:
        shorter, longer = sorted((record.middle, other.middle), key=len)
        pairs.append(("middle", longer.startswith(shorter)))
    near, goes_on = False, other.here and record.kind == other.kind == STAFF
    if record.number is not None and other.number is not None and not _both_ids(record, other):
        near = record.number != other.number and bare(record.number) == bare(other.number)
        if not near and record.number.partition("\x1f")[0] == other.number.partition("\x1f")[0]:
            pairs.append(("number", record.number == other.number))
    if record.year is not None and other.year is not None:
        later = record.year - other.year
        gone = other.away and not near and ("number", True) not in pairs
        passed = max(other.years_ago - record.years_ago, 0) if gone else 0
        latest = max(record.years_ago, other.years_ago)
        pairs.append(("grade", passed - GRADES_APART < later < latest + GRADES_APART))
        goes_on = other.here and later >= other.years_ago
    agree = frozenset(name for name, same in pairs if same)
    differ = frozenset(name for name, same in pairs if not same)
    login = "username" in agree and not ("email" in agree and record.username == record.email)
    return Evidence(agree, differ, near, alike, login, not other.linked, other.away, goes_on, (record, other))


def _unclear(record: MatchKeys, other: MatchKeys) -> frozenset[str]:
    """The names that may be one although they differ: in other letters, or short for each other.

    Ann Rose is not short for Ann Marie, so a middle name counts if the other given name consists of several words.
    """
    given = (_given_names(record, other), _given_names(other, record))
    keys = {"given": given, "family": (record.family, other.family)}
    written = dict(zip(keys, zip(record.written, other.written, strict=True), strict=True))
    return frozenset(name for name in keys if may_be_one_name(*keys[name]) or in_other_letters(*written[name]))


def _given_names(side: MatchKeys, other: MatchKeys) -> frozenset[str]:
    several = side.middle and other.written[0] and not other.written[0].isalpha()
    return frozenset(key for key in side.given if key.endswith(side.middle)) if several else side.given


def bare(number: str) -> str:
    """A number (kind and number, or the number alone) without leading zeros, blanks, capitals and wide characters."""
    kind, between, digits = number.rpartition("\x1f")
    plain = unicodedata.normalize("NFKC", digits).lower().replace(" ", "")
    return f"{kind}{between}{plain.lstrip('0')}"


def year_of(grade: str | None) -> int | None:
    """The school year of a grade's code; None if the code is not a year."""
    return _YEARS.get(grade) if grade else None


def kind_of(role: str | None) -> str | None:
    """Student or staff, by role group; None for contacts and roles that are not mapped."""
    return STUDENT if role == "student" else STAFF if role in ("teacher", "staff", "admin") else None


def mailbox(email: str) -> str:
    """An address without the parts that do not tell two people of one name apart: the domain (a school may change it),
    dots, and the part after a plus sign."""
    return email.rpartition("@")[0].partition("+")[0].replace(".", "")


def _one_mailbox(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other and mailbox(one) == mailbox(other)


def _both_ids(first: MatchKeys, other: MatchKeys) -> bool:
    """Whether both numbers are only sourcedIds.

    Such numbers are not evidence: they differ with every record, and stay with an id that is used again. But two
    records with one role in one school exist at the same time, so they are two people.
    """
    side_by_side = first.seat is not None and first.seat == other.seat
    return first.number_is_id and other.number_is_id and not side_by_side
