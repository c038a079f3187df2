"""The truth: the people, their records in the SIS, and the changes of both.

Every record belongs to one person, and the pipeline never learns which. `SisState` writes each change to a simulated
SIS, so that the model and the pipeline have the same records.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from string import ascii_letters
from typing import Any, Literal

from roster_pipeline.simulator import District, Role, Sis
from roster_pipeline.simulator.population import Org

Group = Literal["admin", "teacher", "staff", "student"]
Leaving = Literal["vanish", "mark", "lose_org", "end_date"]

GROUPS: tuple[Group, ...] = ("admin", "teacher", "staff", "student")
LEAVING: tuple[Leaving, ...] = ("vanish", "mark", "lose_org", "end_date")
UNLISTED = "sch-9"
"""An org that the SIS does not list, so it is unknown whether it is another school."""
LONG_AGO = "2001-01-01T00:00:00.000Z"
DISTRICT = "dis-1"
"""The org of the district, which is listed but not a school."""
SOURCE_ROLES: dict[Group, str] = {
    "admin": "siteAdministrator",
    "teacher": "teacher",
    "staff": "aide",
    "student": "student",
}


def campus_of(school: str) -> str:
    """The org below a school. The SIS lists it as a department, which counts as another school for all but its
    parent."""
    return f"{school}-campus"


SPOILED = {"email": "not an address", "number": "9" * 601, "grade": "blue"}
"""Unreadable values by field."""
GARBLED = {"given": "Zo\ufffd", "family": "Mu?oz", "middle": "J***", "username": "m?ller"}
"""Texts in which letters are lost or hidden, by field."""
_OTHER_LETTERS = {ord(letter): 0x561 + (ord(letter.lower()) - ord("a")) for letter in ascii_letters}
"""Latin letters as Armenian ones."""
PLACEHOLDERS = {"number": "9999", "username": "student", "master": "7777", "email": "none@people.example"}
"""Placeholders that some SISs write for people without a value."""


@dataclass(frozen=True)
class Record:
    """One user object of a SIS. `truth` is the number of the person. `gone` is how the record left, or None.

    spoiled: fields that are unreadable while they have no value. moved_up: the grade is one more than at first, after
    the school year has changed. of_two: another person has a record with this sourcedId, too. main: the old school in
    `primaryOrg`, if the SIS did not change it when the roles went to another school. roleless: the record has no role,
    and only `primaryOrg` names the school. common: keys that people of many names have in a school.
    """

    sourced_id: str
    truth: int
    given: str
    family: str
    email: str | None
    number: str | None
    roles: tuple[tuple[Group, str], ...]
    gone: Leaving | None = None
    spoiled: frozenset[str] = frozenset()
    username: str | None = None
    grade: int | None = None
    master: str | None = None
    moved_up: bool = False
    middle: str | None = None
    of_two: bool = False
    others: tuple[Record, ...] = ()
    main: str = ""
    roleless: bool = False
    common: frozenset[str] = frozenset()

    def unreadable(self, name: str) -> bool:
        """Whether a field is unreadable."""
        return name in self.spoiled and getattr(self, name) is None

    @property
    def source_grade(self) -> str | None:
        """The grade in the SIS's own words."""
        return SPOILED["grade"] if self.unreadable("grade") else f"{self.grade:02}" if self.grade else None

    @property
    def delivered(self) -> bool:
        """Whether lists have it; a record that is marked as deleted is still listed."""
        return self.gone != "vanish"

    @property
    def deleted(self) -> bool:
        """Whether it is marked as deleted."""
        return self.gone == "mark"

    def groups_in(self, school: str) -> tuple[Group, ...]:
        """Its current roles in a school; none if its roles ended or lost their org."""
        if self.roleless or self.gone in ("lose_org", "end_date"):
            return ()
        return tuple(group for group, org in self.roles if org == school)

    @property
    def unknown(self) -> bool:
        """Whether it names an org that the SIS does not list."""
        return self.gone != "lose_org" and any(org == UNLISTED for _, org in self.roles)

    @property
    def only_district(self) -> bool:
        """Whether it names only the district."""
        return self.gone != "lose_org" and all(org == DISTRICT for _, org in self.roles)

    def contradicts(self, school: str) -> bool:
        """Whether it names this school, but its roles are in others."""
        return self.gone != "lose_org" and self.main == school and not self.names(school)

    def names(self, school: str) -> bool:
        """Whether it names this school at all, in any state."""
        return self.gone != "lose_org" and any(org == school for _, org in self.roles)


class SisState:
    """One SIS and the people behind its records.

    owners: the people to whom each sourcedId ever belonged. confirmed: ids that somebody confirmed; they are never
    doubted, so the SIS gives none of them away. names, numbers: all that each person ever had. kinds: pupil or staff,
    all that each person ever was. alike: people who differ from another one only by grade, middle name, or being pupil
    or staff.
    """

    def __init__(self, sis: Sis, schools: tuple[str, ...]) -> None:
        self.sis = sis
        self.schools = schools
        self.records: dict[str, Record] = {}
        self.strays: dict[int, Record] = {}
        """Records, by row, with the sourcedId of another person's newer record."""
        self.owners: dict[str, set[int]] = {}
        self.confirmed: set[str] = set()
        self.names: dict[int, set[str]] = {}
        self.numbers: dict[int, set[str | None]] = {}
        self.kinds: dict[int, set[str]] = {}
        self.alike: set[int] = set()
        self._garbled: dict[tuple[str, str], Any] = {}
        self._people = 0
        self._ids = 0
        sis.reset()
        for row in range(len(self.district)):
            self.district.vanish(row)
        for school in self.schools:
            campus = Org(campus_of(school), f"Campus of {school}", "department", "", school, self.district.stamp())
            self.district.orgs.append(campus)

    @property
    def district(self) -> District:
        """The simulator's side."""
        return self.sis.district

    def here(self) -> list[Record]:
        """Records that have not left, oldest first."""
        return [record for record in self.records.values() if record.gone is None]

    def left(self) -> list[Record]:
        """Records that left."""
        return [record for record in self.records.values() if record.gone is not None]

    def served(self) -> list[Record]:
        """The records of a complete list."""
        return [*(record for record in self.records.values() if record.delivered), *self.strays.values()]

    def join(self, school: str, group: Group, *, numbered: bool = True) -> Record:
        """A new person with one record. The n-th person of every SIS has the same values."""
        return self._add(self._newcomer(self._new_id(), school, group, numbered=numbered))

    def look_alike(self, school: str, group: Group, *, numbered: bool, **same: object) -> Record:
        """A new person with some values of another one."""
        newcomer = self._newcomer(self._new_id(), school, group, numbered=numbered)
        return self._add(replace(newcomer, **same))  # type: ignore[arg-type]

    def give_away(self, left: Record, school: str, group: Group, **same: object) -> Record:
        """The SIS gives the sourcedId of a record that left to a new person, who also shares some values."""
        self.district.restore(left.sourced_id)
        newcomer = self._newcomer(left.sourced_id, school, group, numbered=left.number is not None)
        newcomer = replace(newcomer, **same)  # type: ignore[arg-type]
        self._change(newcomer)
        return newcomer

    def stray(self, of: Record, school: str, group: Group, *, deleted: bool, shares: str) -> None:
        """The SIS also has a record of a new person with the sourcedId of a record, as if each school counted its own
        ids. shares: a name that both people have, if their numbers tell them apart."""
        newcomer = self._newcomer(self._new_id(), school, group, numbered=of.number is not None)
        if shares and of.number and of.given and of.family:
            newcomer = replace(newcomer, **{shares: getattr(of, shares)})
        made = self.district.add(
            SOURCE_ROLES[group], school, sourced_id=newcomer.sourced_id, agents=(), **_fields(newcomer)
        )
        status = "tobedeleted" if deleted else "active"
        self.district.changed[made.row] = made._replace(sourced_id=of.sourced_id, modified=LONG_AGO, status=status)
        stray = replace(newcomer, sourced_id=of.sourced_id, gone="mark" if deleted else None)
        self._remember_human(stray)
        self.strays[made.row] = stray

    def without_strays(self) -> None:
        """Every sourcedId has one record again."""
        for row in self.strays:
            self.district.vanish(row)
        self.strays.clear()

    def transform(self, record: Record) -> None:
        """The person of a record gets other names, another e-mail and another number there: nothing stays the same."""
        self._ids += 1
        word = _letters(self._ids + 5000)
        names: dict[str, Any] = {
            "given": f"Given{word}",
            "family": f"Family{word}",
            "email": f"new{self._ids}@people.example",
        }
        self._change(replace(record, number=str(90_000 + self._ids), username=f"new{self._ids}", master=None, **names))

    def second_record(self, of: Record, school: str, group: Group, *, mailbox: bool) -> Record:
        """One more record of a person, for another school or role; `mailbox`: with an e-mail of its own."""
        sourced_id = self._new_id()
        email = f"{sourced_id}@people.example" if mailbox and of.number else of.email
        return self._add(replace(of, sourced_id=sourced_id, email=email, roles=((group, school),), gone=None))

    def rekey(self, record: Record) -> Record:
        """The SIS gives a record a new sourcedId; nothing else changes."""
        self.leave(record, "vanish")
        return self._add(replace(record, sourced_id=self._new_id(), gone=None))

    def marry(self, record: Record) -> None:
        """The person of a record gets a new record: only the given name and the user name stay."""
        self._ids += 1
        family, email = f"Family{_letters(self._ids + 5000)}", f"new{self._ids}@people.example"
        number = str(90_000 + self._ids) if record.number else None
        self.leave(record, "vanish")
        self._add(replace(record, sourced_id=self._new_id(), gone=None, family=family, email=email, number=number))

    def enter_again(self, record: Record, *, short: bool) -> None:
        """The person of a record that may have left gets a new one with other keys: only names and grade stay. short:
        the given name is a longer form of the old one."""
        self._ids += 1
        new = f"new{self._ids}"
        given = f"{record.given}ander" if short and record.given else record.given
        number = str(90_000 + self._ids) if record.number else None
        keys: dict[str, Any] = {"number": number, "username": new, "email": f"{new}@people.example", "master": None}
        if record.gone is None:
            self.leave(record, "vanish")
        self._add(replace(record, sourced_id=self._new_id(), gone=None, given=given, **keys))

    def known_as(self, record: Record, how: Literal["short", "letters", "nickname"], *, login: bool) -> None:
        """The person of a record gets a new record with another name and number and the same e-mail: the long form of
        the given name, other letters in both names, or another given name. login: the user name stays too."""
        self._ids += 1
        given, family = record.given, record.family
        if how == "letters":
            given, family = (name.translate(_OTHER_LETTERS) for name in (given, family))
        else:
            given = f"{given}ander" if how == "short" else f"Nick{_letters(self._ids)}"
        number = str(90_000 + self._ids) if record.number else None
        username = record.username if login else f"new{self._ids}"
        names: dict[str, Any] = {"given": given, "family": family, "number": number, "username": username}
        self.leave(record, "vanish")
        self._add(replace(record, sourced_id=self._new_id(), gone=None, **names))

    def respell_id(self, record: Record) -> Record:
        """The SIS writes the sourcedId of a record in capitals from now on; nothing else changes."""
        self.leave(record, "vanish")
        return self._add(replace(record, sourced_id=record.sourced_id.upper(), gone=None))

    def forget_role(self, record: Record, *, forgotten: bool) -> None:
        """A record has no role, or has its role again."""
        self._change(replace(record, roleless=forgotten))

    def leave(self, record: Record, how: Leaving) -> None:
        """A record leaves."""
        self.district.remove(record.sourced_id, how=how)
        self.records[record.sourced_id] = replace(record, gone=how)

    def swap_ids(self, one: Record, other: Record) -> None:
        """The SIS confuses two sourcedIds: each record has the values of the other."""
        self._change(replace(one, sourced_id=other.sourced_id))
        self._change(replace(other, sourced_id=one.sourced_id))

    def come_back(self, record: Record) -> None:
        """A record that left is back as it was."""
        self.district.restore(record.sourced_id)
        self.records[record.sourced_id] = replace(record, gone=None)

    def rename(self, record: Record, *, given: bool) -> None:
        """The person of a record gets another family or given name, in all present records."""
        self._ids += 1
        word = _letters(self._ids + 5000)
        name: dict[str, Any] = {"given": f"Given{word}"} if given else {"family": f"Family{word}"}
        for each in self._of_human(record):
            self._change(replace(each, **name))

    def exchange_names(self, record: Record) -> None:
        """A clerk's mistake: given and family name change places, in all present records of the person."""
        for each in self._of_human(record):
            self._change(replace(each, given=each.family, family=each.given))

    def move_middle(self, record: Record, *, to: Literal["given", "family"]) -> None:
        """The SIS writes the middle name in one field with another name, or apart again."""
        for each in self._of_human(record):
            before, _, after = (each.given if to == "given" else each.family).partition(" ")
            if each.middle and not after:
                text = f"{each.given} {each.middle}" if to == "given" else f"{each.middle} {each.family}"
                self._change(replace(each, middle=None, **dict[str, Any]({to: text})))
            elif after and not each.middle:
                name, middle = (before, after) if to == "given" else (after, before)
                self._change(replace(each, middle=middle, **dict[str, Any]({to: name})))

    def transliterate(self, record: Record) -> None:
        """The SIS writes both names in another way, and makes e-mail and user name from them."""
        self.rename(record, given=True)
        self.rename(self.records[record.sourced_id], given=False)
        self.new_email(self.records[record.sourced_id])
        self._change(replace(self.records[record.sourced_id], username=f"new{self._ids}"))

    def other_domain(self, school: str, *, every: int) -> None:
        """Every n-th record of a school gets its e-mail in another domain."""
        for record in [one for one in self.here() if one.names(school) and one.email][::every]:
            name, _, domain = (record.email or "").partition("@")
            other = "pupils.example" if domain == "people.example" else "people.example"
            self._change(replace(record, email=f"{name}@{other}"))

    def new_email(self, record: Record) -> None:
        """A record gets another e-mail."""
        self._ids += 1
        self._change(replace(record, email=f"new{self._ids}@people.example"))

    def spoil(self, name: str, school: str, group: Group, *, every: int) -> None:
        """Every n-th record with this role in a school gets an unreadable value.

        Humans who differ from somebody only by number or grade keep both.
        """
        able = [one for one in self.here() if group in one.groups_in(school) and getattr(one, name) is not None]
        for record in [one for one in able if name == "email" or one.truth not in self.alike][::every]:
            self._change(replace(record, spoiled=record.spoiled | {name}, **dict[str, Any]({name: None})))

    def garble(self, name: str, school: str, group: Group, *, every: int) -> None:
        """Every n-th record with this role in a school gets a text with lost letters.

        Nobody keeps only one name that somebody else has too: with a mistaken number, the two would be one.
        """
        for record in [one for one in self.here() if group in one.groups_in(school) and self._may_lose(one, name)][
            ::every
        ]:
            self._garbled[record.sourced_id, name] = getattr(record, name)
            self._change(replace(record, spoiled=record.spoiled | {name}, **dict[str, Any]({name: None})))

    def _may_lose(self, record: Record, name: str) -> bool:
        others = {each for truth, names in self.names.items() if truth != record.truth for each in names}
        left = {record.given, record.family} - {getattr(record, name)}
        alone = name not in ("given", "family") or bool(left and not left & others)
        return getattr(record, name) is not None and record.truth not in self.alike and alone

    def placeholder(self, name: str, school: str, *, every: int) -> list[Record]:
        """Every n-th record of a school gets a placeholder there; returns these records as they were."""
        able = [one for one in self.here() if one.names(school) and getattr(one, name) is not None]
        some = [one for one in able if one.truth not in self.alike][::every]
        for record in some:
            self._change(replace(record, **dict[str, Any]({name: PLACEHOLDERS[name]})))
        return some

    def put_back(self, name: str, before: list[Record]) -> None:
        """These records have their own values again."""
        for record in before:
            own = {name: getattr(record, name)}
            self._change(replace(self.records[record.sourced_id], **dict[str, Any](own)))

    def mend(self) -> None:
        """Every value can be read again. The e-mail is another one than before."""
        for record in [one for one in self.here() if any(map(one.unreadable, SPOILED))]:
            self._ids += 1
            values: dict[str, Any] = {
                "email": f"new{self._ids}@people.example",
                "number": str(1000 + record.truth),
                "grade": 1 + record.truth % 12 + record.moved_up,
            }
            mended = {name: value for name, value in values.items() if record.unreadable(name)}
            self._change(replace(record, **mended))

    def ungarble(self) -> None:
        """The texts come as they were."""
        for (sourced_id, name), value in self._garbled.items():
            self._change(replace(self.records[sourced_id], **dict[str, Any]({name: value})))
        self._garbled.clear()

    def turn_year(self, school: str, *, up: bool, every: int) -> None:
        """Every n-th student of a school goes up a grade, once; or, as in an old file, back to the grade before."""
        students = [one for one in self.here() if one.grade is not None and one.names(school) and one.moved_up != up]
        for record in students[::every]:
            self._change(replace(record, grade=(record.grade or 0) + (1 if up else -1), moved_up=up))

    def take_number_of(self, record: Record, other: Record) -> None:
        """A clerk's mistake: the record gets the number of somebody else."""
        self._change(replace(record, number=other.number))

    def own_number(self, record: Record) -> None:
        """The mistake is corrected."""
        self._change(replace(record, number=str(1000 + record.truth)))

    def respell_number(self, record: Record) -> None:
        """A spreadsheet removes the leading zeros of a number, or an export writes them."""
        number = record.number or ""
        self._change(replace(record, number=number.lstrip("0") if number.startswith("0") else f"00{number}"))

    def slip(self, records: list[Record], name: str) -> None:
        """A column moves by a row: each of these records gets the number or the e-mail of the next one."""
        values = [getattr(record, name) for record in records]
        for record, value in zip(records, values[1:] + values[:1], strict=True):
            self._change(replace(record, **{name: value}))

    def set_roles(self, record: Record, roles: Iterable[tuple[Group, str]], main: str = "") -> None:
        """A record has exactly these roles, and this school in `primaryOrg`."""
        self._change(replace(record, roles=tuple(dict.fromkeys(roles)), main=main))

    def _of_human(self, record: Record) -> list[Record]:
        return [each for each in self.here() if each.truth == record.truth]

    def _new_id(self) -> str:
        self._ids += 1
        return f"r{(self._ids * 37) % 1000:03d}-{self._ids}"

    def _newcomer(self, sourced_id: str, school: str, group: Group, *, numbered: bool) -> Record:
        self._people += 1
        truth = self._people
        word = _letters(truth)
        return Record(
            sourced_id,
            truth,
            f"Given{word}",
            f"Family{word}",
            f"p{truth}@people.example",
            str(1000 + truth) if numbered else None,
            ((group, school),),
            username=f"u{truth}",
            grade=1 + truth % 12 if group == "student" else None,
            master=str(truth) if truth % 2 else None,
            middle=f"{word}Middle" if truth % 3 else None,
        )

    def _add(self, record: Record) -> Record:
        self._remember(record)
        group, school = record.roles[0]
        listed = school if school in self.schools else self.schools[0]
        self.district.add(SOURCE_ROLES[group], listed, sourced_id=record.sourced_id, agents=(), **_fields(record))
        return record

    def _change(self, record: Record) -> None:
        self._remember(record)
        self.district.edit(record.sourced_id, **_fields(record))

    def _remember(self, record: Record) -> None:
        self.records[record.sourced_id] = record
        self._remember_human(record)

    def _remember_human(self, record: Record) -> None:
        self.owners.setdefault(record.sourced_id, set()).add(record.truth)
        self.names.setdefault(record.truth, set()).update((record.given, record.family))
        self.numbers.setdefault(record.truth, set()).add(record.number)
        kinds = {"student" if group == "student" else "staff" for group, _ in record.roles}
        self.kinds.setdefault(record.truth, set()).update(kinds)


def _fields(record: Record) -> dict[str, object]:
    return {
        "given_name": _shown(record, "given"),
        "family_name": _shown(record, "family"),
        "middle_name": _shown(record, "middle"),
        "email": _shown(record, "email"),
        "identifier": _shown(record, "number"),
        "username": _shown(record, "username"),
        "state_id": record.master or "",
        "grades": () if record.source_grade is None else (record.source_grade,),
        "roles": () if record.roleless else tuple(Role(SOURCE_ROLES[group], org) for group, org in record.roles),
        "primary_org": record.roles[0][1] if record.roleless else record.main,
    }


def _shown(record: Record, name: str) -> str:
    return getattr(record, name) or ((SPOILED | GARBLED)[name] if record.unreadable(name) else "")


def _letters(number: int) -> str:
    word = ""
    while number:
        number, rest = divmod(number, 26)
        word = chr(ord("a") + rest) + word
    return word
