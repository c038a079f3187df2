"""The model of contacts: which contacts a school must store, in plain Python, from the rules alone.

Students are always recognised here; the other model tests matching. Brothers and sisters may share a contact.
"""

from dataclasses import dataclass, field

Says = bool | str | None
Kept = tuple[str, str | None]
"""A contact as it is stored: sourcedId and phone."""
KEYS_SHARE, FEW = 0.05, 2
"""If more than this share of a role would get another contact or another phone of one, the changes need an approval;
this few do not."""


@dataclass
class Parent:
    """A contact in the SIS. says: whether they may be called; only True allows it.

    delivered: False for a night in which students name them but their record is missing. spoiled: the phone is not a
    number. role: of their record; only a guardian is a contact.
    """

    sourced_id: str
    phone: str
    says: Says = True
    delivered: bool = True
    spoiled: bool = False
    role: str = "guardian"


@dataclass
class Wanted:
    """One student's contacts in the SIS. known: those who may be called. lost: named but not delivered."""

    known: list[Kept]
    lost: list[str]


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
    """Members by sourcedId: active or archived; and their stored contacts by place.

    held: whether updates wait because too many contacts would change. waiting: those updates.
    """

    wishes: Wishes = field(default_factory=Wishes)
    status: dict[str, str] = field(default_factory=dict)
    stored: dict[str, dict[int, Kept]] = field(default_factory=dict)
    held: bool = False
    waiting: dict[str, Wanted] = field(default_factory=dict)

    def night(self, pupils: list[Pupil], parents: dict[str, Parent]) -> int:
        """One night; returns how many stored contacts were removed because nobody may call them."""
        barred = {one.sourced_id for one in parents.values() if one.delivered and one.says is not True}
        removed = self._remove(barred) if self.wishes.contacts else 0
        here = [pupil for pupil in pupils if pupil.there and self.wishes.rostered]
        wanted = {pupil.sourced_id: self._wanted(pupil, parents, barred) for pupil in here}
        follows = self.wishes.auto_update and (any(one.known for one in wanted.values()) or not self.wishes.contacts)
        active = [who for who, status in self.status.items() if status == "active"]
        updates = {who: wanted[who] for who in active if who in wanted} if follows else {}
        replaced = sum(self._replaces(who, contacts) for who, contacts in updates.items() if self.wishes.contacts)
        if self.wishes.contacts:  # students wait with a contact who would become a member
            hired = {one.sourced_id for one in parents.values() if one.role != "guardian"}
            updates = {who: one for who, one in updates.items() if hired.isdisjoint(self.contacts(who))}
        self.held, self.waiting = replaced > FEW and replaced > KEYS_SHARE * len(active), {}
        if self.wishes.blackout:
            return removed
        for pupil in here:
            who = pupil.sourced_id
            if who not in active:
                if follows or who not in self.status:
                    self._write(who, wanted[who])
                self.status[who] = "active"
        self.waiting = updates if self.held else {}
        if not self.held:
            self._update(updates)
        present = {pupil.sourced_id for pupil in here}
        for who, status in self.status.items():
            if status == "active" and who not in present and self.wishes.rostered and self.wishes.archive:
                self.status[who] = "archived"
        return removed

    def approve(self) -> None:
        """Carry out the updates that wait."""
        self._update(self.waiting)
        self.held, self.waiting = False, {}

    def _update(self, updates: dict[str, Wanted]) -> None:
        """Update the contacts of active students, then remove those that the school no longer wants."""
        for who, contacts in updates.items():
            self._write(who, contacts)
        most = self.wishes.most if self.wishes.contacts else 0
        for who, places in self.stored.items():
            self.stored[who] = {place: kept for place, kept in places.items() if place <= most}

    def _replaces(self, who: str, contacts: Wanted) -> bool:
        """Whether another contact takes the place of one, or a contact's phone changes or goes."""
        places = self.stored.get(who, {})
        laid_out = self._laid_out(places, contacts)
        first, then = places.get(1, (None, None)), laid_out.get(1, (None, None))
        later, behind = (dict(kept for place, kept in one.items() if place > 1) for one in (places, laid_out))
        moved = first[0] != then[0]
        gone, new = later.keys() - behind.keys(), behind.keys() - later.keys()
        replaced = bool(gone - ({then[0]} if moved else set())) and bool(new - ({first[0]} if moved else set()))
        phones = [(first[1], then[1]), *((later[one], behind[one]) for one in later.keys() & behind.keys())]
        changed = any(was is not None and was != now for was, now in phones)
        return (moved and first[0] is not None) or changed or replaced

    def contacts(self, who: str) -> set[str]:
        """The ids of the stored contacts of a student."""
        return {kept[0] for kept in self.stored.get(who, {}).values()}

    def _remove(self, barred: set[str]) -> int:
        count = 0
        for who, places in self.stored.items():
            kept = {place: one for place, one in places.items() if one[0] not in barred}
            count += len(places) - len(kept)
            self.stored[who] = kept
        return count

    def _wanted(self, pupil: Pupil, parents: dict[str, Parent], barred: set[str]) -> Wanted:
        if not self.wishes.contacts:
            return Wanted([], [])
        named = [parents[one] for one in pupil.agents if one not in barred and parents[one].role == "guardian"]
        places = {kept[0]: place for place, kept in self.stored.get(pupil.sourced_id, {}).items()}
        named.sort(key=lambda one: places.get(one.sourced_id, 1 + max(places.values(), default=0)))
        known = [
            (one.sourced_id, self._stored_phone(pupil.sourced_id, one.sourced_id) if one.spoiled else one.phone)
            for one in named
            if one.delivered
        ]
        return Wanted(known[: self.wishes.most], [one.sourced_id for one in named if not one.delivered])

    def _stored_phone(self, who: str, contact: str) -> str | None:
        """The stored phone of a contact with an unreadable phone: the student's, or a brother's or sister's.

        Phones of archived students are older than those of active ones.
        """
        active = [one for one in sorted(self.status) if self.status[one] == "active"]
        for one in [who, *active] if who in active else [*active, who]:
            phones = [phone for sourced_id, phone in self.stored.get(one, {}).values() if sourced_id == contact]
            if phones:
                return phones[0]
        return None

    def _write(self, who: str, wanted: Wanted) -> None:
        self.stored[who] = self._laid_out(self.stored.get(who, {}), wanted)

    def _laid_out(self, places: dict[int, Kept], wanted: Wanted) -> dict[int, Kept]:
        """Contacts by place; the later ones keep their places if they are the same in the same order.

        A stored contact who is lost stays, in the first place if it was theirs.
        """
        if wanted.lost and not wanted.known:
            return places
        more = [places[place] for place in sorted(places) if place > 1]
        primary = [places[1]] if 1 in places and places[1][0] in wanted.lost else []
        fresh = [*primary, *wanted.known]
        if wanted.lost:
            behind = [*fresh[1:], *(kept for one in wanted.lost for kept in more if kept[0] == one)]
            behind = more if sorted(behind) == sorted(more) else behind
            fresh = [*fresh[:1], *behind][: self.wishes.most]
        if more == fresh[1:]:
            return dict(enumerate(fresh[:1], 1)) | {place: kept for place, kept in places.items() if place > 1}
        return dict(enumerate(fresh, 1))
