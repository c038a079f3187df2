"""Random nights of schools on one bundle that loses people or moves them: what waits, by a model in plain Python.

Written from docs/rules.md alone: archivals and creations, a part of a file that is missing, schools that read one pull,
and people in wrong schools.
"""

import random
from collections import Counter
from itertools import count, groupby
from pathlib import Path
from typing import NamedTuple

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline_tests.invariants.histories import assert_happened, histories
from roster_pipeline_tests.sources.conftest import BIRCH, DISTRICT, Record, School, Source, person

USUAL = 3
HISTORIES = histories(USUAL, 60)
NIGHTS = 4
FAMILY, FEW, ALWAYS, SMALL = 5, 2, 5, 50
ACTIVE = """
select l.sourced_id as who, s.key from link l join membership m using (person_id) join school s on s.id = m.school_id
where m.status = 'active' and s.district_id = :district
"""
NEW = "new-"
OFF = ("shrink_share", "missing_share", "restore_share", "slow_loss_share", "rekeyed_share")
"""The limits of guards that this model does not have."""
USERNAMES = """
select l.sourced_id as who, p.username from person p join link l on l.person_id = p.id where p.district_id = :district
"""
_numbers = count(1)


def person_of(sourced_id: str) -> str:
    """Whose id it is: a new id of somebody is their old one with this prefix."""
    return sourced_id.removeprefix(NEW)


def held_for_size(missing: int, known: int) -> bool:
    """Whether the students of one school are too many to be archived."""
    return missing > 0.1 * known and not (known < SMALL and missing <= ALWAYS)


class Row(NamedTuple):
    """A student in the file."""

    sourced_id: str
    school: str
    username: str


class SharedPullModel:
    """The active students of each school, their ids, and the file of the night before."""

    def __init__(self) -> None:
        self.active: set[tuple[str, str]] = set()
        self.before: set[tuple[str, str]] = set()
        self.ids: dict[str, set[str]] = {}
        self.primary: dict[str, str] = {}
        self.usernames: dict[str, str] = {}
        self.file: dict[str, Row] = {}
        self.parts: list[list[str]] = []
        self.mixed_up = 0

    def night(self, file: list[Row], order: list[str]) -> dict[str, set[str]]:
        """The guards that hold something of each school. file: who came. order: in which the schools sync."""
        self.parts = self._lost_parts([row.sourced_id for row in file])
        changed = [row for row in file if self.mixed_up > FEW or self.file.get(row.sourced_id) != row]
        self.file = {row.sourced_id: row for row in file}
        in_parts = {one for part in self.parts for one in part}
        rows = {person_of(row.sourced_id): row for row in file}
        came = {who: (row.sourced_id, row.school) for who, row in rows.items()}
        self.mixed_up = self._mixed_up_usernames(changed)
        first = not self.active
        known = {school: sum(one == school for _, one in self.active) for school in order}
        gone = {school: {who for who, one in self.active if one == school and not self._linked(who, came)}
                for school in order}  # fmt: skip
        lost = {school: len(gone[school]) for school in order}
        large = {school for school in order if held_for_size(lost[school], known[school])
                 or any(self.ids[who] & in_parts for who in gone[school])}  # fmt: skip
        calm = known.keys() - large
        calm_known, calm_lost = (sum(numbers[one] for one in calm) for numbers in (known, lost))
        unusual = sum(lost[one] > FEW and lost[one] > 0.05 * known[one] for one in calm)
        together = calm_lost > FEW and calm_lost > 0.02 * calm_known
        all_lack = unusual > 1 and calm_lost > 0.05 * calm_known
        circles, emptied = self._mixed_up({who: school for who, (_, school) in came.items()}, known)
        guards: dict[str, set[str]] = {}
        for school in order:
            here = {who for who, one in self.active if one == school}
            left = {who for who in here if not self._linked(who, came) and came.get(who, ("", ""))[1] != school}
            moved = {who for who in here - left if came[who][1] != school and (who, came[who][1]) in self.active}
            going = left | moved
            new = {who for who, (_, one) in came.items() if one == school} - here
            back = {who for who in new if (who, school) in self.before}
            coming = len(new) - len(back)
            crowd = not first and coming > FEW and coming > 0.25 * len(here)
            share = len(going) > 0.1 * len(here)
            many = len(left) > ALWAYS and len(left) > 0.05 * len(here)
            elsewhere = (bool(large - {school}) and (many or together)) or all_lack
            wrong = bool(moved or new & self.ids.keys())
            updated = [rows[who] for who in here if came.get(who, ("", ""))[1] == school]
            updated = [row for row in updated if self._differs(row) or self._is_new(row)]
            guards[school] = {
                name
                for name, holds in (
                    ("archivals", held_for_size(len(going), len(here)) or (crowd and share)),
                    ("creations", crowd),
                    ("part_missing", any(self.ids[who] & in_parts for who in going)),
                    ("missing_elsewhere", elsewhere and bool(left)),
                    ("wrong_schools", (circles and (wrong or bool(left))) or (emptied and wrong)),
                    ("key_updates", self._too_many_keys(updated, len(here))),
                )
                if holds
            }
            if not guards[school] - {"creations", "key_updates"}:
                self.active -= {(who, school) for who in going}
            if "wrong_schools" not in guards[school]:
                self.active |= {(who, school) for who in new if who in back or not crowd}
            for row in updated if "key_updates" not in guards[school] else ():
                if self.primary[person_of(row.sourced_id)] not in self.file:
                    self.primary[person_of(row.sourced_id)] = row.sourced_id
                self._write(row)
            for who in new & {who for who, one in self.active if one == school}:
                self._write(rows[who])
        self.before |= self.active
        return guards

    def _linked(self, who: str, came: dict[str, tuple[str, str]]) -> bool:
        """Whether somebody came under an id that is theirs."""
        return who in came and came[who][0] in self.ids[who]

    def _is_new(self, row: Row) -> bool:
        """Whether an id is no link yet, or not the primary one although that one did not come."""
        who = person_of(row.sourced_id)
        return row.sourced_id not in self.ids[who] or self._leads(row) != (self.primary[who] == row.sourced_id)

    def _leads(self, row: Row) -> bool:
        """Whether the fields of an active member follow this record."""
        who = person_of(row.sourced_id)
        return self.primary[who] == row.sourced_id or self.primary[who] not in self.file

    def _differs(self, row: Row) -> bool:
        return self._leads(row) and self.usernames[person_of(row.sourced_id)] != row.username

    def _write(self, row: Row) -> None:
        who = person_of(row.sourced_id)
        self.ids.setdefault(who, set()).add(row.sourced_id)
        if self.primary.setdefault(who, row.sourced_id) == row.sourced_id:
            self.usernames[who] = row.username

    def _too_many_keys(self, updated: list[Row], known: int) -> bool:
        keyed = sum(map(self._differs, updated))
        return (keyed > FEW and keyed > 0.05 * known) or (self.mixed_up > ALWAYS and bool(updated))

    def _mixed_up_usernames(self, rows: list[Row]) -> int:
        """How many people of these records would get the user name of another of them. After a night in which some
        would have got one, everybody's record counts, not only one that changed."""
        members = {who for who, _ in self.active}
        changed = {
            person_of(row.sourced_id): row.username
            for row in rows
            if person_of(row.sourced_id) in members and self.primary[person_of(row.sourced_id)] == row.sourced_id
            and self.usernames[person_of(row.sourced_id)] != row.username
        }  # fmt: skip
        return sum(
            any(self.usernames[other] == name for other in changed if other != who) for who, name in changed.items()
        )

    def _mixed_up(self, came: dict[str, str], known: dict[str, int]) -> tuple[bool, bool]:
        """Whether people would change schools in circles, and whether several schools would lose theirs."""
        moves = Counter(
            (min(one for other, one in self.active if other == who), school)
            for who, school in came.items()
            if (who, school) not in self.active and any(other == who for other, _ in self.active)
        )
        passing = dict.fromkeys(known, sum(moves.values()))
        for _ in known:
            through = {
                (left, into): min(people, passing[left], passing[into]) for (left, into), people in moves.items()
            }
            passing = {
                school: min(sum(n for ends, n in through.items() if ends[place] == school) for place in (0, 1))
                for school in known
            }
        people = sum(passing.values())
        everybody = all(passing.values()) and people == sum(moves.values())
        emptied = [
            school for school in known
            if sum(n for (left, _), n in moves.items() if left == school) > max(FEW, 0.5 * known[school])
        ]  # fmt: skip
        return people > ALWAYS and (everybody or people > 0.01 * sum(known.values())), len(emptied) > 1

    def _lost_parts(self, came: list[str]) -> list[list[str]]:
        """Students next to each other in an earlier file who have not come since, if they are more than a family."""
        parts = []
        for part in (*self.parts, [*self.file]):
            for is_here, some in groupby(part, lambda who: who in set(came)):
                together = list(some)
                parts += [together] * (not is_here and len(together) > FAMILY)
        return parts


def _other_id(sourced_id: str) -> str:
    return person_of(sourced_id) if sourced_id.startswith(NEW) else NEW + sourced_id


class Nights(School):
    """The schools of one bundle, and its students in the order of the file."""

    def __init__(self, database: Database, source: Source, draw: random.Random) -> None:
        self.draw, self.number, self.night_number = draw, next(_numbers), 0
        names = [f"s{place}" for place in range(1, draw.choice((2, 3, 4)) + 1)]
        source.orgs = [DISTRICT, *(BIRCH | {"sourcedId": name, "identifier": f"1{name}"} for name in names)]
        super().__init__(database, source, f"-{self.number}")
        rest = {name: self.add_school(f"{self.school}-{name}", name) for name in names[1:]}
        self.keys = {"s1": self.school} | rest
        for key in self.keys.values():
            self.set_school(key, guards=dict.fromkeys(OFF, 1) | {"moved_keys": 1000}, primary_contacts=False)
        self.users: list[Record] = []
        for name in names:
            self.users += [self._student(len(self.users) + place, name) for place in range(draw.choice((30, 70, 100)))]
        if draw.random() < 0.7:
            draw.shuffle(self.users)

    def _student(self, place: int, school: str) -> Record:
        """Nobody has a name of somebody else."""
        names = {
            name: f"{name[0]}{chr(97 + place // 26)}{chr(97 + place % 26)}" for name in ("givenName", "familyName")
        }
        return person(f"h{self.number}-{place}", school, place, role="student", grades="09",
                      username=f"u{self.number}-{place}", **names)  # fmt: skip

    def lose(self) -> list[Record]:
        """The file of tonight: some people in other schools; and a block, single people of some schools, or nobody is
        missing."""
        kept = self._moved()
        if self.draw.random() < 0.4:
            return self._slipped(kept)
        shares = {name: self.draw.choice((0, 0.01, 0.07, 0.09, 0.14)) for name in self.keys}
        kept = [one for one in kept if self.draw.random() >= shares[one["orgSourcedIds"]]]
        if self.draw.random() < 0.2:
            first = self.draw.randrange(len(kept))
            kept = kept[:first] + kept[first + self.draw.randrange(3, 12) :]
        return kept

    def _moved(self) -> list[Record]:
        """The students, some of them for now or for ever in another school: a class goes on, or they go in circles."""
        names = list(self.keys)
        into = dict(zip(names, names[1:] + names[:1], strict=True))
        if self.draw.random() < 0.4:
            into = {names[0]: names[1]}
        movers = [one["sourcedId"] for one in self.users if one["orgSourcedIds"] in into]
        movers = self.draw.sample(movers, self.draw.choice((0, 2, 4, 9, 14)))
        new_ids = self.draw.random() < 0.3
        moved = [
            one | {
                "orgSourcedIds": into[one["orgSourcedIds"]],
                "sourcedId": _other_id(one["sourcedId"]) if new_ids else one["sourcedId"],
            } if one["sourcedId"] in movers else one
            for one in self.users
        ]  # fmt: skip
        if self.draw.random() < 0.5:
            self.users = moved
        return list(moved)

    def _slipped(self, users: list[Record]) -> list[Record]:
        """The students, some of them with the user name of the one before."""
        places = sorted(self.draw.sample(range(len(users)), self.draw.choice((0, 0, 3, 8, 12))))
        names = {
            place: users[before]["username"] for place, before in zip(places, [*places[-1:], *places], strict=False)
        }
        return [one | {"username": names.get(place, one["username"])} for place, one in enumerate(users)]

    def night(self, users: list[Record], order: list[str]) -> dict[str, set[str]]:
        """One night. Returns the guards of each school."""
        self.night_number += 1
        stamp = f"2026-01-01T00:00:{self.night_number:02d}.000Z"
        self.source.users = [*users[:-1], users[-1] | {"dateLastModified": stamp}]
        self.source.write()
        guards = {}
        for name in order:
            self.sync_school(self.keys[name], f"{self.number} {self.night_number}")
            guards[name] = self.guards - {"moved_keys"}  # of single rows, which another proof has
        return guards


@pytest.mark.timeout(0)
def test_random_losses_of_several_schools_wait_as_the_rules_say(database: Database, home: Path) -> None:
    more = range(HISTORIES) if HISTORIES == USUAL else (random.Random().randrange(10**9) for _ in range(HISTORIES))
    seen = Counter[str]()
    for seed in more:
        schools, model = Nights(database, Source("csv", home / "exports"), random.Random(seed)), SharedPullModel()
        for night in range(NIGHTS):
            users = schools.lose() if night else schools.users
            order = schools.draw.sample(list(schools.keys), len(schools.keys))
            rows = [Row(one["sourcedId"], one["orgSourcedIds"], one["username"]) for one in users]
            expected = model.night(rows, order)
            assert schools.night(users, order) == expected, (seed, night)
            seen.update(name for names in expected.values() for name in names)
            active = {(person_of(row["who"]), row["key"]) for row in schools.rows(ACTIVE)}
            assert active == {(who, schools.keys[school]) for who, school in model.active}, (seed, night)
            usernames = {person_of(row["who"]): row["username"] for row in schools.rows(USERNAMES)}
            assert usernames == model.usernames, (seed, night)
    assert_happened(
        seen, {"archivals", "missing_elsewhere", "wrong_schools", "key_updates"}, {"part_missing", "creations"}
    )
