"""Users that came with the same bytes last night are recognised. Such a pull equals one that reads everybody."""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from starlette.responses import JSONResponse, Response

from roster_pipeline.directory import manual_edits, operations, pulls
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.record_sets import ROW
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.oneroster import Client, Wanted, pull
from roster_pipeline.oneroster.records import known_users
from roster_pipeline.oneroster.records.known_users import KnownUsers
from roster_pipeline_tests.directory.builders import add_school, one
from roster_pipeline_tests.oneroster.client_helpers import TestClock
from roster_pipeline_tests.oneroster.odd_server import SCHOOL, odd, person

OFTEN = range(6)
NIGHTS = 7
WHO = {"who": "test", "reason": "a test"}
OF_TIME = ("seconds", "server_time")
"""Members of a proof that differ between any two pulls."""
ROLES = ("student", "student", "teacher", "guardian", "administrator")
"""Parents who are not in the list are asked for one by one."""
PAYLOADS = """
select r.payload::text from pull_record p
join sis_record r on r.id between p.block << 9 and (p.block << 9) + 511 and get_bit(p.bits, r.id & 511) = 1
where p.pull_id = :pull order by 1
"""
REJECTS = "select sourced_id, field, rule, severity from pulled_reject where pull_id = :pull order by 1, 2, 3, 4"


class Sis:
    """A SIS in memory, with changes by chance."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.parents_listed = chance.random() < 0.5
        self.users = [self.newcomer(number) for number in range(60)]
        self.orgs = [SCHOOL, SCHOOL | {"sourcedId": "sch-2", "name": "Hill", "identifier": "0400"}]
        self.totals = True
        self.odd = False

    def newcomer(self, number: int) -> dict[str, Any]:
        kind = "u" if self.parents_listed else "parent"
        agents = [{"sourcedId": f"{kind}-{self.chance.randrange(60)}"}] if self.chance.random() < 0.5 else []
        elsewhere: dict[str, Any] = self.chance.choice(
            [{}, {}, {"primaryOrg": self.org()}, {"orgs": [self.org(), self.org()]}]
        )
        role = self.chance.choice(ROLES if self.parents_listed else ROLES[:3])
        return person(f"u-{number}", role, agents=agents, metadata={"homeroom": str(number)}, **elsewhere)

    def org(self) -> dict[str, Any]:
        """A reference to a school, which need not be listed."""
        return {"sourcedId": self.chance.choice(["sch-1", "sch-1", "sch-2"])}

    def night(self) -> None:
        """Changes of one day."""
        chance, users = self.chance, self.users
        for user in users:
            user["status"] = user["status"].replace("gone?", "active")
        for _ in range(chance.randrange(4)):
            chance.choice(users)["givenName"] = chance.choice(["Mira", "Ada", " Bea ", "NULL", "Zoë"])
            place = chance.randrange(len(users))
            users[place] = dict(chance.sample(sorted(users[place].items()), len(users[place])))  # the same, other bytes
        what = chance.randrange(10)
        one = chance.choice(users)
        if what == 0:
            users.remove(one)
        elif what == 1:
            users.append(self.newcomer(len(users) + 1000))
        elif what == 2:
            users.append(dict(one))
        elif what == 3:
            users.append(one | {"roles": person("x", "teacher")["roles"], "givenName": "Cleo", "familyName": "Berg"})
        elif what == 4:
            one["roles"] = [{"role": "student", "org": {"sourcedId": chance.choice(["SCH-2", "sch-9", "sch-1,sch-2"])}}]
        elif what == 5:
            self.orgs = self.orgs[:1] if len(self.orgs) > 1 else [*self.orgs, SCHOOL | {"sourcedId": "sch-9"}]
        elif what == 6:
            one["status"] = "tobedeleted"
        elif what == 7:
            one["status"] = "gone?"
        self.odd = chance.random() < 0.2
        self.totals = chance.random() < 0.7
        if chance.random() < 0.2:
            chance.shuffle(users)

    def __call__(self, path: str, query: Mapping[str, str]) -> Response | None:
        if path.startswith("/users/parent-"):
            return JSONResponse({"user": person(path.removeprefix("/users/"), "guardian")})
        if path not in ("/users", "/orgs"):
            return None
        records = self.users if path == "/users" else self.orgs
        limit, offset = int(query.get("limit", 100)), int(query.get("offset", 0))
        shown = records[offset : offset + limit]
        if path == "/users" and self.odd and shown and offset:
            shown = [shown[0] | {"unheardOf": 1}, *shown[1:]]
        headers = {"X-Total-Count": str(len(records))} if self.totals else {}
        return Response(json.dumps({path[1:]: shown}), media_type="application/json", headers=headers)


def stored(
    database: Database, school: SchoolRow, client: Client, wanted: Wanted, batch: str, known: KnownUsers | None
) -> tuple[dict[str, Any], list[Any], list[Any]]:
    """One pull, as proof, payloads and rejects."""
    pull_id, _ = database.call(pulls.claim, school.connection, batch)
    pulled = pull(client, wanted, known)
    pulled.into(lambda batches: pulls.store(database, pull_id, batches, known))
    proof = pulled.proof.as_dict()
    with database.begin() as conn:
        pulls.finish(conn, pull_id, proof)
        found = [list(conn.execute(text(query), {"pull": pull_id})) for query in (PAYLOADS, REJECTS)]
    return {name: value for name, value in proof.items() if name not in OF_TIME}, found[0], found[1]


@contextmanager
def served(sis: Sis) -> Iterator[Callable[..., Client]]:
    """Makes clients of one server."""
    with odd(sis, page_size=25, parallel=2, metadata_keys=("homeroom",)) as client:
        yield lambda **settings: Client(replace(client.endpoint, **settings), TestClock().clock)


@pytest.fixture
def oak(database: Database, lincoln: SchoolRow) -> SchoolRow:
    """A school of another connection."""
    return database.call(add_school, "oak", connection="other-sis")


def spied(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[tuple[Any, ...]]:
    """The arguments of each call of a method from now on."""
    calls: list[tuple[Any, ...]] = []
    plain = getattr(owner, name)

    def call(*arguments: Any) -> Any:
        calls.append(arguments)
        return plain(*arguments)

    monkeypatch.setattr(owner, name, call)
    return calls


def marks(database: Database, district_id: int) -> int:
    """How many marks a district has."""
    size = one(database, f"select sum(length(marks)) from known_record where district_id = {district_id}")
    return int(size or 0) // ROW.itemsize


@pytest.mark.parametrize("seed", OFTEN)
def test_nights_with_and_without_recognised_users_are_the_same(
    database: Database, lincoln: SchoolRow, oak: SchoolRow, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    sis = Sis(chance)
    recognised = spied(monkeypatch, KnownUsers, "roles_of")
    learned: dict[str, Any] = {}
    with served(sis) as client_of:
        for night in range(NIGHTS):
            wanted = Wanted(contacts=chance.random() < 0.8)
            results = []
            for school, known in ((lincoln, KnownUsers()), (oak, None)):
                with client_of(learned=learned) as client:
                    results.append(stored(database, school, client, wanted, f"night {night}", known))
                    after = client.learned
            learned = {name: after[name] for name in ("paging", "several_records") if name in after}
            assert results[0] == results[1], night
            sis.night()
    assert sum(len(places) for _, places in recognised) > 20, "otherwise it says nothing"


def test_marks_of_another_code_or_of_other_settings_are_not_used(
    database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognised = spied(monkeypatch, KnownUsers, "roles_of")

    def known(batch: str, **settings: Any) -> int:
        recognised.clear()
        with client_of(**settings) as client:
            stored(database, lincoln, client, Wanted(contacts=True), batch, KnownUsers())
        return sum(len(places) for _, places in recognised)

    with served(Sis(random.Random(1))) as client_of:
        assert [known("1"), known("2")] == [0, 60]
        assert [known("3", metadata_keys=("room",)), known("4", metadata_keys=("room",))] == [0, 60]
        monkeypatch.setattr(known_users, "code_version", lambda part: "another")
        assert [known("5"), known("6")] == [0, 60]


def test_an_erasure_forgets_the_marks_also_of_a_pull_that_is_being_stored(
    database: Database, lincoln: SchoolRow
) -> None:
    gone = database.call(manual_edits.add, lincoln, {"family_name": "Berg", "role": "staff"}, **WHO)

    class Meanwhile(KnownUsers):
        """Somebody is erased while the pull reads."""

        def begin(self, *facts: object) -> None:
            super().begin(*facts)
            with database.begin() as conn:
                operations.erase(conn, lincoln.district_id, gone, **WHO)
                conn.execute(text("delete from sis_record where sourced_id = 'u-7'"))

    with served(Sis(random.Random(2))) as client_of:
        for night, (known, kept) in enumerate(((KnownUsers(), 60), (Meanwhile(), 0), (KnownUsers(), 60))):
            with client_of() as client:
                stored(database, lincoln, client, Wanted(contacts=True), f"night {night}", known)
            assert marks(database, lincoln.district_id) == kept
    assert one(database, "select count(*) from sis_record where sourced_id = 'u-7'") == 1


def test_the_marks_of_a_pull_go_with_it(database: Database, lincoln: SchoolRow) -> None:
    sis = Sis(random.Random(3))
    with served(sis) as client_of:
        for batch in ("1", "2"):
            with client_of() as client:
                stored(database, lincoln, client, Wanted(contacts=True), batch, KnownUsers())
            sis.users.pop()
    assert (one(database, "select count(*) from known_record"), marks(database, lincoln.district_id)) == (1, 59)
    with database.begin() as conn:
        conn.execute(text("delete from pull"))
    assert one(database, "select count(*) from known_record") == 0
