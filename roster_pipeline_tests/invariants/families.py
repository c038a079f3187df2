"""The model of contacts: what a school must hold of its students' contacts, in plain Python, from the rules alone.

Students are told apart without any doubt here; who is whom is the other model's matter. A contact may belong to
several students, as it does to brothers and sisters.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Says = bool | str | None
Kept = tuple[str, str]
"""A contact as it is stored: sourcedId and phone."""


@dataclass
class Parent:
    """A contact as the SIS has it. says: whether they may be called; True allows, anything else does not."""

    sourced_id: str
    phone: str
    says: Says = True


@dataclass
class Pupil:
    """A student as the SIS has them: there or not, with their contacts in order."""

    sourced_id: str
    agents: list[str]
    there: bool = True


@dataclass
class Wishes:
    """What the school wants."""

    rostered: bool = True
    auto_update: bool = True
    archive: bool = True
    contacts: bool = True
    most: int = 3
    blackout: bool = False


@dataclass
class School:
    """Members by sourcedId: active or archived; and by place what is stored of their contacts."""

    wishes: Wishes = field(default_factory=Wishes)
    status: dict[str, str] = field(default_factory=dict)
    stored: dict[str, dict[int, Kept]] = field(default_factory=dict)

    def night(self, pupils: list[Pupil], parents: dict[str, Parent]) -> int:
        """One night; gives how many stored contacts were removed because nobody may call them."""
        barred = {one.sourced_id for one in parents.values() if one.says is not True}
        removed = self._remove(barred) if self.wishes.contacts else 0
        if self.wishes.blackout:
            return removed
        here = [pupil for pupil in pupils if pupil.there and self.wishes.rostered]
        wanted = {pupil.sourced_id: self._wanted(pupil, parents, barred) for pupil in here}
        anybody = any(wanted.values())
        for pupil in here:
            self._follow(pupil.sourced_id, wanted[pupil.sourced_id], anybody)
        present = {pupil.sourced_id for pupil in here}
        for who, status in self.status.items():
            if status == "active" and who not in present and self.wishes.rostered and self.wishes.archive:
                self.status[who] = "archived"
        most = self.wishes.most if self.wishes.contacts else 0
        for who, places in self.stored.items():
            self.stored[who] = {place: kept for place, kept in places.items() if place <= most}
        return removed

    def _remove(self, barred: set[str]) -> int:
        count = 0
        for who, places in self.stored.items():
            kept = {place: one for place, one in places.items() if one[0] not in barred}
            count += len(places) - len(kept)
            self.stored[who] = kept
        return count

    def _wanted(self, pupil: Pupil, parents: dict[str, Parent], barred: set[str]) -> list[Kept]:
        if not self.wishes.contacts:
            return []
        callable_ = [parents[one] for one in pupil.agents if one not in barred]
        return [(one.sourced_id, one.phone) for one in callable_][: self.wishes.most]

    def _follow(self, who: str, wanted: list[Kept], anybody: bool) -> None:
        status = self.status.get(who)
        self.status[who] = "active"
        follows = self.wishes.auto_update and (anybody or not self.wishes.contacts)
        if status is None or follows:
            self._write(who, wanted)

    def _write(self, who: str, wanted: list[Kept]) -> None:
        places = self.stored.get(who, {})
        more = [places[place] for place in sorted(places) if place > 1]
        fresh = dict(enumerate(wanted, 1))
        if more == wanted[1:]:
            behind = {place: kept for place, kept in places.items() if place > 1}
        else:
            behind = {place: kept for place, kept in fresh.items() if place > 1}
        self.stored[who] = ({1: fresh[1]} if 1 in fresh else {}) | behind
