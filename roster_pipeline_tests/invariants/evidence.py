"""The evidence for and against one person in the model, written from the page of rules and not from the code."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product

from roster_pipeline_tests.invariants.person import Person

FAR = 3
"""Grades this many years apart are two pupils."""


@dataclass(frozen=True)
class Known:
    """One side: the values of a record as one school sees it, or of a person. number: kind and number."""

    given: str | None
    family: str | None
    email: str | None
    number: tuple[str, str] | None
    username: str | None
    masters: frozenset[str]
    kind: str | None
    grade: int | None
    away: bool = False
    middle: str | None = None
    here: bool = False
    """A person who is in this school, or whom a sync archived there lately and who is in no other one."""

    @property
    def all_given(self) -> set[str]:
        """The given name alone, and in one field with the middle name."""
        return {self.given or "", f"{self.given} {self.middle}"}

    @property
    def all_family(self) -> set[str]:
        """The same of the family name."""
        return {self.family or "", f"{self.middle} {self.family}"}


@dataclass
class Compared:
    """The names of the values that agree and that differ; values that one side lacks are in neither."""

    same: set[str] = field(default_factory=set)
    other: set[str] = field(default_factory=set)
    alike: bool = False
    """The whole names are the same, in any order and fields."""
    near: bool = False
    """The numbers differ only in spelling."""
    family_login: bool = False
    """Both have one e-mail, and log in with it."""
    maybe: set[str] = field(default_factory=set)
    """The names that differ, and may be one name in other letters or a short form."""
    goes_on: bool = False
    """A member of this school may go on in it as this record: as staff, or as a student not below their grade."""

    @property
    def clash(self) -> set[str]:
        """The names that differ and cannot be one."""
        lasting = {"master", "kind", "grade"} & self.other
        return ({"given", "family"} & self.other) - (set() if lasting else self.maybe)

    @property
    def strong(self) -> set[str]:
        """The strong evidence against one person."""
        strong = self.other & {"number", "master", "kind", "grade"}
        return strong | {"names"} if {"given", "family"} <= self.other else strong

    @property
    def whole(self) -> bool:
        """Both names are the same."""
        return {"given", "family"} <= self.same

    @property
    def spoken_against(self) -> bool:
        """Never one person."""
        middle = "middle" in self.other and not ({"number", "username", "master"} & self.same or self.near)
        return bool(self.strong) or middle or (not self.whole and bool({"email", "username"} & self.other))

    @property
    def one_human(self) -> bool:
        """A key, a name, and nothing against it."""
        if self.spoken_against:
            return False
        if ("email" in self.same or self.near) and self.whole:
            return True
        if "number" not in self.same:
            return False
        family = "family" in self.same and ("given" not in self.other or bool({"username", "master"} & self.same))
        return "given" in self.same or family

    @property
    def unsure(self) -> bool:
        """It would be one person without the evidence against it."""
        if self.one_human:
            return False
        if "number" in self.same:
            return bool({"given", "family", "email"} & self.same)
        if "email" not in self.same:
            return self.near and self.whole
        goes_on = self.goes_on and "family" in self.same and not {"master", "kind", "grade"} & self.other
        return "given" in self.same or not self.clash or goes_on

    @property
    def entered_again(self) -> bool:
        """A new record may be an absent member of this school, although every key may differ."""
        if "family" not in self.same or "given" not in self.same | self.maybe:
            return False
        return not {"middle", "kind", "grade", "master"} & self.other and ("grade" not in self.same or self.goes_on)

    @property
    def nameless(self) -> bool:
        """None of the names that both have is the same."""
        return bool({"given", "family"} & self.other) and not {"given", "family"} & self.same

    @property
    def wrong_link(self) -> bool:
        """A link that is doubted."""
        if self.nameless:
            return self.for_it() <= 0 or bool({"master", "kind", "grade"} & self.other)
        if {"number", "username"} & self.same or {"given", "email"} <= self.same:
            return not self.whole and len(self.strong) > 1 and bool({"master", "kind", "grade"} & self.strong)
        if self.whole:
            return len(self.strong) > 1
        return bool(self.strong)

    def for_it(self, *without: str) -> int:
        """How many more of number, user name and e-mail are the same than differ. without: does not count as same."""
        keys = {"number", "username", "email"}
        return len((keys & self.same).difference(without)) - len(keys & self.other)

    def wrong_link_of(self, person: Known) -> bool:
        """If the person was away, one common name and another e-mail or given name are enough for a doubt."""
        if not person.away or self.wrong_link:
            return self.wrong_link
        if self.nameless:
            return self.for_it("number") <= 0
        known = {"number", "username"} & self.same or {"given", "email"} <= self.same
        if self.whole:
            return not known and {"number", "email"} <= self.other
        if known:
            return "given" in self.other and self.for_it("number") < 0
        return bool({"given", "email"} & self.other)

    @property
    def of_another(self) -> bool:
        """A deletion of somebody else: both names and the number are another person's, and no key is the same. E-mail
        and user name count if nobody can compare the numbers."""
        keys = {"number", "username", "email", "master"} & self.same
        keyed = "number" in self.other or {"email", "username"} <= self.other
        return {"given", "family"} <= self.other and keyed and not self.maybe and not self.near and not keys

    @property
    def may_be(self) -> bool:
        """Nothing rules out that this is the same person."""
        if "number" in self.same or self.near:
            return True
        if "email" in self.same:
            return not self.clash
        if not self.alike or {"number", "kind"} & self.other:
            return False
        return "username" in self.same or "email" not in self.other

    @property
    def keeps(self) -> bool:
        """Whether the record keeps an absent person from being archived."""
        named = bool({"given", "family"} & (self.same | self.maybe))
        own = "username" in self.same and not self.family_login and named
        return self.may_be or (own and not {"kind", "master", "grade"} & self.other)


def compare(one: Known, other: Known) -> Compared:
    """Compare the values that both have."""
    near = one.number != other.number and plain(one.number) == plain(other.number) is not None
    family_login = one.email is not None and one.email == other.email == one.username == other.username
    found = Compared(alike=bool(_spelled(one) & _spelled(other)), near=near, family_login=family_login)
    whole = found.alike and any(side.given and side.family for side in (one, other))
    numbers = one.number and other.number and one.number[0] == other.number[0]
    pairs: Iterable[tuple[str, object, object, bool]] = (
        ("given", one.given, other.given, whole or bool(one.all_given & other.all_given)),
        ("family", one.family, other.family, whole or bool(one.all_family & other.all_family)),
        ("email", one.email, other.email, one.email == other.email),
        ("username", one.username, other.username, one.username == other.username),
        ("kind", one.kind, other.kind, one.kind == other.kind),
        ("master", one.masters, other.masters, bool(one.masters & other.masters)),
        ("number", numbers, not found.near, one.number == other.number),
        ("middle", one.middle, other.middle, one.middle == other.middle),
    )
    for name, mine, theirs, same in pairs:
        if (mine and theirs) or (whole and name in ("given", "family")):
            (found.same if same else found.other).add(name)
    if found.whole and one.email and other.email and mailbox(one.email) == mailbox(other.email):
        found.other.discard("email")
    found.maybe = {name for name in ("given", "family") if name in found.other and _may_be_one(name, one, other)}
    found.goes_on = other.here and one.kind == other.kind == "staff"
    if one.grade is not None and other.grade is not None:
        found.goes_on = other.here and one.grade >= other.grade
        (found.same if abs(one.grade - other.grade) < FAR else found.other).add("grade")
    return found


def _may_be_one(name: str, one: Known, other: Known) -> bool:
    """Whether one of two different names stands in the other, or the two have no letters in common."""
    mine, theirs = getattr(one, name) or "", getattr(other, name) or ""
    if mine.isascii() != theirs.isascii():
        return True
    pairs = product(_forms(name, one, other), _forms(name, other, one))
    both = (sorted(pair, key=len) for pair in pairs)
    return any(long.startswith(short) or (len(short) > 2 and short in long) for short, long in both)


def _forms(name: str, side: Known, other: Known) -> set[str]:
    """A name without blanks, alone and with the middle name; only with it if the other given name has two words."""
    value = getattr(side, name) or ""
    middle = side.middle or ""
    together = value + middle if name == "given" else middle + value
    alone = set() if name == "given" and middle and " " in (other.given or "") else {value}
    return {form.replace(" ", "").lower() for form in alone | {together}}


def mailbox(email: str) -> str:
    """An address without its domain, which a SIS may change for a whole school."""
    return email.partition("@")[0]


def _spelled(side: Known) -> set[tuple[str, ...]]:
    """The names of a side as words in alphabetical order, without the middle name and with it."""
    names = f"{side.given or ''} {side.family or ''}"
    return {tuple(sorted(text.split())) for text in (names, f"{names} {side.middle or ''}")}


def plain(number: tuple[str | None, str] | None) -> tuple[str | None, str] | None:
    """Kind and number without leading zeros, the only spelling that this SIS changes."""
    return (number[0], number[1].lstrip("0")) if number else None


def kind_of(role: str) -> str:
    """Pupil or staff."""
    return "student" if role == "student" else "staff"


def known_person(person: Person, school: str = "") -> Known:
    """The directory's values of a person: kind and grade from the active membership of this school, else from other
    active ones, else from archived ones."""
    some = [each for each in person.members.values() if each.status == "active"] or list(person.members.values())
    if school in person.members and person.members[school] in some:
        some = [person.members[school]] if person.members[school].status == "active" else some
    kinds = {kind_of(each.role) for each in some} if some else {person.fields["kind"]}
    grades = [each.grade for each in some if each.grade is not None]
    number, number_kind = person.fields["number"], person.fields["kind"]
    return Known(
        person.fields["given"],
        person.fields["family"],
        person.fields["email"],
        (number_kind, number) if number and number_kind and person.fields["sourced"] else None,
        person.fields["username"],
        frozenset(person.masters[link] for link in person.links if link in person.masters),
        kinds.pop() if len(kinds) == 1 else None,
        grades[0] if grades else None,
        bool(some) and all(each.status == "archived" for each in some),
        person.fields["middle"],
        lately_here(person, school),
    )


def lately_here(person: Person, school: str) -> bool:
    """Whether somebody is in this school, or was until a sync archived them. No history lasts longer than 14 days."""
    there = [name for name, member in person.members.items() if member.status == "active"]
    return school in there or (not there and school in person.members and person.members[school].by == "sync")
